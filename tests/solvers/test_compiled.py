"""Whoever needs kernels waits for them off the clock, once on a machine, until somebody cancels."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import memplan_solvers
import pytest
from memplan_solvers import compiled

from memplan.solving.limits import Limits

SOLVERS = Path(memplan_solvers.__file__).parent
DATA = Path(__file__).parents[1] / "data"

WAITS = """
import sys
import memplan
from memplan_solvers.compiled import _compilers, load
from memplan.solving.limits import Limits

model = memplan.load(sys.argv[1])

def ask(solver, limit, stop=False, objective="traffic"):
    heard = []
    plan = memplan.plan(model, "ethos-u65" if objective == "latency" else "scratchpad", scratchpad=405_696, solver=solver,
        objective=objective, time_limit_s=limit, workers=2, progress=heard.append, cancel=lambda: stop and bool(notices(heard)))
    return plan, notices(heard)

def notices(heard):
    return [news.phase for news in heard if news.notice]

SOLVER = "portfolio{skip=search+benders+fixed_order+ilp+baseline}"  # ends by itself
cold, said = ask(SOLVER, 300.0)
assert "the search for the least peak" in said[0] and "once on this machine" in said[0], said
assert cold.seconds < cold.total_seconds - 1.0, "compiling is off the clock"
assert _compilers["peak"].poll() == 0
warm, said = ask(SOLVER, 300.0)
assert not said and cold.bound == warm.bound > 0 and "proved" in cold.reason, (cold.reason, warm.reason)
assert ask("greedy", 300.0)[0].bound < cold.bound
for solver, objective, what in (
    ("search", "traffic", "the search over order and spills"),
    ("portfolio", "traffic", "the search over order and spills"),
    ("msa", "latency", "memory space assignment"),
    ("portfolio", "latency", "the mallocGame"),
):
    cut, said = ask(solver, 300.0, True, objective)
    assert cut.status == "feasible" and what in said[0], (cut.status, said)
    assert f"cancelled while the kernels of {what}" in cut.reason and "plan again" in cut.reason, cut.reason
    assert cut.solver == solver
    if objective == "traffic":
        assert any(compiler.poll() is None for compiler in _compilers.values()), "they go on"
    elif "in plain Python" in cut.reason:
        assert cut.value < cut.metrics.latency_all_host_s
"""


def test_kernels_beside_each_other_are_compiled_at_once_and_each_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[str] = []

    def start(module: str, name: str, **options: object) -> subprocess.Popen[bytes]:
        started.append(name)
        return subprocess.Popen([sys.executable, "-c", ""])

    monkeypatch.setattr(compiled, "start", start)
    monkeypatch.setattr(compiled, "_compilers", {})
    monkeypatch.setattr(compiled, "_loaded", set())
    monkeypatch.setattr(compiled, "_warm", lambda name, unless: len(started) == 2)
    ahead = compiled.KERNELS["frontiers"].compiler()
    assert compiled.load("search", Limits())
    assert sorted(started) == ["frontiers", "search"] and compiled.KERNELS["frontiers"].compiler() is ahead


KEPT = """
import time
from memplan_solvers.compiled import _compilers, load
from memplan.solving.limits import Limits

begin = time.process_time()
assert load("peak", Limits()) and not _compilers and time.process_time() - begin < 4.0  # a third of what compiling takes
"""


def run(code: str, folder: Path, *words: str) -> None:
    """Run `code` in an interpreter of its own whose kernels are kept in `folder`."""
    env = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


NEVER_WAITS = """
import sys
import memplan
from memplan.cli import main
from memplan_solvers.compiled import _compilers

model, heard = memplan.load("resnet8_int8"), []
for options in (
    dict(target="ethos-u65", scratchpad="64KiB", objective="latency", solver="msa"),
    dict(target="ethos-u65", scratchpad="64KiB", objective="latency"),
    dict(scratchpad="MR", solver="search"),
):
    plan = memplan.plan(model, time_limit_s=60, compiles=False, progress=heard.append, **options)
    assert not _compilers and not any(news.notice for news in heard)
    if "objective" in options:
        assert plan.value < 0.6 * plan.metrics.latency_all_host_s, plan.value
        assert plan.reason.endswith(", which are not compiled"), plan.reason
