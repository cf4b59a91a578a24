"""The ideal generaliser of a Markov chain: forward-backward, leaving one out [T15].

The corrupted tokens z are independent given the clean x, with evidence

    e_i(v) = q(z_i | x_i = v) ∝ e^{β_i 1(v = z_i)}      uniform process: β = log(1 + V α/(1 - α))

Given x_i, the past z_{<i} and the future z_{>i} are independent, so that P(x_i = v, z without i)
= F_i(v) G_i(v),

    F_i(v) = P(z_{<i}, x_i = v)      F_1 = π,    F_{i+1}(v) = Σ_u F_i(u) e_i(u) M[u, v]
    G_i(v) = P(z_{>i} | x_i = v)     G_L = 1,    G_{i-1}(u) = Σ_v M[u, v] e_i(v) G_i(v)

Each message takes in the evidence of the positions it has *passed*, never that of the position it
has reached. The textbook's smoother then multiplies by e_i, which gives the posterior; the
leave-one-out conditional is what stands there one step earlier:

    p_i(v) ∝ F_i(v) G_i(v)

All messages are logarithms, shifted to a peak of 0 as they go: nothing underflows at any α,
however deterministic M is.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.checks import Tokens
from minuddm.ideal.messages import evidence, log_sum, normalise
from minuddm.machine.jit import jit_strict
from minuddm.process import Process, given_or_uniform
from minuddm.sources import MarkovChain


class MarkovIdeal(checks.Sealed):
    """The exact leave-one-out conditionals of a Markov chain under corruption: a `Denoiser`.

    The process is uniform if not given.
    """

    def __init__(self, chain: MarkovChain, process: Process | None = None) -> None:
        self.V = chain.V
        self.process = given_or_uniform(process, self.V)
        with np.errstate(divide="ignore"):
            self._log_start, self._log_matrix = np.log(chain.start), np.log(chain.matrix)

    def __call__(self, tokens: ArrayLike, alpha: ArrayLike) -> NDArray[np.float64]:
        """Tokens (B, L) → LOO log-probabilities (B, L, V); alpha is a number, (B,) or (B, L).

        Where α = 1, no more tokens are contradicted than need be.
        """
        z = checks.tokens(tokens, self.process.states, "tokens", ndim=2)
        beta = evidence(self.process, z, alpha)
        log_p = np.empty((*z.shape, self.V))
        _forward_backward(log_p, z, beta, self._log_start, self._log_matrix)
        return log_p


@jit_strict
def _forward_backward(
    log_p: NDArray[np.float64],
    z: Tokens,
    beta: NDArray[np.float64],
    log_start: NDArray[np.float64],
    log_matrix: NDArray[np.float64],
) -> None:
    B, L, V = log_p.shape
    future, carried = np.empty(V), np.empty(V)
    for b in range(B):
        F = log_p[b]
        F[0] = log_start
        for i in range(L - 1):
            for u in range(V):
                carried[u] = F[i, u] + (beta[b, i] if u == z[b, i] else 0.0)
            for v in range(V):
                F[i + 1, v] = log_sum(carried, log_matrix[:, v])
            F[i + 1] -= F[i + 1].max()
        future[:] = 0
        for i in range(L - 1, -1, -1):
            for v in range(V):
                carried[v] = future[v] + (beta[b, i] if v == z[b, i] else 0.0)
                F[i, v] += future[v]
            normalise(F[i])
            for u in range(V):
                future[u] = log_sum(carried, log_matrix[u])
            future -= future.max()
