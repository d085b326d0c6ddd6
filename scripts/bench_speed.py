"""Times the program as its users meet it: whole processes, from a model file to an emitted plan."""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from marked import DOCS, put_measured

from memplan.base.children import start_program, temporary_folder

RUNS, OPS = 5, 100_000
OPS_A_SECOND = 3_000
"""What the time limit allows large graphs."""
HEAD = (
    f"Whole processes, cold; medians of {RUNS}, large graphs once, with a second of time limit for {OPS_A_SECOND:,} ops.\n\n"
    "| what | seconds | processor seconds | peak memory |\n| --- | ---: | ---: | ---: |"
)


def main() -> None:
    """Print the table; OPS is the size of the large graphs, without which the table goes into its page."""
    ops = int(sys.argv[1]) if len(sys.argv) > 1 else OPS
    with temporary_folder() as folder:
        lines = list(rows(ops, folder))
    if len(sys.argv) == 1:
        put_measured(DOCS / "speed.md", "bench_speed", "\n".join([HEAD, *lines]))


def rows(ops: int, folder: Path) -> Iterator[str]:
    """The lines of the table, each printed as it is known."""
    plan = ["plan", "resnet50", "--scratchpad", "MP", "--emit", "json,onnx", "-o", str(folder)]
    yield row("`memplan --help`", ["--help"], RUNS)[0]
    yield row("`memplan plan resnet50 --scratchpad MP --emit json,onnx`", plan, RUNS)[0]
    for shape in (wide, deep, random_wired):
        (line, once), (line_twice, twice) = (large(shape, count, folder) for count in (ops, 2 * ops))
        yield from (line, line_twice)
        yield shown(
            f"| twice the ops, {shape.__name__}: ratio of processor seconds | | {twice / once:.2f} | |"
        )


def large(shape: Callable[[int], dict], ops: int, folder: Path) -> tuple[str, float]:
    """The line of a large graph, and its processor seconds."""
    path = folder / f"{shape.__name__}_{ops}.json"
    path.write_text(json.dumps(shape(ops)))
    label = f"{ops:,} ops, {shape.__name__}: import, greedy plan at 0.7 M_P, check, emit"
    words = [
        "--scratchpad",
        "0.7MP",
        "--solver",
        "greedy",
        "--time-limit",
        str(ops // OPS_A_SECOND),
        "-o",
        str(folder),
    ]
    return row(label, ["plan", str(path), *words], 1)


def row(label: str, arguments: list[str], runs: int) -> tuple[str, float]:
    """Run the program: the line with the median times and the largest memory, and the median processor seconds."""
    seconds, processor, memory = list[float](), list[float](), 0
    for _ in range(runs):
        begin = time.perf_counter()
        child = start_program([sys.executable, "-m", "memplan", *arguments], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        seconds.append(time.perf_counter() - begin)
        processor.append(usage.ru_utime + usage.ru_stime)
        memory = max(memory, usage.ru_maxrss * 1024)
        if os.waitstatus_to_exitcode(status) != 0:
            raise SystemExit(f"{label}: exit status {os.waitstatus_to_exitcode(status)}")
    wall, busy = statistics.median(seconds), statistics.median(processor)
    return shown(f"| {label} | {wall:.2f} | {busy:.2f} | {memory / 2**20:.0f} MiB |"), busy


def shown(line: str) -> str:
    """Print and return a line."""
    print(line, flush=True)
    return line


def _graph(name: str, sizes: dict[str, int], ops: list[tuple[list[str], str]]) -> dict:
    """Graph JSON: `x` is the input, the last op's output the output."""
    last = ops[-1][1]
    tensors = [{"name": "x", "nbytes": sizes["x"], "kind": "input"}]
    tensors += [
        {"name": out, "nbytes": sizes[out], "kind": "output" if out == last else "activation"}
        for _, out in ops
    ]
    rows = [{"name": f"op_{out}", "kind": "Conv", "inputs": i, "outputs": [out]} for i, out in ops]
    return {"format": "memplan-graph", "version": 1, "name": name, "tensors": tensors, "ops": rows}


def wide(ops: int) -> dict:
    """One input, half the ops read it, a tree of the other half joins them."""
    rng = random.Random(0)
    made = [(["x"], f"b{i}") for i in range(ops // 2)]
    level = [out for _, out in made]
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = []
        for pair in pairs:
            made.append((pair, f"j{len(made)}"))
            level.append(made[-1][1])
    sizes = {out: rng.choice((64, 128, 256)) for _, out in made}
    return _graph("wide", {"x": 256} | sizes, made)


def deep(ops: int) -> dict:
    """A chain with a skip connection every few ops."""
    rng = random.Random(0)
    made: list[tuple[list[str], str]] = [(["x"], "t0")]
    for i in range(1, ops):
        skip = [f"t{i - rng.randint(2, min(i, 12))}"] if i > 2 and rng.random() < 0.3 else []
        made.append(([f"t{i - 1}", *skip], f"t{i}"))
    return _graph("deep", {"x": 256} | {out: rng.choice((64, 128, 256)) for _, out in made}, made)


def random_wired(ops: int) -> dict:
    """Each op reads one to three of the last hundred values."""
    rng = random.Random(0)
    made: list[tuple[list[str], str]] = [(["x"], "t0")]
    for i in range(1, ops):
        count = rng.choice((1, 1, 2, 3))
        made.append((sorted({f"t{rng.randint(max(0, i - 100), i - 1)}" for _ in range(count)}), f"t{i}"))
    return _graph("random_wired", {"x": 256} | {out: rng.choice((64, 128, 256)) for _, out in made}, made)


if __name__ == "__main__":
    main()
