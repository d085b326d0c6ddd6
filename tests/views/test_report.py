"""The report in headless Chromium: what it answers at once, clicks, keys, zoom, search, print, and silence."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import memplan
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.explain import spills
from memplan.machine.load import load_target
from memplan.problem.plan import Plan, Status
from memplan.views.html import report_page
from tests.browser import CHROMIUM, Browser
from tests.generate import random_graph
from tests.graphs import graph_of
from tests.spread import blocks, spread_plan, wide_plans
from tests.views.test_document import nasty_graph

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
    pytest.mark.slow(reason="drives a browser"),
]

MAP = "report.PANES[0].lanes.map0"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        opened.scheme("light")
        yield opened


def ladder(rungs: int, nbytes: int = 1024) -> Graph:
    """A chain whose every tensor is needed again at the end: it spills where it may not keep all."""
    tensors = [Tensor("x", nbytes, "input", "int8", (nbytes,))]
    tensors += [
        Tensor(f"t{i}", nbytes + 64 * i, "activation", "int8", (1, nbytes + 64 * i)) for i in range(rungs)
    ]
    tensors.append(Tensor("y", 64, "output"))
    ops = [Op(f"up{i}", "Conv", (tensors[i].name,), (tensors[i + 1].name,), 1000 * i) for i in range(rungs)]
    carry = tensors[rungs].name
    for i in reversed(range(rungs - 1)):
        name = "y" if i == 0 else f"d{i}"
        if i:
            tensors.append(Tensor(name, 64))
        ops.append(Op(f"down{i}", "Add", (f"t{i}", carry), (name,)))
        carry = name
    return graph_of("ladder", tuple(tensors), tuple(ops))


def planned(graph: Graph, capacity: int | str = "MH", **options: Any) -> Plan:
    return memplan.plan(
        graph,
        scratchpad=capacity,
        solver=options.pop("solver", "greedy"),
        workers=1,
        **{"time_limit_s": 60.0, **options},
    )


def opened(browser: Browser, folder: Path, graph: Graph, *plans: Plan) -> Browser:
    path = folder / "page.html"
    path.write_text(report_page(graph, plans), encoding="utf-8")
    browser.js("try { localStorage.clear() } catch {}")
    browser.open(path)
    return browser


def quiet(browser: Browser) -> None:
    """Nothing went wrong and nothing but the file itself was asked for."""
    assert browser.problems == []
    assert [url for url in browser.requests if not url.startswith("file:///")] == []
    assert len(browser.requests) == 1


def centre_of(browser: Browser, residency: int) -> tuple[float, float]:
    x, y = browser.js(
        f"(() => {{ const p = report.PANES[0], [x, y, w, h] = p.box({residency}), r = p.over.getBoundingClientRect();"
        " return [r.x + x + w / 2, r.y + y + h / 2]; })()"
    )
    return x, y


def view(browser: Browser) -> dict[str, float]:
    """What is in sight of the axis, and of the first map's addresses."""
    seen: dict[str, float] = browser.js(
        "(({x0, x1, y}) => ({x0, x1, y0: y[0][0], y1: y[0][1]}))(report.PANES[0].view)"
    )
    return seen


def text(browser: Browser, selector: str) -> str:
    return str(browser.js(f"document.querySelector({selector!r}).innerText"))


def test_first_view_answers(browser: Browser, tmp_path: Path) -> None:
    graph = ladder(12)
    plan = planned(graph)
    assert plan.metrics.spill_load
    opened(browser, tmp_path, graph, plan)
    shown = text(browser, ".bar") + text(browser, "#summary")
    for part in (
        "ladder",
        "scratchpad",
        "feasible",
        f"{plan.value:,.0f} B",
        "BOUND",
        "gap",
        "PEAK",
        "of the capacity",
        "SPILLED",
        "greedy",
    ):
        assert part in shown, part
    assert browser.js("report.PANES[0].drawMs") > 0
    painted = browser.js(
        "(() => { const c = report.PANES[0].base, d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        " const seen = new Set(); for (let i = 0; i < d.length; i += 16) seen.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]); return seen.size; })()"
    )
    assert painted > 10
    quiet(browser)


