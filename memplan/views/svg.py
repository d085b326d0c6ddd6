"""The memory map of a plan as SVG, for papers and READMEs: steps across, addresses upwards, live bytes below.

Plain shapes and generic fonts, so that every tool draws it alike. Boxes narrower than a printer's dot are
drawn as wide as one.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from memplan.base.units import format_size
from memplan.ir.graph import Graph
from memplan.judge.explain import live_without_spills, spills
from memplan.judge.live import live_bytes
from memplan.judge.simulate import spill_moves
from memplan.problem.plan import Plan, Residency

WIDTH, HEIGHT = 960, 480
LEFT, RIGHT, TOP = 72, 20, 54
MAP = (TOP, 296)  # top and height of the map, then of the live bytes
LIVE = (372, 60)
FONT = "font-family: 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"
GLYPH = 0.54
"""Width of a letter by the font's size, on average, rather more than less."""
JOURNEYS = 24
"""Ways through host memory that are drawn; more would be a thicket."""

LIGHT = {
    "page": "#ffffff", "ground": "#f2f4f7", "grid": "#d9dfe6", "text": "#14202d", "muted": "#566473",
    "activation": "#8db9e2", "spilled": "#e07b26", "input": "#2f9e8a", "output": "#c0629f", "constant": "#9aa5b1", "workspace": "#c9a227",
    "load": "#0060a0", "store": "#a03c00", "limit": "#b3202c", "curve": "#3c76b0", "ghost": "#d55e00",
}  # fmt: skip
DARK = {
    "page": "#0d1117", "ground": "#151b23", "grid": "#2a323d", "text": "#e4ebf2", "muted": "#9aa8b7",
    "activation": "#3f7cb8", "spilled": "#e07b26", "input": "#2f9e8a", "output": "#b45a95", "constant": "#5e6a78", "workspace": "#a8861b",
    "load": "#8fd0ff", "store": "#ffd0a0", "limit": "#ff7d85", "curve": "#69a9e6", "ghost": "#f08a3c",
}  # fmt: skip
ROLES = ("activation", "spilled", "input", "output", "constant", "workspace")


class _Scale(NamedTuple):
    """From values in [0, top] to pixels that start at `origin` and go on for `length` (negative: upwards)."""

    top: float
    origin: float
    length: float

    def __call__(self, value: float) -> float:
        return self.origin + value / self.top * self.length


def svg_text(graph: Graph, plan: Plan, adaptive: bool = False) -> str:
    """The picture, `adaptive` with colours that follow the reader's light or dark setting. Same plan, same text."""
    n = max(len(plan.schedule), 1)
    capacity = plan.target.scratchpad.capacity
    top = max(capacity or 0, plan.metrics.peak, 1)
    x = _Scale(n, LEFT, WIDTH - LEFT - RIGHT)
    y = _Scale(top * 1.02, sum(MAP), -MAP[1])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">',
        f"<title>{escape(_clean(f'Memory map of {graph.name}'))}</title>",
        f"<style>{_style(adaptive)}</style>",
        f'<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="{8 if adaptive else 0}"/>',
        *_heading(graph, plan),
        *_axes(x, y, n, top),
        *_boxes(graph, plan, x, y),
        *_journeys(graph, plan, x, y),
        *_moves(graph, plan, x, y),
    ]
    if capacity is not None:
        parts.append(_line("limit", x(0), y(capacity), x(n), y(capacity)))
        parts.append(
            _text("small limit", x(n) - 4, y(capacity) - 4, f"capacity {format_size(capacity)}", "end")
        )
    parts += [*_live(graph, plan, x, top), *_legend(graph, plan), "</svg>"]
    return "\n".join(parts) + "\n"


def _style(adaptive: bool) -> str:
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
    fills = (*ROLES, "page", "ground", "load", "store")
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
    return " ".join(rules)


def _clean(text: str) -> str:
    """Without what XML cannot hold: control characters and lone surrogates."""
    return "".join(
        c if c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff" else "\ufffd"
        for c in text
    )


