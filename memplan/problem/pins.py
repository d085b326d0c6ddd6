"""Pins: where single storages must or must not lie, whatever else is planned.

A pin is a word: `keep` (never spilled), `MEMORY` (placed nowhere else), `MEMORY@OFFSET` (there at this byte),
or both, as `keep MEMORY@OFFSET`. `host` means the backing memory, `@OFFSET` and `keep@OFFSET` the first one.
`pin_resolution` refuses what makes no sense, `contradictions` names what leaves no plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from memplan.base.errors import OptionError
from memplan.base.files import parse_json, unreadable


class Pin(NamedTuple):
    """One storage's pin.

    Args:
        keep: one residency covers every touch.
        host: it is never placed.
        offset: the byte at which it lies wherever it is placed, None where any will do.
        memory: the memory in which it lies wherever it is placed; None for the first where there is an offset, else
            for any.
    """

    keep: bool = False
    host: bool = False
    offset: int | None = None
    memory: str | None = None

    @property
    def kinds(self) -> frozenset[str]:
        """What it asks for: "keep", "host", "memory" (a certain one), "offset" (in the first memory)."""
        placed = "memory" if self.memory is not None else "offset"
        asked = {"keep": self.keep, "host": self.host, placed: self.memory or self.offset is not None}
        return frozenset(kind for kind, value in asked.items() if value)

    def place(self, first: str) -> str | None:
        """The memory that it names, `first` where it gives but an offset; None where it names none."""
        return self.memory or (first if self.offset is not None else None)

    def __str__(self) -> str:
        if self.host:
            return "host"
        place = (self.memory or "") + ("" if self.offset is None else f"@{self.offset}")
        return " ".join(("keep", place)) if self.keep and self.memory else f"{'keep' * self.keep}{place}"


PIN = re.compile(r"(?P<keep>keep(?![\w.+-])\s*)?(?P<memory>\w[\w.+-]*)?(?:@(?P<offset>[0-9]{1,19}))?")


def parse_pin(word: str) -> Pin:
    """The pin that `word` means; OptionError on anything else."""
    match = PIN.fullmatch(word.strip()) if isinstance(word, str) else None
    if not match or not match[0] or (match["memory"] == "host" and match[0] != "host"):
        raise OptionError(
            f"pin '{word}'",
            "it is keep, MEMORY, MEMORY@OFFSET, keep MEMORY@OFFSET, host, @OFFSET or keep@OFFSET, the offset in bytes",
        )
    host = match["memory"] == "host"
    offset = None if match["offset"] is None else int(match["offset"])
    return Pin(match["keep"] is not None, host, offset, None if host else match["memory"])


def parse_pins(words: Iterable[str]) -> dict[str, str]:
    """Pins from TENSOR=PIN words."""
    pins: dict[str, str] = {}
    for text in words:
        name, equals, word = text.rpartition("=")
        if not (equals and name):
            raise OptionError(
                f"pin '{text}'", "write TENSOR=PIN, such as TENSOR=keep, TENSOR=host or TENSOR=@OFFSET"
            )
        if name in pins:
            raise OptionError(f"tensor '{name}' is pinned twice", "keep@OFFSET says both in one word")
        pins[name] = str(parse_pin(word))
    return pins


def read_pins(path: str | Path) -> dict[str, str | int]:
    """Pins from a file: a JSON object of pins by tensor name."""
    try:
        data = parse_json(Path(path).read_bytes())
    except OSError as error:
        raise unreadable(OptionError, path, error) from error
    except (ValueError, RecursionError) as error:
        raise OptionError(
            f"'{path}' is not JSON: {error}", 'write {"tensor": "keep", "other": "@4096"}'
        ) from error
    if not isinstance(data, dict):
        raise OptionError(f"'{path}' is not a JSON object", 'write {"tensor": "keep", "other": "@4096"}')
    return data
