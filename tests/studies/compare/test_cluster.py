"""The same cases on a Ray cluster of this machine."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.studies.conftest import Run

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="the extra [ray] is not installed")


@pytest.mark.slow(reason="starts Ray")
def test_a_local_cluster_gives_the_same_answers(command: Run, model: Path, tmp_path: Path) -> None:
    words = (
        "compare",
        model,
        "--solvers",
        "greedy,wild{fault=segfault}",
        "--budgets",
        "MR,MP",
        "--workers",
        1,
    )
    here, there = tmp_path / "here", tmp_path / "there"
    assert command(*words, "-o", here).returncode == 0
    done = command(*words, "-o", there, "--ray", "local")
    assert done.returncode == 0, done.stderr
    answers = [
        {
            r["case"]: (r["outcome"], r["value"], r["bound"])
            for r in map(json.loads, (folder / "results.jsonl").read_text().splitlines())
        }
        for folder in (here, there)
    ]
    assert answers[0] == answers[1] and len(answers[0]) == 4
    assert {outcome for outcome, _, _ in answers[1].values()} == {"done", "crash"}


def test_nobody_listens(command: Run, model: Path, tmp_path: Path) -> None:
    done = command("compare", model, "--solvers", "greedy", "-o", tmp_path / "out", "--ray", "127.0.0.1:9")
    assert done.returncode == 2 and "no Ray cluster at '127.0.0.1:9'" in done.stderr
    assert not (tmp_path / "out").exists()
