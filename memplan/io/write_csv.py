"""Buffers with their offsets as CSV: the input's rows plus a column `offset`."""

from __future__ import annotations

from collections.abc import Sequence

from memplan.packing.buffers import Buffer


def packing_text(buffers: Sequence[Buffer], offsets: Sequence[int]) -> str:
    """CSV that reads back as the same buffers, each fixed at its offset."""
    aligned = any(b.alignment != 1 for b in buffers)
    gapped = any(b.gaps for b in buffers)
    header = ["id", "lower", "upper", "size", *["alignment"] * aligned, *["gaps"] * gapped, "offset"]
    lines = [",".join(header)]
    for b, offset in zip(buffers, offsets, strict=True):
        cells = [_quoted(b.name), b.start, b.stop, b.size, *[b.alignment] * aligned]
        if gapped:
            cells.append(
                " ".join(
                    f"{g.start}-{g.stop}" + (f"@{g.low}:{g.high}" if g.low < g.high else "") for g in b.gaps
                )
            )
        lines.append(",".join(map(str, [*cells, offset])))
    return "\n".join(lines) + "\n"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if any(c in name for c in ',"\r\n') else name
