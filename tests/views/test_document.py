"""Pages hold what they need, and no name can be taken for markup."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.explain import spills
from memplan.judge.live import live_bytes
from memplan.judge.timeline import timeline
from memplan.problem.plan import Move, Residency
from memplan.views import document, table_page
from memplan.views.html import SCRIPTS, STYLES, report_page
from memplan.views.report_data import facts
from tests.generate import random_graph, random_plan
from tests.graphs import graph_of
from tests.spread import blocks, spread_plan, wide_plans

NASTY = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "{{data}}",
    "a&b\"'`",
    "\u2028",
    "]]>",
)


PARTS = (
    *document.HOUSE_STYLES,
    *STYLES,
    *table_page.STYLES,
    *document.HOUSE_SCRIPTS,
    *SCRIPTS,
    *table_page.SCRIPTS,
    "page.html",
    "report.html",
)


def nasty_graph() -> Graph:
    tensors = [Tensor("x", 4, "input"), *(Tensor(name, 4) for name in NASTY)]
    chain = [t.name for t in tensors]
    ops = [Op(f"op {b}", f"Kind {b}", (a,), (b,)) for a, b in zip(chain, chain[1:], strict=False)]
    return graph_of("net </title><script>alert(3)</script>", tuple(tensors), tuple(ops))


def data_of(text: str) -> object:
    inside = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert inside
    return json.loads(inside[1])


def test_names_are_harmless_and_come_back() -> None:
    graph = nasty_graph()
    text = report_page(graph, [])
    assert text.count("<script") == 2 and text.count("</script>") == 2
    assert "alert(3)" not in text.split("</title>")[0].replace("&lt;script&gt;alert(3)&lt;/script&gt;", "")
    data = data_of(text)
    assert isinstance(data, dict)
    assert data["graph"]["tensors"]["name"] == [t.name for t in graph.tensors]
    text.encode()


@pytest.mark.parametrize("name", PARTS)
def test_parts_ask_for_nothing_and_make_no_markup_of_texts(name: str) -> None:
    text = document.part(name)
    assert not re.search(
        r"https?://|//cdn|@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket|sendBeacon|\bimport\(", text
    )
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text
    )


def test_every_part_of_the_folder_is_used() -> None:
    folder = Path(document.__file__).parent / "report"
    assert {f.name for f in folder.iterdir()} == set(PARTS)


@pytest.mark.parametrize("seed", range(30))
def test_facts_are_the_plan_s(seed: int) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng, rng.randint(1, 25))
    plan = random_plan(rng, graph)
    (told,) = facts(graph, [plan], ["A"])["plans"]
    names = [t.name for t in graph.tensors]
    assert [graph.ops[i].name for i in told["schedule"]] == list(plan.schedule)
    memories = [m["name"] for m in told["target"]["memories"]]
    rows = [Residency(names[t], memories[m], *rest) for t, m, *rest, _, _ in told["boxes"]]
    assert rows == list(plan.residencies)
    moves = [Move(names[t], memories[a], memories[b], *rest) for t, a, b, *rest, _ in told["moves"]]
    assert moves == list(plan.moves)
    spilled = sum(graph.tensor[names[t]].nbytes for t, *_, spill in told["moves"] if spill)
    assert spilled == plan.metrics.traffic
    assert told["live"] == [live_bytes(plan)]
    assert sum(row[3] for row in told["spills"]) == sum(s.cost for s in spills(graph, plan))
    if plan.target.timed:
        assert told["timeline"]["latency"] == pytest.approx(1e9 * timeline(graph, plan).latency_s, abs=1e-3)
    else:
        assert told["timeline"] is None


def test_facts_of_plans_over_several_memories() -> None:
    graph = blocks(4)
    for wide_graph, plan in [
        *wide_plans(40),
        (graph, spread_plan(graph)),
        (graph, spread_plan(graph, timed=True)),
    ]:
        (told,) = facts(wide_graph, [plan], ["A"])["plans"]
        names = [t.name for t in wide_graph.tensors]
        memories = [m["name"] for m in told["target"]["memories"]]
        assert memories == [m.name for m in plan.target.memories]
        rows = [Residency(names[t], memories[m], *rest) for t, m, *rest, _, _ in told["boxes"]]
        assert rows[: len(plan.residencies)] == list(plan.residencies)
        assert len(told["wholes"]) == len(rows) - len(plan.residencies)
        moves = [Move(names[t], memories[a], memories[b], *rest) for t, a, b, *rest, _ in told["moves"]]
        assert moves == list(plan.moves)
        pairs = [(step, names[b], names[a]) for step, b, a in told["inplace"]]
        assert pairs == [tuple(pair) for pair in plan.inplace]
        assert [wide_graph.ops[i].name for i in told["joined"]] == list(plan.joined)
        assert told["live"] == [live_bytes(plan, m.name) for m in plan.target.addressed]
        peaks = {m["name"]: m["peak"] for m in told["target"]["memories"] if m["peak"] is not None}
        assert peaks == plan.metrics.peaks
        assert len(json.dumps(told)) < 4_000 + 250 * (
            len(plan.schedule) + len(plan.residencies) + len(plan.moves) + len(plan.inplace)
        )


def test_same_plan_same_page() -> None:
    rng = random.Random(7)
    graph = random_graph(rng, 20)
    plan = random_plan(rng, graph)
    assert report_page(graph, [plan]) == report_page(graph, [plan])
