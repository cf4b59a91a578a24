"""Nodes that pull each other: one step of attention as a step down an energy [T49], [T50].

    E(z, z') = ‖z - z'‖² + λ Σ_ij δ(‖z_i - z_j‖²)       z' where the nodes were before
    f_ij     = δ'(‖z_i - z_j‖²),   d_i = Σ_j f_ij       pull of j on i, and all pulls on i
    z_i     ← z_i + τ (Σ_j f_ij z_j / d_i - z_i)        the step: the share τ of the way to the mean

Wu et al. 2023 (DIFFormer), with δ concave and rising from δ(0) = 0. Nodes are free or clamped;
clamped ones pull and do not move. A node may see itself or not: E is the same, d is not.

*Why E falls.* δ is concave, so its sum lies below the sum of f_ij ‖z_i - z_j‖², f kept, up to a
constant. Along the step that is a parabola in τ that falls by 4 τ (1 - τ) Σ_i d_i ‖m_i‖² at least,
m_i the way to the mean, while ‖z - z'‖² costs τ² Σ_i ‖m_i‖². So E falls for

    τ ≤ 4 λ d_min / (1 + 4 λ d_min)                     `safe_step`

and two nodes that see only each other attain the bound. The sum over pairs alone falls for τ ≤ 1.
All of it needs f_ij = f_ji = δ': nothing follows for separate queries and keys, nor for a matrix
of values. One free node among clamped patterns takes, for Gaussian δ and τ = 1, the step of a
`DensityMemory`; free nodes alone have, if f > 0, no rest but all in one place.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike

import argument_checks as checks
from hopfield.frozen import Frozen
from hopfield.separation import Floats

_NO_PULL = 1e-290  # less has lost its digits
_SMALL = 1e-140  # of this and its inverse, squares and sums of squares are float64


class Distance(NamedTuple):
    """δ, concave and rising on r ≥ 0 with δ(0) = 0, and its slope f = δ'; both of arrays r."""

    delta: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]


def gaussian(beta: float = 1.0) -> Distance:
    """Return f = e^{-βr/2}, δ = (2/β) (1 - f), β > 0."""
    b = checks.positive(beta, "beta") / 2
    return Distance(lambda r: -np.expm1(-b * r) / b, lambda r: np.exp(-b * r))


def inverse(beta: float = 1.0) -> Distance:
    """Return f = 1/(1 + βr/2), δ = (2/β) log(1 + βr/2), β > 0."""
    b = checks.positive(beta, "beta") / 2
    return Distance(lambda r: np.log1p(b * r) / b, lambda r: 1 / (1 + b * r))


def truncated(beta: float = 1.0) -> Distance:
    """Return f = 1[r < 2/β], δ = min(r, 2/β), β > 0: all who are near pull alike."""
    far = 2 / checks.positive(beta, "beta")
    return Distance(lambda r: np.minimum(r, far), lambda r: np.where(r < far, 1.0, 0.0))


SIMPLE = Distance(lambda r: 4 - np.maximum(0, 2 - r / 2) ** 2, lambda r: np.maximum(0, 2 - r / 2))
ADVANCED = Distance(
    lambda r: 2 * (np.logaddexp(0, 1) - np.logaddexp(0, 1 - r / 2)),
    lambda r: scipy.special.expit(1 - r / 2),
)
"""The kernels of `simple` and `advanced`, 1 + z_i·z_j and sigmoid(z_i·z_j), on unit vectors."""


