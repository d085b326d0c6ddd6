"""The example of docs/: installed beside memplan, it joins a comparison and passes the conformance suite."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "docs" / "example_plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the example is installed, offline."""
    folder = tmp_path_factory.mktemp("plugin")
    source, site = folder / "source", folder / "site"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--disable-pip-version-check",
        "--target",
        str(site),
        str(source),
    ]
    subprocess.run(pip, check=True, timeout=120)
    return os.environ | {"PYTHONPATH": str(site)}


def run(env: dict[str, str], *words: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, env=env)


@pytest.mark.slow(reason="starts several programs")
def test_all_three_are_listed(installed: dict[str, str]) -> None:
    for listing, name in (("solvers", "keep_or_reload"), ("targets", "tiny-npu"), ("zoo", "hourglass")):
        rows = json.loads(run(installed, "memplan", listing, "--json").stdout)
        assert name in [row["name"] for row in rows]


@pytest.mark.slow(reason="compares many solvers in processes of their own")
def test_all_three_join_a_comparison(installed: dict[str, str], tmp_path: Path) -> None:
    done = run(
        installed,
        "memplan",
        "compare",
        "hourglass",
        "resnet8_int8",
        "--targets",
        "tiny-npu,scratchpad",
        "--solvers",
        "keep_or_reload{tries=5},greedy",
        "--budgets",
        "MR,MP",
        "--workers",
        1,
        "-o",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert len(records) == 16 and {r["outcome"] for r in records} == {"done"}
    mine = {
        (r["solver"], r["budget"]): r["value"]
        for r in records
        if r["model"] == "hourglass" and r["target"] == "tiny-npu"
    }
    assert mine["keep_or_reload{tries=5}", "MR"] >= mine["greedy", "MR"] > 0
    assert mine["keep_or_reload{tries=5}", "MP"] == mine["greedy", "MP"] == 0


@pytest.mark.slow(reason="runs the conformance suite of every solver")
def test_it_conforms(installed: dict[str, str]) -> None:
    done = run(installed, "pytest", "-q", "-p", "no:cacheprovider", EXAMPLE / "tests", "-c", os.devnull)
    assert done.returncode == 0, done.stdout


def test_a_broken_package_is_named(tmp_path: Path) -> None:
    info = tmp_path / "sad-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sad\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[memplan.solvers]\nsad = nowhere:Sad\n[memplan.targets]\ngloomy = json:loads\n[memplan.models]\nblue = os:getcwd\n"
    )
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = run(env, "memplan", "plan", "resnet8_int8", "--solver", "sad", "-o", tmp_path)
    assert done.returncode == 2 and "'sad' of package 'sad' cannot be loaded" in done.stderr
    assert "Traceback" not in done.stderr
    done = run(env, "memplan", "plan", "blue", "--solver", "greedy", "-o", tmp_path)
    assert done.returncode == 2 and "model 'blue' is a str" in done.stderr
