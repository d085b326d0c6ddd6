"""The search against trees computed by hand, and against exhaustive play on small random games."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from memplan_solvers.malloc_game.tree_search import Leaf, Path, Settings, drive, search, softmax

FLAT = np.zeros(3)
QUIET = Settings(noise=0.0)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def table(rewards: dict[Path, float], depth: int) -> Callable[[Path], Leaf]:
    """A tree of equal priors and values 0, with these rewards on its edges."""

    def expand(path: Path) -> Leaf:
        return Leaf(rewards.get(path, 0.0), FLAT, 0.0, over=len(path) == depth)

    return expand


def test_a_single_legal_action_needs_no_simulation() -> None:
    root = Leaf(0.0, np.array([-np.inf, 1.0, -np.inf]), 0.5)
    found = drive(search(root, QUIET, rng()), lambda path: pytest.fail("nothing to expand"))
    assert (found.action, found.value) == (1, 0.5)
    assert found.policy.tolist() == [0.0, 1.0, 0.0]


def test_illegal_actions_are_never_expanded() -> None:
    seen: list[Path] = []
    legal = np.array([0.0, -np.inf, 0.0])

    def expand(path: Path) -> Leaf:
        seen.append(path)
        return Leaf(0.1, legal, 0.0, over=len(path) == 4)

    found = drive(search(Leaf(0.0, legal, 0.0), Settings(simulations=32, noise=0.0), rng()), expand)
    assert found.policy[1] == 0 and seen
    assert not any(1 in path for path in seen)


def test_two_simulations_by_hand() -> None:
    """Root: priors 1/2, 1/2, rewards 1 and 0: Q = (1, 0), sigma = (50 + 1) * 0.1 * (1, 0) = (5.1, 0)."""
    two = np.array([0.0, 0.0, -np.inf])
    found = drive(
        search(Leaf(0.0, two, 0.5), Settings(simulations=2, considered=2, noise=0.0), rng()),
        table({(0,): 1.0}, 1),
    )
    assert found.action == 0
    assert found.policy == pytest.approx(softmax(np.array([5.1, 0.0, -np.inf])))
    assert found.value == pytest.approx(float(softmax(np.array([5.1, 0.0]))[0]))


def test_completed_values_by_hand() -> None:
    """One simulation of action 0 (prior 0.5): v_mix = (0.2 + 1 * 1.0) / 2 = 0.6 for the two unseen actions.

    Rescaled to [0, 1]: 1 for action 0, 0 for the others; sigma = (50 + 1) * 0.1 = 5.1.
    """
    logits = np.log(np.array([0.5, 0.25, 0.25]))
    found = drive(
        search(Leaf(0.0, logits, 0.2), Settings(simulations=1, considered=1, noise=0.0), rng()),
        table({(0,): 1.0}, 1),
    )
    weights = np.array([0.5 * np.exp(5.1), 0.25, 0.25])
    assert found.policy == pytest.approx(weights / weights.sum())
    assert found.value == pytest.approx(float((found.policy * [1.0, 0.6, 0.6]).sum()))


def test_sequential_halving_gives_the_survivors_most() -> None:
    """Six simulations, three actions: two rounds of one each, then the two best share the rest."""
    seen: list[int] = []

    def expand(path: Path) -> Leaf:
        seen.append(path[0])
        return Leaf((0.0, 0.5, 1.0)[path[0]], FLAT, 0.0, over=True)

    found = drive(search(Leaf(0.0, FLAT, 0.0), Settings(simulations=7, noise=0.0), rng()), expand)
    assert found.action == 2
    assert seen == [0, 1, 2]  # a finished game is expanded once; its visits come from the tree afterwards


def test_inner_nodes_follow_reward() -> None:
    """Behind a poor first reward lies the only good second one; enough simulations find it."""
    rewards = {(0,): 0.1, (1, 2): 1.0}
    found = drive(search(Leaf(0.0, FLAT, 0.0), Settings(simulations=48, noise=0.0), rng()), table(rewards, 2))
    assert found.action == 1


@pytest.mark.parametrize("seed", range(20))
def test_play_finds_the_optimum_of_small_games(seed: int) -> None:
    """Five moves of three actions with random rewards, no priors: search must play the best of all 243 games."""
    dice = np.random.default_rng(seed)
    rewards = {
        path: float(dice.random()) for d in range(1, 6) for path in itertools.product(range(3), repeat=d)
    }
    best = max(sum(rewards[path[:d]] for d in range(1, 6)) for path in itertools.product(range(3), repeat=5))
    played: Path = ()
    for _ in range(5):
        here = played

        def expand(path: Path, here: Path = here) -> Leaf:
            whole = here + path
            return Leaf(rewards[whole], FLAT, 0.0, over=len(whole) == 5)

        played += (
            drive(search(Leaf(0.0, FLAT, 0.0), Settings(simulations=1200, noise=0.0), dice), expand).action,
        )
    assert sum(rewards[played[:d]] for d in range(1, 6)) == pytest.approx(best)


def test_the_same_seed_gives_the_same_search() -> None:
    found = [
        drive(search(Leaf(0.0, FLAT, 0.0), Settings(), np.random.default_rng(7)), table({(2,): 0.3}, 3))
        for _ in range(2)
    ]
    assert found[0].action == found[1].action and (found[0].policy == found[1].policy).all()
