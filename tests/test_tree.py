"""Tests mirror the tree: a module that decides something has a test of its name, or stands here with the one it has.

A module decides something where a function of it branches, loops or raises. Its test is `test_NAME.py` in the folder of
its package, or in another where it imports the module.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.syntax import syntax

TESTS = Path(__file__).parent
SOURCES = (TESTS.parent / "memplan", TESTS.parent / "solvers" / "memplan_solvers")

ELSEWHERE: tuple[tuple[str, str, str], ...] = (
    (
        "the command asked as a program",
        "cli/test_cli.py",
        "memplan.cli.check memplan.cli.common memplan.cli.listing memplan.cli.live memplan.cli.plan memplan.cli.run "
        "memplan.cli.show",
    ),
    (
        "the command asked as a program",
        "studies/compare/test_compare.py",
        "memplan.cli.compare memplan.studies.compare.cases memplan.studies.compare.isolate memplan.studies.compare.results "
        "memplan.studies.compare.runner memplan.studies.compare.worker",
    ),
    (
        "the command asked as a program",
        "studies/test_sweep.py",
        "memplan.cli.sweep memplan.studies.curve memplan.studies.sweep_page",
    ),
    (
        "what a comparison says, from lines made by hand",
        "studies/compare/test_statistics.py",
        "memplan.views.charts memplan.studies.compare.instances memplan.studies.compare.markdown memplan.studies.compare.tables "
        "memplan.studies.compare.wording",
    ),
    (
        "pages seen by a browser",
        "studies/compare/test_report_page.py",
        "memplan.studies.compare.html",
    ),
    (
        "pages as text",
        "views/test_document.py",
        "memplan.views.report_data memplan.views.html memplan.views.table_page",
    ),
    (
        "graphs derived by them, executed",
        "tiling/test_derive.py",
        "memplan.tiling.calls memplan.tiling.ranges",
    ),
    (
        "graphs derived by them, executed",
        "runtimes/test_tiles.py",
        "memplan.runtimes.boxes",
    ),
    (
        "tiles made wrong by hand",
        "judge/check/test_tiles.py",
        "memplan.judge.check.tile_boxes",
    ),
    (
        "files changed",
        "tflite/test_rewrite.py",
        "memplan.tflite.build",
    ),
    (
        "ops by brute force",
        "onnx/test_needs.py",
        "memplan.ir.accesses memplan.onnx.access memplan.onnx.access_windows",
    ),
    (
        "pictures",
        "views/test_svg.py",
        "memplan.views.drawing memplan.views.svg_boxes",
    ),
    (
        "every caller goes through it",
        "cli/test_cli.py",
        "memplan.views.write",
    ),
    (
        "forward and backward that really run",
        "torch/test_backend.py",
        "memplan.torch.emit_order memplan.torch.joint",
    ),
    (
        "what torch itself counts",
        "runtimes/test_torch_measure.py",
        "memplan.torch.allocations memplan.torch.kernels",
    ),
    (
        "modules that really run",
        "torch/test_emit.py",
        "memplan.torch.emit_moves memplan.torch.inplace memplan.torch.program memplan.torch.scratchpad",
    ),
    (
        "plans that execute ops again, held to brute force",
        "solvers/recompute/test_recompute.py",
        "memplan_solvers.recompute.addresses memplan_solvers.recompute.coolings memplan_solvers.recompute.cut_search "
        "memplan_solvers.recompute.model",
    ),
    (
        "kernels compiled by it",
        "solvers/test_jit.py",
        "memplan_solvers.jit_inside memplan_solvers.jit_plain",
    ),
    (
        "what the compiled annealing goes through",
        "solvers/recompute/test_executions.py",
        "memplan_solvers.recompute.anneal memplan_solvers.recompute.anneal_kernel memplan_solvers.recompute.moves",
    ),
    ("programs over cuts", "solvers/recompute/test_cuts.py", "memplan_solvers.recompute.free_cut"),
    (
        "placements by what they cost",
        "solvers/placement/test_placement.py",
        "memplan_solvers.placement.exact memplan_solvers.placement.fill memplan_solvers.placement.layout "
        "memplan_solvers.placement.lives memplan_solvers.placement.program",
    ),
    (
        "walks by their plans",
        "solvers/replace/test_memories.py",
        "memplan_solvers.replace.rights memplan_solvers.replace.state memplan_solvers.replace.windows "
        "memplan_solvers.schedule.orders",
    ),
    (
        "greedy by its plans",
        "solvers/test_greedy.py",
        "memplan_solvers.candidates",
    ),
    (
        "packers by their answers",
        "solvers/offsets/test_pack.py",
        "memplan_solvers.offsets.exact memplan_solvers.offsets.exact_kernel "
        "memplan_solvers.offsets.exact_state memplan_solvers.offsets.packer",
    ),
    (
        "graphs of whole models",
        "onnx/test_read.py",
        "memplan.library.load memplan.onnx.checks memplan.onnx.nodes memplan.onnx.shapes",
    ),
    (
        "arithmetic of operators",
        "onnx/test_flops.py",
        "memplan.onnx.flops_products",
    ),
    (
        "graphs of version 1 are read",
        "io/test_json.py",
        "memplan.io.graph_v1",
    ),
    (
        "sizes that a run decides",
        "onnx/test_sizes.py",
        "memplan.onnx.bounds",
    ),
    (
        "graphs of whole programs",
        "torch/test_read.py",
        "memplan.torch.dims memplan.torch.flops memplan.torch.graph "
        "memplan.torch.module memplan.torch.propagate memplan.torch.simplify",
    ),
    (
        "ranges of sizes",
        "onnx/test_family.py",
        "memplan.ir.ranges memplan.ir.grid memplan.judge.sizing memplan.onnx.throughout",
    ),
    (
        "programs with bodies",
        "torch/test_bodies.py",
        "memplan.torch.pickled",
    ),
    (
        "files that would run code",
        "torch/test_archive.py",
        "memplan.torch.text",
    ),
    (
        "executions compared bit for bit",
        "runtimes/test_execute.py",
        "memplan.onnx.inputs memplan.runtimes.kernels memplan.runtimes.program "
        "memplan.runtimes.sessions memplan.runtimes.source memplan.onnx.uses memplan.onnx.values "
        "memplan.onnx.weights",
    ),
    (
        "executions compared bit for bit",
        "runtimes/test_torch_run.py",
        "memplan.runtimes.torch_values",
    ),
    (
        "an interpreter that runs what is planned",
        "runtimes/test_tflm.py",
        "memplan.cli.measure memplan.runtimes.measure memplan.runtimes.tflm_process",
    ),
    (
        "a runtime that runs what is planned",
        "runtimes/executorch/test_measure.py",
        "memplan.runtimes.executorch.invoke memplan.runtimes.executorch.process",
    ),
    (
        "programs lowered as planned, and without ExecuTorch",
        "torch/executorch/test_planning.py",
        "memplan.torch.executorch.source",
    ),
    (
        "what a profile does to a plan",
        "machine/test_profile.py",
        "memplan.solving.runtimes",
    ),
    (
        "what onnxruntime counts, and the least arena",
        "runtimes/onnxruntime/test_options.py",
        "memplan.runtimes.onnxruntime.arena memplan.runtimes.onnxruntime.filled memplan.runtimes.onnxruntime.trace",
    ),
    (
        "files of every kind of field",
        "tflite/test_program.py",
        "memplan.tflite.schema",
    ),
    (
        "the walk beside the plain one",
        "solvers/common/test_holes.py",
        "memplan_solvers.common.hole_kernel",
    ),
    (
        "the program by its optima",
        "solvers/ilp/test_ilp.py",
        "memplan_solvers.ilp.addresses memplan_solvers.ilp.answer memplan_solvers.ilp.cpsat "
        "memplan_solvers.ilp.formulation memplan_solvers.ilp.steps",
    ),
    (
        "the program by its optima, both backends",
        "solvers/ilp/test_fixed_order.py",
        "memplan_solvers.ilp.mathopt",
    ),
    (
        "searches by what they find",
        "solvers/latency/test_search.py",
        "memplan_solvers.latency.anneal memplan_solvers.latency.anneal_kernel "
        "memplan_solvers.latency.brkga memplan_solvers.latency.solver",
    ),
    (
        "layouts of plans, and the plans of these",
        "solvers/latency/test_annealed.py",
        "memplan_solvers.latency.from_plan",
    ),
    (
        "layouts changed step by step",
        "solvers/latency/test_mutable_layout.py",
        "memplan_solvers.latency.free_space "
        "memplan_solvers.latency.incremental memplan_solvers.latency.layout_changes "
        "memplan_solvers.latency.place_value",
    ),
    (
        "optima and bounds against brute force",
        "solvers/test_timed_oracle.py",
        "memplan_solvers.latency.constraint_program",
    ),
    (
        "layouts against the simulator",
        "solvers/latency/test_evaluate.py",
        "memplan_solvers.latency.arrays memplan_solvers.latency.layout",
    ),
    (
        "decisions worked out by hand",
        "solvers/latency/test_msa.py",
        "memplan_solvers.latency.msa_kernel",
    ),
    (
        "a second simulator",
        "judge/test_simulate.py",
        "memplan.judge.cost",
    ),
    (
        "mutations of plans, and a second checker",
        "judge/check/test_check.py",
        "memplan.judge.check.forms memplan.judge.check.inplace memplan.judge.check.operands "
        "memplan.judge.check.outputs memplan.judge.check.schedule",
    ),
    (
        "games against plain rules",
        "solvers/malloc_game/test_game.py",
        "memplan_solvers.malloc_game.env memplan_solvers.malloc_game.features "
        "memplan_solvers.malloc_game.greedy memplan_solvers.malloc_game.play "
        "memplan_solvers.malloc_game.rules "
        "memplan_solvers.malloc_game.state",
    ),
    (
        "agents by the games they play",
        "solvers/malloc_game/test_agents.py",
        "memplan_solvers.malloc_game.actors memplan_solvers.malloc_game.encode "
        "memplan_solvers.malloc_game.gumbel_zero memplan_solvers.malloc_game.learner "
        "memplan_solvers.malloc_game.malloc_game memplan_solvers.malloc_game.muzero "
        "memplan_solvers.malloc_game.network memplan_solvers.malloc_game.policy "
        "memplan_solvers.malloc_game.refine memplan_solvers.malloc_game.rollout "
        "memplan_solvers.malloc_game.train",
    ),
    (
        "what the guide learns",
        "solvers/malloc_game/test_guide.py",
        "memplan_solvers.malloc_game.guide_learner memplan_solvers.malloc_game.guided",
    ),
    (
        "chains against plain ones",
        "solvers/offsets/test_ejection_kernel.py",
        "memplan_solvers.offsets.ejection_chains memplan_solvers.offsets.ejection_stage",
    ),
    (
        "sets of ops against plain twins",
        "solvers/peak/test_executed.py",
        "memplan_solvers.peak.descent memplan_solvers.search.least_peak",
    ),
    (
        "least peaks against brute force",
        "solvers/peak/test_peak.py",
        "memplan_solvers.peak.peak memplan_solvers.peak.search",
    ),
    (
        "heuristics of others by their answers",
        "solvers/test_baseline.py",
        "memplan_solvers.pytorch",
    ),
    (
        "plans of either kind",
        "solvers/test_greedy.py",
        "memplan_solvers.replace.allocate",
    ),
    (
        "the search, rule by rule and part by part, against brute force",
        "solvers/search/test_search.py",
        "memplan_solvers.search.backwards memplan_solvers.search.bounds "
        "memplan_solvers.search.decomposition memplan_solvers.search.expand "
        "memplan_solvers.search.frontier memplan_solvers.search.layer "
        "memplan_solvers.search.layered_search memplan_solvers.search.lns memplan_solvers.search.state "
        "memplan_solvers.search.subproblem",
    ),
    (
        "graphs and plans, whole and broken, read and written",
        "io/test_json.py",
        "memplan.io.lines memplan.io.plan_json memplan.io.graph_json memplan.io.reader",
    ),
    (
        "what a packing is written as",
        "cli/test_pack.py",
        "memplan.io.write_csv",
    ),
    (
        "graphs that are valid and that are not",
        "ir/test_graph.py",
        "memplan.ir.canonical memplan.ir.parts memplan.ir.sorting memplan.ir.validity",
    ),
    (
        "plans by hand, simulated step by step",
        "judge/test_simulate.py",
        "memplan.judge.live memplan.judge.notes memplan.judge.timeline memplan.problem.op_times",
    ),
    (
        "pins in every combination",
        "problem/test_pins.py",
        "memplan.problem.contradictions memplan.problem.kept memplan.problem.pin_resolution",
    ),
    (
        "problems by hand",
        "problem/test_problem.py",
        "memplan.problem.first_memory memplan.problem.need memplan.problem.overwriting memplan.problem.placed memplan.problem.storage",
    ),
    (
        "places of storages by what they cost",
        "problem/test_places.py",
        "memplan.problem.placeable memplan.problem.survey",
    ),
    (
        "donated inputs by their plans",
        "solving/test_donate.py",
        "memplan.problem.donation",
    ),
    (
        "portfolios by their answers",
        "solvers/test_portfolio.py",
        "memplan_solvers.portfolio_run",
    ),
    (
        "what a plan's reason says",
        "cli/test_cli.py",
        "memplan.solving.shortage",
    ),
    (
        "what an execution reports",
        "runtimes/test_execute.py",
        "memplan.runtimes.report memplan.runtimes.turns",
    ),
    (
        "solvers by name, limits, calls that make no sense",
        "solving/test_solver.py",
        "memplan.judge.evaluate memplan.solving.limits memplan.solving.registry",
    ),
    (
        "games against plain rules",
        "solvers/malloc_game/test_game.py",
        "memplan_solvers.malloc_game.board memplan_solvers.malloc_game.claim memplan_solvers.malloc_game.lesson "
        "memplan_solvers.malloc_game.undo_log",
    ),
    (
        "plans written by hand, and where their bytes lie",
        "firmware/test_lowering.py",
        "memplan.firmware.program",
    ),
    (
        "what a C compiler says to them",
        "firmware/test_emit.py",
        "memplan.firmware.header memplan.firmware.names memplan.firmware.source memplan.firmware.tables "
        "memplan.firmware.template",
    ),
    (
        "exact searches by their answers",
        "solvers/offsets/test_pack.py",
        "memplan.packing.packer memplan_solvers.offsets.exact_floors",
    ),
    (
        "the search for tilings against brute force, and its bytes and flops against derived graphs",
        "solvers/tiling/test_paths.py",
        "memplan_solvers.tiling.accounts memplan_solvers.tiling.candidates memplan_solvers.tiling.intervals "
        "memplan_solvers.tiling.loops memplan_solvers.tiling.reaches memplan_solvers.tiling.regions",
    ),
    (
        "searches by the fronts they give",
        "solving/test_tiling.py",
        "memplan.solving.front memplan.solving.tiler",
    ),
    (
        "the command asked as a program",
        "cli/test_tile.py",
        "memplan.cli.tiling memplan.studies.front_page",
    ),
    (
        "the search against brute force",
        "solvers/search/test_search.py",
        "memplan_solvers.peak.descent_state memplan_solvers.search.children memplan_solvers.search.dominance "
        "memplan_solvers.search.engine memplan_solvers.search.history memplan_solvers.search.remaining_cost",
    ),
)
"""Why modules are tested elsewhere, by which file, and their names: what they decide shows only in what they are part of."""


@cache
def modules() -> tuple[tuple[str, ast.Module], ...]:
    """Dotted name and syntax of every module."""
    found = []
    for source in SOURCES:
        for path in sorted(source.rglob("*.py")):
            parts = path.relative_to(source.parent).with_suffix("").parts
            found.append((".".join(parts).removesuffix(".__init__"), syntax(path)))
    return tuple(found)


def decides(module: ast.Module) -> bool:
    """Whether a function of the module branches, loops or raises."""
    deciding = (ast.If, ast.IfExp, ast.For, ast.While, ast.Raise, ast.comprehension, ast.Try, ast.BoolOp)
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)]
    return any(isinstance(node, deciding) for function in functions for node in ast.walk(function))


def imported(path: Path) -> set[str]:
    """Dotted names that a test file imports: modules, and what it takes out of them."""
    found = set()
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def with_a_test() -> Iterator[str]:
    """Dotted names of modules, and of some that do not exist, that have a test of their name."""
    for path in TESTS.rglob("test_*.py"):
        name, folder = path.stem.removeprefix("test_"), path.parent.relative_to(TESTS).parts
        yield from (module for module in imported(path) if module.rpartition(".")[2] == name)
        folder = folder[:-1] if folder[-1:] == (name,) else folder  # a package's own functions
        yield ".".join(("memplan", *folder, name))
        yield ".".join(("memplan_solvers", *(part for part in folder if part != "solvers"), name))


def test_a_module_that_decides_something_has_a_test() -> None:
    deciding = {name for name, module in modules() if decides(module)}
    named, known = {name for _, _, names in ELSEWHERE for name in names.split()}, set(with_a_test())
    assert sorted(deciding - known - named) == [], (
        "write tests/…/test_NAME.py, or say in ELSEWHERE what tests it"
    )
    assert sorted(named & known) == [], "these have a test of their name now"
    assert sorted(named - deciding) == [], "these are no modules that decide anything"


def test_what_is_tested_elsewhere_is_named_once_with_a_file_that_is_there() -> None:
    count = Counter(name for _, _, names in ELSEWHERE for name in names.split())
    assert max(count.values()) == 1
    for why, file, _ in ELSEWHERE:
        assert why and (TESTS / file).is_file(), file


def test_a_module_that_only_states_something_decides_nothing() -> None:
    assert not decides(ast.parse("X = [1 for _ in y]\ndef f(a): return a + 1"))
    assert decides(ast.parse("def f(a):\n    return 1 if a else 2"))
