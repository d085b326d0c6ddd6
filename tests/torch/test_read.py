"""Torch programs become graphs: views, several results, updates in place, training steps, .pt2 files."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from memplan_models.recipes import torch_training
from memplan_models.recipes.torch_zoo import graph_bytes, torch_model, torch_recipes
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

import memplan
from memplan.base.errors import GraphError, OptionError
from memplan.cli import main
from memplan.io.graph_json import read_graph
from memplan.problem.problem import Problem


def traced(function: Any, *inputs: Tensor) -> memplan.Model:
    return memplan.from_fx(make_fx(function)(*inputs), inputs)


def ops(model: memplan.Model) -> dict[str, memplan.Op]:
    return {op.kind: op for op in model.graph.ops}


def exported(module: nn.Module, *inputs: Tensor, **options: Any) -> Any:
    return torch.export.export(module.eval(), inputs, **options)


class Cached(nn.Module):
    """Writes a row into a cache and reads all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.register_buffer("cache", torch.zeros(4, 8))
        self.register_buffer("table", torch.ones(8))

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        self.cache.index_copy_(0, position, self.linear(x) * self.table)
        return self.cache.sum(0)


def test_views_share_the_storage_of_their_root_and_keep_it_live() -> None:
    def f(x: Tensor) -> Tensor:
        y = x + 1
        window = y.permute(1, 0)[2:5].select(0, 1)
        wide = window.unsqueeze(0).expand(7, 4)
        return (wide * 2).sum() + 1

    model = traced(f, torch.randn(4, 6))
    kinds = {op.kind for op in model.graph.ops if op.view}
    assert kinds == {
        "aten.permute.default",
        "aten.slice.Tensor",
        "aten.select.int",
        "aten.unsqueeze.default",
        "aten.expand.default",
    }
    assert {root for root in model.graph.aliases.values()} == {"add"}
    expand, mul = model.graph.tensor["expand"], model.graph.tensor["mul"]
    assert expand.shape == (7, 4) and expand.nbytes == 4 * (3 * 6 + 1)  # from the first byte to the last
    assert mul.nbytes == 7 * 4 * 4
    problem = Problem(model.graph, memplan.Target(), memplan.Options())
    storage = problem.storages[problem.number["add"]]
    user = next(i for i, op in enumerate(model.graph.ops) if op.name == "mul")
    assert storage.nbytes == 4 * 6 * 4 and storage.uses == (user,)


def test_what_has_to_copy_is_no_view() -> None:
    def f(x: Tensor) -> Tensor:
        return (x.t().reshape(-1) + 1).contiguous() * 2

    model = traced(f, torch.randn(3, 5))
    copies = [op for op in model.graph.ops if op.kind == "aten.clone.default"]
    assert len(copies) == 1 and not copies[0].view
    assert model.graph.storage_of[copies[0].outputs[0]] == copies[0].outputs[0]
    view = next(op for op in model.graph.ops if op.kind in ("aten._unsafe_view.default", "aten.view.default"))
    assert view.view and model.graph.storage_of[view.outputs[0]] == copies[0].outputs[0]


