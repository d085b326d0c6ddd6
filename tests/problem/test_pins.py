"""Pins: read, refused with the reason, honoured by the shared paths, recorded in plan files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import memplan
from memplan.base.errors import OptionError
from memplan.io.plan_json import plan_dict, plan_from_dict
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.problem.pins import parse_pin, parse_pins, read_pins
from memplan.problem.plan import Plan, Status
from memplan.solving.testing import TIMED
from tests.agree import check as check_against_oracle
from tests.graphs import graph_of


def tensor(name: str, nbytes: int, kind: str = "activation") -> Tensor:
    return Tensor(name, nbytes, kind, "int8", (nbytes,))


def skip() -> Graph:
    """x -> a -> b -> m -> c -> y, and a again at the end: at 12 bytes a has to leave and come back."""
    return graph_of(
        "skip",
        (
            tensor("x", 4, "input"),
            tensor("w", 2, "constant"),
            tensor("a", 4),
            tensor("b", 6),
            tensor("m", 6),
            tensor("c", 6),
            tensor("v", 6),
            tensor("y", 2, "output"),
        ),
        (
            Op("p", "Conv", ("x", "w"), ("a",)),
            Op("q", "Conv", ("a",), ("b",)),
            Op("m", "Conv", ("b",), ("m",)),
            Op("r", "Conv", ("m",), ("c",)),
            Op("s", "Reshape", ("c",), ("v",)),
            Op("t", "Conv", ("v", "a", "w"), ("y",)),
        ),
    )


WIDE = memplan.Target(
    "wide",
    (
        memplan.Memory("dtcm", 64),
        memplan.Memory("axis", alignment=16),
        memplan.Memory("flash", readonly=True),
        memplan.Memory("dram"),
    ),
    {"default": ("dtcm", "axis", "dram")},
)


def plan(solver: str = "greedy", **options: object) -> Plan:
    return memplan.plan(skip(), solver=solver, workers=1, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "word", ["keep", "host", "@0", "@4096", "keep@64", "axi", "axi@8", "keep axi", "keep s-1.x@16"]
)
def test_words_round_trip(word: str) -> None:
    assert str(parse_pin(word)) == word


@pytest.mark.parametrize(
    "word",
    [
        "",
        "stay there",
        "host@64",
        "keep host",
        "keep keep@",
        "@",
        "@-1",
        "host@4",
        "@1e3",
        "keep@",
        "@" + "9" * 20,
    ],
)
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(OptionError, match="pin"):
        parse_pin(word)


@pytest.mark.parametrize(("pins", "options", "said"), [
    ({"aa": "keep"}, {}, "did you mean 'a'"),
    ({"a": "kep"}, {}, "no memory of target 'scratchpad' is called 'kep'\nhint: did you mean 'keep'"),
    ({"a": "axi@64"}, {"target": WIDE}, "did you mean 'axis'"),
    ({"a": "flash"}, {"target": WIDE}, "nothing is placed in 'flash', which is readonly\nhint: pin it to one of dtcm, axis"),
    ({"a": "dram@64"}, {"target": WIDE}, "no addresses are planned in 'dram'\nhint: pin it to dram, or"),
    ({"a": "axis@8"}, {"target": WIDE}, "not a multiple of the alignment 16\nhint: the nearest below is 0"),
    ({"a": "scratchpad"}, {}, "target 'scratchpad' places nothing anywhere else\nhint: pin it to keep"),
    ({"x": "keep"}, {"io": "external"}, "external inputs and outputs lie with the caller"),
    ({"a": True}, {}, "it is keep, MEMORY"),
    ({"a": "@6"}, {"alignment": 4}, "nearest below is 4"),
    ({"a": "host"}, {}, "every operand must be in the scratchpad"),
    ({"w": "keep"}, {}, "constants are not placed"),
    ({"w": "keep"}, {"weights": "stream"}, "streamed constants leave"),
    ({"x": "host"}, {"target": TIMED, "objective": "latency", "io": "resident"}, "resident inputs and outputs"),
    ({"c": "@0", "v": "@8"}, {}, "share one storage"),
])  # fmt: skip
def test_senseless_pins_are_refused(pins: dict[str, str], options: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError) as error:
        plan(pins=pins, **options)
    assert said in str(error.value)


@pytest.mark.parametrize(("pins", "capacity", "said"), [
    ({"a": "@12"}, 14, "'a', pinned to 12, ends at 16"),
    ({"a": "keep", "x": "keep"}, 15, "op 'm' needs 16 bytes, what is pinned to stay included (a)"),
    ({"m": "@0", "c": "@4"}, 64, "op 'r' needs 'm' at [0, 6) and 'c' at [4, 10)"),
    ({"a": "keep@0", "c": "@2"}, 64, "op 'r' needs 'a' at [0, 4) and 'c' at [2, 8)"),
])  # fmt: skip
def test_impossible_pins_are_called_infeasible_with_the_reason(
    pins: dict[str, str], capacity: int, said: str
) -> None:
    found = plan(pins=pins, scratchpad=capacity)
    assert found.status is Status.INFEASIBLE
    assert said in found.reason, found.reason


@pytest.mark.parametrize("solver", ["greedy", "fixed_order", "ilp", "portfolio"])
def test_a_kept_storage_costs_what_it_costs(solver: str) -> None:
    free = plan(solver, scratchpad=12)
    assert free.value == 8  # a goes and comes back
    assert plan(solver, scratchpad=16, pins={"a": "keep"}).value == 0
    assert {m.tensor for m in free.moves if free.is_load(m)} == {"x", "a"}


@pytest.mark.parametrize("solver", ["greedy", "fixed_order", "ilp", "portfolio"])
def test_storages_at_one_place_take_turns_even_without_a_limit(solver: str) -> None:
    found = plan(solver, pins={"a": "@0", "m": "@0"})
    assert found.status in (Status.OPTIMAL, Status.FEASIBLE)
    assert found.value == 8


@pytest.mark.parametrize("solver", ["greedy", "peak", "ilp"])
def test_the_peak_counts_what_is_pinned_high(solver: str) -> None:
    found = plan(solver, objective="peak", pins={"y": "@100"})
    assert (found.value, found.status) == (102, Status.OPTIMAL)


def test_what_is_pinned_to_host_is_served_from_there() -> None:
    found = memplan.plan(
        skip(), TIMED, objective="latency", pins={"a": "host", "b": "keep"}, solver="greedy", workers=1
    )
    assert "a" not in {r.tensor for r in found.residencies}
    assert any(r.tensor == "b" for r in found.residencies)
    assert found.bound > memplan.plan(skip(), TIMED, objective="latency", solver="greedy", workers=1).bound


def test_a_plan_file_records_pins_only_where_there_are_any() -> None:
    assert "pins" not in plan_dict(plan())["options"]
    pinned = plan(pins={"v": "keep@64", "a": 8})
    record = json.loads(json.dumps(plan_dict(pinned)))
    assert record["options"]["pins"] == {"a": "@8", "c": "keep@64"}
    assert plan_from_dict(record, "here").options == pinned.options
    assert memplan.check(skip(), pinned) == []


def test_words_and_files(tmp_path: Path) -> None:
    assert parse_pins(["a=keep", "x=1=@8"]) == {"a": "keep", "x=1": "@8"}
    file = tmp_path / "pins.json"
    file.write_text('{"a": "keep", "b": 64}')
    assert read_pins(file) == {"a": "keep", "b": 64}
    for text in ("[]", "{", "nonsense"):
        file.write_text(text)
        with pytest.raises(OptionError, match="pins.json"):
            read_pins(file)
    with pytest.raises(OptionError, match="pinned twice"):
        parse_pins(["a=keep", "a=@8"])
    with pytest.raises(OptionError, match="nowhere"):
        read_pins(tmp_path / "nowhere")


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "count"), [("peak", 60), ("fixed_order", 40), ("ilp", 20)])
def test_agrees_with_brute_force_under_pins(engine: str, count: int) -> None:
    seen = check_against_oracle(engine, range(0, 6 * count, 6))
    assert sum(n for what, n in seen.items() if what != "spills") >= count and seen["contradiction"]


@pytest.mark.parametrize(("solver", "said"), [
    ("greedy", "residencies of 0 B traffic fit by bytes but were not packed: repaired for 8 B more"),
    ("fixed_order", "have no addresses: repaired for 8 B more, the least that this order allows"),
    ("portfolio", "repaired for 8 B more"),
])  # fmt: skip
def test_a_repair_says_what_it_cost(solver: str, said: str) -> None:
    """Between 3 and 9 there are 3 bytes below and 7 above: b fits, a does not."""
    found = plan(solver, scratchpad=16, pins={"m": "@3"}, order="program")
    assert found.value == 8
    assert said in found.reason, found.reason


def test_a_pinned_offset_is_part_of_the_bound_and_one_byte_less_is_refused() -> None:
    graph = graph_of(
        "three",
        (
            Tensor("x", 100, "input"),
            Tensor("k", 64),
            Tensor("b", 5_000_000),
            Tensor("y", 10, "output"),
        ),
        (
            Op("p", "Conv", ("x",), ("k",)),
            Op("q", "Conv", ("k",), ("b",)),
            Op("r", "Conv", ("b", "k"), ("y",)),
        ),
    )
    plan = memplan.plan(graph, objective="peak", pins={"k": "@4194304"})
    assert (plan.status, plan.value) == (Status.OPTIMAL, 4_194_304 + 64 + 5_000_000)
    less = memplan.plan(graph, objective="peak", pins={"k": "@4194304"}, scratchpad=int(plan.value) - 1)
    assert less.status is Status.INFEASIBLE and "beside what is pinned" in less.reason
