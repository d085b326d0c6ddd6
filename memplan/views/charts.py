"""Plots as inline SVG: lines, steps and bands on linear or logarithmic axes, coloured by the page's style.

Series carry the classes s0 … s7 (charts.css) and a marker shape each, so that they can be told
apart without colour. Marks have tooltips and may be links.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from memplan.base.units import format_size
from memplan.views.document import part

WIDTH, HEIGHT = 460, 270
LEFT, RIGHT, TOP, BOTTOM = 74, 14, 12, 44
SHADES = 8
"""Colours of series, in charts.css."""


@dataclass(frozen=True)
class Mark:
    """One point, in data units; `title` is its tooltip, `href` what a click opens."""

    x: float
    y: float
    title: str = ""
    href: str = ""


@dataclass(frozen=True)
class Series:
    """Marks from left to right. `shape`: line, step (value holds until the next mark), or left (until it came).

    `shade` 0 … 7 is the colour; `proved` draws it dashed; `dots` shows the marks.
    """

    name: str
    shade: int
    marks: tuple[Mark, ...]
    shape: str = "line"
    proved: bool = False
    dots: bool = True


@dataclass(frozen=True)
class Axis:
    """`show` turns a tick's number into its label. Both ends of a logarithmic axis are positive; `nbytes` puts the
    ticks at round numbers of KiB, MiB …"""

    label: str
    low: float
    high: float
    log: bool = False
    show: Callable[[float], str] = "{:g}".format
    nbytes: bool = False

    def ticks(self) -> list[float]:
        """A handful of round numbers within the axis."""
        if self.log:
            return _log_ticks(self.low, self.high)
        span = (self.high - self.low) or 1.0
        unit = 1024.0 ** max(0, math.floor(math.log(max(self.high, 1), 1024))) if self.nbytes else 1.0
        step = unit * 10 ** math.floor(math.log10(span / unit / 4))
        step *= next((f for f in (1, 2, 2.5, 5, 10) if span / (f * step) <= 5), 10)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def part(self, value: float) -> float:
        """Where `value` lies, 0 … 1 from low to high."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(max(value, self.low))
        return (at - low) / (high - low) if high > low else 0.5


def plot(
    title: str, x: Axis, y: Axis, series: Sequence[Series], bands: Sequence[tuple[int, int]] = ()
) -> str:
    """An SVG of the series, clipped to the axes; `bands` shades the area between pairs of them."""
    px = _pixels(x, LEFT, WIDTH - RIGHT)
    py = _pixels(y, HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title, quote=True)}" '
        f'xmlns="http://www.w3.org/2000/svg"><title>{escape(title)}</title>',
        f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}"/>',
    ]
    for tick in x.ticks():
        parts.append(
            f'<line class="rule" x1="{px(tick)}" x2="{px(tick)}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
            f'<text x="{px(tick)}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{escape(x.show(tick))}</text>'
        )
    for tick in y.ticks():
        parts.append(
            f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{py(tick)}" y2="{py(tick)}"/>'
            f'<text x="{LEFT - 6}" y="{py(tick) + 4:.1f}" text-anchor="end">{escape(y.show(tick))}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x.label)}</text>'
        f'<text transform="translate(13 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y.label)}</text>"
    )
    paths = [[(px(mx), py(my)) for mx, my in _corners(s)] for s in series]
    for upper, lower in bands:
        outline = " ".join(f"{a},{b}" for a, b in paths[upper] + paths[lower][::-1])
        parts.append(f'<polygon class="band s{series[upper].shade}" points="{outline}"/>')
    for s, path in zip(series, paths, strict=True):
        dashed = " proved" if s.proved else ""
        points = " ".join(f"{a},{b}" for a, b in path)
        parts.append(f'<polyline class="stroke s{s.shade}{dashed}" points="{points}"/>')
        if s.dots:
            parts += [_mark(s.shade, px(m.x), py(m.y), m) for m in s.marks]
    return "".join(parts) + "</svg>"


def byte_axis(label: str, low: float, high: float) -> Axis:
    """An axis in bytes, ticks at round numbers of their unit."""
    return Axis(label, low, high, show=lambda value: format_size(int(value)), nbytes=True)


def cost_axis(objective: str, top: float) -> Axis:
    """An axis from 0 to a little above `top`, in the objective's unit."""
    high = 1.05 * (top or 1.0)
    if objective in ("latency", "compute"):
        label = "latency in seconds" if objective == "latency" else "computed again"
        return Axis(label, 0.0, high, show=lambda value: f"{value:.3g}")
    return byte_axis(objective, 0.0, high)


def legend(series: Sequence[Series]) -> str:
    """The series' names beside their marks, as HTML."""
    items = []
    for s in series:
        mark = _mark(s.shade, 14, 7, Mark(0, 0)) if s.dots else ""
        dashed = " proved" if s.proved else ""
        items.append(
            f'<span class="key"><svg class="chart" viewBox="0 0 28 14" aria-hidden="true"><polyline '
            f'class="stroke s{s.shade}{dashed}" points="1,7 27,7"/>{mark}</svg>{escape(s.name)}</span>'
        )
    return f'<p class="legend">{"".join(items)}</p>'


def standalone(svg: str) -> str:
    """The plot as a file of its own, on white, in words that any viewer of SVG understands."""
    plain = re.sub(r"light-dark\(([^,]+), [^)]+\)", r"\1", part("charts.css"))
    return svg.replace(
        "<title>", f'<style>{plain}</style><rect width="100%" height="100%" fill="#fff"/><title>', 1
    )


def _corners(s: Series) -> list[tuple[float, float]]:
    """The vertices of the series' path."""
    if s.shape == "line":
        return [(m.x, m.y) for m in s.marks]
    corners = []
    for here, then in zip(s.marks, s.marks[1:], strict=False):
        corners += [(here.x, here.y), (then.x, here.y) if s.shape == "step" else (here.x, then.y)]
    return corners + [(m.x, m.y) for m in s.marks[-1:]]


def _pixels(axis: Axis, start: float, stop: float) -> Callable[[float], float]:
    return lambda value: round(start + (stop - start) * min(1.0, max(0.0, axis.part(value))), 1)


def _mark(shade: int, x: float, y: float, mark: Mark) -> str:
    shapes = (
        f'<circle class="mark s{shade}" cx="{x}" cy="{y}" r="3.2"',
        f'<path class="mark s{shade}" d="M{x - 3} {y - 3}h6v6h-6z"',
        f'<path class="mark s{shade}" d="M{x} {y - 4}l4 7h-8z"',
        f'<path class="mark s{shade}" d="M{x} {y - 4.2}l4.2 4.2l-4.2 4.2l-4.2 -4.2z"',
    )
    drawn = shapes[shade % len(shapes)]
    drawn += f"><title>{escape(mark.title)}</title></{drawn[1:].split()[0]}>" if mark.title else "/>"
    if not mark.href:
        return drawn
    label = escape(mark.title, quote=True)
    return f'<a href="{escape(mark.href, quote=True)}" aria-label="{label}">{drawn}</a>'


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), tuple(1 + k / 10 for k in range(90))):
        ticks = [
            f * 10.0**k
            for k in decades
            for f in factors
            if low * (1 - 1e-9) <= f * 10.0**k <= high * (1 + 1e-9)
        ]
        if len(ticks) >= 3:
            return ticks[:: -(-len(ticks) // 7)]
    return [low, high]
