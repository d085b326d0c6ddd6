"""Torch modules: calls in the plan's order, and forward and backward beside torch's partitioner with an activation memory budget.

    scripts/bench_torch [MODEL ...]

A call is planned for its least peak, and compared with the order of the program. In training torch decides what is saved by its
`activation_memory_budget`, at several values; the peak of a step is what its profiler counts. memplan is given exactly that peak as
its capacity, and executes again what costs least. As soon as a module is done, its rows in docs/obeyed.md, and of training those in
docs/torch.md, are replaced. Without names all modules are measured.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from marked import DOCS, put_rows, stamp
from networks import NETWORKS
from publish_obeyed import keep
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.exc import BackendCompilerFailed
from torch._functorch import config
from torch._functorch.partitioners import min_cut_rematerialization_partition
from torch._ops import OpOverload
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg
from torch.nn import functional as F

import memplan
from memplan.runtimes.obedience import Obedience
from memplan.runtimes.torch_measure import in_order
from memplan.torch.allocations import allocated
from memplan.torch.backend import boxed
from memplan.torch.flops import flops

BUDGETS = (1.0, 0.6, 0.3)
TIME_LIMIT_S = 20


class Residual(nn.Module):
    """A block plus what it is given."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.block = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


def convolved(a: int, b: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """A convolution and its normalisation, which keeps no statistics: with those torch's partitioner needs a compiler."""
    return [nn.Conv2d(a, b, kernel, stride, kernel // 2, groups=groups, bias=False), nn.GroupNorm(4, b)]


def resnet() -> nn.Module:
    """Basic blocks (He et al. 2016)."""
    blocks: list[nn.Module] = [*convolved(3, 16), nn.ReLU()]
    for a, b in ((16, 32), (32, 64)):
        for _ in range(2):
            blocks += [Residual(*convolved(a, a), nn.ReLU(), *convolved(a, a)), nn.ReLU()]
        blocks += [*convolved(a, b, 3, 2), nn.ReLU()]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def mobile() -> nn.Module:
    """Inverted residuals (Sandler et al. 2018)."""
    blocks: list[nn.Module] = [*convolved(3, 16), nn.ReLU6()]
    for a, b in ((16, 24), (24, 40)):
        for _ in range(2):
            wide = [*convolved(a, 4 * a, 1), nn.ReLU6(), *convolved(4 * a, 4 * a, 3, 1, 4 * a), nn.ReLU6()]
            blocks.append(Residual(*wide, *convolved(4 * a, a, 1)))
        blocks += [*convolved(a, b, 3, 2), nn.ReLU6()]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, 10))


def mlp() -> nn.Module:
    """Wide layers, normalised."""
    layers = [Residual(nn.LayerNorm(64), nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64)) for _ in range(8)]
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 64), *layers, nn.Linear(64, 10))


class Attention(nn.Module):
    """Self-attention of all heads at once."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.all, self.out, self.heads, self.causal = (
            nn.Linear(width, 3 * width),
            nn.Linear(width, width),
            heads,
            causal,
        )

    def forward(self, x: Tensor) -> Tensor:
        b, n, width = x.shape
        q, k, v = (t.view(b, n, self.heads, -1).transpose(1, 2) for t in self.all(x).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out(y.transpose(1, 2).reshape(b, n, width))


def transformer(width: int, heads: int, layers: int, causal: bool) -> nn.Module:
    """Layers that normalise first."""
    parts: list[nn.Module] = []
    for _ in range(layers):
        wide = [nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)]
        parts += [
            Residual(nn.LayerNorm(width), Attention(width, heads, causal)),
            Residual(nn.LayerNorm(width), *wide),
        ]
    return nn.Sequential(*parts, nn.LayerNorm(width))


class Gpt(nn.Module):
    """A decoder of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.layers, self.head = (
            nn.Embedding(128, 64),
            transformer(64, 4, 3, True),
            nn.Linear(64, 128),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.layers(self.words(tokens))).flatten(0, 1)


