"""Plain shapes and words of SVG: scales, lines, texts that fit, round ticks, and the colours of plans.

Generic fonts and nothing that a tool may lack, so that every viewer draws the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from memplan.views.boxes import ROLES

FONT = "font-family: 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"
GLYPH = 0.54
"""Width of a letter by the font's size, on average, rather more than less."""

LIGHT = {
    "page": "#ffffff", "ground": "#f2f4f7", "grid": "#d9dfe6", "text": "#14202d", "muted": "#566473",
    "activation": "#8db9e2", "spilled": "#e07b26", "input": "#2f9e8a", "output": "#c0629f", "constant": "#9aa5b1", "workspace": "#c9a227",
    "load": "#0060a0", "store": "#a03c00", "limit": "#b3202c", "curve": "#3c76b0", "ghost": "#d55e00", "again": "#6a3fc0",
}  # fmt: skip
DARK = {
    "page": "#0d1117", "ground": "#151b23", "grid": "#2a323d", "text": "#e4ebf2", "muted": "#9aa8b7",
    "activation": "#3f7cb8", "spilled": "#e07b26", "input": "#2f9e8a", "output": "#b45a95", "constant": "#5e6a78", "workspace": "#a8861b",
    "load": "#8fd0ff", "store": "#ffd0a0", "limit": "#ff7d85", "curve": "#69a9e6", "ghost": "#f08a3c", "again": "#c3a6ff",
}  # fmt: skip


class Scale(NamedTuple):
    """From values in [0, top] to pixels that start at `origin` and go on for `length` (negative: upwards)."""

    top: float
    origin: float
    length: float

    def __call__(self, value: float) -> float:
        return self.origin + value / self.top * self.length


def style(adaptive: bool) -> str:
    """The style sheet, `adaptive` with colours that follow the reader's light or dark setting."""
    rules = [
        f"text {{ {FONT}; font-size: 11px }} .title {{ font-size: 14px; font-weight: 600 }} .small {{ font-size: 10px }}",
        ".tiny { font-size: 8px } .shade1 { fill-opacity: 0.86 } .shade2 { fill-opacity: 0.74 }",
        ".line { fill: none; stroke-width: 1.2 } .dash { stroke-dasharray: 4 3 }",
    ]
    rules.append(_colours(LIGHT))
    if adaptive:
        rules.append(f"@media (prefers-color-scheme: dark) {{ {_colours(DARK)} }}")
    return " ".join(rules)


def _colours(palette: dict[str, str]) -> str:
    fills = (*ROLES, "page", "ground", "load", "store", "again")
    rules = [f".{name} {{ fill: {palette[name]} }}" for name in fills]
    rules.append(f"text {{ fill: {palette['text']} }} .muted {{ fill: {palette['muted']} }}")
    rules.append(
        f"text.limit {{ fill: {palette['limit']} }} .ink {{ fill: {'#0c1622' if palette is LIGHT else '#ffffff'} }}"
    )
    rules += [f".line.{name} {{ stroke: {palette[name]} }}" for name in ("grid", "limit", "curve", "ghost")]
    rules.append(f".under {{ fill: {palette['curve']}; fill-opacity: 0.2 }}")
    rules.append(
        f".box {{ stroke: {palette['ground']}; stroke-width: 0.6 }} .mark {{ stroke: {palette['page']}; stroke-width: 0.8 }}"
    )
    rules.append(f".part {{ stroke: {palette['text']}; stroke-width: 0.8 }}")
    return " ".join(rules)


def clean(text: str) -> str:
    """Without what XML cannot hold: control characters and lone surrogates."""
    return "".join(
        c if c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff" else "\ufffd"
        for c in text
    )


def number(value: float) -> str:
    """A coordinate to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def words(kind: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    """A text of the class `kind`."""
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{kind}" x="{number(x)}" y="{number(y)}"{where}>{escape(clean(text))}</text>'


def upright(x: float, y: float, text: str) -> str:
    """A small text that reads upwards, its middle at the point."""
    return (
        f'<text class="muted small" transform="translate({number(x)} {y}) rotate(-90)" text-anchor="middle">'
        f"{escape(clean(text))}</text>"
    )


def line(kind: str, x0: float, y0: float, x1: float, y1: float) -> str:
    """A straight line of the class `kind`."""
    return f'<path class="line {kind}" d="M{number(x0)} {number(y0)}L{number(x1)} {number(y1)}"/>'


def fitted(text: str, width: float, font_size: int) -> str:
    """The text, cut where it would be wider than `width` pixels."""
    most = int(width / (GLYPH * font_size))
    return text if len(text) <= most else text[: most - 1] + "…"


def ticks(span: float, most: int, binary: bool) -> list[int]:
    """Round positions in [0, span], about `most` of them."""
    rough = max(span / most, 1.0)
    if binary:
        step = 2 ** math.ceil(math.log2(rough))
    else:
        power = 10 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    return list(range(0, int(span) + 1, int(step)))


def stairs(values: Sequence[float], x: Scale, y: Scale) -> str:
    """A path of steps; equal neighbours are one."""
    parts, last = [f"M{number(x(0))} {number(y(values[0] if values else 0))}"], values[0] if values else 0
    for t, value in enumerate(values):
        if value != last:
            parts.append(f"H{number(x(t))}V{number(y(value))}")
            last = value
    return "".join([*parts, f"H{number(x(len(values)))}"])
