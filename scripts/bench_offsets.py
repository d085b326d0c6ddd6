"""Offset assignment: memplan beside omnimalloc, Vela, CP-SAT and a MiniMalloc binary, in one run."""

from __future__ import annotations

import argparse
import math
import multiprocessing
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from marked import put_measured
from memplan_solvers.offsets.bounds import least_peak

from memplan.base.children import end_with_parent, start_program, temporary_folder
from memplan.io.read_csv import read_buffers
from memplan.io.write_csv import packing_text
from memplan.packing.buffers import Buffer
from memplan.packing.check import check_packing
from memplan.packing.packer import pack_buffers
from memplan.problem.plan import Status
from tests.solvers.offsets.instances import heavy_tailed, perfect

Answer = tuple[Sequence[int] | None, str]
"""Offsets by buffer, and what else to say (nodes, proved)."""
Solver = Callable[[list[Buffer], float, int | None], Answer]
"""From buffers, a limit in seconds and a capacity if the instance has one; without, the least peak is wanted."""
WORKERS = 2


def ours(buffers: list[Buffer], limit: float, workers: int, capacity: int | None = None) -> Answer:
    found = pack_buffers(buffers, capacity, time_limit_s=limit, workers=workers)
    proof = ", proved" if found.status is Status.OPTIMAL else ""
    return found.offsets or None, f"{found.nodes:,} nodes{proof}"


def omnimalloc(buffers: list[Buffer], limit: float, best: bool) -> Answer:
    from omnimalloc import Allocation, allocate
    from omnimalloc.allocators import SupermallocAllocator

    rows = [Allocation(i, b.size, b.start, b.stop) for i, b in enumerate(buffers)]
    placed = allocate(rows, SupermallocAllocator(timeout=limit, num_threads=12)) if best else allocate(rows)
    at = {a.id: a.offset for a in placed}
    return [at[i] for i in range(len(buffers))], ""


def vela(buffers: list[Buffer], limit: float, capacity: int | None) -> Answer:
    """Its hill climb, at the number of iterations that its compiler uses by default."""
    from ethosu.vela.hillclimb_allocation import HillClimbAllocator

    class Range:
        def __init__(self, b: Buffer) -> None:
            self.start_time, self.end_time, self.size = b.start, b.stop - 1, b.size

        def get_alignment(self) -> int:
            return 1

    return HillClimbAllocator([Range(b) for b in buffers], 99_999, 2**40).allocate(), ""


def cpsat(buffers: list[Buffer], limit: float, capacity: int | None) -> Answer:
    from ortools.sat.python import cp_model

    model, most = cp_model.CpModel(), sum(b.size for b in buffers)
    peak = model.new_int_var(least_peak(buffers), most, "peak")
    places = [model.new_int_var(0, most, f"o{i}") for i in range(len(buffers))]
    model.add_no_overlap_2d(
        [model.new_fixed_size_interval_var(b.start, b.stop - b.start, "") for b in buffers],
        [model.new_fixed_size_interval_var(o, b.size, "") for o, b in zip(places, buffers, strict=True)],
    )
    for o, b in zip(places, buffers, strict=True):
        model.add(o + b.size <= peak)
    model.minimize(peak)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds, solver.parameters.num_workers = limit, WORKERS
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None, ""
    return [solver.value(o) for o in places], "proved" if status == cp_model.OPTIMAL else ""


def minimalloc(buffers: list[Buffer], limit: float, capacity: int | None, binary: str) -> Answer:
    """It needs a capacity: without one the load, which is the least that can be asked."""
    with temporary_folder() as folder:
        given, out = folder / "in.csv", folder / "out.csv"
        lines = packing_text(buffers, [0] * len(buffers)).splitlines()
        given.write_text("\n".join(line.rpartition(",")[0] for line in lines) + "\n")
        words = [
            binary,
            f"--capacity={capacity or least_peak(buffers)}",
            f"--input={given}",
            f"--output={out}",
            f"--timeout={math.ceil(limit)}s",
        ]
        start_program(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).wait(limit + 5)
        if not out.exists() or not out.read_text().strip():
            return None, ""
        at = {b.name: b.offset for b in read_buffers(out)}
        return [at[b.name] or 0 for b in buffers], ""


