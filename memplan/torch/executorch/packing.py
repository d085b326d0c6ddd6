"""ExecuTorch's tensor specs, packed by memplan's packer over the lifetimes that ExecuTorch itself has found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from executorch.exir.memory_planning import MemoryAlgoResult, SpecAllocResult
from executorch.exir.tensor import TensorSpec

from memplan.base.errors import PlanError
from memplan.packing.buffers import Buffer
from memplan.packing.packer import clash, pack_buffers

FIRST_ARENA = 1
"""The arena of all that nobody has put elsewhere; arena 0 is that of constants."""


def packed(
    alignment: int,
    specs: Iterable[TensorSpec],
    reserved: Sequence[int],
    padding: int,
    places: Mapping[TensorSpec, tuple[int, int]],
) -> MemoryAlgoResult:
    """A place for each spec: in its arena at an offset of `places`, or, where these do not name it, wherever it packs best.

    Args:
        alignment: offsets and sizes are multiples of so many bytes.
        specs: with lifetimes, first and last node included. One with a storage base lies in that.
        reserved: by arena, from 0 on, bytes at its start that are taken.
        padding: bytes added at the end of each arena that holds something.
        places: arena, and byte from the end of what is reserved.

    Returns:
        Arena, offset and object of each spec, specs whose bytes meet in one object; and the size of each arena.

    Raises:
        PlanError: two specs that live at once share a byte, or an offset is no multiple of the alignment.
    """
    ordered = list(specs)
    for spec in ordered:
        spec.realign(alignment)
    roots = [spec for spec in ordered if spec.storage_base is None]
    arena = {spec: places[spec][0] if spec in places else spec.mem_id or FIRST_ARENA for spec in roots}
    sizes = [*reserved, *[0] * (max(arena.values(), default=FIRST_ARENA) + 1 - len(reserved))]
    placed: dict[TensorSpec, SpecAllocResult] = {}
    for number in sorted({*arena.values()}):
        inside = [spec for spec in roots if arena[spec] == number]
        buffers = [_buffer(i, spec, alignment, places) for i, spec in enumerate(inside)]
        offsets = _offsets(buffers, number)
        first = sizes[number]
        objects = _objects(buffers, offsets)
        for spec, offset, group in zip(inside, offsets, objects, strict=True):
            placed[spec] = SpecAllocResult(number, group, first + offset)
        end = max(offset + b.size for offset, b in zip(offsets, buffers, strict=True))
        sizes[number] = first + end + padding
    for spec in ordered:
        if spec.storage_base is not None:
            placed[spec] = _inside(spec, placed)
    return MemoryAlgoResult(placed, sizes)


def _buffer(
    number: int, spec: TensorSpec, alignment: int, places: Mapping[TensorSpec, tuple[int, int]]
) -> Buffer:
    start, last = spec.lifetime
    offset = places[spec][1] if spec in places else None
    return Buffer(str(number), start, last + 1, spec.allocated_memory, alignment, offset)


def _offsets(buffers: Sequence[Buffer], arena: int) -> Sequence[int]:
    """Where the buffers lie; PlanError where those that are placed already overlap."""
    if overlap := clash(buffers):
        raise PlanError(
            f"in arena {arena} of ExecuTorch: {overlap}", "plan the program anew: it is not the one planned"
        )
    if all(b.offset is not None for b in buffers):
        return [b.offset or 0 for b in buffers]
    return pack_buffers(buffers).offsets


def _objects(buffers: Sequence[Buffer], offsets: Sequence[int]) -> list[int]:
    """A number for each buffer, the same for those whose bytes meet at whatever time."""
    found, number, end = [0] * len(buffers), -1, 0
    for k in sorted(range(len(buffers)), key=lambda k: (offsets[k], -buffers[k].size)):
        if offsets[k] >= end or number < 0:
            number += 1
        end = max(end, offsets[k] + buffers[k].size)
        found[k] = number
    return found


def _inside(spec: TensorSpec, placed: Mapping[TensorSpec, SpecAllocResult]) -> SpecAllocResult:
    """The place of a spec in that of its storage base, or of the base's base."""
    base, inside = spec, 0
    while base.storage_base is not None:
        inside += base.storage_base_offset
        base = base.storage_base
    return replace(placed[base], mem_offset=placed[base].mem_offset + inside)
