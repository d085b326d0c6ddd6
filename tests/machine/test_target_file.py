"""A user's own file, of both editions, and every way such a file can be wrong."""

from __future__ import annotations

import copy
import json
import math
import random
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memplan.base.errors import TargetError
from memplan.machine.load import load_target
from memplan.machine.parts import Channel, Compute, Memory
from memplan.machine.target import Target
from memplan.machine.target_file import target_dict, target_from_dict
from memplan.machine.two_level import two_level
from tests.edition1 import target_1

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


def test_own_file_is_read_whole(tmp_path: Path) -> None:
    target = load_target(write(tmp_path, OWN))
    assert target.name == "own" and target.direct and target.queues == 2
    assert target.scratchpad.capacity == 3 * 2**19 and target.scratchpad.alignment == 64
    assert target.compute.rate("int8") == 4e12
    assert target.compute.rate("float32") == target.compute.rate(None) == 1e12
    assert target.compute.overhead_s == 1e-6
    assert dict(target.defaults) == {"weights": "stream", "inplace": "on"}
    assert target.sources["scratchpad.capacity"] == "measured"
    assert target.timed


def test_a_file_may_leave_out_nearly_all(tmp_path: Path) -> None:
    target = load_target(write(tmp_path, "[scratchpad]\ncapacity = 1000\n"))
    assert target.scratchpad.capacity == 1000 and target.scratchpad.alignment == 1
    assert not target.direct and not target.timed


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


BOARD = """
name = "board"
[[memory]]
name = "dtcm"
capacity = "128KiB"
alignment = 16
bandwidth = 3.84e9
[[memory]]
name = "flash"
readonly = true
bandwidth = 200e6
[[memory]]
name = "sdram"
bandwidth = 400e6
byte_cost = 2
addresses = true
capacity = "32MiB"
[operands]
default = ["dtcm", "sdram"]
constants = ["dtcm", "flash"]
Conv = ["dtcm", "flash"]
[home]
constants = "flash"
[copies]
queues = 2
[[channel]]
from = "sdram"
to = "dtcm"
bandwidth = 350e6
overhead_s = 1e-6
queue = 1
[[channel]]
from = "dtcm"
to = "sdram"
[compute]
default = 960e6
[defaults]
io = "resident"
"""


def test_a_file_of_several_memories_is_read_whole_and_comes_back_from_a_plan(tmp_path: Path) -> None:
    target = load_target(write(tmp_path, BOARD))
    assert target == Target(
        "board",
        (
            Memory("dtcm", 131072, 16, 3.84e9),
            Memory("flash", bandwidth=200e6, readonly=True),
            Memory("sdram", 2**25, bandwidth=400e6, byte_cost=2, addresses=True),
        ),
        {"default": ("dtcm", "sdram"), "constants": ("dtcm", "flash"), "Conv": ("dtcm", "flash")},
        {"constants": "flash"},
        2,
        (Channel("sdram", "dtcm", 350e6, 1e-6, 1), Channel("dtcm", "sdram")),
        Compute(960e6),
        {"io": "resident"},
    )
    assert target_from_dict(json.loads(json.dumps(target_dict(target)))) == replace(target, defaults={})


def test_old_tables_are_two_memories() -> None:
    target = target_from_dict({"name": "t", "operands": "any", "dma": {"queues": 2}})
    assert target == two_level("t", direct=True, queues=2)
    assert [m.name for m in target.memories] == ["scratchpad", "host"]
    assert {(c.source, c.queue) for c in target.channels} == {("host", 0), ("scratchpad", 1)}
    assert target_from_dict({"name": "scratchpad"}) == Target()


@pytest.mark.parametrize("direct", (False, True))
@pytest.mark.parametrize("queues", (1, 2))
def test_the_tables_of_a_plan_of_version_1_are_read(direct: bool, queues: int) -> None:
    pad, host = Memory("scratchpad", 4096, 16, 4e9), Memory("host", bandwidth=1e9)
    target = two_level("t", pad, host, direct=direct, queues=queues, compute=Compute(1e9, {"int8": 2e9}))
    assert target_1(target) == {
        "name": "t",
        "scratchpad": {"capacity": 4096, "alignment": 16, "bandwidth": 4e9},
        "host": {"bandwidth": 1e9},
        "operands": "any" if direct else "scratchpad",
        "dma": {"queues": queues},
        "compute": {"default": 1e9, "rates": {"int8": 2e9}, "overhead_s": 0.0},
    }
    assert target_from_dict(target_1(target)) == target


