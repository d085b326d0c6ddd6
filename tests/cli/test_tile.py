"""`memplan tile`: a table, a plot, and any point of it as a plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest

from memplan import OptionError
from memplan.cli import main
from tests.cli.program import memplan
from tests.tiling.models import hourglass, wide_middle


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    onnx.save(wide_middle(), path)
    return path


@pytest.mark.slow(reason="searches tiles by whole commands")
def test_a_front_is_printed_and_drawn(net: Path, tmp_path: Path) -> None:
    done = memplan("tile", net, "--io", "resident", "--time-limit", 1, "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert (
        "peak in bytes" in lines[0]
        and "with in/out" in lines[0]
        and "tilings" in lines[-2]
        and len(lines) > 4
    )
    assert "<polyline" in (tmp_path / "net.tiles.svg").read_text()
    assert lines[1].split()[0] in (tmp_path / "net.tiles.html").read_text()


@pytest.mark.slow(reason="searches tiles by whole commands")
def test_json_holds_regions_and_a_factor_leaves_points_out(net: Path, tmp_path: Path) -> None:
    words = ("tile", net, "--io", "resident", "--time-limit", 1, "--json", "-o", tmp_path)
    points = json.loads(memplan(*words, "--mac-factor", "1.2").stdout)["points"]
    assert all(point["macs"] <= 1.2 for point in points) and points[-1]["tiling"][0]["axes"]


def test_a_point_is_planned(tmp_path: Path) -> None:
    net = tmp_path / "net.onnx"
    onnx.save(hourglass(), net)
    words = (
        "plan",
        net,
        "--objective",
        "peak",
        "--io",
        "resident",
        "--order",
        "program",
        "--time-limit",
        1,
        "-o",
        tmp_path,
    )
    done = memplan(*words, "--tile", "auto", "--mac-factor", "1.5")
    assert done.returncode == 0 and "regions are executed tile by tile" in done.stderr, done.stderr
    assert "ops compute" in done.stderr
    plan = next(tmp_path.glob("*.plan.json"))
    assert json.loads(plan.read_text())["tiling"]
    assert "every rule holds" in memplan("check", net, plan).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--mac-factor", "1.5"), "where nothing is tiled"), (("--tile", "auto", "--mac-factor", "0.5"), "--mac-factor '0.5'")],
)  # fmt: skip
def test_a_factor_that_makes_no_sense_is_refused(net: Path, words: tuple[str, ...], said: str) -> None:
    refused = memplan("plan", net, *words)
    assert refused.returncode == 2 and said in refused.stderr


@pytest.mark.slow(reason="searches tiles by whole commands")
def test_a_sweep_takes_tiles_along(net: Path, tmp_path: Path) -> None:
    words = ("sweep", net, "--io", "host", "--points", 2, "--time-limit", 2, "--json", "-o", tmp_path)
    whole, tiled = (json.loads(memplan(*words, *more).stdout) for more in ((), ("--tile", "auto")))
    assert tiled["mr"] < whole["mr"]


def test_tiles_are_sought_with_the_options_of_the_command(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def front(*_: Any, **options: Any) -> None:
        asked.append(options)
        raise OptionError("that is enough", "look at what was asked")

    monkeypatch.setattr("memplan.solving.tiling.tile_front", front)
    words = ["--tile", "exact", "--time-limit", "2", "--workers", "1", "--seed", "7", "-o", str(tmp_path)]
    assert main(["plan", str(net), "--no-compile", "--scratchpad", "MP", *words]) == 2
    assert main(["sweep", str(net), "--points", "2", *words]) == 2
    told = [{key: options.get(key) for key in ("time_limit_s", "workers", "seed")} for options in asked]
    assert told == [{"time_limit_s": 1.0, "workers": 1, "seed": 7}] * 2 and asked[0]["compiles"] is False
