"""Targets: the memories of a machine, who may use which, what copies between them, and how fast all that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from memplan.machine.parts import Channel, Compute, Memory
from memplan.machine.validity import backing_memory, require_valid


@dataclass(frozen=True)
class Target:
    """A machine: its memories, what copies between them, and what computes.

    The last memory is the backing memory, which holds what lies nowhere else; where it is readonly or the only one
    there is none.

    Args:
        name: for people.
        memories: fastest first.
        operands: where ops may read and write: names of memories by op kind, else by role (`ROLES`), else by
            "default", else the fastest memory alone.
        home: where constants lie before the first step, by role: `{"constants": "flash"}`; the backing memory unless
            said, or the fastest where there is none.
        queues: how many FIFO queues copy; 0 where nothing is moved and every storage stays where it is first placed.
        channels: the only pairs of memories that are copied between; none for every pair, in any queue.
        compute: rates of arithmetic.
        defaults: policies that the target suggests where a call names none: by "weights", "io", "inplace", "join".
        sources: where each number comes from, by its name.

    Raises:
        TargetError: a number is out of range, or a name unknown, or an op has nowhere to write.

    >>> from memplan import Compute, Memory, Target
    >>> fast, slow = Memory("sram", 64 * 1024, alignment=16, bandwidth=4e9), Memory("dram", bandwidth=2e8)
    >>> npu = Target("npu", (fast, slow), {"default": ("sram", "dram")}, compute=Compute(1e11))
    >>> npu.timed, npu.backing.name, [m.name for m in npu.addressed]
    (True, 'dram', ['sram'])
    """

    name: str = "scratchpad"
    memories: tuple[Memory, ...] = (Memory("scratchpad"), Memory("host"))
    operands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    home: Mapping[str, str] = field(default_factory=dict)
    queues: int = 1
    channels: tuple[Channel, ...] = ()
    compute: Compute = Compute()
    defaults: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_valid(
            f"target '{self.name}'",
            self.memories,
            self.operands,
            self.home,
            self.queues,
            self.channels,
            self.compute,
            self.defaults,
        )

    @cached_property
    def memory(self) -> Mapping[str, Memory]:
        """The memories by name."""
        return {m.name: m for m in self.memories}

    @cached_property
    def rank(self) -> Mapping[str, int]:
        """How many memories are faster, by name."""
        return {m.name: k for k, m in enumerate(self.memories)}

    @property
    def backing(self) -> Memory | None:
        """The last memory, which holds what lies nowhere else; None where it is readonly or the only one."""
        return backing_memory(self.memories)

    @property
    def addressed(self) -> tuple[Memory, ...]:
        """The memories in which plans give addresses, fastest first: all but readonly ones and the backing memory,
        which is one of them with `addresses`."""
        return tuple(m for m in self.memories if not m.readonly and (m.addresses or m is not self.backing))

    def home_of(self, role: str) -> str:
        """The memory in which a role has its home under io `host`: the one that `home` says, else the backing memory,
        or the fastest where there is none."""
        return self.home.get(role, (self.backing or self.memories[0]).name)

    def byte_cost(self, name: str) -> float:
        """What reading or writing a byte of this memory costs: 1 in the backing memory and in homes, else 0, unless
        the memory says otherwise."""
        said = self.memory[name].byte_cost
        if said is not None:
            return said
        return float(name in self.home.values() or (self.backing is not None and name == self.backing.name))

    def readable(self, kind: str, role: str) -> tuple[str, ...]:
        """The memories from which an op of this kind may read an operand of this role, fastest first."""
        said = next((self.operands[key] for key in (kind, role, "default") if key in self.operands), None)
        return tuple(m.name for m in self.memories if m.name in said) if said else (self.memories[0].name,)

    def writable(self, kind: str, role: str) -> tuple[str, ...]:
        """The memories to which an op of this kind may write a tensor of this role, fastest first."""
        return tuple(name for name in self.readable(kind, role) if not self.memory[name].readonly)

    def copying_queues(self, source: str, destination: str) -> tuple[int, ...]:
        """The queues in which a copy between this pair of memories may stand; none where it cannot be made."""
        if source == destination or self.memory[destination].readonly:
            return ()
        if not self.channels:
            return tuple(range(self.queues))
        channel = self.channel(source, destination)
        return (channel.queue,) if channel else ()

    def channel(self, source: str, destination: str) -> Channel | None:
        """The channel that was declared for this pair of memories; None where none was."""
        pair = (source, destination)
        return next((c for c in self.channels if (c.source, c.destination) == pair), None)

    @property
    def timed(self) -> bool:
        """Whether latency can be computed: every bandwidth and a compute rate are known."""
        return self.compute.default is not None and all(m.bandwidth is not None for m in self.memories)

    @property
    def scratchpad(self) -> Memory:
        """The fastest memory."""
        return self.memories[0]

    @property
    def host(self) -> Memory:
        """The last memory: the backing memory where there is one."""
        return self.memories[-1]

    @property
    def direct(self) -> bool:
        """Whether ops in general read and write the backing memory directly, without a copy in a faster one."""
        return self.backing is not None and self.backing.name in self.readable("", "activations")

    @property
    def policies(self) -> dict[str, str]:
        """The policies where the call names none: the target's defaults, else memplan's."""
        weights = "tensor" if self.direct else "ignore"
        io = "host" if self.backing else "resident"
        return {"weights": weights, "io": io, "inplace": "off", "join": "off"} | dict(self.defaults)

    def with_scratchpad(self, capacity: int | None, alignment: int | None = None) -> Target:
        """This target with another fastest memory.

        Args:
            capacity: bytes, None without a limit.
            alignment: bytes; this target's own where it is None.
        """
        pad = replace(self.scratchpad, capacity=capacity)
        pad = pad if alignment is None else replace(pad, alignment=alignment)
        return replace(self, memories=(pad, *self.memories[1:]))
