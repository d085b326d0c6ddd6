"""Counts of operators by hand."""

from __future__ import annotations

from memplan.tflite.flops import flops


def test_products() -> None:
    assert flops("CONV_2D", [(1, 8, 8, 3), (16, 3, 3, 3), (16,)], [(1, 8, 8, 16)]) == 2 * 8 * 8 * 16 * 27
    assert flops("DEPTHWISE_CONV_2D", [(1, 8, 8, 4), (1, 3, 3, 4)], [(1, 8, 8, 4)]) == 2 * 8 * 8 * 4 * 9
    assert flops("FULLY_CONNECTED", [(2, 64), (10, 64)], [(2, 10)]) == 2 * 2 * 10 * 64
    assert flops("TRANSPOSE_CONV", [(4,), (2, 3, 3, 5), (1, 4, 4, 5)], [(1, 8, 8, 2)]) == 2 * 16 * 2 * 9 * 5


def test_the_rest() -> None:
    assert flops("RESHAPE", [(4, 4)], [(16,)]) == 0 and flops("ADD", [(4, 4), (4,)], [(4, 4)]) == 16
    assert flops("MAX_POOL_2D", [(1, 4, 4, 3)], [(1, 2, 2, 3)], (2, 3)) == 12 * 6
    assert flops("MAX_POOL_2D", [(1, 4, 4, 3)], [(1, 2, 2, 3)]) is None
    assert flops("SOFTMAX", [(2, 4)], [(2, 4)]) == 40 and flops("LOG_SOFTMAX", [(2, 4)], [(2, 4)]) == 48
    assert flops("MEAN", [(4, 4), (1,)], [(4,)]) == 16
    assert flops("CUSTOM:mine", [(4, 4)], [(4,)]) is None and flops("CONV_2D", [None], [(4,)]) is None