class Vit(nn.Module):
    """An encoder of patches (Dosovitskiy et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.layers, self.head = (
            nn.Conv2d(3, 48, 4, 4),
            transformer(48, 3, 3, False),
            nn.Linear(48, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(self.patches(x).flatten(2).transpose(1, 2)).mean(1))


class Unet(nn.Module):
    """Three resolutions and skips across (Ronneberger et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (8, 16, 32)
        self.down = nn.ModuleList(self.twice(a, b) for a, b in zip((3, *widths), widths, strict=False))
        self.up = nn.ModuleList(self.twice(a + b, b) for a, b in ((32, 16), (16, 8)))
        self.head = nn.Linear(8, 10)

    @staticmethod
    def twice(a: int, b: int) -> nn.Module:
        return nn.Sequential(*convolved(a, b), nn.ReLU(), *convolved(b, b), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for block in self.down:
            skips.append(block(x if not skips else F.max_pool2d(skips[-1], 2)))
        y = skips.pop()
        for block in self.up:
            y = block(torch.cat([F.interpolate(y, scale_factor=2), skips.pop()], 1))
        return self.head(y.mean((2, 3)))


class Loss(nn.Module):
    """A module with its loss."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(self.net(x), y)


def images(n: int, size: int) -> tuple[Tensor, Tensor]:
    """Pictures and their classes."""
    return torch.randn(n, 3, size, size), torch.randint(10, (n,))


def tokens() -> tuple[Tensor, Tensor]:
    """Texts, each token to be predicted."""
    ids = torch.randint(128, (8, 64))
    return ids, ids.flatten()


MODULES: Mapping[str, tuple[Callable[[], nn.Module], Callable[[], tuple[Tensor, Tensor]]]] = {
    "ResNet": (resnet, lambda: images(8, 32)),
    "GPT": (Gpt, tokens),
    "ViT": (Vit, lambda: images(16, 32)),
    "MLP": (mlp, lambda: images(256, 8)),
    "U-Net": (Unet, lambda: images(4, 32)),
    "MobileNet": (mobile, lambda: images(8, 32)),
}


@dataclass(frozen=True)
class Step:
    """A step, forward and backward: its results, the most bytes that it allocates, the share of flops executed again, the ops called."""

    results: Sequence[Tensor]
    peak: int
    again: float
    called: Sequence[str]


def step(
    net: nn.Module, inputs: Sequence[Tensor], call: Callable[..., Tensor], again: Callable[[], float]
) -> Step:
    """The second of two steps from the same state: the first compiles."""
    before = copy.deepcopy(net.state_dict())
    for _ in range(2):
        net.load_state_dict(before)
        net.zero_grad(set_to_none=True)
        torch.manual_seed(0)
        loss, seen = allocated(lambda: _forward_backward(call, inputs))
    return Step(
        [loss.detach(), *(p.grad for p in net.parameters()), *net.buffers()], seen.peak, again(), seen.called
    )


def _forward_backward(call: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Tensor:
    loss = call(*inputs)
    loss.backward()
    return loss


def by_budget(net: nn.Module, inputs: Sequence[Tensor], budget: float) -> Step:
    """A step as torch's partitioner has it."""
    cost: list[int] = []

    def partition(joint: GraphModule, given: Any, **options: Any) -> tuple[GraphModule, GraphModule]:
        halves = min_cut_rematerialization_partition(joint, given, **options)
        cost.extend(sum(map(node_flops, m.graph.nodes)) for m in (joint, *halves))
        return halves

    torch._dynamo.reset()
    with config.patch(activation_memory_budget=budget):
        backend = aot_autograd(fw_compiler=boxed, bw_compiler=boxed, partition_fn=partition)
        call = torch.compile(net, backend=backend, dynamic=False)
        return step(net, inputs, call, lambda: (cost[1] + cost[2] - cost[0]) / cost[0])


def by_plan(
    net: nn.Module, inputs: Sequence[Tensor], capacity: int
) -> tuple[Step, memplan.Model, memplan.Plan]:
    """A step as planned for so many bytes; BackendCompilerFailed without a plan."""
    seen: list[tuple[memplan.Model, memplan.Plan]] = []

    def again() -> float:
        model, plan = seen[0]
        cost = {op.name: op.flops or 0 for op in model.graph.ops}
        return sum(cost[name] for name in plan.schedule) / sum(cost.values()) - 1

    torch._dynamo.reset()
    backend = memplan.torch_backend(
        scratchpad=capacity, objective="compute", recompute="any", time_limit_s=TIME_LIMIT_S,
        planned=lambda *pair: seen.append(pair),
    )  # fmt: skip
    done = step(net, inputs, torch.compile(net, backend=backend, dynamic=False), again)
    return done, *seen[0]


def rows(name: str) -> Iterator[tuple[str, list[tuple[str, Obedience]]]]:
    """The rows of a module, each with what torch made of its plan, if it has one."""
    make, data = MODULES[name]
    torch.manual_seed(0)
    net, inputs = Loss(make()), data()
    eager = step(net, inputs, net, lambda: 0.0)
    for budget in BUDGETS:
        print(name, budget, file=sys.stderr, flush=True)
        own = by_budget(net, inputs, budget)
        head = f"| {name} | {{ops}} | {eager.peak:,} | {budget} | {own.peak:,} | {own.again:.2%} |"
        try:
            mine, model, plan = by_plan(net, inputs, own.peak)
        except BackendCompilerFailed as error:
            yield f"{head.format(ops='')} none: {words_of(error)} | | | | |", []
            continue
        bound = (plan.bound or 0) / sum(op.flops or 0 for op in model.graph.ops)
        seen = Obedience(
            model=name,
            runtime="torch",
            predicted=plan.metrics.live_peak,
            measured=mine.peak,
            own=own.peak,
            beside=sum(x.nbytes for x in (*net.parameters(), *net.buffers(), *inputs)),
            outputs=len(eager.results),
            different=sum(not torch.equal(*pair) for pair in zip(mine.results, eager.results, strict=True)),
            ordered=in_order(model.graph, plan, mine.called),
        )
        row = (
            f"{head.format(ops=len(set(plan.schedule)))} {seen.predicted:,} | {seen.measured:,} | {mine.again:.3%} "
            f"| {bound:.3%} | {'differ' if seen.different else 'equal'} |"
        )
        yield row, [(f"{name}, a step of training, budget {budget}", seen)]


def node_flops(node: Node) -> int:
    """Flops of an op of a graph, 0 where they are unknown."""
    if not isinstance(node.target, OpOverload):
        return 0
    args, kwargs = map_arg((node.args, node.kwargs), lambda n: n.meta.get("val"))
    return flops(node.target, args, kwargs, node.meta.get("val")) or 0


def words_of(error: Exception) -> str:
    """The line that says what was wrong, as memplan says it."""
    lines = str(error).splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("MemplanError")), lines[0])


