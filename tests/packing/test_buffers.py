"""Buffers: what makes sense of them, and which bytes are used when."""

from __future__ import annotations

from typing import Any

import pytest

from memplan.base.errors import GraphError
from memplan.packing.buffers import Buffer, Gap, Segment


def test_segments_are_the_lifetime_without_gaps_and_the_windows() -> None:
    buffer = Buffer("b", 2, 12, 8, gaps=(Gap(3, 5, 0, 0), Gap(5, 7, 2, 6), Gap(9, 12, 0, 0)))
    assert buffer.segments == (Segment(2, 3, 0, 8), Segment(5, 7, 2, 6), Segment(7, 9, 0, 8))
    assert Buffer("whole", 0, 3, 4).segments == (Segment(0, 3, 0, 4),)
    assert Buffer("nothing", 0, 3, 0).segments == ()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"start": -1}, "lives in"), ({"start": 4}, "lives in"), ({"size": -1}, "size -1"), ({"alignment": 0}, "alignment 0"),
     ({"alignment": 4, "offset": 2}, "fixed at 2"), ({"offset": -4}, "fixed at -4"), ({"size": 2**63}, "size"),
     ({"gaps": (Gap(0, 5, 0, 0),)}, "gap 0-5"), ({"gaps": (Gap(1, 1, 0, 0),)}, "gap 1-1"),
     ({"gaps": (Gap(1, 2, 0, 9),)}, "gap 1-2@0:9"), ({"gaps": (Gap(2, 3, 0, 0), Gap(1, 2, 0, 0))}, "gap 1-2")],
)  # fmt: skip
def test_a_buffer_that_makes_no_sense_is_refused(wrong: dict[str, Any], words: str) -> None:
    right: dict[str, Any] = {"name": "b", "start": 0, "stop": 4, "size": 8}
    assert Buffer(**right).segments
    with pytest.raises(GraphError, match=f"buffer 'b' .*{words}"):
        Buffer(**right | wrong)
