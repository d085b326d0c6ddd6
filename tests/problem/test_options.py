"""The options of a call: words that are known, and how a plan file records them."""

from __future__ import annotations

from typing import Any

import pytest

from memplan.base.errors import OptionError
from memplan.problem.options import CHOICES, Options


@pytest.mark.parametrize("key", CHOICES)
def test_each_word_that_is_known_is_taken_and_no_other(key: str) -> None:
    for word in CHOICES[key]:
        known: dict[str, Any] = {key: word}
        assert getattr(Options(**known), key) == word
        wrong: dict[str, Any] = {key: word[:-1]}
        with pytest.raises(OptionError, match=f"unknown {key} '{word[:-1]}'\nhint: did you mean '{word}'"):
            Options(**wrong)


def test_in_place_is_true_or_false_and_pins_are_words() -> None:
    wrong: dict[str, Any] = {"inplace": "on"}
    with pytest.raises(OptionError, match="inplace = 'on'"):
        Options(**wrong)
    with pytest.raises(OptionError, match="stay"):
        Options(pins={"a": "stay there"})


def test_what_is_rarely_given_is_recorded_only_where_it_is() -> None:
    plain = {
        "objective": "traffic",
        "weights": "ignore",
        "io": "host",
        "inplace": False,
        "order": "free",
        "dims": {},
    }
    assert Options().to_dict() == plain
    told = Options(bounds={"t": (1, 2)}, donate=("x",), pins={"a": "keep@64"}, dims={"N": 1}).to_dict()
    assert told == plain | {
        "bounds": {"t": [1, 2]},
        "donate": ["x"],
        "pins": {"a": "keep@64"},
        "dims": {"N": 1},
    }


def test_recomputation_and_joins_are_recorded_where_they_are_asked_for() -> None:
    asked = Options(join=True, recompute=None, compute_limit=1.5)
    assert asked.to_dict() == Options().to_dict() | {"join": True, "recompute": "any", "compute_limit": 1.5}
    factors = [
        Options(recompute=k, objective=o).cost_factor
        for k, o in ((1, "traffic"), (2, "traffic"), (2, "compute"))
    ]
    assert factors == [None, 1.2, None] and asked.cost_factor == 1.5
    for wrong in ({"recompute": 0}, {"compute_limit": 0.5}, {"join": "on"}):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            Options(**wrong)  # type: ignore[arg-type]
