"""What a run of the tests leaves out stands in its summary, each reason once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import conftest

TESTS = """
import pytest

@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_loop(seed): ...

@pytest.mark.slow(reason="drives a browser")
def test_page(): ...

@pytest.mark.parametrize("name", "ab")
def test_extra(name):
    pytest.skip("no extra is installed")

def test_quick(): ...
"""


@pytest.mark.parametrize(
    "workers", [0, pytest.param(2, marks=pytest.mark.slow(reason="starts several programs"))]
)
def test_what_is_left_out_is_named_once_a_reason(tmp_path: Path, workers: int) -> None:
    shutil.copy(conftest.__file__, tmp_path)
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
    words = ["-q", "-q", "-n", str(workers), "-m", "not slow"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    _, _, summary = done.stdout.partition("not run")
    told = [" ".join(line.split()) for line in summary.splitlines()[1:4]]
    assert told == ["2 no extra is installed", "3 slow: a long loop over seeds", "1 slow: drives a browser"]