def called(name: str) -> tuple[str, Obedience]:
    """What torch makes of a network that is called in the order of the least peak."""
    make, inputs = NETWORKS[name]
    torch.manual_seed(0)
    with torch.no_grad():
        program = torch.export.export(make().eval(), inputs)
    model = memplan.from_exported(program, runtime="torch")
    plan = memplan.plan(model, objective="peak", time_limit_s=TIME_LIMIT_S)
    return f"{name}, a call", memplan.measure(model, plan, on="torch")


def main() -> int:
    """Replaces the rows of a module as soon as it is done; exit status 5 where a plan is not obeyed."""
    obeyed = True
    for name in sys.argv[1:] or [*NETWORKS, *MODULES]:
        if name in NETWORKS:
            print(name, file=sys.stderr, flush=True)
            what, found = "a call", [called(name)]
        else:
            lines = list(rows(name))
            put_rows(DOCS / "torch.md", "bench_torch", name, [line for line, _ in lines])
            what, found = "a step of training", [row for _, plans in lines for row in plans]
        keep("torch", found, of=f"{name}, {what}")
        obeyed = obeyed and all(seen.obeys for _, seen in found)
    if not sys.argv[1:]:
        stamp(DOCS / "torch.md", "bench_torch")
    return 0 if obeyed else 5


if __name__ == "__main__":
    sys.exit(main())
