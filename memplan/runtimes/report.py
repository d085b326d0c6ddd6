"""What an execution showed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from memplan.base.units import format_size


@dataclass(frozen=True)
class OutputReport:
    """One output beside the reference's.

    Args:
        name: the output's.
        equal: whether every bit is the same.
        max_abs_difference: how far the farthest two elements are apart, 0 where all are equal.
        sha256, reference_sha256: digests of the bytes.
    """

    name: str
    equal: bool
    max_abs_difference: float
    sha256: str
    reference_sha256: str


@dataclass(frozen=True)
class RunReport:
    """What an execution showed.

    Args:
        model: the graph's name.
        ops: how many executions there were.
        outputs: each beside the reference's.
        peaks: bytes used of each memory that has addresses.
        loaded_bytes, stored_bytes: bytes copied to faster and to slower memories.
        seconds: of kernels, copies and poisoning, without making sessions: the least of a few runs after the
            one that was compared.
        plain_seconds: of the same kernels in the same order, node by node in buffers of their own; of a plan in tiles
            those of the whole ops.
        sessions: distinct kernels.
        reference: "onnxruntime", "node by node" where a model computes in 16-bit floats, or "eager torch".
        exact: of a plan in tiles why its outputs ought to be bit-identical: "by type", "by rule", or "no" and an op
            of which nothing says so; None of any other.
        drawn: how many constants were drawn at random, since the file with their data is not there.
    """

    model: str
    ops: int
    outputs: tuple[OutputReport, ...]
    peaks: Mapping[str, int]
    loaded_bytes: int
    stored_bytes: int
    seconds: float
    plain_seconds: float
    sessions: int
    reference: str = "onnxruntime"
    exact: str | None = None
    drawn: int = 0

    @property
    def identical(self) -> bool:
        """Whether every output is bit-identical to the reference."""
        return all(output.equal for output in self.outputs)

    @property
    def ratio(self) -> float:
        """Time in the arena over time node by node."""
        return self.seconds / self.plain_seconds if self.plain_seconds else 1.0

    def to_dict(self) -> dict[str, object]:
        """The report as JSON types."""
        return asdict(self) | {"identical": self.identical, "ratio": self.ratio}

    def __str__(self) -> str:
        wrong = [o for o in self.outputs if not o.equal]
        verdict = f"all {len(self.outputs)} outputs bit-identical to {self.reference}"
        if wrong:
            listed = ", ".join(f"'{o.name}' (off by up to {o.max_abs_difference:g})" for o in wrong)
            verdict = f"{len(wrong)} of {len(self.outputs)} outputs differ from {self.reference}: {listed}"
        memories = " and ".join(f"{format_size(nbytes)} of {name}" for name, nbytes in self.peaks.items())
        tiles = "" if self.exact is None else f" of tiles (exact: {self.exact})"
        drawn = f"; {self.drawn} constants without data were drawn at random" if self.drawn else ""
        return (
            f"{verdict}; {self.ops} executions{tiles} in {memories}, "
            f"{self.loaded_bytes:,} B loaded, {self.stored_bytes:,} B stored; "
            f"{self.seconds:.4f} s, {self.ratio:.2f} times node by node{drawn}"
        )