class Propagation(Frozen):
    """Free nodes (N, D) under E with δ and λ ≥ 0, pulled by clamped ones (P, D) if there are any.

    If not `sees_itself`, a node leaves itself out of its mean. One that nothing pulls stays.
    """

    def __init__(
        self,
        delta: Distance,
        lam: float = 1.0,
        clamped: ArrayLike | None = None,
        sees_itself: bool = True,
    ) -> None:
        if not isinstance(delta, Distance):
            raise TypeError(f"delta must be a Distance, got {delta!r}")
        self.delta, self.sees_itself = delta, sees_itself
        self.lam = checks.not_negative(lam, "lam")
        self.clamped = None if clamped is None else checks.points(clamped, "clamped")

    def energy(self, z: ArrayLike, before: ArrayLike | None = None) -> float:
        """Return E of nodes z (N, D) that were at `before`, z itself if not given.

        Pairs are counted in both orders; those of two clamped nodes, a constant, are left out.
        """
        free = self._free(z)
        pairs, N = self.delta.delta(self._distances(free)), len(free)
        energy = self.lam * float(pairs[:, :N].sum() + 2 * pairs[:, N:].sum())
        if before is not None:
            start = checks.points(before, "before", free.shape[1])
            if start.shape != free.shape:
                raise ValueError(f"before must have shape {free.shape}, got {start.shape}")
            energy += float(((free - start) ** 2).sum())
        return energy

    def step(self, z: ArrayLike, tau: float = 1.0) -> Floats:
        """Return the nodes (N, D) after a step of the share tau ≥ 0 from z (N, D)."""
        free = self._free(z)
        return np.asarray(free + checks.not_negative(tau, "tau") * self._ways(free)[2])

    def safe_step(self, z: ArrayLike) -> float:
        """Return 4 λ d_min / (1 + 4 λ d_min) at z (N, D), d_min over the nodes that are pulled."""
        d = self._ways(self._free(z))[1]
        pull = 4 * self.lam * float(d.min(where=d > 0, initial=np.inf))
        return pull / (1 + pull) if pull < np.inf else 1.0

    def largest_step(self, z: ArrayLike) -> float:
        """Return the tau at which the parabola above E is back at E(z), ∞ if no node moves.

        It is at least `safe_step`, and for the way that the nodes z (N, D) go the largest that
        concavity alone proves safe: E itself may come back later.
        """
        f, d, m = self._ways(self._free(z))
        falls = 4 * self.lam * float((d * m**2).sum())
        curves = falls / 2 - 2 * self.lam * float((m * (f[:, : len(m)] @ m)).sum())
        moved = float((m**2).sum())
        return falls / (moved + curves) if moved else np.inf

    def _ways(self, free: Floats) -> tuple[Floats, Floats, Floats]:
        """Return pulls (N, N + P), their sums d (N, 1), and the ways m (N, D) to the means."""
        f = self.delta.slope(self._distances(free))
        if not self.sees_itself:
            np.fill_diagonal(f, 0)
        d = f.sum(axis=1, keepdims=True)
        d[d < _NO_PULL] = 0
        mean = np.divide(f @ self._nodes(free), d, out=free.copy(), where=d > 0)
        return f, d, mean - free

    def _distances(self, free: Floats) -> Floats:
        """Return the squared distances (N, N + P) from free nodes to all, 0 to themselves."""
        nodes = self._nodes(free)
        checks.within_memory(24 * len(free) * len(nodes), "pulls and distances of all pairs")
        nodes = nodes - nodes.mean(axis=0)  # products of large coordinates would cancel
        own = np.einsum("nd,nd->n", nodes, nodes)
        r = own[: len(free), None] + own - 2 * nodes[: len(free)] @ nodes.T
        np.fill_diagonal(r, 0)
        return np.asarray(np.maximum(r, 0, out=r))

    def _nodes(self, free: Floats) -> Floats:
        return free if self.clamped is None else np.concatenate([free, self.clamped])

    def _free(self, z: ArrayLike) -> Floats:
        D = None if self.clamped is None else self.clamped.shape[1]
        return checks.stored(checks.points(z, "nodes", D), "nodes")


def simple(q: ArrayLike, k: ArrayLike, v: ArrayLike) -> Floats:
    """Return Σ_j f_ij v_j / Σ_j f_ij, f = 1 + q_i·k_j / (‖q‖ ‖k‖), norms of the whole matrices.

    Queries (N, D), at least two keys (M, D), values (M, C) → (N, C), in O(N + M) time and memory:
    f is never written out. The more keys, the nearer it is to the mean of all values.
    """
    q, k, v = _attended(q, k, v)
    norms = [_norm(x) for x in (q, k)]
    out = q @ (k.T @ v / norms[1] / norms[0])
    out += v.sum(axis=0)
    out /= (len(k) + q @ (k.sum(axis=0) / norms[1] / norms[0]))[:, None]
    return np.asarray(out)


def _norm(x: Floats) -> float:
    """Return the norm, 1 of zeros; where squares leave float64, by the largest entry first."""
    largest = float(max(x.max(initial=0.0), -x.min(initial=0.0)))
    if largest == 0 or _SMALL < largest < 1 / _SMALL:
        return float(np.linalg.norm(x)) or 1.0
    return largest * float(np.linalg.norm(x / largest))


def advanced(q: ArrayLike, k: ArrayLike, v: ArrayLike) -> Floats:
    """Return Σ_j f_ij v_j / Σ_j f_ij, f = sigmoid(q_i·k_j); shapes as in `simple`, in O(N M)."""
    q, k, v = _attended(q, k, v)
    checks.within_memory(16 * len(q) * len(k), "weights of all pairs")
    f = scipy.special.log_expit(q @ k.T)
    np.exp(f - f.max(axis=1, keepdims=True), out=f)  # all of a row may be below the least float64
    return np.asarray(f @ v / f.sum(axis=1, keepdims=True))


def _attended(q: ArrayLike, k: ArrayLike, v: ArrayLike) -> tuple[Floats, Floats, Floats]:
    keys, values = checks.points(k, "keys"), checks.points(v, "values")
    checks.count(len(keys), "the number of keys", 2)  # a single one may have no weight
    if len(values) != len(keys):
        raise ValueError(f"values must be as many as keys, {len(keys)}, got {len(values)}")
    return checks.points(q, "queries", keys.shape[1]), keys, values
