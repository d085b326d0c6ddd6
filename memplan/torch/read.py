"""Imports torch programs: exported ones, fx GraphModules and .pt2 files; fake and meta tensors suffice."""

from __future__ import annotations

import logging
import threading
import typing
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial, wraps
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from memplan.base.errors import DimensionError, GraphError, MemplanError
from memplan.base.files import unreadable
from memplan.base.garbage import collection_paused
from memplan.ir.model import Model
from memplan.ir.ranges import Dims, ranges, resized, sizes_within
from memplan.torch.pickled import TorchModel

if TYPE_CHECKING:
    from memplan.torch.dims import Fixed

NAME = "graph"
RUNTIME = "torch"
"""What `--runtime` calls eager torch."""

_P = ParamSpec("_P")
_R = TypeVar("_R")
_TURN = threading.RLock()


def _in_turn(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """One thread at a time: torch's tracing modes, the filters of warnings and the level of its log are global.

    Most of what is made meanwhile stays, so that a quarter of the time would go by in looking for garbage.
    """

    @wraps(function)
    def waiting(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with _TURN, collection_paused():
            return function(*args, **kwargs)

    return waiting


@_in_turn
def read_pt2(path: Path, dims: Dims, trust: bool = False, runtime: str | None = None) -> Model:
    """The model in a file that torch.export.save wrote, as the runtime executes it; GraphError says what is wrong with it."""
    return from_exported(exported_program(path, trust), dims, path.stem, runtime)


@_in_turn
def exported_program(path: Path, trust: bool = False) -> Any:
    """The ExportedProgram in a file that torch.export.save wrote; GraphError says what is wrong with it.

    Without `trust` nothing in the file can run code: see `memplan.torch.archive`.
    """
    try:
        with path.open("rb"):
            pass
        whole = zipfile.is_zipfile(path)
    except OSError as error:
        raise unreadable(GraphError, path, error) from error
    if not whole:
        raise GraphError(
            f"'{path}' is not a .pt2 file, or a part of it is missing",
            "is the file complete? save it again with torch.export.save",
        )
    require_torch()
    import torch

    from memplan.torch.archive import checked_copy

    try:
        with _quiet(), _hints_kept(), nullcontext(path) if trust else checked_copy(path) as archive:
            return torch.export.load(archive)
    except MemplanError:
        raise
    except Exception as error:
        words = " ".join(str(error).split())[:200]
        raise GraphError(
            f"torch cannot load '{path}': {words}",
            f"save it with torch.export.save of torch {torch.__version__}",
        ) from error


@_in_turn
def from_exported(
    program: Any, dims: Dims | None = None, name: str = NAME, runtime: str | None = None
) -> Model:
    """The model in a torch.export.ExportedProgram; no weights are needed.

    Parameters and unchanged buffers become constants; a buffer that the program updates is an input, and its
    next value an output. `dims` gives sizes to dynamic dimensions, by "INPUT:AXIS" or by symbol; of one with
    a range the graph has the upper end. GraphError where it cannot be planned.
    """
    require_torch()
    from torch.export import ExportedProgram

    from memplan.torch.dims import fixed_dims
    from memplan.torch.graph import build

    if not isinstance(program, ExportedProgram):
        raise GraphError(
            f"a {type(program).__name__} is no ExportedProgram",
            "make one with torch.export.export, or give a GraphModule to memplan.from_fx",
        )
    fixed = fixed_dims(program, dims or {})
    if fixed.symbols and runtime == RUNTIME:
        raise DimensionError(
            "torch's kernels are asked at one size what they allocate, so that a range cannot be planned for it",
            "give each dimension a single size, such as --dim NAME=V",
        )
    if fixed.symbols:
        return _ranged(program, fixed, name)
    module = _fixed_form(program, fixed.chosen, name)
    return _read(TorchModel(build(module, name), name, fixed.used, fixed.notes, module), runtime)


def _fixed_form(program: Any, sizes: Mapping[str, int], name: str) -> Any:
    """The normal form of an exported program at these sizes: in one pass where that suffices, else of what
    torch makes of it.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    from memplan.torch.dims import inputs_of
    from memplan.torch.lower import NotFunctional, is_plain
    from memplan.torch.module import normal_form

    inputs = inputs_of(program, sizes, FakeTensorMode())
    try:
        if is_plain(program):
            with _quiet():
                module = program.module(check_guards=False)
            return normal_form(module, inputs, plain=True)
    except NotFunctional:
        pass
    return normal_form(_decomposed(program, name), inputs)


def _decomposed(program: Any, name: str) -> Any:
    """What torch makes of an exported program that is to be functional, as a module."""
    try:
        with _quiet():
            return program.run_decompositions({}).module(check_guards=False)
    except Exception as error:
        words = " ".join(str(error).split())[:200]
        raise GraphError(
            f"the exported program '{name}' cannot be made functional: {words}",
            "export it again with this version of torch",
        ) from error


def _ranged(program: Any, fixed: Fixed, name: str) -> Model:
    """The model at the upper ends of ranges, with what holds throughout."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    from memplan.torch.dims import inputs_of
    from memplan.torch.family import held_throughout
    from memplan.torch.graph import build
    from memplan.torch.module import normal_form

    decomposed = _decomposed(program, name)
    module = normal_form(decomposed, inputs_of(program, fixed.chosen, FakeTensorMode()))

    def inputs(sizes: Mapping[str, Any], mode: Any) -> list[Any]:
        return inputs_of(program, {**fixed.chosen, **sizes}, mode)

    graph = held_throughout(build(module, name), decomposed, inputs, ranges(fixed.used), fixed.symbols)
    model = TorchModel(graph, name, fixed.used, fixed.notes, module)
    return replace(model, at=partial(_at, model, program, decomposed))


@_in_turn
def _at(model: Model, program: Any, decomposed: Any, asked: Mapping[str, int]) -> Model:
    """See `Model.at`."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    from memplan.torch.dims import fixed_dims, inputs_of
    from memplan.torch.graph import build
    from memplan.torch.module import normal_form

    dims = {**model.dims, **sizes_within(model.dims, asked)}
    chosen = fixed_dims(program, dims).chosen
    module = normal_form(decomposed, inputs_of(program, chosen, FakeTensorMode()))
    graph = resized(model.graph, build(module, model.graph.name))
    return TorchModel(graph, model.stem, dims, model.notes, module)


@_in_turn
def from_fx(
    module: Any,
    example_inputs: Sequence[Any] | None = None,
    name: str = NAME,
    runtime: str | None = None,
) -> Model:
    """The model in an fx GraphModule called with tensors like `example_inputs` (fake, meta or real).

    Placeholders become inputs, attributes constants; ops that are not aten, or that change their
    operands, are traced to functional aten ones. A placeholder or buffer that the module updates in place is an input,
    and its next value an output. Without `example_inputs` the placeholders' `meta["val"]` are used.
    """
    require_torch()
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
    return _read(TorchModel(build(flat, name), name, source=flat), runtime)


def _read(model: Model, runtime: str | None) -> Model:
    """The model for the runtime; one that executes no torch programs leaves it as it is."""
    return eager(model) if runtime == RUNTIME else model


@_in_turn
def eager(model: Model) -> Model:
    """A torch model of fixed sizes as eager torch executes it, see `build` of `memplan.torch.graph`; itself without a source."""
    if model.source is None:
        return model
    from memplan.torch.graph import build

    source: Any = model.source
    return replace(model, graph=build(source, model.graph.name, eager=True), runtime=RUNTIME)


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


@contextmanager
def _hints_kept() -> Iterator[None]:
    """Let torch find the types of a class's fields once, which it does anew for each object of a program's JSON: half of
    the time that loading one takes.
    """
    serialize: Any = import_module("torch._export.serde.serialize")
    found: dict[Any, dict[str, Any]] = {}

    def get_type_hints(kind: Any, **names: Any) -> dict[str, Any]:
        if kind not in found:
            found[kind] = typing.get_type_hints(kind, **names)
        return found[kind]

    serialize.typing = SimpleNamespace(**{**vars(typing), "get_type_hints": get_type_hints})
    try:
        yield
    finally:
        serialize.typing = typing


def require_torch() -> None:
    """MemplanError where torch is not installed."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MemplanError("torch is not installed", "pip install 'memplan[torch]'") from error
