"""Exact planning: value, bound, status, seconds and nodes by instance, budget and solver, beside the paper's baselines."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from marked import put_measured
from memplan_solvers import compiled
from memplan_solvers.baseline import BASELINES, reduction
from provenance import kept_rows

import memplan
from memplan.library.zoo import zoo_index
from memplan.solving.limits import Limits, Progress
from memplan.solving.planning import make_problem

HUMAN = (
    "resnet50_int8", "densenet121_int8", "resnext50_32x4d_int8", "r2plus1d_18_int8", "s3d_int8", "fcn_resnet50_int8",
    "lraspp_mobilenet_v3_int8", "deeplabv3_resnet50_int8", "transformer_base_int8", "vit_b16_int8",
)  # fmt: skip
SEARCHED = ("pnasnet5_mobile_int8", "amoebanet_d_int8", "nasnet_a_mobile_int8", "darts_imagenet_int8")
FILES = ("tests/data/nasnet_a_cifar_6_32_raw.json", "tests/data/darts_imagenet_4_12_fused.json")
CLAIMS = {"designed by people": "84 %", "found by search": "85 %"}
"""The paper's reductions (arXiv 2311.18246, abstract), by group."""

WIRED = ("nasnet", "amoebanet", "pnasnet", "darts", "randwire")


class Row(NamedTuple):
    """One solve: bytes, wall and processor seconds, the largest count of nodes it reported."""

    model: str
    group: str
    ops: int
    weights: str
    budget: str
    capacity: int
    proved: bool | None
    solver: str
    value: float | None
    bound: float
    status: str
    seconds: float
    cpu: float
    nodes: int
    how: str


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=[*HUMAN, *SEARCHED, *FILES], metavar="MODEL")
    parser.add_argument("--solvers", default="portfolio", help="specs, separated by ;")
    parser.add_argument("--budgets", default="MR,MH,MP")
    parser.add_argument("--weights", default="ignore,tensor")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds a solve")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument(
        "--rows",
        type=Path,
        help="keep rows in this file, and take those that are there (default: one in build)",
    )
    parser.add_argument("-o", "--output", type=Path, help="the page whose measured part is replaced")
    args = parser.parse_args()
    solvers = [*(() if args.no_baselines else BASELINES), *args.solvers.split(";")]
    page = args.output.stem if args.output else "exact"
    file = args.rows or kept_rows(f"{page}_{args.limit:g}_{args.workers}.jsonl")
    lines = file.read_text().splitlines() if file.exists() else []
    done = {tuple(r[:1] + r[3:5] + r[7:8]): Row(*r) for r in map(json.loads, lines)}
    rows = []
    warm()
    for name, weights, budget in itertools.product(
        args.models, args.weights.split(","), args.budgets.split(",")
    ):
        short, model = Path(name).stem, memplan.load(name)
        problem = make_problem(model, scratchpad=budget, weights=weights)
        if (problem.capacity or 0) < problem.min_capacity:
            continue
        for spec in solvers:
            key = (short, weights, budget, spec)
            if key not in done:
                done[key] = solve(model, short, weights, budget, spec, args.limit, args.workers)
                with file.open("a") as rows_file:
                    rows_file.write(json.dumps(list(done[key])) + "\n")
                print(*done[key], sep=", ", file=sys.stderr, flush=True)
            rows.append(done[key])
    check(rows)
    text = tables(rows, args)
    print(text)
    if args.output:
        put_measured(args.output, "bench_exact", text)


def warm() -> None:
    """Load what is compiled, so that it is not timed."""
    for name in compiled.KERNELS:
        compiled.load(name, Limits())


def solve(model: Any, short: str, weights: str, budget: str, spec: str, limit: float, workers: int) -> Row:
    """One solve, checked and evaluated; in-place off, inputs and outputs in host."""
    problem = make_problem(model, scratchpad=budget, weights=weights)
    seen: list[int] = [0]

    def note(news: Progress) -> None:
        seen.append(news.nodes or 0)

    begin = time.process_time()
    plan = memplan.plan(
        model,
        scratchpad=budget,
        weights=weights,
        solver=spec,
        time_limit_s=limit,
        workers=workers,
        progress=note,
    )
    return Row(
        short,
        group(short),
        problem.n,
        weights,
        budget,
        problem.capacity or 0,
        plan.budget_proved,
        spec,
        plan.value,
        plan.bound,
        str(plan.status),
        round(plan.seconds, 3),
        round(time.process_time() - begin, 3),
        max(seen),
        plan.reason,
    )


def group(short: str) -> str:
    """Whose design the net is."""
    nas = {entry["name"] for entry in zoo_index() if entry["family"] == "nas"}
    return "found by search" if short in nas or short.startswith(WIRED) else "designed by people"


def groups_of(rows: Sequence[Row]) -> list[str]:
    """The groups that occur, in the paper's order."""
    return [g for g in CLAIMS if any(r.group == g for r in rows)]


