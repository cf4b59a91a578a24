"""A network of spins with pairwise couplings W, whoever chose them: σ_i ← sgn Σ_j W_ij σ_j.

    hebbian           W = ΞᵀΞ / L                       Hopfield 1982
    storkey           W += (ξξᵀ - ξhᵀ - hξᵀ)/L          Storkey 1997; h_ij = Σ_{k≠i,j} W_ik ξ_k
    pseudo_inverse    W = Ξ⁺Ξ, onto the patterns' span  Personnaz et al. 1985

all three symmetric and with zero diagonal; [T22] learns couplings that need not be symmetric. If
they are, E = -½ σᵀWσ never rises, for a flip of spin i changes it by 2 σ_i h_i and happens only
where σ_i h_i < 0. If they are not, nothing forbids -½ σᵀWσ to rise, and recall works all the same.

The fields h = Wσ are computed once, by one matrix product, and kept: a visit to a site that stays
costs O(1), a flip O(L), so a recall costs little more than that product.
"""

import numpy as np
import scipy
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

import argument_checks as checks
from hopfield import recall
from hopfield.frozen import Frozen
from hopfield.jit import jit_strict
from hopfield.recall import ROUNDING, Bools, Floats, Recall, Sites

Spins = NDArray[np.int8]


class Couplings(Frozen):
    """Spins coupled by W (L, L), finite and with zero diagonal, each known up to `error`.

    A field that rounding and these errors cannot tell from zero keeps its spin. Fields are one
    product by BLAS: their last bits, and those of energies, may depend on its number of threads.
    """

    def __init__(self, W: ArrayLike, error: float = 0.0) -> None:
        self.W = checks.points(W, "W")
        if self.W.shape[0] != self.W.shape[1] or np.diagonal(self.W).any():
            raise ValueError(f"W must be square with zero diagonal, got shape {self.W.shape}")
        self._columns = self.W.T  # row i: what spin i does to the others
        of_sums = ROUNDING * len(self.W) * np.abs(self.W).sum(axis=1)
        self._tie = of_sums + len(self.W) * checks.not_negative(error, "error")

    @property
    def values(self) -> NDArray[np.int64]:
        """The values of a site: -1 and 1."""
        return np.array([-1, 1])

    @property
    def asymmetry(self) -> float:
        """‖W - Wᵀ‖ / ‖W‖: 0 for symmetric couplings, √2 for unrelated ones, 2 for W = -Wᵀ."""
        size = np.linalg.norm(self.W)
        return float(np.linalg.norm(self.W - self.W.T) / size) if size else 0.0

    def fields(self, x: ArrayLike) -> Floats:
        """Return h = Wσ, (B, L), of the states x (B, L)."""
        return self._fields(self._states(x))

    def energy(self, x: ArrayLike) -> Floats:
        """Return -½ σᵀWσ, (B,): an energy where W is symmetric, a mere number where not."""
        state = self._states(x)
        return _energy(state, self._fields(state))

    def conditionals(self, x: ArrayLike, beta: float = 1.0) -> Floats:
        """Return ψ(+1 | rest) = 1/(1 + e^{-2β h}), (B, L) [T21]."""
        return np.asarray(scipy.special.expit(2 * checks.positive(beta, "beta") * self.fields(x)))

    def margins(self, patterns: ArrayLike) -> Floats:
        """Return κ = ξ_i h_i / ‖W_i‖, (P, L): how safely each spin of each pattern is held."""
        size = np.linalg.norm(self.W, axis=1)
        held = self._states(patterns) * self.fields(patterns)
        return np.asarray(np.divide(held, size, out=np.zeros_like(held), where=size > 0))

    def recall(
        self,
        x: ArrayLike,
        *,
        rng: Generator | None = None,
        synchronous: bool = False,
        max_sweeps: int = 100,
    ) -> Recall:
        """Align spins with their fields, from the states x (B, L), until nothing changes.

        One by one, in order, or with `rng` in a random order drawn anew for every query and
        sweep; or `synchronous`, all at once. A field of zero, to rounding, keeps the spin.
        """
        state = self._states(x).copy()
        if synchronous:
            return recall.synchronous(state, self._update, max_sweeps)
        fields = self._fields(state)

        def descend(active: Sites, order: Sites) -> tuple[Bools, Floats]:
            changed = np.zeros(len(active), np.bool_)
            _asynchronous(state, fields, changed, active, order, self._columns, self._tie)
            return changed, _energy(state[active], fields[active])

        return recall.asynchronous(state, _energy(state, fields), descend, rng, max_sweeps)

    def heat_bath(
        self, x: ArrayLike, rng: Generator, *, beta: float = 1.0, sweeps: int = 1
    ) -> Recall:
        """Draw every spin in turn from ψ(σ_i | rest) at inverse temperature beta, `sweeps` times.

        `steps` are the sweeps that changed something; `converged` says that the last did not.
        """
        state = self._states(x).copy()
        fields, b = self._fields(state), checks.positive(beta, "beta")

        def draw(u: Floats) -> None:
            _gibbs(state, fields, scipy.special.logit(u) / (2 * b), self._columns)

        return recall.gibbs(state, lambda: _energy(state, fields), draw, rng, sweeps)

    def _states(self, x: ArrayLike) -> Spins:
        return checks.spins(x, "states", len(self.W))

    def _fields(self, state: Spins) -> Floats:
        return state.astype(np.float64) @ self._columns

    def _update(self, state: Spins) -> tuple[Spins, Floats]:
        h = self._fields(state)
        return np.where(h * state < -self._tie, -state, state), _energy(state, h)


