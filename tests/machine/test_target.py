"""Targets: presets, a user's own file, and every way such a file can be wrong."""

from __future__ import annotations

import math
import tomllib
from importlib import resources
from pathlib import Path

import pytest

import memplan
from memplan.base.errors import TargetError
from memplan.ir.parts import Op, Tensor
from memplan.machine.target import (
    OVERHEADS,
    RATES,
    Compute,
    Host,
    Scratchpad,
    Target,
    load_target,
    preset_names,
)
from memplan.problem.op_times import latency_ends
from memplan.problem.options import Options
from tests.graphs import graph_of

PRESETS = ["cortex-m7", "ethos-u65", "ipu-mk2", "scratchpad", "tpu-v4i"]
OWN = """
name = "own"
operands = "any"
[scratchpad]
capacity = "1.5MiB"
alignment = 64
bandwidth = 1e12
[host]
bandwidth = 50_000_000_000
[dma]
queues = 2
[compute]
default = 1e12
overhead_s = 1e-6
[compute.rates]
int8 = 4e12
[defaults]
weights = "stream"
inplace = "on"
[sources]
"scratchpad.capacity" = "measured"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "own.toml"
    path.write_text(text)
    return path


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
    again = Target.from_dict(target.to_dict())
    assert again.to_dict() == target.to_dict()
    assert target.timed == (name != "scratchpad")


def test_presets_say_what_their_sources_say() -> None:
    tpu, ethos = load_target("tpu-v4i"), load_target("ethos-u65")
    assert tpu.scratchpad.capacity == 128 * 2**20 and tpu.operands == "any"
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


def test_own_file_is_read_whole(tmp_path: Path) -> None:
    target = load_target(write(tmp_path, OWN))
    assert target.name == "own" and target.operands == "any" and target.dma_queues == 2
    assert target.scratchpad.capacity == 3 * 2**19 and target.scratchpad.alignment == 64
    assert target.compute.rate("int8") == 4e12
    assert target.compute.rate("float32") == target.compute.rate(None) == 1e12
    assert target.compute.overhead_s == 1e-6
    assert dict(target.defaults) == {"weights": "stream", "inplace": "on"}
    assert target.sources["scratchpad.capacity"] == "measured"
    assert target.timed


def test_overrides_change_nothing_else(tmp_path: Path) -> None:
    target = load_target(write(tmp_path, OWN))
    wider = target.with_scratchpad(None, 128)
    assert wider.scratchpad.capacity is None and wider.scratchpad.alignment == 128
    assert wider.scratchpad.bandwidth == target.scratchpad.bandwidth
    assert target.with_scratchpad(7).scratchpad.alignment == 64
    assert load_target(target) is target


def test_a_file_may_leave_out_nearly_all(tmp_path: Path) -> None:
    target = load_target(write(tmp_path, "[scratchpad]\ncapacity = 1000\n"))
    assert target.scratchpad.capacity == 1000 and target.scratchpad.alignment == 1
    assert target.operands == "scratchpad" and not target.timed


RATE, SECONDS = "must be 0.001 … 1e+24", "must be 1e-18 … 1e+06"
WRONG = {
    "unknown key": ("sratchpad = 1", "did you mean 'scratchpad'"),
    "unknown inner key": ("[scratchpad]\ncapcity = 1", "did you mean 'capacity'"),
    "unknown compute key": ("[compute]\noverheads = 1", "did you mean 'overhead_s'"),
    "unknown default": ("[defaults]\nweight = 'tensor'", "did you mean 'weights'"),
    "unknown treatment": ("[defaults]\nweights = 'drop'", "known: ignore, tensor, stream"),
    "treatment is not a text": ("[defaults]\ninplace = true", "known: on, off"),
    "unknown operands": ("operands = 'all'", "'scratchpad' or 'any'"),
    "operands is not a text": ("operands = 3", "not a text"),
    "name is not a text": ("name = 3", "not a text"),
    "source is not a text": ("[sources]\nx = 3", "not a text"),
    "not a table": ("scratchpad = 3", "not a table"),
    "rates are not a table": ("[compute]\nrates = 3", "not a table"),
    "capacity nan": ("[scratchpad]\ncapacity = nan", "not a whole number"),
    "capacity float": ("[scratchpad]\ncapacity = 1.5", "not a whole number"),
    "capacity bool": ("[scratchpad]\ncapacity = true", "not a whole number"),
    "capacity list": ("[scratchpad]\ncapacity = [1]", "not a whole number"),
    "capacity zero": ("[scratchpad]\ncapacity = 0", "1 … 2^62"),
    "capacity negative": ("[scratchpad]\ncapacity = -5", "1 … 2^62"),
    "capacity huge": (f"[scratchpad]\ncapacity = {10**30}", "1 … 2^62"),
    "capacity unit": ("[scratchpad]\ncapacity = '3 bananas'", "is not a size"),
    "capacity half byte": ("[scratchpad]\ncapacity = '0.5B'", "whole bytes"),
    "capacity long text": (f"[scratchpad]\ncapacity = '{'9' * 5000}'", "is not a size"),
    "alignment zero": ("[scratchpad]\nalignment = 0", "1 … 2^62"),
    "alignment negative": ("[scratchpad]\nalignment = -8", "1 … 2^62"),
    "bandwidth nan": ("[host]\nbandwidth = nan", RATE),
    "bandwidth infinite": ("[host]\nbandwidth = inf", RATE),
    "bandwidth zero": ("[scratchpad]\nbandwidth = 0", RATE),
    "bandwidth negative": ("[scratchpad]\nbandwidth = -1e9", RATE),
    "bandwidth beyond float": (f"[host]\nbandwidth = 1{'0' * 400}", RATE),
    "bandwidth text": ("[host]\nbandwidth = 'fast'", "not a number"),
    "bandwidth bool": ("[host]\nbandwidth = true", "not a number"),
    "scratchpad slower": ("[scratchpad]\nbandwidth = 1\n[host]\nbandwidth = 2", "at least host.bandwidth"),
    "rate zero": ("[compute.rates]\nint8 = 0", RATE),
    "rate nan": ("[compute.rates]\nint8 = nan", RATE),
    "default rate negative": ("[compute]\ndefault = -1", RATE),
    "overhead negative": ("[compute]\noverhead_s = -1", SECONDS),
    "overhead nan": ("[compute]\noverhead_s = nan", SECONDS),
    "bandwidth least float": ("[host]\nbandwidth = 5e-324", RATE),
    "bandwidth most float": ("[scratchpad]\nbandwidth = 1e308", RATE),
    "rate least float": ("[compute]\ndefault = 5e-324", RATE),
    "rate most float": ("[compute.rates]\nint8 = 1e308", RATE),
    "overhead least float": ("[compute]\noverhead_s = 5e-324", SECONDS),
    "overhead most float": ("[compute]\noverhead_s = 1e308", SECONDS),
    "three queues": ("[dma]\nqueues = 3", "one FIFO queue, or two"),
    "queues bool": ("[dma]\nqueues = true", "one FIFO queue, or two"),
    "queues text": ("[dma]\nqueues = '1'", "one FIFO queue, or two"),
    "not TOML": ("[scratchpad\ncapacity", "is not TOML"),
    "key twice": ("name = 'a'\nname = 'b'", "is not TOML"),
    "too many digits": (f"[host]\nbandwidth = {'1' * 5000}", "is not TOML"),
    "nested too deep": (f"a = {'[' * 20000}", "is not TOML"),
}  # fmt: skip


@pytest.mark.parametrize("text,expected", WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_refused_with_a_hint(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(TargetError) as caught:
        load_target(write(tmp_path, text))
    assert expected in str(caught.value) and caught.value.hint
    assert caught.value.exit_status == 2


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


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("overhead", (0.0, *OVERHEADS))
def test_the_largest_and_least_numbers_can_be_computed_with(rate: float, overhead: float) -> None:
    nbytes = 2**60
    graph = graph_of(
        "net",
        (Tensor("x", nbytes, "input"), Tensor("a", nbytes), Tensor("y", nbytes, "output")),
        (Op("p", "Conv", ("x",), ("a",), flops=10**40), Op("q", "Conv", ("a",), ("y",), flops=10**40)),
    )
    target = Target("t", Scratchpad(2**62, 1, rate), Host(rate), "any", compute=Compute(rate, {}, overhead))
    for solver in ("msa", "portfolio"):
        plan = memplan.plan(graph, target, objective="latency", solver=solver, workers=1, time_limit_s=0.5)
        assert 0 < plan.bound <= plan.metrics.latency_s < math.inf
        assert memplan.check(graph, plan) == []
