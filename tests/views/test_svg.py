"""Pictures: well-formed, self-contained, true to the plan, the same each time."""

from __future__ import annotations

import random
import re
import xml.etree.ElementTree as ElementTree

import pytest

import memplan
from memplan.ir.graph import Graph
from memplan.problem.plan import Plan
from memplan.views import svg_boxes
from memplan.views.boxes import scene_of
from memplan.views.drawing import Scale
from memplan.views.svg import ALONE, CAPTION, LEFT, RIGHT, SHARED, TOP, WIDTH, svg_text
from tests.generate import random_graph, random_plan
from tests.spread import blocks, spread_plan, wide_plans
from tests.views.test_document import nasty_graph
from tests.views.test_report import ladder

SVG = "{http://www.w3.org/2000/svg}"


def drawn(graph: Graph, plan: Plan, **options: bool) -> ElementTree.Element:
    return ElementTree.fromstring(svg_text(graph, plan, **options))


def boxes(picture: ElementTree.Element) -> list[tuple[float, float, float, float]]:
    """x, y, width, height of every residency drawn."""
    paths = [p.get("d", "") for p in picture.iter(f"{SVG}path") if p.get("class", "").startswith("box")]
    found = [re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)h-[\d.]+z", path) for path in paths]
    return sorted((float(a), float(b), float(c), float(d)) for path in found for a, b, c, d in path)


@pytest.mark.parametrize("seed", range(20))
def test_every_residency_is_where_it_lies(seed: int) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng, rng.randint(1, 25))
    plan = random_plan(rng, graph)
    n, top = len(plan.schedule), max(plan.target.scratchpad.capacity or 0, plan.metrics.peak, 1)
    wide, high = (WIDTH - LEFT - RIGHT) / n, ALONE / (1.02 * top)
    expected = sorted(
        {
            (round(LEFT + r.start * wide, 1), round(TOP + ALONE - (r.offset + r.size) * high, 1))
            for r in plan.residencies
        }
    )
    found = sorted({(x, y) for x, y, _, _ in boxes(drawn(graph, plan))})
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a == pytest.approx(b, abs=0.11)


def test_axes_have_units_and_the_legend_says_what_occurs() -> None:
    graph = ladder(12)
    plan = memplan.plan(graph, scratchpad="MH", solver="greedy", workers=1, time_limit_s=60)
    texts = [t.text or "" for t in drawn(graph, plan).iter(f"{SVG}text")]
    for part in (
        "ladder",
        "step",
        "address",
        "activation",
        "spilled",
        "input",
        "output",
        "stored to host",
        "loaded again",
        "0 B",
    ):
        assert part in texts, part
    assert "constant" not in texts and any("KiB" in t and "capacity" in t for t in texts)
    calm = memplan.plan(graph, scratchpad="max", solver="greedy", workers=1, time_limit_s=1)
    texts = [t.text or "" for t in drawn(graph, calm).iter(f"{SVG}text")]
    assert "spilled" not in texts and not any("capacity" in t for t in texts)


def test_stays_inside_and_asks_for_nothing() -> None:
    graph = nasty_graph()
    plan = memplan.plan(graph, solver="greedy", workers=1, time_limit_s=1)
    text = svg_text(graph, plan, adaptive=True)
    text.encode()
    picture = ElementTree.fromstring(text)
    assert {e.tag.removeprefix(SVG) for e in picture.iter()} <= {
        "svg",
        "title",
        "style",
        "rect",
        "path",
        "text",
        "g",
    }
    assert not re.search(r"href|url\(|@import", text) and text.count("http") == 1
    for x, y, w, h in boxes(picture):
        assert LEFT <= x <= x + w <= WIDTH - RIGHT + 0.5 and TOP - 0.5 <= y <= y + h <= TOP + ALONE + 0.5


def test_dark_colours_only_on_request() -> None:
    graph = ladder(6)
    plan = memplan.plan(graph, scratchpad="MH", solver="greedy", workers=1, time_limit_s=1)
    assert "prefers-color-scheme" in svg_text(graph, plan, adaptive=True)
    assert "prefers-color-scheme" not in svg_text(graph, plan)
    assert svg_text(graph, plan) == svg_text(graph, plan)


def paths(picture: ElementTree.Element, kind: str) -> str:
    """The outlines of a class of paths, one after another."""
    return "".join(
        p.get("d", "") for p in picture.iter(f"{SVG}path") if p.get("class", "").split()[0] == kind
    )


def words_of(picture: ElementTree.Element) -> list[str]:
    return [t.text or "" for t in picture.iter(f"{SVG}text")]


@pytest.mark.parametrize("timed", [False, True])
def test_each_memory_has_a_map_and_each_box_lies_in_its_own(timed: bool) -> None:
    graph = blocks(4)
    plan = spread_plan(graph, timed)
    picture = drawn(graph, plan)
    assert plan.metrics.peaks is not None
    tops = {"sram": TOP + CAPTION, "axi": TOP + 2 * CAPTION + SHARED}
    expected = set()
    for r in plan.residencies:
        scale = SHARED / 1.02 / plan.metrics.peaks[r.memory]
        y = tops[r.memory] + SHARED - (r.offset + r.size) * scale
        expected.add((LEFT + r.start * (WIDTH - LEFT - RIGHT) / len(plan.schedule), y))
    found = {(x, y) for x, y, _, _ in boxes(picture)}
    assert len(found) == len(expected)
    for a, b in zip(sorted(found), sorted((round(x, 1), round(y, 1)) for x, y in expected), strict=True):
        assert a == pytest.approx(b, abs=0.11)
    captions = [word for word in words_of(picture) if re.match(r"(sram|axi): peak [\d.]+ KiB of", word)]
    assert len(captions) == 2 and not any("capacity" in word for word in words_of(picture))


def test_marks_are_as_many_as_what_they_mark() -> None:
    graph = blocks(4)
    plan = spread_plan(graph)
    picture, scene = drawn(graph, plan), scene_of(graph, plan)
    assert paths(picture, "part").count("M") == sum(1 for box in scene.boxes if box.whole) > 0
    again = sum(1 for box in scene.boxes if box.execution > 1)
    assert paths(picture, "again").count("M") == again > 0
    wedges = paths(picture, "mark").count("M") - 2  # of the legend
    arrivals = sum(box.arrival >= 0 and scene.spilled[box.arrival] for box in scene.boxes)
    departures = sum(more and not plan.is_load(m) for m, more in zip(plan.moves, scene.spilled, strict=True))
    assert wedges == arrivals + departures > 2
    assert {"joined part", "in place", "executed again", "workspace", "to a slower memory"} <= {
        *words_of(picture)
    }
    x, y = Scale(1, 0, 1000), {m.name: Scale(1, 100, -100) for m in plan.target.addressed}
    (ways,) = svg_boxes.ways(scene, x, y)
    assert ways.count("C") == len(scene.ways) > 1


def test_any_plan_can_be_drawn_within_its_picture() -> None:
    empty = 0
    for graph, plan in wide_plans(100):
        picture = drawn(graph, plan)
        bottom = float(picture.get("height", "0"))
        for x, y, w, h in boxes(picture):
            assert LEFT <= x <= x + w <= WIDTH - RIGHT + 0.5 and TOP - 0.5 <= y <= y + h <= bottom
        assert all(float(t.get("x", "0")) < WIDTH for t in picture.iter(f"{SVG}text"))
        empty += any("nothing lies here" in word for word in words_of(picture))
    assert empty