command = "plan resnet8_int8 --target ethos-u65 --scratchpad 64KiB --objective latency --solver msa --no-compile -o"
assert main([*command.split(), sys.argv[1]]) == 0 and not _compilers
"""


@pytest.mark.slow(reason="plans without any kernel")
def test_who_does_not_wait_gets_what_needs_no_kernels(tmp_path: Path) -> None:
    run(NEVER_WAITS, tmp_path, str(tmp_path))


@pytest.mark.slow(reason="compiles in a process of its own")
def test_a_first_plan_waits_off_its_clock_and_a_cancelled_one_says_what_is_missing(tmp_path: Path) -> None:
    run(WAITS, tmp_path, str(DATA / "nasnet_a_cifar_6_32_raw.json"))
    run(KEPT, tmp_path)


def test_python_calls_no_kernel_that_only_kernels_may_call() -> None:
    functions = [
        node
        for path in SOLVERS.glob("**/*.py")
        if re.search(r"jit import .*\binner\b", path.read_text())
        or "layer.add_set" in path.read_text()
        or "search.least_peak" in path.read_text()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    ]
    marks = {
        f: {m.id for d in f.decorator_list for m in ast.walk(d) if isinstance(m, ast.Name)} for f in functions
    }
    inner = {f.name for f in functions if "inner" in marks[f]}
    assert "weigh" in inner
    for f in functions:
        if not marks[f] & {"inlined", "inner", "kernel"}:
            called = {c.func for c in ast.walk(f) if isinstance(c, ast.Call)}
            names = {
                c.id if isinstance(c, ast.Name) else c.attr
                for c in called
                if isinstance(c, ast.Name | ast.Attribute)
            }
            assert not names & inner, f"{f.name} would crash"


UNKEPT = """
import subprocess, sys, warnings
from numba.core import caching

def refuse(*_):
    raise OSError(28, "No space left on device")

if sys.argv[1] == "full":
    caching.IndexDataCacheFile.save = refuse
else:
    caching._CacheLocator.ensure_cache_path = refuse

from memplan_solvers import compiled
from memplan.solving.limits import Limits

compiled.start = lambda *words, **options: subprocess.Popen([sys.executable, "-c", ""])  # it keeps nothing either
with warnings.catch_warnings(record=True) as heard:
    warnings.simplefilter("always")
    assert not compiled.load("peak", Limits(cancel=lambda: True))
    compiled._compilers["peak"].wait()
    assert not compiled.load("peak", Limits(cancel=lambda: True)), "nor does this process compile on"
    assert compiled.load("peak", Limits()) and compiled.load("pack", Limits())
said = [str(w.message) for w in heard if "NUMBA_CACHE_DIR" in str(w.message)]
assert len(said) == 1, said
"""


COMPILER = """
import os, runpy, sys
from numba.core import caching

os.environ["MEMPLAN_LIFELINE"] = str(os.pipe()[0])

def refuse(*_):
    kept.append(1)
    raise OSError(28, "No space left on device")

kept = []
caching.IndexDataCacheFile.save = refuse
sys.argv[1:] = ["peak"]
try:
    runpy.run_module("memplan_solvers.compiled", run_name="__main__")
except SystemExit:
    pass
assert len(kept) == 1, kept
"""


@pytest.mark.slow(reason="compiles in a process of its own")
def test_a_compiler_ends_at_the_first_kernel_that_cannot_be_kept(tmp_path: Path) -> None:
    run(COMPILER, tmp_path)


@pytest.mark.slow(reason="compiles in a process of its own")
@pytest.mark.parametrize("trouble", ["full", "unwritable"])
def test_kernels_that_cannot_be_kept_are_compiled_for_this_process(tmp_path: Path, trouble: str) -> None:
    run(UNKEPT, tmp_path, trouble)
