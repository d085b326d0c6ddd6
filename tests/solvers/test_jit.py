"""How kernels are compiled."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from memplan_solvers import jit
from memplan_solvers.jit import borrow, inlined, inner, kernel


class Inside(NamedTuple):
    """What lies in a tuple of arrays."""

    table: Any  # int64[n, 2]


class Outside(NamedTuple):
    """A tuple of an array, a number and a tuple."""

    row: Any  # float64[n]
    factor: float
    inside: Inside


@inlined
def scale(of: Outside) -> None:
    """Change both arrays in place."""
    row, table = of.row, of.inside.table
    for i in range(len(row)):
        row[i] *= of.factor
        table[i, 1] += 1


@kernel
def rounds(of: Outside, count: int) -> float:
    """Scale so often; the sum of the row."""
    of = borrow(of)
    for _ in range(count):
        scale(of)
    return float(of.row.sum())


def test_what_is_borrowed_is_the_callers_at_any_depth_and_is_not_counted() -> None:
    of = Outside(np.arange(4.0), 2.0, Inside(np.zeros((4, 2), np.int64)))
    held = [sys.getrefcount(array) for array in (of.row, of.inside.table)]
    for _ in range(100):
        rounds(of, 0)
    assert rounds(of, 3) == 6 * 8
    assert of.row.tolist() == [0, 8, 16, 24] and of.inside.table.tolist() == [[0, 3]] * 4
    assert [sys.getrefcount(array) for array in (of.row, of.inside.table)] == held


@inlined
def twice(x: int) -> int:
    """A part of what calls it."""
    return 2 * x


@inner
def doubled(x: int) -> int:
    """Only kernels call it."""
    return int(twice(x))


@kernel
def calls_inner(x: int) -> int:
    """It is called by Python."""
    return int(doubled(x))


def test_what_only_kernels_call_is_compiled_as_a_part_of_them() -> None:
    assert calls_inner(21) == 42
    with pytest.raises(TypeError, match="test_jit.doubled is called by kernels only"):
        doubled(1)
    with pytest.raises(TypeError, match="called by kernels only"):
        twice(1)


@kernel(allocates=False)
def smallest(row: Any) -> int:
    """It allocates nothing."""
    least = row[0]
    for value in row:
        least = min(least, value)
    return int(least)


@kernel(allocates=False)
def copied(row: Any) -> int:
    """It allocates an array, against its word."""
    return int(row.copy().sum())


def test_what_allocates_nothing_has_nothing_to_count_with() -> None:
    row = np.arange(4)[::-1]
    assert smallest(row) == 0 and sys.getrefcount(row) == 2
    with pytest.raises(numba.core.errors.NumbaError, match="NRT"):
        copied(row)


KEPT = """
import sys
from memplan_solvers.jit import kernel

@kernel
def answer(x):
    return 42 + x

print(answer(0), len(answer.stats.cache_hits))
"""


@pytest.mark.slow(reason="starts several programs that compile")
def test_what_an_older_memplan_kept_is_compiled_anew(tmp_path: Path) -> None:
    """An index on disk may name classes that have moved since."""
    script = tmp_path / "kept.py"
    script.write_text(KEPT)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def run() -> str:
        return subprocess.run(
            [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True
        ).stdout

    (first, again) = run(), run()
    (index,) = tmp_path.rglob("*.nbi")
    index.write_bytes(pickle.dumps(numba.__version__) + b"cmemplan_solvers.jit\nGone\n.")
    assert (first, again) == ("42 0\n", "42 1\n")
    assert (run(), run()) == ("42 0\n", "42 1\n")


def _stores_no_reference_count() -> None:
    from numba.core import types
    from numba.core.datamodel import default_manager

    fields = default_manager[types.Array(types.int64, 1, "C")]._fields
    assert fields[0] == "meminfo", fields


def _tuples_name_their_members() -> None:
    kind = numba.typeof(Outside(np.zeros(1), 1.0, Inside(np.zeros((1, 2), np.int64))))
    assert len(kind.types) == 3 and len(kind.types[2].types) == 1


@pytest.mark.parametrize(
    ("what", "works"),
    [
        ("the option of `inlined`, forceinline, and the passes and libraries of `inner`", lambda: calls_inner(1)),
        ("the option of `allocates=False`, _nrt", lambda: smallest(np.arange(2))),
        ("`meminfo` as an array's first field, which `borrow` sets to null", _stores_no_reference_count),
        ("`types` of a tuple, through which `borrow` goes on", _tuples_name_their_members),
        ("`borrow` as a whole", lambda: rounds(Outside(np.zeros(1), 1.0, Inside(np.zeros((1, 2), int))), 1)),
        ("numba.core.registry.CPUDispatcher, whose class the debug switch changes", lambda: rounds.py_func),
    ],
)  # fmt: skip
def test_this_numba_has_what_jit_reaches_into(what: str, works: Callable[[], object]) -> None:
    try:
        works()
    except Exception as error:
        pytest.fail(
            f"numba {numba.__version__} has no longer {what}: memplan_solvers/jit_inside.py must be mended ({error!r})"
        )


def test_the_versions_that_are_known_are_those_that_are_installed_and_were_asked() -> None:
    root = Path(__file__).parents[2]
    (bounds,) = re.findall(r'"numba>=([\d.]+),<([\d.]+)"', (root / "pyproject.toml").read_text())
    least, above = (tuple(map(int, bound.split("."))) for bound in bounds)
    assert (least, (above[0], above[1] - 1)) == jit.TESTED and jit.is_tested(numba.__version__)
    rows = re.findall(
        r"^\| (\d+)\.(\d+)\S* \|.*\| (.*) \|$", (root / "docs" / "numba.md").read_text(), re.MULTILINE
    )
    assert {answers for _, _, answers in rows} == {"the same"}
    asked = sorted((int(major), int(minor)) for major, minor, _ in rows)
    assert (asked[0], asked[-1]) == jit.TESTED


UNKNOWN = """
import sys
import warnings

sys.modules["numba._dynfunc"] = None  # what a new version may lack
with warnings.catch_warnings(record=True) as heard:
    warnings.simplefilter("always")
    import memplan
    plan = memplan.plan(memplan.load("matmul_222_rank7_winograd"), solver="peak", objective="peak", time_limit_s=300)
assert plan.status == "optimal", plan
said = [str(w.message) for w in heard if issubclass(w.category, RuntimeWarning)]
assert len(said) == 1 and "numba 0.60 to 0.68 and not 0.99.0" in said[0], said
assert "memplan_solvers.jit_plain" in sys.modules and "memplan_solvers.jit_inside" not in sys.modules
"""


@pytest.mark.slow(reason="compiles in processes of their own")
def test_under_an_unknown_numba_kernels_are_compiled_by_documented_means(tmp_path: Path) -> None:
    """Every process takes the numba that is installed for a newer one."""
    (tmp_path / "sitecustomize.py").write_text("import numba\nnumba.__version__ = '0.99.0'\n")
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", UNKNOWN], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
