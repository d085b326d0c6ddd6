"""The tree search that all agents share: Gumbel AlphaZero's, over any deterministic dynamics.

Source: Danihelka, Guez, Schrittwieser, Silver, "Policy improvement by planning with Gumbel" (ICLR 2022). The search
is a generator: it yields paths to expand and is sent what lies there, so that one driver may answer many games in a
batch, from the true game or from a learnt model, and tests from a table.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Path = tuple[int, ...]
"""Actions from the root to a node."""


class Leaf(NamedTuple):
    """What lies at the end of a path.

    reward  of the last action of the path
    logits  of the policy there, shape (actions,); illegal actions are -inf
    value   the return expected from there on, without `reward`; 0 where the game is over
    over    whether the game has ended
    """

    reward: float
    logits: Floats  # [actions]
    value: float
    over: bool = False


class TreeSearchResult(NamedTuple):
    """The result of a search: the action, the improved policy (shape (actions,)) and the root's value.

    line  where everything was played out: the actions of the best game from the root on; else empty
    """

    action: int
    policy: Floats  # [actions]
    value: float
    line: Path = ()


@dataclass(frozen=True)
class Settings:
    """simulations: leaves expanded per move; considered: actions kept at the root (Gumbel top-m).

    scale_init, scale: sigma(q) = (scale_init + most visits) * scale * q, with q rescaled to [0, 1] (the paper's
    c_visit and c_scale). noise: scale of the Gumbel noise, 0 plays greedily.
    """

    simulations: int = 8
    considered: int = 3
    scale_init: float = 50.0
    scale: float = 0.1
    noise: float = 1.0


@dataclass
class _Node:
    """A visited place in the game. `solved`: everything below it has been played out; `best`: the largest return
    of a finished game through each action, -inf where there was none.
    """

    leaf: Leaf
    visits: Floats = field(init=False)
    totals: Floats = field(init=False)
    best: Floats = field(init=False)
    children: dict[int, _Node] = field(default_factory=dict)
    solved: bool = False

    def __post_init__(self) -> None:
        self.visits, self.totals = np.zeros_like(self.leaf.logits), np.zeros_like(self.leaf.logits)
        self.best = np.full_like(self.leaf.logits, -np.inf)
        self.solved = self.leaf.over

    @cached_property
    def legal(self) -> NDArray[np.bool_]:
        return np.isfinite(self.leaf.logits)

    @cached_property
    def prior(self) -> Floats:
        return softmax(self.leaf.logits)

    def open(self) -> NDArray[np.bool_]:
        """Legal actions below which something is left to play."""
        left = self.legal.copy()
        for action, child in self.children.items():
            left[action] &= not child.solved
        return left

    def completed(self) -> Floats:
        """Q of every action: the mean return where visited, or a finished game's if it is larger (the game is
        deterministic, so it can be had), or the best one where all are known; else the mixed value (v_mix).
        """
        seen = self.visits > 0
        q = np.divide(self.totals, self.visits, out=np.zeros_like(self.totals), where=seen)
        q = np.maximum(q, self.best)
        for action, child in self.children.items():
            if child.solved:
                q[action] = self.best[action]
        if not seen.any():
            return np.full_like(q, self.leaf.value)
        weight = self.prior * seen
        mean = float((weight * np.where(seen, q, 0.0)).sum() / weight.sum())
        count = float(self.visits.sum())
        return np.where(seen, q, (self.leaf.value + count * mean) / (1 + count))

    def sigma(self, settings: Settings) -> Floats:
        """What the completed Q add to the logits."""
        q = self.completed()
        low, high = q[self.legal].min(), q[self.legal].max()
        q = (q - low) / (high - low) if high > low else np.zeros_like(q)
        return np.asarray((settings.scale_init + self.visits.max()) * settings.scale * q)

    def improved(self, settings: Settings) -> Floats:
        """The improved policy: softmax(logits + sigma(completed Q))."""
        return softmax(self.leaf.logits + self.sigma(settings))


def softmax(logits: Floats) -> Floats:
    """Probabilities; -inf logits get 0."""
    e = np.exp(logits - logits.max())
    return np.asarray(e / e.sum())


def search(
    root: Leaf, settings: Settings, rng: np.random.Generator
) -> Generator[Path, Leaf, TreeSearchResult]:
    """Yields each path to expand, is sent the leaf there, returns the action to play.

    The root gives its simulations to the `considered` likeliest actions by sequential halving; inner nodes take the
    action whose improved policy exceeds its share of visits most. What has been played out is not entered again, so
    enough simulations find the optimum.
    """
    top = _Node(root)
    legal = np.flatnonzero(top.legal)
    if legal.size == 1:
        return TreeSearchResult(int(legal[0]), top.prior, root.value)
    score = root.logits + settings.noise * rng.gumbel(size=root.logits.size)
    kept = legal[np.argsort(-score[legal], kind="stable")][: settings.considered]
    rounds = max(1, int(np.ceil(np.log2(kept.size))))
    spent = 0
    while spent < settings.simulations and top.open()[kept].any():
        each = max(1, settings.simulations // (rounds * kept.size))
        for action in np.repeat(kept, each)[: settings.simulations - spent]:
            spent += 1
            if top.open()[action]:
                yield from _simulate(top, int(action), settings)
        if kept.size > 2:
            kept = kept[np.argsort(-(score + top.sigma(settings))[kept], kind="stable")][
                : (kept.size + 1) // 2
            ]
    # A solved action needs no more visits to be believed.
    trust = top.visits[kept] + np.array(
        [np.inf if a in top.children and top.children[a].solved else 0 for a in kept]
    )
    finalists = kept[trust >= top.visits[kept].max()]
    action = int(finalists[np.argmax((score + top.sigma(settings))[finalists])])
    if not top.open()[kept].any():
        action = int(kept[np.argmax(top.best[kept])])
    policy = top.improved(settings)
    value = float((policy * np.where(top.legal, top.completed(), 0.0)).sum())
    return TreeSearchResult(action, policy, value, _line(top) if top.solved else ())


def _line(top: _Node) -> Path:
    """The best game through what has been played out."""
    line, node = [], top
    while not node.leaf.over:
        line.append(int(np.argmax(node.best)))
        node = node.children[line[-1]]
    return tuple(line)


def _simulate(top: _Node, action: int, settings: Settings) -> Generator[Path, Leaf, None]:
    """One simulation that begins with `action` at the root: descend, expand, back up."""
    node, path, way = top, [action], [top]
    while (child := node.children.get(path[-1])) is not None:
        node = child
        way.append(node)
        share = node.visits / (1 + node.visits.sum())
        path.append(int(np.argmax(np.where(node.open(), node.improved(settings) - share, -np.inf))))
    child = node.children[path[-1]] = _Node((yield tuple(path)))
    gain, finished = child.leaf.value, 0.0 if child.leaf.over else -np.inf
    for parent, taken in zip(reversed(way), reversed(path), strict=True):
        below = parent.children[taken]
        gain += below.leaf.reward
        finished += below.leaf.reward
        parent.visits[taken] += 1
        parent.totals[taken] += gain
        parent.best[taken] = max(parent.best[taken], finished)
        parent.solved = not parent.open().any()


def drive(
    searching: Generator[Path, Leaf, TreeSearchResult], expand: Callable[[Path], Leaf]
) -> TreeSearchResult:
    """Run one search with `expand` answering it."""
    answer: Leaf | None = None
    while True:
        try:
            answer = expand(searching.send(answer) if answer is not None else next(searching))
        except StopIteration as stop:
            found: TreeSearchResult = stop.value
            return found
