"""The planned program as an fx module: in schedule order, annotated, with moves that really run."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

import memplan
from memplan import Model, Plan
from memplan.base.errors import MemplanError, PlanError
from memplan.torch import scratchpad
from tests.forced import WIDE, forced_plan


class Net(nn.Module):
    """A bottleneck with a skip, several results and a normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.norm = nn.Linear(8, 64), nn.Linear(64, 8), nn.LayerNorm(8)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        left, right = self.a(x).chunk(2, -1)
        y = self.b(torch.cat([left.relu(), right.sigmoid()], -1).view(-1, 64))
        return {"y": self.norm(y + x), "wide": left.t()}


@pytest.fixture(scope="module")
def net() -> tuple[Net, Tensor, Model]:
    torch.manual_seed(0)
    module, x = Net().eval(), torch.randn(5, 8)
    return module, x, memplan.from_exported(torch.export.export(module, (x,)))


def planned(model: Model, **options: Any) -> Plan:
    return memplan.plan(model, solver="greedy", workers=1, **options)


def moves(module: GraphModule) -> list[str]:
    found = [node.meta.get("memplan", {}).get("move") for node in module.graph.nodes]
    return [move for move in found if move]


def test_nodes_in_schedule_order_with_the_plan_beside_them(net: tuple[Net, Tensor, Model]) -> None:
    module, x, model = net
    plan = planned(model, scratchpad="MP")
    emitted = memplan.emit_fx(model, plan)
    notes = {node.name: node.meta["memplan"] for node in emitted.graph.nodes if "memplan" in node.meta}
    assert tuple(notes) == plan.schedule
    assert [note["step"] for note in notes.values()] == list(range(len(plan.schedule)))
    assert emitted.meta["memplan"] is plan
    placed = {name: place for note in notes.values() for name, place in note.get("outputs", {}).items()}
    written = {name for op in model.graph.ops if not op.view for name in op.outputs}
    assert set(placed) == {r.tensor for r in plan.residencies} & written
    assert all(
        notes[op.name]["view_of"] == model.graph.storage_of[op.outputs[0]]
        for op in model.graph.ops
        if op.view
    )
    emitted.graph.lint()
    expected, found = module(x), emitted(x)
    assert set(found) == {"y", "wide"}  # the source's own structure
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize("budget", ["MR", "MH", "MP"])
@pytest.mark.parametrize("alignment", [4, 64])
def test_moves_run_and_give_eagers_bits(net: tuple[Net, Tensor, Model], budget: str, alignment: int) -> None:
    module, x, model = net
    plan = planned(model, scratchpad=budget, alignment=alignment)
    emitted = memplan.emit_fx(model, plan, moves=True, poison=True)
    emitted.graph.lint()
    for _ in range(2):  # the scratchpad holds nothing from the first call
        expected, found = module(x), emitted(x)
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert moves(emitted).count("load") == sum(plan.is_load(m) for m in plan.moves)
    assert moves(emitted).count("store") == sum(not plan.is_load(m) for m in plan.moves)
    assert emitted.get_buffer("memplan_scratchpad").numel() == plan.metrics.peak


