"""Errors of a first hour: each is provoked, and what its hint says is done, after which the command works."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from tests.cli.program import memplan
from tests.io.test_json import GOOD
from tests.onnx_models import small_cnn, value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model, a graph, a plan of each, a model whose sizes a run decides, and a file that is none."""
    onnx.save(small_cnn("N"), tmp_path / "net.onnx")
    (tmp_path / "graph.json").write_text(json.dumps(GOOD))
    for name in ("net.onnx", "graph.json"):
        assert memplan("plan", name, cwd=tmp_path).returncode == 0
    nodes = [
        onnx.helper.make_node("NonZero", ["x"], ["found"]),
        onnx.helper.make_node("Cast", ["found"], ["y"], to=1),
    ]
    graph = onnx.helper.make_graph(nodes, "counted", [value("x", [4, 4])], [value("y", [2, "n"])])
    onnx.save(
        onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 17)]),
        tmp_path / "counted.onnx",
    )
    (tmp_path / "notes.txt").write_text("a shopping list")
    return tmp_path


FIRST_HOUR = (
    # what is wrong, what the hint says, what works then
    ("plan counted.onnx", "--bound found=2,4", "plan counted.onnx --bound found=2,16"),
    ("plan net.onnx --scratchpad 1KiB", "--scratchpad MR", "plan net.onnx --scratchpad MR"),
    ("plan net.onnx --scratchpad 64KX", "KiB", "plan net.onnx --scratchpad 64KiB"),
    ("plan net.onnx --solver gredy", "did you mean 'greedy'?", "plan net.onnx --solver greedy"),
    ("plan net.onnx --solver msa", "--solver, one of baseline", "plan net.onnx --solver baseline"),
    ("plan net.onnx --objective latency", "`memplan targets`", "targets"),
    ("plan net.onnx --target ethos-u56 --objective peak", "did you mean 'ethos-u65'?", "plan net.onnx --target ethos-u65 --objective peak"),
    ("plan nett.onnx", "did you mean 'net.onnx'?", "plan net.onnx"),
    ("plan notes.txt", "`memplan zoo`", "zoo"),
    ("plan resnet8_int", "did you mean 'resnet8_int8'?", "plan resnet8_int8"),
    ("plan net.onnx --dim M=2", "known: N", "plan net.onnx --dim N=2"),
    ("plan net.onnx --dim N=two", "NAME=V or INPUT:AXIS=V, V a whole number", "plan net.onnx --dim N=2"),
    ("plan net.onnx --emit jsn", "did you mean 'json'?", "plan net.onnx --emit json"),
    ("plan graph.json --emit onnx", "or emit json", "plan graph.json --emit json"),
    ("plan net.onnx --scratchpda MR", "did you mean '--scratchpad'?", "plan net.onnx --scratchpad MR"),
    ("plan net.onnx --pin y=kept", "did you mean 'keep'?", "plan net.onnx --pin y=keep"),
    ("plan net.onnx --pin z=keep", "named like 'x'", "plan net.onnx --pin x=keep"),
    ("plan net.onnx --runtime onnxruntim", "did you mean 'onnxruntime'?", "plan net.onnx --runtime onnxruntime"),
    ("plan net.onnx --compute-limit 2", "--recompute any", "plan net.onnx --compute-limit 2 --recompute any"),
    ("plam net.onnx", "did you mean 'plan'?", "plan net.onnx"),
    ("check net.onnx", "give a plan file", "check net.onnx net.plan.json"),
    ("check graph.json net.plan.json", "name the model that was planned", "check net.onnx net.plan.json"),
    ("run graph.json net.plan.json", "name the model that was planned", "run net.onnx net.plan.json"),
    ("run net.onnx nett.plan.json", "did you mean 'net.plan.json'?", "run net.onnx net.plan.json"),
    ("show net.onnx net.plan.json -o net.pdf", ".html", "show net.onnx net.plan.json -o net.html"),
    ("sweep net.onnx --points 1", "a whole number from 2", "sweep net.onnx --points 2"),
    ("compare net.onnx", "`memplan compare --help`", "compare --help"),
)  # fmt: skip


@pytest.mark.parametrize(("wrong", "hint", "right"), FIRST_HOUR, ids=[wrong for wrong, *_ in FIRST_HOUR])
def test_what_a_hint_says_works(
    wrong: str, hint: str, right: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = memplan(*wrong.split(), cwd=folder)
    assert failed.returncode in (2, 3, 5) and failed.stderr.count("\nhint: ") == 1, failed.stderr
    assert hint in failed.stderr.partition("\nhint: ")[2]
    followed = memplan(*right.split(), cwd=folder)
    assert followed.returncode == 0, followed.stderr


def test_no_budget_is_no_error_and_says_what_to_give(folder: Path) -> None:
    bare = memplan("plan", "net.onnx", cwd=folder)
    assert bare.returncode == 0 and "give --scratchpad SIZE (MR is the least that works" in bare.stderr
    assert memplan("plan", "net.onnx", "--scratchpad", "MR", cwd=folder).returncode == 0
