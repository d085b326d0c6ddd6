"""JSON that says each thing once, names that a file can have, and files that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from memplan.base.errors import MemplanError
from memplan.base.files import LONGEST_NAME, check_folder, check_name, parse_json, unreadable, write_atomic


def test_a_key_that_stands_twice_is_refused_at_any_depth() -> None:
    assert parse_json('{"a": {"b": 1}, "b": [2]}') == {"a": {"b": 1}, "b": [2]}
    for text in ('{"a": 1, "b": 2, "a": 1}', '[{"c": {"a": 1, "a": 2}}]'):
        with pytest.raises(ValueError, match="the key 'a' stands twice"):
            parse_json(text)


def test_a_file_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "plan.json"
    assert write_atomic(path, "ä") == path and path.read_bytes() == b"\xc3\xa4"

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for call in ("replace", "chmod"):
        with monkeypatch.context() as patched:
            patched.setattr(os, call, fail)
            with pytest.raises(MemplanError, match="cannot write .*: No space left on device"):
                write_atomic(path, b"other")
        assert path.read_bytes() == b"\xc3\xa4" and [*path.parent.iterdir()] == [path]
    write_atomic(path, b"other")
    assert path.read_bytes() == b"other" and [*path.parent.iterdir()] == [path]


def test_a_file_has_the_mode_that_the_umask_asks_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path = write_atomic(tmp_path / "plan.json", "")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_name_has_as_many_bytes_as_file_systems_take() -> None:
    check_name("ä" * (LONGEST_NAME // 2))
    for name, words in (
        ("ä" * 128, "256 bytes, 255 at most"),
        ("a\0", "holds a NUL"),
        ("\ud800", "is no text"),
    ):
        with pytest.raises(MemplanError, match=words):
            check_name(name)


def test_a_folder_is_asked_about_without_making_it(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b", "plan.json")
    assert [*tmp_path.iterdir()] == []
    (tmp_path / "file").write_text("")
    for folder, names, words in (
        (tmp_path / "file" / "a", (), "is no folder"),
        (tmp_path, ("a" * 256,), "256 bytes"),
        (tmp_path / ("a" * 256), (), "256 bytes"),
    ):
        with pytest.raises(MemplanError, match=words):
            check_folder(folder, *names)


def test_of_a_file_that_is_not_there_the_one_beside_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    (tmp_path / "models.onnx").mkdir()
    missing = unreadable(
        MemplanError, tmp_path / "modle.onnx", FileNotFoundError(2, "No such file or directory")
    )
    assert missing.hint == f"did you mean '{tmp_path / 'model.onnx'}'?"
    folder = unreadable(MemplanError, tmp_path / "models.onnx", IsADirectoryError(21, "Is a directory"))
    assert "Is a directory" in folder.message and folder.hint == "check the path"
