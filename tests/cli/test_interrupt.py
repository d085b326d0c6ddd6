"""Ctrl-C at any moment: exit status 130, one line, no traceback, and the best answer where there is one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import memplan
from memplan.cli import main
from memplan.io.graph_json import graph_text
from memplan.io.plan_json import plan_text
from tests.solving.test_capacities import tangle

READY = """
import sys, memplan_start
memplan_start.leave_when_interrupted()
print("ready", flush=True)
sys.exit(memplan_start.main())
"""

COMMANDS = {
    "plan": "plan {net} --scratchpad MH --time-limit 60 -o {out}",
    "plan in bytes": "plan {net} --scratchpad 4KiB --time-limit 60 -o {out}",
    "check": "check resnet50 {out}/resnet50.plan.json",
    "run": "run resnet50 {out}/resnet50.plan.json",
    "pack": "pack {csv} --minimize --time-limit 60 -o {out}/offsets.csv",
    "sweep": "sweep {net} --points 3 --time-limit 60 -o {out}",
    "compare": "compare {net} --solvers greedy,portfolio --budgets MR,MH --time-limit 1 --workers 1 -o {out}/c",
}


@pytest.mark.slow(reason="interrupts whole commands at many moments")
@pytest.mark.parametrize("name", COMMANDS)
def test_any_moment_will_do(name: str, tmp_path: Path) -> None:
    rng = random.Random(name)
    net, csv, saved = tmp_path / "net.json", tmp_path / "b.csv", memplan.load("resnet50")
    net.write_text(graph_text(tangle(200, 100, seed=1)))
    rows = ((i, a := rng.randint(0, 2000), a + rng.randint(1, 200), rng.randint(1, 100)) for i in range(2000))
    csv.write_text("id,lower,upper,size\n" + "".join("{},{},{},{}\n".format(*row) for row in rows))
    text = plan_text(memplan.plan(saved, scratchpad="max", time_limit_s=2))
    for k in range(5):
        out = tmp_path / f"out{k}"
        out.mkdir()
        (out / "resnet50.plan.json").write_text(text)
        words = COMMANDS[name].format(net=net, csv=csv, out=out).split()
        child = subprocess.Popen(
            [sys.executable, "-c", READY, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0, 2) if k else 0.05)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
        assert child.returncode == 130 or (k and child.returncode == 0), said  # it may have come too late
        assert "Traceback" not in said and "ignored" not in said
        assert not list(out.rglob(".memplan-*"))


@pytest.mark.parametrize("words", ["plan {net} --scratchpad MH", "sweep {net}"])
@pytest.mark.slow(reason="waits for interrupts")
def test_what_has_found_nothing_yet_is_interrupted_all_the_same(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = tmp_path / "net.json"
    net.write_text(graph_text(tangle(200, 100, seed=6)))
    press = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    press.start()
    try:
        status = main([*words.format(net=net).split(), "--time-limit", "60", "-o", str(tmp_path)])
    finally:
        press.cancel()
    said = capsys.readouterr().err
    nothing = [path.name for path in tmp_path.iterdir()] == ["net.json"]
    assert status == 130 and (not nothing or "interrupted" in said or "M_P" in said)


def test_a_second_press_ends_it_at_once(tmp_path: Path) -> None:
    net = tmp_path / "net.json"
    net.write_text(graph_text(tangle(200, 100, seed=7)))
    code = f"""
import os, signal, sys, memplan_start

signal.signal(signal.SIGINT, signal.default_int_handler)  # as from a terminal, whatever runs the tests
from memplan.solving import planning

def deaf(*words, **options):
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
    print("it went on", file=sys.stderr)

planning.plan = deaf
sys.argv = ["memplan", "plan", {str(net)!r}, "-o", {str(tmp_path)!r}]
sys.exit(memplan_start.main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 130 and done.stderr == "interrupted\n"


def test_a_process_that_ignores_interrupts_goes_on_ignoring_them() -> None:
    code = """
import os, signal, memplan_start
signal.signal(signal.SIGINT, signal.SIG_IGN)
memplan_start.leave_when_interrupted()
os.kill(os.getpid(), signal.SIGINT)
print("here")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout == "here\n"
