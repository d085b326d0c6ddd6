"""Writes docs/rules.md: the checker's rules in words, plans that break them, and what the checker says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import fill
from typing import Any

from memplan.base.files import write_atomic
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.check.check import check
from memplan.judge.check.rules import RULES
from memplan.judge.check.violation import Violation
from memplan.judge.evaluate import evaluate
from memplan.machine.target import Target
from memplan.packing.buffers import Buffer
from memplan.packing.check import check_packing
from memplan.problem.options import Options
from memplan.problem.plan import InPlace, Move, Plan, Residency, Status
from memplan.tiling.record import Region

HOST, SCRATCHPAD = "host", "scratchpad"
PAGE = Path(__file__).parent.parent / "docs" / "rules.md"

GRAPH = Graph(
    "tiny",
    tensors=(
        Tensor("image", 64, "input"),
        Tensor("kernel", 32, "constant"),
        Tensor("columns", 32, "workspace"),
        Tensor("feature", 64),
        Tensor("active", 64),
        Tensor("flat", 64),
        Tensor("score", 32),
    ),
    ops=(
        Op("conv", "Conv", ("image", "kernel"), ("feature", "columns"), workspace="columns"),
        Op("relu", "Relu", ("feature",), ("active",), overwrites=(("active", "feature"),)),
        Op("flatten", "Flatten", ("active",), ("flat",), view=True),
        Op("head", "MatMul", ("flat", "image"), ("score",)),
    ),
    outputs=("score",),
)

PLAN = evaluate(
    GRAPH,
    Plan(
        GRAPH.name,
        GRAPH.sha256,
        Target().with_scratchpad(192, alignment=32),
        Options(weights="tensor", inplace=True),
        solver="by hand",
        status=Status.FEASIBLE,
        schedule=("conv", "relu", "flatten", "head"),
        residencies=(
            Residency("image", SCRATCHPAD, 0, 4, offset=0, size=64),
            Residency("kernel", SCRATCHPAD, 0, 1, offset=64, size=32),
            Residency("columns", SCRATCHPAD, 0, 1, offset=96, size=32),
            Residency("feature", SCRATCHPAD, 0, 2, offset=128, size=64),
            Residency("active", SCRATCHPAD, 1, 4, offset=128, size=64),
            Residency("score", SCRATCHPAD, 3, 4, offset=64, size=32),
        ),
        moves=(
            Move("image", HOST, SCRATCHPAD, 0, 0),
            Move("kernel", HOST, SCRATCHPAD, 0, 0),
            Move("score", SCRATCHPAD, HOST, 4, 4),
        ),
        aliases=GRAPH.aliases,
        inplace=(InPlace(1, "active", "feature"),),
    ),
)

BUFFERS = (Buffer("a", 0, 2, size=64, offset=0), Buffer("b", 1, 3, size=32))


@dataclass(frozen=True)
class Example:
    """What was done to a valid plan or packing, in words, and all that the checker says of the result."""

    change: str
    violations: Sequence[Violation]


def examples() -> dict[str, Example]:
    """By rule, an example that breaks it and no other."""
    options, rows, moves = PLAN.options, {r.tensor: r for r in PLAN.residencies}, PLAN.moves
    larger = replace(GRAPH, tensors=(*GRAPH.tensors[:-1], Tensor("score", 64)))

    def plan(change: str, **fields: Any) -> Example:
        return Example(change, check(GRAPH, replace(PLAN, **fields)))

    def placed(*changed: Residency) -> tuple[Residency, ...]:
        """The plan's residencies, those of the tensors in `changed` replaced."""
        names = {r.tensor for r in changed}
        return (*(r for r in PLAN.residencies if r.tensor not in names), *changed)

    twice = placed(rows["image"]._replace(stop=1), rows["image"]._replace(start=3))
    return {
        "graph": Example(
            "The plan is checked against a graph whose `score` has 64 bytes instead of 32.",
            check(larger, PLAN),
        ),
        "status": plan("The plan calls itself infeasible.", status=Status.INFEASIBLE),
        "tiles": plan(
            "The tiling begins and ends with an op that the graph lacks.",
            tiling=(Region(("pool", "pool"), axes=(0,), tile=(1,)),),
        ),
        "schedule": plan(
            "`relu` runs before `conv`, whose result it reads.", schedule=("relu", "conv", "flatten", "head")
        ),
        "names": plan(
            "The view `flat` is given a residency.",
            residencies=(*PLAN.residencies, Residency("flat", SCRATCHPAD, 3, 4, offset=128, size=64)),
        ),
        "aliases": plan("The plan does not name `flat` as a view.", aliases={}),
        "space": plan(
            "`score` is placed where `image` still lies.",
            residencies=placed(rows["score"]._replace(offset=32)),
        ),
        "moves": plan(
            "The copy of `score` is issued a step before it is due, though the objective is `traffic`.",
            moves=(*moves[:-1], moves[-1]._replace(issue=3)),
        ),
        "origin": plan("`image` is resident, but never loaded.", moves=moves[1:]),
        "operands": plan(
            "`image` leaves after the first step, though `head` reads it.",
            residencies=placed(rows["image"]._replace(stop=1)),
        ),
        "outputs": plan("`score` is not stored.", moves=moves[:-1]),
        "peak": plan(
            "The objective is `peak`, and `image` leaves after step 0 and is loaded again for `head`.",
            options=replace(options, objective="peak"),
            residencies=twice,
            moves=(*moves[:-1], Move("image", HOST, SCRATCHPAD, 3, 3), moves[-1]),
        ),
        "inplace": plan(
            "The options allow no writing in place, and `relu` still works so.",
            options=replace(options, inplace=False),
        ),
        "joined": plan("The plan joins `head`, which has no `joins`.", joined=("head",)),
        "weights": plan(
            "The options leave constants out, and `kernel` is still placed.",
            options=replace(options, weights="ignore"),
        ),
        "workspace": plan(
            "The workspace `columns` stays for a second step.",
            residencies=placed(rows["columns"]._replace(stop=2)),
        ),
        "io": plan(
            "Inputs and outputs are to lie in the scratchpad, and `score` is still stored.",
            options=replace(options, io="resident"),
            moves=moves[1:],
        ),
        "pins": plan(
            "`image` is pinned to offset 64, and still lies at 0.",
            options=replace(options, pins={"image": "@64"}),
        ),
        "claims": plan(
            "The plan claims a smaller peak than it has.",
            metrics=PLAN.metrics._replace(peak=PLAN.metrics.peak - 32),
        ),
        "count": Example("The packing has an offset for `a` alone.", check_packing(BUFFERS, (0,), 128)),
        "fixed": Example(
            "`a`, which is given at offset 0, is placed at 32.", check_packing(BUFFERS, (32, 96), 128)
        ),
    }