def test_what_is_placed_lies_at_its_offset(net: tuple[Net, Tensor, Model]) -> None:
    _, x, model = net
    plan = planned(model, scratchpad="MR", alignment=64)
    emitted = memplan.emit_fx(model, plan, moves=True)
    seen = {}

    class Watch(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            value = super().run_node(n)
            note = n.meta.get("memplan", {})
            if note.get("move") in ("load", "place"):
                seen[note["tensor"]] = value.data_ptr() - pad.data_ptr() == note["offset"]
            return value

    pad = emitted.get_buffer("memplan_scratchpad")
    Watch(emitted).run(x)
    assert len(seen) == len({r.tensor for r in plan.residencies}) and all(seen.values())


def test_moves_survive_dead_code_elimination_and_recompilation(net: tuple[Net, Tensor, Model]) -> None:
    module, x, model = net
    emitted = memplan.emit_fx(model, planned(model, scratchpad="MR"), moves=True, poison=True)
    before = moves(emitted)
    emitted.graph.eliminate_dead_code()
    emitted.recompile()
    assert moves(emitted) == before
    assert torch.equal(emitted(x)["y"], module(x)["y"])


def test_updates_of_buffers_and_operands_reach_the_caller() -> None:
    def step(weight: Tensor, velocity: Tensor, x: Tensor) -> Tensor:
        velocity.mul_(0.9).add_(x.sum(0))
        weight.sub_(velocity * 0.1)
        return (weight * x).sum()

    inputs = [torch.randn(4), torch.randn(4), torch.randn(3, 4)]
    model = memplan.from_fx(make_fx(step)(*[x.clone() for x in inputs]), inputs)
    plan = planned(model, scratchpad="MR", donate="updated", inplace=True)
    assert plan.inplace
    for with_moves in (False, True):
        emitted = memplan.emit_fx(model, plan, moves=with_moves)
        mine, theirs = [x.clone() for x in inputs], [x.clone() for x in inputs]
        assert torch.equal(emitted(*mine), step(*theirs))
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
        assert not torch.equal(mine[0], inputs[0])


def test_results_in_the_arena_are_the_callers_own(net: tuple[Net, Tensor, Model]) -> None:
    module, x, model = net
    emitted = memplan.emit_fx(model, planned(model, io="resident"), moves=True)
    first = emitted(x)["y"]
    emitted(torch.zeros_like(x))
    assert torch.equal(first, module(x)["y"])


def test_places_refuse_what_is_too_large() -> None:
    pad = torch.zeros(64, dtype=torch.uint8)
    with pytest.raises(MemplanError, match="40 bytes came for a place of 32"):
        scratchpad.place(pad, 0, 32, torch.zeros(10))
    strided = torch.arange(12.0).reshape(3, 4).t()
    placed = scratchpad.place(pad, 0, 48, strided)
    assert placed.stride() == strided.stride() and torch.equal(placed, strided)
    layout = scratchpad.place(pad, 4, 48, strided)
    assert layout.is_meta and torch.equal(scratchpad.read(pad, 4, layout), strided)
    host = scratchpad.store(placed)
    assert torch.equal(host, placed) and host.data_ptr() != placed.data_ptr()


def test_only_torch_models_with_a_plan_of_their_own_are_emitted(net: tuple[Net, Tensor, Model]) -> None:
    _, _, model = net
    other = memplan.from_fx(make_fx(torch.relu)(torch.randn(3)), [torch.randn(3)])
    with pytest.raises(PlanError, match="another graph"):
        memplan.emit_fx(model, planned(other))
    bare = memplan.Model(model.graph, "bare")
    with pytest.raises(MemplanError, match="no torch source"):
        memplan.emit_fx(bare, planned(model))
    refused = planned(model, scratchpad=16)
    with pytest.raises(PlanError, match="bytes are missing"):
        memplan.emit_fx(model, refused)


# --- passes -------------------------------------------------------------------------------------------------


def test_a_pass_in_a_pipeline_of_torchs_pass_manager() -> None:
    from torch.fx.passes.infra.pass_base import PassResult
    from torch.fx.passes.infra.pass_manager import PassManager

    plan = memplan.fx_pass("scratchpad", scratchpad="MR", solver="greedy", moves=True)
    module = make_fx(lambda x: torch.relu(x @ x.t()).sum(0), tracing_mode="fake")(torch.randn(6, 4))
    done = PassManager(passes=[lambda m: PassResult(plan(m), True)])(module).graph_module
    x = torch.randn(6, 4)
    assert "load" in moves(done) and torch.equal(done(x), torch.relu(x @ x.t()).sum(0))


@pytest.mark.parametrize("with_moves", [False, True])
def test_a_backend_of_torch_compile_forward_and_backward(with_moves: bool) -> None:
    from functorch.compile import make_boxed_compiler
    from torch._dynamo.backends.common import aot_autograd

    seen: list[GraphModule] = []
    plan = memplan.fx_pass("scratchpad", scratchpad="MR", solver="greedy", moves=with_moves)

    def compiler(module: GraphModule, example_inputs: list[Tensor]) -> GraphModule:
        seen.append(plan(module, example_inputs))
        return seen[-1]

    torch.manual_seed(0)
    module, x = Net(), torch.randn(5, 8, requires_grad=True)
    expected = module(x)
    wanted = torch.autograd.grad(expected["y"].sum() + expected["wide"].sum(), [x, *module.parameters()])
    compiled = torch.compile(
        module, backend=aot_autograd(fw_compiler=make_boxed_compiler(compiler)), dynamic=False
    )
    found = compiled(x)
    grads = torch.autograd.grad(found["y"].sum() + found["wide"].sum(), [x, *module.parameters()])
    assert len(seen) == 2  # forward and backward
    assert all(m.meta["memplan"].schedule for m in seen)
    assert torch.equal(found["y"], expected["y"]) and torch.equal(found["wide"], expected["wide"])
    assert all(torch.equal(a, b) for a, b in zip(grads, wanted, strict=True))
    torch._dynamo.reset()


def test_a_pass_says_why_there_is_no_plan() -> None:
    module = make_fx(torch.relu)(torch.randn(64))
    with pytest.raises(MemplanError, match="bytes are missing"):
        memplan.fx_pass("scratchpad", scratchpad=16, solver="greedy")(module, [torch.randn(64)])


@pytest.mark.slow(reason="traces many programs")
def test_the_example_of_the_documentation_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "torch.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 3
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)
    assert "bit-identical" in capsys.readouterr().out
    torch._dynamo.reset()


