"""Small networks of torch.nn, each of a structure of its own, for the runtimes of torch programs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Branches(nn.Module):
    """A cell of several branches that widen and are reduced again, then added."""

    def __init__(self, branches: int, wide: int) -> None:
        super().__init__()
        self.wide = nn.ModuleList(nn.Conv2d(8, wide, 3, padding=1) for _ in range(branches))
        self.thin = nn.ModuleList(nn.Conv2d(wide, 8, 1, stride=2) for _ in range(branches))

    def forward(self, x: Tensor) -> Tensor:
        wide = [F.relu(conv(x)) for conv in self.wide]
        return torch.cat([conv(y) for conv, y in zip(self.thin, wide, strict=True)], 1)


class Unet(nn.Module):
    """Down and up again, with skips."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        widths = [width << i for i in range(depth)]
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1) for a, b in zip([3, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(
            nn.Conv2d(a + b, a, 3, padding=1) for a, b in zip(widths, widths[1:], strict=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for i, conv in enumerate(self.down):
            x = F.relu(conv(F.max_pool2d(x, 2) if i else x))
            skips.append(x)
        for conv, skip in zip(reversed(self.up), reversed(skips[:-1]), strict=True):
            x = F.relu(conv(torch.cat([F.interpolate(x, scale_factor=2.0), skip], 1)))
        return x


class Residual(nn.Module):
    """Inverted bottlenecks, as of MobileNet, with squeeze and excitation."""

    def __init__(self, blocks: int, squeeze: bool) -> None:
        super().__init__()
        self.wide = nn.ModuleList(nn.Conv2d(16, 64, 1) for _ in range(blocks))
        self.deep = nn.ModuleList(nn.Conv2d(64, 64, 3, padding=1, groups=64) for _ in range(blocks))
        self.gate = nn.ModuleList(nn.Conv2d(64, 64, 1) for _ in range(blocks if squeeze else 0))
        self.thin = nn.ModuleList(nn.Conv2d(64, 16, 1) for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        for i, (wide, deep, thin) in enumerate(zip(self.wide, self.deep, self.thin, strict=True)):
            y = F.hardswish(deep(F.hardswish(wide(x))))
            if self.gate:
                y = y * torch.sigmoid(self.gate[i](y.mean((2, 3), keepdim=True)))
            x = x + thin(y)
        return x


class Decoder(nn.Module):
    """A step of decoding with caches of keys and values, which it updates."""

    def __init__(self, layers: int, dim: int, heads: int, context: int) -> None:
        super().__init__()
        self.heads, self.context = heads, context
        self.qkv = nn.ModuleList(nn.Linear(dim, 3 * dim) for _ in range(layers))
        self.out = nn.ModuleList(nn.Linear(dim, dim) for _ in range(layers))
        self.mlp = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
            for _ in range(layers)
        )
        for i in range(layers):
            for name in ("keys", "values"):
                self.register_buffer(f"{name}{i}", torch.zeros(1, heads, context, dim // heads))

    def forward(self, x: Tensor, at: Tensor) -> Tensor:
        for i, (qkv, out, mlp) in enumerate(zip(self.qkv, self.out, self.mlp, strict=True)):
            q, k, v = (y.reshape(1, 1, self.heads, -1).transpose(1, 2) for y in qkv(x).chunk(3, -1))
            keys, values = getattr(self, f"keys{i}"), getattr(self, f"values{i}")
            keys.index_copy_(2, at, k)
            values.index_copy_(2, at, v)
            seen = (torch.arange(self.context) <= at).reshape(1, 1, 1, -1)
            scores = (q @ keys.transpose(2, 3)).masked_fill(~seen, -1e9).softmax(-1)
            x = x + out((scores @ values).transpose(1, 2).reshape(1, 1, -1))
            x = x + mlp(x)
        return x


class Attention(nn.Module):
    """Encoder layers of a transformer over a whole sequence."""

    def __init__(self, layers: int, dim: int, heads: int) -> None:
        super().__init__()
        make = {"dim_feedforward": 4 * dim, "batch_first": True, "norm_first": True, "activation": "gelu"}
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(dim, heads, **make) for _ in range(layers))  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class Dense(nn.Module):
    """A dense block: every layer reads all before it."""

    def __init__(self, layers: int, growth: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(growth * (i + 1), growth, 3, padding=1) for i in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        found = [x]
        for conv in self.convs:
            found.append(F.relu(conv(torch.cat(found, 1))))
        return found[-1]


class Wired(nn.Module):
    """Nodes that each add up some earlier ones, wired at random."""

    def __init__(self, nodes: int, seed: int) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self.sources = [torch.randperm(i + 1, generator=rng)[:2].tolist() for i in range(nodes)]
        widths = [8] + [8 * (1 + int(torch.randint(3, (1,), generator=rng))) for _ in range(nodes)]
        self.convs = nn.ModuleList(
            nn.Conv2d(sum(widths[k] for k in sources), widths[i + 1], 3, padding=1)
            for i, sources in enumerate(self.sources)
        )

    def forward(self, x: Tensor) -> Tensor:
        found = [x]
        for conv, sources in zip(self.convs, self.sources, strict=True):
            found.append(F.relu(conv(torch.cat([found[k] for k in sources], 1))))
        read = {k for sources in self.sources for k in sources}
        return torch.cat([y.mean((2, 3)) for k, y in enumerate(found) if k not in read], 1)


class Gated(nn.Module):
    """Steps of a gated recurrent cell over a sequence, unrolled."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(width, width)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros_like(x[:, 0])
        states = []
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
            states.append(h)
        return torch.stack(states, 1)


def image(channels: int, side: int) -> tuple[Tensor, ...]:
    return (torch.zeros(1, channels, side, side),)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[Tensor, ...]]] = {
    "cell of 6 branches": (lambda: Branches(6, 32), image(8, 64)),
    "U-Net, 3 levels": (lambda: Unet(3, 16), image(3, 64)),
    "inverted bottlenecks": (lambda: Residual(3, False), image(16, 32)),
    "decoding step, 2 layers": (
        lambda: Decoder(2, 64, 4, 64),
        (torch.zeros(1, 1, 64), torch.zeros(1, dtype=torch.int64)),
    ),
    "transformer, 2 layers": (lambda: Attention(2, 64, 4), (torch.zeros(1, 64, 64),)),
    "dense block": (lambda: Dense(6, 12), image(12, 32)),
    "random wiring, seed 1": (lambda: Wired(12, 1), image(8, 32)),
    "gated recurrence": (lambda: Gated(64), (torch.zeros(1, 8, 64),)),
    "cell of 9 branches *": (lambda: Branches(9, 24), image(8, 48)),
    "U-Net, 4 levels *": (lambda: Unet(4, 8), image(3, 64)),
    "bottlenecks with gates *": (lambda: Residual(4, True), image(16, 32)),
    "random wiring, seed 2 *": (lambda: Wired(20, 2), image(8, 32)),
}
"""Networks with an example of their inputs; * marks those that nobody looked at before the table was made."""
