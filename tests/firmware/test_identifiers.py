"""C names: what a compiler accepts and tells apart, whatever a network calls its tensors."""

from __future__ import annotations

import re

from memplan.firmware.identifiers import LONGEST_STEM, c_text, file_stem, words

HOSTILE = [
    "int", "a.b", "a_b", "a-b", "a_b_2", "", " ", "*/ int x; /*", '"', "\\", "??/", "// \\\n#error", "%s%n", "ü", "名", "\0",
    "\ud800", "x" * 5000, "y" * 5000 + "x" * 5000, "0", "A", "a",
]  # fmt: skip


def test_words_are_parts_of_identifiers_and_no_two_alike() -> None:
    for longest in (12, 40):
        found = words(HOSTILE, longest)
        assert list(found) == HOSTILE
        assert all(re.fullmatch(r"[A-Za-z0-9_]+", word) and len(word) <= longest for word in found.values())
        assert len(set(found.values())) == len(HOSTILE)
    assert len(set(words(["axi", "AXI", "axi.", "Axi_2"], 20, upper=True).values())) == 4


def test_a_name_that_is_an_identifier_keeps_it() -> None:
    assert words(["a.b", "a_b", "a_b_2"], 40) == {"a.b": "a_b_3", "a_b": "a_b", "a_b_2": "a_b_2"}


def test_the_end_of_a_long_name_is_kept() -> None:
    assert words(["model/layer1/conv", "model/layer2/conv"], 11) == {
        "model/layer1/conv": "layer1_conv",
        "model/layer2/conv": "layer2_conv",
    }


def test_many_names_that_come_out_alike_take_no_longer_than_others() -> None:
    names = [chr(0x4E00 + k % 20000) * (1 + k // 20000) for k in range(20000)]
    assert len(set(words(names, 40).values())) == len(names)


def test_stems_are_names_of_files_and_functions() -> None:
    assert file_stem("MobileNet-v2 1.0") == "mobilenet_v2_1_0"
    assert file_stem("3d") == "n3d"
    for stem in HOSTILE:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", file_stem(stem)) and len(file_stem(stem)) <= LONGEST_STEM
    assert file_stem("x" * 50 + "1") != file_stem("x" * 50 + "2")


def test_text_is_ascii_without_letters_that_mean_something_in_c() -> None:
    for name in HOSTILE:
        text = c_text(name)
        assert text.isascii() and text.isprintable()
        assert not re.search(r'[*"?]|\\(?![0-7]{3})', text)
    assert c_text("a/b.c:0") == "a/b.c:0"
    assert len(c_text("x" * 5000)) == 100
