"""Text that people read: letters that would be obeyed, or not seen, are spelled out."""

from __future__ import annotations

import re

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
