"""Processes in which native code runs: what they answer, and what is left of those that it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from memplan.base.errors import ExecutionError
from memplan.runtimes import native

ANSWERS = (
    "from memplan.runtimes.native import answer\nanswer(lambda asked, data: [asked['at'], data.decode()])\n"
)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a module `asked`, which processes find."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "asked.py"


def test_a_process_answers_on_its_last_line(module: Path) -> None:
    module.write_text("print('loading')\n" + ANSWERS)
    assert native.ask("asked", "Runtime", {"at": 3}, b"program") == ([3, "program"], "")


@pytest.mark.parametrize("end", ["os._exit(0)", "os.abort()"])
def test_a_process_that_native_code_ends_answers_nothing(module: Path, end: str) -> None:
    module.write_text(f"import os\nos.write(2, b'no')\n{end}\n")
    assert native.ask("asked", "Runtime", {}, b"") == (None, "no")


def test_a_process_that_does_not_end_is_ended(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "TIMEOUT_S", 0.5)
    module.write_text("import time\ntime.sleep(600)\n")
    with pytest.raises(ExecutionError, match="Runtime has not run the model in 0.5 s"):
        native.ask("asked", "Runtime", {}, b"")
