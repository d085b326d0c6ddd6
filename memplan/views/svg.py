"""The memory maps of a plan as SVG, for papers and READMEs: steps across, addresses upwards, live bytes below.

One map for each memory that has addresses, fastest first, as far as anything lies there.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from memplan.base.units import format_size
from memplan.ir.graph import Graph
from memplan.judge.explain import live_without_spills
from memplan.judge.live import live_bytes
from memplan.machine.parts import Memory
from memplan.problem.plan import Plan
from memplan.views import svg_boxes
from memplan.views.boxes import ROLES, Scene, scene_of
from memplan.views.drawing import Scale, clean, fitted, line, number, stairs, style, ticks, upright, words

WIDTH = 960
LEFT, RIGHT, TOP = 72, 20, 54
ALONE, SHARED = 296, 180
"""Height of a map, alone or one of several."""
CAPTION = 20
"""Height of the line that names a memory, where there are several."""
GAP, LIVE, BOTTOM = 22, 60, 48
"""Heights of the step numbers, of the live bytes, and of what is below them."""


class _Map(NamedTuple):
    """A memory in the picture: its peak, and the top of its map and the map's height, 0 where nothing lies in it."""

    memory: Memory
    peak: int
    top: int
    height: int

    @property
    def most(self) -> int:
        """The highest address drawn."""
        return max(self.memory.capacity or 0, self.peak, 1)

    @property
    def y(self) -> Scale:
        """From addresses to pixels."""
        return Scale(self.most * 1.02, self.top + self.height, -self.height)

    @property
    def full(self) -> str:
        """The bytes in use, of how many."""
        return format_size(self.peak) + (
            "" if self.memory.capacity is None else f" of {format_size(self.memory.capacity)}"
        )


def svg_text(graph: Graph, plan: Plan, adaptive: bool = False) -> str:
    """The picture, `adaptive` with colours that follow the reader's light or dark setting. Same plan, same text."""
    scene = scene_of(graph, plan)
    n = max(len(plan.schedule), 1)
    maps = _maps(plan)
    bottom = maps[-1].top + maps[-1].height
    height = bottom + GAP + LIVE + BOTTOM
    x = Scale(n, LEFT, WIDTH - LEFT - RIGHT)
    y = {m.memory.name: m.y for m in maps}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        f"<title>{escape(clean(f'Memory map of {graph.name}'))}</title>",
        f"<style>{style(adaptive)}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="{8 if adaptive else 0}"/>',
        *_heading(graph, plan, maps),
    ]
    for m in maps:
        parts += _axes(m, x, n) if m.height else ()
        parts += [_caption(m)] if len(maps) > 1 else ()
    parts += _steps(x, n, bottom)
    parts += svg_boxes.boxes(scene, x, y)
    parts += svg_boxes.ways(scene, x, y)
    parts += svg_boxes.moves(scene, x, y)
    for m in maps:
        parts += _limit(m, x, n)
    parts += _live(graph, plan, x, maps[0].most, bottom + GAP)
    return "\n".join([*parts, *_legend(scene, height - 18), "</svg>"]) + "\n"


def _maps(plan: Plan) -> list[_Map]:
    addressed = plan.target.addressed
    peaks = {m.name: 0 for m in addressed}
    for r in plan.residencies:
        peaks[r.memory] = max(peaks[r.memory], r.offset + r.size)
    used = {r.memory for r in plan.residencies}
    if len(addressed) == 1:
        return [_Map(addressed[0], peaks[addressed[0].name], TOP, ALONE)]
    maps, top = list[_Map](), TOP
    for memory in addressed:
        height = SHARED if memory.name in used else 0
        maps.append(_Map(memory, peaks[memory.name], top + CAPTION, height))
        top += CAPTION + height
    return maps


def _heading(graph: Graph, plan: Plan, maps: list[_Map]) -> list[str]:
    objective, proved = plan.options.objective, plan.status == "optimal"
    kind = {"traffic": "spilled", "compute": "computed again"}.get(objective, objective)
    if objective == "traffic" and plan.value != plan.metrics.traffic:
        kind = "accessed"
    proof = "proved optimal" if proved else f"bound {_quantity(plan, plan.bound)}"
    peak = f"; peak {maps[0].full}" if len(maps) == 1 else ""
    note = f"{len(plan.schedule)} steps on {plan.target.name}: {_quantity(plan, plan.value or 0)} {kind}, {proof}{peak}"
    return [
        words("title", LEFT, 24, fitted(graph.name, WIDTH - LEFT - RIGHT, 14)),
        words("muted", LEFT, 42, fitted(f"{note}; solver {plan.solver}", WIDTH - LEFT - RIGHT, 11)),
    ]


def _quantity(plan: Plan, value: float) -> str:
    objective = plan.options.objective
    if objective == "latency" or (objective == "compute" and plan.target.timed):
        return f"{value:.4g} s"
    return f"{value:,.4g} flops" if objective == "compute" else format_size(int(value))


