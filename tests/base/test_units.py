"""Sizes as people write them, and rounding up."""

from __future__ import annotations

import pytest

from memplan.base.errors import OptionError
from memplan.base.units import MAX_BYTES, align_up, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [("1", 1), ("262144", 262_144), (" 7 B ", 7), ("1.5KiB", 1536), ("1.5 kb", 1500), ("0.25MiB", 262_144),
     ("2gib", 2_147_483_648), ("3MB", 3_000_000), ("4611686018427387904", MAX_BYTES)],
)  # fmt: skip
def test_a_size_is_read_exactly(text: str, nbytes: int) -> None:
    assert parse_size(text) == nbytes


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "not a size"), ("KiB", "not a size"), ("-1", "not a size"), ("1e6", "not a size"), ("1TiB", "not a size"),
     ("0", "from 1 to 2"), ("0.1KiB", "from 1 to 2"), ("4611686018427387905", "from 1 to 2"),
     ("9" * 41, "not a size")],
)  # fmt: skip
def test_what_is_no_whole_number_of_bytes_is_refused(text: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        parse_size(text)


def test_sizes_for_people_have_a_binary_unit() -> None:
    sizes = (0, 1023, 1024, 1536, 2**20 - 1, 5 * 2**30, 2**50)
    written = ["0 B", "1023 B", "1 KiB", "1.5 KiB", "1024 KiB", "5 GiB", "1.049e+06 GiB"]
    assert [format_size(nbytes) for nbytes in sizes] == written


def test_rounding_up_gives_the_next_multiple() -> None:
    for alignment in (1, 2, 3, 16):
        for nbytes in range(70):
            expected = next(n for n in range(nbytes, nbytes + alignment) if n % alignment == 0)
            assert align_up(nbytes, alignment) == expected
