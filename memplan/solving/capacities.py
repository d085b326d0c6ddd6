"""The reference capacities of a graph, M_R, M_P and M_H, and capacities written in terms of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from memplan.base.errors import OptionError, nearest
from memplan.base.garbage import collection_paused
from memplan.base.units import align_up, parse_size
from memplan.judge.live import live_bytes
from memplan.machine.target import Target
from memplan.machine.two_level import two_level
from memplan.problem.plan import Status
from memplan.problem.problem import Problem
from memplan.solving.freedoms import WITHOUT
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec

PEAK_SOLVER = "peak{packing=none,evaluations=20}"
"""What M_P is found by: its work is counted, not timed, so that a graph's M_P is the same on every machine."""

MANY_OPS, PEAK_SOLVER_OF_MANY = 5_000, "peak{packing=none,evaluations=1}"
"""Beyond so many ops an evaluation costs more and finds less: M_P is the least peak that fewer of them find."""

NO_LIMIT_S = 1e9
"""Seconds that counted work never takes."""


@dataclass(frozen=True)
class ReferenceCapacities:
    """The capacities of a graph that have names, in bytes.

    Args:
        mr: the most one op touches.
        mp: the best known live peak over all orders.
        mh: their mean, rounded up to the alignment.
        mp_proved: whether `mp` is proved least.
    """

    mr: int
    mp: int
    mh: int
    mp_proved: bool

    def resolve(self, text: str, alignment: int) -> tuple[int | None, bool | None]:
        """Bytes meant by a text, and whether they are proved to be what it names.

        Args:
            text: "256KiB", "MR", "0.75MP", "max" and the like.
            alignment: bytes to whose multiple a named capacity is rounded up.

        Returns:
            Bytes, None for "max"; and `mp_proved` where M_P was used, None where it was not.

        Raises:
            OptionError: the text means nothing.
        """
        written = parse_capacity(text)
        if not isinstance(written, tuple):
            return written, None
        factor, name = written
        base = {"MR": self.mr, "MH": self.mh, "MP": self.mp}[name]
        capacity = align_up(-(-base * factor.numerator // factor.denominator), alignment)
        return max(capacity, alignment), None if name == "MR" else self.mp_proved


def least_capacity(problem: Problem) -> int:
    """M_R: the largest sum of the sizes of the distinct storages one non-view op touches."""
    return max(_plain(problem, "host").need, default=0)


class NotFoundInTime(OptionError):
    """A reference capacity whose search was cut by the time limit or cancelled."""


def reference_capacities(problem: Problem, limits: Limits | None = None) -> ReferenceCapacities:
    """The reference capacities under the problem's options and alignment, in-place off.

    NotFoundInTime where `limits` is spent before the counted work is done; without limits nothing cuts it. Those of
    the last few problems are remembered: whoever reports a plan made for M_H means the same M_H.
    """
    options = problem.options
    key = (
        problem.graph.sha256,
        problem.target.scratchpad.alignment,
        options.weights,
        options.io,
        options.order,
    )
    if key in _known:
        return _known[key]
    found = _compute(problem, limits or Limits(NO_LIMIT_S))
    if len(_known) >= 8:
        del _known[next(iter(_known))]
    _known[key] = found
    return found


_known: dict[tuple[str | int, ...], ReferenceCapacities] = {}


def _compute(problem: Problem, limits: Limits) -> ReferenceCapacities:
    free = _plain(problem, problem.options.io, objective="peak")
    # what is numbered for one is not numbered again for the other
    mr = max(free.need, default=0) if problem.options.io == "host" else least_capacity(problem)
    spec = PEAK_SOLVER if problem.n <= MANY_OPS else PEAK_SOLVER_OF_MANY
    plan = parse_spec(spec).solve(free, replace(limits.quiet(), start=(), bound=0))
    if plan.status in (Status.INFEASIBLE, Status.UNKNOWN):
        if limits.spent():
            raise _cut()
        raise OptionError(f"no plan without a limit was found: {plan.reason}", "give the capacity in bytes")
    mp = max(live_bytes(plan), default=0)
    proved = mp <= plan.bound
    if limits.spent() and not proved:
        raise _cut()
    mh = align_up(-(-(mr + mp) // 2), problem.target.scratchpad.alignment)
    return ReferenceCapacities(mr, mp, mh, mp_proved=proved)


def _cut() -> NotFoundInTime:
    return NotFoundInTime(
        "M_P, which the capacity is given by, was not found before the time was up",
        "give more time, or a capacity in bytes",
    )


_NAMED = re.compile(r"(\d+(?:\.\d+)?|\.\d+)?\s*(MR|MH|MP)", re.IGNORECASE)


def parse_capacity(text: str) -> tuple[Fraction, str] | int | None:
    """What a capacity is written as: a factor of a reference capacity, bytes, or None for `max`.

    OptionError for anything else.
    """
    if text.strip().lower() == "max":
        return None
    if match := _NAMED.fullmatch(text.strip()):
        factor = Fraction(match[1] or 1)
        if not factor:
            raise OptionError(f"size '{text}' is 0 bytes", "give a factor above 0, such as 0.75MP")
        return factor, match[2].upper()
    try:
        return parse_size(text)
    except OptionError as error:
        raise OptionError(error.message, f"{error.hint}; or MR, MH, MP, 0.75MP, max") from None


def needs_peak(text: str) -> bool:
    """Whether a capacity is written in terms of M_P, which takes a search."""
    written = parse_capacity(text)
    return isinstance(written, tuple) and written[1] != "MR"


def refuse_names(text: str, target: Target) -> None:
    """OptionError where a capacity is written in terms of the graph and the target has addresses in several memories."""
    if isinstance(parse_capacity(text), tuple) and len(target.addressed) > 1:
        names = ", ".join(m.name for m in target.addressed)
        raise OptionError(
            f"'{text}' on target '{target.name}', which has addresses in {names}",
            "give bytes: capacities have names where one memory has addresses",
        )


@collection_paused()
def resolve_capacity(text: str | int, problem: Problem, limits: Limits) -> tuple[int | None, bool | None]:
    """`ReferenceCapacities.resolve` on the problem's own reference capacities, of which no more is computed
    than `text` needs.

    NotFoundInTime as of `reference_capacities`.
    """
    written = str(text)
    refuse_names(written, problem.target)
    if needs_peak(written):
        known = reference_capacities(problem, limits)
    else:
        mr = least_capacity(problem) if isinstance(parse_capacity(written), tuple) else 0
        known = ReferenceCapacities(mr, 0, 0, mp_proved=False)
    return known.resolve(written, problem.target.scratchpad.alignment)


def with_capacities(target: Target, capacities: Mapping[str, str | int]) -> Target:
    """The target with these capacities of its memories but the first: bytes, texts such as "256KiB", or "max".

    OptionError where a memory is unknown or the first, or a text is no size; TargetError where it has no addresses.
    """
    for name in capacities:
        if name not in target.memory:
            raise OptionError(
                f"capacity of '{name}': no memory of target '{target.name}' is called so",
                nearest(name, target.memory),
            )
        if name == target.scratchpad.name:
            raise OptionError(f"capacity of '{name}', the first memory", "give it by --scratchpad")
    return replace(
        target,
        memories=tuple(
            replace(m, capacity=_bytes(str(capacities[m.name]))) if m.name in capacities else m
            for m in target.memories
        ),
    )


def _bytes(text: str) -> int | None:
    return None if text.strip().lower() == "max" else parse_size(text)


def _plain(problem: Problem, io: str, objective: str = "traffic") -> Problem:
    """The problem the reference capacities are defined on: no freedoms, no limit, no pins, operands in the scratchpad."""
    target = two_level(scratchpad=replace(problem.target.scratchpad, capacity=None))
    plain = replace(
        problem.options,
        objective=objective,
        io=io,
        pins={},
        **{key: value for without in WITHOUT.values() for key, value in without.items()},
    )
    return replace(problem, target=target, options=plain)
