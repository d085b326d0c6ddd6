"""The zoo: models that come with memplan, read from the package `memplan_models` when asked for."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module, resources
from importlib.resources.abc import Traversable
from typing import Any, TypedDict

from memplan.base.errors import BoundError, DimensionError, GraphError, nearest
from memplan.base.plugins import MODELS, load_plugin, plugins
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.ir.ranges import Dims
from memplan.library.trained import installed_file, load_trained, trained_table
from memplan.torch.read import RUNTIME, eager

PACKAGE = "memplan_models"


class ZooEntry(TypedDict):
    """What there is to know about one model of the zoo without loading it; sizes in bytes at batch 1.

    `recipe` is the module that made `file`; `ops` counts `views` too. `mr` is the most one op touches,
    weights ignored, `mr_weights` the same with weights as tensors, `peak_program` the live peak in program
    order.
    """

    name: str
    family: str
    summary: str
    dtype: str
    paper: str
    recipe: str
    file: str
    ops: int
    views: int
    tensors: int
    flops: int
    weight_bytes: int
    mr: int
    mr_weights: int
    peak_program: int


def zoo_names() -> list[str]:
    """Names of the zoo's models, sorted; `load` takes them."""
    return [entry["name"] for entry in zoo_index()]


def zoo_index() -> list[ZooEntry]:
    """An entry for each of the zoo's models, sorted by name.

    Raises:
        GraphError: the zoo's package is not installed.
    """
    entries: list[ZooEntry] = json.loads((_package() / "index.json").read_text(encoding="utf-8"))
    return entries


def trained_index() -> list[dict[str, Any]]:
    """The trained models whose packages are installed, sorted by name: name, family, summary and the package."""
    return [entry for entry in trained_table(_package()) if installed_file(entry)]


def load_zoo_model(
    name: str,
    dims: Dims | None = None,
    bounds: Mapping[str, tuple[int, ...]] | None = None,
    runtime: str | None = None,
) -> Model:
    """The zoo's model of that name, or another package's; GraphError with the nearest name if there is none."""
    files = {entry["name"]: entry["file"] for entry in zoo_index()}
    if bounds and (name in files or name in plugins(MODELS)):
        raise BoundError(f"every size of model '{name}' is known", "leave its bounds out")
    if name not in files:
        if name in plugins(MODELS):
            return _added_model(name, dims or {})
        trained = {entry["name"]: entry for entry in trained_table(_package())}
        if name in trained:
            return load_trained(trained[name], dims or {}, bounds, runtime)
        hint = nearest(name, {*files, *plugins(MODELS), *trained})
        if hint.startswith("known"):
            hint = "give an .onnx, a .pt2, a .tflite, a graph .json or a model's name"
        what = "no model file" if os.path.exists(name) else "neither a file nor a zoo model"
        raise GraphError(f"'{name}' is {what}", f"{hint} (`memplan zoo` lists them)")
    folder = _package() / "graphs"
    data = gzip.decompress((folder / files[name]).read_bytes())
    if runtime != RUNTIME:
        return read_model(files[name], data, name, str(folder), dims or {}, runtime)
    model = read_model(files[name], data, name, str(folder), dims or {})
    return eager(traced(model)) if model.source is None else model


def traced(model: Model) -> Model:
    """The zoo's model that this one is, traced anew by torch so that it can be executed; itself where it is none.

    Graph JSON has no kernels. GraphError where this version of torch traces another graph.
    """
    entry = next((e for e in zoo_index() if e["name"] == model.stem), None)
    if entry is None or ".torch_" not in entry["recipe"]:
        return model
    recipes: Any = import_module(f"{PACKAGE}.recipes.torch_zoo")
    made: Model = recipes.torch_model(recipes.torch_recipes()[model.stem])
    if made.graph.sha256 != model.graph.sha256:
        raise GraphError(
            f"this version of torch traces '{model.stem}' to another graph than the zoo has",
            "plan and run a .pt2 file that it exports",
        )
    return made


def _added_model(name: str, dims: Dims) -> Model:
    """The model that another package adds under this name."""
    made = load_plugin(plugins(MODELS)[name])()
    if isinstance(made, Graph):
        made = Model(made, name)
    if not isinstance(made, Model):
        raise GraphError(
            f"model '{name}' is a {type(made).__name__}",
            "its package gives a function that makes a memplan.Graph or memplan.Model",
        )
    if dims:
        raise DimensionError(f"model '{name}' has no free dimension", "leave its dimensions alone")
    return replace(made, stem=name)


def read_model(
    file: str, data: bytes, name: str, folder: str, dims: Dims, runtime: str | None = None
) -> Model:
    """The model in `data`, graph JSON or ONNX as the file's name says."""
    if file.endswith(".json.gz"):
        from memplan.base.files import parse_json
        from memplan.io.graph_json import graph_from_dict

        if dims:
            raise DimensionError(
                f"zoo model '{name}' is graph JSON and has no free dimension", "leave its dimensions alone"
            )
        return Model(graph_from_dict(parse_json(data), file), name)
    from memplan.onnx.read import model_from_bytes

    return model_from_bytes(data, name, folder, dims, None, runtime)


def _package() -> Traversable:
    try:
        return resources.files(PACKAGE)
    except ModuleNotFoundError:
        raise GraphError(
            f"the zoo's package '{PACKAGE}' is not installed",
            "install memplan as a whole; a model file needs no zoo",
        ) from None
