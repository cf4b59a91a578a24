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

import math
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from hopfield import seams
from hopfield.compiled import sweep
from hopfield.recall import Bools, Floats, Recall, Sites, all_at_once, one_by_one
from hopfield.separation import Separation

Codes = NDArray[np.int32]
_ROUNDING = 2.3e-16  # per addition, twice 2⁻⁵³ and a little


class DenseMemory:
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
        trace = [self._energy(state)]
        steps, moved = np.zeros(len(state), np.int64), np.zeros(len(state), np.bool_)
        for _ in range(seams.count(sweeps, "sweeps")):
            before = state.copy()
            u = rng.random(state.shape)
            _draw(state, u, self._columns, self.V, *self._ladder, b)
            moved = (state != before).any(axis=1)
            steps += moved
            trace.append(self._energy(state))
        return Recall(self._shown(state), np.stack(trace, axis=1), steps, ~moved)

    def _descend(self, state: Codes, active: Sites, order: Sites) -> Bools:
        changed, table = np.zeros(len(active), np.bool_), self._ladder
        _descend(state, changed, active, order, self._columns, self.V, table.rise, table.gap > 0)
        return changed

    def _laws(self, x: Codes, beta: float | None) -> Floats:
        """Heat-bath probabilities (B, L, V) of each site given the others."""
        out = np.empty((*x.shape, self.V))
        _heat_bath(out, x, self._columns, *self._ladder, self._bath(beta))
        return out

    def _bath(self, beta: float | None) -> float:
        own = self._ladder.rate or 1.0
        return own if beta is None else seams.positive(beta, "beta")

    def _update(self, x: Codes) -> tuple[Codes, Floats]:
        out = x.copy()
        _step(out, x, self._columns, self.V, self._ladder.rise, self._ladder.gap > 0)
        return out, self._energy(x)

    def _energy(self, x: Codes) -> Floats:
        out, table = np.empty(len(x)), self._ladder
        _energies(out, x, self._columns, table.value, table.rate, table.gap > 0, self._overlaps)
        return out

    def _coded(self, x: ArrayLike) -> Codes:
        raise NotImplementedError

    def _shown(self, x: Codes) -> NDArray[Any]:
        raise NotImplementedError


@sweep
def _matches(m: Codes, x: Codes, columns: Codes) -> None:
    """m_μ = number of sites at which pattern μ agrees with x."""
    m[:] = 0
    for i in range(columns.shape[0]):
        for mu in range(columns.shape[1]):
            m[mu] += columns[i, mu] == x[i]


@sweep
def _energies(
    out: Floats,
    state: Codes,
    columns: Codes,
    value: Floats,
    rate: float,
    moving: bool,
    overlaps: Floats,
) -> None:
    m = np.empty(columns.shape[1], np.int32)
    for b in range(state.shape[0]):
        _matches(m, state[b], columns)
        down = columns.shape[0] - m.max() if moving else 0  # the largest reads the last entry
        total = 0.0
        for mu in range(m.shape[0]):
            total += value[m[mu] + down]
        if rate == 0:
            out[b] = -total
        else:
            out[b] = -(math.log(total) / rate if total > 0 else -math.inf)
            if moving:
                out[b] -= overlaps[m.max()]


@sweep
def _site(W: Floats, m: Codes, column: Codes, present: int, rise: Floats, moving: bool) -> float:
    """W_v = Σ_{μ: ξ_i^μ = v} Δf(m⁻); return Σ |Δf|."""
    down = 0
    if moving:
        top = 0
        for mu in range(m.shape[0]):
            top = max(top, m[mu] - (column[mu] == present))
        down = rise.shape[0] - 1 - top
    W[:] = 0
    size = 0.0
    for mu in range(m.shape[0]):
        v = column[mu]
        step = rise[m[mu] - (v == present) + down]
        W[v] += step
        size += abs(step)
    return size


@sweep
def _best(W: Floats, present: int, size: float, P: int) -> int:
    """Return the first v of largest W_v, if it beats the present value by more than rounding."""
    best = present
    for v in range(W.shape[0]):
        if W[v] > W[best]:
            best = v
    return best if W[best] - W[present] > _ROUNDING * P * size else present


@sweep
def _set(x: Codes, i: int, v: int, m: Codes, column: Codes) -> None:
    """x_i ← v, and the matches with it."""
    for mu in range(m.shape[0]):
        m[mu] += (column[mu] == v) - (column[mu] == x[i])
    x[i] = v