MEMORIES = "[[memory]]\nname = 'a'\n[[memory]]\nname = 'b'\n"
WRONG_TABLES = {
    "old and new": ("[[memory]]\nname = 'a'\n[scratchpad]\ncapacity = 3", "unknown key 'scratchpad'"),
    "copies without memories": ("[copies]\nqueues = 2", "write a [[memory]] table for each memory"),
    "memory is one table": ("[memory]\nname = 'a'", "write [[memory]]"),
    "memory is a number": ("memory = [1]", "write [[memory]]"),
    "no name": ("[[memory]]\ncapacity = 3", 'add name = "'),
    "unknown key of a memory": ("[[memory]]\nname = 'a'\nbandwith = 3", "did you mean 'bandwidth'"),
    "flag": ("[[memory]]\nname = 'a'\nreadonly = 'yes'", "true or false"),
    "operands as of old": (f"operands = 'any'\n{MEMORIES}", "write [operands]"),
    "operands no list": (f"{MEMORIES}[operands]\ndefault = 'a'", "write their names"),
    "home no name": (f"{MEMORIES}[home]\nconstants = 3", "not a text"),
    "channel without an end": (f"{MEMORIES}[[channel]]\nfrom = 'a'", 'add to = "'),
    "unknown key of a channel": (f"{MEMORIES}[[channel]]\nsource = 'a'", "unknown key 'source'"),
    "unknown key of copies": (f"{MEMORIES}[copies]\nqueue = 1", "did you mean 'queues'"),
}  # fmt: skip


@pytest.mark.parametrize("text,expected", WRONG_TABLES.values(), ids=WRONG_TABLES)
def test_a_wrong_table_is_refused_with_a_hint(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(TargetError) as caught:
        load_target(write(tmp_path, text))
    assert expected in str(caught.value) and caught.value.hint


def test_the_example_of_the_documentation_is_a_target(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "targets.md"
    text = page.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    target = load_target(write(tmp_path, text))
    assert [m.name for m in target.addressed] == ["dtcm"] and target.timed
    assert target.channels == (Channel("sdram", "dtcm", 350e6, 1e-6),)


ODD = (None, True, -1, 0, 3, 2**70, 1.5, -0.5, math.nan, math.inf, "", "a", "dtcm", "64KiB", "keep", [], ["sdram"], [3], {},
       {"name": "x"}, [{}], [{"name": "dtcm"}], {"Conv": ["flash"]})  # fmt: skip


def break_one(rng: random.Random, table: dict[str, Any]) -> None:
    """Replace, remove or add something anywhere below a table."""
    at: Any = table
    while True:
        key = rng.choice(list(at)) if isinstance(at, dict) else rng.randrange(len(at))
        if isinstance(at[key], dict | list) and at[key] and rng.random() < 0.7:
            at = at[key]
            continue
        if rng.random() < 0.2:
            del at[key]
        elif isinstance(at, dict) and rng.random() < 0.2:
            at[rng.choice(("a", "name", "queue", "host", "memory", "memories", "copies"))] = rng.choice(ODD)
        else:
            at[key] = copy.deepcopy(rng.choice(ODD))
        return


@pytest.mark.parametrize("planned", (False, True), ids=("file", "plan"))
def test_whatever_stands_in_a_file_it_is_a_target_or_refused_with_a_hint(planned: bool) -> None:
    good = tomllib.loads(BOARD)
    good = target_dict(target_from_dict(good)) if planned else good
    refused = 0
    for seed in range(1500):
        rng, bad = random.Random(seed), copy.deepcopy(good)
        for _ in range(rng.randint(1, 3)):
            if bad:
                break_one(rng, bad)
        try:
            target = target_from_dict(bad)
            assert target_from_dict(json.loads(json.dumps(target_dict(target)))).memories == target.memories
        except TargetError as error:
            assert error.hint and error.message, seed
            refused += 1
    assert 700 < refused < 1500
