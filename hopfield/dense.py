"""The dense associative memory on any finite alphabet: what spins and tokens have in common.

`hopfield.reference` states the law and computes it from scratch. Here the matches are kept. A state
x of L sites over V values agrees with pattern ξ^μ at m_μ sites; the overlap is a straight line in
m_μ (spins: ξ·σ = 2m - L; tokens: m), and the energy is E = -Q(overlaps) with any separation
function Q [T17], [T19]. With m⁻ the matches outside site i, f the inner function of Q, and Δf its
difference from one match to the next:

    Q(x_i = v) = g( Σ_μ f(m_μ⁻) + h_v ),   h_v = Σ_{μ: ξ_i^μ = v} Δf(m_μ⁻),   g = identity or log/β
    descent      x_i ← argmax_v h_v                 the lowest energy that site i can have
    heat bath    p(x_i = v | rest) ∝ e^{b Q(x_i = v)}        at inverse temperature b

The first sum is common to every v and g increases, so the fields h alone decide a descent. A site
moves only where this lowers E by more than the rounding of a sum of P terms: E never rises, ties
keep the present value, and descent ends.

The matches are kept up to date as sites change, so a sweep costs O(P L); energies from scratch
would cost O(P L² V).
"""

from abc import ABC, abstractmethod
from functools import partial
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

import argument_checks as checks
from hopfield import baths, recall, walks
from hopfield.frozen import Frozen
from hopfield.recall import ROUNDING, Bools, Floats, Recall, Sites, Tokens, Unsigned
from hopfield.separation import Separation, table_of
from hopfield.threads import shared


class DenseMemory(Frozen, ABC):
    """Patterns over V values, as columns (L, P), with overlaps (L + 1,) for 0 … L matches.

    The columns are kept once, in the smallest integer that holds V, as `checks.columns` makes them.
    Subclasses say what a state looks like: `_to_tokens` reads states, `_from_tokens` writes them.
    Walks index with what the first returns, so it must be checked and in memory of its own.
    """

    def __init__(self, columns: Unsigned, V: int, F: Separation, overlaps: Floats) -> None:
        self.V, self.F = V, F
        self._columns = columns
        self._table = table_of(F, overlaps, columns.shape[1])
        f, delta_f, beta, log_ratio = self._table
        largest = checks.read_only(np.maximum.accumulate(np.abs(delta_f)))
        rounding = ROUNDING * columns.shape[1]  # of a sum over patterns, a unit of its size
        self._levels = walks.Levels(
            f, delta_f, largest, checks.read_only(overlaps), beta, log_ratio > 0, rounding
        )

    @property
    def patterns(self) -> NDArray[Any]:
        """A read-only copy of the stored patterns (P, L)."""
        return checks.read_only(self._from_tokens(self._columns.T.astype(np.int32)))

    @property
    def values(self) -> NDArray[np.int64]:
        """The values of a site (V,): -1 and 1, or 0 … V - 1."""
        return self._from_tokens(np.arange(self.V, dtype=np.int32)).astype(np.int64)

    def energy(self, x: ArrayLike) -> Floats:
        """Return E (B,) of the states x (B, L)."""
        return self._energy(self._to_tokens(x))

    def step(self, x: ArrayLike, site: int) -> NDArray[Any]:
        """Return the states x (B, L) with one site set to the value of lowest energy."""
        state = self._to_tokens(x)
        if checks.count(site, "site", 0) >= state.shape[1]:
            raise ValueError(f"site must lie in 0 … {state.shape[1] - 1}, got {site}")
        after, *_ = self._descend(state, np.full((len(state), 1), site))
        return self._from_tokens(after)

    def recall(
        self,
        x: ArrayLike,
        *,
        rng: Generator | None = None,
        synchronous: bool = False,
        max_sweeps: int = 100,
        threads: int = 1,
    ) -> Recall:
        """Descend from the states x (B, L) until a whole sweep changes nothing.

        Sites change one by one, in order, or with `rng` in a random order drawn anew for every
        query and sweep; or `synchronous`, all at once, where E may rise and a recall may end in a
        2-cycle (`Recall.cycling`). A site whose best values tie keeps its present one. `threads`
        share out the queries, and change nothing but the time.
        """
        state = self._to_tokens(x)
        with shared(threads) as share:
            if synchronous:
                found = recall.synchronous(state, partial(share, self._update), max_sweeps)
            else:

                def descend(active: Sites, order: Sites) -> tuple[Bools, Floats]:
                    state[active], changed, energy = share(self._descend, state[active], order)
                    return changed, energy

                (energies,) = share(lambda part: (self._energy(part),), state)
                found = recall.asynchronous(state, energies, descend, rng, max_sweeps)
        return found._replace(state=self._from_tokens(found.state))

    def heat_bath(
        self, x: ArrayLike, rng: Generator, *, beta: float | None = None, sweeps: int = 1
    ) -> Recall:
        """Draw every site in turn from its law given the others, `sweeps` times.

        beta is the bath's inverse temperature (default: the memory's own, or 1 where it has
        none). Energies may rise; `steps` are the sweeps that changed something and `converged`
        says that the last did not.
        """
        state, bath = self._to_tokens(x), self._bath(beta)

        def draw(u: Floats) -> None:
            drawn = self._narrow(state)
            baths.gibbs(drawn, u, self._columns, self.V, *self._table, bath)
            state[:] = drawn

        found = recall.gibbs(state, lambda: self._energy(state), draw, rng, sweeps)
        return found._replace(state=self._from_tokens(found.state))

    def _descend(self, state: Tokens, order: Sites) -> tuple[Tokens, Bools, Floats]:
        """Update the sites `order` (A, …) of states (A, L): the states, which changed, and E."""
        x, changed, energy = (
            self._narrow(state),
            np.zeros(len(state), np.bool_),
            np.empty(len(state)),
        )
        walks.asynchronous(
            x, changed, energy, self._matches(), order, self._columns, self.V, self._levels
        )
        return x.astype(np.int32), changed, energy

    def _update(self, state: Tokens) -> tuple[Tokens, Floats]:
        x = self._narrow(state)
        out = np.empty_like(x)
        walks.synchronous(out, self._matches(), x, self._columns, self.V, self._levels)
        return out.astype(np.int32), self._energy(state)

    def _laws(self, state: Tokens, beta: float | None) -> Floats:
        """Heat-bath probabilities (B, L, V) of each site given the others."""
        out = np.empty((*state.shape, self.V))
        x, bath = self._narrow(state), self._bath(beta)
        baths.heat_bath(out, x, self._columns, *self._table, bath)
        return out

    def _energy(self, state: Tokens) -> Floats:
        out = np.empty(len(state))
        walks.energies(out, self._matches(), self._narrow(state), self._columns, self._levels)
        return out

    def _narrow(self, state: Tokens) -> Unsigned:
        """Return states as wide as the patterns, so that they compare without conversion."""
        return state.astype(self._columns.dtype)

    def _matches(self) -> Unsigned:
        """Return room for 0 … L matches with each pattern."""
        L, P = self._columns.shape
        return np.empty(P, np.min_scalar_type(L))

    def _bath(self, beta: float | None) -> float:
        own = self._table.beta or 1.0
        return own if beta is None else checks.positive(beta, "beta")

    @abstractmethod
    def _to_tokens(self, x: ArrayLike) -> Tokens:
        """Read states (B, L) as tokens 0 … V - 1, in an array of its own."""

    @abstractmethod
    def _from_tokens(self, x: Tokens) -> NDArray[Any]:
        """Write tokens 0 … V - 1 as states."""
