"""Reads graph JSON and plan JSON (the formats of ARCHITECTURE.md), trusting nothing in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from memplan.base.errors import GraphError, MemplanError, PlanError, nearest
from memplan.base.files import parse_json
from memplan.io.graph_v1 import upgraded
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.plan import Metrics, Move, Plan, Residency, Status

VERSIONS = {"memplan-graph": 2, "memplan-plan": 1}
"""The newest version of each format."""
LARGEST = 10**40  # numbers beyond mean nothing and overflow arithmetic
ErrorKind = Callable[[str, str], MemplanError]


def read_graph(path: str | Path) -> Graph:
    """The graph in a JSON file, of any version of the format.

    Args:
        path: the file, whatever its name ends with.

    Raises:
        GraphError: it cannot be read, or says something that is no graph; what, and where it stands.

    >>> import memplan, tempfile
    >>> graph = memplan.load("resnet8_int8").graph
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     memplan.read_graph(memplan.write_graph(graph, f"{folder}/graph.json")) == graph
    True
    """
    return graph_from_dict(_load(Path(path), GraphError), str(path))


def read_plan(path: str | Path) -> Plan:
    """The plan in a JSON file; its numbers stay claims until `check` has recomputed them.

    Args:
        path: the file, whatever its name ends with.

    Raises:
        PlanError: it cannot be read, or says something that is no plan; what, and where it stands.
        TargetError, OptionError: the plan's target or options make no sense.

    >>> import memplan, tempfile
    >>> plan = memplan.plan(memplan.load("resnet8_int8"), scratchpad="256KiB")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     memplan.read_plan(memplan.write_plan(plan, f"{folder}/plan.json")).schedule == plan.schedule
    True
    """
    return plan_from_dict(_load(Path(path), PlanError), str(path))


def graph_from_dict(data: Any, where: str) -> Graph:
    """A graph from parsed JSON."""
    get = _Reader(data, where, GraphError)
    get.header("memplan-graph")
    name, rows, kernels = get.text("name"), get.items("tensors"), get.items("ops")
    tensors, ops = tuple(map(_tensor, rows)), tuple(map(_op, kernels))
    updates = tuple((get.table("updates").mapping(str) if get.has("updates") else {}).items())
    outputs = tuple(get.texts("outputs")) if get.data["version"] >= 2 else None
    for reader in (get, *rows, *kernels):
        reader.refuse_unknown()
    if outputs is None:
        return upgraded(name, tensors, ops, updates)
    return Graph(name, tensors, ops, outputs, updates)


def _tensor(item: _Reader) -> Tensor:
    return Tensor(
        name=item.text("name"),
        nbytes=item.whole("nbytes"),
        kind=item.text("kind"),
        dtype=item.text("dtype") if item.has("dtype") else None,
        shape=tuple(item.wholes("shape")) if item.has("shape") else None,
        strides=tuple(item.wholes("strides")) if item.has("strides") else None,
        place=item.pair("place", str, int) if item.has("place") else None,
    )


def _op(item: _Reader) -> Op:
    workspace = item.text("workspace") if item.has("workspace") else None
    return Op(
        name=item.text("name"),
        kind=item.text("kind"),
        inputs=tuple(item.texts("inputs")),
        outputs=(*item.texts("outputs"), *([] if workspace is None else [workspace])),
        flops=item.whole("flops") if item.has("flops") else None,
        view=item.truth("view") if item.has("view") else False,
        overwrites=tuple(item.pairs("overwrites")) if item.has("overwrites") else (),
        workspace=workspace,
    )


def plan_from_dict(data: Any, where: str) -> Plan:
    """A plan from parsed JSON; its numbers stay claims until `check` has recomputed them."""
    get = _Reader(data, where, PlanError)
    get.header("memplan-plan")
    options, metrics = get.table("options"), get.table("metrics")
    residencies, moves = get.items("residencies"), get.items("moves")
    status = get.text("status")
    if status not in set(Status):
        raise PlanError(f"{where}: unknown status '{status}'", f"known: {', '.join(Status)}")
    target = Target.from_dict(get.table("target").data, f"{where}: target")
    plan = Plan(
        graph=get.text("graph"),
        graph_sha256=get.text("graph_sha256"),
        target=target,
        options=Options(
            objective=options.text("objective"),
            weights=options.text("weights"),
            io=options.text("io"),
            inplace=options.get("inplace"),
            order=options.text("order"),
            dims=options.table("dims").mapping(int) if options.has("dims") else {},
            bounds=_shapes(options.table("bounds")) if options.has("bounds") else {},
            donate=tuple(options.texts("donate")) if options.has("donate") else (),
            pins=options.table("pins").mapping(str) if options.has("pins") else {},
        ),
        solver=get.text("solver"),
        status=Status(status),
        schedule=tuple(get.texts("schedule")),
        residencies=tuple(
            Residency(r.text("tensor"), *(r.whole(k) for k in ("start", "stop", "offset", "size")))
            for r in residencies
        ),
        moves=tuple(Move(m.text("kind"), m.text("tensor"), m.whole("issue"), m.whole("due")) for m in moves),
        aliases=get.table("aliases").mapping(str) if get.has("aliases") else {},
        inplace=get.table("inplace").mapping(str) if get.has("inplace") else {},
        metrics=_metrics(metrics, target),
        value=get.number("value") if get.texts("schedule") or get.has("value") else None,
        bound=get.number("bound"),
        seed=get.whole("seed") if get.has("seed") else 0,
        workers=get.whole("workers") if get.has("workers") else 1,
        seconds=get.number("seconds") if get.has("seconds") else 0.0,
        total_seconds=get.number("total_seconds") if get.has("total_seconds") else 0.0,
        budget_proved=get.get("budget_proved") if get.has("budget_proved") else None,
        reason=get.text("reason") if get.has("reason") else "",
        notes=tuple(get.texts("notes")) if get.has("notes") else (),
    )
    for reader in (get, options, metrics, *residencies, *moves):
        reader.refuse_unknown()
    return plan


def _metrics(get: _Reader, target: Target) -> Metrics:
    """The claimed metrics, 0 where they are absent; what cannot be in host has no latency there, whatever older files say."""
    found = Metrics(**{name: get.number(name) for name in Metrics._fields if get.has(name)})  # type: ignore[arg-type]
    nowhere = target.timed and target.operands == "scratchpad"
    return found._replace(latency_all_host_s=None) if nowhere else found


def _load(path: Path, error: ErrorKind) -> Any:
    try:
        return parse_json(path.read_bytes())
    except OSError as cause:
        raise error(f"cannot read '{path}': {cause.strerror or cause}", "check the path") from cause
    except (ValueError, RecursionError) as cause:
        raise error(
            f"'{path}' is not JSON: {cause}", "is the file complete, and every key there once?"
        ) from cause


def _shapes(table: _Reader) -> dict[str, tuple[int, ...]]:
    return {name: tuple(table.wholes(name)) for name in table.data}


class _Reader:
    """A JSON object whose fields are asked for by type; says where a wrong one stands."""

    def __init__(self, data: Any, where: str, error: ErrorKind) -> None:
        if not isinstance(data, Mapping):
            raise error(f"{where} is not a JSON object", "see the file formats in ARCHITECTURE.md")
        self.data, self.where, self.error = data, where, error
        self.asked: set[str] = set()

    def header(self, kind: str) -> None:
        """Refuse another format, or a version from the future."""
        self.asked |= {"format", "version"}
        found, version = self.data.get("format"), self.data.get("version")
        if found != kind:
            raise self.error(f"{self.where}: format is {found!r}, not '{kind}'", "is it the right file?")
        if isinstance(version, bool) or not isinstance(version, int) or version > VERSIONS[kind]:
            raise self.error(
                f"{self.where}: version {version!r} of {kind} is not known",
                f"this memplan reads versions up to {VERSIONS[kind]}; update it",
            )

    def has(self, key: str) -> bool:
        self.asked.add(key)
        return self.data.get(key) is not None

    def refuse_unknown(self) -> None:
        """Refuse a key that nobody has asked for: called once all that is known was."""
        if unknown := next((key for key in self.data if key not in self.asked), None):
            raise self.error(f"{self.where}: unknown key '{unknown}'", nearest(unknown, self.asked))

    def get(self, key: str) -> Any:
        self.asked.add(key)
        if key not in self.data:
            raise self.error(f"{self.where}: '{key}' is missing", "is the file complete?")
        return self.data[key]

    def _typed(self, key: str, kind: type, name: str) -> Any:
        value = self.get(key)
        if not isinstance(value, kind):
            raise self._wrong(key, value, name)
        return value

    def _wrong(self, key: str, value: Any, name: str) -> MemplanError:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return self.error(f"{self.where}: '{key}' is {shown}", f"expected {name}")

    def text(self, key: str) -> str:
        value: str = self._typed(key, str, "a text")
        return value

    def whole(self, key: str) -> int:
        value = self.get(key)
        if type(value) is not int or value < 0:
            raise self._wrong(key, value, "a whole number from 0")
        if value > LARGEST:
            raise self._wrong(key, value, "a number below 10^40")
        return value

    def number(self, key: str) -> float:
        value = self.get(key)
        if type(value) not in (int, float) or not abs(value) <= LARGEST:
            raise self._wrong(key, value, "a finite number")
        number: float = value
        return number

    def texts(self, key: str) -> list[str]:
        values: list[str] = self._typed(key, list, "a list of texts")
        if wrong := [v for v in values if not isinstance(v, str)]:
            raise self._wrong(key, wrong[0], "a list of texts")
        return values

    def wholes(self, key: str) -> list[int]:
        values: list[int] = self._typed(key, list, "a list of whole numbers")
        if wrong := [v for v in values if type(v) is not int or v < 0]:
            raise self._wrong(key, wrong[0], "a list of whole numbers from 0")
        return values

    def truth(self, key: str) -> bool:
        value: bool = self._typed(key, bool, "true or false")
        return value

    def pair(self, key: str, *kinds: type) -> tuple[Any, ...]:
        return self._pair(key, self.get(key), kinds)

    def pairs(self, key: str) -> list[tuple[Any, ...]]:
        return [self._pair(key, value, (str, str)) for value in self._typed(key, list, "a list of pairs")]

    def _pair(self, key: str, value: Any, kinds: tuple[type, ...]) -> tuple[Any, ...]:
        if not isinstance(value, list) or [type(x) for x in value] != list(kinds):
            raise self._wrong(key, value, f"a pair of {' and '.join(kind.__name__ for kind in kinds)}")
        return tuple(value)

    def table(self, key: str) -> _Reader:
        return _Reader(self._typed(key, dict, "an object"), f"{self.where}: {key}", self.error)

    def mapping(self, kind: type) -> dict[str, Any]:
        for key, value in self.data.items():
            if type(value) is not kind:
                raise self._wrong(key, value, f"a {kind.__name__}")
        return dict(self.data)

    def items(self, key: str) -> list[_Reader]:
        values = self._typed(key, list, "a list of objects")
        return [_Reader(v, f"{self.where}: {key}[{i}]", self.error) for i, v in enumerate(values)]
