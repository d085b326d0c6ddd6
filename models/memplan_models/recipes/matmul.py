"""Fast matrix multiplication as programs over blocks: sums, products of blocks, sums.

A scheme <n, m, p; r> multiplies an n x m by an m x p matrix of blocks with r block products
(Strassen 1969; searched for by Fawzi et al. 2022, AlphaTensor, Nature 610). It is three integer
matrices U (r, n m), V (r, m p), W (r, n p): product t multiplies the sum of A's blocks that row t of U
weighs by the sum of B's blocks that row t of V weighs; C's blocks are the sums of products that the
columns of W weigh. Sums that several rows share are computed once, found greedily by pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import onnx

from memplan_models.recipes.builder import Builder
from memplan_models.recipes.recipe import Recipe

Matrix = np.ndarray[Any, np.dtype[np.int64]]
Signed = tuple[int, str]
"""A sign and a block."""


@dataclass(frozen=True)
class Scheme:
    """A bilinear algorithm for matrix products of `size` (n, m, p) blocks."""

    size: tuple[int, int, int]
    u: Matrix
    v: Matrix
    w: Matrix

    @property
    def rank(self) -> int:
        """Number of block products."""
        return len(self.u)

    def is_exact(self) -> bool:
        """Whether the scheme is matrix multiplication: Brent's equations, all of them."""
        n, m, p = self.size
        wanted = np.zeros((n * m, m * p, n * p), dtype=np.int64)
        for i, j, k in np.ndindex(n, m, p):
            wanted[i * m + j, j * p + k, i * p + k] = 1
        return np.array_equal(np.einsum("ta,tb,tc->abc", self.u, self.v, self.w), wanted)

    def __matmul__(self, inner: Scheme) -> Scheme:
        """This scheme over blocks that are themselves multiplied by `inner`."""

        def nested(outer: Matrix, inside: Matrix, a: tuple[int, int], b: tuple[int, int]) -> Matrix:
            both = np.einsum("sij,tkl->stikjl", outer.reshape(-1, *a), inside.reshape(-1, *b))
            return both.reshape(len(outer) * len(inside), -1)

        (n, m, p), (x, y, z) = self.size, inner.size
        return Scheme(
            (n * x, m * y, p * z),
            nested(self.u, inner.u, (n, m), (x, y)),
            nested(self.v, inner.v, (m, p), (y, z)),
            nested(self.w, inner.w, (n, p), (x, z)),
        )


def classical(n: int, m: int, p: int) -> Scheme:
    """Every product of a row's block by a column's block: n m p of them."""
    places = list(np.ndindex(n, m, p))
    u, v, w = (np.zeros((len(places), size), dtype=np.int64) for size in (n * m, m * p, n * p))
    for t, (i, j, k) in enumerate(places):
        u[t, i * m + j] = v[t, j * p + k] = w[t, i * p + k] = 1
    return Scheme((n, m, p), u, v, w)


def _forms(text: str, columns: int, width: int) -> Matrix:
    """Rows of coefficients from linear forms such as "a11+a12-b21", numbered from 1."""
    rows = []
    for form in text.split():
        row = np.zeros(width, dtype=np.int64)
        for term in form.replace("-", "+-").split("+"):
            if term:
                sign = -1 if term[0] == "-" else 1
                i, j = term[-2:]
                row[(int(i) - 1) * columns + int(j) - 1] = sign
        rows.append(row)
    return np.array(rows)


def _products(text: str, rank: int, blocks: int) -> Matrix:
    """W from C's blocks as sums of numbered products, such as "1+4-5+7"."""
    w = np.zeros((rank, blocks), dtype=np.int64)
    for block, form in enumerate(text.split()):
        for term in form.replace("-", "+-").split("+"):
            if term:
                w[abs(int(term)) - 1, block] = 1 if int(term) > 0 else -1
    return w


