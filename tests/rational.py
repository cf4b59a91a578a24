"""Couplings in rational numbers: what is zero in them is zero, and no rounding hides it."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

Matrix = list[list[Fraction]]


def hebbian(patterns: np.ndarray) -> Matrix:
    """W = ΞᵀΞ / L without its diagonal."""
    L = patterns.shape[1]
    products = patterns.astype(int).T @ patterns.astype(int)
    return [[Fraction(int(products[i, j]), L) * (i != j) for j in range(L)] for i in range(L)]


def storkey(patterns: np.ndarray) -> Matrix:
    """W += (ξξᵀ - ξhᵀ - hξᵀ)/L, pattern by pattern."""
    L = patterns.shape[1]
    W = [[Fraction(0)] * L for _ in range(L)]
    for xi in patterns.tolist():
        f = fields(W, xi)
        h = [[f[i] - W[i][j] * xi[j] for j in range(L)] for i in range(L)]
        W = [[(W[i][j] + (xi[i] * xi[j] - xi[i] * h[j][i] - h[i][j] * xi[j]) / L) * (i != j)
              for j in range(L)] for i in range(L)]  # fmt: skip
    return W


def pseudo_inverse(patterns: np.ndarray) -> Matrix:
    """The projection onto the span of the patterns, by Gram and Schmidt, without its diagonal."""
    L = patterns.shape[1]
    basis: list[list[Fraction]] = []
    for xi in patterns.tolist():
        rest = [Fraction(s) for s in xi]
        for b in basis:
            along = dot(rest, b) / dot(b, b)
            rest = [r - along * x for r, x in zip(rest, b, strict=True)]
        if any(rest):
            basis.append(rest)
    return [[sum((b[i] * b[j] / dot(b, b) for b in basis), Fraction(0)) * (i != j)
             for j in range(L)] for i in range(L)]  # fmt: skip


def fields(W: Matrix, state: Sequence[int]) -> list[Fraction]:
    """h = Wσ."""
    return [dot(row, state) for row in W]


def dot(x: Sequence[Fraction], y: Sequence[Fraction | int]) -> Fraction:
    """Σ x_i y_i."""
    return sum((a * b for a, b in zip(x, y, strict=True)), Fraction(0))
