"""Plans networks for ExecuTorch, lets its runtime run them, and writes the tables of docs/executorch.md.

    scripts/bench_executorch

Each network is made of torch.nn with seeded weights, exported, and lowered for the portable kernels. It is planned for one arena
and run as planned and as ExecuTorch plans it itself, on the same seeded inputs, three times in a row. Then it is planned for a
fast arena of three quarters of that and a slow one, beside ExecuTorch's planner for such machines: once with inputs, outputs and
caches in the fast arena, once with them in the slow one, of which the better counts. Keeps the rows of docs/obeyed.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import torch
from executorch.exir import to_edge
from marked import DOCS, put_measured
from networks import NETWORKS
from publish_obeyed import keep
from torch import Tensor, nn

import memplan
from memplan.runtimes.executorch import from_edge, measure
from memplan.runtimes.executorch.measure import planned_slow_bytes
from memplan.runtimes.obedience import Obedience

SECONDS = 5
SHARE = 0.75
ALIGNMENT = 16


def main() -> int:
    """Exit status 0 if ExecuTorch obeys every plan, and none is worse than its own."""
    torch.set_grad_enabled(False)
    found = []
    for name, (make, inputs) in NETWORKS.items():
        print(name, file=sys.stderr, flush=True)
        found.append((name, *result(make, inputs)))
    put_measured(DOCS / "executorch.md", "bench_executorch", "\n".join(tables(found)))
    keep(
        "executorch",
        [row for name, *_, one, two in found for row in ((name, one), (f"{name}, two arenas", two))],
    )
    kept = all(one.obeys and two.obeys and one.kept == two.kept == "plan" for *_, one, two in found)
    return 0 if kept else 5


Row = tuple[memplan.Plan, memplan.Plan, memplan.Plan, Obedience, Obedience]


def result(make: Callable[[], nn.Module], inputs: tuple[Tensor, ...]) -> Row:
    """Plans for one arena, for one with nothing in place, and for two; and what the runtime makes of the first and the last."""
    torch.manual_seed(0)
    model = from_edge(to_edge(torch.export.export(make().eval(), inputs)))
    one = memplan.plan(model, time_limit_s=SECONDS)
    apart = memplan.plan(model, inplace=False, time_limit_s=SECONDS)
    target = two_arenas(one.metrics.peak)
    two = min(
        (
            memplan.plan(model, target, objective="traffic", io=io, time_limit_s=SECONDS)
            for io in ("resident", "host")
        ),
        key=lambda plan: (not plan.schedule, planned_slow_bytes(model, plan)),
    )
    return one, apart, two, measure(model, one), measure(model, two)


def two_arenas(peak: int) -> memplan.Target:
    """A fast arena that holds a share of the peak, and a slow one; nothing is copied between them."""
    fast = memplan.Memory("fast", int(peak * SHARE) // ALIGNMENT * ALIGNMENT, ALIGNMENT)
    slow = memplan.Memory("slow", alignment=ALIGNMENT, addresses=True)
    return memplan.Target("two arenas", (fast, slow), {"default": ("fast", "slow")}, queues=0)


def tables(
    found: list[tuple[str, memplan.Plan, memplan.Plan, memplan.Plan, Obedience, Obedience]],
) -> Iterator[str]:
    """The results as Markdown."""
    yield (
        f"\n{sum(one.obeys and two.obeys for *_, one, two in found)} of {len(found)} networks: the measured bytes are the planned "
        f"ones in both tables, the order is the plan's, and every output is bit-identical.\n"
    )
    yield "| network | ops | greedy | planned, nothing in place | planned | measured | saved | status |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    for name, plan, apart, _, seen, _ in found:
        yield (
            f"| {name} | {len(plan.schedule)} | {seen.own:,} | {apart.metrics.peak:,} | {seen.predicted:,} | {seen.measured:,} "
            f"| {1 - seen.measured / seen.own:.1%} | {plan.status} |"
        )
    worse = sum(two.kept == "own" for *_, two in found)
    yield f"\nWith two arenas {worse} of {len(found)} plans are worse than banked_greedy's.\n"
    yield "| network | fast arena | inputs and outputs in | banked_greedy | planned | measured | no plan below | slow arena |"
    yield "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |"
    for name, _, _, plan, _, seen in found:
        own = f"{seen.own:,}" if seen.ways else "none"
        home = "fast" if plan.options.io == "resident" else "slow"
        yield (
            f"| {name} | {plan.target.scratchpad.capacity:,} | {home} | {own} | {seen.predicted:,} | {seen.measured:,} "
            f"| {seen.predicted - plan.value + plan.bound:,.0f} | {plan.peaks['slow']:,} |"
        )


if __name__ == "__main__":
    sys.exit(main())
