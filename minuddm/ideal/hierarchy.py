"""The ideal generaliser of a random hierarchy: belief propagation up and down its tree [T15].

A node n of level k carries a symbol a and is rewritten by one of m rules into its s children. The
evidence of a leaf is e(v) = q(z | v) ∝ e^{β 1(v = z)}, β = log(1 + V α/(1 - α)) for the uniform
process. A tree splits at every node into what is below and what is not:

    U_n(a) = P(leaves below n | a)                 leaf: U = e
             U_n(a) = (1/m) Σ_r Π_j U_{child j}(rule[a, r, j])
    D_n(a) = P(leaves not below n, symbol a at n)  root: D = 1/v
             D_{child j}(b) = (1/m) Σ D_n(a) Π_{j' ≠ j} U_{child j'}(rule[a, r, j'])
                              over the a, r with rule[a, r, j] = b

The posterior of a leaf is D · e. The leave-one-out conditional leaves the last factor out: below
a leaf there is only its own evidence, so *the downward message at a leaf is the answer*,

    p_i(v) ∝ D_{leaf i}(v)

All messages are logarithms with their peaks shifted to 0. Upward ones are finite, as β is: every
leaf value explains what is seen, if badly. A value that no rule produces gets log 0 = -∞ on the way
down.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.checks import Tokens
from minuddm.ideal.messages import evidence, normalise
from minuddm.machine.jit import jit_strict
from minuddm.process import Process, given_or_uniform
from minuddm.sources import RandomHierarchy


class HierarchyIdeal(checks.Sealed):
    """The exact leave-one-out conditionals of a hierarchy under corruption: a `Denoiser`.

    The process is uniform if not given.
    """

    def __init__(self, hierarchy: RandomHierarchy, process: Process | None = None) -> None:
        self.V = hierarchy.V
        self.process = given_or_uniform(process, self.V)
        self._rules = checks.tokens(hierarchy.rules, self.V, "rules", ndim=4)
        self.L = self._rules.shape[3] ** len(self._rules)

    def __call__(self, tokens: ArrayLike, alpha: ArrayLike) -> NDArray[np.float64]:
        """Tokens (B, L) → LOO log-probabilities (B, L, V); alpha is a number, (B,) or (B, L).

        Where α = 1, no more tokens are contradicted than need be.
        """
        z = checks.tokens(tokens, self.process.states, "tokens", ndim=2, L=self.L)
        beta = evidence(self.process, z, alpha)
        log_p = np.empty((*z.shape, self.V))
        _up_and_down(log_p, z, beta, self._rules)
        return log_p


@jit_strict
def _up_and_down(
    log_p: NDArray[np.float64],
    z: Tokens,
    beta: NDArray[np.float64],
    rules: NDArray[np.int32],
) -> None:
    """Level k's nodes stand at first[k] … first[k + 1] - 1 of the arrays of messages."""
    depth, V, _, s = rules.shape
    first = np.zeros(depth + 2, np.int64)
    for k in range(depth + 1):
        first[k + 1] = first[k] + s**k
    up, down = np.empty((first[-1], V)), np.empty((first[-1], V))
    for b in range(z.shape[0]):
        for i in range(z.shape[1]):
            for v in range(V):
                up[first[depth] + i, v] = beta[b, i] if v == z[b, i] else 0.0
        for k in range(depth - 1, -1, -1):
            for n in range(s**k):
                children = up[first[k + 1] + n * s : first[k + 1] + (n + 1) * s]
                _message_up(up[first[k] + n], children, rules[k])
        down[0] = 0
        for k in range(depth):
            for n in range(s**k):
                below = first[k + 1] + n * s
                _messages_down(
                    down[below : below + s], down[first[k] + n], up[below : below + s], rules[k]
                )
        log_p[b] = down[first[depth] :]
        for i in range(z.shape[1]):
            normalise(log_p[b, i])


@jit_strict
def _message_up(
    out: NDArray[np.float64], children: NDArray[np.float64], rules: NDArray[np.int32]
) -> None:
    """Children (s, V), rules (V, m, s) → out (V,), up to a constant."""
    V, m, s = rules.shape
    for a in range(V):
        peak, total = -math.inf, 0.0
        for r in range(m):
            term = 0.0
            for j in range(s):
                term += children[j, rules[a, r, j]]
            if term > peak:  # a running sum, relative to its largest term
                total = total * math.exp(peak - term) + 1
                peak = term
            else:
                total += math.exp(term - peak)
        out[a] = peak + math.log(total)
    out -= out.max()


@jit_strict
def _messages_down(
    out: NDArray[np.float64],
    parent: NDArray[np.float64],
    children: NDArray[np.float64],
    rules: NDArray[np.int32],
) -> None:
    """parent (V,), children's upward messages (s, V), rules (V, m, s) → out (s, V)."""
    V, m, s = rules.shape
    total = np.zeros((s, V))
    out[:] = -math.inf
    for a in range(V):
        if parent[a] == -math.inf:
            continue
        for r in range(m):
            term = parent[a]
            for j in range(s):
                term += children[j, rules[a, r, j]]
            for j in range(s):
                symbol = rules[a, r, j]
                rest = term - children[j, symbol]
                if rest > out[j, symbol]:
                    total[j, symbol] *= math.exp(out[j, symbol] - rest)
                    total[j, symbol] += 1
                    out[j, symbol] = rest
                else:
                    total[j, symbol] += math.exp(rest - out[j, symbol])
    for j in range(s):
        for v in range(V):
            if total[j, v] > 0:
                out[j, v] += math.log(total[j, v])
        out[j] -= out[j].max()
