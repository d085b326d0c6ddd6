"""Processes that memplan starts import nothing from the working folder and end when their parent is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SLEEPER = """
import sys, time
from memplan.base.children import end_with_parent
end_with_parent()
print("ready", flush=True)
time.sleep(600)
"""

MODULE = """
import subprocess, time
from memplan.base.children import start
child = start("sleeper", stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""

PROGRAM = """
import time
from memplan.base.children import start_program
print(start_program(["sleep", "600"]).pid, flush=True)
time.sleep(600)
"""

FOLDER = """
import time
from memplan.base.children import temporary_folder
with temporary_folder() as folder:
    (folder / "inner").mkdir()
    (folder / "inner" / "file").touch()
    print(folder, flush=True)
    input()
"""

PLAYER = """
import os, time
def play(task):
    os.write(1, b"%d " % os.getpid())
    time.sleep(600)
"""

POOL = """
from memplan_solvers.malloc_game.actors import Processes
from player import play
if __name__ == "__main__":
    list(Processes(2, play).run([0, 1]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system ends children on Linux alone")
@pytest.mark.parametrize(
    ("code", "count"), [(MODULE, 1), (PROGRAM, 1), (POOL, 3)], ids=["module", "program", "self-play"]
)
@pytest.mark.slow(reason="starts several programs")
def test_children_of_a_killed_process_are_gone(tmp_path: Path, code: str, count: int) -> None:
    for name, text in (("sleeper", SLEEPER), ("player", PLAYER), ("parent", code)):
        (tmp_path / f"{name}.py").write_text(text)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "TMPDIR": str(temporary)}
    parent = subprocess.Popen([sys.executable, "-m", "parent"], stdout=subprocess.PIPE, env=env)
    assert parent.stdout is not None
    said = b""
    while len(said.split()) < min(count, 2) or not said[-1:].isspace():
        said += os.read(parent.stdout.fileno(), 100)
    children = _children(parent.pid)
    assert len(children) == count and {*map(int, said.split())} <= children  # a pool's resource tracker too
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 120
    while any(map(_alive, children)):
        assert time.monotonic() < deadline, "one lives on"
        time.sleep(0.05)
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("end", [subprocess.Popen.kill, subprocess.Popen.communicate], ids=["killed", "done"])
def test_a_temporary_folder_goes_with_its_process(
    end: Callable[[subprocess.Popen[bytes]], object], tmp_path: Path
) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", FOLDER], env=env, **pipes) as process:  # type: ignore[call-overload]
        folder = Path(process.stdout.readline().decode().strip())
        assert folder.parent == tmp_path and (folder / "inner" / "file").exists()
        end(process)
    deadline = time.monotonic() + 120
    while folder.exists():
        assert time.monotonic() < deadline, "the folder is still there"
        time.sleep(0.05)


def _children(pid: int) -> set[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return {int(child) for task in tasks for child in (task / "children").read_text().split()}


def _alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("module", ["memplan.studies.compare.worker", "memplan.onnx.measure"])
@pytest.mark.slow(reason="starts several programs")
def test_no_module_comes_from_the_working_folder(tmp_path: Path, module: str) -> None:
    mark = tmp_path / "mark"
    for name in ("numpy", "onnx", "torch", "json", "memplan"):
        (tmp_path / f"{name}.py").write_text(f"open({str(mark)!r}, 'w')\n")
    code = (
        "import subprocess\nfrom memplan.base.children import start\n"
        f"start({module!r}, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL).communicate(b'[]\\n')"
    )
    subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, check=True, timeout=120)
    assert not mark.exists()
    code = f"import os; os.environ['PYTHONPATH'] = {os.pathsep!r}\n" + code
    subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, check=True, timeout=120)
    assert not mark.exists()


def test_python_m_memplan_takes_no_module_from_the_working_folder(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for name in ("numpy", "onnx", "torch", "json", "argparse"):
        (tmp_path / f"{name}.py").write_text(f"open({str(mark)!r}, 'w')\n")
    done = subprocess.run([sys.executable, "-m", "memplan", "targets"], cwd=tmp_path, timeout=120)
    assert done.returncode == 0 and not mark.exists()
