"""The mallocGame: valid plans, honest rewards, undo, backups, what each answer does on small programs."""

from __future__ import annotations

import random
import time
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from memplan_solvers.malloc_game import play
from memplan_solvers.malloc_game.board import MoveAnswer
from memplan_solvers.malloc_game.env import MallocGameEnv
from memplan_solvers.malloc_game.game import Game, open_board
from memplan_solvers.malloc_game.greedy import play_greedy

from memplan.base.errors import OptionError, TargetError
from memplan.judge.evaluate import evaluate
from memplan.solving.limits import Limits
from memplan.solving.planning import make_problem
from memplan.solving.testing import TIMED, chain
from tests.generate import timed
from tests.solvers.latency.test_msa import small_problem
from tests.solvers.malloc_game.games import Played, play_and_check, play_randomly, random_problem

NO_COPY, COPY, DROP = MoveAnswer


def _game(program: str, sizes: dict[str, int], capacity: int, flops: int = 0) -> Game:
    board = open_board(small_problem(program, sizes, capacity, flops), Limits(10.0))
    assert board is not None
    return Game(board)


def _legal(game: Game) -> list[int]:
    return np.flatnonzero(game.legal).tolist()


@pytest.mark.slow
def test_random_games_end_in_valid_plans_worth_their_rewards() -> None:
    games = backups = 0
    for seed in range(700):
        played, backed = play_and_check(seed, undo=0.3 if seed % 3 == 0 else 0.0, games=3)
        games, backups = games + played, backups + backed
    assert games > 2000 and backups > 20


@pytest.mark.slow
def test_undo_restores_every_array_even_across_backups() -> None:
    crossed = 0
    for seed in range(900):
        rng = random.Random(seed)
        board = open_board(random_problem(rng), Limits(10.0))
        if board is None:
            continue
        game = Game(board)
        while not game.is_over:
            before = game.copy()
            for answer in _legal(game):
                game.step(answer)
                crossed += int(game.state.totals["backups"][0] > before.state.totals["backups"][0])
                game.undo()
                valid = _valid(game)
                assert all(np.array_equal(a, b) for a, b in zip(valid, _valid(before), strict=True)), seed
            game.step(int(rng.choice(_legal(game))))
    assert crossed > 8


def _valid(game: Game) -> list[np.ndarray]:
    """What counts of a state."""
    s = game.state
    return [
        s.totals[["move", "open_stores", "residencies", "backups"]],
        s.standings,
        s.residencies[: s.totals["residencies"][0]],
        s.places,
        s.queue.copies[: s.queue.used[0]],
        s.ops,
        s.totals["latency"],
        game.answers,
        s.forced,
    ]


def test_answers_on_a_small_program() -> None:
    # As in the tests of the baseline: 10 B/s from host, no compute. Operands come before the result.
    game = _game("x>a a>b b,w>c c>y", {"w": 30}, 60)
    assert _legal(game) == [DROP]  # x has no time to come
    game.step(DROP)
    assert _legal(game) == [NO_COPY, DROP]
    assert game.step(NO_COPY) == pytest.approx(
        0.9 / game.board.all_host
    )  # a: 1 s in host, 0.1 s in the scratchpad
    assert _legal(game) == [NO_COPY]  # host has no copy, and no time is left to store one
    game.step(NO_COPY)
    assert _legal(game) == [NO_COPY, DROP]  # the production of b


@pytest.mark.parametrize(("nbytes", "start"), [(30, 1), (40, 0), (70, None)])
def test_copy_takes_the_latest_issue_step_with_the_bandwidth(nbytes: int, start: int | None) -> None:
    # Each op computes for 5 s; with all in host two of them keep the bus busy for 2 s and leave it 3 s.
    game = _game("x>a a>b b,w>c c>y", {"w": nbytes}, 100, flops=500)
    for _ in range(5):
        game.step(DROP)  # x, a, a, b, b
    assert _legal(game) == ([DROP] if start is None else [COPY, DROP])
    if start is not None:
        game.step(COPY)
        assert list(game.state.residencies[0])[1:] == [start, 3, 0]