STRASSEN = Scheme(
    (2, 2, 2),
    _forms("a11+a22 a21+a22 a11 a22 a11+a12 -a11+a21 a12-a22", 2, 4),
    _forms("b11+b22 b11 b12-b22 -b11+b21 b22 b11+b12 b21+b22", 2, 4),
    _products("1+4-5+7 3+5 2+4 1-2+3+6", 7, 4),
)
"""Strassen 1969, "Gaussian elimination is not optimal"."""

WINOGRAD = Scheme(
    (2, 2, 2),
    _forms("a11 a12 -a11+a21+a22 a11-a21 a21+a22 a11+a12-a21-a22 a22", 2, 4),
    _forms("b11 b21 b11-b12+b22 -b12+b22 -b11+b12 b22 b11-b12-b21+b22", 2, 4),
    _products("1+2 1+3+5+6 1+3+4-7 1+3+4+5", 7, 4),
)
"""Winograd's variant, which takes 15 sums where they are shared (Knuth, TAOCP 2, section 4.6.4)."""

LADERMAN = Scheme(
    (3, 3, 3),
    _forms(
        "a11+a12+a13-a21-a22-a32-a33 a11-a21 a22 -a11+a21+a22 a21+a22 a11 -a11+a31+a32 -a11+a31 a31+a32 "
        "a11+a12+a13-a22-a23-a31-a32 a32 -a13+a32+a33 a13-a33 a13 a32+a33 -a13+a22+a23 a13-a23 a22+a23 "
        "a12 a23 a21 a31 a33", 3, 9),
    _forms(
        "b22 -b12+b22 -b11+b12+b21-b22-b23-b31+b33 b11-b12+b22 -b11+b12 b11 b11-b13+b23 b13-b23 -b11+b13 "
        "b23 -b11+b13+b21-b22-b23-b31+b32 b22+b31-b32 b22-b32 b31 -b31+b32 b23+b31-b33 b23-b33 -b31+b33 "
        "b21 b32 b13 b12 b33", 3, 9),
    _products(
        "6+14+19 1+4+5+6+12+14+15 6+7+9+10+14+16+18 2+3+4+6+14+16+17 2+4+5+6+20 14+16+17+18+21 "
        "6+7+8+11+12+13+14 12+13+14+15+22 6+7+8+9+23", 23, 9),
)  # fmt: skip
"""Laderman 1976, "A noncommutative algorithm for multiplying 3 x 3 matrices using 23 multiplications"."""


class _Sums:
    """Signed sums of blocks; a sum or difference of two blocks is computed once."""

    def __init__(self, b: Builder) -> None:
        self.b = b
        self._known: dict[tuple[Signed, Signed], str] = {}

    def all(self, rows: Iterable[Mapping[str, int]]) -> list[Signed]:
        """The value of each row, a map from blocks to signs: (sign, block)."""
        forms = [dict(row) for row in rows]
        while pair := self._most_shared(forms):
            (_, left), (sign, right) = pair
            made = self._pair(pair)
            for form in forms:
                if form.get(left, 0) * form.get(right, 0) == sign:
                    form[made] = form.pop(left)
                    del form[right]
        return [self._chain(form) for form in forms]

    def _most_shared(self, forms: list[dict[str, int]]) -> tuple[Signed, Signed] | None:
        """The pair of blocks, with the sign between them, that most forms hold; None if no two share one."""
        counts = Counter(
            ((1, x), (form[x] * form[y], y)) for form in forms for x, y in combinations(sorted(form), 2)
        )
        pair, count = min(counts.items(), key=lambda item: (-item[1], item[0]), default=(None, 0))
        return pair if count > 1 else None

    def _pair(self, pair: tuple[Signed, Signed]) -> str:
        if pair not in self._known:
            (_, left), (sign, right) = pair
            kind = "Add" if sign > 0 else "Sub"
            self._known[pair] = self.b.op(kind, [left, right], self.b.shape[left])
        return self._known[pair]

    def _chain(self, form: Mapping[str, int]) -> Signed:
        """One form, a positive block first; a form of negative blocks alone is the sum, negated."""
        first, *rest = sorted(form, key=lambda block: (-form[block], block))
        lead, total = form[first], first
        for block in rest:
            total = self._pair(((1, total), (lead * form[block], block)))
        return lead, total


