"""What joined concats are worth: the least peak of nets that have any, with and without, in place and not."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from memplan_solvers import compiled

import memplan
from memplan.solving.limits import Limits

MODELS = (
    "squeezenet1_1", "inception_v3", "densenet121", "fc_densenet56", "ghostnet", "shufflenet_v2_x1", "s3d_int8",
    "deeplabv3_resnet50_int8", "unet", "torch_unet", "unet_plus_plus", "ddpm_cifar", "stable_diffusion_unet",
    "yolov3_tiny", "yolov8n", "vgg16_streamed_int8", "nasnet_a_mobile", "amoebanet_a_mobile", "pnasnet5_large",
    "darts_imagenet", "nasnet_a_cifar", "matmul_333_rank23_laderman",
)  # fmt: skip
"""Models of the zoo that concatenate what other ops wrote."""

INTRODUCTION = """\
# Joined concats

A concatenation along the outermost axis copies its operands side by side. Where these are written to their places in its result
from the start there is nothing to copy: the op is *joined*. Its result then takes room from the first operand on,
but never beside its operands. `--join on` leaves it to the solver which ops are joined ([the rule](rules.md#joined)).

`peak` finds the least peak over all orders and all choices, mostly with a proof. Where an op is undecided, the search gives
its result no bytes beside those of its operands, wherever these lie: that is less than either choice takes. Where a plan meets this
bound nothing is left to decide. Else it decides one op after the other, the largest result first. Within an order, which ops to
join is decided by adding and taking away one at a time. With in-place on, an operand that is written over by one of the
joined parts lies in that part's place from the start.

`greedy` and `search` try what joins nothing, as much as can be joined together, and one op more or less at a time; the bound of
`search` holds for all choices. On targets of several memories `greedy`, for latencies too, and `placement` do the same: what is joined lies in a memory
that all ops which write or read its parts may use. With the objective traffic `greedy` spills a joined result, where that pays, once its op has
run; `search` keeps it where it is to its last use.

The peak is the highest address in bytes, inputs and outputs in host memory, weights ignored. `=` stands behind peaks that are
proved least; else the bound follows. *Joined* counts the ops that the plan with in-place joins, of those that can be."""


class Answer(NamedTuple):
    """A plan's peak and the bound on all others, in bytes, and how many ops it joins."""

    peak: float | None
    bound: float
    joined: int

    @property
    def text(self) -> str:
        if self.peak is None:
            return "-"
        return f"{self.peak:,.0f} =" if self.peak <= self.bound else f"{self.peak:,.0f} (≥ {self.bound:,.0f})"


def answer(model: memplan.Model, inplace: bool, join: bool, limit: float) -> Answer:
    """What `peak` finds on one core."""
    plan = memplan.plan(
        model, objective="peak", inplace=inplace, join=join, solver="peak", workers=1, time_limit_s=limit
    )
    return Answer(plan.value, plan.bound, len(plan.joined))


def saved(without: Answer, joined: Answer) -> str:
    """How much less the second takes, in percent."""
    return f"{100 * (1 - (joined.peak or 0) / (without.peak or 1)):.1f} %"


def table(names: list[str], limit: float) -> str:
    """A row a model."""
    lines = [
        "| model | ops | without | joined | saved | in place, without | in place, joined | saved | joined ops |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in names:
        model = memplan.load(name)
        can = len(memplan.make_problem(model, objective="peak", join=True).joinable)
        off, on = (answer(model, False, join, limit) for join in (False, True))
        over, both = (answer(model, True, join, limit) for join in (False, True))
        cells = [off.text, on.text, saved(off, on), over.text, both.text, saved(over, both)]
        lines.append(f"| {name} | {len(model.graph.ops)} | {' | '.join(cells)} | {both.joined} of {can} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def main() -> None:
    """Plan all models, then print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=list(MODELS), metavar="MODEL")
    parser.add_argument("--limit", type=float, default=10.0, help="seconds a solve")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    compiled.load("peak", Limits(float("inf")))
    command = " ".join(["scripts/bench_joins", *sys.argv[1:]])
    how = f"Written by `{command}`; a solve takes {args.limit:g} s at most, on one core."
    page = "\n\n".join((INTRODUCTION, how, table(args.models, args.limit))) + "\n"
    if args.output:
        args.output.write_text(page, encoding="utf-8")
    else:
        print(page, end="")


if __name__ == "__main__":
    main()