def check(rows: Iterable[Row]) -> None:
    """No bound above a value that anybody found for the same case."""
    cases: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        cases.setdefault((row.model, row.weights, row.budget), []).append(row)
    for case, found in cases.items():
        values = [r.value for r in found if r.value is not None]
        highest = max(found, key=lambda r: r.bound)
        if values and highest.bound > min(values):
            raise SystemExit(
                f"{case}: {highest.solver} claims the bound {highest.bound}, somebody found {min(values)}"
            )
        if values and any(r.status == "infeasible" for r in found):
            raise SystemExit(f"{case}: called infeasible, somebody found a plan")


def tables(rows: Sequence[Row], args: argparse.Namespace) -> str:
    """The part of the page that is measured."""
    exact = [s for s in dict.fromkeys(r.solver for r in rows) if s not in BASELINES]
    lines = [
        f"A solve takes {args.limit:g} s at most and has {args.workers} workers. What is compiled is loaded before. Processor seconds "
        "count every thread and the check of the plan. No bound was above a value that any solver found.",
        "",
    ]
    lines += summary(rows, exact)
    head = ["model", "ops", "weights", "budget", "bytes"]
    if not args.no_baselines:
        head += ["program, Belady", "program, greedy ILP", "peak, Belady", "peak, greedy ILP"]
    head += [f"{s}: value; bound; status; s; processor s; nodes" for s in exact] + ["found by; bound by"]
    lines += [
        "## Every case",
        "",
        "| " + " | ".join(head) + " |",
        "| " + " | ".join("---" for _ in head) + " |",
    ]
    for (model, ops, weights, budget, capacity, proved), found in itertools.groupby(
        rows, key=lambda r: (r.model, r.ops, r.weights, r.budget, r.capacity, r.proved)
    ):
        by = {r.solver: r for r in found}
        cells = [
            model,
            str(ops),
            weights,
            budget,
            f"{capacity:,}" + (" (M_P open)" if proved is False else ""),
        ]
        cells += [number(by[s].value) for s in BASELINES if s in by]
        for s in exact:
            r = by[s]
            cells.append(
                f"{number(r.value)}; {r.bound:,.0f}; {r.status}; {r.seconds:.2f}; {r.cpu:.2f}; {r.nodes:,}"
            )
        cells.append(by[exact[0]].how)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def number(value: float | None) -> str:
    """Bytes, or a dash."""
    return "-" if value is None else f"{value:,.0f}"


def summary(rows: Sequence[Row], exact: Sequence[str]) -> list[str]:
    """Proofs and times by group and solver, then the reductions."""
    lines = [
        "## In short",
        "",
        "| nets | solver | cases | proved | mean s | worst s | mean processor s | worst processor s | worst gap of the others |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    groups = groups_of(rows)
    for g, solver in itertools.product(groups, exact):
        mine = [r for r in rows if r.group == g and r.solver == solver]
        gaps = [
            (r.value - r.bound) / r.value if r.value else 1.0
            for r in mine
            if r.status != "optimal" and r.value is not None
        ]
        seconds, cpu = [r.seconds for r in mine], [r.cpu for r in mine]
        lines.append(
            f"| {g} | {solver} | {len(mine)} | {sum(r.status == 'optimal' for r in mine)} | "
            f"{sum(seconds) / len(mine):.2f} | {max(seconds):.2f} | {sum(cpu) / len(mine):.2f} | {max(cpu):.2f} | "
            f"{f'{100 * max(gaps):.1f} %' if gaps else '-'} |"
        )
    value = {(r.model, r.weights, r.budget, r.solver): r.value for r in rows}
    cases = list(dict.fromkeys((r.model, r.weights, r.budget, r.group) for r in rows))
    present = [b for b in BASELINES if any(r.solver == b for r in rows)]
    if not present:
        return [*lines, ""]
    lines += [
        "",
        f"How much less {exact[0]} spills than each baseline, both ways: *of the sum*, 1 - sum of values / sum of the baseline's "
        "values, which the largest networks decide, and the *mean* of the cases' own reductions, in which each counts alike. Cases "
        "whose baseline spills nothing are *at zero* and count in neither. The paper reports "
        + ", ".join(f"{CLAIMS[g]} for nets {g}" for g in groups)
        + ".",
        "",
        "| nets | baseline | reduction of the sum | mean reduction | cases counted | cases at zero |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for g in groups:
        everything = []
        for b in present:
            pairs = [(value[m, w, c, exact[0]], value[m, w, c, b]) for m, w, c, of in cases if of == g]
            known = [(v, base) for v, base in pairs if v is not None and base is not None]
            everything += known
            lines.append(f"| {g} | `{b}` | " + reduced(known))
        lines.append(f"| {g} | all four | " + reduced(everything))
    return [*lines, ""]


def reduced(pairs: Sequence[tuple[float, float]]) -> str:
    """The last cells of a row of reductions."""
    share, counted, zero = reduction(pairs)
    own = [1 - value / base for value, base in pairs if base > 0]
    mean = f"{100 * sum(own) / len(own):.1f} %" if own else "-"
    return f"{'-' if share is None else f'{100 * share:.1f} %'} | {mean} | {counted} | {zero} |"


if __name__ == "__main__":
    main()