def test_hover_and_click_tell_about_a_tensor(browser: Browser, tmp_path: Path) -> None:
    graph = ladder(12)
    plan = planned(graph)
    opened(browser, tmp_path, graph, plan)
    name = spills(graph, plan)[0].tensor
    k = int(name.removeprefix("t"))
    spilled = next(i for i, r in enumerate(plan.residencies) if r.tensor == name)
    x, y = centre_of(browser, spilled)
    browser.mouse("mouseMoved", x, y)
    browser.settle()
    tip = text(browser, ".tip")
    assert name in tip and f"made by up{k} (Conv)" in tip and "away in steps" in tip
    browser.click(x, y)
    panel = text(browser, "#inspector")
    for part in (
        name,
        f"{graph.tensor[name].nbytes:,} B",
        "int8",
        f"down{k}",
        "Away in steps",
        f"spill store of {name}",
        f"spill load of {name}",
    ):
        assert part in panel, part
    browser.click_on("#inspector .link")  # its producer
    assert "flops" in text(browser, "#inspector") and browser.js("report.State.step") == plan.schedule.index(
        f"up{k}"
    )
    browser.key("Escape")
    assert browser.js("report.State.step") is None and "Legend" in browser.js(
        "document.querySelector('#inspector').textContent"
    )
    quiet(browser)


def test_wheel_drag_box_and_double_click(browser: Browser, tmp_path: Path) -> None:
    graph = ladder(40)
    opened(browser, tmp_path, graph, planned(graph))
    whole = view(browser)
    left, top, width, height = browser.js(
        f"(r => [r.x + report.PANES[0].left, r.y + {MAP}.top, report.PANES[0].width, {MAP}.height])(report.PANES[0].over.getBoundingClientRect())"
    )
    x, y = left + width / 4, top + height / 2
    under = browser.js(f"report.PANES[0].atX({x - left} + report.PANES[0].left)")
    browser.wheel(x, y, -240)
    zoomed = view(browser)
    assert zoomed["x1"] - zoomed["x0"] < 0.7 * (whole["x1"] - whole["x0"]) and zoomed["y1"] == whole["y1"]
    assert browser.js(f"report.PANES[0].atX({x - left} + report.PANES[0].left)") == pytest.approx(
        under, abs=0.5
    )
    browser.wheel(x, y, -240, modifiers=2)
    assert view(browser)["y1"] - view(browser)["y0"] < 0.7 * (whole["y1"] - whole["y0"])
    before = view(browser)
    browser.drag((x, y), (x + 100, y - 40))
    after = view(browser)
    wide = before["x1"] - before["x0"]
    assert before["x0"] - after["x0"] == pytest.approx(min(before["x0"], 100 / width * wide), rel=0.02)
    browser.key("0")
    assert view(browser) == whole
    browser.drag((left + width * 0.5, top + 5), (left + width * 0.75, top + height - 5), modifiers=8)
    boxed = view(browser)
    assert boxed["x0"] == pytest.approx(whole["x1"] * 0.5, rel=0.02) and boxed["x1"] == pytest.approx(
        whole["x1"] * 0.75, rel=0.02
    )
    browser.click(left + width - 3, top + 3, times=2)
    assert view(browser) == whole
    browser.click(left + width * 0.9, top - 40)  # the overview does not choose anything
    quiet(browser)


def test_keys(browser: Browser, tmp_path: Path) -> None:
    graph = ladder(20)
    plan = planned(graph)
    opened(browser, tmp_path, graph, plan)
    browser.key("n")
    first = browser.js("report.State.tensor")
    browser.key("n")
    assert browser.js("report.State.tensor") != first
    browser.key("p")
    assert browser.js("report.State.tensor") == first
    browser.key(".")
    chosen = browser.js("report.T.name[report.State.tensor]")
    assert chosen in {m.tensor for m in plan.moves if plan.is_load(m)}
    browser.key("Enter")
    close = view(browser)
    assert close["x1"] - close["x0"] < len(plan.schedule)
    browser.key("+")
    assert view(browser)["x1"] - view(browser)["x0"] < close["x1"] - close["x0"]
    at = view(browser)["x0"]
    browser.key("ArrowRight")
    assert view(browser)["x0"] > at
    browser.key("?")
    assert browser.js("document.querySelector('#help').open") and "next tensor" in text(browser, "#help")
    browser.key("Escape")
    assert not browser.js("document.querySelector('#help').open")
    dark = browser.js("document.documentElement.dataset.theme")
    browser.key("l")
    assert {dark, browser.js("document.documentElement.dataset.theme")} == {"light", "dark"}
    browser.key("4")
    assert text(browser, ".tab[aria-selected=true]").startswith("Steps")
    quiet(browser)


