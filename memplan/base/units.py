"""Byte sizes as people write them: `256KiB`, `1.5MB`, `262144`."""

from __future__ import annotations

import re
from fractions import Fraction

from memplan.base.errors import OptionError

UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
MAX_BYTES = 2**62  # sums of a few of these still fit a signed 64-bit integer

_SIZE = re.compile(r"(\d{1,40}(?:\.\d{1,40})?)\s*([A-Za-z]*)")


def parse_size(text: str) -> int:
    """Bytes meant by `text`; OptionError for anything but a whole number of bytes in 1 … 2^62."""
    match = _SIZE.fullmatch(text.strip())
    units = {unit.lower(): factor for unit, factor in UNITS.items()}
    if not match or match[2].lower() not in units:
        raise OptionError(
            f"'{text}' is not a size", "write bytes or a number with KiB, MiB, GiB, KB, MB or GB"
        )
    nbytes = Fraction(match[1]) * units[match[2].lower()]
    if nbytes.denominator != 1 or not 1 <= nbytes <= MAX_BYTES:
        raise OptionError(f"size '{text}' is {float(nbytes):g} bytes", "sizes are whole bytes from 1 to 2^62")
    return int(nbytes)


def format_size(nbytes: int) -> str:
    """`nbytes` with a binary unit and three digits, for people."""
    value = float(nbytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024 or unit == "GiB":
            return f"{nbytes} B" if unit == "B" else f"{value:.4g} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def align_up(nbytes: int, alignment: int) -> int:
    """`nbytes` rounded up to a multiple of `alignment`."""
    return -(-nbytes // alignment) * alignment
