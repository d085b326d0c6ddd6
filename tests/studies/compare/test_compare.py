"""`memplan compare` as a process: the product of its lists, cases that go wrong, kills, resumption."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

from memplan.cli import main
from memplan.io.graph_json import graph_text, read_graph
from memplan.io.plan_json import read_plan
from memplan.judge.check.check import check
from memplan.solving.testing import chain
from memplan.studies.compare import isolate
from memplan.studies.compare.isolate import run_isolated
from memplan.studies.compare.runner import local_pool
from tests import onnx_models
from tests.studies.conftest import Run


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def names(records: list[dict[str, Any]]) -> list[str]:
    return sorted(record["case"] for record in records)


@pytest.mark.slow(reason="compares many solvers in processes of their own")
def test_every_case_once_and_every_plan_checks(
    command: Run, model: Path, other: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = command(
        "compare",
        model,
        other,
        "--solvers",
        "greedy,greedy{schedule=program,replace=belady}",
        "--budgets",
        "MR,0.9MP,max",
        "--objectives",
        "traffic,peak",
        "--weights",
        "ignore",
        "--io",
        "host",
        "--inplace",
        "off,on",
        "--workers",
        1,
        "--time-limit",
        2,
        "-o",
        out,
        "--json",
    )
    assert done.returncode == 0, done.stderr
    records = lines(out)
    told = json.loads(done.stdout)
    assert told["cases"] == len(records) == 2 * 2 * 3 * 2 * 2 and told["outcomes"] == {"done": 48}
    keys = ("model", "solver", "budget", "objective", "weights", "inplace")
    assert {tuple(r[k] for k in keys) for r in records} == set(
        itertools.product(
            ("small", "larger"),
            ("greedy", "greedy{schedule=program,replace=belady}"),
            ("MR", "0.9MP", "max"),
            ("traffic", "peak"),
            ("ignore",),
            ("off", "on"),
        )
    )
    assert [p.name for p in out.rglob("*.jsonl")] == ["results.jsonl"]
    graphs = {"small": read_graph(model), "larger": read_graph(other)}
    for record in records:
        if record["value"] is None:
            assert record["status"] in ("infeasible", "unknown") and record["plan"] is None
            continue
        plan = read_plan(out / record["plan"])
        assert not check(graphs[record["model"]], plan)
        assert (plan.value, plan.bound, str(plan.status)) == (
            record["value"],
            record["bound"],
            record["status"],
        )
        assert (record["workers"], record["time_limit_s"], record["seed"]) == (1, 2.0, 0)
    assert sum(r["plan"] is not None for r in records) > 30
    assert (
        command(
            "check", model, out / next(r["plan"] for r in records if r["model"] == "small" and r["plan"])
        ).returncode
        == 0
    )


@pytest.mark.slow(reason="runs a whole comparison")
def test_budgets_equal_in_bytes_are_cases_of_their_own(command: Run, tmp_path: Path) -> None:
    line = tmp_path / "line.json"
    line.write_text(graph_text(chain(2)))
    out = tmp_path / "out"
    assert (
        command("compare", line, "--solvers", "greedy", "--budgets", "MR,MH,MP,1.0MP", "-o", out).returncode
        == 0
    )
    records = lines(out)
    assert sorted(r["budget"] for r in records) == ["1.0MP", "MH", "MP", "MR"]
    assert len({r["capacity"] for r in records}) == 1 and len({r["plan"] for r in records}) == 4


@pytest.mark.slow(reason="compares many solvers in processes of their own")
def test_a_wild_solver_costs_its_case_alone(
    command: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    faults = ("raise", "segfault", "memory", "child", "overlap", "none")
    specs = ",".join(f"wild{{fault={fault}}}" for fault in faults)
    done = command(
        "compare",
        model,
        "--solvers",
        f"greedy,{specs}",
        "--budgets",
        "MP",
        "--workers",
        1,
        "--memory-limit",
        "400MiB",
        "-o",
        out,
    )
    found = {r["solver"].removeprefix("wild{fault=").rstrip("}"): r for r in lines(out)}
    assert {k: r["outcome"] for k, r in found.items()} == {
        "greedy": "done",
        "none": "done",
        "raise": "crash",
        "segfault": "crash",
        "memory": "memory",
        "child": "memory",
        "overlap": "invalid",
    }
    assert "RuntimeError: a bug" in found["raise"]["reason"] and "SIGSEGV" in found["segfault"]["reason"]
    assert "the plan is not valid" in found["overlap"]["reason"]
    assert done.returncode == 5  # a plan failed the check
    report = (out / "report.md").read_text()
    assert "## Without an answer" in report and "RuntimeError: a bug" in report


@pytest.mark.slow(reason="waits for a time limit")
def test_a_hang_ends_at_the_deadline(plugins: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in plugins.items():
        monkeypatch.setenv(name, value)
    begin = time.monotonic()
    outcome = run_isolated(_job("wild{fault=hang}"), deadline_s=2.0, memory=2**40)
    assert outcome.word == "timeout" and 2 <= time.monotonic() - begin < 60
    assert run_isolated(_job("wild"), deadline_s=120.0, memory=2**40).word == "done"


def test_one_worker_gets_one_core(plugins: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def spy(job: Any, **_: Any) -> isolate.JobOutcome:
        seen.append(job["cores"])
        return isolate.JobOutcome("crash", None, "", 0.0)

    monkeypatch.setattr("memplan.studies.compare.runner.run_isolated", spy)
    from memplan.studies.compare.runner import ProcessLimits

    class Deaf:
        def __getattr__(self, name: str) -> Any:
            return lambda *_: None

    jobs = [(str(k), _job("greedy")) for k in range(6)]
    assert len(list(local_pool(1)(jobs, ProcessLimits(1.0, 1), Deaf()))) == 6
    assert len(seen) == 6 and all(len(cores) == 1 for cores in seen)


def _job(solver: str) -> dict[str, Any]:
    graph = chain(5)
    return {
        "do": "solve",
        "model": "m",
        "graph": graph.to_dict(),
        "dims": {},
        "bounds": {},
        "target": {},
        "capacity": "max",
        "budget_proved": None,
        "objective": "traffic",
        "weights": "ignore",
        "io": "host",
        "inplace": "off",
        "join": "off",
        "recompute": "off",
        "compute_limit": "",
        "solver": solver,
        "time_limit_s": 1.0,
        "workers": 1,
        "seed": 0,
    }


@pytest.mark.slow(reason="compares many solvers in processes of their own")
def test_killed_at_any_moment_then_resumed(
    command: Run, plugins: dict[str, str], model: Path, other: Path, tmp_path: Path
) -> None:
    words = [
        "compare",
        str(model),
        str(other),
        "--solvers",
        "greedy,wild{fault=slow}",
        "--budgets",
        "MR,MH,MP",
        "--workers",
        "1",
        "--time-limit",
        "3",
    ]
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert command(*words, "-o", whole).returncode == 0
    argv = [sys.executable, "-m", "memplan", *words, "-o", str(out), "--resume"]
    moments = random.Random(3)
    kept: set[str] = set()
    kills = 0
    while kills < 4:
        runner = subprocess.Popen(argv, env=plugins, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            runner.wait(moments.uniform(0.4, 1.2))
            break
        except subprocess.TimeoutExpired:
            runner.send_signal(signal.SIGKILL)
            runner.wait()
            kills += 1
        if (out / "results.jsonl").exists():
            known = {r["case"] for r in lines(out)}
            assert kept <= known  # nothing is lost
            kept = known
    assert kills >= 1
    assert command(*words, "-o", out, "--resume").returncode == 0
    assert names(lines(out)) == names(lines(whole))
    values = [{r["case"]: (r["value"], r["bound"], r["status"]) for r in lines(f)} for f in (out, whole)]
    assert values[0] == values[1]
    assert sorted(p.name for p in (out / "plans").iterdir()) == sorted(
        p.name for p in (whole / "plans").iterdir()
    )


def test_the_cases_end_with_the_runner(plugins: dict[str, str], model: Path, tmp_path: Path) -> None:
    argv = [
        sys.executable,
        "-m",
        "memplan",
        "compare",
        str(model),
        "--solvers",
        "wild{fault=hang}",
        "--budgets",
        "MR",
        "-o",
        str(tmp_path / "out"),
    ]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    env = plugins | {"TMPDIR": str(temporary)}
    runner = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children: list[int] = []
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not children:
        time.sleep(0.1)
        children = [
            int(pid)
            for task in Path(f"/proc/{runner.pid}/task").iterdir()
            for pid in (task / "children").read_text().split()
            if (tmp_path / "out" / "models" / "small.json").exists()
        ]
    assert children
    time.sleep(0.5)
    runner.kill()
    runner.wait()
    deadline = time.monotonic() + 120
    while any(map(_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(_alive, children)) and not list(temporary.iterdir())


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow(reason="runs a whole comparison")
def test_ctrl_c_keeps_what_is_finished(plugins: dict[str, str], model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    argv = [
        sys.executable,
        "-m",
        "memplan",
        "compare",
        str(model),
        "--solvers",
        "greedy,wild{fault=hang}",
        "--budgets",
        "MR",
        "--workers",
        str(os.cpu_count()),
        "-o",
        str(out),
    ]
    runner = subprocess.Popen(argv, env=plugins, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (out / "results.jsonl").exists() or not lines(out):
        time.sleep(0.1)
    runner.send_signal(signal.SIGINT)
    runner.communicate(timeout=120)
    assert runner.returncode == 130
    assert [r["solver"] for r in lines(out)] == ["greedy"] and (out / "report.html").exists()


@pytest.mark.slow(reason="compares many solvers in processes of their own")
def test_a_torn_last_line_is_run_again(command: Run, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("compare", model, "--solvers", "greedy", "--budgets", "MR,MP", "--workers", 1, "-o", out)
    assert command(*words).returncode == 0
    text = (out / "results.jsonl").read_text()
    before = names(lines(out))
    (out / "results.jsonl").write_text(text[:-40])
    (out / "plans" / ".torn.plan.json.x").write_text("{")
    done = command(*words, "--resume")
    assert done.returncode == 0 and names(lines(out)) == before
    assert not list((out / "plans").glob(".*"))
    (out / "results.jsonl").write_text("{}\n" + text)
    broken = command(*words, "--resume")
    assert broken.returncode == 2 and "line 1 is not a result" in broken.stderr


@pytest.mark.slow(reason="compares many solvers in processes of their own")
def test_resume_adds_solvers_and_refuses_other_limits(command: Run, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("compare", model, "--budgets", "MR", "--workers", 1, "-o", out)
    assert command(*words, "--solvers", "greedy").returncode == 0
    again = command(*words, "--solvers", "greedy")
    assert again.returncode == 2 and "holds results" in again.stderr and "--resume" in again.stderr
    assert command(*words, "--solvers", "greedy,wild", "--resume").returncode == 0
    assert [r["solver"] for r in lines(out)] == ["greedy", "wild"]
    unfair = command(*words, "--solvers", "greedy", "--resume", "--time-limit", 3)
    assert unfair.returncode == 2 and "time_limit_s = 10.0, not 3.0" in unfair.stderr


def test_what_a_solver_does_not_support_is_said(command: Run, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = command(
        "compare",
        model,
        "--solvers",
        "fixed_order",
        "--objectives",
        "latency",
        "--budgets",
        "MR",
        "-o",
        out,
    )
    assert done.returncode == 0
    assert {r["objective"]: r["outcome"] for r in lines(out)} == {"latency": "refused"}
    assert "not supported" in (out / "report.md").read_text()


@pytest.mark.slow(reason="runs a whole comparison")
def test_sizes_reach_the_models_and_their_plans(command: Run, tmp_path: Path) -> None:
    inputs = [onnx_models.value("x", ["rows", 40]), onnx_models.value("k", [1], TensorProto.INT64)]
    nodes = [helper.make_node("TopK", ["x", "k"], ["best", ""]), helper.make_node("Relu", ["best"], ["y"])]
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_models.model(nodes, inputs, [onnx_models.value("y", None)]).SerializeToString())
    options = "--solvers greedy --budgets max --workers 1".split()
    words = ["compare", path, *options, "-o", tmp_path / "out"]
    done = command(*words, "--dim", "rows=3")
    assert done.returncode == 2 and "--bound best=" in done.stderr
    done = command(*words, "--resume", "--dim", "rows=3", "--bound", "best=3,7")
    assert done.returncode == 0, done.stderr
    (record,) = lines(tmp_path / "out")
    plan = read_plan(tmp_path / "out" / record["plan"])
    assert plan.options.dims == {"rows": 3} and plan.options.bounds == {"best": (3, 7)}
    assert read_graph(tmp_path / "out" / "models" / "net.json").tensor["y"].shape == (3, 7)
    assert command("check", path, tmp_path / "out" / record["plan"]).returncode == 0


@pytest.mark.slow(reason="runs a whole comparison")
def test_cases_with_joins_and_recomputation(command: Run, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["--budgets", "MR", "--join", "off,on", "--recompute", "off,2", "--compute-limit", 1.5]
    done = command("compare", model, "--solvers", "greedy", *words, "--time-limit", 2, "-o", out)
    assert done.returncode == 0, done.stderr
    keys = ("join", "recompute", "compute_limit")
    found = {
        tuple(r[k] for k in keys): json.loads((out / r["plan"]).read_text())["options"] for r in lines(out)
    }
    assert {*found} == {("off", "off", ""), ("on", "off", ""), ("off", "2", "1.5"), ("on", "2", "1.5")}
    assert found["on", "2", "1.5"]["join"] and found["on", "2", "1.5"]["recompute"] == 2
    assert found["off", "2", "1.5"]["compute_limit"] == 1.5 and "join" not in found["off", "off", ""]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--solvers", "greedi"), "unknown solver 'greedi'"),
        (("--solvers", ""), "no solvers to compare"),
        (("--solvers", "greedy{schedule=x}"), "schedule = 'x'"),
        (("--budgets", "MX"), "'MX' is not a size"),
        (("--targets", "gpu"), "unknown target 'gpu'"),
        (("--targets", "stm32h743"), "'MR' on target 'stm32h743'"),
        (("--objectives", "speed"), "unknown objective 'speed'"),
        (("--weights", "some"), "unknown weights 'some'"),
        (("--join", "yes"), "unknown join 'yes'"),
        (("--recompute", "0"), "recompute '0'"),
        (("--recompute", "off", "--compute-limit", "2"), "compute_limit 2 where no op is executed again"),
        (("--capacity", "axi=4"), "no memory of target 'scratchpad' is called so"),
        (("--workers", "0"), "--workers '0'"),
        (("--memory-limit", "x"), "'x' is not a size"),
    ],
)
def test_bad_input_is_one_error_and_no_folder(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert main(["compare", str(model), *words, "-o", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("error:") == 1 and not (tmp_path / "out").exists()


@pytest.mark.slow(reason="starts several programs")
def test_a_model_that_cannot_be_loaded_stops_all(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--solvers", "greedy", "-o", str(tmp_path / "out")]
    bad = tmp_path / "bad.json"
    bad.write_text('{"format": "memplan-graph", "version": 1')
    for name, message in (
        (bad, "is not JSON"),
        ("resnet55", "did you mean 'resnet50'"),
        (tmp_path / "no.onnx", "no.onnx"),
    ):
        assert main(["compare", str(model), str(name), *words, "--resume"]) == 2
        assert message in capsys.readouterr().err
        assert (tmp_path / "out" / "results.jsonl").read_text() == ""
    twin = tmp_path / "twin"
    twin.mkdir()
    (twin / "small.json").write_text(model.read_text())
    assert main(["compare", str(model), str(twin / "small.json"), *words]) == 2
    assert "both called 'small'" in capsys.readouterr().err


@pytest.mark.slow(reason="starts several programs")
def test_two_runners_do_not_share_a_folder(
    plugins: dict[str, str], command: Run, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ["compare", str(model), "--solvers", "wild{fault=hang}", "--budgets", "MR", "-o", str(out)]
    first = subprocess.Popen(
        [sys.executable, "-m", "memplan", *words], env=plugins, stderr=subprocess.DEVNULL
    )
    while not (out / "results.jsonl").exists():
        time.sleep(0.05)
    time.sleep(0.2)
    second = command(*words, "--resume")
    first.kill()
    first.wait()
    assert second.returncode == 2 and "another comparison is writing" in second.stderr
