"""Runs a comparison: prepares each model once, then every case in a process of its own, as many as there are cores for."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from memplan.base.errors import MemplanError, OptionError
from memplan.machine.target_file import target_dict
from memplan.solving.capacities import ReferenceCapacities, needs_peak
from memplan.solving.testing import chain
from memplan.studies.compare.cases import OWN, Case, Setting, Subject, cases_of, policies, reference_key
from memplan.studies.compare.isolate import JobOutcome, run_isolated
from memplan.studies.compare.results import Results, keep_subject, kept_reference

GRACE_S = 60.0
"""What a process may take beside the solve: starting, compiling, checking."""

WARM_S = 180.0
"""What a solver's first run may take, on a graph of a few ops: compilers keep what they made for the cases."""

PREPARE_S = 300.0
"""What loading a model and computing its reference capacities may take."""

Job = Mapping[str, Any]

ANSWER = (
    "status",
    "value",
    "bound",
    "gap",
    "seconds",
    "total_seconds",
    "reason",
    "metrics",
    "peak_rss",
    "plan",
    "page",
)
"""What the answer of a solve holds (worker.py)."""


@dataclass(frozen=True)
class ProcessLimits:
    """What one process may spend; `stop` asks all of them to end."""

    deadline_s: float
    memory: int
    stop: Callable[[], bool] = lambda: False


class Watcher(Protocol):
    """Who is told how the comparison goes."""

    def total(self, cases: Mapping[str, str], known: int) -> None:
        """What the cases are called, by name; so many of them were finished by an earlier run."""

    def started(self, name: str) -> None:
        """A process for this case (or model) has started."""

    def news(self, name: str, news: list[Any]) -> None:
        """A solver's progress: phase, value, bound, seconds."""

    def ended(self, name: str, outcome: str, record: Mapping[str, Any] | None) -> None:
        """The process has ended; the record is the case's, None for a model."""


Pool = Callable[[Iterable[tuple[str, Job]], ProcessLimits, Watcher], Iterator[tuple[str, Job, JobOutcome]]]
"""Runs named jobs and yields them as they end, in any order."""


def local_pool(workers: int) -> Pool:
    """Jobs in processes on this machine, `workers` cores to each, bound to them where the system can."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    slots = max(1, (len(cores) or os.cpu_count() or 1) // workers)

    def run(
        jobs: Iterable[tuple[str, Job]], limits: ProcessLimits, watcher: Watcher
    ) -> Iterator[tuple[str, Job, JobOutcome]]:
        over = threading.Event()
        stop = limits.stop
        limits = replace(limits, stop=lambda: over.is_set() or stop())
        free: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        for slot in range(slots):
            free.put(cores[slot * workers : (slot + 1) * workers])

        def one(name: str, job: Job) -> tuple[str, Job, JobOutcome]:
            mine = free.get()
            try:
                watcher.started(name)
                done = run_isolated(
                    {**job, "cores": mine},
                    deadline_s=limits.deadline_s,
                    memory=limits.memory,
                    news=lambda line: watcher.news(name, line),
                    stop=limits.stop,
                )
                return name, job, done
            finally:
                free.put(mine)

        with ThreadPoolExecutor(slots) as threads:
            try:
                yield from in_flight(
                    jobs, slots, lambda name, job: threads.submit(one, name, job), limits.stop
                )
            finally:
                over.set()  # whoever left early does not wait for what is under way

    return run


def in_flight(
    jobs: Iterable[tuple[str, Job]],
    many: int,
    submit: Callable[[str, Job], Future[tuple[str, Job, JobOutcome]]],
    stop: Callable[[], bool],
) -> Iterator[tuple[str, Job, JobOutcome]]:
    """Results as they come, with at most `many` jobs under way; after `stop` no more are begun."""
    waiting = iter(jobs)
    under_way = {submit(*job) for job in islice(waiting, many)}
    while under_way:
        done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
        if not stop():
            under_way |= {submit(*job) for job in islice(waiting, len(done))}
        for future in done:
            yield future.result()


def compare(
    setting: Setting,
    results: Results,
    pool: Pool,
    watcher: Watcher,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Run every case of the setting that has no result yet, keeping each the moment it ends.

    MemplanError, before any case runs, where a model cannot be loaded.
    """
    subjects, failed = _prepare(setting, results, ProcessLimits(PREPARE_S, setting.memory, stop), watcher)
    if stop():
        return
    keep = partial(_keep, results, setting, watcher)
    cases = [case for model in dict.fromkeys(setting.models) for case in cases_of(setting, model)]
    waiting: dict[str, tuple[Case, Subject, Job]] = {}
    labels = {_ident(case, subjects): case.label for case in cases}
    watcher.total(labels, len(labels.keys() & results.records.keys()))
    for case in cases:
        ident, subject = _ident(case, subjects), subjects.get(case.model)
        if ident in results.records:
            continue
        if subject is None:
            keep(ident, case, None, {}, failed[case.model])
        else:
            waiting[ident] = (case, subject, _job(case, subject, setting))
    for name, _, outcome in pool(
        _first_runs(waiting.values()), ProcessLimits(WARM_S, setting.memory, stop), watcher
    ):
        watcher.ended(name, outcome.word, None)
    jobs = ((ident, job) for ident, (_, _, job) in waiting.items())
    limits = ProcessLimits(1.1 * setting.time_limit_s + 1 + GRACE_S, setting.memory, stop)
    for ident, job, outcome in pool(jobs, limits, watcher):
        if outcome.word != "stopped":
            keep(ident, *waiting[ident][:2], job, outcome)


