"""The compiled walks of a dense memory over the sites of its states (`hopfield.dense` has the law).

A state x (L,) holds values 0 … V - 1, columns (L, P) the patterns, m (P,) the matches of each with
x, kept up to date as sites change. f, delta_f, beta, log_ratio are an `OverlapTable`. A table with
log_ratio > 0 is read *shifted*, counted down from the best match.
"""

import math

import numpy as np

from hopfield.jit import jit_strict
from hopfield.recall import Bools, Floats, Sites, Tokens


@jit_strict
def _count_matches(m: Tokens, x: Tokens, columns: Tokens) -> None:
    """m_μ = number of sites at which pattern μ agrees with x."""
    m[:] = 0
    for i in range(columns.shape[0]):
        for mu in range(columns.shape[1]):
            m[mu] += columns[i, mu] == x[i]


@jit_strict
def energies(
    out: Floats,
    state: Tokens,
    columns: Tokens,
    f: Floats,
    beta: float,
    shifted: bool,
    overlaps: Floats,
) -> None:
    """E of every state."""
    m = np.empty(columns.shape[1], np.int32)
    for b in range(state.shape[0]):
        _count_matches(m, state[b], columns)
        shift = columns.shape[0] - m.max() if shifted else 0  # the best match reads the last entry
        total = 0.0
        for mu in range(m.shape[0]):
            total += f[m[mu] + shift]
        if beta == 0:
            out[b] = -total
        else:
            out[b] = -(math.log(total) / beta if total > 0 else -math.inf)
            if shifted:
                out[b] -= overlaps[m.max()]


@jit_strict
def _fields(
    h: Floats, m: Tokens, column: Tokens, present: int, delta_f: Floats, shifted: bool
) -> float:
    """h_v = Σ_{μ: ξ_i^μ = v} Δf(m_μ⁻); return Σ_μ |Δf|."""
    shift = 0
    if shifted:
        best = 0
        for mu in range(m.shape[0]):
            best = max(best, m[mu] - (column[mu] == present))
        shift = delta_f.shape[0] - 1 - best
    h[:] = 0
    size = 0.0
    for mu in range(m.shape[0]):
        v = column[mu]
        difference = delta_f[m[mu] - (v == present) + shift]
        h[v] += difference
        size += abs(difference)
    return size


@jit_strict
def _best(h: Floats, present: int, tie: float) -> int:
    """Return the first v of largest h_v, if it beats the present value by more than `tie`."""
    best = present
    for v in range(h.shape[0]):
        if h[v] > h[best]:
            best = v
    return best if h[best] - h[present] > tie else present


@jit_strict
def _set(x: Tokens, i: int, v: int, m: Tokens, column: Tokens) -> None:
    """x_i ← v, and the matches with it."""
    for mu in range(m.shape[0]):
        m[mu] += (column[mu] == v) - (column[mu] == x[i])
    x[i] = v


@jit_strict
def asynchronous(
    state: Tokens,
    changed: Bools,
    active: Sites,
    order: Sites,
    columns: Tokens,
    V: int,
    delta_f: Floats,
    shifted: bool,
    rounding: float,
) -> None:
    """One sweep over the sites of every active query; what is closer than `rounding` ties."""
    m, h = np.empty(columns.shape[1], np.int32), np.empty(V)
    for k in range(active.shape[0]):
        x = state[active[k]]
        _count_matches(m, x, columns)
        for i in order[k]:
            size = _fields(h, m, columns[i], x[i], delta_f, shifted)
            best = _best(h, x[i], rounding * size)
            if best != x[i]:
                changed[k] = True
                _set(x, i, best, m, columns[i])