def test_an_exported_reshape_is_a_view_where_it_aliases_and_a_clone_where_it_does_not() -> None:
    class Reshapes(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = x * 2
            return y.reshape(2, 6) + 1, y.t().reshape(2, 6) + 1

    model = memplan.from_exported(exported(Reshapes(), torch.randn(3, 4)))
    rooted = {op.name: model.graph.storage_of[op.outputs[0]] for op in model.graph.ops}
    assert sum(root == "mul" for root in rooted.values()) == 3  # the product, the reshape, the transpose
    assert [op.kind for op in model.graph.ops].count("aten.clone.default") == 1


def test_getitem_and_ops_with_several_results() -> None:
    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        values, indices = torch.topk(x * 2, 3)
        a, b, c = torch.split(x + 1, 2, 1)
        return values + a[:, :1], torch.cat([b, c], 1) + indices[:, :1]

    model = traced(f, torch.randn(4, 6))
    topk, split = ops(model)["aten.topk.default"], ops(model)["aten.split.Tensor"]
    assert len(topk.outputs) == 2 and not topk.view
    assert model.graph.tensor[topk.outputs[1]].dtype == "int64"
    assert split.view and len(split.outputs) == 3
    assert {model.graph.storage_of[name] for name in split.outputs} == {"add"}
    assert all("getitem" not in op.kind for op in model.graph.ops)


def test_results_that_nobody_takes_are_planned_too() -> None:
    def f(x: Tensor) -> Tensor:
        return torch.topk(x, 2)[0]

    model = traced(f, torch.randn(4, 6))
    (op,) = model.graph.ops
    assert [name in model.graph.outputs for name in op.outputs] == [True, False]


def test_a_buffer_updated_in_place_is_an_input_that_an_output_renews() -> None:
    model = memplan.from_exported(exported(Cached(), torch.randn(1, 8), torch.zeros(1, dtype=torch.long)))
    graph = model.graph
    ((written, renewed),) = graph.updates
    assert graph.tensor[renewed].kind == "input" and written in graph.outputs
    assert graph.tensor[written].nbytes == graph.tensor[renewed].nbytes == 4 * 8 * 4
    assert ops(model)["aten.index_copy.default"].outputs == (written,)
    assert {t.name for t in graph.tensors if t.kind == "constant"} == {
        "linear_weight",
        "linear_bias",
        "table",
    }


def test_operands_changed_in_place_are_traced_to_their_next_values() -> None:
    def f(x: Tensor, state: Tensor) -> Tensor:
        y = x + 1
        y.mul_(2)
        y[0] = 0
        state.add_(y.sum())
        return y

    inputs = torch.randn(3, 4), torch.zeros(())
    model = traced(f, *inputs)
    assert len(model.graph.updates) == 1 and model.graph.updates[0][1].startswith("state")
    assert not any(op.kind.split(".")[1].endswith("_") for op in model.graph.ops)
    x, state = torch.randn(3, 4), torch.zeros(())
    expected = f(x, other := state.clone())
    assert torch.equal(model.source(x, state), expected) and torch.equal(state, other)


def test_constants_are_what_depends_on_constants_alone() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4))

        def forward(self, x: Tensor) -> Tensor:
            mask = torch.arange(4) < 2
            return torch.where(mask, x, self.weight.exp()) + torch.zeros_like(x) + torch.rand(4)

    graph = memplan.from_exported(exported(Masked(), torch.randn(4))).graph
    kinds = {t.name: t.kind for t in graph.tensors}
    assert kinds["arange"] == kinds["lt"] == kinds["exp"] == kinds["weight"] == "constant"
    assert kinds["rand"] == "activation"  # drawn anew every time
    assert not any("zeros" in op.kind or "full" in op.kind for op in graph.ops)


def test_fake_and_meta_tensors_suffice_and_give_the_same_graph() -> None:
    real = memplan.from_exported(exported(Cached(), torch.randn(1, 8), torch.zeros(1, dtype=torch.long)))
    with torch.device("meta"):
        program = exported(Cached(), torch.randn(1, 8), torch.zeros(1, dtype=torch.long))
    assert memplan.from_exported(program).graph.sha256 == real.graph.sha256


def test_layers_and_functions_are_traced_to_aten() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten())
    module = torch.fx.symbolic_trace(model.eval())
    x = torch.randn(2, 3, 8, 8)
    planned = memplan.from_fx(module, [x])
    assert {"aten.convolution.default", "aten.relu.default"} <= set(ops(planned))
    assert torch.equal(planned.source(x), model(x))
    assert [t.name for t in planned.graph.tensors if t.kind == "input"] == ["input_1"]


def test_running_statistics_of_a_training_batch_norm_are_updates() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
    x = torch.randn(2, 3, 8, 8)
    planned = memplan.from_fx(torch.fx.symbolic_trace(model), [x])
    assert len(planned.graph.updates) == 3  # mean, variance, count
    twin = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
    twin.load_state_dict(model.state_dict())
    assert torch.equal(planned.source(x), twin(x))


