"""The matrix programs: their schemes satisfy Brent's equations, their graphs multiply."""

from __future__ import annotations

import gzip
from collections import Counter
from dataclasses import replace
from importlib import resources

import numpy as np
import onnxruntime
import pytest
from memplan_models.recipes.matmul import LADERMAN, SCHEMES, STRASSEN, WINOGRAD, Scheme, classical, program

from memplan.library.zoo import load_zoo_model


@pytest.mark.parametrize("name", SCHEMES)
def test_schemes_are_exact_and_named_by_size_and_rank(name: str) -> None:
    scheme, block = SCHEMES[name]
    assert scheme.is_exact()
    n, m, p = scheme.size
    assert name.startswith(f"matmul_{n}{m}{p}_rank{scheme.rank}_")
    graph = load_zoo_model(name).graph
    products = [op for op in graph.ops if op.kind == "MatMul"]
    assert len(products) == scheme.rank and {op.flops for op in products} == {2 * block**3}


@pytest.mark.parametrize("scheme", [STRASSEN, WINOGRAD, LADERMAN], ids=["strassen", "winograd", "laderman"])
def test_a_wrong_sign_anywhere_is_noticed(scheme: Scheme) -> None:
    for field in ("u", "v", "w"):
        matrix = getattr(scheme, field)
        for place in zip(*np.nonzero(matrix), strict=True):
            wrong = matrix.copy()
            wrong[place] *= -1
            assert not replace(scheme, **{field: wrong}).is_exact()


def product(model: bytes, rows: int, inner: int, columns: int) -> bool:
    """Whether the model multiplies integers small enough that float32 holds every sum exactly."""
    rng = np.random.default_rng(7)
    a, b = (rng.integers(-4, 5, shape).astype(np.float32) for shape in ((rows, inner), (inner, columns)))
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.array_equal(session.run(None, {"a": a, "b": b})[0], a @ b)


@pytest.mark.parametrize("name", SCHEMES)
def test_programs_multiply(name: str) -> None:
    scheme, block = SCHEMES[name]
    file = resources.files("memplan_models") / "graphs" / f"{name}.onnx.gz"
    assert product(gzip.decompress(file.read_bytes()), *(block * n for n in scheme.size))


def test_shared_sums_are_computed_once() -> None:
    def sums(name: str) -> int:
        kinds = Counter(op.kind for op in load_zoo_model(name).graph.ops)
        return kinds["Add"] + kinds["Sub"]

    assert sums("matmul_222_rank7_strassen") == 18
    assert sums("matmul_222_rank7_winograd") == 15
    assert sums("matmul_444_rank64_classical") == 48
    naive = sum(int(np.count_nonzero(x)) for x in (LADERMAN.u, LADERMAN.v, LADERMAN.w))
    assert sums("matmul_333_rank23_laderman") < naive - 2 * LADERMAN.rank - 9


def test_rectangular_programs_multiply_too() -> None:
    scheme = classical(1, 2, 3) @ STRASSEN
    assert scheme.size == (2, 4, 6) and scheme.rank == 42 and scheme.is_exact()
    assert product(program("rectangular", scheme, 3).SerializeToString(), 6, 12, 18)


def test_a_wrong_program_is_noticed() -> None:
    wrong = replace(STRASSEN, w=np.roll(STRASSEN.w, 1, axis=1))
    assert not product(program("wrong", wrong, 3).SerializeToString(), 6, 6, 6)
