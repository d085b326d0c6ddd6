"""`memplan pack`: flags, output, exit status."""

from __future__ import annotations

import json

import pytest

from tests.cli.program import memplan

TIGHT = "id,lower,upper,size\na,0,3,4\nb,3,9,4\nc,0,9,4\nd,9,21,4\ne,0,21,4\n"


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "tight.csv"
    path.write_text(TIGHT)
    return path


def run(*words):
    return memplan("pack", *words)


def test_capacity(csv, tmp_path):
    out = tmp_path / "out.csv"
    done = run(csv, "--capacity", 12, "-o", out)
    assert done.returncode == 0 and done.stdout == "" and "peak 12, bound 12" in done.stderr
    rows = [line.split(",") for line in out.read_text().splitlines()]
    assert rows[0] == ["id", "lower", "upper", "size", "offset"] and len(rows) == 6
    assert run(out, "--capacity", 12).returncode == 0  # now with every offset fixed


def test_minimize_as_json(csv):
    done = run(csv, "--minimize", "--json")
    found = json.loads(done.stdout)
    assert {**found, "seconds": 0} == {"status": "optimal", "peak": 12, "bound": 12, "seconds": 0, "nodes": 0}


def test_stdout_is_csv(csv):
    assert run(csv, "--minimize").stdout.startswith("id,lower,upper,size,offset\n")


def test_infeasible_is_3(csv):
    done = run(csv, "--capacity", 11)
    assert done.returncode == 3 and "no packing exists under 11 bytes" in done.stderr and done.stdout == ""


def test_infeasible_says_what_to_do(csv, tmp_path):
    assert "hint: give 12 bytes or more" in run(csv, "--capacity", 11).stderr
    fixed = tmp_path / "fixed.csv"
    fixed.write_text("id,lower,upper,size,offset\na,0,2,5,0\nb,0,2,5,2\n")
    for goal in (("--minimize",), ("--capacity", 100)):
        done = run(fixed, *goal)
        assert done.returncode == 3 and "move what is fixed: 'b' [2, 7) and 'a' [0, 5) overlap" in done.stderr


def test_usage_is_2(csv, tmp_path):
    assert run(csv).returncode == 2
    assert run(csv, "--capacity", "nan").returncode == 2
    assert run(tmp_path / "nowhere.csv", "--minimize").returncode == 2
    assert run(csv, "--minimize", "--workers", 0).returncode == 2