@sweep
def _descend(
    state: Codes,
    changed: Bools,
    active: Sites,
    order: Sites,
    columns: Codes,
    V: int,
    rise: Floats,
    moving: bool,
) -> None:
    """One sweep over the sites of every active query, one site after the other."""
    P = columns.shape[1]
    m, W = np.empty(P, np.int32), np.empty(V)
    for k in range(active.shape[0]):
        x = state[active[k]]
        _matches(m, x, columns)
        for i in order[k]:
            size = _site(W, m, columns[i], x[i], rise, moving)
            best = _best(W, x[i], size, P)
            if best != x[i]:
                changed[k] = True
                _set(x, i, best, m, columns[i])


@sweep
def _step(out: Codes, state: Codes, columns: Codes, V: int, rise: Floats, moving: bool) -> None:
    """All sites at once."""
    L, P = columns.shape
    m, W = np.empty(P, np.int32), np.empty(V)
    for b in range(state.shape[0]):
        _matches(m, state[b], columns)
        for i in range(L):
            size = _site(W, m, columns[i], state[b, i], rise, moving)
            out[b, i] = _best(W, state[b, i], size, P)


@sweep
def _law(
    W: Floats,
    m: Codes,
    column: Codes,
    present: int,
    value: Floats,
    rise: Floats,
    rate: float,
    gap: float,
    b: float,
) -> None:
    """W ← the site's law at inverse temperature b."""
    if gap > 0:
        _log_sums(W, m, column, present, value, gap)
        power = b / rate
    else:
        _site(W, m, column, present, rise, False)
        power = b
        if rate > 0:
            common = 0.0
            for mu in range(m.shape[0]):
                common += value[m[mu] - (column[mu] == present)]
            for v in range(W.shape[0]):
                inside = common + W[v]
                W[v] = math.log(inside) / rate if inside > 0 else -1e308
    top, total = W.max(), 0.0
    for v in range(W.shape[0]):
        W[v] = math.exp(power * (W[v] - top))
        total += W[v]
    for v in range(W.shape[0]):
        W[v] /= total


@sweep
def _log_sums(W: Floats, m: Codes, column: Codes, present: int, value: Floats, gap: float) -> None:
    """W_v = log Σ_μ f(m⁻ + 1[ξ_i^μ = v]), less a common constant, for f that grows by e^gap a step.

    With m⁻ counted down from the best, d = best - m⁻, the patterns with d = 0 that v would raise
    stand above all others by a factor e^gap, which may not be a number: they are counted apart.
    """
    V, best = W.shape[0], 0
    for mu in range(m.shape[0]):
        best = max(best, m[mu] - (column[mu] == present))
    raised, others = np.zeros(V), np.zeros(V)  # at d = 0; below, in units of f(best)
    everything, last = 0.0, value.shape[0] - 1
    for mu in range(m.shape[0]):
        v = column[mu]
        d = best - m[mu] + (v == present)
        everything += value[last - d]
        others[v] -= value[last - d]
        if d == 0:
            raised[v] += 1
        else:
            others[v] += value[last - d + 1]
    for v in range(V):
        rest = everything + others[v]
        if raised[v] > 0:
            W[v] = math.log(raised[v] + math.exp(-gap) * rest)
        else:
            W[v] = math.log(rest) - gap


@sweep
def _heat_bath(
    out: Floats,
    state: Codes,
    columns: Codes,
    value: Floats,
    rise: Floats,
    rate: float,
    gap: float,
    b: float,
) -> None:
    """out ← the laws of all sites, each given the others."""
    m = np.empty(columns.shape[1], np.int32)
    for k in range(state.shape[0]):
        _matches(m, state[k], columns)
        for i in range(columns.shape[0]):
            _law(out[k, i], m, columns[i], state[k, i], value, rise, rate, gap, b)


@sweep
def _draw(
    state: Codes,
    u: Floats,
    columns: Codes,
    V: int,
    value: Floats,
    rise: Floats,
    rate: float,
    gap: float,
    b: float,
) -> None:
    """Draw the sites in turn, site i with the uniform u_i."""
    m, W = np.empty(columns.shape[1], np.int32), np.empty(V)
    for k in range(state.shape[0]):
        x = state[k]
        _matches(m, x, columns)
        for i in range(columns.shape[0]):
            _law(W, m, columns[i], x[i], value, rise, rate, gap, b)
            v, below = 0, W[0]
            while v < V - 1 and below <= u[k, i]:
                v += 1
                below += W[v]
            if v != x[i]:
                _set(x, i, v, m, columns[i])
