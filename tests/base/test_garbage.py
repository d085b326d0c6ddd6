"""The collector rests within, and afterwards is as it was before."""

from __future__ import annotations

import gc

import pytest

from memplan.base.garbage import collection_paused


def test_nothing_is_collected_within_and_all_is_as_before_afterwards() -> None:
    assert gc.isenabled()
    with collection_paused():
        assert not gc.isenabled()
        with collection_paused():
            pass
        assert not gc.isenabled()  # one within another ends with the outer one
    assert gc.isenabled()
    with pytest.raises(ValueError), collection_paused():
        raise ValueError
    assert gc.isenabled()


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    try:
        with collection_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
