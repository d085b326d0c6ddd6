"""Reads .pt2 archives so that nothing in one can run code: torch is handed a copy that holds what was checked alone.

Loading an exported program unpickles sample inputs and constants, evaluates size expressions, looks up operators
by name, imports what a pytree's description names and puts names into the source of a function. So everything here is
a list of what may be there, never of what may not: members, operators, functions in expressions, letters of names.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from memplan.base.errors import GraphError
from memplan.torch.text import Unsafe, clean_program, clean_text

MODEL = "models/model.json"
SAMPLE_INPUTS = "data/sample_inputs/model.pt"
CONFIGS = {
    "data/weights/": "model_weights_config.json",
    "data/constants/": "model_constants_config.json",
}
"""Folders of tensors, and in each the description of what is in them."""

PAYLOAD = re.compile(r"data/(weights/weight_|constants/tensor_)\d+")
DROPPED = re.compile(r"extra/.*|\.data/\w+|byteorder|archive_format|archive_version|" + SAMPLE_INPUTS)
"""Members that a plan needs nothing of; sample inputs are a pickle."""

HINT = "save it with torch.export.save; where you trust its author, add --trust (trust=True of memplan.load)"


@contextmanager
def checked_copy(path: Path) -> Iterator[IO[bytes]]:
    """A .pt2 archive, open for reading, with the program and tensors of the one at `path`; it has no name on disk.

    GraphError where that holds pickled or compiled parts, expressions or names beyond plain ones, or tricks of zips.
    """
    with path.open("rb") as file, tempfile.TemporaryFile() as copy:
        try:
            with zipfile.ZipFile(file) as archive:
                _copy(archive, _members(archive, path.stat().st_size), copy)
        except Unsafe as error:
            raise GraphError(f"'{path}' is not read without trust: {error}", HINT) from None
        except (
            zipfile.BadZipFile,
            ValueError,
            LookupError,
            TypeError,
            NotImplementedError,
            EOFError,
        ) as error:
            words = " ".join(str(error).split())[:200]
            raise GraphError(f"'{path}' is no sound .pt2 archive: {words}", HINT) from error
        except RecursionError:
            raise GraphError(f"'{path}' is no sound .pt2 archive: it is nested too deep", HINT) from None
        copy.seek(0)
        yield copy


def _members(archive: zipfile.ZipFile, nbytes: int) -> dict[str, zipfile.ZipInfo]:
    """The archive's members by their names below its one folder, checked by their headers; `nbytes` is its size."""
    found: dict[str, zipfile.ZipInfo] = {}
    folders = set()
    for info in archive.infolist():
        folder, _, name = info.orig_filename.partition("/")
        folders.add(folder)
        if not (name in (MODEL, *(a + b for a, b in CONFIGS.items())) or PAYLOAD.fullmatch(name)):
            if not DROPPED.fullmatch(name) or ".." in name.split("/"):
                raise Unsafe(f"it has a member '{info.orig_filename[:100]}'")
        if name in found:
            raise Unsafe(f"it has two members '{name}'")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise Unsafe(f"its member '{name}' is compressed, which torch.export.save never does")
        found[name] = info
    if sum(info.file_size for info in found.values()) > nbytes:
        raise Unsafe("its members declare more bytes than it has")
    if len(folders) != 1:
        raise Unsafe("its members are not in one folder")
    return found


def _copy(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], copy: IO[bytes]) -> None:
    """Write the checked program and the tensors that its descriptions name."""
    wanted = [MODEL, *(folder + config for folder, config in CONFIGS.items())]
    if missing := next((name for name in wanted if name not in members), None):
        raise Unsafe(f"it has no member '{missing}', as files of older versions of torch")
    with zipfile.ZipFile(copy, "w") as made:

        def write(name: str, data: str | bytes) -> None:
            made.writestr(f"model/{name}", data)

        for name, text in (("archive_format", "pt2"), ("archive_version", "0"), (".data/version", "6\n")):
            write(name, text)
        write(SAMPLE_INPUTS, b"")
        write(MODEL, json.dumps(clean_program(json.loads(archive.read(members[MODEL])))))
        for folder, config in CONFIGS.items():
            described = json.loads(archive.read(members[folder + config]))
            names = {_payload(fqn, entry, folder, members) for fqn, entry in described["config"].items()}
            write(folder + config, json.dumps(described))
            for name in sorted(names):
                write(name, archive.read(members[name]))


def _payload(fqn: str, entry: Any, folder: str, members: dict[str, zipfile.ZipInfo]) -> str:
    """The member with the data of the tensor `fqn`, whose description must be plain and no larger than its data."""
    clean_text({fqn: entry})
    name = f"{folder}{entry['path_name']}"
    if entry["use_pickle"] is not False or not PAYLOAD.fullmatch(name):
        raise Unsafe(f"'{fqn}' is pickled")
    if name not in members:
        raise Unsafe(f"the data of '{fqn}' is missing")
    sizes = [size["as_int"] for size in entry["tensor_meta"]["sizes"]]
    if not members[name].file_size and math.prod(sizes):
        raise Unsafe(f"the data of '{fqn}' is empty, its shape is not")
    return name
