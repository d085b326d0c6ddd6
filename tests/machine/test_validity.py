"""Targets that make no sense are refused with a hint, whether they come from a file or from Python."""

from __future__ import annotations

from typing import Any

import pytest

from memplan.base.errors import TargetError
from memplan.machine.parts import Channel, Compute, Memory
from memplan.machine.target import Target

A, B, ROM = Memory("a", 64), Memory("b"), Memory("rom", readonly=True)
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no memory": ({"memories": ()}, "write a [[memory]] table"),
    "a name twice": ({"memories": (A, A, B)}, "a name of its own"),
    "no name": ({"memories": (Memory(""), B)}, "letters, digits"),
    "a name with @": ({"memories": (Memory("a@4"), B)}, "letters, digits"),
    "a name with a space": ({"memories": (Memory("a b"), B)}, "letters, digits"),
    "keep": ({"memories": (Memory("keep"), B)}, "choose another name"),
    "host is not the last": ({"memories": (Memory("host"), B)}, "choose another name"),
    "capacity": ({"memories": (Memory("a", 0), B)}, "1 … 2^62"),
    "alignment": ({"memories": (Memory("a", alignment=0), B)}, "1 … 2^62"),
    "bandwidth": ({"memories": (Memory("a", bandwidth=0), B)}, "0.001 … 1e+24"),
    "byte cost": ({"memories": (Memory("a", byte_cost=-1), B)}, "1e-12 … 1e+12"),
    "addresses in the first": ({"memories": (Memory("a", addresses=True), B)}, "leave it out here"),
    "addresses in one alone": ({"memories": (Memory("a", addresses=True),)}, "leave it out here"),
    "capacity without addresses": ({"memories": (A, Memory("b", 64))}, "addresses = true"),
    "readonly capacity": ({"memories": (A, Memory("rom", 64, readonly=True))}, "leave out the capacity"),
    "readonly first": ({"memories": (ROM, A, B)}, "readonly ones stand after it"),
    "slower first": (
        {"memories": (Memory("a", bandwidth=1), ROM, Memory("b", bandwidth=2))},
        "a.bandwidth must be at least b.bandwidth",
    ),
    "slower first beyond an unknown": (
        {"memories": (Memory("a", bandwidth=1), Memory("c"), Memory("b", bandwidth=2))},
        "a.bandwidth must be at least b.bandwidth",
    ),
    "operands unknown": ({"operands": {"default": ("aa",)}}, "did you mean 'a'"),
    "operands empty": ({"operands": {"default": ()}}, "known: a, rom, b"),
    "operands of no role": ({"operands": {"constant": ("a",)}}, "did you mean 'constants'"),
    "nowhere to write": ({"operands": {"Conv": ("rom",)}}, "add a memory that is not readonly"),
    "home unknown": ({"home": {"constants": "romm"}}, "did you mean 'rom'"),
    "home of inputs": ({"home": {"inputs": "rom"}}, "the option io"),
    "home of no role": ({"home": {"constant": "rom"}}, "did you mean 'constants'"),
    "constants out of reach": ({"operands": {"constants": ("rom",)}}, "set home.constants to one of rom"),
    "negative queues": ({"queues": -1}, "from 0 (nothing is moved)"),
    "queues bool": ({"queues": True}, "from 0 (nothing is moved)"),
    "channel unknown": ({"channels": (Channel("a", "c"),)}, "known: a, b, rom"),
    "channel within": ({"channels": (Channel("a", "a"),)}, "joins two memories"),
    "channel to readonly": ({"channels": (Channel("a", "rom"),)}, "nothing is written there"),
    "channel twice": ({"channels": (Channel("a", "b"), Channel("a", "b"))}, "one channel copies"),
    "channel queue": ({"channels": (Channel("a", "b", queue=1),)}, "set copies.queues"),
    "channel without queues": ({"queues": 0, "channels": (Channel("a", "b"),)}, "set copies.queues"),
    "channel bandwidth": ({"channels": (Channel("a", "b", float("nan")),)}, "0.001 … 1e+24"),
    "channel overhead": ({"channels": (Channel("a", "b", None, -1.0),)}, "1e-18 … 1e+06"),
    "rate": ({"compute": Compute(0.0)}, "0.001 … 1e+24"),
    "unknown default": ({"defaults": {"weight": "tensor"}}, "did you mean 'weights'"),
    "unknown policy": ({"defaults": {"weights": "drop"}}, "known: ignore, tensor, stream"),
}


@pytest.mark.parametrize("parts,expected", WRONG.values(), ids=WRONG)
def test_what_makes_no_sense_is_refused_with_a_hint(parts: dict[str, Any], expected: str) -> None:
    with pytest.raises(TargetError) as caught:
        Target("odd", **({"memories": (A, ROM, B)} | parts))
    assert expected in str(caught.value) and caught.value.hint
    assert "'odd'" in caught.value.message and caught.value.exit_status == 2


def test_what_makes_sense_is_not() -> None:
    Target("t", (A, ROM, Memory("host")), {"constants": ("rom",)}, {"constants": "rom"})
    Target("t", (A, Memory("b", 64, addresses=True)), queues=0)
    Target("t", (A, ROM), {"inputs": ("rom", "a"), "constants": ("rom", "a")})