def test_search_and_filters(browser: Browser, tmp_path: Path) -> None:
    graph = ladder(30)
    opened(browser, tmp_path, graph, planned(graph))
    browser.key("1")
    browser.key("/")
    browser.type("t7")
    rows = "[...document.querySelectorAll('#table .grid-row')].map(r => r.firstChild.innerText.trim())"
    assert browser.js(rows) == ["t7"] and "1 of " in text(browser, "#found")
    browser.key("Enter")
    assert browser.js("report.T.name[report.State.tensor]") == "t7"
    browser.key("/")
    browser.type("no such thing")
    assert "No tensor matches" in text(browser, "#table")
    browser.key("Escape")
    assert browser.js("report.State.query") == "" and len(browser.js(rows)) > 5
    browser.key("Escape")
    browser.click_on("#moved")
    moved = browser.js("document.querySelector('#tabs .tab').innerText")
    assert moved != f"Tensors {len(graph.tensors)}" and browser.js("report.State.onlyMoved")
    browser.click_on("#moved")
    browser.click_on(".legend-item")
    assert browser.js("report.State.hidden.size") == 1 and "t29" not in browser.js(rows)
    quiet(browser)


def test_tables_sort_and_choose(browser: Browser, tmp_path: Path) -> None:
    graph = ladder(90)
    opened(browser, tmp_path, graph, planned(graph))
    browser.key("1")
    rows = "document.querySelectorAll('#table .grid-row').length"
    assert 5 < browser.js(rows) < 60  # only what is in sight
    names = "[...document.querySelectorAll('#table .grid-row')].map(r => r.firstChild.innerText.trim())"
    assert browser.js(names)[0] == "t89"
    browser.click_on("#table .grid-head span:nth-child(2) button")
    assert browser.js(names)[0] != "t89"
    browser.click_on("#table .grid-row:nth-child(3)")
    assert browser.js("report.T.name[report.State.tensor]") == browser.js(names)[2]
    quiet(browser)


def test_two_plans_side_by_side(browser: Browser, tmp_path: Path) -> None:
    graph = ladder(16)
    opened(browser, tmp_path, graph, planned(graph, "MR"), planned(graph, "MP"))
    shown = text(browser, "#summary")
    assert "B against A" in shown and "−100 %" in shown
    assert browser.js("report.PANES.length") == 2
    browser.key("+")
    views = browser.js("report.PANES.map(p => [p.view.x0, p.view.x1])")
    assert views[0] == views[1] != [0, browser.js("report.PANES[0].plan.end")]
    browser.key("0")
    views = browser.js("report.PANES.map(p => [p.view.x0, p.view.x1, p.view.y[0][1] / p.plan.maps[0].top])")
    assert views[0] == views[1] == [0, len(graph.ops), pytest.approx(1.02)]
    browser.click_on("#link")
    browser.key("+")
    views = browser.js("report.PANES.map(p => [p.view.x0, p.view.x1])")
    assert views[0] != views[1]
    browser.key("5")
    assert "spilled" in text(browser, "#table") and text(browser, ".tab[aria-selected=true]").startswith(
        "Differences"
    )
    quiet(browser)


def test_timeline(browser: Browser, tmp_path: Path) -> None:
    graph = ladder(12)
    plan = memplan.plan(
        graph,
        load_target("cortex-m7"),
        scratchpad="MH",
        objective="latency",
        io="host",
        solver="greedy",
        workers=1,
    )
    assert plan.moves
    opened(browser, tmp_path, graph, plan)
    assert {"compute", "queue0", "map0", "live"} <= set(browser.js("Object.keys(report.PANES[0].lanes)"))
    assert browser.js("report.PANES[0].plan.end") == pytest.approx(1e9 * plan.metrics.latency_s, rel=1e-6)
    assert "waiting for copies" in text(browser, "#inspector")
    x, y = browser.js(
        "(() => { const p = report.PANES[0], r = p.over.getBoundingClientRect(), i = p.plan.moves.findIndex(m => !m.store), [a, b] = p.plan.moveSpan(i);"
        " return [r.x + p.X((a + b) / 2), r.y + p.lanes.queue0.top + 7]; })()"
    )
    browser.click(x, y)
    assert "compulsory load" in text(browser, "#inspector")
    browser.key("t")
    assert browser.js("report.PANES[0].plan.end") == len(plan.schedule)
    assert browser.js("document.querySelector('#axis').value") == "step"
    quiet(browser)