@pytest.mark.slow(reason="runs many threads")
def test_threads_share_an_emitted_module_with_moves_in_turn() -> None:
    net = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32)).eval()
    inputs = [torch.randn(8, 32) for _ in range(16)]
    model = memplan.from_exported(torch.export.export(net, (inputs[0],)))
    emitted = memplan.emit_fx(model, memplan.plan(model, solver="greedy"), moves=True)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda x: [emitted(x) for _ in range(20)], inputs))
    for x, results in zip(inputs, found, strict=True):
        assert all(torch.equal(result, net(x)) for result in results)


def test_a_backend_meets_new_batch_sizes() -> None:
    from functorch.compile import make_boxed_compiler
    from torch._dynamo.backends.common import aot_autograd

    net = nn.Sequential(nn.Linear(8, 16), nn.GELU())
    plan_graph = memplan.fx_pass("scratchpad", solver="greedy", moves=True)
    compiled = torch.compile(net, backend=aot_autograd(fw_compiler=make_boxed_compiler(plan_graph)))
    assert torch.allclose(compiled(x := torch.randn(4, 8)), net(x))
    with pytest.warns(UserWarning, match="without a plan"):  # its batch is a symbol by now
        assert torch.allclose(compiled(x := torch.randn(5, 8)), net(x))
    assert torch.allclose(compiled(x := torch.randn(6, 8)), net(x))


def test_a_plan_of_several_memories_is_carried_whole() -> None:
    def f(x: Tensor) -> Tensor:
        a, b = x.sin(), x.cos()
        return torch.cat([a.exp(), b * a]).tanh() + torch.cat([b, a])

    x = torch.randn(4, 16)
    model = memplan.from_fx(make_fx(f)(x), [x])
    plan = forced_plan(model, 1, WIDE, "host", "traffic")
    assert len(plan.schedule) > len(model.graph.ops) and plan.joined and plan.moves
    for with_moves in (False, True):
        emitted = memplan.emit_fx(model, plan, moves=with_moves)
        emitted.graph.lint()
        assert torch.equal(emitted(x), f(x))
        notes = [node.meta["memplan"] for node in emitted.graph.nodes if "memplan" in node.meta]
        steps = [note for note in notes if "move" not in note]
        assert [note["step"] for note in steps] == list(range(len(plan.schedule)))
        assert sum("joined" in note for note in steps) == len(plan.joined)
    moved = [(note["tensor"], note["from"], note["to"]) for note in notes if "from" in note]
    assert moved == [m[:3] for m in plan.moves]
    sizes = {name: buffer.numel() for name, buffer in emitted.named_buffers() if name.startswith("memplan_")}
    assert sizes == {
        "memplan_scratchpad": plan.peaks["near"],
        "memplan_scratchpad_1": plan.peaks["far"],
    }
