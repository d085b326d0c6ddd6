"""JSON for people: long lists with an item a line."""

from __future__ import annotations

import json
from typing import Any


def one_line_an_item(d: dict[str, Any], long: tuple[str, ...]) -> str:
    """JSON with one line per key, and per item of the `long` lists."""
    encode = json.JSONEncoder(separators=(", ", ": ")).encode
    parts = []
    for key, value in d.items():
        if key in long and value:
            rows = ",\n  ".join(map(encode, value))
            parts.append(f"{encode(key)}: [\n  {rows}\n]")
        else:
            parts.append(f"{encode(key)}: {encode(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
