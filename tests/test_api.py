"""The public names: documented, typed without `Any`, no modules, light to import; their examples hold."""

from __future__ import annotations

import doctest
import inspect
import pkgutil
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from functools import cached_property
from types import ModuleType
from typing import Any, get_args, get_type_hints

import pytest
import torch
from numpy.typing import ArrayLike

import memplan

EXAMPLES = (
    "load", "plan", "check", "simulate", "run", "measure", "emit", "pack", "sweep", "make_problem", "from_exported", "from_fx",
    "parse_spec", "read_graph", "read_plan", "declare_op", "declare_ops", "Channel", "Graph", "Memory", "Target",
    "load_target", "Solver",
)  # fmt: skip
HEAVY = (
    "google.protobuf",
    "numba",
    "numpy",
    "onnx",
    "onnxruntime",
    "ortools",
    "rich",
    "safetensors",
    "torch",
)
FOREIGN = {
    "ExportedProgram": torch.export.ExportedProgram,
    "GraphModule": torch.fx.GraphModule,
    "ArrayLike": ArrayLike,
}
"""Types of other packages, which signatures name without importing them."""

PUBLIC = {name: getattr(memplan, name) for name in memplan.__all__}
CLASSES = [thing for thing in PUBLIC.values() if inspect.isclass(thing)]
FUNCTIONS = [thing for thing in PUBLIC.values() if inspect.isfunction(thing)]


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that a class itself defines, as functions."""
    for name, member in vars(cls).items():
        if isinstance(member, property):
            member = member.fget
        elif isinstance(member, cached_property):
            member = member.func
        elif isinstance(member, staticmethod | classmethod):
            member = member.__func__
        if (
            inspect.isfunction(member)
            and not name.startswith("_")
            and member.__module__.startswith("memplan")
        ):
            yield name, member


CALLABLES = [(f.__name__, f) for f in FUNCTIONS] + [
    (f"{cls.__name__}.{name}", member) for cls in CLASSES for name, member in members(cls)
]
TYPED = CALLABLES + [(cls.__name__, cls) for cls in CLASSES]
NAMES = [name for name, _ in TYPED]


def leaves(hint: object) -> Iterator[object]:
    """What an annotation is made of; a type of another package stands for itself."""
    if hint is ArrayLike:
        return
    inner = [x for arg in get_args(hint) for x in (arg if isinstance(arg, list) else [arg])]
    for part in inner:
        yield from leaves(part)
    if not inner:
        yield hint


def test_names_are_sorted_and_are_what_is_there() -> None:
    assert memplan.__all__ == sorted(memplan.__all__)
    assert len(set(memplan.__all__)) == len(memplan.__all__)
    shown = {
        name for name, thing in vars(memplan).items() if not (name.startswith("_") or inspect.ismodule(thing))
    }
    assert shown | {"__version__", "testing"} == set(memplan.__all__)


def test_no_public_name_is_a_module() -> None:
    modules = {module.name for module in pkgutil.iter_modules(memplan.__path__)}
    assert {"api", "ir", "cli"} <= modules
    assert not modules & set(memplan.__all__)
    assert [name for name, thing in PUBLIC.items() if isinstance(thing, ModuleType)] == ["testing"]


@pytest.mark.parametrize(("name", "thing"), TYPED, ids=NAMES)
def test_no_signature_says_any_and_each_type_has_a_public_name(name: str, thing: Any) -> None:
    if not inspect.isclass(thing):
        signature = inspect.signature(thing)
        bare = [p.name for p in signature.parameters.values() if p.annotation is p.empty and p.name != "self"]
        assert not bare and signature.return_annotation is not signature.empty, (
            f"{name} leaves types open: {bare}"
        )
    for field, hint in get_type_hints(thing, localns=FOREIGN).items():
        if field.startswith("_"):
            continue
        for leaf in leaves(hint):
            assert leaf is not Any, f"{name}: {field} is of type {hint}"
            if inspect.isclass(leaf) and leaf.__module__.startswith("memplan"):
                assert leaf in CLASSES, f"{name}: the type of {field}, {leaf.__name__}, has no public name"


@pytest.mark.parametrize(("name", "thing"), TYPED, ids=NAMES)
def test_everything_says_its_contract(name: str, thing: Any) -> None:
    contract = inspect.cleandoc(thing.__doc__ or "").split("\n\n")[0]
    assert contract.endswith("."), f"{name} begins with no whole sentence: {contract!r}"


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_functions_say_what_they_take_and_return(function: Any) -> None:
    if parameters := inspect.signature(function).parameters:
        sections = dict(
            re.findall(r"^(\w+):\n(.*?)(?:\n\n|\Z)", inspect.cleandoc(function.__doc__), re.M | re.S)
        )
        silent = [name for name in parameters if not re.search(rf"\b{name}\b", sections["Args"])]
        assert not silent, f"nothing is said of {silent}"
        assert sections["Returns"]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_classes_say_what_their_fields_are(cls: Any) -> None:
    fields = getattr(cls, "__dataclass_fields__", None) or getattr(cls, "_fields", ())
    silent = [name for name in fields if not re.search(rf"\b{name}\b", cls.__doc__)]
    assert not silent, f"nothing is said of {silent}"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=[pytest.mark.slow(reason="plans of whole networks")] if name == "tile" else []
        )
        for name in ("memplan", *memplan.__all__)
    ],
)
def test_examples_hold(name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every doctest of a public name, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    thing = memplan if name == "memplan" else PUBLIC[name]
    if isinstance(thing, str) or inspect.ismodule(thing) and thing is not memplan:
        return
    found = doctest.DocTestFinder(recurse=thing is not memplan).find(thing, name)
    examples = [test for test in found if test.examples]
    assert examples or name not in (*EXAMPLES, "memplan"), f"{name} has no example"
    for test in examples:
        report = list[str]()
        failed = doctest.DocTestRunner(verbose=False).run(test, out=report.append).failed
        assert not failed, "".join(report)


def test_a_graph_and_a_plan_come_back_as_they_were_written(tmp_path: Any) -> None:
    graph = memplan.load("resnet8_int8").graph
    plan = memplan.plan(graph, scratchpad="256KiB")
    assert memplan.read_graph(memplan.write_graph(graph, tmp_path / "new" / "graph.json")) == graph
    path = memplan.write_plan(plan, str(tmp_path / "plan.json"))
    assert memplan.check(graph, memplan.read_plan(path)) == []
    assert sorted(file.name for file in tmp_path.iterdir()) == ["new", "plan.json"]
    with pytest.raises(memplan.MemplanError, match="cannot write"):
        memplan.write_plan(plan, path / "below")


def test_a_program_in_the_place_of_a_model_is_told_the_way() -> None:
    program = torch.export.export(torch.nn.ReLU(), (torch.zeros(3, 4),))
    for misused in (memplan.load, memplan.plan):
        with pytest.raises(memplan.MemplanError, match="a ExportedProgram is no") as refused:
            misused(program)
        assert "memplan.from_exported" in str(refused.value)
    assert memplan.plan(memplan.from_exported(program)).status == "optimal"


def test_options_that_are_handed_on_are_those_of_plan() -> None:
    hints = get_type_hints(memplan.plan)
    options = {
        p.name: hints[p.name]
        for p in inspect.signature(memplan.plan).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    }
    assert typing.get_type_hints(memplan.PlanOptions) == options


def test_options_that_are_handed_on_are_those_of_a_front_beside_its_factor() -> None:
    hints = get_type_hints(memplan.tile_front)
    named = {
        p.name for p in inspect.signature(memplan.tile_front).parameters.values() if p.kind is p.KEYWORD_ONLY
    }
    assert typing.get_type_hints(memplan.FrontOptions) == {name: hints[name] for name in named - {"macs"}}


def test_import_takes_the_standard_library_alone() -> None:
    code = f"import memplan, sys; print([m for m in {HEAVY} if m in sys.modules]); print(memplan.testing.check_solver)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[]\n<function check_solver")