@jit_strict
def synchronous(
    out: Tokens,
    state: Tokens,
    columns: Tokens,
    V: int,
    delta_f: Floats,
    shifted: bool,
    rounding: float,
) -> None:
    """Update all sites at once, each as if the others stayed."""
    m, h = np.empty(columns.shape[1], np.int32), np.empty(V)
    for b in range(state.shape[0]):
        _count_matches(m, state[b], columns)
        for i in range(columns.shape[0]):
            size = _fields(h, m, columns[i], state[b, i], delta_f, shifted)
            out[b, i] = _best(h, state[b, i], rounding * size)


@jit_strict
def _law(
    p: Floats,
    m: Tokens,
    column: Tokens,
    present: int,
    f: Floats,
    delta_f: Floats,
    beta: float,
    log_ratio: float,
    bath: float,
) -> None:
    """p ← the site's law given the others at inverse temperature `bath`."""
    if log_ratio > 0:
        _log_sums(p, m, column, present, f, log_ratio)
        power = bath / beta
    else:
        _fields(p, m, column, present, delta_f, False)
        power = bath
        if beta > 0:
            common = 0.0
            for mu in range(m.shape[0]):
                common += f[m[mu] - (column[mu] == present)]
            for v in range(p.shape[0]):
                inside = common + p[v]
                p[v] = math.log(inside) / beta if inside > 0 else -1e308
    largest, total = p.max(), 0.0
    for v in range(p.shape[0]):
        p[v] = math.exp(power * (p[v] - largest))
        total += p[v]
    for v in range(p.shape[0]):
        p[v] /= total


@jit_strict
def _log_sums(
    out: Floats, m: Tokens, column: Tokens, present: int, f: Floats, log_ratio: float
) -> None:
    """out_v = log Σ_μ f(m⁻ + 1[ξ_i^μ = v]), less a constant that all v share.

    With m⁻ counted down from the best, d = best - m⁻, the patterns with d = 0 that v would raise
    stand above all others by a factor e^log_ratio, which may overflow: they are counted apart.
    """
    V, best = out.shape[0], 0
    for mu in range(m.shape[0]):
        best = max(best, m[mu] - (column[mu] == present))
    raised, others = np.zeros(V), np.zeros(V)  # at d = 0; below, in units of f(best)
    everything, last = 0.0, f.shape[0] - 1
    for mu in range(m.shape[0]):
        v = column[mu]
        d = best - m[mu] + (v == present)
        everything += f[last - d]
        others[v] -= f[last - d]
        if d == 0:
            raised[v] += 1
        else:
            others[v] += f[last - d + 1]
    for v in range(V):
        remainder = everything + others[v]
        if raised[v] > 0:
            out[v] = math.log(raised[v] + math.exp(-log_ratio) * remainder)
        else:
            out[v] = math.log(remainder) - log_ratio


@jit_strict
def heat_bath(
    out: Floats,
    state: Tokens,
    columns: Tokens,
    f: Floats,
    delta_f: Floats,
    beta: float,
    log_ratio: float,
    bath: float,
) -> None:
    """out ← the laws of all sites, each given the others."""
    m = np.empty(columns.shape[1], np.int32)
    for k in range(state.shape[0]):
        _count_matches(m, state[k], columns)
        for i in range(columns.shape[0]):
            p, present = out[k, i], state[k, i]
            _law(p, m, columns[i], present, f, delta_f, beta, log_ratio, bath)


@jit_strict
def gibbs(
    state: Tokens,
    u: Floats,
    columns: Tokens,
    V: int,
    f: Floats,
    delta_f: Floats,
    beta: float,
    log_ratio: float,
    bath: float,
) -> None:
    """Draw the sites in turn, site i with the uniform u_i."""
    m, p = np.empty(columns.shape[1], np.int32), np.empty(V)
    for k in range(state.shape[0]):
        x = state[k]
        _count_matches(m, x, columns)
        for i in range(columns.shape[0]):
            _law(p, m, columns[i], x[i], f, delta_f, beta, log_ratio, bath)
            v, below = 0, p[0]
            while v < V - 1 and below <= u[k, i]:
                v += 1
                below += p[v]
            if v != x[i]:
                _set(x, i, v, m, columns[i])
