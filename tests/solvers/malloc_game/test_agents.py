"""The agents: exact on small games, deterministic, never worse for more time; training that survives and resumes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from memplan_solvers.malloc_game import actors
from memplan_solvers.malloc_game.actors import (
    Alone,
    Processes,
    Task,
    TaskOutcome,
    TrainingCase,
    board_of,
    run_task,
)
from memplan_solvers.malloc_game.board import ANSWERS
from memplan_solvers.malloc_game.encode import INPUTS
from memplan_solvers.malloc_game.game import Game, open_board
from memplan_solvers.malloc_game.gumbel_zero import play_episode
from memplan_solvers.malloc_game.malloc_game import MallocGame
from memplan_solvers.malloc_game.muzero import LearningPlan as MuZeroPlan
from memplan_solvers.malloc_game.muzero import learn_program
from memplan_solvers.malloc_game.network import BINS, HIDDEN, forward, make_network
from memplan_solvers.malloc_game.policy import SHIPPED, load_network
from memplan_solvers.malloc_game.refine import Refiner
from memplan_solvers.malloc_game.train import Schedule, train
from memplan_solvers.malloc_game.tree_search import Settings

import memplan
from memplan.base.errors import OptionError
from memplan.solving.limits import Limits
from tests.solvers.malloc_game.games import random_problem

SMALL = (TrainingCase("ds_cnn_int8", "ethos-u65", 0.15), TrainingCase("yolov3_tiny", "tpu-v4i", 0.1))


def least(game: Game) -> float:
    """The least latency of any game from here on, by playing all of them."""
    if game.is_over:
        return game.latency
    best = np.inf
    for answer in np.flatnonzero(game.legal).tolist():
        game.step(answer)
        best = min(best, least(game))
        game.undo()
    return float(best)


def small_games(count: int, most: int) -> list[tuple[int, Game]]:
    """Games of 3 to `most` moves on random problems."""
    found: list[tuple[int, Game]] = []
    seed = 0
    while len(found) < count:
        board = open_board(random_problem(random.Random(seed)), Limits(10.0))
        if board is not None and 3 <= len(board.moves) <= most:
            found.append((seed, Game(board)))
            found[-1][1].reset()
        seed += 1
    return found


def test_the_compiled_network_is_the_formula() -> None:
    net, rng = make_network(3), np.random.default_rng(3)
    x = rng.standard_normal(INPUTS).astype(np.float32)
    out = np.zeros(ANSWERS + BINS, np.float32)
    forward(net, x, np.zeros(HIDDEN[0], np.float32), np.zeros(HIDDEN[1], np.float32), out)
    hidden = np.maximum(np.maximum(x @ net.w0 + net.b0, 0) @ net.w1 + net.b1, 0)
    assert out == pytest.approx(hidden @ net.w2 + net.b2, rel=1e-4, abs=1e-4)


@pytest.mark.slow(reason="plays many games")
def test_the_agent_finds_the_optimum_of_small_games() -> None:
    better = 0
    for seed, game in small_games(30, 10):
        optimum = least(game)
        solver = MallocGame()
        solver._play(game, Limits(60.0, seed=seed))
        assert game.is_over and game.latency == pytest.approx(optimum, rel=1e-12), seed
        game.reset()
        refiner = Refiner(game, load_network(), 0)
        better += refiner.policy_latency > optimum * (1 + 1e-9)
    assert better > 0  # so it was not the network alone


@pytest.mark.slow(reason="plays many games")
def test_an_episode_of_tree_search_is_the_game_it_says() -> None:
    game = Game(board_of(SMALL[0]))
    one = play_episode(game, load_network(), Settings(simulations=4), seed=5)
    again = play_episode(game, load_network(), Settings(simulations=4), seed=5)
    assert (one.answers == again.answers).all() and one.latency == again.latency == game.latency
    assert np.allclose(one.policies.sum(1), 1)
    assert game.score == pytest.approx(1 - game.latency / game.board.all_host)


@pytest.mark.slow(reason="plays many games")
def test_more_rounds_are_never_worse_and_the_seed_decides() -> None:
    runs = []
    for _ in range(2):
        refiner = Refiner(Game(board_of(SMALL[1])), load_network(), seed=9)
        lasts = [refiner.least]
        for rounds in (32, 64, 128):
            assert refiner.cycle(rounds, lambda: False)
            lasts.append(refiner.least)
        refiner.replay()
        assert refiner.game.latency == pytest.approx(refiner.least)
        runs.append(lasts)
    assert runs[0] == runs[1] == sorted(runs[0], reverse=True)


@pytest.mark.slow(reason="plays many games")
def test_the_shipped_policy_is_small_and_needs_no_torch() -> None:
    import memplan_solvers.malloc_game as package

    path = Path(str(package.__file__)).with_name(SHIPPED)
    assert path.stat().st_size <= 5_000_000
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import memplan\n"
        "plan = memplan.plan(memplan.load('ds_cnn_int8'), 'ethos-u65', objective='latency', scratchpad='16KiB',\n"
        "                    solver='malloc_game', time_limit_s=5)\n"
        "print(plan.status, plan.value <= plan.metrics.latency_all_host_s)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split()[-1] == "True"


@pytest.mark.slow(reason="plays many games")
def test_every_mode_gives_a_checked_plan_and_prod_is_not_behind_the_baseline() -> None:
    model = memplan.load("yolov3_tiny")
    values = {}
    for spec in (
        "msa_tuned",
        *(f"malloc_game{{mode={m}}}" for m in ("prod", "policy", "greedy", "random", "search")),
    ):
        plan = memplan.plan(
            model, "tpu-v4i", objective="latency", scratchpad="1MiB", solver=spec, time_limit_s=1
        )
        assert memplan.check(model, plan) == []
        values[spec] = plan.value
    assert values["malloc_game{mode=prod}"] <= values["msa_tuned"]
    assert values["malloc_game{mode=policy}"] < values["malloc_game{mode=random}"]


@pytest.mark.slow(reason="trains a network")
def test_finetuning_honours_its_time() -> None:
    model, begin = memplan.load("ds_cnn_int8"), time.process_time()
    plan = memplan.plan(
        model,
        "ethos-u65",
        objective="latency",
        scratchpad="16KiB",
        solver="malloc_game{finetune_s=2}",
        time_limit_s=4,
    )
    assert memplan.check(model, plan) == [] and time.process_time() - begin < 30


@pytest.mark.slow(reason="trains a network")
def test_muzero_learns_a_small_program() -> None:
    game = Game(board_of(SMALL[0]))
    played = learn_program(game, Limits(60.0), MuZeroPlan(games=4, batches=4))
    assert len(played) == 4 and game.is_over
    assert game.latency <= min(played)


@pytest.mark.parametrize("spec", ["mode=mu", "finetune_s=-1", "policy=nowhere.safetensors"])
def test_what_is_wrong_with_a_spec_is_said(spec: str) -> None:
    with pytest.raises(OptionError, match="malloc_game|policy"):
        memplan.plan(
            memplan.load("ds_cnn_int8"),
            "ethos-u65",
            objective="latency",
            scratchpad="16KiB",
            solver=f"malloc_game{{{spec}}}",
        )


def schedule(iterations: int) -> Schedule:
    return Schedule(iterations=iterations, first_epochs=2, epochs=2, moves=2000, least_rounds=10)


@pytest.mark.slow(reason="trains a network")
def test_an_interrupted_training_resumes_bit_for_bit(tmp_path: Path) -> None:
    whole = train(SMALL, Alone(), schedule(3), tmp_path / "whole", lambda line: None)
    train(SMALL, Alone(), schedule(1), tmp_path / "parts", lambda line: None)
    parts = train(SMALL, Alone(), schedule(3), tmp_path / "parts", lambda line: None)
    assert all(np.array_equal(a, b) for a, b in zip(whole.net, parts.net, strict=True))
    assert (tmp_path / "whole" / "curve.json").read_text() == (tmp_path / "parts" / "curve.json").read_text()
    assert all(
        np.array_equal(a, b)
        for a, b in zip(load_network(str(tmp_path / "parts" / SHIPPED)), parts.net, strict=True)
    )


def tasks() -> list[Task]:
    return [Task(case, make_network(0), None, seed, rounds=10) for seed in range(3) for case in SMALL]


def die_once(task: Task) -> TaskOutcome:
    """Plays, but the first time it is called anywhere its process is killed."""
    try:
        os.close(os.open(os.environ["MEMPLAN_TEST_VICTIM"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return run_task(task)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.slow(reason="trains in processes of its own")
def test_a_process_that_dies_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMPLAN_TEST_VICTIM", str(tmp_path / "victim"))
    pool = Processes(2, die_once)
    try:
        found = list(pool.run(tasks()))
    finally:
        pool.close()
    assert (tmp_path / "victim").exists()
    expected = sorted((o.case.model, o.latency) for o in map(run_task, tasks()))
    assert sorted((o.case.model, o.latency) for o in found) == expected


@pytest.mark.slow(reason="starts Ray")
def test_a_ray_worker_that_dies_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    monkeypatch.setenv("MEMPLAN_TEST_VICTIM", str(tmp_path / "victim"))
    cluster = actors.Ray("local", die_once)
    try:
        found = list(cluster.run(tasks()))
    finally:
        cluster.close()
    assert (tmp_path / "victim").exists() and len(found) == len(tasks())
