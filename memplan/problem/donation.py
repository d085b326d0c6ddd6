"""Which inputs the words of option `donate` mean: those whose storage an output may take over."""

from __future__ import annotations

from collections.abc import Iterable

from memplan.base.errors import OptionError, nearest
from memplan.ir.graph import Graph

UPDATED = "updated"
"""Stands for every input that the graph updates."""


def resolve_donated(graph: Graph, donate: str | Iterable[str]) -> tuple[str, ...]:
    """The inputs meant by `donate`, sorted; OptionError on a name that is none."""
    words = donate.split(",") if isinstance(donate, str) else list(donate)
    inputs = {t.name for t in graph.tensors if t.kind == "input"}
    returned = graph.output_storages & inputs
    found: set[str] = set()
    for word in filter(None, words):
        if word == UPDATED and word not in inputs:
            found.update(renewed for _, renewed in graph.updates if renewed not in returned)
        elif word in returned:
            raise OptionError(
                f"input '{word}' cannot be donated: '{graph.name}' returns it",
                "what is returned must keep its value to the end; donate other inputs",
            )
        elif word in inputs:
            found.add(word)
        else:
            raise OptionError(
                f"'{word}' cannot be donated: it is no input of '{graph.name}'", nearest(word, inputs)
            )
    return tuple(sorted(found))
