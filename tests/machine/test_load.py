"""Presets, each number with its source, and targets by name or path."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

import memplan
from memplan.base.errors import OptionError, TargetError
from memplan.ir.parts import Op, Tensor
from memplan.machine.load import load_target, preset_names
from memplan.machine.target_file import target_dict, target_from_dict
from memplan.machine.two_level import beyond_two_level
from memplan.problem.op_times import latency_ends
from memplan.problem.options import Options
from memplan.solving.testing import chain
from tests.graphs import graph_of

PRESETS = [
    "cortex-m7", "esp32-s3", "ethos-u55-shared-sram", "ethos-u55-sram-only", "ethos-u65", "ethos-u85-dedicated-sram",
    "ethos-u85-shared-sram", "ethos-u85-sram-only", "h100-sxm", "hexagon-v73", "imxrt1060", "ipu-mk2", "scratchpad",
    "stm32h743", "t4", "tpu-v4i", "tpu-v5e",
]  # fmt: skip
WORDS = ("sources", "defaults", "name", "operands", "home", "memory", "channel", "readonly", "addresses")
"""Keys of a preset that hold no numbers, or whose numbers are looked at apart."""
UNTIMED = ["hexagon-v73", "imxrt1060", "scratchpad", "stm32h743"]
"""Presets of which some rate has no source."""
BEYOND = {
    "ethos-u55-shared-sram": "'OffChipFlash' is readonly",
    "ethos-u55-sram-only": "one memory alone ('Sram')",
    "ethos-u85-shared-sram": "'OffChipFlash' is readonly",
    "ethos-u85-sram-only": "one memory alone ('Sram')",
    "imxrt1060": "3 memories (dtcm, ocram, sdram)",
    "stm32h743": "4 memories (dtcm, axi, flash, sdram)",
}
"""Presets of which no solver plans yet, and why."""


def numbers(value: object, prefix: str = "") -> set[str]:
    """Dotted names of the numbers (and sizes) in a parsed preset; those of a memory begin with its name."""
    if isinstance(value, dict):
        found: set[str] = set()
        for memory in value.get("memory", ()):
            found |= numbers({k: v for k, v in memory.items() if k not in WORDS}, f"{memory['name']}.")
        for channel in value.get("channel", ()):
            assert set(channel) <= {"from", "to", "queue"}, "a channel's numbers need a source"
        for key, inner in value.items():
            if not (prefix == "" and key in WORDS):
                found |= numbers(inner, f"{prefix}{key}.")
        return found
    return {prefix.removesuffix(".")}


def test_presets_are_listed() -> None:
    assert preset_names() == PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_every_number_of_a_preset_has_a_source(name: str) -> None:
    data = tomllib.loads((resources.files("memplan") / "machine" / "presets" / f"{name}.toml").read_text())
    sources = data["sources"]
    assert numbers(data) == set(sources) - {"machine"}
    assert all(len(text) > 5 for text in sources.values())
    assert data["name"] == name


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_the_plan_file(name: str) -> None:
    target = load_target(name)
    again = target_from_dict(target_dict(target))
    assert replace(again, defaults=target.defaults, sources=target.sources) == target
    assert target.timed == (name not in UNTIMED)
    assert not target.timed or None not in [m.bandwidth for m in target.memories]


def test_presets_say_what_their_sources_say() -> None:
    tpu, ethos = load_target("tpu-v4i"), load_target("ethos-u65")
    assert tpu.scratchpad.capacity == 128 * 2**20 and tpu.direct
    assert tpu.host.bandwidth == 614e9
    # 4 MXUs of 128 x 128, 1.05 GHz, two operations a MAC
    assert tpu.compute.rate("bfloat16") == pytest.approx(4 * 128 * 128 * 1.05e9 * 2, rel=0.01)
    assert ethos.scratchpad.capacity == 393216
    assert ethos.host.bandwidth == 16e9 * 0.234375
    assert ethos.compute.rate("int8") == 2 * 512 * 1e9
    m7 = load_target("cortex-m7")
    assert m7.scratchpad.capacity == 512 * 1024 and m7.defaults["io"] == "resident"
    assert m7.compute.rate("int8") == 2 * 2 * 480e6
    assert m7.scratchpad.bandwidth == 8 * 240e6
    h7 = load_target("stm32h743")
    assert h7.memory["dtcm"].bandwidth == 2 * 4 * 480e6 and h7.home_of("constants") == "flash"
    v5e, t4, s3 = load_target("tpu-v5e"), load_target("t4"), load_target("esp32-s3")
    assert v5e.scratchpad.bandwidth == pytest.approx(22 * 819e9, rel=0.01)
    assert v5e.scratchpad.alignment == 8 * 128 * 4
    assert t4.memory["gddr"].bandwidth == pytest.approx(256 / 8 * 2 * 5001e6, rel=0.01)
    assert t4.host.bandwidth == pytest.approx(16 * 8e9 / 8 * 128 / 130, rel=0.001)
    assert s3.memory["psram"].bandwidth == 8 / 8 * 2 * 80e6
    assert s3.compute.rate("int8") == 2 * 16 * 240e6
    ipu = load_target("ipu-mk2")
    assert ipu.scratchpad.capacity == 900_000_000
    assert ipu.compute.rate("float16") == 4 * ipu.compute.rate("float32")


@pytest.mark.parametrize("name", [n for n in PRESETS if n not in UNTIMED and n not in BEYOND])
def test_op_times_of_a_preset_follow_its_roofline(name: str) -> None:
    target = load_target(name)
    side = 256
    tensors = tuple(
        Tensor(n, side * side, kind, "int8", (side, side))
        for n, kind in (("a", "input"), ("b", "input"), ("c", "output"))
    )
    flops = 2 * side**3
    graph = graph_of("product", tensors, (Op("mm", "MatMul", ("a", "b"), ("c",), flops),))
    all_host, unlimited = latency_ends(graph, target, Options())
    rate = target.compute.rate("int8")
    assert rate and target.host.bandwidth and target.scratchpad.bandwidth
    nbytes = 3 * side * side
    assert unlimited == pytest.approx(max(flops / rate, nbytes / target.scratchpad.bandwidth))
    if not target.direct:
        assert all_host is None  # the op cannot use the host memory
        return
    assert all_host == pytest.approx(max(flops / rate, nbytes / target.host.bandwidth))


@pytest.mark.slow(reason="plans on many machines")
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_of_two_memories_is_planned_by_every_solver(name: str) -> None:
    target, graph = load_target(name), chain(4)
    assert BEYOND.get(name, "") in beyond_two_level(target)
    if name in BEYOND:
        with pytest.raises(OptionError, match="'greedy' does not plan for objective peak on target"):
            memplan.plan(graph, name, objective="peak", weights="tensor", solver="greedy")
        return
    assert beyond_two_level(target) == ""
    objective = "latency" if target.timed else "peak"
    plan = memplan.plan(graph, name, objective=objective, workers=1, time_limit_s=0.5)
    assert plan.schedule and memplan.check(graph, plan) == []


VELA = """
[System_Config.Ethos_U55_High_End_Embedded]
core_clock=500e6
axi0_port=Sram
axi1_port=OffChipFlash
OffChipFlash_clock_scale=0.125
[System_Config.Ethos_U85_SYS_Flash_High]
core_clock=500e6
axi0_port=Sram
axi1_port=OffChipFlash
Sram_ports_used=2
OffChipFlash_clock_scale=0.0625
[System_Config.Ethos_U85_SYS_DRAM_Mid]
core_clock=1e9
axi0_port=Sram
axi1_port=Dram
Sram_ports_used=2
Dram_clock_scale=0.75
[Memory_Mode.Sram_Only]
const_mem_area=Axi0
arena_mem_area=Axi0
cache_mem_area=Axi0
[Memory_Mode.Shared_Sram]
inherit=Memory_Mode.Sram_Only
const_mem_area=Axi1
[Memory_Mode.Dedicated_Sram_384KB]
const_mem_area=Axi1
arena_mem_area=Axi1
cache_mem_area=Axi0
arena_cache_size=393216
"""


@pytest.mark.parametrize("name,spec", [
    ("ethos-u55-sram-only", "Ethos_U55_High_End_Embedded:Sram_Only:ethos-u55-256"),
    ("ethos-u55-shared-sram", "Ethos_U55_High_End_Embedded:Shared_Sram:ethos-u55-256"),
    ("ethos-u85-sram-only", "Ethos_U85_SYS_Flash_High:Sram_Only:ethos-u85-256"),
    ("ethos-u85-shared-sram", "Ethos_U85_SYS_Flash_High:Shared_Sram:ethos-u85-256"),
    ("ethos-u85-dedicated-sram", "Ethos_U85_SYS_DRAM_Mid:Dedicated_Sram_384KB:ethos-u85-512"),
])  # fmt: skip
def test_presets_of_npus_are_what_a_vela_ini_says(tmp_path: Path, name: str, spec: str) -> None:
    (tmp_path / "vela.ini").write_text(VELA)
    preset, target = load_target(name), load_target(f"{tmp_path}/vela.ini:{spec}")
    assert preset.memories == target.memories and preset.compute == target.compute
    for role in ("inputs", "constants", "activations", "outputs"):
        assert preset.readable("Conv", role) == target.readable("Conv", role)
        assert preset.home_of(role) == target.home_of(role)


def test_unknown_names_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="did you mean 'ethos-u65'"):
        load_target("ethos-u56")
    with pytest.raises(TargetError, match="cannot read target file"):
        load_target(tmp_path / "missing.toml")
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    with pytest.raises(TargetError, match="cannot read target file"):
        load_target(folder)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TargetError, match="cannot read target file"):
        load_target(binary)
