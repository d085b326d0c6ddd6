"""Who may write over an operand, under any plan: what bounds have to allow for."""

from __future__ import annotations

from memplan.problem.problem import Problem


def written_over(problem: Problem) -> dict[int, tuple[int, ...]]:
    """Per op that may work in place under some plan, the storages that it may write over an operand, each in its first step
    without bytes of its own.

    `Problem.inplace_pairs` are fewer: a copy that a move made may be overwritten too, also where the input is not donated,
    where its bytes are read again, and whichever of its outputs the op writes there.
    """
    options, root, number = problem.options, problem.graph.storage_of, problem.number
    found = {}
    for i, op in enumerate(problem.graph.ops):
        asked = (b for b, a in op.overwrites if options.inplace or root[a] in options.donate)
        if written := tuple(dict.fromkeys(number[b] for b in asked if b in number)):
            found[i] = written
    return found


def least_bytes(problem: Problem) -> list[int]:
    """Per op, bytes of scratchpad that are taken at its step under every plan, whatever is written over an operand."""
    sizes, over = [s.size for s in problem.storages], written_over(problem)
    return [
        sum(sizes[s] for s in present if s not in over.get(i, ()))
        for i, present in enumerate(problem.present)
    ]
