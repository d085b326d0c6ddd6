"""Getting a machine ready: versions, what works, compiled kernels, completion."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from memplan.cli import machine
from memplan.solving import kernels
from tests.cli.program import memplan


def test_the_version_names_what_memplan_stands_on() -> None:
    words = [line.split() for line in memplan("--version").stdout.splitlines()]
    assert [name for name, _ in words] == ["memplan", "numba", "ortools", "onnx", "torch"]
    assert all(version[0].isdigit() for _, version in words)


def test_doctor_says_what_to_do_about_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    group = SimpleNamespace(use="packing", seconds=1, ready=lambda: False)
    monkeypatch.setattr(kernels, "kernel_groups", lambda: {"packing": group})
    monkeypatch.setattr(machine, "installed", lambda name: None if name == "ray" else "1.0")
    said = memplan("doctor").stdout
    assert "-> pip install 'memplan[ray]'" in said and "memplan[torch]" not in said
    assert "at their first use: packing" in said and "-> memplan warm" in said


@pytest.mark.parametrize("shell", machine.SHELLS)
def test_completion_knows_every_command(shell: str) -> None:
    script = memplan("completion", shell).stdout
    assert all(command in script for command in ("plan", "doctor", "--objective", "traffic"))
    assert "bash" in memplan("completion", "fish").stderr


def test_bash_completes_options_and_files(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").touch()
    script = tmp_path / "complete"
    script.write_text(memplan("completion", "bash").stdout)
    ask = 'source ./complete; COMP_WORDS=({}); COMP_CWORD=2; _shtab_memplan; echo "${{COMPREPLY[@]}}"'
    for words, answer in (("memplan plan --obj", "--objective"), ("memplan plan ne", "net.onnx")):
        command = ["bash", "-c", ask.format(words)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
        assert done.stdout.split() == [answer], done.stderr


def test_warm_says_that_all_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(cancelled: object, names: object) -> Iterator[kernels.Warming]:
        yield kernels.Warming(("packing",), 0.5, 1.0)
        yield kernels.Warming((), 1.0, 1.0)

    monkeypatch.setattr(kernels, "warm", compiled)
    assert memplan("warm").stdout == "all inner loops are compiled\n"


def test_a_plan_without_options_says_what_it_assumed(tmp_path: Path) -> None:
    bare = memplan("plan", "resnet8_int8", "-o", tmp_path)
    assert "note: nothing limits the scratchpad" in bare.stderr
    for option in (("--scratchpad", "MR"), ("--objective", "peak"), ("--target", "cortex-m7")):
        assert option[0] in bare.stderr or option[0] == "--objective"
        told = memplan("plan", "resnet8_int8", *option, "-o", tmp_path)
        assert told.returncode == 0 and "note: nothing limits" not in told.stderr
