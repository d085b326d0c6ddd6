"""Files that declare kinds of ops: all of one is taken, or it is refused with the place that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from memplan.base.errors import OptionError
from memplan.io.ops_toml import declare_ops
from memplan.ir import declarations
from memplan.ir.declarations import Declaration

GOOD = """
[ops."acme::Fused"]
overwrites = [0, 2]
workspace = "4KiB"
flops = {output_elements = 2, constant = 1}
once = false

[ops."mylib.peek.default"]
view = true

[ops.Gather]
joins = true
workspace = 12
flops = 0
"""


@pytest.fixture(autouse=True)
def nothing_declared(monkeypatch: pytest.MonkeyPatch) -> dict[str, Declaration]:
    known: dict[str, Declaration] = {}
    monkeypatch.setattr(declarations, "_DECLARED", known)
    return known


def declared(folder: Path, text: str) -> None:
    file = folder / "ops.toml"
    file.write_text(text, encoding="utf-8")
    declare_ops(file)


def test_every_kind_of_a_file_is_declared(tmp_path: Path, nothing_declared: dict[str, Declaration]) -> None:
    declared(tmp_path, GOOD)
    flops = {"output_elements": 2, "constant": 1}
    fused = Declaration("acme::Fused", overwrites=(0, 2), workspace=4096, flops=flops, once=False)
    peek = Declaration("mylib.peek.default", view=True)
    gather = Declaration("Gather", joins=True, workspace=12, flops=0)
    assert nothing_declared == {said.kind: said for said in (fused, peek, gather)}
    declared(tmp_path, "")
    assert len(nothing_declared) == 3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("[ops", "is not TOML"),
        ("[op.Relu]", "unknown key 'op'"),
        ("ops = 3", "ops is not a table"),
        ("[ops]\nRelu = true", "ops.Relu is not a table"),
        ("[ops.Relu]\noverwrite = [0]", "ops.Relu: unknown key 'overwrite'\nhint: did you mean 'overwrites'"),
        ("[ops.Relu]\nview = 1", "ops.Relu: view = 1"),
        ("[ops.Relu]\nflops = 1.5", "ops.Relu: flops = 1.5"),
        ("[ops.Relu]\noverwrites = [true]", r"overwrite the operands \[True\]"),
        ("[ops.Relu]\nworkspace = '4 parsecs'", "'4 parsecs' is not a size"),
        ("[ops.Relu]\nflops = {elements = 2}", "unit 'elements'"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(
    tmp_path: Path, nothing_declared: dict[str, Declaration], wrong: str, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        declared(tmp_path, wrong)
    assert not nothing_declared


def test_nothing_of_a_file_is_taken_where_a_part_is_wrong(
    tmp_path: Path, nothing_declared: dict[str, Declaration]
) -> None:
    with pytest.raises(OptionError, match="ops.Last: once = 1"):
        declared(tmp_path, GOOD + "[ops.Last]\nonce = 1")
    assert not nothing_declared
    with pytest.raises(OptionError, match="cannot read"):
        declare_ops(tmp_path / "nothing.toml")