def test_each_memory_has_a_map(browser: Browser, tmp_path: Path) -> None:
    """A map for each memory with its peak, boxes and live bytes; parts inside their outputs; marks of repeated steps."""
    graph = blocks(4)
    plan = spread_plan(graph)
    opened(browser, tmp_path, graph, plan)
    lanes = browser.js("Object.keys(report.PANES[0].lanes)")
    assert {"head0", "map0", "head1", "map1", "moves", "live"} <= set(lanes) and "map2" not in lanes
    shown = "report.PANES[0].plan"
    assert browser.js(f"{shown}.maps.map(m => [m.name, m.peak, m.boxes.length])") == [
        [m.name, (plan.metrics.peaks or {})[m.name], count]
        for m in plan.target.addressed
        for count in [
            browser.js(f"{shown}.boxes.filter(b => {shown}.memories[b[1]].name === '{m.name}').length")
        ]
    ]
    parts = sum(len(op.joins) for op in graph.ops if op.name in plan.joined)
    assert browser.js(f"{shown}.boxes.length - {shown}.parts") == parts
    inside = browser.js(
        "(() => { const p = report.PANES[0], q = p.plan; return q.wholes.every((w, k) => {"
        " const [x, y, a, b] = p.box(q.parts + k);"
        " return q.placed.get(w).some(i => { const [X, Y, A, B] = p.box(i);"
        " return X <= x + 1e-6 && Y <= y + 1e-6 && x + a <= X + A + 1e-6 && y + b <= Y + B + 1e-6; }); }); })()"
    )
    assert inside is True
    again = [t for t, name in enumerate(plan.schedule) if name in plan.schedule[:t]]
    assert browser.js(f"{shown}.again") == again and again
    legend = text(browser, "#inspector")
    for words in ("joined part", "in place", "executed again", "to a slower memory"):
        assert words in legend, words
    summary = text(browser, "#summary")
    for words in ("sram", "axi", "EXECUTED AGAIN", "BYTES ACCESSED"):
        assert words in summary, words
    quiet(browser)


def test_what_parts_moves_and_steps_tell(browser: Browser, tmp_path: Path) -> None:
    graph = blocks(4)
    plan = spread_plan(graph)
    opened(browser, tmp_path, graph, plan)
    part = browser.js("report.PANES[0].plan.parts")
    x, y = centre_of(browser, part)
    browser.mouse("mouseMoved", x, y)
    browser.settle()
    assert "a part of both0" in text(browser, ".tip") and "in axi" in text(browser, ".tip")
    browser.click(x, y)
    panel = text(browser, "#inspector").lower()
    assert "joined in both0" in panel and "it lies inside both0" in panel
    browser.key("2")
    cells = (
        "[...document.querySelectorAll('#table .grid-row')].map(r => [...r.children].map(c => c.innerText))"
    )
    told = sorted((row[2], row[4], row[5], int(row[6])) for row in browser.js(cells))
    assert told == sorted((m.tensor, m.source, m.destination, m.queue) for m in plan.moves)
    step = next(t for t, name in enumerate(plan.schedule) if name in plan.schedule[:t])
    browser.js(f"report.State.set({{tensor: null, step: {step}, plan: report.PANES[0].plan}})")
    assert "execution 2 of 2" in text(browser, "#inspector")
    for name in ("sram", "axi"):
        assert f"in {name}" in text(browser, "#inspector").lower()
    pair = plan.inplace[0]
    browser.js(f"report.State.set({{step: {pair.step}}})")
    assert f"in place: {pair.output} over {pair.operand}" in text(browser, "#inspector")
    quiet(browser)


def test_addresses_of_one_map_move_alone(browser: Browser, tmp_path: Path) -> None:
    graph = blocks(4)
    opened(browser, tmp_path, graph, spread_plan(graph))
    ranges = "report.PANES[0].view.y"
    before = browser.js(ranges)
    x, top, height = browser.js(
        "(r => { const p = report.PANES[0]; return [r.x + p.left + p.width / 2, r.y + p.lanes.map1.top, p.lanes.map1.height]; })"
        "(report.PANES[0].over.getBoundingClientRect())"
    )
    browser.wheel(x, top + height / 2, -240, modifiers=2)
    after = browser.js(ranges)
    assert after[0] == before[0] and after[1][1] - after[1][0] < 0.7 * (before[1][1] - before[1][0])
    browser.key("0")
    assert browser.js(ranges) == before
    head = browser.js(
        "(r => { const p = report.PANES[0]; return [r.x + p.left + 30, r.y + p.lanes.head1.top + 7]; })"
        "(report.PANES[0].over.getBoundingClientRect())"
    )
    browser.click(*head)
    assert browser.js("report.PANES[0].map.name") == "axi"
    quiet(browser)