def program(name: str, scheme: Scheme, block: int) -> onnx.ModelProto:
    """C = A B by the scheme, over square blocks of `block` float32 elements a side."""
    b = Builder(name)
    n, m, p = scheme.size
    a_blocks = _blocks(b, b.input("a", (n * block, m * block)), n, m)
    b_blocks = _blocks(b, b.input("b", (m * block, p * block)), m, p)
    sums = _Sums(b)
    lefts = sums.all(_rows(scheme.u, a_blocks))
    rights = sums.all(_rows(scheme.v, b_blocks))
    signs, products = [], []
    for (s, left), (t, right) in zip(lefts, rights, strict=True):
        signs.append(s * t)
        products.append(b.op("MatMul", [left, right], (block, block)))
    w = scheme.w * np.array(signs)[:, None]
    results = []
    for sign, value in sums.all(_rows(w.T, products)):
        results.append(value if sign > 0 else b.op("Neg", [value], b.shape[value]))
    rows = [b.concat(results[i * p : (i + 1) * p], axis=1) if p > 1 else results[i] for i in range(n)]
    return b.finish(c=b.concat(rows, axis=0))


def _blocks(b: Builder, x: str, rows: int, columns: int) -> list[str]:
    """The blocks of a matrix, row by row."""
    return [block for row in b.split(x, rows, axis=0) for block in b.split(row, columns, axis=1)]


def _rows(coefficients: Matrix, blocks: list[str]) -> list[dict[str, int]]:
    return [{blocks[i]: int(row[i]) for i in np.flatnonzero(row)} for row in coefficients]


SCHEMES = {
    "matmul_222_rank7_strassen": (STRASSEN, 64),
    "matmul_222_rank7_winograd": (WINOGRAD, 64),
    "matmul_333_rank23_laderman": (LADERMAN, 64),
    "matmul_444_rank49_strassen": (STRASSEN @ STRASSEN, 32),
    "matmul_444_rank49_winograd": (WINOGRAD @ WINOGRAD, 32),
    "matmul_444_rank64_classical": (classical(4, 4, 4), 32),
    "matmul_666_rank161_mixed": (STRASSEN @ LADERMAN, 16),
    "matmul_888_rank343_strassen": (STRASSEN @ STRASSEN @ STRASSEN, 16),
}
"""Scheme and block size by model."""


def _recipe(name: str, paper: str, summary: str) -> Recipe:
    scheme, block = SCHEMES[name]
    return Recipe(name, "matmul", "float32", paper, summary, lambda: program(name, scheme, block))


RECIPES = (
    _recipe("matmul_222_rank7_strassen", "Strassen 1969, Numer. Math. 13",
            "2 x 2 blocks of 64 by Strassen's 7 products"),
    _recipe("matmul_222_rank7_winograd", "Winograd 1971; Knuth, TAOCP 2, section 4.6.4",
            "2 x 2 blocks of 64 by Winograd's 7 products and 15 sums"),
    _recipe("matmul_333_rank23_laderman", "Laderman 1976, Bull. AMS 82",
            "3 x 3 blocks of 64 by Laderman's 23 products"),
    _recipe("matmul_444_rank49_strassen", "Strassen 1969, twice",
            "4 x 4 blocks of 32 by 49 products"),
    _recipe("matmul_444_rank49_winograd", "Winograd 1971, twice",
            "4 x 4 blocks of 32 by 49 products with fewer sums"),
    _recipe("matmul_444_rank64_classical", "row by column",
            "4 x 4 blocks of 32 by all 64 products"),
    _recipe("matmul_666_rank161_mixed", "Strassen 1969 over Laderman 1976",
            "6 x 6 blocks of 16 by 161 products"),
    _recipe("matmul_888_rank343_strassen", "Strassen 1969, three times",
            "8 x 8 blocks of 16 by 343 products"),
)  # fmt: skip
