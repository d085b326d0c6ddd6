"""The report of a comparison as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from urllib.parse import quote

from memplan.base.text import visible
from memplan.studies.compare.instances import Instance
from memplan.studies.compare.tables import (
    Table,
    case_table,
    failure_table,
    group_table,
    profile_table,
    solver_table,
    wins_table,
)
from memplan.studies.compare.wording import NOTES, headline

MARKUP = re.compile(r"[|`<>&\[\]*~#!\\]")
"""Letters that Markdown, or the HTML in it, reads as more than themselves."""


def report_md(instances: Sequence[Instance]) -> str:
    """Summary, wins and losses, performance profiles, families, then every case by family and model."""
    parts = ["# memplan comparison", _plain(headline(instances))]
    parts += ["## Solvers", NOTES["solvers"], table_md(solver_table(instances))]
    parts += ["## Wins and losses", NOTES["wins"], table_md(wins_table(instances))]
    for measure in ("value", "seconds"):
        parts += [
            f"## Performance profile by {measure}",
            NOTES[measure],
            table_md(profile_table(instances, measure)),
        ]
    for title, by in (("Families", "family"), ("Models", "model")):
        parts += [f"## {title}", NOTES["groups"], table_md(group_table(instances, by))]
    parts += ["## Cases", NOTES["cases"]]
    for family, group in groupby(instances, key=lambda i: i.one["family"]):
        parts += [f"### {_plain(family)}", table_md(case_table(list(group)))]
    failures = failure_table(instances)
    if failures.rows:
        parts += ["## Without an answer", table_md(failures)]
    return "\n\n".join(parts) + "\n"


def table_md(table: Table) -> str:
    """The table, numbers to the right."""
    rule = ("---:" if k in table.numbers else "---" for k in range(len(table.head)))
    lines = [map(_plain, table.head), rule]
    lines += [
        (f"[{_plain(c.text)}]({quote(c.href)})" if c.href else _plain(c.text) for c in row)
        for row in table.rows
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _plain(text: str) -> str:
    """The text as Markdown that shows it: nothing in a name is markup, HTML, a link or a new line."""
    return MARKUP.sub(lambda found: f"&#{ord(found[0])};", visible(" ".join(text.split())))
