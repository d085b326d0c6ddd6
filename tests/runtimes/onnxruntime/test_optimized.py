"""Models as onnxruntime rewrites them: what they compute stays, and what it does to them at run time is done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest

import memplan
from memplan.runtimes.onnxruntime import optimized
from tests.cli.program import memplan as program_run
from tests.onnx_models import external, model, small_cnn, value
from tests.pages import blocks, walk
from tests.runtimes.onnxruntime.nets import loaded, node, planned


@pytest.mark.parametrize("level", ["disable", "basic", "extended", "all"])
def test_each_level_is_planned_and_obeyed(level: str) -> None:
    rewritten = optimized(loaded(small_cnn()), level)
    kinds = [op.kind for op in rewritten.graph.ops]
    assert ("Relu" in kinds) == (level in ("disable", "basic"))  # else it is fused
    assert memplan.measure(rewritten, planned(rewritten), on="onnxruntime").obeys


def test_absent_weights_are_made_up_by_the_seed_and_kept() -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"], name="product")]
    net = loaded(
        model(nodes, [value("x", [1, 8])], [value("y", [1, 8])], [external("w", (8, 8), "absent.bin")])
    )
    made = [optimized(net, seed=seed).source.graph.initializer[0].raw_data for seed in (0, 0, 1)]
    assert len(made[0]) == 256 and made[0] == made[1] != made[2]


def test_plan_and_measure_as_a_program(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    onnx.save(small_cnn(), file)
    done = program_run("plan", file, "--runtime", "onnxruntime", "--emit", "json,onnx", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    plan = tmp_path / "net.plan.json"
    assert json.loads(plan.read_text())["runtime"] == "onnxruntime"
    assert program_run("check", file, plan).returncode == 0
    done = program_run("measure", file, plan, "--on", "onnxruntime")
    assert done.returncode == 0 and "bit-identical" in done.stdout and "level extended" in done.stdout
    done = program_run("measure", tmp_path / "net.memplan.onnx", "--on", "onnxruntime", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["obeys"] is True
    done = program_run("measure", file, plan, "--on", "tflm")
    assert done.returncode == 2 and "hint:" in done.stderr


@pytest.mark.slow(reason="executes many programs")
def test_what_onnxruntime_makes_of_a_model_is_planned_as_a_program(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    onnx.save(small_cnn(), file)
    done = program_run("plan", file, "--runtime", "onnxruntime", "-o", tmp_path)
    assert done.returncode == 0 and "--optimize extended plans what onnxruntime makes of them" in done.stderr
    words = ("--runtime", "onnxruntime", "--optimize", "extended", "--emit", "json,onnx", "-o", tmp_path)
    done = program_run("plan", file, *words)
    assert done.returncode == 0 and "note:" not in done.stderr
    done = program_run("measure", tmp_path / "net.memplan.onnx", "--on", "onnxruntime", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["obeys"] is True
    nodes = onnx.load(tmp_path / "net.memplan.onnx").graph.node
    assert "Relu" not in {n.op_type for n in nodes} and len(nodes) < len(small_cnn().graph.node)
    done = program_run("plan", file, "--runtime", "onnxruntime", "--optimize", "most")
    assert done.returncode == 2 and "known: disable, basic, extended, all" in done.stderr
    done = program_run("plan", file, "--optimize", "all")
    assert done.returncode == 2 and "hint: add --runtime onnxruntime" in done.stderr


def test_a_runtime_that_does_otherwise_is_exit_status_5(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    nodes = [node("HardSwish", ["x"], ["a"], name="swish"), node("Sin", ["a"], ["y"], name="end")]
    onnx.save(model(nodes, [value("x", [64])], [value("y", [64])]), file)
    assert program_run("plan", file, "--runtime", "onnxruntime", "-o", tmp_path).returncode == 0
    done = program_run("measure", file, tmp_path / "net.plan.json", "--on", "onnxruntime")
    assert done.returncode == 5 and "in place of 'swish'" in done.stderr and "optimized" in done.stderr


def test_a_model_that_was_loaded_for_nothing_is_not_planned_for_onnxruntime(tmp_path: Path) -> None:
    onnx.save(small_cnn(), tmp_path / "net.onnx")
    net = memplan.load(tmp_path / "net.onnx")
    with pytest.raises(memplan.OptionError, match="not read as onnxruntime executes it"):
        memplan.plan(net, runtime="onnxruntime")
    assert memplan.plan(memplan.load(tmp_path / "net.onnx", runtime="onnxruntime")).runtime == "onnxruntime"


@pytest.mark.slow(reason="starts several programs")
def test_the_walk_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(small_cnn(), tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)
    assert walk("onnxruntime.md", tmp_path) == 4
    (block,) = blocks("onnxruntime.md", "python")
    names: dict[str, Any] = {}
    exec(block, names)
    assert names["outputs"][0].shape == (1, 5)
