"""Whether a target makes sense: its numbers, its names, and that ops can read and write somewhere."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise

from memplan.base.errors import TargetError, nearest
from memplan.base.units import MAX_BYTES
from memplan.machine.parts import Channel, Compute, Memory
from memplan.machine.policies import POLICIES

ROLES = ("inputs", "constants", "activations", "workspaces", "outputs")
"""What a tensor is to the op that touches it, as `operands` and `home` call it."""

RATES = (1e-3, 1e24)
OVERHEADS = (1e-18, 1e6)
BYTE_COSTS = (1e-12, 1e12)
"""Ranges of rates (a second), overheads (seconds) and costs of a byte, in which no sum overflows or is lost
to rounding.
"""

MOST_QUEUES = 64
"""More than any machine's engines that copy; a file that says more has a slip in it."""

NAME = re.compile(r"\w[\w.+-]*")


def backing_memory(memories: tuple[Memory, ...]) -> Memory | None:
    """The last memory, which holds what lies nowhere else; None where it is readonly or the only one."""
    return None if memories[-1].readonly or len(memories) == 1 else memories[-1]


def require_valid(
    where: str,
    memories: tuple[Memory, ...],
    operands: Mapping[str, tuple[str, ...]],
    home: Mapping[str, str],
    queues: int,
    channels: tuple[Channel, ...],
    compute: Compute,
    defaults: Mapping[str, str],
) -> None:
    """TargetError unless these parts of a target, which `where` names, make sense together."""
    _memories(where, memories)
    named = {m.name: m for m in memories}
    _operands(where, operands, named)
    _home(where, home, operands, memories)
    _channels(where, queues, channels, named)
    _compute(where, compute)
    for key, policy in defaults.items():
        if key not in POLICIES:
            raise TargetError(f"{where}: unknown default '{key}'", nearest(key, POLICIES))
        if policy not in POLICIES[key]:
            raise TargetError(f"{where}: defaults.{key} = {policy!r}", f"known: {', '.join(POLICIES[key])}")


def _memories(where: str, memories: tuple[Memory, ...]) -> None:
    if not memories:
        raise TargetError(f"{where} has no memory", "write a [[memory]] table for each, fastest first")
    names = [m.name for m in memories]
    for i, memory in enumerate(memories):
        at = f"{where}: memory '{memory.name}'"
        if not (isinstance(memory.name, str) and NAME.fullmatch(memory.name)):
            raise TargetError(at, "its name is letters, digits and . _ + - after a first letter or digit")
        if memory.name in names[:i]:
            raise TargetError(f"{at} is there twice", "give each memory a name of its own")
        if memory.name == "keep" or (memory.name == "host" and i < len(memories) - 1):
            hint = (
                "it is the pin that holds a tensor in place"
                if memory.name == "keep"
                else "the last is meant by it"
            )
            raise TargetError(f"{at} has the name of a pin", f"choose another name; {hint}")
        _numbers(f"{where}: {memory.name}", memory)
        backing = memory is backing_memory(memories)
        if memory.addresses and not backing:
            raise TargetError(
                f"{at}: addresses = true",
                "it is for the backing memory, the last one, alone: leave it out here",
            )
        if memory.capacity is not None and (memory.readonly or (backing and not memory.addresses)):
            why = (
                "nothing is placed in a readonly memory"
                if memory.readonly
                else "set addresses = true to plan in it"
            )
            raise TargetError(f"{at} has a capacity but no addresses", f"leave out the capacity; {why}")
    if memories[0].readonly:
        raise TargetError(
            f"{where}: the first memory '{names[0]}' is readonly",
            "begin with the fastest memory that ops can write to; readonly ones stand after it",
        )
    for faster, slower in pairwise(m for m in memories if m.bandwidth is not None and not m.readonly):
        if (faster.bandwidth or 0) < (slower.bandwidth or 0):
            raise TargetError(
                f"{where}: memory '{faster.name}' stands before '{slower.name}' and is slower",
                f"memories stand fastest first: {faster.name}.bandwidth must be at least {slower.name}.bandwidth",
            )


def _numbers(at: str, memory: Memory) -> None:
    _whole(f"{at}.alignment", memory.alignment)
    if memory.capacity is not None:
        _whole(f"{at}.capacity", memory.capacity)
    if memory.bandwidth is not None:
        _within(f"{at}.bandwidth", memory.bandwidth, RATES)
    if memory.byte_cost is not None and memory.byte_cost != 0:
        _within(f"{at}.byte_cost", memory.byte_cost, BYTE_COSTS)


