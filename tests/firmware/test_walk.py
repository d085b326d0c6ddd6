"""What docs/firmware.md says is what happens: its commands and its C, run as a reader would."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.program import memplan
from tests.firmware.compiler import COMPILERS, STRICT
from tests.pages import DOCS, blocks, commands

PAGE = (DOCS / "firmware.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `memplan (plan [^`]*)` \| (\d+) \| ([\d.]+) KB \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_walk_from_a_model_to_a_device(tmp_path: Path, compiler: str) -> None:
    (main,) = blocks("firmware.md", "c")
    (tmp_path / "main.c").write_text(main, encoding="utf-8")
    printed = ""
    for command, *words in commands("firmware.md"):
        if command == "memplan":
            assert memplan(*words, cwd=tmp_path).returncode == 0
            continue
        words = [compiler, *STRICT, *words] if command == "gcc" else [command]
        printed += subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert printed == "".join(blocks("firmware.md", "text"))


@pytest.mark.slow(reason="plans of whole networks")
@pytest.mark.parametrize(("command", "steps", "kilobytes"), ROWS)
def test_the_sizes_of_tables(tmp_path: Path, command: str, steps: str, kilobytes: str) -> None:
    """Steps exactly; bytes nearly, since another plan of the same network may have some copies more."""
    assert memplan(*command.split(), "-o", tmp_path).returncode == 0
    (header,) = tmp_path.glob("*.h")
    told = " ".join(header.read_text(encoding="utf-8").split()[:40])
    found = re.search(r": ([\d,]+) steps, [\d,]+ copies, ([\d,]+) bytes of tables\.", told)
    assert found and found[1].replace(",", "") == steps
    assert int(found[2].replace(",", "")) / 1000 == pytest.approx(float(kilobytes), rel=0.1)


def test_there_are_sizes_to_check() -> None:
    assert len(ROWS) == 3
