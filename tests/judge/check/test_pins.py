"""What breaks a pin, and what does not."""

from __future__ import annotations

import pytest

from memplan.judge.check.pins import Pinned, pin_faults
from memplan.problem.plan import Residency
from tests.plans import row

HERE = row("a", 1, 4, 8, 4)
THERE = row("a", 4, 6, 8, 4)
AXI = HERE._replace(memory="axi", offset=64)
HOME = Residency("a", "sdram", 0, 9, 32, 4)


@pytest.mark.parametrize(
    ("word", "parts", "moved", "words"),
    [
        ("keep", [HERE], False, []),
        ("keep", [HERE._replace(start=0, stop=9)], False, []),
        ("keep", [], False, ["steps 1 to 3, it is resident in nowhere"]),
        ("keep", [HERE._replace(stop=3)], False, ["resident in [1, 3)"]),
        ("keep", [HERE._replace(start=2)], False, ["resident in [2, 4)"]),
        ("keep", [HERE, THERE], False, ["resident in [1, 4), [4, 6)"]),
        ("host", [], False, []),
        ("host", [], True, ["pinned to host"]),
        ("host", [HERE], False, ["pinned to host"]),
        ("@8", [HERE, THERE], True, []),
        ("@8", [], False, []),
        ("@0", [HERE, THERE], False, ["lies at 8, it is pinned to 0"] * 2),
        ("keep@0", [HERE, THERE], False, ["to stay", "lies at 8", "lies at 8"]),
        ("keep", [HERE, HOME], False, []),
        ("keep", [HERE, AXI._replace(stop=3)], False, ["resident in [1, 4), [1, 3)"]),
        ("keep", [HOME], False, []),
        ("keep axi", [HOME, AXI], False, []),
        ("keep axi", [HERE], False, ["to stay", "lies in scratchpad, it is pinned to axi"]),
        ("axi", [AXI, HOME], True, []),
        ("axi", [HERE, AXI], False, ["lies in scratchpad, it is pinned to axi"]),
        ("axi@64", [AXI, HOME], False, []),
        ("keep axi@0", [AXI], False, ["lies at 64, it is pinned to 0"]),
        ("@8", [AXI], False, ["lies in axi, it is pinned to scratchpad"]),
        ("sdram@32", [HOME], False, []),
        ("stay there", [HERE], False, ["stay"]),
    ],
)
def test_a_fault_for_each_thing_that_is_not_as_pinned(
    word: str, parts: list[Residency], moved: bool, words: list[str]
) -> None:
    faults = list(pin_faults("a", word, Pinned(parts, [3, 1], frozenset({"sdram"}), moved), "scratchpad"))
    assert len(faults) == len(words)
    for fault, part in zip(faults, words, strict=True):
        assert part in fault.message


def test_what_nobody_touches_needs_no_place() -> None:
    assert list(pin_faults("a", "keep", Pinned([], [], frozenset(), False), "scratchpad")) == []