def test_queues_are_lanes(browser: Browser, tmp_path: Path) -> None:
    graph = blocks(4)
    plan = spread_plan(graph, timed=True)
    opened(browser, tmp_path, graph, plan)
    lanes = browser.js("Object.keys(report.PANES[0].lanes)")
    assert [lane for lane in lanes if lane.startswith("queue")] == ["queue0", "queue1"]
    for k, queue in enumerate(sorted({m.queue for m in plan.moves})):
        number = next(i for i, m in enumerate(plan.moves) if m.queue == queue)
        x, y = browser.js(
            f"(() => {{ const p = report.PANES[0], r = p.over.getBoundingClientRect(), [a, b] = p.plan.moveSpan({number});"
            f" return [r.x + p.X((a + b) / 2), r.y + p.lanes.queue{k}.top + 7]; }})()"
        )
        browser.click(x, y)
        move = plan.moves[number]
        assert f"{move.source} → {move.destination}, queue {queue}" in text(browser, "#inspector")
    quiet(browser)


def test_any_plan_can_be_shown(browser: Browser, tmp_path: Path) -> None:
    empty = 0
    for graph, plan in wide_plans(12):
        opened(browser, tmp_path, graph, plan)
        assert browser.js("report.PANES[0].drawMs") >= 0
        browser.key("n")
        for key in "1234":
            browser.key(key)
        empty += browser.js("report.PANES[0].plan.maps.some(m => !m.boxes.length)")
        quiet(browser)
    assert empty


def test_odd_content(browser: Browser, tmp_path: Path) -> None:
    """Names that look like markup, no plan, no ops, no moves, a plan that does not exist."""
    nasty = nasty_graph()
    opened(browser, tmp_path, nasty, planned(nasty, "MP"))
    assert browser.js("document.querySelector('#graph-name').textContent") == nasty.name
    browser.key("n")
    assert browser.js("document.scripts.length") == 2
    quiet(browser)
    opened(browser, tmp_path, nasty)
    assert "No plan" in browser.js("document.querySelector('#inspector').textContent")
    quiet(browser)
    empty = graph_of("empty", (Tensor("x", 4, "input"),), ())
    opened(browser, tmp_path, empty)
    quiet(browser)
    graph = ladder(5)
    none = planned(graph, 100)
    assert none.status == Status.INFEASIBLE
    opened(browser, tmp_path, graph, none)
    assert "No plan exists" in text(browser, "#panes") and "bytes are missing" in text(browser, "#panes")
    assert "infeasible" in text(browser, "#summary")
    quiet(browser)


def test_theme_follows_the_system_and_print_is_light(browser: Browser, tmp_path: Path) -> None:
    graph = ladder(12)
    plan = planned(graph)
    browser.scheme("dark")
    opened(browser, tmp_path, graph, plan)
    background = "getComputedStyle(document.body).backgroundColor"
    dark = browser.js(background)
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF") and len(pdf) > 20_000
    assert browser.js(background) == dark and browser.js("document.documentElement.dataset.theme") == "dark"
    browser.scheme("light")
    browser.settle()
    assert browser.js(background) != dark
    quiet(browser)


@pytest.mark.parametrize(("ops", "frame_ms"), [(2_000, 50), (20_000, 250)])
def test_large_plans_stay_usable(browser: Browser, tmp_path: Path, ops: int, frame_ms: float) -> None:
    """On whatever processor this is: the scripts of a frame of the whole run leave no noticeable wait."""
    graph = random_graph(random.Random(3), ops, sizes=(1024, 4096, 16384))
    opened(browser, tmp_path, graph, planned(graph, "max", order="program", solver="peak{packing=none}"))
    times = browser.js(
        "(() => { const p = report.PANES[0], out = []; for (let k = 0; k < 9; k++) { p.dirty = true; const t = performance.now(); p.paintNow(); out.push(performance.now() - t); }"
        " return out.sort((a, b) => a - b); })()"
    )
    assert times[0] < frame_ms, times
    browser.key("n")
    browser.key("/")
    browser.type("t1234_0")
    assert "1 of" in text(browser, "#found")
    quiet(browser)
