"""A comparison's folder: a line per finished case, the plans, and what was prepared; safe against kill -9."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from memplan.base.errors import MemplanError, OptionError
from memplan.base.files import unreadable, write_atomic
from memplan.io.graph_json import graph_from_dict, graph_text
from memplan.solving.capacities import ReferenceCapacities
from memplan.studies.compare.cases import Subject

RESULTS = "results.jsonl"
FAIR = ("time_limit_s", "workers", "seed")

Record = dict[str, Any]
"""One line: the case as asked for, how it ended (`outcome`), and the plan's numbers where there is one."""


class Results:
    """The folder while a comparison writes to it. `records` are the finished cases by their id."""

    def __init__(self, folder: Path, handle: int, records: dict[str, Record]) -> None:
        self.folder, self.records = folder, records
        self._handle = handle

    def add(self, record: Record, plan: str | None, page: str | None) -> None:
        """Keep a finished case: its plan and the plan's page first, then its line, on disk when this returns."""
        if plan is not None and page is not None:
            write_atomic(self.folder / record["plan"], plan)
            write_atomic(self.folder / page_of(record), page)
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._handle, line) :]
            os.fsync(self._handle)
        except OSError as error:
            raise MemplanError(
                f"cannot write to '{self.folder}': {error.strerror or error}",
                "make room, then go on by --resume",
            ) from error
        self.records[record["case"]] = record


def page_of(record: Record) -> str:
    """Where the page of a case's plan lies in the folder; empty where there is no plan."""
    plan: str | None = record["plan"]
    return plan.removesuffix(".plan.json") + ".html" if plan else ""


@contextmanager
def open_results(folder: Path, resume: bool, fair: Mapping[str, Any]) -> Iterator[Results]:
    """The folder, locked for this process. Only `resume` goes on with results that are there already.

    A torn last line, left by a kill, is cut off. OptionError where the results were made with other limits.
    """
    try:
        (folder / "plans").mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / RESULTS, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError as error:
        raise MemplanError(
            f"cannot write to '{folder}': {error.strerror or error}",
            "choose a folder you may write to with -o",
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OptionError(
                f"another comparison is writing to '{folder}'", "wait for it, or choose another -o"
            ) from error
        data = (folder / RESULTS).read_bytes()
        if data and not resume:
            raise OptionError(
                f"'{folder}' holds results", "go on with them by --resume, or choose another -o"
            )
        whole = data[: data.rfind(b"\n") + 1]
        records = _parse(whole, folder / RESULTS)
        _same_limits(records, fair, folder)
        if len(whole) < len(data):
            os.ftruncate(handle, len(whole))
        for torn in (folder / "plans").glob(".*"):
            torn.unlink()
        yield Results(folder, handle, {record["case"]: record for record in records})
    finally:
        os.close(handle)


def read_results(path: Path) -> list[Record]:
    """The finished cases in a file of lines; a torn last line is left out."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(MemplanError, path, error) from error
    return _parse(data[: data.rfind(b"\n") + 1], path)


def keep_subject(folder: Path, subject: Subject) -> None:
    """Keep a prepared model: its reference capacities for `--resume`, its graph for whoever checks the plans."""
    write_atomic(folder / "models" / f"{subject.name}.json", graph_text(graph_from_dict(subject.graph, "")))
    known = {"sha256": subject.sha256, "budgets": {key: asdict(b) for key, b in subject.reference.items()}}
    write_atomic(folder / "models" / f"{subject.name}.budgets.json", json.dumps(known))


def kept_reference(folder: Path, name: str) -> dict[str, Any] | None:
    """The graph's digest and the reference capacities that an earlier run kept of a model."""
    try:
        known: dict[str, Any] = json.loads((folder / "models" / f"{name}.budgets.json").read_bytes())
        {key: ReferenceCapacities(**value) for key, value in known["budgets"].items()}
        return known if isinstance(known["sha256"], str) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _parse(data: bytes, path: Path) -> list[Record]:
    records = []
    for number, line in enumerate(data.splitlines(), 1):
        try:
            record = json.loads(line)
            record["case"], record["outcome"]
        except (ValueError, TypeError, KeyError) as error:
            raise MemplanError(
                f"'{path}', line {number} is not a result: {error}",
                "the file was changed by hand? remove the line",
            ) from error
        records.append(record)
    return records


def _same_limits(records: list[Record], fair: Mapping[str, Any], folder: Path) -> None:
    for record in records:
        for name in FAIR:
            if record[name] != fair[name]:
                raise OptionError(
                    f"'{folder}' holds results with {name} = {record[name]}, not {fair[name]}",
                    "cases of one comparison share their limits: give the same, or another -o",
                )
