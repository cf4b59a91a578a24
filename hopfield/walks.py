"""The compiled walks of a dense memory down its energy (`hopfield.dense` has the law).

A state x (L,) holds values 0 … V - 1, columns (L, P) the patterns, m (P,) the matches of each with
x, kept up to date as sites change. All are as narrow as can be, so that one instruction compares 64
of them; the caller lends m.

An update of site i asks which is the largest of the fields

    h_v = Σ_{μ: ξ_i^μ = v} Δf(m_μ⁻),    m_μ⁻ = m_μ - 1[ξ_i^μ = x_i]

and often a few patterns decide that: the *near* ones, of at least `cut` matches. With N_k patterns
of k matches when they were chosen, and c sites changed since, all others can add no more than

    far = Σ_{k < cut} N_k max_{j ≤ k + c} |Δf(j)|

to the fields. Where the near patterns alone are ahead by more than that, and than rounding, so are
all together. Only where they are not, h is summed over all patterns.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from hopfield.jit import jit_reassoc, jit_strict
from hopfield.recall import Bools, Floats, Sites, Tokens, Unsigned

_SHARE = 32  # near patterns are at most one in so many
_NEGLIGIBLE = 2.0**-20  # what the others may weigh when they are chosen
_PATIENCE = 8  # sums over all patterns before the near ones of a changed state are chosen anew


class Levels(NamedTuple):
    """An `OverlapTable` with what a descent needs besides, each (L + 1,), for 0 … L matches.

    A `shifted` table is read so that the most matches of any pattern read the last entry. Sums over
    all patterns tie if they are closer than `rounding` times the sum of sizes.
    """

    f: Floats
    delta_f: Floats
    largest: Floats  # |Δf| of as many matches or fewer
    overlaps: Floats
    beta: float
    shifted: bool
    rounding: float


@jit_strict
def count_matches(m: Tokens | Unsigned, x: Unsigned, columns: Unsigned) -> None:
    """m_μ = number of sites at which pattern μ agrees with x."""
    m[:] = 0
    for i in range(x.shape[0]):
        column, value = columns[i], x[i]
        for mu in range(m.shape[0]):
            m[mu] += column[mu] == value


@jit_strict
def _count_levels(N: Sites, m: Unsigned) -> None:
    """N_k = number of patterns with k matches."""
    N[:] = 0
    for mu in range(m.shape[0]):
        N[m[mu]] += 1


@jit_strict
def _most(N: Sites) -> int:
    """Return the most matches that a pattern has."""
    k = N.shape[0] - 1
    while N[k] == 0:
        k -= 1
    return int(k)


@jit_strict
def _energy(N: Sites, table: Levels) -> float:
    """E = -Q, of N_k patterns with k matches."""
    best = _most(N)
    shift = N.shape[0] - 1 - best if table.shifted else 0
    total = 0.0
    for k in range(best + 1):
        total += N[k] * table.f[k + shift]
    if table.beta == 0:
        return -total
    log_total = math.log(total) / table.beta if total > 0 else -math.inf
    return -(log_total + table.overlaps[best]) if table.shifted else -log_total


@jit_strict
def energies(out: Floats, m: Unsigned, state: Unsigned, columns: Unsigned, table: Levels) -> None:
    """E of every state."""
    N = np.empty(columns.shape[0] + 1, np.int64)
    for b in range(state.shape[0]):
        count_matches(m, state[b], columns)
        _count_levels(N, m)
        out[b] = _energy(N, table)


@jit_strict
def _cut(N: Sites, P: int, table: Levels) -> tuple[int, int]:
    """Return the least matches of near patterns, and their number; -1 if these are too many."""
    best = _most(N)
    shift = N.shape[0] - 1 - best if table.shifted else 0
    below = np.zeros(best + 2)  # what patterns of fewer than k matches may weigh
    for k in range(best + 1):
        below[k + 1] = below[k] + N[k] * table.largest[k + shift]
    weight, number, cut = 0.0, 0, best + 1
    while below[cut] > _NEGLIGIBLE * weight:
        cut -= 1
        weight += N[cut] * abs(table.delta_f[cut + shift])
        number += N[cut]
        if number > P // _SHARE:
            return -1, 0
    return cut, number


@jit_strict
def _far(N: Sites, cut: int, changes: int, near: Unsigned, table: Levels) -> float:
    """Return what patterns that had fewer than `cut` matches may weigh, `changes` later."""
    L, reach = N.shape[0] - 1, changes
    if table.shifted:  # to the best pattern's matches outside a site
        reach += L + 1 - (near.max() if near.shape[0] > 0 else 1)
    total = 0.0
    for k in range(cut):
        if table.shifted and N[k] > 0 and k + reach > L:
            return math.inf  # these may have become the best
        total += N[k] * table.largest[min(k + reach, L)]
    return total


@jit_strict
def _choose_near(
    near: Unsigned, sites: Unsigned, N: Sites, m: Unsigned, columns: Unsigned, table: Levels
) -> tuple[int, int, float]:
    """near, sites ← matches and columns of the near patterns; return cut, their number, and far."""
    _count_levels(N, m)
    cut, number = _cut(N, m.shape[0], table)
    n = 0
    for mu in range(m.shape[0] if number > 0 else 0):
        if m[mu] >= cut:
            near[n], sites[:, n] = m[mu], columns[:, mu]
            n += 1
    return cut, number, _far(N, cut, 0, near[:number], table)


@jit_strict
def _fields(h: Floats, m: Unsigned, column: Unsigned, x: int, table: Levels) -> float:
    """h_v = Σ_{μ: ξ_i^μ = v} Δf(m_μ⁻); return Σ_μ |Δf|."""
    shift = 0
    if table.shifted:
        best = 0
        for mu in range(m.shape[0]):
            best = max(best, m[mu] - (column[mu] == x))
        shift = table.f.shape[0] - 1 - best
    h[:] = 0
    size = 0.0
    for mu in range(m.shape[0]):
        v = column[mu]
        difference = table.delta_f[m[mu] - (v == x) + shift]
        h[v] += difference
        size += abs(difference)
    return size


@jit_reassoc
def _two_fields(w: Floats, column: Unsigned, x: int) -> tuple[float, float, float]:
    """Return h of the present value and of the other, where there are but two, and Σ |Δf|."""
    same = other = size = 0.0
    for mu in range(column.shape[0]):
        agrees = column[mu] == x
        same += w[1, mu] if agrees else 0.0
        other += 0.0 if agrees else w[0, mu]
        size += abs(w[1, mu] if agrees else w[0, mu])
    return same, other, size


@jit_strict
def _best(h: Floats, x: int, tie: float) -> int:
    """Return the first v of largest h_v, if it beats the present value x by more than `tie`."""
    best = x
    for v in range(h.shape[0]):
        if h[v] > h[best]:
            best = v
    return best if h[best] - h[x] > tie else x


@jit_strict
def _decided(h: Floats, x: int, far: float, tie: float) -> int:
    """Return what `_best` would for any h that differs by `far` in all, or -1 if that depends.

    `tie` is the rounding of the sum over all patterns, and twice that of a sum over fewer.
    """
    best, second = x, -math.inf  # the largest field, and the largest of another value
    for v in range(h.shape[0]):
        if v != best:
            if h[v] > h[best]:
                best, second = v, h[best]
            else:
                second = max(second, h[v])
    if best == x:
        return x if second - h[x] + far <= 0.4 * tie else -1
    return best if h[best] - second > far + 2 * tie else -1


@jit_strict
def _vote(
    h: Floats, w: Floats, weighed: bool, m: Unsigned, column: Unsigned, x: int, table: Levels
) -> int:
    """Return the value that a site takes, by all patterns; w (2, P) holds Δf of m and of m - 1."""
    if w.shape[1] == 0:
        size = _fields(h, m, column, x, table)
    else:
        for mu in range(0 if weighed else m.shape[0]):
            w[0, mu], w[1, mu] = table.delta_f[m[mu]], table.delta_f[m[mu] - 1]
        h[x], h[1 - x], size = _two_fields(w, column, x)
    return _best(h, x, table.rounding * size)


@jit_strict
def _near_vote(
    h: Floats, near: Unsigned, column: Unsigned, x: int, far: float, table: Levels
) -> int:
    """Return the value that a site takes if the near patterns decide that, else -1."""
    size = _fields(h, near, column, x, table)
    return _decided(h, x, far, table.rounding * (size + far)) if far <= size else -1


@jit_strict
def change(m: Tokens | Unsigned, column: Unsigned, before: int, after: int) -> None:
    """Update the matches of patterns where a site changes."""
    for mu in range(m.shape[0]):
        m[mu] += (column[mu] == after) - (column[mu] == before)


@jit_strict
def _room(m: Unsigned, columns: Unsigned, V: int, table: Levels) -> tuple[Any, ...]:
    """Return levels; near patterns, their columns; fields; weights, where there are two values."""
    L, P = columns.shape
    near, sites = np.empty(P // _SHARE, m.dtype), np.empty((L, P // _SHARE), columns.dtype)
    w = np.empty((2, P if V == 2 and not table.shifted else 0))
    return np.empty(L + 1, np.int64), near, sites, np.empty(V), w


@jit_strict
def asynchronous(
    state: Unsigned,
    changed: Bools,
    energy: Floats,
    m: Unsigned,
    order: Sites,
    columns: Unsigned,
    V: int,
    table: Levels,
) -> None:
    """One sweep over the sites of every state, in its order; say which changed, and E after it."""
    N, near, sites, h, w = _room(m, columns, V, table)
    patience = _PATIENCE if w.shape[1] == 0 else 8 * _PATIENCE  # such sums are fast
    for b in range(state.shape[0]):
        x, changes, votes, weighed = state[b], 1, patience, False
        count_matches(m, x, columns)
        for i in order[b]:
            column, before = columns[i], x[i]
            if changes > 0 and votes >= patience:
                cut, n, far = _choose_near(near, sites, N, m, columns, table)
                changes, votes = 0, 0
            v = _near_vote(h, near[:n], sites[i, :n], before, far, table) if cut >= 0 else -1
            if v < 0:
                v = _vote(h, w, weighed, m, column, before, table)
                votes, weighed = votes + 1, True
            if v != before:
                x[i] = v
                change(m, column, before, x[i])
                change(near[:n], sites[i, :n], before, x[i])
                changes, weighed, changed[b] = changes + 1, False, True
                far = _far(N, cut, changes, near[:n], table)
        _count_levels(N, m)
        energy[b] = _energy(N, table)


@jit_strict
def synchronous(
    out: Unsigned, m: Unsigned, state: Unsigned, columns: Unsigned, V: int, table: Levels
) -> None:
    """Update all sites of every state at once, each as if the others stayed."""
    N, near, sites, h, w = _room(m, columns, V, table)
    for b in range(state.shape[0]):
        x, weighed = state[b], False
        count_matches(m, x, columns)
        cut, n, far = _choose_near(near, sites, N, m, columns, table)
        for i in range(columns.shape[0]):
            v = _near_vote(h, near[:n], sites[i, :n], x[i], far, table) if cut >= 0 else -1
            if v < 0:
                v, weighed = _vote(h, w, weighed, m, columns[i], x[i], table), True
            out[b, i] = v
