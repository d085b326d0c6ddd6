"""List scheduling by live bytes: always the ready op that lets the fewest bytes stay behind."""

from __future__ import annotations

import heapq

from memplan.problem.problem import Problem


def least_live(problem: Problem, recent: bool = False, look_ahead: int = 0) -> tuple[int, ...]:
    """Ready ops by the change of live bytes they cause, the smallest first; O((V + E) log V).

    `recent` breaks ties for the op enabled last instead of program order. `look_ahead` judges an op by
    the lowest point of the chain of ops that it alone enables, up to that many further ops.
    """
    live = _LiveBytes(problem)
    waits = [len(p) for p in problem.preds]
    clock = 0
    stamp = [0] * problem.n
    heap: list[tuple[int, int, int]] = []

    def push(i: int) -> None:
        gain = live.chain_change(i, waits, look_ahead)
        heapq.heappush(heap, (gain, -stamp[i] if recent else 0, i))

    current: dict[int, int] = {}
    for i, count in enumerate(waits):
        if count == 0:
            push(i)
    done = [False] * problem.n
    order: list[int] = []
    while heap:
        gain, _, i = heapq.heappop(heap)
        if done[i]:
            continue
        now = live.chain_change(i, waits, look_ahead)
        if now != gain and current.get(i) != now:  # stale key: it may have become better or worse
            current[i] = now
            push(i)
            continue
        done[i] = True
        order.append(i)
        clock += 1
        touched = live.execute(i)
        for j in problem.succs[i]:
            waits[j] -= 1
            if waits[j] == 0:
                stamp[j] = clock
                push(j)
        for j in touched:  # the last reader of a storage now frees it: its key has improved
            if waits[j] == 0 and not done[j]:
                push(j)
    return tuple(order)


class _LiveBytes:
    """How an op changes the live bytes, given what has run; kept up to date op by op."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.left = [len(s.uses) for s in problem.storages]
        stays = [s.resident and s.is_output for s in problem.storages]
        present = [s.resident and s.is_input for s in problem.storages]
        self.frees = [0 if stay else s.size for s, stay in zip(problem.storages, stays, strict=True)]
        self.present = present
        self.done: set[int] = set()

    def change(self, i: int) -> int:
        """Bytes live after op i minus before."""
        total = 0
        for s in self.problem.writes[i]:
            storage = self.problem.storages[s]
            total += storage.size if self.left[s] or not self.frees[s] else 0
        for s in self.problem.reads[i]:
            storage = self.problem.storages[s]
            if storage.producer < 0 and not self.present[s]:
                total += storage.size  # its first use brings it in, or begins to write it
            if self.left[s] == 1:
                total -= self.frees[s]
        return total

    def chain_change(self, i: int, waits: list[int], look_ahead: int) -> int:
        """The lowest change along the chain of ops that i alone enables (waits: open predecessors)."""
        lowest = total = self.change(i)
        for _ in range(look_ahead):
            enabled = [j for j in self.problem.succs[i] if waits[j] == 1]
            if len(enabled) != 1 or len(self.problem.succs[i]) != 1:
                break
            i = enabled[0]
            total += self.change(i)
            lowest = min(lowest, total)
        return lowest

    def execute(self, i: int) -> list[int]:
        """Run op i; the ops that have become the last reader of something."""
        self.done.add(i)
        last_readers: list[int] = []
        for s in self.problem.reads[i]:
            self.left[s] -= 1
            self.present[s] = True
            if self.left[s] == 1:
                last_readers.extend(u for u in self.problem.storages[s].uses if u not in self.done)
        return last_readers
