"""Hostile .pt2 files: refused in a sentence, and none of them leaves the mark that its code would make."""

from __future__ import annotations

import json
import math
import pickle
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import memplan
from memplan.base.errors import GraphError
from memplan.torch.text import Unsafe, expression

torch = pytest.importorskip("torch")

MODEL = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
Members = dict[str, bytes]


class Net(torch.nn.Module):  # type: ignore[misc,unused-ignore,name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)
        self.shift = torch.ones(4)
        self.register_buffer("seen", torch.zeros(4))

    def forward(self, x: Any, rows: Any) -> Any:
        self.seen.add_(1)
        y = self.linear(x) + self.shift + self.seen
        return torch.cat([y, rows]).reshape(1, -1, 4) * x.shape[0]


class Mark:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ordinary file, with sample inputs, a dynamic dimension, a buffer and a constant."""
    path = tmp_path_factory.mktemp("pt2") / "net.pt2"
    batch = torch.export.Dim("batch", min=2, max=64)
    inputs = (torch.ones(3, 4), torch.ones(3, 4))
    shapes = {"x": {0: batch}, "rows": {0: batch}}
    torch.export.save(torch.export.export(Net().eval(), inputs, dynamic_shapes=shapes), path)
    return path


def rebuilt(saved: Path, folder: Path, change: Callable[[Members], None]) -> Path:
    """The file with its members changed."""
    with zipfile.ZipFile(saved) as archive:
        members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(members)
    path = folder / "net.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"net/{name}", data)
    return path


def edited(members: Members, name: str, old: str, new: str) -> None:
    """Replace text in a member of JSON; it must be there."""
    text = members[name].decode()
    assert old in text
    members[name] = text.replace(old, new).encode()


def _symbol(members: Members) -> str:
    (symbol,) = json.loads(members[MODEL])["range_constraints"]
    return str(symbol)


def hostile(kind: str, mark: Path) -> Callable[[Members], None]:
    """A change of an ordinary file's members that would make the file `mark` once torch loads or runs it."""
    bad = pickle.dumps((Mark(mark),), protocol=2)
    code = f"__import__('pathlib').Path('{mark}').touch()"

    def change(members: Members) -> None:
        program = json.loads(members[MODEL])
        graph = program["graph_module"]["graph"]
        if kind == "pickled weight":
            edited(members, WEIGHTS, '"use_pickle": false', '"use_pickle": true')
            members["data/weights/weight_0"] = bad
        elif kind == "pickled constant":
            edited(members, CONSTANTS, '"use_pickle": false', '"use_pickle": true')
            members["data/constants/tensor_0"] = bad
        elif kind in ("opaque", "custom"):
            edited(members, CONSTANTS, "tensor_0", f"{kind}_obj_0")
            edited(members, CONSTANTS, '"use_pickle": false', '"use_pickle": true')
            members[f"data/constants/{kind}_obj_0"] = bad
        elif kind == "old weights":
            members["data/weights/model.pt"] = bad
        elif kind == "old constants":
            members["data/constants/model.pt"] = bad
        elif kind == "compiled":
            members["data/aotinductor/model/run.so"] = b"\x7fELF"
        elif kind == "another model":
            members["models/other.json"] = members[MODEL]
        elif kind == "size":
            edited(members, MODEL, f"Symbol('{_symbol(members)}', positive=True, integer=True)", code)
        elif kind == "symbol":
            edited(members, MODEL, f"Symbol('{_symbol(members)}', ", f'Symbol(\\"{code}\\", ')
        elif kind == "function":
            graph["nodes"][0]["target"] = "torch.os.system"
            graph["nodes"][0]["inputs"] = [
                {"name": "command", "arg": {"as_string": f"touch {mark}"}, "kind": 1}
            ]
        elif kind == "library":
            graph["nodes"][0]["target"] = "torch.ops.load_library"
        elif kind == "file":
            graph["nodes"][0]["target"] = "torch.ops.aten.from_file.default"
            inputs = {
                "filename": {"as_string": str(mark)},
                "shared": {"as_bool": True},
                "size": {"as_int": 12},
            }
            graph["nodes"][0]["inputs"] = [{"name": n, "arg": arg, "kind": 1} for n, arg in inputs.items()]
        elif kind == "name":
            members[MODEL] = members[MODEL].replace(b'"rows"', json.dumps(f"rows={code}").encode())
        elif kind == "enumeration":
            spec = program["graph_module"]["module_call_graph"][0]["signature"]
            tree = json.loads(spec["in_spec"])
            tree[1]["context"] = json.dumps({"__enum__": True, "fqn": "planted:A", "name": "a"})
            spec["in_spec"] = json.dumps(tree)
        elif kind == "container":
            edited(members, MODEL, "builtins.tuple", "os.system")
        else:
            raise AssertionError(kind)
        if kind in ("function", "library", "file", "enumeration"):
            members[MODEL] = json.dumps(program).encode()

    return change


BY_TORCH = (
    "pickled weight, pickled constant, opaque, old weights, old constants, size, name, enumeration"
).split(", ")
"""Kinds of which torch by itself runs the code."""

BY_NOBODY = "custom, compiled, another model, symbol, function, library, file, container".split(", ")
"""Kinds that this version of torch does not fall for, as far as loading goes."""


