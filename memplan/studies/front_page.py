"""A front of tilings as SVG, HTML, JSON and text."""

from __future__ import annotations

import json
from html import escape

from memplan.onnx.exactness import tiling_exactness
from memplan.solving.front import TilingFront, TilingPoint
from memplan.views.charts import Axis, Mark, Series, byte_axis, plot, standalone
from memplan.views.table_page import table_page

HEADS = ("peak in bytes", "with in/out", "without", "computed", "regions", "ops", "exact")


LIVE = "with in/out, without: the most live bytes with the model's inputs and outputs, and without them"


def front_files(front: TilingFront) -> list[tuple[str, str]]:
    """The files of a front by their ending."""
    return [(".svg", standalone(front_svg(front))), (".html", front_html(front))]


def front_json(front: TilingFront) -> str:
    """The front as a JSON object; a region is as plan files have it."""
    points = [
        {
            "peak": point.peak,
            "macs": point.macs,
            "ops": point.ops,
            "live_resident": point.live_resident,
            "live_external": point.live_external,
            "exact": tiling_exactness(front.graph, point.tiling),
            "tiling": [region.to_dict() for region in point.tiling],
        }
        for point in front.points
    ]
    return json.dumps({"graph": front.graph.name, "seconds": round(front.seconds, 3), "points": points})


def front_text(front: TilingFront) -> str:
    """A table for people."""
    lines = ["  ".join(f"{head:>13}" for head in HEADS)]
    lines += ["  ".join(f"{cell:>13}" for cell in _cells(front, point)) for point in front.points]
    count = len(front.points)
    lines.append(f"{count} {'tiling' if count == 1 else 'tilings'}, {front.seconds:.1f} s; {LIVE}")
    return "\n".join(lines)


def front_svg(front: TilingFront) -> str:
    """The peak by what is computed; a peak holds until the next point."""
    marks = tuple(Mark(p.macs, p.peak, f"{p.peak:,} bytes at {p.macs:.3f} ×") for p in front.points)
    top = max(mark.y for mark in marks)
    right = max(1.01, *(mark.x for mark in marks))
    return plot(
        f"{front.graph.name}: what is computed against bytes",
        Axis("computed, as a multiple of the untiled graph", 1.0, right, show="{:.3g}".format),
        byte_axis("peak", 0, 1.05 * top),
        [Series("planned", 0, marks, "step")],
    )


def front_html(front: TilingFront) -> str:
    """The plot and its points on a page of its own."""
    rows = "".join(
        "<tr>" + "".join(f'<td class="num">{escape(cell)}</td>' for cell in _cells(front, point)) + "</tr>"
        for point in front.points
    )
    head = "".join(f'<th scope="col" class="num">{escape(name)}</th>' for name in HEADS)
    lead = (
        f"Regions of '{front.graph.name}' executed tile by tile, each point a checked plan in the program's order; "
        f"{front.seconds:.1f} s in all. No point needs as few bytes as another one and computes as little; {LIVE}."
    )
    body = (
        f'<p class="lead">{escape(lead)}</p><section class="card"><h2>Computed against bytes</h2>{front_svg(front)}'
        f'</section><section class="card"><h2>Points</h2><div class="scroll"><table class="sheet"><thead><tr>{head}'
        f"</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )
    return table_page(f"{front.graph.name}: fewer bytes by tiles", [], body)


def _cells(front: TilingFront, point: TilingPoint) -> list[str]:
    exact = tiling_exactness(front.graph, point.tiling) if point.tiling else "untiled"
    sizes = [f"{nbytes:,}" for nbytes in (point.peak, point.live_resident, point.live_external)]
    return [*sizes, f"{point.macs:.4f} x", str(len(point.tiling)), f"{point.ops:,}", exact]
