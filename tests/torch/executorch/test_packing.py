"""Specs of ExecuTorch packed by memplan's packer, and at places that a plan has."""

from __future__ import annotations

import random

import pytest
import torch
from executorch.exir.memory_planning import SpecAllocResult, Verifier
from executorch.exir.tensor import TensorSpec

from memplan.base.errors import PlanError
from memplan.torch.executorch.packing import packed


def spec(nbytes: int, first: int, last: int) -> TensorSpec:
    made = TensorSpec(torch.uint8, torch.Size([nbytes]))
    made.lifetime = [first, last]
    return made


def write(answer: dict[TensorSpec, SpecAllocResult]) -> None:
    for s, place in answer.items():
        s.mem_id, s.mem_offset, s.mem_obj_id = place.mem_id, place.mem_offset, place.mem_obj_id


def test_random_specs_lie_apart_by_executorchs_own_verifier() -> None:
    rng = random.Random(0)
    for _ in range(50):
        specs = []
        for _ in range(rng.randint(1, 12)):
            first = rng.randint(0, 9)
            specs.append(spec(rng.randint(1, 90), first, rng.randint(first, 9)))
            specs[-1].mem_id = rng.choice([None, 1, 3])
        reserved = [0, rng.randint(0, 3) * 16]
        answer = packed(16, specs, reserved, 64, {})
        write(answer.spec_dict)
        for i, a in enumerate(specs):
            assert a.mem_offset % 16 == 0 and a.mem_id in (1, 3)
            assert a.mem_offset + a.allocated_memory + 64 <= answer.bufsizes[a.mem_id]
            assert a.mem_id != 1 or a.mem_offset >= reserved[1]
            for b in specs[:i]:
                apart = not Verifier.storage_overlap(a, b)
                assert apart or not Verifier.lifetime_overlap(a, b)
                assert apart or a.mem_obj_id == b.mem_obj_id


def test_neighbours_in_time_share_no_byte_since_lifetimes_are_inclusive() -> None:
    a, b, c = spec(16, 0, 2), spec(16, 2, 4), spec(16, 3, 5)
    answer = packed(16, [a, b, c], [], 0, {})
    assert answer.bufsizes == [0, 32] and answer.spec_dict[a].mem_offset == answer.spec_dict[c].mem_offset


def test_a_chain_of_storage_bases_lies_in_its_first() -> None:
    a, b, c = spec(64, 0, 9), spec(48, 2, 4), spec(16, 3, 4)
    b.storage_base, b.storage_base_offset = a, 16
    c.storage_base, c.storage_base_offset = b, 32
    other = spec(32, 0, 9)
    answer = packed(16, [c, other, b, a], [0, 32], 0, {a: (2, 80)})
    assert [answer.spec_dict[s].mem_offset for s in (a, b, c)] == [80, 96, 128]
    assert {answer.spec_dict[s].mem_id for s in (a, b, c)} == {2}
    assert answer.bufsizes == [0, 64, 144]


def test_places_that_overlap_are_refused() -> None:
    a, b = spec(32, 0, 3), spec(32, 3, 5)
    with pytest.raises(PlanError, match="overlap"):
        packed(16, [a, b], [], 0, {a: (1, 0), b: (1, 16)})


def test_what_has_no_place_is_packed_around_what_has() -> None:
    a, b = spec(32, 0, 3), spec(16, 1, 2)
    answer = packed(16, [a, b], [], 0, {a: (1, 16)})
    assert answer.spec_dict[b].mem_offset == 0 and answer.bufsizes == [0, 48]


def test_nothing_takes_no_bytes() -> None:
    assert packed(16, [], [0, 32], 64, {}).bufsizes == [0, 32]