def _operands(where: str, operands: Mapping[str, tuple[str, ...]], named: Mapping[str, Memory]) -> None:
    singular = {role.removesuffix("s"): role for role in ROLES}
    for key, names in operands.items():
        at = f"{where}: operands.{key}"
        if key in singular:
            raise TargetError(f"{at} is no role", f"did you mean '{singular[key]}'?")
        if not names:
            raise TargetError(f"{at} names no memory", f"known: {', '.join(named)}")
        _known(at, names, named)
        if key not in ("inputs", "constants") and all(named[name].readonly for name in names):
            raise TargetError(
                f"{at}: {', '.join(names)} can only be read, and ops must write somewhere",
                "add a memory that is not readonly",
            )


def _home(
    where: str, home: Mapping[str, str], operands: Mapping[str, tuple[str, ...]], memories: tuple[Memory, ...]
) -> None:
    named = {m.name: m for m in memories}
    for role, name in home.items():
        if role in ("inputs", "outputs"):
            raise TargetError(
                f"{where}: home.{role}",
                "the option io says where inputs and outputs lie; only constants have a home of their own here",
            )
        if role != "constants":
            raise TargetError(f"{where}: unknown key 'home.{role}'", nearest(role, ("constants",)))
        _known(f"{where}: home.{role}", (name,), named)
    at_home = home.get("constants", (backing_memory(memories) or memories[0]).name)
    reached = operands.get("constants", operands.get("default", (memories[0].name,)))
    if at_home not in reached and all(named[name].readonly for name in reached):
        raise TargetError(
            f"{where}: constants lie in '{at_home}', where no op reads them, and cannot be copied elsewhere",
            f"set home.constants to one of {', '.join(reached)}, or add '{at_home}' to operands.constants",
        )


def _channels(where: str, queues: int, channels: tuple[Channel, ...], named: Mapping[str, Memory]) -> None:
    if type(queues) is not int or not 0 <= queues <= MOST_QUEUES:
        raise TargetError(
            f"{where}: copies.queues = {queues!r}",
            f"it is a number of FIFO queues from 0 (nothing is moved) to {MOST_QUEUES}",
        )
    pairs = set()
    for channel in channels:
        source, destination = pair = (channel.source, channel.destination)
        at = f"{where}: channel {source} to {destination}"
        _known(at, pair, named)
        if source == destination:
            raise TargetError(at, "a channel joins two memories: nothing is copied within one")
        if named[destination].readonly:
            raise TargetError(
                f"{at}: '{destination}' is readonly", "leave the channel out, nothing is written there"
            )
        if pair in pairs:
            raise TargetError(f"{at} is there twice", "one channel copies between a pair in a direction")
        pairs.add(pair)
        if type(channel.queue) is not int or not 0 <= channel.queue < queues:
            raise TargetError(
                f"{at}: queue = {channel.queue!r}",
                f"the target has {queues} queues, counted from 0: set copies.queues, or another queue",
            )
        if channel.bandwidth is not None:
            _within(f"{at}: bandwidth", channel.bandwidth, RATES)
        if channel.overhead_s != 0:
            _within(f"{at}: overhead_s", channel.overhead_s, OVERHEADS)


def _compute(where: str, compute: Compute) -> None:
    rates = {"default": compute.default} | {f"rates.{k}": v for k, v in compute.rates.items()}
    for key, rate in rates.items():
        if rate is not None:
            _within(f"{where}: compute.{key}", rate, RATES)
    if compute.overhead_s != 0:
        _within(f"{where}: compute.overhead_s", compute.overhead_s, OVERHEADS)


def _known(at: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise TargetError(f"{at}: no memory is called '{name}'", nearest(name, known))


def _within(at: str, value: float, least_most: tuple[float, float]) -> None:
    least, most = least_most
    if not least <= value <= most:
        raise TargetError(f"{at} = {value}", f"it must be {least:g} … {most:g}")


def _whole(at: str, value: int) -> None:
    if not (type(value) is int and 1 <= value <= MAX_BYTES):
        raise TargetError(f"{at} = {value}", "it must be 1 … 2^62 bytes")
