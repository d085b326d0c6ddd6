"""Mutated model and plan files: memplan answers or says what is wrong, soon and in little memory."""

from __future__ import annotations

import json
import multiprocessing
import random
import resource
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import memplan
from memplan.base.children import temporary_folder
from memplan.base.errors import MemplanError
from memplan.io.graph_json import graph_from_dict, graph_text
from memplan.io.plan_json import plan_from_dict, plan_text, read_plan
from memplan.ir.model import Model
from memplan.onnx.emit import annotated
from tests.fuzz_models import ODD_NAMES, ODD_NUMBERS, mutate, seed_model
from tests.generate import random_graph, random_plan
from tests.tflite_models import conditional, counting, halved, random_net, sparse_halved, stateful

CASE_LIMIT_S = 60.0
MEMORY_LIMIT = 2 * 2**30


def run(seeds: Iterable[int], workers: int = 2) -> Counter[str]:
    """Try one mutated file per seed; counts of outcomes. AssertionError shows the first that broke."""
    outcomes: Counter[str] = Counter()
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _limit_memory, maxtasksperchild=500) as pool:
        pending = [(seed, pool.apply_async(case, (seed,))) for seed in seeds]
        for seed, result in pending:
            try:
                outcome = result.get(timeout=60 + CASE_LIMIT_S)
            except multiprocessing.TimeoutError:
                outcome = "broke: it hangs, or its process died"
            assert not outcome.startswith("broke"), (seed, outcome)
            outcomes[outcome] += 1
    return outcomes


def _limit_memory() -> None:
    """A limit on data above what is held now, also for processes that this one starts."""
    used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (used + MEMORY_LIMIT, used + MEMORY_LIMIT))


def case(seed: int) -> str:
    """Load, plan and emit one mutated file; "fine", the kind of refusal, or "broke" with a traceback."""
    rng = random.Random(seed)
    begin = time.process_time()
    try:
        with temporary_folder() as folder:
            outcome = (_graph_json, _plan_json, _onnx, _onnx, _tflite)[seed % 5](rng, folder)
    except MemplanError as error:
        sound = error.message and error.hint and error.exit_status in (2, 5)
        outcome = type(error).__name__ if sound else f"broke: {error!r}"
    except BaseException:
        outcome = "broke: " + traceback.format_exc()
    spent = time.process_time() - begin
    return outcome if spent < CASE_LIMIT_S else f"broke: {spent:.0f} s"


def _graph_json(rng: random.Random, folder: Path) -> str:
    path = folder / "fuzz.json"
    path.write_bytes(_mutated_json(rng, graph_text(random_graph(rng, rng.randint(1, 8)))))
    return _planned(rng, memplan.load(path))


def _plan_json(rng: random.Random, folder: Path) -> str:
    graph = random_graph(rng, rng.randint(1, 8))
    path = folder / "fuzz.plan.json"
    path.write_bytes(_mutated_json(rng, plan_text(random_plan(rng, graph))))
    violations = memplan.check(graph, read_plan(path))
    assert all(violation.message for violation in violations)
    return "InvalidPlanError" if violations else "fine"


def _onnx(rng: random.Random, folder: Path) -> str:
    proto = seed_model(rng)
    if rng.random() < 0.7:
        for _ in range(rng.choice((1, 1, 2, 4))):
            mutate(rng, proto)
        blob = proto.SerializeToString()
    else:
        blob = _mutate_bytes(rng, proto.SerializeToString())
    path = folder / "fuzz.onnx"
    path.write_bytes(blob)
    return _planned(rng, memplan.load(path))


def _tflite(rng: random.Random, folder: Path) -> str:
    made = rng.choice(
        (conditional, counting, halved, sparse_halved, stateful, lambda: random_net(rng.randrange(50)))
    )()
    path = folder / "fuzz.tflite"
    path.write_bytes(_mutate_bytes(rng, made))
    model = memplan.load(path)
    plan = memplan.plan(model, runtime="tflm", time_limit_s=2)
    if plan.schedule:
        memplan.emit(model, plan, "tflite", folder)
    return "fine"


def _planned(rng: random.Random, model: Model) -> str:
    """Plan, and take what is written apart again; the model was sound after all."""
    again = graph_from_dict(json.loads(graph_text(model.graph)), "again")
    assert again == model.graph
    if model.plan is not None:
        assert all(violation.message for violation in memplan.check(model.graph, model.plan))
    plan = memplan.plan(model, scratchpad=rng.choice(("MR", "MP", "max")), time_limit_s=2)
    assert plan_text(plan_from_dict(json.loads(plan_text(plan).encode()), "again")) == plan_text(plan)
    if model.source is not None:
        annotated(model, plan)
    return "fine"


def _mutated_json(rng: random.Random, text: str) -> bytes:
    if rng.random() < 0.3:
        return _mutate_bytes(rng, text.encode())
    data = json.loads(text)
    for _ in range(rng.choice((1, 1, 2, 5))):
        _mutate_json(rng, data)
    return json.dumps(data).encode()


def _mutate_bytes(rng: random.Random, blob: bytes) -> bytes:
    data = bytearray(blob)
    kind = rng.randrange(4)
    if kind == 0:
        return bytes(data[: rng.randrange(len(data))])
    if kind == 1:
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        at = rng.randrange(len(data))
        data[at:at] = rng.randbytes(rng.randint(1, 9))
    else:
        at = rng.randrange(len(data))
        del data[at : at + rng.randint(1, 40)]
    return bytes(data)


def _mutate_json(rng: random.Random, data: Any) -> None:
    """Replace, drop or copy a random value."""
    places = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(data)
    if not places:
        return
    node, key = rng.choice(places)
    kind = rng.randrange(3)
    if kind == 0:
        del node[key]
    elif kind == 1:
        other, from_key = rng.choice(places)
        node[key] = json.loads(json.dumps(other.get(from_key) if isinstance(other, dict) else None))
    else:
        odd = (
            *ODD_NUMBERS,
            10**400,
            *ODD_NAMES,
            "\ud800",
            0.5,
            1e400,
            float("nan"),
            None,
            True,
            [],
            {},
            [[]],
        )
        node[key] = rng.choice(odd)
