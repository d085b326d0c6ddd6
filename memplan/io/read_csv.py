"""Reads buffers from CSV as MiniMalloc writes it: `id,lower,upper,size[,alignment][,offset][,gaps]`.

Its other names for columns are known too. With `end` in place of `upper` the last step of a lifetime, and of
a gap, is part of it.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from memplan.base.errors import GraphError, MemplanError, nearest
from memplan.base.files import unreadable
from memplan.packing.buffers import Buffer, Gap

COLUMNS = ("id", "lower", "upper", "end", "size", "alignment", "offset", "gaps")
SYNONYMS = {"buffer": "id", "buffer_id": "id", "begin": "lower", "start": "lower"}
_GAP = re.compile(r"(\d+)-(\d+)(?:@(\d+):(\d+))?")


def read_buffers(path: Path) -> list[Buffer]:
    """The buffers in a file; GraphError names the line and what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise unreadable(GraphError, path, error) from error
    except UnicodeDecodeError as error:
        raise GraphError(f"cannot read '{path}': it is no text", "give a CSV of buffers") from error
    try:
        rows = list(csv.reader(text.splitlines(), strict=True))
    except csv.Error as error:
        raise GraphError(f"'{path}' is not CSV: {error}", "see the header: id,lower,upper,size") from error
    if not rows:
        raise GraphError(f"'{path}' is empty", "the first line is id,lower,upper,size")
    words = [word.strip().lower() for word in rows[0]]
    header = [SYNONYMS.get(word, word) for word in words]
    _check_header(str(path), header)
    found: list[Buffer] = []
    names: set[str] = set()
    for number, row in enumerate(rows[1:], 2):
        where = f"'{path}' line {number}"
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            raise GraphError(
                f"{where} has {len(row)} cells, the header {len(header)}", "is the file complete?"
            )
        buffer = _buffer(where, dict(zip(header, (cell.strip() for cell in row), strict=True)))
        if buffer.name in names:
            raise GraphError(f"{where}: the id '{buffer.name}' is used twice", "ids must be unique")
        names.add(buffer.name)
        found.append(buffer)
    return found


def _check_header(path: str, header: list[str]) -> None:
    for word in header:
        if word not in COLUMNS:
            raise GraphError(f"'{path}': unknown column '{word}'", nearest(word, COLUMNS))
    missing = [word for word in ("id", "lower", "size") if word not in header]
    if missing or len(set(header)) < len(header) or ("upper" in header) == ("end" in header):
        raise GraphError(
            f"'{path}': the header is {','.join(header)}",
            "it needs id, lower, upper (or end, inclusive) and size, each once",
        )


def _buffer(where: str, cells: dict[str, str]) -> Buffer:
    def whole(key: str) -> int:
        if not re.fullmatch(r"\d{1,40}", cells[key], re.ASCII):
            raise GraphError(f"{where}: {key} is '{cells[key]}'", "it is a whole number from 0")
        return int(cells[key])

    size = whole("size")
    last = "end" in cells  # the steps named last are part of what they end
    stop = whole("end") + 1 if last else whole("upper")
    try:
        return Buffer(
            name=cells["id"],
            start=whole("lower"),
            stop=stop,
            size=size,
            alignment=whole("alignment") if cells.get("alignment") else 1,
            offset=whole("offset") if cells.get("offset") else None,
            gaps=tuple(_gap(where, word, last) for word in cells.get("gaps", "").split()),
        )
    except MemplanError as error:
        if error.message.startswith(where):
            raise
        raise GraphError(f"{where}: {error.message}", error.hint) from error


def _gap(where: str, word: str, last: bool) -> Gap:
    match = _GAP.fullmatch(word)
    if not match:
        raise GraphError(f"{where}: '{word}' is not a gap", "write a-b or a-b@lo:hi")
    low, high = (int(match[3]), int(match[4])) if match[3] else (0, 0)
    return Gap(int(match[1]), int(match[2]) + last, low, high)
