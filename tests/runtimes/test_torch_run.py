"""Torch plans run in a real scratchpad and give eager's bits, at every budget; wrong plans are found out."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from memplan_models.recipes import torch_cnns, torch_training, torch_transformers
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

import memplan
from memplan import Model, Plan
from memplan.base.errors import ExecutionError, OptionError, PlanError
from memplan.cli import main
from memplan.runtimes import torch_run
from tests.forced import STRICT, WAYS, forced_plan
from tests.plans import row
from tests.sabotage import sabotaged

BUDGETS = ("MR", "MH", "MP")


@cache
def small(name: str) -> Model:
    """The recipes of the zoo, shrunk so that they run in a moment."""
    if name == "bert":
        return memplan.from_exported(torch_transformers.bert_base(2, 32, 4, 100, 16), name=name)
    if name == "gpt2 prefill":
        return memplan.from_exported(torch_transformers.gpt2_prefill(2, 32, 4, 100, 16), name=name)
    if name == "gpt2 decode":
        return memplan.from_exported(torch_transformers.gpt2_decode(2, 32, 4, 100, 24), name=name)
    if name == "llama decode":
        return memplan.from_exported(torch_transformers.llama_decode(2, 64, 4, 2, 96, 32), name=name)
    if name == "unet":
        return memplan.from_exported(torch_cnns.unet(32), name=name)
    if name == "cnn step":
        return memplan.from_fx(torch_training.small_cnn_step(2, 16), name=name)
    if name == "resnet step":
        return memplan.from_fx(torch_training.resnet18_step(2, 8, 4), name=name)
    return memplan.from_fx(torch_training.tiny_gpt_step(1, 16, 2, 2, 8), name=name)


NAMES = ("bert", "gpt2 prefill", "gpt2 decode", "llama decode", "unet", "cnn step", "gpt step")


def planned(model: Model, **options: Any) -> Plan:
    plan = memplan.plan(model, solver="greedy", workers=1, **options)
    assert memplan.check(model, plan) == []
    return plan


def identical(model: Model, plan: Plan) -> memplan.runtimes.execute.RunReport:  # type: ignore[name-defined]
    report = memplan.run(model, plan)
    assert report.identical, str(report)
    assert report.reference == "eager torch"
    assert report.loaded_bytes == plan.metrics.compulsory_load + plan.metrics.spill_load
    assert report.stored_bytes == plan.metrics.compulsory_store + plan.metrics.spill_store
    assert report.peaks == {"scratchpad": plan.metrics.peak}
    return report


@pytest.mark.slow(reason="executes many nets")
@pytest.mark.parametrize("name", NAMES)
def test_bit_identical_at_every_budget(name: str) -> None:
    model = small(name)
    digests = set()
    for budget, alignment in zip(BUDGETS, (1, 16, 64), strict=True):
        report = identical(model, planned(model, scratchpad=budget, alignment=alignment))
        digests.add(tuple(o.sha256 for o in report.outputs))
    assert len(digests) == 1
    assert len(report.outputs) >= len([t for t in model.graph.tensors if t.kind == "output"])


@pytest.mark.slow(reason="executes many nets")
@pytest.mark.parametrize("name", ["gpt2 decode", "gpt step"])
@pytest.mark.parametrize(
    "options",
    [
        {"weights": "tensor"},
        {"weights": "stream"},
        {"io": "resident", "scratchpad": None},
        {"inplace": True, "donate": "updated"},
        {"inplace": True, "donate": "updated", "io": "resident", "scratchpad": None},
    ],
)
def test_bit_identical_under_every_treatment(name: str, options: dict[str, Any]) -> None:
    model = small(name)
    identical(model, planned(model, **{"scratchpad": "MR", "alignment": 16} | options))


@pytest.mark.slow(reason="executes many nets")
def test_resnet_training_step_with_running_statistics() -> None:
    model = small("resnet step")
    assert len(model.graph.updates) == 184
    identical(model, planned(model, scratchpad="MR", alignment=64, time_limit_s=2))


@pytest.mark.slow(reason="exports many programs")
def test_operands_served_from_host_on_a_timed_target() -> None:
    model = small("bert")
    for objective in ("latency", "peak"):
        plan = planned(model, target="ethos-u65", scratchpad=4096, objective=objective)
        assert memplan.run(model, plan).identical


@pytest.mark.slow(reason="executes many nets")
def test_values_are_finite_so_that_poison_would_show() -> None:
    for name in NAMES:
        model = small(name)
        execution = torch_run.Execution(
            model.source, torch_run.state_of(model.source, 0), torch_run.inputs_of(model.source, 0)
        )
        execution.execute()
        assert all(bool(torch.isfinite(x).all()) for x in execution.results if x.is_floating_point()), name


def chain() -> Model:
    def f(x: Tensor) -> Tensor:
        a = x + 1
        b = a.view(4, 4).t() * 2
        return (b.reshape(-1) + a) * 3

    return memplan.from_fx(make_fx(f)(torch.randn(16)), [torch.randn(16)])


def test_a_device_is_waited_for_before_and_after_what_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    second, events = torch.device("cuda", 1), list[Any]()
    run_node = torch_run._Seeded.run_node
    monkeypatch.setattr(torch_run, "device_of", lambda module: second)
    monkeypatch.setattr(torch.accelerator, "synchronize", events.append)
    monkeypatch.setattr(
        torch_run._Seeded, "run_node", lambda *args: (events.append("op"), run_node(*args))[1]
    )
    source = chain().source
    torch_run.Execution(source, {}, {"x": torch.randn(16)}).execute()
    assert events == [second, *["op"] * len(source.graph.nodes), second]


def test_a_place_given_up_too_early_changes_the_bits() -> None:
    """Every residency that has a later use, cut short by a step: either an operand is nowhere, or bits differ."""
    model = chain()
    plan = planned(model, scratchpad="max")
    caught = 0
    for i, r in enumerate(plan.residencies):
        if r.stop - r.start < 3:
            continue
        for stop in range(r.start + 1, r.stop):
            cut = [*plan.residencies]
            cut[i] = r._replace(stop=stop)
            with pytest.raises(ExecutionError):
                memplan.run(model, replace(plan, residencies=tuple(cut)))
            caught += 1
    assert caught


def test_an_output_over_an_operand_that_is_no_pair_is_refused() -> None:
    model = chain()
    plan = planned(model, scratchpad="max")
    a, b = [r for r in plan.residencies if r.stop - r.start > 1][:2]
    moved = [row(r.tensor, r.start, r.stop, a.offset, r.size) if r == b else r for r in plan.residencies]
    assert memplan.check(model, replace(plan, residencies=tuple(moved)))
    with pytest.raises(ExecutionError, match="writes 'mul' over 'add', which it reads"):
        memplan.run(model, replace(plan, residencies=tuple(moved)))


def test_freed_bytes_are_poisoned() -> None:
    model = chain()
    emitted = memplan.emit_fx(model, planned(model, scratchpad="max"), moves=True, poison=True)
    emitted(torch.randn(16))
    pad = emitted.get_buffer("memplan_scratchpad")
    last = {r.tensor for r in emitted.meta["memplan"].residencies if r.stop == len(model.graph.ops)}
    for r in emitted.meta["memplan"].residencies:
        if r.stop < len(model.graph.ops) and not any(
            x.tensor in last and x.offset < r.offset + r.size and r.offset < x.offset + x.size
            for x in emitted.meta["memplan"].residencies
        ):
            assert bool((pad[r.offset : r.offset + r.size] == 0xFF).all()), r


def test_random_ops_draw_the_same_numbers_in_every_order() -> None:
    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.nn.functional.dropout(x * 2, 0.5) + torch.rand_like(x), torch.bernoulli(x.sigmoid())

    model = memplan.from_fx(make_fx(f)(torch.randn(64)), [torch.randn(64)])
    identical(model, planned(model, scratchpad="MR"))


def test_empty_tensors_bools_and_complex_numbers() -> None:
    def f(x: Tensor) -> tuple[Tensor, ...]:
        z = torch.complex(x, x + 1)
        return (
            torch.cat([x[:0] + 1, x]),
            (x > 0) & (x < 1),
            torch.view_as_real(z * z),
            torch.conj(z) * 2,
            z.imag,
        )

    model = memplan.from_fx(make_fx(f)(torch.randn(4, 8)), [torch.randn(4, 8)])
    identical(model, planned(model, scratchpad="MR", alignment=1))


def test_strided_views_that_copies_would_not_survive() -> None:
    def f(x: Tensor) -> tuple[Tensor, ...]:
        y = x * 2
        a = torch.as_strided(y, (3, 2), (5, 2), 3)
        return (
            a + 1,
            y.unfold(1, 3, 2).sum(-1),
            y.expand(2, 6, 8).sum(0),
            y.diagonal() * 3,
            y[::2, 1::3].t() + 1,
        )

    model = memplan.from_fx(make_fx(f)(torch.randn(6, 8)), [torch.randn(6, 8)])
    for alignment in (1, 64):
        identical(model, planned(model, scratchpad="MR", alignment=alignment))


class Counter(nn.Module):
    """Adds its input to a buffer and returns a view of it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("total", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        self.total.add_(self.linear(x).sum(0))
        return self.total.view(2, 2) * 2


def test_run_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.export.save(torch.export.export(Counter().eval(), (torch.randn(3, 4),)), tmp_path / "counter.pt2")
    model, plan = str(tmp_path / "counter.pt2"), str(tmp_path / "counter.plan.json")
    words = ["--donate", "updated", "--scratchpad", "MR", "--solver", "greedy", "-o", str(tmp_path)]
    assert main(["plan", model, *words]) == 0
    capsys.readouterr()
    assert main(["run", model, plan, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["identical"] and [o["name"] for o in report["outputs"]][-1] == "total"
    np.savez(tmp_path / "in.npz", x=np.ones((3, 4), np.float32), total=np.full(4, 2, np.float32))
    assert main(["run", model, plan, "--inputs", str(tmp_path / "in.npz"), "--json"]) == 0
    other = json.loads(capsys.readouterr().out)
    assert other["outputs"][0]["sha256"] != report["outputs"][0]["sha256"]
    np.savez(tmp_path / "wrong.npz", x=np.ones((3, 5), np.float32))
    assert main(["run", model, plan, "--inputs", str(tmp_path / "wrong.npz")]) == 2


def test_inputs_are_checked_by_name_shape_and_dtype() -> None:
    model = chain()
    plan = planned(model, scratchpad="MR")
    assert memplan.run(model, plan, {"x_1": np.ones(16, np.float32)}).identical
    with pytest.raises(OptionError, match="shape"):
        memplan.run(model, plan, {"x_1": np.ones(4, np.float32)})
    with pytest.raises(OptionError, match="missing"):
        memplan.run(model, plan, {})


def test_a_plan_of_another_graph_is_refused() -> None:
    with pytest.raises(PlanError, match="another graph"):
        memplan.run(small("bert"), planned(chain(), scratchpad="MR"))


def concats() -> Model:
    """Concats within concats, of parts that others read too and that are views of nothing."""

    def f(x: Tensor) -> tuple[Tensor, ...]:
        a, b = x.sin(), x.cos().exp()
        c = torch.cat([a, b.sqrt()])
        d = torch.cat([c, a * b])
        return d.tanh().t(), torch.stack([b.neg(), x.abs()]).sum(0) + a, d.view(-1)[:5] * 2

    return memplan.from_fx(make_fx(f)(torch.randn(4, 32)), [torch.randn(4, 32)])


def test_forced_features_are_bit_identical() -> None:
    """Several memories, moves between any of them, recomputation, joined and in-place ops."""
    for make in (chain, concats):
        model, again, joined, over = make(), 0, 0, 0
        for seed, way in enumerate(WAYS):
            plan = forced_plan(model, seed, *way)
            report = memplan.run(model, plan)
            assert report.identical, (way, str(report))
            assert report.peaks == plan.peaks and report.ops == len(plan.schedule)
            moved = sum(model.graph.tensor[m.tensor].nbytes for m in plan.moves)
            assert report.loaded_bytes + report.stored_bytes == moved
            again += len(plan.schedule) - len(model.graph.ops)
            joined, over = joined + len(plan.joined), over + len(plan.inplace)
        assert again and over and (joined > 0) == (make is concats)


@pytest.mark.slow(reason="executes many nets")
@pytest.mark.parametrize("name", NAMES)
def test_forced_features_are_bit_identical_in_nets(name: str) -> None:
    model = small(name)
    for seed, way in enumerate(WAYS):
        assert (report := memplan.run(model, forced_plan(model, seed, *way))).identical, (way, str(report))


def test_sabotage_is_seen() -> None:
    model, tried = concats(), 0
    for seed in range(3):
        plan = forced_plan(model, seed, STRICT, ("host", "external")[seed % 2], "traffic", inplace=seed == 2)
        for what, wrong in sabotaged(model, plan):
            tried += 1
            try:
                assert not memplan.run(model, wrong).identical, what
            except ExecutionError as error:
                assert error.hint == "run `check` first"
    assert tried > 30