@pytest.mark.parametrize("kind", [*BY_TORCH, *BY_NOBODY])
def test_nothing_in_a_file_runs_code(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    mark = tmp_path / "mark"
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "planted.py").write_text(f"open({str(mark)!r}, 'w')")
    path = rebuilt(saved, tmp_path, hostile(kind, mark))
    with pytest.raises(GraphError, match="not read without trust") as raised:
        memplan.load(path, {"x:0": 3})
    assert "--trust" in raised.value.hint
    assert not mark.exists()
    with suppress(GraphError):
        memplan.load(path, {"x:0": 3}, trust=True)
    assert mark.exists() is (kind in BY_TORCH)  # so the test would see it
    sys.modules.pop("planted", None)


class Optioned(torch.nn.Module):  # type: ignore[misc,unused-ignore,name-defined]
    """Takes an argument that is no tensor, and computes as it says."""

    def forward(self, x: Any, option: Any, *, again: Any = None) -> Any:
        match option:
            case bool():
                return x.relu() if option else x.neg()
            case int() | float():
                return x * option
            case str():
                return x.sum(0) if option == "sum" else x.exp()
            case {"shift": shift, "mode": mode}:
                return (x + shift).mean(0) if mode == "mean of rows" else x
        return x.sigmoid() if again == option else x


PLAIN = [None, True, False, 3, -(2**40), 0.5, math.inf, "sum", "", "größe"]
IN_CONTAINER = {"shift": torch.ones(4), "mode": "mean of rows"}


@pytest.mark.parametrize("option", [*PLAIN, IN_CONTAINER], ids=lambda option: repr(option)[:8])
@pytest.mark.slow(reason="exports many programs")
def test_arguments_that_are_no_tensors_need_no_trust(tmp_path: Path, option: Any) -> None:
    x, path, again = torch.randn(3, 4), tmp_path / "net.pt2", {"again": option}
    program = torch.export.export(Optioned(), (x, option), again)
    torch.export.save(program, path)
    model = memplan.load(path)
    assert model.graph.ops == memplan.from_exported(program).graph.ops and model.graph.ops
    plan = memplan.plan(model, solver="greedy", workers=1)
    assert memplan.run(model, plan).identical
    assert torch.equal(memplan.emit_fx(model, plan)(x, option, **again), Optioned()(x, option, **again))


def test_sample_inputs_are_not_looked_at(saved: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    bad = pickle.dumps((Mark(mark),), protocol=2)
    path = rebuilt(saved, tmp_path, lambda members: members.update({"data/sample_inputs/model.pt": bad}))
    assert memplan.load(path, {"x:0": 3}).graph == memplan.load(saved, {"x:0": 3}).graph
    assert not mark.exists()
    with pytest.raises(GraphError):
        memplan.load(path, {"x:0": 3}, trust=True)
    assert mark.exists()  # so the test would see it


def test_trust_reads_what_is_read_without(saved: Path) -> None:
    model, trusted = memplan.load(saved, {"x:0": 3}), memplan.load(saved, {"x:0": 3}, trust=True)
    assert model.graph == trusted.graph and model.dims == trusted.dims


def test_guards_and_metadata_are_left_out(saved: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    def change(members: Members) -> None:
        program = json.loads(members[MODEL])
        program["guards_code"] = [f"open('{mark}', 'w')"]
        program["graph_module"]["graph"]["nodes"][0]["metadata"] = {"source_fn_stack": "f,torch.os.system"}
        members[MODEL] = json.dumps(program).encode()

    assert memplan.load(rebuilt(saved, tmp_path, change), {"x:0": 3}).graph.ops
    assert not mark.exists()


@pytest.mark.parametrize(
    "name", ["net/../../x", "/etc/x", "net\\..\\x", "other/byteorder", "net/extra/../../x"]
)
def test_names_that_leave_the_archive_are_refused(saved: Path, tmp_path: Path, name: str) -> None:
    path = rebuilt(saved, tmp_path, lambda members: None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(GraphError, match="not read without trust"):
        memplan.load(path, {"x:0": 3})


def test_twins_compression_and_declared_sizes_are_refused(saved: Path, tmp_path: Path) -> None:
    path = rebuilt(saved, tmp_path, lambda members: None)
    with pytest.warns(UserWarning), zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"net/{MODEL}", b"{}")
    with pytest.raises(GraphError, match="two members"):
        memplan.load(path)
    path = rebuilt(saved, tmp_path, lambda members: None)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/extra/zeros", bytes(2**24))
    with pytest.raises(GraphError, match="compressed"):
        memplan.load(path)

    def empty(members: Members) -> None:
        edited(members, WEIGHTS, '{"as_int": 4}', '{"as_int": 1099511627776}')
        members["data/weights/weight_0"] = b""

    with pytest.raises(GraphError, match="is empty, its shape is not"):
        memplan.load(rebuilt(saved, tmp_path, empty))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x')",
        "Symbol('s1').__class__",
        "Symbol('exec')",
        "Symbol('s1', integer=open)",
        "Function('s1')",
        "Pow(Integer(10), Integer(999))",
        "Pow(Pow(Integer(9), Integer(9)), Integer(9))",
        "Pow(Integer(2), Symbol('s1'))",
        "9**9**9",
        "lambda: 0",
        "[Integer(1)]",
        "Integer(" + "9" * 40 + ")",
        "(" * 300 + "1" + ")" * 300,
    ],
)
def test_expressions_beyond_arithmetic_are_refused(text: str) -> None:
    with pytest.raises(Unsafe):
        expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "Symbol('s77', positive=True, integer=True)",
        "Mul(Integer(4), Symbol('u0', integer=True))",
        "Add(Integer(-1), Pow(Symbol('s0'), Integer(2)))",
        "FloorDiv(Symbol('s0'), Integer(2))",
        "Max(Integer(1), s0 * 2 - 1)",
    ],
)
def test_arithmetic_is_kept(text: str) -> None:
    assert expression(text) == text