def page() -> str:
    """The page, as Markdown."""
    shown = examples()
    links = ", ".join(f"[{rule.word}](#{rule.word})" for rule in RULES)
    parts = [
        INTRODUCTION,
        _prose(WORDS.format(links=links)),
        EXAMPLES,
        _table(("step", "op", "reads", "writes"), _op_rows()),
    ]
    parts += [PLACES, _table(("storage", "steps", "bytes of the scratchpad"), _residency_rows())]
    parts.append(_prose(REST.format(moves=", ".join(_move(m) for m in PLAN.moves))))
    for rule in RULES:
        example = shown[rule.word]
        said = "\n".join(str(v) for v in example.violations)
        parts += [f"## {rule.word}", _prose(f"**What it says.** {rule.what}"), _prose(f"**Why.** {rule.why}")]
        parts += [
            _prose(f"**An example that breaks it.** {example.change} The checker says:"),
            f"```\n{said}\n```",
        ]
        parts.append(_prose(f"**How to mend it.** {rule.mend}"))
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """\
# The rules of a valid plan

A *plan* says in which order the ops of a neural network run, and for which steps and at which addresses each
of its tensors lies in the memories of a machine. Step t is when the op at place t of that order runs, and
boundary t lies before it. A stretch of steps at one address of one memory is a *residency*. A *move* copies a
tensor from one memory to another; a *spill* is a move that is made for lack of space alone. The last memory
is the *backing memory*: large, and without addresses unless the target says otherwise. Where a tensor lies
before the first step, or must lie at the end, it is at *home*.

`memplan check MODEL PLAN` and `memplan.check` decide whether a plan is valid, from the graph, the target, the
options and the plan alone. Each line that says what is wrong begins with the word of a rule."""

WORDS = """\
These are the words: {links}. The last two are of *packings*, where buffers and their lifetimes are given
and only offsets are wanted."""

EXAMPLES = """\
`scripts/make_rules` writes this page from `memplan/judge/check/rules.py`. It breaks each rule once, and prints
what the checker answers.

## The plan that the examples break

Its graph has four ops. `columns` is a workspace: bytes that `conv` needs while it runs. `flatten` makes a
view of `active`, a tensor that lies in the same bytes:"""

PLACES = """\
The scratchpad has 192 bytes and an alignment of 32. Steps and bytes are half-open ranges, [first, beyond
the last). `relu` writes `active` over `feature`, which nobody reads later; so the two share their place in
step 1:"""

REST = """\
The plan copies {moves}. The packings have a buffer `a` of 64 bytes in steps [0, 2), given at
offset 0, and a buffer `b` of 32 bytes in steps [1, 3)."""


def _op_rows() -> list[tuple[str, ...]]:
    return [(str(t), f"`{op.name}`", _sized(op.inputs), _sized(op.outputs)) for t, op in enumerate(GRAPH.ops)]


def _sized(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}` ({GRAPH.tensor[name].kind}, {GRAPH.tensor[name].nbytes} B)" for name in names)


def _residency_rows() -> list[tuple[str, ...]]:
    return [
        (f"`{r.tensor}`", f"[{r.start}, {r.stop})", f"[{r.offset}, {r.offset + r.size})")
        for r in PLAN.residencies
    ]


def _move(move: Move) -> str:
    return f"`{move.tensor}` to {move.destination} at boundary {move.issue}"


def _prose(text: str) -> str:
    return fill(text, 110, break_long_words=False, break_on_hyphens=False)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def main() -> None:
    """Write the page."""
    print(write_atomic(PAGE, page()))


if __name__ == "__main__":
    main()
