"""Targets as tables, read and written: those of TOML files, of plan files, and of the first edition of both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from memplan.base.errors import OptionError, TargetError, nearest
from memplan.base.units import parse_size
from memplan.machine.parts import Channel, Compute, Memory
from memplan.machine.target import Target
from memplan.machine.two_level import two_level

Table = Mapping[str, Any]

COMMON = {"name", "compute", "defaults", "sources"}
SECOND = {"memory", "channel", "operands", "home", "copies"}
FIRST = {"scratchpad", "host", "operands", "dma"}
MEMORY = {"name", "capacity", "alignment", "bandwidth", "byte_cost", "readonly", "addresses"}
CHANNEL = {"from", "to", "bandwidth", "overhead_s", "queue"}


def target_dict(target: Target) -> dict[str, Any]:
    """The target as plan files of version 2 record it: in bytes, bytes/s, flop/s and seconds, without sources."""
    return {
        "name": target.name,
        "memories": [_memory_dict(m) for m in target.memories],
        "operands": {key: list(names) for key, names in target.operands.items()},
        "home": dict(target.home),
        "copies": {"queues": target.queues, "channels": [_channel_dict(c) for c in target.channels]},
        "compute": _compute_dict(target.compute),
    }


def target_from_dict(d: Table, where: str = "target") -> Target:
    """The target that parsed TOML, or the JSON of a plan of either version, describes.

    Args:
        d: tables and numbers; sizes may be texts such as "256KiB".
        where: what messages call it.

    Raises:
        TargetError: `where` has an unknown or unusable key, or what it describes makes no sense.
    """
    if "memories" in d:  # a plan's
        copies = _table(d, "copies", {"queues", "channels"}, where)
        channels = {"channel": copies["channels"]} if "channels" in copies else {}
        queues = {"queues": copies["queues"]} if "queues" in copies else {}
        rest = {key: value for key, value in d.items() if key != "memories"}
        d = rest | channels | {"memory": d["memories"], "copies": queues}
    if "memory" in d:
        return _second(d, where)
    return _first(d, where)


def _second(d: Table, where: str) -> Target:
    _keys(d, COMMON | SECOND, where)
    operands, home = _table(d, "operands", None, where), _table(d, "home", None, where)
    copies = _table(d, "copies", {"queues"}, where)
    return Target(
        memories=tuple(
            _memory(m, f"{where}: memory {i}") for i, m in enumerate(_tables(d, "memory", where), 1)
        ),
        operands={key: _names(value, f"{where}: operands.{key}") for key, value in operands.items()},
        home={role: _text(home, role, "", f"{where}: home") for role in home},
        queues=copies.get("queues", 1),
        channels=tuple(
            _channel(c, f"{where}: channel {i}") for i, c in enumerate(_tables(d, "channel", where), 1)
        ),
        **_common(d, where),
    )


def _first(d: Table, where: str) -> Target:
    _keys(d, COMMON | FIRST | SECOND, where)
    if astray := sorted(set(d) & (SECOND - FIRST)):
        raise TargetError(
            f"{where}: [{astray[0]}] without [[memory]]", "write a [[memory]] table for each memory"
        )
    pad = _table(d, "scratchpad", {"capacity", "alignment", "bandwidth"}, where)
    host = _table(d, "host", {"bandwidth"}, where)
    dma = _table(d, "dma", {"queues"}, where)
    operands, queues = _text(d, "operands", "scratchpad", where), dma.get("queues", 1)
    if operands not in ("scratchpad", "any"):
        raise TargetError(f"{where}: operands = '{operands}'", "operands are 'scratchpad' or 'any'")
    if type(queues) is not int or queues not in (1, 2):
        raise TargetError(f"{where}: dma.queues = {queues!r}", "one FIFO queue, or two (loads and stores)")
    return two_level(
        scratchpad=_memory({"name": "scratchpad", **pad}, f"{where}: scratchpad"),
        host=_memory({"name": "host", **host}, f"{where}: host"),
        direct=operands == "any",
        queues=queues,
        **_common(d, where),
    )


def _common(d: Table, where: str) -> dict[str, Any]:
    """What both editions have, as keyword arguments."""
    compute = _table(d, "compute", {"default", "rates", "overhead_s"}, where)
    rates = _table(compute, "rates", None, f"{where}: compute")
    sources = _table(d, "sources", None, where)
    return {
        "name": _text(d, "name", where, where),
        "compute": Compute(
            default=_number(compute, "default", f"{where}: compute"),
            rates={k: _number(rates, k, f"{where}: compute.rates") or 0.0 for k in rates},
            overhead_s=_number(compute, "overhead_s", f"{where}: compute") or 0.0,
        ),
        "defaults": dict(_table(d, "defaults", None, where)),
        "sources": {k: _text(sources, k, "", f"{where}: sources") for k in sources},
    }


def _memory(d: Table, where: str) -> Memory:
    _keys(d, MEMORY, where)
    return Memory(
        name=_text(d, "name", None, where),
        capacity=_size(d["capacity"], f"{where}.capacity") if "capacity" in d else None,
        alignment=_size(d["alignment"], f"{where}.alignment") if "alignment" in d else 1,
        bandwidth=_number(d, "bandwidth", where),
        byte_cost=_number(d, "byte_cost", where),
        readonly=_flag(d, "readonly", where),
        addresses=_flag(d, "addresses", where),
    )


def _channel(d: Table, where: str) -> Channel:
    _keys(d, CHANNEL, where)
    return Channel(
        source=_text(d, "from", None, where),
        destination=_text(d, "to", None, where),
        bandwidth=_number(d, "bandwidth", where),
        overhead_s=_number(d, "overhead_s", where) or 0.0,
        queue=d.get("queue", 0),
    )


def _memory_dict(m: Memory) -> dict[str, Any]:
    d = _without_none(
        name=m.name, capacity=m.capacity, alignment=m.alignment, bandwidth=m.bandwidth, byte_cost=m.byte_cost
    )
    return d | {key: True for key, said in (("readonly", m.readonly), ("addresses", m.addresses)) if said}


def _channel_dict(c: Channel) -> dict[str, Any]:
    said = _without_none(bandwidth=c.bandwidth, overhead_s=c.overhead_s, queue=c.queue)
    return {"from": c.source, "to": c.destination} | said


def _compute_dict(c: Compute) -> dict[str, Any]:
    return _without_none(default=c.default, rates=dict(c.rates), overhead_s=c.overhead_s)


def _without_none(**values: object) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _keys(d: Table, known: set[str], where: str) -> None:
    if unknown := sorted(set(d) - known):
        raise TargetError(f"{where}: unknown key '{unknown[0]}'", nearest(unknown[0], known))


def _table(d: Table, key: str, known: set[str] | None, where: str) -> Table:
    value = d.get(key, {})
    if not isinstance(value, Mapping):
        raise TargetError(f"{where}: '{key}' is not a table", f"write [{key}] and its keys below")
    if known is not None:
        _keys(value, known, f"{where}: {key}")
    return value


def _tables(d: Table, key: str, where: str) -> Sequence[Table]:
    value = d.get(key, [])
    if not (isinstance(value, list) and all(isinstance(item, Mapping) for item in value)):
        raise TargetError(f"{where}: '{key}' is not a list of tables", f"write [[{key}]] for each of them")
    return value


def _names(value: Any, where: str) -> tuple[str, ...]:
    if not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
        raise TargetError(f"{where} = {value!r} is no list of memories", 'write their names: ["dtcm", "axi"]')
    return tuple(value)


def _text(d: Table, key: str, default: str | None, where: str) -> str:
    value = d.get(key, default)
    if value is None:
        raise TargetError(f"{where}: '{key}' is missing", f'add {key} = "…"')
    if not isinstance(value, str):
        raise TargetError(f"{where}: {key} = {value!r} is not a text", 'write it in quotes: "…"')
    return value


def _flag(d: Table, key: str, where: str) -> bool:
    value = d.get(key, False)
    if not isinstance(value, bool):
        raise TargetError(f"{where}: {key} = {value!r}", "write true or false")
    return value


def _size(value: Any, where: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            return parse_size(value)
        except OptionError as error:
            raise TargetError(f"{where}: {error.message}", error.hint) from error
    raise TargetError(
        f"{where} = {value!r} is not a whole number of bytes", "write bytes or a text such as '256KiB'"
    )


def _number(d: Table, key: str, where: str) -> float | None:
    value = d.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TargetError(f"{where}.{key} = {value!r} is not a number", "write a plain number")
    try:
        return float(value)
    except OverflowError:
        return math.inf