def hebbian(patterns: ArrayLike) -> Couplings:
    """Return W = ΞᵀΞ / L without its diagonal, for patterns (P, L) of ±1."""
    xi = checks.spins(patterns, "patterns").astype(np.float64)
    return Couplings(_without_diagonal(xi.T @ xi / xi.shape[1]))


def storkey(patterns: ArrayLike) -> Couplings:
    """Return the couplings of Storkey's rule, which stores the patterns (P, L) one by one.

    Beyond Hebb's term, each new pattern takes out what the couplings know of it already.
    """
    stored = checks.spins(patterns, "patterns").astype(np.float64)
    L = stored.shape[1]
    W = np.zeros((L, L))
    for xi in stored:
        h = (W @ xi)[:, None] - W * xi[None, :]  # h_ij; the diagonal of W is zero
        W += (np.outer(xi, xi) - xi[:, None] * h.T - h * xi[None, :]) / L
        np.fill_diagonal(W, 0.0)
    return Couplings(W)


def pseudo_inverse(patterns: ArrayLike) -> Couplings:
    """Return the projection onto the span of the patterns (P, L), without its diagonal.

    Patterns that depend on others change nothing. Where they span all states, as L independent
    ones do, the projection is the identity and W = 0: every state is a fixed point.

    A singular value counts where it exceeds the rounding of the largest. Rounding rotates the span
    by twice that over the smallest that counts: what W is known up to, and what is 0 below it.
    """
    xi = checks.spins(patterns, "patterns").astype(np.float64)
    with threadpool_limits(1, user_api="blas"):  # else the last bits depend on their number
        _, size, directions = np.linalg.svd(xi, full_matrices=False)
        rounding = ROUNDING * max(xi.shape) * size[0]
        span = directions[size > rounding]
        W = _without_diagonal(span.T @ span)
    error = 2 * rounding / size[len(span) - 1]
    return Couplings(np.where(np.abs(W) > error, W, 0.0), error)


def _without_diagonal(W: Floats) -> Floats:
    W = 0.5 * (W + W.T)  # symmetric to the last bit
    np.fill_diagonal(W, 0.0)
    return W


def _energy(state: Spins, fields: Floats) -> Floats:
    return np.asarray(-0.5 * np.einsum("bl,bl->b", state, fields))


@jit_strict
def _asynchronous(
    state: Spins,
    fields: Floats,
    changed: Bools,
    active: Sites,
    order: Sites,
    columns: Floats,
    tie: Floats,
) -> None:
    """One sweep over the spins of every active query; a flip of spin i moves every field."""
    for k in range(active.shape[0]):
        s, h = state[active[k]], fields[active[k]]
        for i in order[k]:
            if h[i] * s[i] < -tie[i]:
                s[i] = -s[i]
                changed[k] = True
                for j in range(h.shape[0]):
                    h[j] += 2.0 * s[i] * columns[i, j]


@jit_strict
def _gibbs(state: Spins, fields: Floats, threshold: Floats, columns: Floats) -> None:
    """σ_i ← +1 where its field exceeds log(u/(1-u))/2β, that is, with chance 1/(1 + e^{-2βh})."""
    for b in range(state.shape[0]):
        s, h = state[b], fields[b]
        for i in range(s.shape[0]):
            new = 1 if h[i] > threshold[b, i] else -1
            if new != s[i]:
                s[i] = new
                for j in range(h.shape[0]):
                    h[j] += 2.0 * s[i] * columns[i, j]
