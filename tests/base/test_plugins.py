"""Entry points of other packages: listed without an import, and named where they fail."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from memplan.base.errors import MemplanError
from memplan.base.plugins import SOLVERS, load_plugin, plugins


def test_plugins_are_listed_by_name_without_an_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "late-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: late\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[memplan.solvers]\nzz_late = memplan_late:Late\naa_late = json:loads\n"
    )
    (tmp_path / "memplan_late.py").write_text("raise SystemError('asked too early')\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = plugins.__wrapped__(SOLVERS)
    assert list(found) == sorted(found) and {"zz_late", "aa_late", "greedy"} <= found.keys()
    assert "memplan_late" not in sys.modules
    assert load_plugin(found["aa_late"]).__name__ == "loads"
    with pytest.raises(
        MemplanError, match="'zz_late' of package 'late' cannot be loaded: SystemError: asked"
    ) as caught:
        load_plugin(found["zz_late"])
    assert "'memplan.solvers' is 'memplan_late:Late'" in caught.value.hint


def test_they_are_read_once_a_process() -> None:
    assert plugins(SOLVERS) is plugins(SOLVERS)


def test_what_belongs_to_no_package_is_named_alone() -> None:
    with pytest.raises(MemplanError, match="^'sad' cannot be loaded: ModuleNotFoundError"):
        load_plugin(EntryPoint("sad", "memplan_no_such_module:Sad", SOLVERS))
