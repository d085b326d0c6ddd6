"""The quickstart ends well, and so do the three commands that it proposes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow(reason="plans a whole network, and compares solvers")
def test_the_quickstart_and_what_it_proposes(tmp_path: Path) -> None:
    script = [sys.executable, str(ROOT / "scripts" / "quickstart.py")]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "the best plan" in done.stdout and "bit-identical" in done.stdout
    heads = (
        done.stdout.splitlines()[3]
        .replace("spilled bytes", "spilled_bytes")
        .replace("proved at least", "proved_at_least")
        .split()
    )
    assert all(f"\n  {head.replace('_', ' ')} " in done.stdout for head in heads), "each column is explained"
    proposed = re.findall(r"^  (?:with|in|to) [a-z ]+?  +(.*)$", done.stdout, re.MULTILINE)
    assert len(proposed) == 3
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    for command in proposed:
        followed = subprocess.run(
            command,
            shell=True,
            cwd=tmp_path,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert followed.returncode == 0, (command, followed.stderr)
    assert {"nasnet_a_mobile.html", "nasnet_a_mobile.svg", "comparison"} <= {
        file.name for file in (tmp_path / "out").iterdir()
    }
