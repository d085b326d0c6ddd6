"""Imports torch programs: exported ones, fx GraphModules and .pt2 files; fake and meta tensors suffice."""

from __future__ import annotations

import logging
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from memplan.base.errors import GraphError, MemplanError
from memplan.ir.model import Model
from memplan.torch.pickled import TorchModel

NAME = "graph"
_P = ParamSpec("_P")
_R = TypeVar("_R")
_TURN = threading.RLock()


def _in_turn(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """One thread at a time: torch's tracing modes, the filters of warnings and the level of its log are global."""

    @wraps(function)
    def waiting(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with _TURN:
            return function(*args, **kwargs)

    return waiting


@_in_turn
def read_pt2(path: Path, dims: Mapping[str, int], trust: bool = False) -> Model:
    """The model in a file that torch.export.save wrote; GraphError says what is wrong with it.

    Without `trust` nothing in the file can run code: see `memplan.torch.archive`.
    """
    try:
        with path.open("rb"):
            pass
        whole = zipfile.is_zipfile(path)
    except OSError as error:
        raise GraphError(f"cannot read '{path}': {error.strerror or error}", "check the path") from error
    if not whole:
        raise GraphError(
            f"'{path}' is not a .pt2 file, or a part of it is missing",
            "is the file complete? save it again with torch.export.save",
        )
    _require_torch()
    import torch

    from memplan.torch.archive import checked_copy

    try:
        with _quiet(), nullcontext(path) if trust else checked_copy(path) as archive:
            exported = torch.export.load(archive)
    except MemplanError:
        raise
    except Exception as error:
        words = " ".join(str(error).split())[:200]
        raise GraphError(
            f"torch cannot load '{path}': {words}",
            f"save it with torch.export.save of torch {torch.__version__}",
        ) from error
    return from_exported(exported, dims, path.stem)


@_in_turn
def from_exported(program: Any, dims: Mapping[str, int] | None = None, name: str = NAME) -> Model:
    """The model in a torch.export.ExportedProgram; no weights are needed.

    Parameters and unchanged buffers become constants; a buffer that the program updates is an input, and its next value
    an output. `dims` gives sizes to dynamic dimensions, by "INPUT:AXIS" or by symbol. GraphError where it
    cannot be planned.
    """
    _require_torch()
    from torch.export import ExportedProgram

    from memplan.torch.dims import fixed_inputs
    from memplan.torch.graph import build
    from memplan.torch.module import normal_form

    if not isinstance(program, ExportedProgram):
        raise GraphError(
            f"a {type(program).__name__} is no ExportedProgram",
            "make one with torch.export.export, or give a GraphModule to memplan.from_fx",
        )
    inputs, used, notes = fixed_inputs(program, dims or {})
    try:
        with _quiet():
            module = program.run_decompositions({}).module(check_guards=False)
    except Exception as error:
        words = " ".join(str(error).split())[:200]
        raise GraphError(
            f"the exported program '{name}' cannot be made functional: {words}",
            "export it again with this version of torch",
        ) from error
    module = normal_form(module, inputs)
    return TorchModel(build(module, name), name, used, notes, module)


@_in_turn
def from_fx(module: Any, example_inputs: Sequence[Any] | None = None, name: str = NAME) -> Model:
    """The model in an fx GraphModule called with tensors like `example_inputs` (fake, meta or real).

    Placeholders become inputs, attributes constants; ops that are not aten, or that change their
    operands, are traced to functional aten ones. A placeholder or buffer that the module updates in place is an input,
    and its next value an output. Without `example_inputs` the placeholders' `meta["val"]` are used.
    """
    _require_torch()
    from torch.fx import GraphModule

    from memplan.torch.dims import refuse_symbols
    from memplan.torch.graph import build
    from memplan.torch.module import normal_form

    if not isinstance(module, GraphModule):
        raise GraphError(
            f"a {type(module).__name__} is no GraphModule",
            "trace it with make_fx or torch.fx, or give an ExportedProgram to memplan.from_exported",
        )
    placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
    inputs = [n.meta.get("val") for n in placeholders] if example_inputs is None else list(example_inputs)
    if len(inputs) != len(placeholders) or (inputs and all(x is None for x in inputs)):
        raise GraphError(
            f"the module has {len(placeholders)} placeholders, {len(inputs)} example inputs came",
            "give one tensor for each placeholder, in order",
        )
    refuse_symbols(placeholders, inputs)
    flat = normal_form(module, inputs)
    return TorchModel(build(flat, name), name, source=flat)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's own log and warnings off the terminal."""
    import warnings

    logger = logging.getLogger("torch")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _require_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MemplanError("torch is not installed", "pip install 'memplan[torch]'") from error
