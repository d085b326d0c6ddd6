"""Text for people: what would be obeyed or not seen is spelled out, and reads back in JSON."""

from __future__ import annotations

import json
import unicodedata

from memplan.base.text import json_escape, visible


def test_controls_and_marks_without_a_shape_are_spelled_out() -> None:
    told = {chr(code) for code in range(0x10000) if visible(chr(code)) != chr(code)}
    controls = {chr(code) for code in range(0x10000) if unicodedata.category(chr(code)) == "Cc"}
    assert controls - told == {"\t", "\n"}
    assert told >= set("\u202e\u2066\u200b\u2028\ufeff\ud800\x7f\x9b")
    assert told.isdisjoint("aä漢é\u0301 \xa0") and visible("🙂") == "🙂"


def test_other_letters_stay_as_they_are() -> None:
    assert visible("a\x1b[31mb\tc\n") == "a\\u001b[31mb\tc\n"


def test_what_is_spelled_out_is_the_same_letter_in_json() -> None:
    for letter in "\x00\x1b\u202e\ud83d\U000e0041":
        assert json.loads(f'"{json_escape(letter)}"') == letter
    assert json_escape("\U000e0041") == "\\udb40\\udc41"
