"""A vela.ini is read as a target: memories of its ports, constants at home where the mode says."""

from __future__ import annotations

from pathlib import Path

import pytest

import memplan
from memplan.base.errors import TargetError
from memplan.machine.load import load_target
from memplan.machine.parts import Memory
from memplan.machine.two_level import beyond_two_level
from memplan.solving.testing import chain

INI = """
; a small board and a large one
[System_Config.Board_U55]
core_clock=200e6
axi0_port=Sram
axi1_port=OffChipFlash
Sram_clock_scale=1.0
Sram_read_latency=32
OffChipFlash_clock_scale=0.0625

[System_Config.Large]
core_clock=1e9
axi0_port=Sram
axi1_port=Dram
Sram_ports_used=4
Dram_clock_scale=0.75
Dram_ports_used=2

[System_Config.Slow]
inherit=System_Config.Large
core_clock=500e6

[Memory_Mode.Sram_Only]
const_mem_area=Axi0
arena_mem_area=Axi0
cache_mem_area=Axi0

[Memory_Mode.Shared]
inherit=Memory_Mode.Sram_Only
const_mem_area=Axi1

[Memory_Mode.Dedicated]
const_mem_area=Axi1
arena_mem_area=Axi1
cache_mem_area=Axi0
arena_cache_size=393216

[Memory_Mode.Dedicated_Small]
inherit=Memory_Mode.Dedicated
arena_cache_size=1024

[Memory_Mode.Weights_Near]
inherit=Memory_Mode.Dedicated
const_mem_area=Axi0

[Memory_Mode.Circle]
inherit=Memory_Mode.Round
[Memory_Mode.Round]
inherit=Memory_Mode.Circle
[Memory_Mode.Partless]
const_mem_area=Axi1
[Memory_Mode.Portless]
inherit=Memory_Mode.Shared
cache_mem_area=Axi2
[System_Config.Standing_U65]
inherit=System_Config.Large
core_clock=none
[System_Config.Clockless_U65]
axi0_port=Sram
axi1_port=Dram
[Memory_Mode.Half]
inherit=Memory_Mode.Dedicated
arena_cache_size=1.5
[System_Config.Diskless]
axi0_port=Sram
axi1_port=Disk
"""


@pytest.fixture
def ini(tmp_path: Path) -> str:
    path = tmp_path / "vela.ini"
    path.write_text(INI)
    return str(path)


def test_one_memory_where_all_lies_in_sram(ini: str) -> None:
    target = load_target(f"{ini}:Board_U55:Sram_Only")
    assert target.memories == (Memory("Sram", None, 16, 1.6e9),)
    assert target.backing is None and target.home_of("constants") == "Sram"
    assert target.name == "Board_U55:Sram_Only" and not target.timed


def test_constants_are_read_in_place_where_sram_is_shared(ini: str) -> None:
    target = load_target(f"{ini}:Board_U55:Shared:ethos-u55-128")
    flash = Memory("OffChipFlash", bandwidth=0.1e9, readonly=True)
    assert target.memories == (Memory("Sram", None, 16, 1.6e9), flash)
    assert target.home_of("constants") == "OffChipFlash" and target.policies["io"] == "resident"
    assert target.readable("Conv", "constants") == ("Sram", "OffChipFlash")
    assert target.readable("Conv", "inputs") == target.writable("Conv", "outputs") == ("Sram",)
    assert target.timed and target.compute.rate("int8") == 2 * 128 * 200e6


def test_a_dedicated_cache_is_a_scratchpad_that_every_solver_knows(ini: str) -> None:
    target = load_target(f"{ini}:Large:Dedicated_Small:ethos-u85-512")
    assert target.memories == (Memory("Sram", 1024, 16, 64e9), Memory("Dram", bandwidth=24e9))
    assert beyond_two_level(target) == "" and target.direct
    plan = memplan.plan(chain(4), target, objective="latency", workers=1)
    assert memplan.check(chain(4), plan) == [] and plan.metrics.latency_s > 0


def test_sections_inherit_what_they_do_not_say(ini: str) -> None:
    slow = load_target(f"{ini}:Slow:Dedicated:ethos-u85-512")
    assert slow.memories == (Memory("Sram", 393216, 16, 32e9), Memory("Dram", bandwidth=12e9))


def test_constants_may_lie_near_while_the_arena_does_not(ini: str) -> None:
    target = load_target(f"{ini}:Large:Weights_Near")
    assert target.home_of("constants") == "Sram" and target.home_of("inputs") == "Dram"


def test_without_a_family_no_bandwidth_is_guessed(ini: str) -> None:
    target = load_target(f"{ini}:Large:Dedicated")
    assert [m.bandwidth for m in target.memories] == [None, None] and not target.timed


WRONG = {
    "no names": (
        "",
        "systems: Board_U55, Large, Slow, Standing_U65, Clockless_U65, Diskless; modes: Sram_Only, Shared",
    ),
    "no mode": (":Large", "vela.ini:SYSTEM:MODE"),
    "an empty mode": (":Large:", "vela.ini:SYSTEM:MODE"),
    "too many names": (":Large:Shared:ethos-u85-512:more", "vela.ini:SYSTEM:MODE"),
    "unknown system": (":Larg:Shared", "did you mean 'System_Config.Large'"),
    "unknown mode": (":Large:Share", "did you mean 'Memory_Mode.Shared'"),
    "unknown accelerator": (":Large:Shared:ethos-u85-500", "did you mean 'ethos-u85-5"),
    "arena in flash": (":Board_U55:Dedicated", "choose another memory mode or system"),
    "inherits itself": (":Large:Circle", "end the circle Memory_Mode.Circle -> Memory_Mode.Round"),
    "no cache": (":Large:Partless", "add cache_mem_area=, one of Axi0, Axi1"),
    "unknown port": (":Large:Portless", "did you mean 'Axi"),
    "unknown memory": (":Diskless:Shared", "known: Dram, OffChipFlash, OnChipFlash, Sram"),
    "no number": (":Standing_U65:Shared", "write core_clock= and a positive number"),
    "no clock": (":Clockless_U65:Shared", "write core_clock= and a positive number"),
    "half a byte": (":Large:Half", "a whole number of bytes"),
}


@pytest.mark.parametrize("names,expected", WRONG.values(), ids=WRONG)
def test_what_is_not_there_is_refused_with_a_hint(ini: str, names: str, expected: str) -> None:
    with pytest.raises(TargetError) as caught:
        load_target(f"{ini}{names}")
    assert expected in str(caught.value) and caught.value.hint


@pytest.mark.parametrize(
    "content", [None, b"\xff\xfe\x00", b"core_clock=1", b"[A]\n[A]\n", b"[A]\nx=1\nx=2\n"]
)
def test_what_is_no_vela_ini_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "vela.ini"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TargetError, match="vela.ini"):
        load_target(f"{path}:Large:Shared")
