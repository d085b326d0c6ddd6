"""What breaks a pin, and what does not."""

from __future__ import annotations

import pytest

from memplan.judge.check.pins import pin_faults
from memplan.problem.plan import Residency
from tests.plans import row

HERE = row("a", 1, 4, 8, 4)
THERE = row("a", 4, 6, 8, 4)


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
        ("stay", [HERE], False, ["stay"]),
    ],
)
def test_a_fault_for_each_thing_that_is_not_as_pinned(
    word: str, parts: list[Residency], moved: bool, words: list[str]
) -> None:
    faults = list(pin_faults({"a": word}, {"a": parts}, {"a": [3, 1]}, {"a"} if moved else set()))
    assert len(faults) == len(words)
    for fault, part in zip(faults, words, strict=True):
        assert fault.tensor == "a" and part in fault.message


def test_what_nobody_touches_needs_no_place_and_what_is_no_storage_has_none() -> None:
    assert list(pin_faults({"a": "keep"}, {}, {"a": []}, set())) == []
    (fault,) = pin_faults({"b": "keep"}, {}, {"a": []}, set())
    assert fault.tensor == "b" and "no storage of the graph" in fault.message
