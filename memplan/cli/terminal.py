"""What reaches a terminal: text, in which nothing but the program itself moves the cursor, changes colours or
direction.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from memplan.base.text import visible


class Visible:
    """A text stream that writes what is visible."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write `text`, its control characters escaped."""
        self.stream.write(visible(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each of `lines`."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def overwrite(text: str = "") -> None:
    """Put `text` in the place of the terminal's last line, on stderr."""
    stream: Any = sys.stderr
    raw = stream.stream if isinstance(stream, Visible) else stream
    raw.write("\r\x1b[2K" + visible(text))
    raw.flush()


@contextmanager
def visible_streams() -> Iterator[None]:
    """Have stdout and stderr show control characters rather than obey them."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Visible(sys.stdout), Visible(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