@pytest.mark.parametrize(
    "build",
    [
        torch_training.small_cnn_step,
        pytest.param(torch_training.tiny_gpt_step, marks=pytest.mark.slow(reason="traces many programs")),
    ],
)
def test_training_steps_renew_every_weight_and_state(build: Any) -> None:
    model = memplan.from_fx(build())
    graph = model.graph
    renewed = {name for _, name in graph.updates}
    assert renewed == {t.name for t in graph.tensors if t.kind == "input"} - {"x", "y"}
    kinds = {op.kind for op in graph.ops}
    assert any("backward" in kind for kind in kinds)
    assert all(op.flops is not None for op in graph.ops if not op.view)


def test_flops_of_products_convolutions_and_attention() -> None:
    def f(x: Tensor, w: Tensor, image: Tensor, kernel: Tensor) -> Any:
        q = x.view(1, 2, 4, 8)
        attended = torch.nn.functional.scaled_dot_product_attention(q, q, q)
        return x @ w, torch.conv2d(image, kernel), attended, torch.relu(x), x.exp(), x.sum()

    inputs = torch.randn(8, 8), torch.randn(8, 5), torch.randn(1, 3, 9, 9), torch.randn(6, 3, 3, 3)
    found = {op.kind.split(".")[1]: op.flops for op in traced(f, *inputs).graph.ops if not op.view}
    assert found["mm"] == 2 * 8 * 8 * 5
    assert found["convolution"] == 2 * 6 * 7 * 7 * 3 * 9
    assert found["relu"] == 64 and found["exp"] == 4 * 64 and found["sum"] == 64
    attention = next(v for k, v in found.items() if "dot_product" in k)
    assert attention == 2 * 4 * 4 * (2 * 8 + 2 * 8 + 5)


