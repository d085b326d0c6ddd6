"""Names that a terminal, Markdown or a file system would obey or refuse; inputs that unpack to too much."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

import memplan
from memplan.base.errors import MemplanError, OptionError
from memplan.base.files import check_folder
from memplan.base.text import UNSEEN, visible
from memplan.cli import main
from memplan.ir.model import Model
from memplan.onnx.inputs import load_inputs
from memplan.problem.plan import Plan
from memplan.solving.testing import chain
from memplan.studies.compare.markdown import table_md
from memplan.studies.compare.tables import Cell, Table
from memplan.views.write import FORMATS, one_file

ODD = "a\x1b[31m\u202eb\x9b\r\x07\u2028"


def test_control_characters_are_spelled_out(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["show", f"{ODD}.json"],
        ["plan", ODD],
        [ODD],
        ["pack", ODD, "--minimize"],
        ["plan", "x", f"--{ODD}"],
    ):
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert not UNSEEN.search(out + err) and "\\u001b[31m\\u202eb\\u009b" in err, err


def test_what_is_shown_means_the_same_as_json() -> None:
    text = json.dumps(ODD + "\U000e0041é\n", ensure_ascii=False)
    assert json.loads(visible(text)) == json.loads(text) and not UNSEEN.search(visible(text))


def test_markdown_shows_names_as_they_are() -> None:
    name = "|<script>`*_[x](y)\n# z\x1b"
    lines = table_md(Table(("head",), ((Cell(name),),), frozenset())).splitlines()
    assert len(lines) == 3 and not set("<>`*[]\x1b") & set(lines[2]) and lines[2].count("|") == 2


@pytest.mark.parametrize("name", ["a\0b", "a\ud800", "n" * 256, "ß" * 128])
def test_what_no_file_can_be_called_is_refused_before_the_solve(tmp_path: Path, name: str) -> None:
    for arguments in ((tmp_path / name,), (tmp_path, name)):
        with pytest.raises(MemplanError, match="no file can be called"):
            check_folder(*arguments)  # type: ignore[arg-type]
    assert main(["plan", f"{name}.json", "-o", str(tmp_path)]) == 2


@pytest.mark.parametrize("name", ["a\0b", "a\ud800", "n" * 256, "../out", "a/b", "folder"])
def test_emit_asks_for_its_files_before_anything_is_made(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(model: Model, plan: Plan) -> str:
        raise AssertionError("it was made")

    (tmp_path / "folder.plan.json").mkdir()
    model = Model(chain(3), name)
    plan = memplan.plan(model)
    monkeypatch.setitem(FORMATS, "json", one_file(".plan.json", made))
    with pytest.raises(MemplanError, match="no file"):
        memplan.emit(model, plan, "json", tmp_path)
    if "/" not in name and name != "folder":
        with pytest.raises(MemplanError, match="no file can be called"):
            memplan.emit(Model(chain(3), "net"), plan, "json", tmp_path / name)


@pytest.mark.parametrize("name", ["a\0b", "a\ud800", "n" * 256, "folder"])
@pytest.mark.parametrize("words", [("pack", "absent.csv", "--minimize"), ("show", "absent.json")])
def test_a_name_for_a_file_is_looked_at_before_the_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "folder.svg").mkdir()
    assert main([*words, "-o", str(tmp_path / f"{name}.svg")]) == 2
    said = capsys.readouterr().err
    assert "no file" in said and "absent" not in said


def test_a_long_stem_is_refused_before_the_solve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import random

    from memplan.io.graph_json import graph_text
    from tests.generate import random_graph

    path = tmp_path / f"{'n' * 250}.json"
    path.write_text(graph_text(random_graph(random.Random(1), 4)))
    assert main(["plan", str(path), "-o", str(tmp_path / "out")]) == 2
    assert "no file can be called" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.slow(reason="plans whole nets")
def test_inputs_that_unpack_to_too_much_are_refused_by_their_headers(tmp_path: Path) -> None:
    path = tmp_path / "inputs.npz"
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,)}".ljust(117) + "\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    with pytest.raises(OptionError, match="too short for it"):
        load_inputs(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as file:
        for _ in range(33):
            file.write(bytes(2**23))
    with pytest.raises(OptionError, match="unpacks from"):
        load_inputs(path)
    np.savez_compressed(path, x=np.zeros(2**20, np.float32))
    assert load_inputs(path)["x"].shape == (2**20,)
