"""The same cases on a Ray cluster: each task starts the case's process on the node it lands on."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from memplan.base.errors import MemplanError
from memplan.studies.compare.isolate import JobOutcome, run_isolated
from memplan.studies.compare.runner import Job, Pool, ProcessLimits, Watcher

HINT = "give HOST:PORT of its head, ray://HOST:PORT, auto or local"
LOOK_S = 0.5
"""How often an interruption is looked for."""


def ray_pool(address: str, workers: int) -> Pool:
    """Jobs as Ray tasks of `workers` cores each on the cluster at `address` ("local" starts one here).

    memplan must be installed on every node. MemplanError where Ray is not installed or does not answer.
    """
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise MemplanError("Ray is not installed", "pip install 'memplan[ray]'") from error
    _reachable(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise MemplanError(f"no Ray cluster at '{address}': {str(error).splitlines()[0]}", HINT) from error
    task = ray.remote(num_cpus=workers, max_retries=0)(_task)

    def run(
        jobs: Iterable[tuple[str, Job]], limits: ProcessLimits, watcher: Watcher
    ) -> Iterator[tuple[str, Job, JobOutcome]]:
        slots = max(1, int(ray.cluster_resources().get("CPU", 1)) // workers)
        waiting, under_way = iter(jobs), {}

        def begin(many: int) -> None:
            for name, job in islice(waiting, many):
                under_way[task.remote(job, limits.deadline_s, limits.memory)] = (name, job)
                watcher.started(name)

        try:
            begin(slots)
            while under_way and not limits.stop():
                done, _ = ray.wait(list(under_way), timeout=LOOK_S)
                begin(len(done))
                for handle in done:
                    name, job = under_way.pop(handle)
                    yield name, job, _outcome(ray, handle)
        finally:
            for handle in under_way:
                ray.cancel(handle, force=True)

    return run


def _reachable(address: str) -> None:
    """Look whether anybody listens at HOST:PORT: Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and port.isdecimal()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise MemplanError(f"no Ray cluster at '{address}': {error}", HINT) from error


def _task(job: dict[str, Any], deadline_s: float, memory: int) -> JobOutcome:
    return run_isolated(job, deadline_s=deadline_s, memory=memory)


def _outcome(ray: Any, handle: Any) -> JobOutcome:
    """What the task answered; a node that was lost is a crash of the case."""
    try:
        found: JobOutcome = ray.get(handle)
        return found
    except ray.exceptions.RayError as error:
        return JobOutcome("crash", None, f"Ray: {str(error).splitlines()[0]}", 0.0)
