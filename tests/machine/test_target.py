"""What follows from a target: who may use which memory, what a byte costs, where constants lie, what can be copied."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

import memplan
from memplan.ir.parts import Op, Tensor
from memplan.machine.load import load_target
from memplan.machine.parts import Channel, Compute, Memory
from memplan.machine.target import Target
from memplan.machine.two_level import two_level
from memplan.machine.validity import OVERHEADS, RATES
from tests.graphs import graph_of

BOARD = Target(
    "board",
    (
        Memory("dtcm", 128 * 1024, 16, 3.84e9),
        Memory("axi", 512 * 1024, 16, 1.92e9),
        Memory("flash", bandwidth=200e6, readonly=True),
        Memory("sdram", bandwidth=400e6),
    ),
    operands={
        "default": ("sdram", "dtcm", "axi"),
        "constants": ("dtcm", "flash", "axi"),
        "Conv": ("dtcm", "axi", "flash"),
    },
    home={"constants": "flash"},
    channels=(Channel("sdram", "axi", 350e6, 1e-6), Channel("flash", "dtcm")),
    compute=Compute(960e6),
)


def test_all_but_readonly_and_backing_memories_have_addresses() -> None:
    assert [m.name for m in BOARD.addressed] == ["dtcm", "axi"]
    assert BOARD.backing == BOARD.memory["sdram"] and BOARD.backing is BOARD.host
    planned = replace(BOARD.memories[-1], capacity=2**25, addresses=True)
    board = replace(BOARD, memories=(*BOARD.memories[:-1], planned))
    assert [m.name for m in board.addressed] == ["dtcm", "axi", "sdram"]


def test_where_nothing_can_be_stored_there_is_no_backing_memory() -> None:
    for rest in ((), (Memory("flash", readonly=True),)):
        target = Target("small", (Memory("sram", 1024), *rest))
        assert target.backing is None and not target.direct and target.policies["io"] == "resident"
        assert [m.name for m in target.addressed] == ["sram"]
        assert target.home_of("constants") == target.home_of("inputs") == "sram"


def test_a_byte_costs_in_the_backing_memory_and_in_homes_alone() -> None:
    assert [BOARD.byte_cost(m.name) for m in BOARD.memories] == [0, 0, 1, 1]
    cheap = tuple(replace(m, byte_cost=0.25) if m.name in ("axi", "sdram") else m for m in BOARD.memories)
    assert [replace(BOARD, memories=cheap).byte_cost(m.name) for m in cheap] == [0, 0.25, 1, 0.25]


def test_homes_are_the_backing_memory_unless_said() -> None:
    assert BOARD.home_of("constants") == "flash"
    assert BOARD.home_of("inputs") == BOARD.home_of("outputs") == "sdram"


def test_operands_go_by_kind_then_role_then_default_and_stand_fastest_first() -> None:
    assert BOARD.readable("Conv", "inputs") == BOARD.readable("Conv", "constants") == ("dtcm", "axi", "flash")
    assert BOARD.readable("Relu", "constants") == ("dtcm", "axi", "flash")
    assert BOARD.readable("Relu", "inputs") == BOARD.writable("Relu", "outputs") == ("dtcm", "axi", "sdram")
    assert BOARD.writable("Conv", "outputs") == ("dtcm", "axi")
    assert BOARD.direct
    alone = replace(BOARD, operands={}, home={})
    assert alone.readable("Conv", "constants") == ("dtcm",) and not alone.direct


def test_copies_go_by_the_channels_or_between_every_pair() -> None:
    assert BOARD.copying_queues("sdram", "axi") == (0,)
    assert BOARD.copying_queues("axi", "sdram") == BOARD.copying_queues("axi", "axi") == ()
    free = replace(BOARD, channels=(), queues=2)
    assert free.copying_queues("axi", "sdram") == free.copying_queues("flash", "axi") == (0, 1)
    assert free.copying_queues("axi", "flash") == free.copying_queues("axi", "axi") == ()
    assert replace(free, queues=0).copying_queues("axi", "sdram") == ()


def test_latency_needs_every_bandwidth_and_a_rate() -> None:
    assert BOARD.timed and not replace(BOARD, compute=Compute()).timed
    unknown = replace(BOARD.memories[2], bandwidth=None)
    assert not replace(BOARD, memories=(*BOARD.memories[:2], unknown, BOARD.memories[3])).timed


def test_overrides_change_nothing_else() -> None:
    target = two_level(scratchpad=Memory("pad", 9, 64, 1e12), host=Memory("far", bandwidth=1e9))
    wider = target.with_scratchpad(None, 128)
    assert wider.scratchpad.capacity is None and wider.scratchpad.alignment == 128
    assert wider.scratchpad.bandwidth == target.scratchpad.bandwidth
    assert target.with_scratchpad(7).scratchpad.alignment == 64
    assert load_target(target) is target


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("overhead", (0.0, *OVERHEADS))
def test_the_largest_and_least_numbers_can_be_computed_with(rate: float, overhead: float) -> None:
    nbytes = 2**60
    graph = graph_of(
        "net",
        (Tensor("x", nbytes, "input"), Tensor("a", nbytes), Tensor("y", nbytes, "output")),
        (Op("p", "Conv", ("x",), ("a",), flops=10**40), Op("q", "Conv", ("a",), ("y",), flops=10**40)),
    )
    pad, host = Memory("scratchpad", 2**62, bandwidth=rate), Memory("host", bandwidth=rate)
    target = two_level("t", pad, host, direct=True, compute=Compute(rate, {}, overhead))
    for solver in ("msa", "portfolio"):
        plan = memplan.plan(graph, target, objective="latency", solver=solver, workers=1, time_limit_s=0.5)
        assert 0 < plan.bound <= plan.metrics.latency_s < math.inf
        assert memplan.check(graph, plan) == []