def test_one_product_costs_the_same_however_it_is_written() -> None:
    def f(a: Tensor, b: Tensor) -> Any:
        aten = torch.ops.aten
        written = (
            aten.bmm(a, b),
            aten.einsum("bij,bjk->bik", [a, b]),
            aten.baddbmm(a.new_zeros(3, 4, 5), a, b),
        )
        return *written, aten.tensordot(a[0], b[0], [1], [0]), aten.addbmm(a.new_zeros(4, 5), a, b)

    class Products(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Any:
            return f(a, b)

    model = memplan.from_exported(exported(Products(), torch.randn(3, 4, 8), torch.randn(3, 8, 5)))
    found = {op.kind.split(".")[1]: op.flops for op in model.graph.ops}
    one = 2 * 4 * 8 * 5
    assert (found["bmm"], found["einsum"], found["baddbmm"], found["addbmm"]) == (3 * one,) * 4
    assert found["tensordot"] == one


def test_flops_of_recurrent_layers_and_transposed_convolutions() -> None:
    class Layers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.gru = nn.LSTM(8, 16, 2, bidirectional=True), nn.GRU(8, 16)
            self.cell, self.up = nn.GRUCell(8, 16), nn.ConvTranspose1d(8, 6, 3, groups=2)

        def forward(self, x: Tensor) -> Any:
            return self.lstm(x)[0], self.gru(x)[0], self.cell(x[0]), self.up(x.permute(1, 2, 0))

    model = memplan.from_exported(exported(Layers(), torch.randn(5, 3, 8)))
    found = {op.kind.split(".")[1]: op.flops for op in model.graph.ops if not op.view}
    layers = (8 + 16) + (32 + 16)  # what each gate of the two layers reads
    assert found["lstm"] == 5 * 3 * 2 * (2 * 64 * layers + 2 * 3 * 64)
    assert found["gru"] == 5 * 3 * (2 * 48 * (8 + 16) + 3 * 48)
    assert found["conv_transpose1d"] == 2 * (3 * 8 * 5) * (3 * 3)
    products = 2 * 3 * 48 * (8 + 16)
    assert products < found["gru_cell"] < 1.2 * products  # decomposed: products, biases and gates


def test_a_formula_registered_with_torch_counts_a_users_op() -> None:
    from torch.utils.flop_counter import flop_registry, register_flop_formula

    with torch.library._scoped_library("memplan_test", "DEF") as library:
        library.define("twice(Tensor x) -> Tensor")
        library.impl("twice", lambda x: x * 2, "CPU")
        library.impl("twice", lambda x: torch.empty_like(x), "Meta")
        packet = torch.ops.memplan_test.twice
        assert traced(lambda x: packet(x), torch.randn(6)).graph.ops[0].flops is None
        register_flop_formula(packet)(lambda shape, out_shape=None, **named: 7 * shape[0])
        try:
            assert traced(lambda x: packet(x), torch.randn(6)).graph.ops[0].flops == 42
        finally:
            del flop_registry[packet]


class Optioned(nn.Module):
    """Takes what is no tensor, and holds a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor, mask: Any, flag: bool, k: int, scale: float, mode: str) -> Any:
        y = self.linear(x) * scale + k if flag else x
        y = y if mask is None else y + mask
        return (y.sum(0) if mode == "sum" else y), k, None


OPTIONS = None, True, 3, 0.5, "sum"


def test_arguments_that_are_no_tensors_load_and_are_given_again() -> None:
    x, net = torch.randn(3, 4), Optioned()
    model = memplan.from_exported(torch.export.export(net.eval(), (x, *OPTIONS)))
    assert [t.name for t in model.graph.tensors if t.kind == "input"] == ["x"]
    plan = memplan.plan(model, solver="greedy")
    assert memplan.run(model, plan).identical
    found, expected = memplan.emit_fx(model, plan, moves=True)(x, *OPTIONS), net(x, *OPTIONS)
    assert torch.equal(found[0], expected[0]) and found[1:] == (3, None)


def test_a_model_is_pickled_with_its_source_and_runs_afterwards() -> None:
    programs = [torch.export.export(Optioned().eval(), (torch.randn(3, 4), *OPTIONS))]
    programs += [exported(Cached(), torch.randn(1, 8), torch.zeros(1, dtype=torch.long))]
    for program in programs:
        model = memplan.from_exported(program)
        again = pickle.loads(pickle.dumps(model))
        plan = memplan.plan(again, solver="greedy")
        assert again.graph == model.graph and memplan.run(again, plan).identical
        assert memplan.run(again, plan).outputs == memplan.run(model, plan).outputs


@pytest.mark.slow(reason="runs many threads")
def test_programs_are_imported_from_several_threads(tmp_path: Path) -> None:
    program = exported(Cached(), torch.randn(1, 8), torch.zeros(1, dtype=torch.long))
    torch.export.save(program, tmp_path / "graph.pt2")
    module = make_fx(lambda x: x.sin().view(4) * 2)(torch.randn(2, 2))
    ways: list[Callable[[], memplan.Model]] = [
        lambda: memplan.from_exported(program),
        lambda: memplan.load(tmp_path / "graph.pt2"),
        lambda: memplan.from_fx(module, [torch.randn(2, 2)]),
    ]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: ways[i % 3]().graph, range(12)))
    assert found == [way().graph for way in ways] * 4


# --- files and errors ---------------------------------------------------------------------------------------


def command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "memplan", *map(str, words)], capture_output=True, text=True)


@pytest.mark.slow(reason="starts several programs that import torch")
def test_pt2_files_on_the_command_line(tmp_path: Path) -> None:
    program = exported(Cached(), torch.randn(1, 8), torch.zeros(1, dtype=torch.long))
    torch.export.save(program, tmp_path / "cached.pt2")
    assert memplan.load(tmp_path / "cached.pt2").graph.ops == memplan.from_exported(program).graph.ops
    done = command(
        "plan", tmp_path / "cached.pt2", "--scratchpad", "MR", "--solver", "greedy", "-o", tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert main(["check", str(tmp_path / "cached.pt2"), str(tmp_path / "cached.plan.json")]) == 0


def test_damaged_files_are_refused_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = exported(Cached(), torch.randn(1, 8), torch.zeros(1, dtype=torch.long))
    torch.export.save(program, tmp_path / "whole.pt2")
    data = (tmp_path / "whole.pt2").read_bytes()
    spoiled = bytearray(data)
    spoiled[200:400] = bytes(200)
    for name, content in {"cut": data[: len(data) // 2], "empty": b"", "spoiled": bytes(spoiled)}.items():
        path = tmp_path / f"{name}.pt2"
        path.write_bytes(content)
        with pytest.raises(GraphError, match=name):
            memplan.load(path)
    assert main(["plan", str(tmp_path / "cut.pt2")]) == 2
    words = capsys.readouterr().err
    assert "is the file complete" in words and words.count("\n") == 2
    assert main(["plan", str(tmp_path / "none.pt2")]) == 2


def test_dynamic_dimensions_take_their_sizes_from_dims(tmp_path: Path) -> None:
    class Mix(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x @ x.transpose(1, 2)).reshape(x.shape[0], -1)

    shapes = ({0: torch.export.Dim("batch", max=64), 1: torch.export.Dim("steps", max=512)},)
    program = exported(Mix(), torch.randn(2, 5, 4), dynamic_shapes=shapes)
    with pytest.raises(GraphError, match="dimension 1 of input 'x' is free") as caught:
        memplan.from_exported(program)
    assert "--dim x:1=V" in caught.value.hint
    model = memplan.from_exported(program, {"x:1": 7})
    assert model.graph.tensor["x"].shape[1:] == (7, 4) and "x:0" in model.notes[0]
    model = memplan.from_exported(program, {"x:0": 3, "x:1": 7})
    assert model.graph.tensor["x"].shape == (3, 7, 4) and model.notes == ()
    assert any(t.shape == (3, 49) for t in model.graph.tensors)
    with pytest.raises(OptionError, match="no free dimension 'x:2'"):
        memplan.from_exported(program, {"x:2": 7})
    with pytest.raises(OptionError, match="'x:1' = 1000") as refused:
        memplan.from_exported(program, {"x:1": 1000})
    assert "512" in refused.value.hint
    torch.export.save(program, tmp_path / "mix.pt2")
    path, plan = str(tmp_path / "mix.pt2"), str(tmp_path / "mix.plan.json")
    words = ["--solver", "greedy", "-o", str(tmp_path)]
    assert main(["plan", path, *words]) == 2
    assert main(["plan", path, "--dim", "x:1=7", *words]) == 0
    assert main(["check", path, plan]) == 0  # with the sizes that the plan records


def test_shapes_that_depend_on_data_are_refused() -> None:
    module = torch.fx.symbolic_trace(lambda x: torch.nonzero(x))
    with pytest.raises(GraphError, match="depend"):
        memplan.from_fx(module, [torch.randn(4)])


def test_example_inputs_must_fit() -> None:
    module = torch.fx.symbolic_trace(lambda x, y: x @ y)
    with pytest.raises(GraphError, match="2 placeholders, 1 example inputs"):
        memplan.from_fx(module, [torch.randn(4)])
    with pytest.raises(GraphError, match="matmul|traced"):
        memplan.from_fx(module, [torch.randn(4, 3), torch.randn(4, 3)])


@pytest.mark.slow(reason="traces many programs")
def test_import_is_linear_in_the_graph() -> None:
    def chain(n: int) -> torch.fx.GraphModule:
        graph = torch.fx.Graph()
        x = graph.placeholder("x")
        for i in range(n):
            x = graph.call_function(torch.ops.aten.relu.default if i % 3 else torch.ops.aten.t.default, (x,))
        graph.output(x)
        return torch.fx.GraphModule({}, graph)

    def cost(n: int) -> float:
        module = chain(n)
        begin = time.process_time()
        memplan.from_fx(module, [torch.randn(4, 4)])
        return time.process_time() - begin

    cost(100)
    small, large = min(cost(500) for _ in range(2)), cost(4000)
    assert large < 8 * 3 * small, (small, large)


def test_other_things_are_refused_by_type() -> None:
    with pytest.raises(GraphError, match="a Linear is no ExportedProgram"):
        memplan.from_exported(nn.Linear(2, 2))
    with pytest.raises(GraphError, match="a Linear is no GraphModule"):
        memplan.from_fx(nn.Linear(2, 2), [torch.randn(2)])


def test_recipes_give_the_same_bytes_every_time(tmp_path: Path) -> None:
    name = "torch_small_cnn_train"
    recipe = torch_recipes()[name]
    first = graph_bytes(recipe)
    assert first == graph_bytes(recipe)
    path = tmp_path / f"{name}.json"
    path.write_bytes(first)
    graph, made = read_graph(path), torch_model(recipe).graph
    assert graph == made and graph.sha256 == made.sha256
