"""C compilers that are installed, and what they make of emitted files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")

COMPILERS = [
    pytest.param(
        name,
        marks=[
            pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed"),
            *second,
        ],
    )
    for name, second in (("gcc", ()), ("clang", (pytest.mark.slow(reason="a second C compiler"),)))
]
"""A test that takes one of them is skipped where it is not there."""


def compiled(compiler: str, folder: Path, *files: str, flags: tuple[str, ...] = ()) -> str:
    """What the compiler says to these files of the folder, from which it makes `program` there; nothing if it is
    content."""
    command = [compiler, *STRICT, *flags, "-o", "program", *files]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120).stderr


def ran(folder: Path) -> tuple[int, str]:
    """Exit status and output of the `program` in the folder."""
    done = subprocess.run(["./program"], cwd=folder, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout


def replayed(compiler: str, folder: Path, texts: tuple[str, str, str], flags: tuple[str, ...] = ()) -> str:
    """Compile and run the host test of these three files, made for a model `net`: what the compiler says, else what
    the test prints where it finds a fault, else nothing."""
    for name, text in zip(("net_plan.h", "net_plan.c", "net_plan_test.c"), texts, strict=True):
        (folder / name).write_text(text, encoding="utf-8")
    said = compiled(compiler, folder, "net_plan.c", "net_plan_test.c", flags=flags)
    if said:
        return said
    status, printed = ran(folder)
    assert (status == 0) == (" 0 violations" in printed), (status, printed)
    return printed if status else ""