def test_a_drop_is_charged_a_store_that_later_copies_must_not_delay() -> None:
    game = _game("x>a a>b b,w>c c,a>y", {"w": 30}, 100, flops=500)
    for answer in (DROP, NO_COPY, NO_COPY, NO_COPY, NO_COPY):  # x, a, a, b, b
        game.step(answer)
    game.step(COPY)  # w: 3 s, from step 1 on where 5 s are free
    for answer in (NO_COPY, NO_COPY, DROP):  # c, c, a: a is stored from its production on, ahead of w
        game.step(answer)
    kinds = [(int(key) % 2, int(key) // 2, int(due)) for key, due, *_ in game.state.queue.copies[:2].tolist()]
    assert kinds == [(1, 0, 2), (0, 1, 2)]


def test_a_held_place_gives_way_only_where_nothing_else_fits() -> None:
    # a (10 of 25 bytes) is held for step 3. c (10) still fits beside it; d (10) does not, and takes its place
    # once a has been stored in time.
    problem = small_problem("x>a a>b b>c a,c>y", {"a": 10, "b": 5, "c": 10}, 25)
    board = open_board(problem, Limits(10.0))
    assert board is not None
    game = Game(board)
    for answer in (DROP, NO_COPY, NO_COPY, NO_COPY, NO_COPY, NO_COPY, NO_COPY, NO_COPY, DROP):
        assert answer in _legal(game), game.move
        game.step(answer)
    plan = evaluate(problem.graph, game.plan(Played(), problem, Limits(1.0)))
    assert {(r.tensor, r.start, r.stop, r.offset) for r in plan.residencies} == {
        ("a", 0, 4, 0),
        ("b", 1, 3, 10),
        ("c", 2, 4, 15),
    }


def test_illegal_answers_change_nothing_and_say_what_is_legal() -> None:
    game = _game("x>a a>y", {}, 60)
    with pytest.raises(ValueError, match=r"answer 1 to move 0 is illegal, legal are \[2\]"):
        game.step(COPY)
    assert game.move == 0
    with pytest.raises(ValueError, match="stands at move 0"):
        game.plan(Played(), small_problem("x>a a>y", {}, 60), Limits(1.0))


def test_greedy_play_beats_random_play_and_look_ahead_helps() -> None:
    better = deeper = 0
    for seed in range(30):
        rng = random.Random(1000 + seed)
        board = open_board(random_problem(rng, 14), Limits(10.0))
        if board is None or not len(board.moves):
            continue
        game = Game(board)
        chance = play_randomly(rng, game)
        game.reset()
        plain = play_greedy(board, game.state, 0)
        game.reset()
        ahead = play_greedy(board, game.state, 8)
        better += 1 - plain / board.all_host >= chance - 1e-12
        deeper += ahead <= plain + 1e-15
    assert better > 22 and deeper > 22


def test_gymnasium_knows_the_environment_and_approves() -> None:
    env = gymnasium.make("memplan_solvers.malloc_game.env:memplan/MallocGame-v0")
    with warnings.catch_warnings():
        warnings.simplefilter(
            "error"
        )  # not one of its doubts, but those about having been made without `make`
        warnings.filterwarnings("ignore", message=".*alternative render modes.*")
        check_env(env.unwrapped, skip_render_check=False)
    seen, info = env.reset(seed=1)
    total, over = 0.0, False
    while not over:
        action = int(np.flatnonzero(info["action_mask"])[-1])
        seen, reward, over, cut, info = env.step(action)
        assert not cut and env.observation_space.contains(seen) and not info["replaced"]
        total += reward
    assert total == pytest.approx(0.0)  # everything dropped
    assert not info["action_mask"].any()


def test_masked_random_play_makes_thousands_of_moves_a_second() -> None:
    env = MallocGameEnv(model="resnet8_int8", target="ethos-u65", scratchpad="64KiB")
    dice = random.Random(0)
    _, info = env.reset()
    best = 0.0
    for _ in range(5):
        begin = time.process_time()
        for _ in range(500):
            legal = info["action_mask"].nonzero()[0]
            _, _, over, _, info = env.step(int(dice.choice(legal)))
            if over:
                _, info = env.reset()
        best = max(best, 500 / (time.process_time() - begin))
    assert best > 5_000  # 20,000 and more on an idle core


def test_a_problem_without_moves_or_with_two_queues_is_refused() -> None:
    graph = chain(5)
    problem = make_problem(graph, TIMED, scratchpad=1, objective="latency", order="program")
    with pytest.raises(OptionError, match="no moves"):
        MallocGameEnv(problem)
    with pytest.raises(OptionError, match="serves no operand"):
        open_board(make_problem(graph, "cortex-m7", objective="latency"), Limits(1.0))

    with pytest.raises(TargetError, match="two DMA queues"):
        open_board(make_problem(graph, timed(queues=2), objective="latency"), Limits(1.0))


@pytest.mark.slow(reason="measures a speed")
def test_twenty_thousand_moves_a_second() -> None:
    problem = make_problem(chain(300), TIMED, scratchpad=4000, objective="latency", order="program")
    board = open_board(problem, Limits(10.0))
    assert board is not None
    game = Game(board)
    play.play_random(board, game.state, 1, 1)
    begin = time.process_time()
    moves = play.play_random(board, game.state, 2, 20)
    assert moves / (time.process_time() - begin) > 20_000
