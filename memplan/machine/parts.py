"""What a target is made of: memories, channels that copy between them, and rates of arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Memory:
    """One memory of a target.

    Args:
        name: what operands, homes, channels, pins and plans call it.
        capacity: bytes, None without a limit.
        alignment: offsets are multiples of so many bytes.
        bandwidth: bytes a second, None where times are not known.
        byte_cost: what reading or writing a byte costs under objective traffic; None for the target's default.
        readonly: nothing is ever written to it: flash.
        addresses: whether addresses are planned in the backing memory too; the others that can be written have them.

    >>> from memplan import Memory
    >>> Memory("dtcm", 128 * 1024, alignment=16, bandwidth=3.84e9).capacity
    131072
    """

    name: str
    capacity: int | None = None
    alignment: int = 1
    bandwidth: float | None = None
    byte_cost: float | None = None
    readonly: bool = False
    addresses: bool = False


@dataclass(frozen=True)
class Channel:
    """A pair of memories between which copies are made, in this direction.

    Args:
        source: the memory read, by its name.
        destination: the memory written.
        bandwidth: bytes a second, None for the slower memory's.
        overhead_s: seconds that every copy takes besides.
        queue: the FIFO queue in which its copies stand, from 0.

    >>> from memplan import Channel
    >>> Channel("sdram", "axi", bandwidth=350e6, overhead_s=1e-6).queue
    0
    """

    source: str
    destination: str
    bandwidth: float | None = None
    overhead_s: float = 0.0
    queue: int = 0


@dataclass(frozen=True)
class Compute:
    """How fast ops compute.

    Args:
        default: floating-point operations a second, None where times are not known.
        rates: the same for single dtypes, by name.
        overhead_s: seconds that every op takes besides.
    """

    default: float | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    overhead_s: float = 0.0

    def rate(self, dtype: str | None) -> float | None:
        """Floating-point operations a second for `dtype`; None where it is not known."""
        return self.rates.get(dtype or "", self.default)
