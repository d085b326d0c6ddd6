"""Self-contained HTML pages: markup, styles, scripts and data in one file that asks nothing of a network.

The parts lie in `memplan/views/report/`; `tokens.css`, `base.js` and `table.js` are the house style that every
page shares. A content security policy in the page forbids any request, whatever a script would like.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

HOUSE_STYLES = ("tokens.css",)
HOUSE_SCRIPTS = ("base.js", "table.js")

_UNSAFE = re.compile("[<>&\u2028\u2029]")
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def page(title: str, markup: str, styles: Sequence[str], scripts: Sequence[str], data: Any) -> str:
    """A page of `markup`, styles and scripts (names of parts in the report folder), with `data` for the scripts.

    The scripts share one scope in the order given, the house's before them, and read `data` as DATA.
    Names in `data` may be anything: nothing in it can end its element or be taken for markup.
    """
    slots = {
        "title": html.escape(title),
        "style": "\n".join(map(part, (*HOUSE_STYLES, *styles))),
        "markup": markup,
        "data": embedded(data),
        "script": "\n".join(map(part, (*HOUSE_SCRIPTS, *scripts))),
    }
    return _SLOT.sub(lambda match: slots[match[1]], part("page.html"))


def part(name: str) -> str:
    """The text of one file of the report folder."""
    return (resources.files("memplan") / "views" / "report" / name).read_text(encoding="utf-8")


def embedded(data: Any) -> str:
    """`data` as JSON that is harmless inside a script element."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return (
        _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
        .encode("utf-8", "backslashreplace")
        .decode()
    )
