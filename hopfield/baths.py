"""The compiled heat bath of a dense memory: its sites' laws given the others, and draws from them.

A state x (L,) holds values 0 … V - 1, columns (L, P) the patterns, m (P,) the matches of each with
x, kept up to date as sites change. f, delta_f, beta, log_ratio are an `OverlapTable`. A table with
log_ratio > 0 is read *shifted*, counted down from the best match.
"""

import math

import numpy as np

from hopfield.jit import jit_strict
from hopfield.recall import Floats, Tokens, Unsigned
from hopfield.walks import change, count_matches


@jit_strict
def _fields(h: Floats, m: Tokens, column: Unsigned, present: int, delta_f: Floats) -> None:
    """h_v = Σ_{μ: ξ_i^μ = v} Δf(m_μ⁻)."""
    h[:] = 0
    for mu in range(m.shape[0]):
        v = column[mu]
        h[v] += delta_f[m[mu] - (v == present)]


@jit_strict
def _law(
    p: Floats,
    m: Tokens,
    column: Unsigned,
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
        _fields(p, m, column, present, delta_f)
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
    out: Floats, m: Tokens, column: Unsigned, present: int, f: Floats, log_ratio: float
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
    state: Unsigned,
    columns: Unsigned,
    f: Floats,
    delta_f: Floats,
    beta: float,
    log_ratio: float,
    bath: float,
) -> None:
    """out ← the laws of all sites, each given the others."""
    m = np.empty(columns.shape[1], np.int32)
    for k in range(state.shape[0]):
        count_matches(m, state[k], columns)
        for i in range(columns.shape[0]):
            p, present = out[k, i], state[k, i]
            _law(p, m, columns[i], present, f, delta_f, beta, log_ratio, bath)


@jit_strict
def gibbs(
    state: Unsigned,
    u: Floats,
    columns: Unsigned,
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
        count_matches(m, x, columns)
        for i in range(columns.shape[0]):
            _law(p, m, columns[i], x[i], f, delta_f, beta, log_ratio, bath)
            v, below = 0, p[0]
            while v < V - 1 and below <= u[k, i]:
                v += 1
                below += p[v]
            if v != x[i]:
                change(m, columns[i], x[i], v)
                x[i] = v
