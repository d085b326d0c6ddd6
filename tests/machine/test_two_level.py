"""One predicate says which targets every solver knows; plans refuse the others by naming what they have more."""

from __future__ import annotations

from dataclasses import replace

import pytest

import memplan
from memplan.base.errors import OptionError
from memplan.machine.parts import Channel, Memory
from memplan.machine.target import Target
from memplan.machine.two_level import beyond_two_level, two_level
from memplan.solving.testing import chain

FAST, SLOW = Memory("vtcm", 4096), Memory("ddr")
PLAIN = two_level("plain", FAST, SLOW, direct=True)
BEYOND = {
    "one memory": (replace(PLAIN, memories=(FAST,), operands={}), "one memory alone ('vtcm')"),
    "three": (replace(PLAIN, memories=(FAST, Memory("sram"), SLOW)), "3 memories (vtcm, sram, ddr)"),
    "flash": (Target("t", (FAST, Memory("flash", readonly=True))), "'flash' is readonly"),
    "addresses": (replace(PLAIN, memories=(FAST, replace(SLOW, addresses=True))), "addresses in its backing memory"),
    "byte cost": (replace(PLAIN, memories=(FAST, replace(SLOW, byte_cost=2))), "byte costs"),
    "home": (replace(PLAIN, home={"constants": "vtcm"}), "at home in 'vtcm'"),
    "roles": (replace(PLAIN, operands={"Conv": ("vtcm",)}), "operands that differ"),
    "never fast": (replace(PLAIN, operands={"default": ("ddr",)}), "operands that differ"),
    "nothing moves": (replace(PLAIN, queues=0), "queues or channels"),
    "three queues": (replace(PLAIN, queues=3), "queues or channels"),
    "two queues for all": (replace(PLAIN, queues=2), "queues or channels"),
    "one way": (replace(PLAIN, channels=(Channel("ddr", "vtcm"),)), "queues or channels"),
}  # fmt: skip


@pytest.mark.parametrize("direct", (False, True))
@pytest.mark.parametrize("queues", (1, 2))
def test_a_scratchpad_machine_is_one(direct: bool, queues: int) -> None:
    target = two_level("t", FAST, SLOW, direct=direct, queues=queues)
    assert beyond_two_level(target) == "" and target.direct == direct and target.queues == queues
    assert beyond_two_level(replace(target, channels=target.channels[::-1])) == ""
    assert beyond_two_level(Target()) == ""


@pytest.mark.parametrize("target,beyond", BEYOND.values(), ids=BEYOND)
def test_a_solver_of_scratchpad_machines_says_what_is_beyond_it(target: Target, beyond: str) -> None:
    assert beyond in beyond_two_level(target)
    with pytest.raises(
        OptionError, match=f"'search' does not plan for target '{target.name}' with"
    ) as caught:
        memplan.plan(chain(3), target, weights="tensor", solver="search")
    assert beyond in caught.value.message


def test_memories_of_any_name_are_planned() -> None:
    plan = memplan.plan(chain(5), replace(PLAIN, operands={}), workers=1)
    assert plan.schedule and memplan.check(chain(5), plan) == []