def main() -> None:
    """Print the table, and write it into its page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("instances", nargs="*", type=Path)
    parser.add_argument("--limit", type=float, default=10.0)
    parser.add_argument("--minimalloc", metavar="PATH")
    parser.add_argument("-o", "--output", type=Path, help="the page whose table is replaced")
    args = parser.parse_args()
    solvers: dict[str, Solver] = {
        "memplan, 1 core, under the capacity": lambda b, s, c: ours(b, s, 1, c) if c else (None, ""),
        "memplan, 1 core": lambda b, s, c: ours(b, s, 1),
        "memplan, 2 cores": lambda b, s, c: ours(b, s, 2),
        "omnimalloc": lambda b, s, c: omnimalloc(b, s, False),
        "omnimalloc, supermalloc, 12 threads": lambda b, s, c: omnimalloc(b, s, True),
        "Vela": vela,
        "CP-SAT, 2 workers": cpsat,
    }
    if args.minimalloc:
        solvers["MiniMalloc"] = lambda b, s, c: minimalloc(b, s, c, args.minimalloc)
    lines = [
        f"Limit {args.limit:g} s a case, each in a process of its own, compiled before it is timed. Peak ÷ bound; wall seconds; CPU "
        "seconds of all threads. Under the capacity: any packing that fits; all others look for the least peak. Every answer is checked; `-`: none within twice the limit and 5 s.",
        "",
        "| instance | buffers | " + " | ".join(solvers) + " |",
        "| --- | --- |" + " --- |" * len(solvers),
    ]
    for warm in (perfect(random.Random(1), 60, 60, 32), heavy_tailed(3, 3_000)):
        pack_buffers(warm, time_limit_s=1.0)  # compiles, for the processes forked below too
    print("\n".join(lines), flush=True)
    for name, capacity, buffers in instances(args.instances):
        cells = [name, f"{len(buffers):,}"]
        for solve in solvers.values():
            cells.append(case(solve, buffers, args.limit, capacity))
        lines.append("| " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
        if args.output:
            put_measured(args.output, "bench_offsets", "\n".join(lines))


def mirrored(buffers: Sequence[Buffer]) -> list[Buffer]:
    """Time turned round: as hard in principle, another instance for every order of branching."""
    last = max(b.stop for b in buffers)
    return [Buffer(b.name, last - b.stop, last - b.start, b.size) for b in buffers]


def instances(paths: Sequence[Path]) -> list[tuple[str, int | None, list[Buffer]]]:
    """Those given, small ones mirrored in time too, then generated ones: perfect packings (peak = load
    exists) and large heavy-tailed traces. A file called NAME.CAPACITY.csv has a capacity, as MiniMalloc's
    have.
    """
    rows: list[tuple[str, int | None, list[Buffer]]] = []
    for f in sorted(f for p in paths for f in (p.glob("*.csv") if p.is_dir() else [p])):
        name, _, capacity = f.stem.rpartition(".")
        # fixed offsets are left out: the others do not take any
        rows.append(
            (
                name if capacity.isdigit() else f.stem,
                int(capacity) if capacity.isdigit() else None,
                [replace(b, offset=None) for b in read_buffers(f)],
            )
        )
    rows += [
        (f"{name} mirrored", capacity, mirrored(buffers))
        for name, capacity, buffers in rows
        if len(buffers) <= 500
    ]
    for seed, (count, steps, height) in enumerate([(60, 60, 32), (120, 100, 32), (250, 400, 32)]):
        rows.append((f"perfect {count}", height, perfect(random.Random(seed), count, steps, height)))
    rows += [(f"heavy-tailed {n:,}", None, heavy_tailed(7, n)) for n in (3_000, 28_526, 60_000)]
    return rows


def case(solve: Solver, buffers: list[Buffer], limit: float, capacity: int | None) -> str:
    """One cell: the ratio, the seconds and what else there is; the process is killed past twice the limit."""
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(solve, buffers, limit, capacity, theirs))
    process.start()
    theirs.close()
    answer = None
    if mine.poll(2 * limit + 5):
        try:
            answer = mine.recv()
        except EOFError:
            pass
    process.kill()
    process.join()
    if answer is None:
        return "-"
    offsets, more, seconds, busy = answer
    if not offsets:
        return f"-, {seconds:.2f} s, {busy:.2f} CPU s"
    if wrong := check_packing(buffers, offsets, None):
        return f"wrong: {wrong[0]}"
    peak = max(o + b.size for o, b in zip(offsets, buffers, strict=True))
    return f"{peak / least_peak(buffers):.4f}, {seconds:.2f} s, {busy:.2f} CPU s" + (
        f", {more}" if more else ""
    )


def _run(solve: Solver, buffers: list[Buffer], limit: float, capacity: int | None, pipe: Connection) -> None:
    end_with_parent()
    try:
        begin, busy = time.perf_counter(), time.process_time()
        offsets, more = solve(buffers, limit, capacity)
        spent = time.perf_counter() - begin, time.process_time() - busy
        pipe.send((None if offsets is None else list(map(int, offsets)), more, *spent))
    except Exception as error:  # one solver's fault costs its own cell
        pipe.send((None, repr(error), time.perf_counter() - begin, time.process_time() - busy))


if __name__ == "__main__":
    main()
