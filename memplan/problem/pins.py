"""Pins: where single storages must or must not lie, whatever else is planned.

A pin is a word: `keep` (never spilled), `host` (never placed), `@OFFSET` (wherever it is resident, it lies
there) or `keep@OFFSET`. `pin_resolution` refuses what makes no sense, `contradictions` names what leaves no plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from memplan.base.errors import OptionError
from memplan.base.files import parse_json


class Pin(NamedTuple):
    """One storage's pin.

    Args:
        keep: its one residency covers every touch.
        host: it has no residency.
        offset: the byte at which all its residencies lie, None where any will do.
    """

    keep: bool = False
    host: bool = False
    offset: int | None = None

    def __str__(self) -> str:
        at = "" if self.offset is None else f"@{self.offset}"
        return "host" if self.host else f"{'keep' if self.keep else ''}{at}"


def parse_pin(word: str) -> Pin:
    """The pin that `word` means; OptionError on anything else."""
    match = re.fullmatch(r"(host)|(keep)?(?:@(\d{1,19}))?", word.strip()) if isinstance(word, str) else None
    if not match or not word.strip():
        raise OptionError(f"pin '{word}'", "it is keep, host, @OFFSET or keep@OFFSET, the offset in bytes")
    return Pin(bool(match[2]), bool(match[1]), None if match[3] is None else int(match[3]))


def parse_pins(words: Iterable[str]) -> dict[str, str]:
    """Pins from TENSOR=PIN words."""
    pins: dict[str, str] = {}
    for text in words:
        name, equals, word = text.rpartition("=")
        if not (equals and name):
            raise OptionError(
                f"pin '{text}'", "write TENSOR=keep, TENSOR=host, TENSOR=@OFFSET or TENSOR=keep@OFFSET"
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
        raise OptionError(f"cannot read '{path}': {error.strerror or error}", "check the path") from error
    except (ValueError, RecursionError) as error:
        raise OptionError(
            f"'{path}' is not JSON: {error}", 'write {"tensor": "keep", "other": "@4096"}'
        ) from error
    if not isinstance(data, dict):
        raise OptionError(f"'{path}' is not a JSON object", 'write {"tensor": "keep", "other": "@4096"}')
    return data
