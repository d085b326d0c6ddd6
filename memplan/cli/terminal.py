"""What reaches a terminal: text, in which nothing but the program itself moves the cursor, changes colours or direction."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Controls but tab and newline, marks of direction, breaks, lone surrogates and letters without a shape."""


def visible(text: str) -> str:
    """`text` with each control character written as \\uXXXX, which in a JSON string means the same."""
    return UNSEEN.sub(lambda found: json_escape(found[0]), text)


def json_escape(letter: str) -> str:
    """A character as JSON writes it in ASCII: \\uXXXX, or two of them."""
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[k]:02x}{units[k + 1]:02x}" for k in range(0, len(units), 2))


class Visible:
    """A text stream that writes what is visible; `control` writes as it is, for the program's own live line."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text`, its control characters escaped."""
        self._stream.write(visible(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each of `lines`."""
        for line in lines:
            self.write(line)

    def control(self, text: str) -> None:
        """Write `text`, which moves the cursor."""
        self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def visible_streams() -> Iterator[None]:
    """Have stdout and stderr show control characters rather than obey them."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Visible(sys.stdout), Visible(sys.stderr)  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
