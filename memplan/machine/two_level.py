"""Scratchpad machines: the targets of two memories that every solver knows."""

from __future__ import annotations

from collections.abc import Mapping

from memplan.machine.parts import Channel, Compute, Memory
from memplan.machine.target import Target

PLAIN = Target()
"""COSMA's machine: a scratchpad of any size, in which all operands must be."""


def two_level(
    name: str = "scratchpad",
    scratchpad: Memory = PLAIN.scratchpad,
    host: Memory = PLAIN.host,
    *,
    direct: bool = False,
    queues: int = 1,
    compute: Compute = PLAIN.compute,
    defaults: Mapping[str, str] = PLAIN.defaults,
    sources: Mapping[str, str] = PLAIN.sources,
) -> Target:
    """The machine with this scratchpad and backing memory.

    Args:
        name, compute, defaults, sources: as of `Target`.
        scratchpad: the fast memory.
        host: the backing memory.
        direct: whether ops may use the backing memory too, or the scratchpad alone.
        queues: 1, or 2 where copies to and from the scratchpad have a queue each.

    Raises:
        TargetError: as of `Target`.
    """
    operands = {"default": (scratchpad.name, host.name)} if direct else {}
    channels = _both_ways(scratchpad.name, host.name) if queues == 2 else ()
    return Target(name, (scratchpad, host), operands, {}, queues, channels, compute, defaults, sources)


def beyond_two_level(target: Target) -> str:
    """What a target has that a scratchpad machine, as `two_level` makes it, has not; empty where it is one."""
    if len(target.memories) == 1:
        return f"one memory alone ('{target.scratchpad.name}')"
    if len(target.memories) != 2:
        return f"{len(target.memories)} memories ({', '.join(target.memory)})"
    fast, slow = target.memories
    if slow.readonly:
        return f"no backing memory that can be written ('{slow.name}' is readonly)"
    if slow.addresses:
        return f"addresses in its backing memory '{slow.name}'"
    if (home := target.home_of("constants")) != slow.name:
        return f"constants at home in '{home}'"
    if (target.byte_cost(fast.name), target.byte_cost(slow.name)) != (0, 1):
        return "byte costs of its own"
    if set(target.operands) - {"default"} or fast.name not in target.readable("", ""):
        return "operands that differ by op kind or role, or never lie in its fast memory"
    channels = set(_both_ways(fast.name, slow.name)) if target.queues == 2 else set()
    if target.queues not in (1, 2) or set(target.channels) != channels:
        return "queues or channels other than one for all copies, or one for each direction"
    return ""


def _both_ways(fast: str, slow: str) -> tuple[Channel, Channel]:
    return Channel(slow, fast, queue=0), Channel(fast, slow, queue=1)
