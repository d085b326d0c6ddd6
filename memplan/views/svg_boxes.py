"""What lies in the memory maps of a picture: boxes with their names, marks of moves, and the ways between boxes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from memplan.views.boxes import Box, Scene
from memplan.views.drawing import Scale, fitted, number, words

JOURNEYS = 24
"""Ways between boxes that are drawn; more would be a thicket."""


def boxes(scene: Scene, x: Scale, y: Mapping[str, Scale]) -> list[str]:
    """One path a role, then the joined parts inside their outputs, and names in the boxes that have room.

    Args:
        scene: what is drawn.
        x: from steps to pixels.
        y: by memory, from addresses to pixels.
    """
    whole, parts, labels = dict[str, dict[str, None]](), dict[str, dict[str, None]](), list[str]()
    again: dict[str, None] = {}
    shades = {name: k for k, name in enumerate(dict.fromkeys(box.tensor for box in scene.boxes))}
    parted: dict[str, int] = {}  # until when parts lie in it, whose names come first
    for box in scene.boxes:
        if box.whole:
            parted[box.whole] = max(box.stop, parted.get(box.whole, 0))
    written = {
        over.operand: over.step for over in scene.overs
    }  # where names stand beside what two boxes share
    shared = {over.output: over.step + 1 for over in scene.overs}
    for i, box in sorted(
        enumerate(scene.boxes), key=lambda row: (row[1].start, row[1].offset, row[1].tensor)
    ):
        left, high, w, h = _corners(box, x, y[box.memory])
        shade = f"{scene.role(box.tensor)} shade{shades[box.tensor] % 3}"
        outline = f"M{number(left)} {number(high)}h{number(w)}v{number(h)}h-{number(w)}z"
        (parts if box.whole else whole).setdefault(shade, {})[outline] = None
        if box.execution > 1:
            again[f"M{number(left)} {number(high)}h{number(w)}v{number(min(3.0, h))}h-{number(w)}z"] = None
        begin = max(left, x(parted.get(box.tensor, 0)), x(shared.get(i, 0)))
        end = min(left + w, x(written.get(i, box.stop)))
        left, w = begin, end - begin
        if h >= 9 and w >= 50:
            kind, font_size = ("tiny", 8) if h < 13 else ("small", 10)
            name = fitted(box.tensor, w - 7, font_size)
            labels.append(words(f"{kind} ink", left + 4, high + h / 2 + 3, name))
    drawn = [f'<path class="box {kind}" d="{"".join(whole[kind])}"/>' for kind in sorted(whole)]
    drawn += [f'<path class="part {kind}" d="{"".join(parts[kind])}"/>' for kind in sorted(parts)]
    drawn += _halves(scene, x, y)
    drawn += [f'<path class="again" d="{"".join(again)}"/>'] if again else []
    return drawn + labels


def _halves(scene: Scene, x: Scale, y: Mapping[str, Scale]) -> list[str]:
    """Diagonals across the steps in which something is written over its operand."""
    paths = []
    for step, _, operand in scene.overs:
        box = scene.boxes[operand]
        top, bottom = y[box.memory](box.offset + box.size), y[box.memory](box.offset)
        if x(step + 1) - x(step) >= 3 and bottom - top >= 3:
            paths.append(f"M{number(x(step))} {number(top)}L{number(x(step + 1))} {number(bottom)}")
    return [f'<path class="line curve" d="{"".join(paths)}"/>'] if paths else []


def _corners(box: Box, x: Scale, y: Scale) -> tuple[float, float, float, float]:
    """Left, top, width and height, neither thinner than a printer's dot."""
    left, high = x(box.start), y(box.offset + box.size)
    return left, high, max(x(box.stop) - left, 0.3), max(y(box.offset) - high, 0.3)


def moves(scene: Scene, x: Scale, y: Mapping[str, Scale]) -> list[str]:
    """Wedges where a box comes from another memory without need, at its begin, and goes to a slower one, at its end."""
    plan = scene.plan
    found: dict[str, list[str]] = {"load": [], "store": []}
    places: dict[tuple[str, str], list[Box]] = {}
    for box in sorted(scene.boxes, key=lambda b: b.start):
        places.setdefault((box.tensor, box.memory), []).append(box)
        if box.arrival >= 0 and scene.spilled[box.arrival]:
            kind = "load" if plan.is_load(plan.moves[box.arrival]) else "store"
            found[kind].append(_wedge(x(box.start), box, y))
    for move, spilled in zip(plan.moves, scene.spilled, strict=True):
        if not spilled or plan.is_load(move):
            continue
        rows = places.get((move.tensor, move.source), [])
        k = bisect_left(rows, move.issue, key=lambda b: b.start)
        if k and move.issue <= rows[k - 1].stop:
            found["store"].append(_wedge(x(rows[k - 1].stop) - 5, rows[k - 1], y))
    return [f'<path class="mark {kind}" d="{"".join(marks)}"/>' for kind, marks in found.items() if marks]


def _wedge(edge: float, box: Box, y: Mapping[str, Scale]) -> str:
    middle = y[box.memory](box.offset + box.size / 2)
    return f"M{number(edge)} {number(middle - 4)}l5 4l-5 4z"


def ways(scene: Scene, x: Scale, y: Mapping[str, Scale]) -> list[str]:
    """How boxes come from others, where that are few enough to follow: from the end of one that comes back to the
    same memory, and from the boundary at which the copy begins to another memory."""
    if not 0 < len(scene.ways) <= JOURNEYS:
        return []
    parts = list[str]()
    for move, a, b in scene.ways:
        away, back = scene.boxes[a], scene.boxes[b]
        left = away.stop if away.memory == back.memory else scene.plan.moves[move].issue
        x0, y0 = x(left), y[away.memory](away.offset + away.size / 2)
        x1, y1 = x(back.start), y[back.memory](back.offset + back.size / 2)
        bend, lift = max(20.0, (x1 - x0) / 3), 20 if abs(y0 - y1) < 12 else 0
        parts.append(
            f"M{number(x0)} {number(y0)}C{number(x0 + bend)} {number(y0 - lift)} "
            f"{number(x1 - bend)} {number(y1 - lift)} {number(x1)} {number(y1)}"
        )
    return [f'<path class="line ghost dash" d="{"".join(parts)}"/>']
