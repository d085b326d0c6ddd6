"""Kernels that are not compiled yet never keep a plan waiting, unless their solver was asked for by name."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import memplan_solvers
import pytest

SOLVERS = Path(memplan_solvers.__file__).parent
DATA = Path(__file__).parents[1] / "data"

SCRIPT = """
import sys
import memplan
from memplan_solvers.compiled import _compilers, load, ready
from memplan.solving.solver import Budget

model, heard = memplan.load(sys.argv[1]), []
def ask(solver, limit):
    return memplan.plan(model, scratchpad=405_696, solver=solver, time_limit_s=limit, workers=2, progress=heard.append)

plan = ask("portfolio{skip=search+fixed_order+ilp+baseline}", 0.6)
assert plan.status == "feasible" and _compilers["peak"].poll() is None, plan.status  # nobody waited for it
assert "was left out, still being compiled" in plan.reason, plan.reason
assert not ready("peak", Budget(0.0)) and any(news.phase.startswith("peak: compiling") for news in heard)
plan = ask("peak", 2.0)
assert plan.bound > 0 and "proved" in plan.reason, plan.reason
assert plan.seconds < plan.total_seconds - 1, "compiling is off the clock"
assert _compilers["peak"].poll() == 0 and ready("peak", Budget(0.0))
before = Budget(1.0)
assert load("peak", before).started - before.started < 0.5
assert list(_compilers) == ["peak"]
"""


@pytest.mark.slow(reason="compiles in a process of its own")
def test_a_limit_holds_before_anything_is_compiled(tmp_path: Path) -> None:
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", SCRIPT, str(DATA / "nasnet_a_cifar_6_32_raw.json")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    again = SCRIPT.split("plan = ask")[0] + "assert ready('peak', Budget(5.0)) and not _compilers"
    done = subprocess.run(
        [*command[:2], again, command[3]], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


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
from memplan.solving.solver import Budget

compiled._compiler = lambda name: subprocess.Popen([sys.executable, "-c", ""])  # it keeps nothing either
with warnings.catch_warnings(record=True) as heard:
    warnings.simplefilter("always")
    assert compiled.ready("peak", Budget(120.0)) and compiled.ready("pack", Budget(120.0))
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
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", COMPILER], env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow(reason="compiles in a process of its own")
@pytest.mark.parametrize("trouble", ["full", "unwritable"])
def test_kernels_that_cannot_be_kept_are_compiled_for_this_process(tmp_path: Path, trouble: str) -> None:
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", UNKEPT, trouble]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
