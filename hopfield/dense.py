"""The dense associative memory on any finite alphabet: what spins and tokens have in common.

A state x of L sites over V values agrees with pattern ξ^μ at m_μ sites; the overlap is a straight
line in m_μ (spins: ξ·σ = 2m - L; tokens: m), and the energy is E = -Q(overlaps) with any
separation function Q [T17], [T19]. With m⁻ the matches outside site i, f the inner function of
Q, and Δf its step from one match to the next:

    Q(x_i = v) = g( Σ_μ f(m_μ⁻) + W_v ),   W_v = Σ_{μ: ξ_i^μ = v} Δf(m_μ⁻),   g = identity or log/β
    descent      x_i ← argmax_v W_v                 the lowest energy that site i can have
    heat bath    P(x_i = v | rest) ∝ e^{b Q(x_i = v)}        at inverse temperature b

The first sum is common to every v and g rises, so W alone decides a descent. A site moves only
where this lowers E by more than the rounding of a sum of P terms: E never rises, ties keep the
present value, and descent ends.

The matches are kept up to date as sites change, so a sweep costs O(P L); energies from scratch
would cost O(P L² V).
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

import argument_checks as checks
from hopfield import walks as walk
from hopfield.recall import Bools, Floats, Recall, Sites, all_at_once, drawn_in_turn, one_by_one
from hopfield.separation import Separation
from hopfield.walks import Codes


class DenseMemory(ABC):
    """Patterns over V values, as columns (L, P), with overlaps (L + 1,) for 0 … L matches.

    Subclasses say what a state looks like: `_coded` reads one, `_shown` writes one.
    """

    def __init__(self, patterns: Codes, V: int, F: Separation, overlaps: Floats) -> None:
        self.V, self.F = V, F
        self._columns = np.ascontiguousarray(patterns.T)  # (L, P): a site reads one row
        self._overlaps = overlaps
        self._ladder = F.ladder(overlaps)

    @property
    def patterns(self) -> NDArray[Any]:
        """The stored patterns (P, L)."""
        return self._shown(np.ascontiguousarray(self._columns.T))

    @property
    def values(self) -> NDArray[np.int64]:
        """The values of a site (V,): -1 and 1, or 0 … V - 1."""
        return self._shown(np.arange(self.V, dtype=np.int32)).astype(np.int64)

    def energy(self, x: ArrayLike) -> Floats:
        """Return E (B,) of the states x (B, L)."""
        return self._energy(self._coded(x))

    def step(self, x: ArrayLike, site: int) -> NDArray[Any]:
        """Return the states x (B, L) with one site set to the value of lowest energy."""
        state = self._coded(x).copy()
        if not 0 <= site < state.shape[1]:
            raise ValueError(f"site must lie in 0 … {state.shape[1] - 1}, got {site}")
        self._descend(state, np.arange(len(state)), np.full((len(state), 1), site))
        return self._shown(state)

    def recall(
        self,
        x: ArrayLike,
        *,
        rng: Generator | None = None,
        synchronous: bool = False,
        max_sweeps: int = 100,
    ) -> Recall:
        """Descend from the states x (B, L) until a whole sweep changes nothing.

        Sites change one by one, in order, or with `rng` in a random order drawn anew for every
        query and sweep; or `synchronous`, all at once, where E may rise and a recall may end in a
        2-cycle (`Recall.cycling`). A site whose best values tie keeps its present one.
        """
        state = self._coded(x)
        if synchronous:
            found = all_at_once(state, self._update, max_sweeps)
        else:
            state = state.copy()

            def descend(active: Sites, order: Sites) -> tuple[Bools, Floats]:
                changed = self._descend(state, active, order)
                return changed, self._energy(state[active])

            found = one_by_one(state, self._energy(state), descend, rng, max_sweeps)
        return found._replace(state=self._shown(found.state))

    def heat_bath(
        self, x: ArrayLike, rng: Generator, *, beta: float | None = None, sweeps: int = 1
    ) -> Recall:
        """Draw every site in turn from its law given the others, `sweeps` times.

        beta is the bath's inverse temperature (default: the memory's own, or 1 where it has
        none). Energies may rise; `steps` are the sweeps that changed something and `converged`
        says that the last did not.
        """
        state, b = self._coded(x).copy(), self._bath(beta)

        def draw(u: Floats) -> None:
            walk.draw(state, u, self._columns, self.V, *self._ladder, b)

        found = drawn_in_turn(state, lambda: self._energy(state), draw, rng, sweeps)
        return found._replace(state=self._shown(found.state))

    def _descend(self, state: Codes, active: Sites, order: Sites) -> Bools:
        changed, table = np.zeros(len(active), np.bool_), self._ladder
        walk.descend(
            state, changed, active, order, self._columns, self.V, table.rise, table.gap > 0
        )
        return changed

    def _laws(self, x: Codes, beta: float | None) -> Floats:
        """Heat-bath probabilities (B, L, V) of each site given the others."""
        out = np.empty((*x.shape, self.V))
        walk.heat_bath(out, x, self._columns, *self._ladder, self._bath(beta))
        return out

    def _bath(self, beta: float | None) -> float:
        own = self._ladder.rate or 1.0
        return own if beta is None else checks.positive(beta, "beta")

    def _update(self, x: Codes) -> tuple[Codes, Floats]:
        out = x.copy()
        walk.step(out, x, self._columns, self.V, self._ladder.rise, self._ladder.gap > 0)
        return out, self._energy(x)

    def _energy(self, x: Codes) -> Floats:
        out, table = np.empty(len(x)), self._ladder
        walk.energies(out, x, self._columns, table.value, table.rate, table.gap > 0, self._overlaps)
        return out

    @abstractmethod
    def _coded(self, x: ArrayLike) -> Codes:
        """Read states (B, L) as values 0 … V - 1."""

    @abstractmethod
    def _shown(self, x: Codes) -> NDArray[Any]:
        """Write values 0 … V - 1 as states."""
