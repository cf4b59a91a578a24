"""The exact laws of samplers on worlds whose states can be counted: products of matrices.

A matrix has a row for each state before a move and a column for each state after it. States are
sequences of the values that a token may show, MASK included. Nothing is drawn here: these matrices
are written from the laws of the moves, beside the moves of `minuddm.samplers`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from minuddm import Denoiser, Process
from minuddm.samplers import jump_rates, tau_leap_law

Array = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """All states of L tokens of a process, and a denoiser that knows them."""

    process: Process
    denoiser: Denoiser
    L: int

    @property
    def states(self) -> NDArray[np.int32]:
        """Return all states, (n, L), in lexicographic order."""
        values = range(self.process.states)
        return np.array(list(product(values, repeat=self.L)), np.int32)

    def log_p(self, alpha: float) -> Array:
        """Return what the denoiser answers, (n, L, V), in one call a state."""
        z = self.states
        return np.asarray(self.denoiser(z, np.full(len(z), alpha)))

    def conditionals(self, alpha: float) -> Array:
        """Return p_t(x_i = v | the others), (n, L, states): what a heat bath draws from."""
        z = self.states
        log_p = self.process.leave_one_out(self.denoiser, z, np.full(len(z), alpha))
        return self.process.propagate(np.exp(log_p), alpha)

    def noise(self) -> Array:
        """Return the law (n,) that the chain starts from."""
        V = self.process.V
        token = self.process.propagate(np.full(V, 1 / V), 0.0)
        return np.asarray(token[self.states].prod(axis=1))

    def independently(self, laws: Array, held: Sequence[int] = ()) -> Array:
        """Return the matrix of a move to (n, L, states), for each token of its own; some stay."""
        z, matrix = self.states, np.ones((len(laws), len(laws)))
        for i in range(self.L):
            matrix *= z[:, i, None] == z[:, i] if i in held else laws[:, i][:, z[:, i]]
        return matrix

    def one_site(self, laws: Array, i: int) -> Array:
        """Return the matrix of a move of the token at i to (n, L, states)[:, i]."""
        return self.independently(laws, [j for j in range(self.L) if j != i])

    def bridge(self, alpha_s: float, alpha_t: float, held: Sequence[int] = ()) -> Array:
        """Return the matrix of an ancestral step [T7]."""
        p = np.exp(self.log_p(alpha_t))
        return self.independently(self.process.bridge(self.states, p, alpha_s, alpha_t), held)

    def tau_leap(self, alpha_s: float, alpha_t: float) -> Array:
        """Return the matrix of a τ-leap [T44]."""
        log_p = self.log_p(alpha_t)
        return self.independently(tau_leap_law(self.process, self.states, log_p, alpha_s, alpha_t))

    def heat_bath(self, alpha: float, held: Sequence[int] = ()) -> Array:
        """Return the matrix of a heat bath at one random site that is not held [T43]."""
        laws, free = self.conditionals(alpha), [i for i in range(self.L) if i not in held]
        return np.asarray(sum(self.one_site(laws, i) for i in free) / len(free))

    def generator(self, alpha: float, g: Callable[[Array], Array]) -> Array:
        """Return the rate matrix of jumps at rates g(ratio) [T43]."""
        z = self.states
        rates = jump_rates(self.denoiser, self.process, z, alpha, g)
        matrix = np.zeros((len(z), len(z)))
        for i in range(self.L):
            matrix += self.one_site(rates, i)
        return np.asarray(matrix - np.diag(matrix.sum(axis=1)))


def last_law(
    world: World,
    alphas: Sequence[float],
    step: Callable[[float, float], Array],
    corrector: Callable[[float], Array] | None = None,
) -> Array:
    """Return the law (n,) at the end of a chain through alphas, from noise.

    The corrector follows every step but the last.
    """
    law = world.noise()
    for alpha_t, alpha_s in pairwise(alphas):
        law = law @ step(alpha_s, alpha_t)
        if corrector is not None and alpha_s < 1:
            law = law @ corrector(alpha_s)
    return law


def run_for(rates: Array, span: float) -> tuple[Array, Array]:
    """Return the matrix (n, n) of jumps after a span, and the mean number of jumps (n,)."""
    n = len(rates)
    larger = np.zeros((n + 1, n + 1))
    larger[:n, :n], larger[:n, n] = rates, -np.diag(rates)
    moved = np.asarray(expm(span * larger))
    return moved[:n, :n], moved[:n, n]
