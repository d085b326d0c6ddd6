"""A small model, a plug-in package of wild solvers, and the program as a process that knows it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from memplan.io.graph_json import graph_text
from memplan.solving.testing import chain
from tests.studies.compare import wild

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the wild solvers are installed."""
    site = tmp_path_factory.mktemp("site")
    (site / "wild_package.py").write_text(wild.SOURCE.read_text())
    info = site / "wild-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wild\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[memplan.solvers]\nwild = wild_package:Wild\n")
    return os.environ | {"PYTHONPATH": str(site)}


@pytest.fixture
def command(plugins: dict[str, str]) -> Run:
    """Runs `memplan …` to its end."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "memplan", *map(str, words)]
        return subprocess.run(argv, capture_output=True, text=True, timeout=120, env=plugins)

    return run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.json"
    path.write_text(graph_text(chain(13)))
    return path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "larger.json"
    path.write_text(graph_text(chain(20)))
    return path
