"""Writes the report of a comparison: report.html and report.md beside the results."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from memplan.base.files import write_atomic
from memplan.studies.compare.html import report_html
from memplan.studies.compare.instances import instances_of
from memplan.studies.compare.markdown import report_md
from memplan.studies.compare.results import Record


def write_report(folder: Path, records: Iterable[Record]) -> list[Path]:
    """Write both from the finished cases; the paths written."""
    instances = instances_of(records)
    return [
        write_atomic(folder / "report.html", report_html(instances)),
        write_atomic(folder / "report.md", report_md(instances)),
    ]
