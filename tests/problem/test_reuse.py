"""When an op may write over what is still wanted: an output, or what is used again in some order."""

from __future__ import annotations

from typing import Any

import pytest

from memplan.machine.two_level import two_level
from memplan.problem.options import Options
from memplan.problem.problem import Problem
from memplan.problem.reuse import overwrites_what_is_wanted
from tests.programs import program

CHAIN = "x>a a>b b>y"
AGAIN = "x>a a>b a,b>y"  # op1 may write over a, which op2 reads again
LAST = "x>a a>b a,b>c c>y"  # op2 may write over a once op1 has read it, in every order
EITHER = "x>a a>b a>c b,c>y"  # op1 and op2 read a in either order


def asked(words: str, overwriting: str, direct: bool = False, **options: Any) -> bool:
    options = {"inplace": True} | options
    return overwrites_what_is_wanted(
        Problem(program(words, inplace=overwriting), two_level(direct=direct), Options(**options))
    )


@pytest.mark.parametrize(("words", "overwriting", "options", "wanted"), [
    (CHAIN, "op1", {}, False),
    (AGAIN, "op1", {}, True),
    (AGAIN, "op1", {"inplace": False}, False),
    (AGAIN, "op1", {"objective": "peak"}, False),  # to come back, a would have to be spilled
    (AGAIN, "op1", {"objective": "peak", "direct": True}, True),
    (AGAIN, "op1", {"pins": {"a": "keep"}}, False),
    (LAST, "op2", {}, False),
    (EITHER, "op2", {}, True),
    (EITHER, "op2", {"order": "program"}, False),
    (EITHER, "op1", {"order": "program"}, True),
    ("x>y0 y0>y1", "op1", {}, True),
    ("x>y0 y0>y1", "op1", {"objective": "peak"}, True),
    ("x>y0 y0>y1", "op1", {"io": "resident"}, False),
    ("x>a x>b a,b>y", "op0", {}, True),  # a copy of an input may be written over, and loaded again
    ("x>a x>b a,b>y", "op0", {"io": "resident", "donate": ("x",)}, False),
])  # fmt: skip
def test_what_is_wanted_is_written_over_where_it_can_be_stored_before(
    words: str, overwriting: str, options: dict[str, Any], wanted: bool
) -> None:
    assert asked(words, overwriting, **options) is wanted