def _n(value: float) -> str:
    """A coordinate to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def _text(kind: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{kind}" x="{_n(x)}" y="{_n(y)}"{where}>{escape(_clean(text))}</text>'


def _line(kind: str, x0: float, y0: float, x1: float, y1: float) -> str:
    return f'<path class="line {kind}" d="M{_n(x0)} {_n(y0)}L{_n(x1)} {_n(y1)}"/>'


def _heading(graph: Graph, plan: Plan) -> list[str]:
    m, o = plan.metrics, plan.options
    value = f"{m.latency_s:.4g} s" if o.objective == "latency" else format_size(int(plan.value or 0))
    words = {"traffic": "spilled", "compute": "computed again"}.get(o.objective, o.objective)
    proof = "proved optimal" if plan.status == "optimal" else f"bound {_quantity(plan, plan.bound)}"
    peak = f"peak {format_size(m.peak)}"
    if plan.target.scratchpad.capacity is not None:
        peak += f" of {format_size(plan.target.scratchpad.capacity)}"
    note = f"{len(plan.schedule)} steps on {plan.target.name}: {value} {words}, {proof}; {peak}; solver {plan.solver}"
    return [
        _text("title", LEFT, 24, _fitted(graph.name, WIDTH - LEFT - RIGHT, 14)),
        _text("muted", LEFT, 42, _fitted(note, WIDTH - LEFT - RIGHT, 11)),
    ]


def _quantity(plan: Plan, value: float) -> str:
    return f"{value:.4g} s" if plan.options.objective == "latency" else format_size(int(value))


def _fitted(text: str, width: float, font_size: int) -> str:
    most = int(width / (GLYPH * font_size))
    return text if len(text) <= most else text[: most - 1] + "…"


def _ticks(span: float, most: int, binary: bool) -> list[int]:
    """Round positions in [0, span], about `most` of them."""
    rough = max(span / most, 1.0)
    if binary:
        step = 2 ** math.ceil(math.log2(rough))
    else:
        power = 10 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    return list(range(0, int(span) + 1, int(step)))


def _axes(x: _Scale, y: _Scale, n: int, top: float) -> list[str]:
    bottom, below = sum(MAP), sum(LIVE)
    parts = [
        f'<rect class="ground" x="{LEFT}" y="{MAP[0]}" width="{WIDTH - LEFT - RIGHT}" height="{MAP[1]}"/>',
        f'<rect class="ground" x="{LEFT}" y="{LIVE[0]}" width="{WIDTH - LEFT - RIGHT}" height="{LIVE[1]}"/>',
    ]
    for step in _ticks(n, 9, False):
        parts.append(_line("grid", x(step), MAP[0], x(step), bottom))
        if x(step) > WIDTH - RIGHT - 45:
            continue
        parts.append(_text("small muted", x(step), bottom + 13, f"{step:,}", "middle"))
    for address in _ticks(top, 7, True):
        parts.append(_line("grid", LEFT - 4, y(address), LEFT, y(address)))
        parts.append(_text("small muted", LEFT - 7, y(address) + 3.5, format_size(address), "end"))
    parts.append(_text("muted small", WIDTH - RIGHT, bottom + 13, "step", "end"))
    parts.append(
        f'<text class="muted small" transform="translate(14 {MAP[0] + MAP[1] / 2}) rotate(-90)" text-anchor="middle">address</text>'
    )
    parts.append(
        f'<text class="muted small" transform="translate(14 {(LIVE[0] + below) / 2}) rotate(-90)" text-anchor="middle">live</text>'
    )
    return parts


def _roles(graph: Graph, plan: Plan) -> dict[str, str]:
    """What each placed storage is: spilled before output before its kind."""
    outputs = graph.output_storages
    left = {s.tensor for s in spills(graph, plan) if not s.streamed}
    left |= {
        m.tensor
        for m, spilled in zip(plan.moves, spill_moves(graph, plan), strict=True)
        if spilled and not plan.is_load(m)
    }
    return {
        r.tensor: "spilled"
        if r.tensor in left
        else "output"
        if r.tensor in outputs
        else graph.tensor[r.tensor].kind
        for r in plan.residencies
    }


def _boxes(graph: Graph, plan: Plan, x: _Scale, y: _Scale) -> list[str]:
    """One path a role, and names in the boxes that have room."""
    roles = _roles(graph, plan)
    number = {name: k for k, name in enumerate(roles)}
    paths: dict[str, dict[str, None]] = {}
    labels = []
    for r in sorted(plan.residencies, key=lambda r: (r.start, r.offset, r.tensor)):
        left, high = x(r.start), y(r.offset + r.size)
        w, h = max(x(r.stop) - left, 0.3), max(y(r.offset) - high, 0.3)
        shade = f"{roles[r.tensor]} shade{number[r.tensor] % 3}"
        paths.setdefault(shade, {})[f"M{_n(left)} {_n(high)}h{_n(w)}v{_n(h)}h-{_n(w)}z"] = None
        if h >= 9 and w >= 50:
            kind, font_size = ("tiny", 8) if h < 13 else ("small", 10)
            labels.append(
                _text(f"{kind} ink", left + 4, high + h / 2 + 3, _fitted(r.tensor, w - 7, font_size))
            )
    return [f'<path class="box {kind}" d="{"".join(paths[kind])}"/>' for kind in sorted(paths)] + labels


def _moves(graph: Graph, plan: Plan, x: _Scale, y: _Scale) -> list[str]:
    """Wedges where a storage is loaded again (at its residency's begin) and stored (at its end)."""
    at = _places(plan.residencies)
    found: dict[str, list[str]] = {"load": [], "store": []}
    for m, spilled in zip(plan.moves, spill_moves(graph, plan), strict=True):
        parts = at.get(m.tensor, [])
        load = plan.is_load(m)
        k = bisect_right(parts, m.issue - (not load), key=lambda r: r.start)
        if spilled and k:
            place = parts[k - 1]
            edge = x(place.start) if load else x(place.stop) - 5
            middle = y(place.offset + place.size / 2)
            found["load" if load else "store"].append(f"M{_n(edge)} {_n(middle - 4)}l5 4l-5 4z")
    return [f'<path class="mark {kind}" d="{"".join(marks)}"/>' for kind, marks in found.items() if marks]


def _journeys(graph: Graph, plan: Plan, x: _Scale, y: _Scale) -> list[str]:
    """The way of what is spilled through host memory, where that are few enough to follow."""
    found = [s for s in spills(graph, plan) if not s.streamed]
    if not 0 < len(found) <= JOURNEYS:
        return []
    at, parts = _places(plan.residencies), list[str]()
    for s in found:
        away = next(r for r in at[s.tensor] if r.stop == s.start)
        back = next(r for r in at[s.tensor] if r.start == s.stop)
        x0, y0 = x(away.stop), y(away.offset + away.size / 2)
        x1, y1 = x(back.start), y(back.offset + back.size / 2)
        bend, lift = max(20.0, (x1 - x0) / 3), 20 if abs(y0 - y1) < 12 else 0
        parts.append(
            f"M{_n(x0)} {_n(y0)}C{_n(x0 + bend)} {_n(y0 - lift)} {_n(x1 - bend)} {_n(y1 - lift)} {_n(x1)} {_n(y1)}"
        )
    return [f'<path class="line ghost dash" d="{"".join(parts)}"/>']


def _places(residencies: Iterable[Residency]) -> dict[str, list[Residency]]:
    """Residencies by storage, by start."""
    places: dict[str, list[Residency]] = {}
    for r in sorted(residencies, key=lambda r: r.start):
        places.setdefault(r.tensor, []).append(r)
    return places


def _live(graph: Graph, plan: Plan, x: _Scale, top: float) -> list[str]:
    """Live bytes as an area; dashed, what they would be had nothing left."""
    live = live_bytes(plan)
    ghost = live_without_spills(graph, plan)
    top = max(top, *ghost) if ghost else top
    y = _Scale(top * 1.05, sum(LIVE), -LIVE[1])
    outline = _stairs(live, x, y)
    parts = [f'<path class="under" d="M{_n(x(0))} {_n(y(0))}{outline.replace("M", "L", 1)}V{_n(y(0))}z"/>']
    if ghost != live:
        parts.append(f'<path class="line ghost dash" d="{_stairs(ghost, x, y)}"/>')
    parts.append(f'<path class="line curve" d="{outline}"/>')
    capacity = plan.target.scratchpad.capacity
    if capacity is not None:
        parts.append(_line("limit", x(0), y(capacity), x(len(live)), y(capacity)))
    parts.append(_text("small muted", LEFT - 7, LIVE[0] + 9, format_size(int(top)), "end"))
    parts.append(_text("small muted", LEFT - 7, sum(LIVE), "0 B", "end"))
    return parts


def _stairs(values: Sequence[float], x: _Scale, y: _Scale) -> str:
    """A path of steps; equal neighbours are one."""
    parts, last = [f"M{_n(x(0))} {_n(y(values[0] if values else 0))}"], values[0] if values else 0
    for t, value in enumerate(values):
        if value != last:
            parts.append(f"H{_n(x(t))}V{_n(y(value))}")
            last = value
    return "".join([*parts, f"H{_n(x(len(values)))}"])


def _legend(graph: Graph, plan: Plan) -> list[str]:
    """Only what occurs."""
    present = set(_roles(graph, plan).values())
    parts, at, base = list[str](), float(LEFT), HEIGHT - 18
    for role in (role for role in ROLES if role in present):
        parts.append(f'<rect class="{role}" x="{_n(at)}" y="{base - 9}" width="10" height="10" rx="2"/>')
        parts.append(_text("small", at + 15, base, role))
        at += 15 + 6.2 * len(role) + 16
    loads = {
        plan.is_load(m) for m, spilled in zip(plan.moves, spill_moves(graph, plan), strict=True) if spilled
    }
    for kind, words in (("store", "stored to host"), ("load", "loaded again")):
        if (kind == "load") in loads:
            parts.append(f'<path class="mark {kind}" d="M{_n(at)} {base - 8}l5 4l-5 4z"/>')
            parts.append(_text("small", at + 10, base, words))
            at += 10 + 6 * len(words) + 16
    if "spilled" in present:
        parts.append(_line("ghost dash", at, base - 4, at + 20, base - 4))
        parts.append(_text("small", at + 25, base, "through host; live bytes without spills"))
    return parts
