"""Tensors stored on the host and loaded again: what is queued where on a GPU, for which fakes stand in, and bytes on the CPU."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

import memplan
from memplan.torch import offload
from memplan.torch.allocations import allocated


class Stream:
    """A stream that writes down who waits for it, and what is queued on it."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def wait_stream(self, other: Stream) -> None:
        self.log.append(f"{self.name} waits for {other.name}")

    def __enter__(self) -> None:
        self.log.append(f"on {self.name}")

    def __exit__(self, *error: object) -> None:
        self.log.append(f"off {self.name}")


class Value:
    """A tensor of 4 x 5 on a device that is not there."""

    dtype, shape = torch.float32, (4, 5)

    def __init__(self, device: str, log: list[str]) -> None:
        self.device, self.log = torch.device(device), log

    def detach(self) -> Value:
        return self

    def stride(self) -> tuple[int, int]:
        return 5, 1

    def copy_(self, other: Value, non_blocking: bool) -> None:
        self.log.append(f"{other.device} to {self.device}{', host goes on' if non_blocking else ''}")

    def record_stream(self, stream: Stream) -> None:
        self.log.append(f"memory kept for {stream.name}")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens on the streams of a device that is not there."""
    seen: list[str] = []

    def made(*layout: object, dtype: object, device: str = "cpu", pin_memory: bool = False) -> Value:
        seen.append(f"{'pinned on ' if pin_memory else ''}{device}")
        assert layout == ((4, 5), (5, 1)) and dtype == torch.float32
        return Value(device, seen)

    computing = SimpleNamespace(current_stream=lambda device: Stream("computing", seen))
    monkeypatch.setattr(offload, "torch", SimpleNamespace(empty_strided=made, accelerator=computing))
    monkeypatch.setattr(offload, "copying_stream", lambda device: Stream("copying", seen))
    return seen


def test_stores_are_copied_beside_the_computing_into_pinned_memory(log: list[str]) -> None:
    offload.store(Value("cuda:0", log))  # type: ignore[arg-type]
    assert log == [
        "pinned on cpu",
        "copying waits for computing",
        "on copying",
        "cuda:0 to cpu, host goes on",
        "off copying",
        "memory kept for copying",
    ]


def test_who_computes_waits_for_what_is_loaded(log: list[str]) -> None:
    offload.load(Value("cpu", log), "cuda:0")  # type: ignore[arg-type]
    assert log == [
        "cuda:0",
        "copying waits for computing",
        "on copying",
        "cpu to cuda:0, host goes on",
        "off copying",
        "computing waits for copying",
    ]


def test_on_the_cpu_what_is_stored_is_not_counted() -> None:
    value = torch.arange(12.0).reshape(3, 4).t()
    host, seen = allocated(lambda: offload.store(value))
    assert seen[:2] == (0, 0) and torch.equal(host, value) and host.stride() == value.stride()
    back, seen = allocated(lambda: offload.load(host, "cpu"))
    assert seen[:2] == (48, 48) and torch.equal(back, value) and back.data_ptr() != host.data_ptr()
    assert offload.store(torch.empty(0, 3)).shape == (0, 3)


class Kept(nn.Module):
    """Keeps a tensor across wide ones."""

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        kept = torch.relu(x @ w)
        return ((kept @ w.t()) @ w).exp().sum() + kept.sum()


def test_a_program_on_a_gpu_stores_and_loads() -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        operands = torch.empty(16, 16, device="cuda"), torch.empty(16, 64, device="cuda")
        program = torch.export.export(Kept(), operands)
    model = memplan.from_exported(program, runtime="torch")
    plan = memplan.plan(model, scratchpad="MR", order="program", solver="greedy")
    emitted = memplan.emit_fx(model, plan, moves=True)
    nodes = {node.name: node for node in emitted.graph.nodes}
    moved = [node for node in nodes.values() if node.target in (offload.store, offload.load)]
    assert [node.meta["memplan"]["move"] for node in moved] == ["store", "load"]
    store, load = moved
    assert load.args == (store, "cuda:0")
    assert store.meta["val"].device.type == "cpu" and load.meta["val"].device == torch.device("cuda", 0)
    assert not any(name.startswith("memplan_scratchpad") for name, _ in emitted.named_buffers())
    first = nodes[store.args[0].name]
    order = list(nodes.values())
    assert all(
        order.index(user) < order.index(load) for user in first.users
    )  # the device's is not used once it has left
