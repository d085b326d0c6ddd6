"""Presets, each number with its source, and targets by name or path."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from memplan.base.errors import TargetError
from memplan.ir.parts import Op, Tensor
from memplan.machine.load import load_target, preset_names
from memplan.machine.target_file import target_dict, target_from_dict
from memplan.problem.op_times import latency_ends
from memplan.problem.options import Options
from tests.graphs import graph_of

PRESETS = ["cortex-m7", "ethos-u65", "ipu-mk2", "scratchpad", "tpu-v4i"]


def numbers(value: object, prefix: str = "") -> set[str]:
    """Dotted names of the numbers (and sizes) in a parsed preset."""
    if isinstance(value, dict):
        found: set[str] = set()
        for key, inner in value.items():
            if not (prefix == "" and key in ("sources", "defaults", "name", "operands")):
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
    assert target.timed == (name != "scratchpad")


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
    ipu = load_target("ipu-mk2")
    assert ipu.scratchpad.capacity == 900_000_000
    assert ipu.compute.rate("float16") == 4 * ipu.compute.rate("float32")


@pytest.mark.parametrize("name", [n for n in PRESETS if n != "scratchpad"])
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
    assert all_host == pytest.approx(max(flops / rate, nbytes / target.host.bandwidth))


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
