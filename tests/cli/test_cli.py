"""The program, as a process where that matters: exit statuses, what goes to stdout, what is left behind."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest

from memplan.io.graph_json import graph_text
from memplan.solving.testing import chain
from tests.cli.program import memplan, started
from tests.io.test_json import GOOD
from tests.onnx_models import external, model, small_cnn, value
from tests.test_api import HEAVY
from tests.tflite_models import branching
from tests.tiling.models import hourglass


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    onnx.save(small_cnn("N"), path)
    return path


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "net.json"
    path.write_text(json.dumps(GOOD))
    return path


def test_plan_check_run_show(net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = started("plan", net, "--scratchpad", "MR", "--emit", "json,onnx", "-o", out)
    assert done.returncode == 0, done.stderr
    assert "status     " in done.stdout and "'N'" in done.stderr
    assert sorted(p.name for p in out.iterdir()) == ["net.memplan.onnx", "net.plan.json"]
    plan, annotated = out / "net.plan.json", out / "net.memplan.onnx"
    for arguments in ((net, plan), (annotated,)):
        checked = memplan("check", *arguments, "--json")
        assert checked.returncode == 0 and json.loads(checked.stdout)["valid"] is True
        ran = memplan("run", *arguments)
        assert ran.returncode == 0 and "bit-identical" in ran.stdout
        shown = memplan("show", *arguments).stdout
        assert "conv1" in shown and "no spills: every storage stays" in shown
    assert "7 ops" in memplan("show", net).stdout


@pytest.mark.slow(reason="plans whole nets")
def test_a_plan_with_tiles_is_checked_and_shown_and_says_who_cannot_take_it(tmp_path: Path) -> None:
    net, plan = tmp_path / "net.onnx", tmp_path / "net.plan.json"
    onnx.save(hourglass(), net)
    options = (
        "--tile",
        "auto",
        "--scratchpad",
        "max",
        "--objective",
        "peak",
        "--order",
        "program",
        "--time-limit",
        "1",
        "-o",
        tmp_path,
    )
    done = memplan("plan", net, *options, "--emit", "json,html,svg,trace")
    assert done.returncode == 0 and "regions are executed tile by tile" in done.stderr, done.stderr
    assert json.loads(plan.read_text())["tiling"]
    assert "every rule holds" in memplan("check", net, plan).stdout
    assert "conv4[:,:,:,6:8]" in memplan("show", net, plan).stdout
    assert "of tiles (exact: " in memplan("run", net, plan).stdout
    refused = memplan("plan", net, *options, "--emit", "c,onnx")
    assert refused.returncode == 2 and "in tiles, which cannot be done here" in refused.stderr
    assert not list(tmp_path.glob("*.memplan.onnx"))


def test_ops_that_nobody_can_cut_are_named(graph: Path, tmp_path: Path) -> None:
    done = memplan("plan", graph, "--tile", "auto", "-o", tmp_path)
    assert done.returncode == 0 and "no tiles were found that help" in done.stderr
    assert "so they are no tiles: " in done.stderr
    assert "tiling" not in json.loads(next(tmp_path.glob("*.plan.json")).read_text())


def test_a_range_is_planned_once_and_run_at_sizes_in_it(net: Path, tmp_path: Path) -> None:
    done = memplan(
        "plan", net, "--dim", "N=1..8", "--scratchpad", "MR", "--emit", "json,onnx", "-o", tmp_path
    )
    assert done.returncode == 0, done.stderr
    plan, annotated = tmp_path / "net.plan.json", tmp_path / "net.memplan.onnx"
    assert json.loads(plan.read_text())["options"]["dims"] == {"N": [1, 8]}
    for arguments in ((net, plan), (annotated,)):
        for size in ([], ["--dim", "N=1"], ["--dim", "N=5"]):
            assert memplan("check", *arguments, *size).stdout.startswith("valid: every rule holds")
            assert "bit-identical" in memplan("run", *arguments, *size).stdout
    wide, narrow = (
        json.loads(memplan("check", net, plan, *s, "--json").stdout) for s in ([], ["--dim", "N=2"])
    )
    assert narrow["metrics"]["compulsory_load"] * 4 == wide["metrics"]["compulsory_load"]
    assert "conv1" in memplan("show", net, plan, "--dim", "N=3").stdout
    outside = memplan("run", net, plan, "--dim", "N=9")
    assert outside.returncode == 2 and "dimension 'N' = 9 lies outside of 1..8" in outside.stderr
    for text, words in (
        ("N=8..1", "a range is a pair"),
        ("N=1..", "a range such as 1..512"),
        ("N=1..x", "1..512"),
    ):
        refused = memplan("plan", net, "--dim", text)
        assert refused.returncode == 2 and words in refused.stderr
    again = memplan("run", net, plan, "--dim", "N=1..4")
    assert again.returncode == 2 and "choose one size within" in again.stderr


def test_pages_and_traces(graph: Path, tmp_path: Path) -> None:
    done = memplan("plan", graph, "--scratchpad", "MR", "--emit", "json,html,svg,trace", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    plan, page, picture = tmp_path / "net.plan.json", tmp_path / "net.html", tmp_path / "net.svg"
    assert page.read_text().startswith("<!DOCTYPE html>") and picture.read_text().startswith("<svg")
    assert json.loads((tmp_path / "net.trace.json").read_text())["traceEvents"]
    for plans in ((), (plan,), (plan, plan)):
        out = tmp_path / f"{len(plans)}.html"
        shown = memplan("show", graph, *plans, "-o", out)
        assert shown.returncode == 0 and str(out) in shown.stdout
        assert out.read_text().count('"label"') == len(plans)
    for ending in ("svg", "trace.json"):
        again = tmp_path / f"again.{ending}"
        assert memplan("show", graph, plan, "-o", again).returncode == 0
        assert again.read_text() == (tmp_path / f"net.{ending}").read_text()
    refused = memplan("plan", graph, "--scratchpad", 1, "--json", "-o", tmp_path)
    (tmp_path / "none.json").write_text(refused.stdout)
    assert memplan("show", graph, tmp_path / "none.json", "-o", tmp_path / "none.html").returncode == 0
    wrong = json.loads(plan.read_text())
    wrong["residencies"][0]["stop"] = 1 + len(wrong["schedule"])
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    cases = {
        (plan, "-o", "x.pdf"): (2, ".html"),
        (plan, plan): (2, "-o FILE.html"),
        (plan, plan, "-o", "x.svg"): (2, "shows one plan"),
        ("-o", "x.trace.json"): (2, "shows one plan"),
        (plan, plan, plan, "-o", "x.html"): (2, "two side by side"),
        (tmp_path / "wrong.json", "-o", tmp_path / "wrong.html"): (5, "not valid"),
    }
    for arguments, (status, hint) in cases.items():
        shown = memplan("show", graph, *arguments)
        assert (shown.returncode, hint in shown.stderr, "Traceback" in shown.stderr) == (
            status,
            True,
            False,
        ), shown.stderr
    assert not (tmp_path / "wrong.html").exists()


def test_json_goes_to_stdout_alone(net: Path, tmp_path: Path) -> None:
    done = memplan("plan", net, "--json", "-o", tmp_path)
    plan = json.loads(done.stdout)
    assert plan["format"] == "memplan-plan" and plan["status"] == "optimal" and plan["value"] == 0
    assert plan == json.loads((tmp_path / "net.plan.json").read_text())


def test_same_call_same_file(net: Path, tmp_path: Path) -> None:
    texts = []
    for folder in ("a", "b"):
        memplan("plan", net, "--scratchpad", "MR", "-o", tmp_path / folder)
        plan = json.loads((tmp_path / folder / "net.plan.json").read_text())
        plan.pop("seconds"), plan.pop("total_seconds")
        texts.append(json.dumps(plan))
    assert texts[0] == texts[1]


def test_infeasible_names_the_op_and_what_is_missing(net: Path, tmp_path: Path) -> None:
    done = memplan("plan", net, "--scratchpad", 3000, "-o", tmp_path / "out")
    assert done.returncode == 3
    assert "op 'add' needs 3072 bytes" in done.stderr and "72 bytes are missing" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_runtime_is_planned_for_and_named(tmp_path: Path) -> None:
    file = tmp_path / "net.tflite"
    file.write_bytes(branching())
    made = memplan(
        "plan", file, "--runtime", "tflm", "--solver", "greedy", "--emit", "tflite", "-o", tmp_path
    )
    assert made.returncode == 0 and "with runtime tflm" in made.stdout
    assert (tmp_path / "net.memplan.tflite").is_file()
    short = memplan("plan", file, "--runtime", "tflm", "--scratchpad", "1KiB", "-o", tmp_path)
    assert short.returncode == 3 and "op 'conv_2d_0' needs" in short.stderr
    assert (
        "bytes are missing\nhint: give --scratchpad max" in short.stderr and "--io host" not in short.stderr
    )


def test_a_tflite_file_is_executed_by_its_own_runtime(tmp_path: Path) -> None:
    file = tmp_path / "net.tflite"
    file.write_bytes(branching())
    memplan("plan", file, "--runtime", "tflm", "--solver", "greedy", "-o", tmp_path)
    done = memplan("run", file, tmp_path / "net.plan.json")
    assert done.returncode == 5 and "hint: memplan measure" in done.stderr
    unknown = memplan("measure", file, tmp_path / "net.plan.json", "--on", "tflmm")
    assert unknown.returncode == 2 and "did you mean 'tflm'" in unknown.stderr


def test_a_broken_plan_is_refused(graph: Path, tmp_path: Path) -> None:
    memplan("plan", graph, "-o", tmp_path)
    path = tmp_path / "net.plan.json"
    plan = json.loads(path.read_text())
    plan["metrics"]["peak"] += 1
    path.write_text(json.dumps(plan))
    done = memplan("check", graph, path)
    assert done.returncode == 5 and "peak is claimed as" in done.stderr


def test_a_plan_of_another_model_is_one_violation_with_a_hint(graph: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    onnx.save(small_cnn("N"), other)
    assert memplan("plan", other, "-o", tmp_path).returncode == 0
    plan = tmp_path / "other.plan.json"
    assert json.loads(plan.read_text())["options"]["dims"] == {"N": 1}  # which the other graph has not got
    done = memplan("check", graph, plan)
    assert done.returncode == 5 and done.stderr.count("violation:") == 1
    assert (
        "made for another graph than" in done.stderr
        and "hint: name the model that was planned" in done.stderr
    )
    for arguments in (("show", graph, plan), ("show", graph, plan, "--json"), ("run", graph, plan)):
        refused = memplan(*arguments)
        assert (
            refused.returncode in (2, 5)
            and refused.stdout == ""
            and "made for another graph than" in refused.stderr
        )


def test_a_plan_fits_every_form_of_its_model(net: Path, tmp_path: Path) -> None:
    """The annotated model and the graph as JSON leave no dimension free; they are the graph that was planned."""
    assert memplan("plan", net, "--dim", "N=3", "--emit", "json,onnx", "-o", tmp_path).returncode == 0
    plan, again = tmp_path / "net.plan.json", tmp_path / "again.json"
    shown = memplan("show", net, "--dim", "N=3", "--json")
    again.write_text(shown.stdout)
    for form in (net, tmp_path / "net.memplan.onnx", again):
        checked = memplan("check", form, plan)
        assert checked.returncode == 0, checked.stderr


def test_names_that_a_terminal_cannot_show(tmp_path: Path) -> None:
    tensors = [
        {"name": name, "nbytes": 8, "kind": kind}
        for name, kind in (("\u00e9", "input"), ("\u6f22", "output"))
    ]
    graph = {
        "format": "memplan-graph",
        "version": 1,
        "name": "\u5b57",
        "tensors": tensors,
        "ops": [{"name": "\u2192", "kind": "Conv", "inputs": ["\u00e9"], "outputs": ["\u6f22"]}],
    }
    path = tmp_path / "net.json"
    path.write_text(json.dumps(graph))
    for arguments in (
        ("plan", path, "-o", tmp_path),
        ("show", path, tmp_path / "net.plan.json"),
        ("plan", "--help"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "memplan", *map(str, arguments)],
            capture_output=True,
            env=os.environ | {"PYTHONIOENCODING": "ascii"},
        )
        assert done.returncode == 0 and b"\\u" in done.stdout, done.stderr


def test_closed_stdout_and_stderr(graph: Path, tmp_path: Path) -> None:
    command = f"'{sys.executable}' -m memplan plan '{graph}' -o '{tmp_path}' >&- 2>&-"
    assert subprocess.run(["bash", "-c", command]).returncode == 0
    assert (tmp_path / "net.plan.json").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, which stands for a full disk")
@pytest.mark.parametrize(
    "command", ["zoo", "--help", "--version", "plan --json", "show --json", "check --json"]
)
def test_a_full_disk_is_one_clear_error(command: str, graph: Path, tmp_path: Path) -> None:
    word, *options = command.split()
    if options:
        plan = memplan("plan", graph, "-o", tmp_path)
        assert plan.returncode == 0
        files = [str(graph)] if word == "plan" else [str(graph), str(tmp_path / "net.plan.json")]
        options = [*files, *options, *(["-o", str(tmp_path)] if word == "plan" else [])]
    call = [sys.executable, "-m", "memplan", word, *options]
    with open("/dev/full", "w") as full:
        done = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, which stands for a full disk")
def test_an_error_that_cannot_be_said_keeps_its_status() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "memplan", "plan", "no.json"], stderr=full)
        unheard = subprocess.run([sys.executable, "-m", "memplan", "zoo"], stdout=full, stderr=full)
    assert done.returncode == unheard.returncode == 2


def test_a_graph_without_kernels_is_not_executed(graph: Path, tmp_path: Path) -> None:
    memplan("plan", graph, "-o", tmp_path)
    done = memplan("run", graph, tmp_path / "net.plan.json")
    assert (
        done.returncode == 2 and "without an ONNX source" in done.stderr and "hint: give the" in done.stderr
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plan", "GRAPH", "--solver", ""), "is not a solver spec"),
        (("plan", "GRAPH", "--solver", "gredy"), "did you mean 'greedy'"),
        (("plan", "GRAPH", "--solver", "greedy{shedule=all}"), "did you mean 'schedule'"),
        (("plan", "GRAPH", "--solver", "greedy{schedule=progam}"), "did you mean 'program'"),
        (("plan", "GRAPH", "--target", "tpu-v4"), "did you mean 'tpu-v4i'"),
        (("plan", "GRAPH", "--scratchpad", "64KX"), "'64KX' is not a size"),
        (("plan", "GRAPH", "--scratchpad", "-5"), "error"),
        (("plan", "GRAPH", "--scratchpad", "0.3"), "'0.3' is 0.3 bytes"),
        (("plan", "GRAPH", "--scratchpad", "0MP"), "'0MP' is 0 bytes"),
        (("plan", "GRAPH", "--scratchpad", "9999999999GiB"), "2^62"),
        (("plan", "GRAPH", "--alignment", "0"), "--alignment '0'"),
        (("plan", "GRAPH", "--time-limit", "nan"), "--time-limit 'nan'"),
        (("plan", "GRAPH", "--workers", "many"), "--workers 'many'"),
        (("plan", "GRAPH", "--objective", "speed"), "invalid choice: 'speed'"),
        (("plan", "GRAPH", "--objective", "latency"), "has no timing"),
        (("plan", "GRAPH", "--target", "stm32h743", "--objective", "peak"), "use --objective traffic"),
        (
            ("plan", "GRAPH", "--target", "stm32h743", "--objective", "compute"),
            "no installed solver does; use --objective traffic",
        ),
        (("plan", "GRAPH", "--recompute", "always"), "it is off, any, or a number of executions from 1"),
        (("plan", "GRAPH", "--compute-limit", "2"), "give --recompute any, or do without --compute-limit"),
        (("plan", "GRAPH", "--compute-limit", "0.5"), "--compute-limit '0.5'"),
        (("plan", "GRAPH", "--join", "yes"), "invalid choice: 'yes'"),
        (("plan", "GRAPH", "--capacity", "axi"), "write MEMORY=SIZE"),
        (("plan", "GRAPH", "--capacity", "hots=4"), "did you mean 'host'"),
        (("plan", "GRAPH", "--capacity", "a=4", "--capacity", "a=5"), "'a' is given twice"),
        (("plan", "GRAPH", "--pin", "x=scratchpda"), "did you mean 'scratchpad'"),
        (("sweep", "GRAPH", "--recompute", "0"), "recompute '0'"),
        (("plan", "GRAPH", "--emit", "jsn"), "did you mean 'json'"),
        (("plan", "GRAPH", "--emit", "onnx"), "hint"),
        (("plan", "GRAPH", "--dim", "N"), "--dim 'N'"),
        (("plan", "GRAPH", "--dim", "N=2"), "no free dimensions"),
        (("plan", "GRAPH", "--frobnicate"), "unrecognized arguments: --frobnicate"),
        (("plan", "GRAPH", "--scratchpda=MR"), "did you mean '--scratchpad'"),
        (("plan", "GRAPH", "--time", "5"), "did you mean '--time-limit'"),
        (("plan", "GRAPH", "other"), "see `memplan plan --help`"),
        (("plan", "GRAPH", "--time-limit", "1e308"), "10^9 at most"),
        (("sweep", "GRAPH", "--from", "10", "--to", "5"), "from 10 to 5 bytes"),
        (("plan",), "MODEL"),
        (("plam", "GRAPH"), "did you mean 'plan'"),
        (("plan", "resnet5"), "resnet50"),
        (("plan", "absent.onnx"), "cannot read"),
        (("check", "GRAPH"), "carries no plan"),
        (("check", "GRAPH", "GRAPH"), "format is 'memplan-graph'"),
        (("run", "GRAPH", "absent.json"), "cannot read"),
    ],
)
def test_bad_usage_is_one_clear_error(
    arguments: tuple[str, ...], message: str, graph: Path, tmp_path: Path
) -> None:
    words = [str(graph) if word == "GRAPH" else word for word in arguments]
    before = sorted(tmp_path.iterdir())
    done = memplan(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.startswith("error: ") and "\nhint: " in done.stderr and "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_bad_models_are_one_clear_error(tmp_path: Path) -> None:
    outside = model(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        [value("x", [2, 3])],
        [value("y", None)],
        [external("w", [3, 4], "../../etc/passwd")],
    )
    for name, content in (
        ("empty.onnx", b""),
        ("empty.json", b""),
        ("cut.onnx", small_cnn().SerializeToString()[:300]),
        ("outside.onnx", outside.SerializeToString()),
        ("cut.json", json.dumps(GOOD).encode()[:90]),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        done = memplan("plan", path, "-o", tmp_path / "out")
        assert done.returncode == 2 and done.stderr.startswith("error: ") and "\nhint: " in done.stderr
        assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(graph: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = memplan("plan", graph, "-o", tmp_path / "file" / "sub")
    assert done.returncode == 2 and "cannot write" in done.stderr


def test_a_folder_that_cannot_be_written_is_said_before_the_work(graph: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for words in (
        ("plan", tmp_path / "absent.json"),
        ("sweep", tmp_path / "absent.json"),
        ("pack", tmp_path / "absent.csv", "--minimize"),
    ):
        done = memplan(*words, "-o", file / "x.csv" if words[0] == "pack" else file)
        assert done.returncode == 2 and "is no folder" in done.stderr and "absent" not in done.stderr
    assert memplan("plan", graph, "-o", tmp_path / "new" / "folder").returncode == 0


@pytest.mark.slow(reason="plans whole nets")
def test_the_readme_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    example = readme.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert "bit-identical" in capsys.readouterr().out and (tmp_path / "out" / "resnet50.html").exists()


def test_lists() -> None:
    for command, name in (("solvers", "greedy"), ("targets", "tpu-v4i"), ("zoo", "resnet50")):
        assert name in memplan(command).stdout
        assert name in [row["name"] for row in json.loads(memplan(command, "--json").stdout)]


def test_the_page_about_solvers_has_the_table_that_the_program_prints() -> None:
    page = (Path(__file__).parents[2] / "docs" / "solvers.md").read_text(encoding="utf-8")
    summaries, table = memplan("solvers").stdout.rstrip().split("\n\n")
    assert f"```text\n{table}\n```" in page
    assert len(summaries.splitlines()) == len(table.splitlines()) - 1


def test_help_and_version_load_nothing_heavy() -> None:
    code = f"import sys; from memplan.cli import main; main(['--help']); print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert memplan("--version").stdout.startswith("memplan ")
    assert "--scratchpad" in memplan("plan", "--help").stdout


@pytest.mark.slow(reason="starts several programs")
def test_interrupt_writes_the_best_plan_so_far(tmp_path: Path) -> None:
    path = tmp_path / "chain.json"
    path.write_text(graph_text(chain(6000)))
    command = [
        sys.executable,
        "-m",
        "memplan",
        "plan",
        str(path),
        "--scratchpad",
        "2000",
        "--time-limit",
        "600",
        "-o",
        str(tmp_path),
    ]
    terminal, theirs = pty.openpty()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs)
    said, begin = b"", time.monotonic()
    while not re.search(rb"best \d", said):  # the live line tells of a plan
        assert select.select([terminal], [], [], 300)[0] and time.monotonic() - begin < 300, said
        said += os.read(terminal, 4096)
    child.send_signal(signal.SIGINT)
    begin = time.monotonic()
    child.communicate(timeout=300)
    assert child.returncode == 130, said
    assert time.monotonic() - begin < 300  # of the 600 it was given
    assert memplan("check", path, tmp_path / "chain.plan.json").returncode == 0


def test_pins_from_words_and_a_file(net: Path, tmp_path: Path) -> None:
    pins = tmp_path / "pins.json"
    pins.write_text('{"y": "@4096"}')
    done = memplan("plan", net, "--pins", pins, "--solver", "greedy", "--json", "-o", tmp_path)
    plan = json.loads(done.stdout)
    assert plan["options"]["pins"] == {"y": "@4096"}
    assert {r["offset"] for r in plan["residencies"] if r["tensor"] == "y"} == {4096}
    assert memplan("check", net, tmp_path / "net.plan.json").returncode == 0
    refused = memplan("plan", net, "--pin", "y=host", "-o", tmp_path)
    assert refused.returncode == 2 and "must be in the scratchpad" in refused.stderr
    beyond = memplan("plan", net, "--scratchpad", "4096", "--pin", "y=@4096", "-o", tmp_path)
    assert beyond.returncode == 3 and "pinned to 4096" in beyond.stderr
