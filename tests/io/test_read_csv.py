"""Buffers from CSV and back."""

from __future__ import annotations

import random

import pytest

from memplan.base.errors import GraphError
from memplan.io.read_csv import read_buffers
from memplan.io.write_csv import packing_text
from memplan.packing.buffers import Buffer, Gap
from memplan.packing.packer import pack_buffers
from tests.solvers.offsets.instances import tiny


def read(tmp_path, text):
    path = tmp_path / "x.csv"
    path.write_text(text)
    return read_buffers(path)


def test_every_column(tmp_path):
    text = 'id,lower,upper,size,alignment,offset,gaps\n"a,b",0,9,8,4,16,2-4 5-7@2:6\nc,1,2,3,,,\n'
    assert read(tmp_path, text) == [
        Buffer("a,b", 0, 9, 8, 4, 16, (Gap(2, 4, 0, 0), Gap(5, 7, 2, 6))),
        Buffer("c", 1, 2, 3),
    ]


def test_inclusive_end(tmp_path):
    assert read(tmp_path, "id,lower,end,size\nx,3,3,1\n") == [Buffer("x", 3, 4, 1)]
    gapped = read(tmp_path, "id,lower,end,size,gaps\nx,0,8,1,2-3\n")
    assert gapped == [Buffer("x", 0, 9, 1, gaps=(Gap(2, 4, 0, 0),))]


@pytest.mark.parametrize("header", ["buffer,start,upper,size", "buffer_id,begin,upper,size"])
def test_other_names_of_columns(tmp_path, header):
    assert read(tmp_path, header + "\nx,3,5,1\n") == [Buffer("x", 3, 5, 1)]
    with pytest.raises(GraphError, match="each once"):
        read(tmp_path, "id," + header + "\n")


@pytest.mark.slow
def test_what_is_written_reads_back(tmp_path):
    compared = 0
    for seed in range(200):
        buffers = tiny(random.Random(seed))
        found = pack_buffers(buffers, workers=1)
        if not found.offsets:
            continue
        again = read(tmp_path, packing_text(buffers, found.offsets))
        assert [b.offset for b in again] == list(found.offsets)
        assert pack_buffers(again, found.peak, workers=1).offsets == found.offsets
        compared += 1
    assert compared > 100


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("id,lower,size\n", "it needs id, lower, upper"),
        ("id,lower,upper,end,size\n", "it needs id, lower, upper"),
        ("id,lower,upper,sise\n", "unknown column 'sise'"),
        ("id,lower,upper,size\na,0,1\n", "line 2 has 3 cells"),
        ("id,lower,upper,size\na,0,1,-3\n", "line 2: size is '-3'"),
        ("id,lower,upper,size\na,0,1,nan\n", "size is 'nan'"),
        ("id,lower,upper,size\na,2,1,3\n", "lives in \\[2, 1\\)"),
        ("id,lower,upper,size\na,0,1,99999999999999999999\n", "up to 2\\^62"),
        ("id,lower,upper,size\na,0,1,3\na,0,1,3\n", "line 3: the id 'a' is used twice"),
        ("id,lower,upper,size,alignment\na,0,1,3,0\n", "alignment 0"),
        ("id,lower,upper,size,alignment,offset\na,0,1,3,4,2\n", "fixed at 2"),
        ("id,lower,upper,size,gaps\na,0,4,3,1-x\n", "is not a gap"),
        ("id,lower,upper,size,gaps\na,0,4,3,2-9\n", "gaps lie in the lifetime"),
    ],
)
def test_bad_files_are_refused_with_the_place(tmp_path, text, words):
    with pytest.raises(GraphError) as caught:
        read(tmp_path, text)
    import re

    assert re.search(words, f"{caught.value.message} {caught.value.hint}")


def test_unreadable_files(tmp_path):
    with pytest.raises(GraphError, match="cannot read"):
        read_buffers(tmp_path / "nowhere.csv")
    path = tmp_path / "binary.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GraphError, match="cannot read"):
        read_buffers(path)