def _first_runs(waiting: Iterable[tuple[Case, Subject, Job]]) -> list[tuple[str, Job]]:
    """A small job for each solver, target and objective, so that no case pays for what is compiled once."""
    graph = chain(12)
    first = {(case.solver, case.target.name, case.objective): job for case, _, job in waiting}
    tiny: dict[str, Any] = {"model": graph.name, "graph": graph.to_dict(), "dims": {}, "bounds": {}}
    tiny |= {"capacity": "MR", "time_limit_s": 1.0}
    return [(f"{' '.join(words)} (first run)", {**job, **tiny}) for words, job in first.items()]


def _ident(case: Case, subjects: Mapping[str, Subject]) -> str:
    return case.ident(subjects[case.model].sha256 if case.model in subjects else "")


def _prepare(
    setting: Setting, results: Results, limits: ProcessLimits, watcher: Watcher
) -> tuple[dict[str, Subject], dict[str, JobOutcome]]:
    """The models ready for their cases, and how preparing ended for the others."""
    wanted = {
        (t.scratchpad.alignment, x.weights, x.io) for t in setting.machines() for x in policies(setting, t)
    }
    peaks = any(map(needs_peak, setting.budgets))
    jobs = (
        (
            model,
            {
                "do": "prepare",
                "model": model,
                "dims": setting.dims,
                "bounds": setting.bounds,
                "ops": setting.ops,
                "trust": setting.trust,
                "policies": sorted(wanted),
                "peaks": peaks,
                "kept": kept_reference(results.folder, Path(model).stem),
            },
        )
        for model in dict.fromkeys(setting.models)
    )
    subjects: dict[str, Subject] = {}
    failed: dict[str, JobOutcome] = {}
    for model, _, outcome in local_pool(setting.workers)(jobs, limits, watcher):
        watcher.ended(model, outcome.word, None)
        if outcome.word == "refused":
            raise MemplanError(*outcome.reason.split("\nhint: ", 1))
        if outcome.answer is None:
            failed[model] = outcome
            continue
        reference = {key: ReferenceCapacities(**value) for key, value in outcome.answer["reference"].items()}
        subject = Subject(**{**outcome.answer, "reference": reference})
        if twin := [m for m, s in subjects.items() if s.name == subject.name]:
            raise OptionError(f"'{twin[0]}' and '{model}' are both called '{subject.name}'", "rename one")
        subjects[model] = subject
        keep_subject(results.folder, subject)
    return subjects, failed


def _job(case: Case, subject: Subject, setting: Setting) -> Job:
    """What the case's process needs to know, the capacity in bytes."""
    alignment, policy = case.target.scratchpad.alignment, case.policy
    capacity, proved = subject.reference[reference_key(alignment, policy)].resolve(case.budget, alignment)
    return {
        "do": "solve",
        "model": subject.name,
        "graph": subject.graph,
        "dims": subject.dims,
        "bounds": subject.bounds,
        "target": target_dict(case.target),
        "capacity": "max" if capacity is None else capacity,
        "budget_proved": proved,
        "objective": case.objective,
        **asdict(policy),
        "solver": case.solver,
    } | setting.fair


def _keep(
    results: Results,
    setting: Setting,
    watcher: Watcher,
    ident: str,
    case: Case,
    subject: Subject | None,
    job: Job,
    outcome: JobOutcome,
) -> None:
    """Write down how a case ended."""
    answer = {name: None for name in ANSWER} | {"status": "unknown"} | dict(outcome.answer or {})
    plan, page = answer.pop("plan"), answer.pop("page")
    capacity = job.get("capacity")
    record = {
        "case": ident,
        "model": subject.name if subject else Path(case.model).stem,
        "family": subject.family if subject else OWN,
        "ops": subject.ops if subject else None,
        "graph_sha256": subject.sha256 if subject else None,
        "target": case.target.name,
        "objective": case.objective,
        **asdict(case.policy),
        "budget": case.budget,
        "capacity": None if capacity == "max" else capacity,
        "budget_proved": job.get("budget_proved"),
        "solver": case.solver,
        **setting.fair,
        "outcome": outcome.word,
        **answer,
        "reason": answer["reason"] or outcome.reason,
        "wall_seconds": round(outcome.seconds, 3),
        "plan": f"plans/{ident}.plan.json" if plan is not None else None,
    }
    results.add(record, plan, page)
    watcher.ended(ident, outcome.word, record)
