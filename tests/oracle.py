"""Slow twins, each written from the definition: sums over all states, one line per equation.

Nothing here is imported by the packages, and nothing here imports their loops.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hopfield.recall import ROUNDING
from hopfield.separation import OverlapTable

Array = NDArray[np.float64]


def states(V: int, L: int) -> NDArray[np.int64]:
    """All V^L sequences in lexicographic order, (V^L, L)."""
    return np.array(list(itertools.product(range(V), repeat=L))).reshape(-1, L)


def kernel(alpha: float, V: int) -> Array:
    """[T1], entry by entry."""
    return np.array([[alpha * (i == j) + (1 - alpha) / V for j in range(V)] for i in range(V)])


def nelbo(p: Array, x0: int, z: int, alpha: float, dalpha: float) -> float:
    """[T8] as it is written, in extended precision."""
    p, alpha = p.astype(np.longdouble), np.longdouble(alpha)
    V = len(p)
    x_bar = V * alpha * p + 1 - alpha
    clean = V * alpha * np.eye(V, dtype=np.longdouble)[x0] + 1 - alpha
    r, r0 = x_bar / x_bar[z], clean / clean[z]
    return float(-dalpha / (V * alpha) * np.sum(r - r0 - r0 * np.log(r / r0)))


def marginal(law: Array, V: int, L: int, alpha: float) -> Array:
    """p_t over all states: the law carried through one kernel per position."""
    grid = law.reshape((V,) * L)
    for axis in range(L):
        grid = np.moveaxis(np.tensordot(grid, kernel(alpha, V), axes=(axis, 0)), -1, axis)
    return grid.reshape(-1)


def evidence(z: NDArray[np.int64], x: NDArray[np.int64], V: int, alpha: float) -> Array:
    """q(z_i | x_i) for every position, (…, L)."""
    return np.where(z == x, alpha, 0.0) + (1 - alpha) / V


def conditionals(
    law: Array, V: int, z: NDArray[np.int64], alpha: float, *, leave_out: bool
) -> Array:
    """P(x0_i = v | z without i) or P(x0_i = v | z), (L, V), by summing over all clean states."""
    L = len(z)
    x = states(V, L)
    q = evidence(z[None, :], x, V, alpha)
    out = np.zeros((L, V))
    for i in range(L):
        kept = np.delete(q, i, axis=1) if leave_out else q
        weight = law * kept.prod(axis=1)
        for v in range(V):
            out[i, v] = weight[x[:, i] == v].sum()
    return out / out.sum(axis=1, keepdims=True)


def exact_bound(
    conditional: Callable[[NDArray[np.int64], float], Array], law: Array, V: int, L: int
) -> float:
    """∫ E[ℓ] dt for α = 1 - t, in nats per sequence: all pairs of states, quadrature in t.

    t = u³ clusters the 60 Gauss-Legendre points at t = 0, where the integrand has a logarithm [T9].
    """
    x = states(V, L)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    total = 0.0
    for u, w in zip((nodes + 1) / 2, weights / 2, strict=True):
        t, alpha = u**3, 1 - u**3
        for z in x:
            p = conditional(z, alpha)
            chance = law * evidence(z[None, :], x, V, alpha).prod(axis=1)
            for i in range(L):
                loss = np.array([nelbo(p[i], v, z[i], alpha, -1.0) for v in range(V)])
                total += w * 3 * u**2 * float((chance * loss[x[:, i]]).sum())
        assert 0 < t < 1
    return total


def dataset_law(patterns: NDArray[np.int64], V: int) -> Array:
    """The law that puts 1/P on each pattern, repeated ones counted."""
    P, L = patterns.shape
    law = np.zeros(V**L)
    np.add.at(law, patterns @ (V ** np.arange(L - 1, -1, -1)), 1 / P)
    return law


def energy(x: NDArray[np.int64], patterns: NDArray[np.int64], beta: float) -> float:
    """[T19] for one state."""
    m = (patterns == x).sum(axis=1).astype(float)
    return -(m.max() + math.log(np.exp(beta * (m - m.max())).sum()) / beta)


def potential(F: object, z: Array) -> float:
    """Q of a separation function, from its definition [T17], [T18]."""
    return float(extended_potential(F, z))


def extended_potential(F: object, z: Array) -> np.longdouble:
    """Q in extended precision."""
    z = np.asarray(z, dtype=np.longdouble)
    name, beta = type(F).__name__, np.longdouble(getattr(F, "beta", 1.0))
    if name == "Power":
        z = np.maximum(z, 0) if F.rectified else z
        return (z**F.n).sum() / F.n
    if name == "LogSumReLU":
        inside = np.maximum(0, 1 + beta * (z - np.longdouble(F.origin))).sum()
        return np.log(inside) / beta if inside > 0 else np.longdouble(-math.inf)
    return z.max() + np.log(np.exp(beta * (z - z.max())).sum()) / beta


def log_two_cosh(f: Array) -> Array:
    """log(e^f + e^-f), in extended precision."""
    f = np.asarray(f, dtype=np.longdouble)
    return np.log(np.exp(f) + np.exp(-f))


def pseudo_likelihood(W: Array, xi: NDArray[np.int8], beta: float) -> float:
    """[T22] for spins, pattern by pattern and spin by spin."""
    total = 0.0
    for pattern in xi:
        for i in range(len(pattern)):
            f = beta * sum(W[i, j] * pattern[j] for j in range(len(pattern)) if j != i)
            total += pattern[i] * f - float(log_two_cosh(f))
    return -total / len(xi)


def token_pseudo_likelihood(W: Array, b: Array, xi: NDArray[np.int64]) -> float:
    """[T22] for tokens: couplings W[j, a, i, v], biases b[i, v]."""
    total = 0.0
    for pattern in xi:
        for i in range(len(pattern)):
            f = b[i] + sum(W[j, pattern[j], i] for j in range(len(pattern)) if j != i)
            total += f[pattern[i]] - np.log(np.exp(f - f.max()).sum()) - f.max()
    return -total / len(xi)


def descend(
    states: NDArray[np.int64],
    order: NDArray[np.int64],
    patterns: NDArray[np.int64],
    V: int,
    table: OverlapTable,
) -> NDArray[np.int64]:
    """The states (B, L) after a sweep in order (B, …), each site by the sum over all patterns.

    Fields closer than the rounding of a sum of P terms tie, and a tie keeps the present value.
    """
    out = states.copy()
    for x, sites in zip(out, order, strict=True):
        for i in sites:
            others = np.arange(len(x)) != i
            m = (patterns[:, others] == x[others]).sum(axis=1)
            shift = len(x) - m.max() if table.log_ratio > 0 else 0
            weight = table.delta_f[m + shift]
            h = np.bincount(patterns[:, i], weight, V)
            tie = ROUNDING * len(patterns) * np.abs(weight).sum()
            if h.max() - h[x[i]] > tie:
                x[i] = h.argmax()
    return out