def _axes(m: _Map, x: Scale, n: int) -> Iterator[str]:
    """A map's ground, grid and addresses."""
    yield f'<rect class="ground" x="{LEFT}" y="{m.top}" width="{WIDTH - LEFT - RIGHT}" height="{m.height}"/>'
    for step in ticks(n, 9, False):
        yield line("grid", x(step), m.top, x(step), m.top + m.height)
    for address in ticks(m.most, 7, True):
        yield line("grid", LEFT - 4, m.y(address), LEFT, m.y(address))
        yield words("small muted", LEFT - 7, m.y(address) + 3.5, format_size(address), "end")
    yield upright(14, m.top + m.height / 2, "address")


def _caption(m: _Map) -> str:
    """Which of several memories it is, and how full."""
    note = f"peak {m.full}" if m.height else "nothing lies here"
    return words("small", LEFT, m.top - 6, fitted(f"{m.memory.name}: {note}", WIDTH - LEFT - RIGHT, 10))


def _limit(m: _Map, x: Scale, n: int) -> Iterator[str]:
    """The capacity; its caption names it where there are several."""
    if m.memory.capacity is None or not m.height:
        return
    y = m.y(m.memory.capacity)
    yield line("limit", x(0), y, x(n), y)
    if m.height == ALONE:
        yield words("small limit", x(n) - 4, y - 4, f"capacity {format_size(m.memory.capacity)}", "end")


def _steps(x: Scale, n: int, bottom: int) -> Iterator[str]:
    for step in ticks(n, 9, False):
        if x(step) <= WIDTH - RIGHT - 45:
            yield words("small muted", x(step), bottom + 13, f"{step:,}", "middle")
    yield words("muted small", WIDTH - RIGHT, bottom + 13, "step", "end")


def _live(graph: Graph, plan: Plan, x: Scale, most: int, place: int) -> list[str]:
    """Live bytes of the first memory as an area; dashed, what they would be had nothing left."""
    live = live_bytes(plan)
    ghost = live_without_spills(graph, plan)
    most = max(most, *ghost) if ghost else most
    y = Scale(most * 1.05, place + LIVE, -LIVE)
    outline = stairs(live, x, y)
    parts = [
        f'<rect class="ground" x="{LEFT}" y="{place}" width="{WIDTH - LEFT - RIGHT}" height="{LIVE}"/>',
        f'<path class="under" d="M{number(x(0))} {number(y(0))}{outline.replace("M", "L", 1)}V{number(y(0))}z"/>',
    ]
    if ghost != live:
        parts.append(f'<path class="line ghost dash" d="{stairs(ghost, x, y)}"/>')
    parts.append(f'<path class="line curve" d="{outline}"/>')
    first = plan.target.scratchpad
    if first.capacity is not None:
        parts.append(line("limit", x(0), y(first.capacity), x(len(live)), y(first.capacity)))
    if len(plan.target.addressed) > 1:
        parts.append(
            words("small muted", WIDTH - RIGHT - 4, place + 11, fitted(f"in {first.name}", 200, 10), "end")
        )
    return [
        *parts,
        upright(14, place + LIVE / 2, "live"),
        words("small muted", LEFT - 7, place + 9, format_size(int(most)), "end"),
        words("small muted", LEFT - 7, place + LIVE, "0 B", "end"),
    ]


def _legend(scene: Scene, base: int) -> list[str]:
    """Only what occurs, in one row or two; `base` is the first one's."""
    parts, at = list[str](), float(LEFT)
    for mark, wide, text in _items(scene):
        if at + wide + 5.6 * len(text) > WIDTH - RIGHT:
            at, base = float(LEFT), base + 13
        parts.append(f'<g transform="translate({number(at)} {base})">{mark}</g>')
        parts.append(words("small", at + wide, base, text))
        at += wide + 5.6 * len(text) + 14
    return parts


def _items(scene: Scene) -> Iterator[tuple[str, int, str]]:
    """Marks, drawn around the origin, with what they mean and how far to their right that stands."""
    plan, present = scene.plan, {scene.role(box.tensor) for box in scene.boxes}
    swatch = '<rect class="{}" y="-9" width="10" height="{}" rx="2"/>'
    for role in (role for role in ROLES if role in present):
        yield swatch.format(role, 10), 15, role
    if any(box.whole for box in scene.boxes):
        yield swatch.format("part activation", 10), 15, "joined part"
    if scene.overs:
        yield swatch.format("activation", 10) + line("curve", 0, -9, 10, 1), 15, "in place"
    if any(box.execution > 1 for box in scene.boxes):
        yield swatch.format("again", 3), 15, "executed again"
    alone, slow = len(plan.target.memories) == 2 and len(plan.target.addressed) == 1, plan.target.host.name
    directions = {plan.is_load(m) for m, spilled in zip(plan.moves, scene.spilled, strict=True) if spilled}
    for kind, text in (
        ("store", f"stored to {slow}" if alone else "to a slower memory"),
        ("load", "loaded again" if alone else "to a faster one"),
    ):
        if (kind == "load") in directions:
            yield f'<path class="mark {kind}" d="M0 -8l5 4l-5 4z"/>', 10, text
    if "spilled" in present:
        text = f"through {slow}; live bytes without spills" if alone else "ways; live bytes without spills"
        yield line("ghost dash", 0, -4, 20, -4), 25, text
