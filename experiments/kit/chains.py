"""Samplers, and their exact laws on worlds whose states can be counted: products of matrices.

A matrix has a row for each state before a move and a column for each state after it. States are
sequences of the values that a token may show, MASK included. Nothing is drawn here: these matrices
are written from the laws of the moves, beside the moves of `minuddm.samplers`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from experiments.kit.settings import PROCESSES
from minuddm import DatasetIdeal, Denoiser, Process, Schedule
from minuddm.ideal import MarkovIdeal
from minuddm.reverse import Grid, time_grid
from minuddm.samplers import (
    Corrector,
    HeatBath,
    Jumps,
    Step,
    ancestral,
    barker,
    jump_rates,
    tau_leap,
    tau_leap_law,
)
from minuddm.sources import MarkovChain

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


def run_for(rates: Array, span: float) -> tuple[Array, Array]:
    """Return the matrix (n, n) of jumps after a span, and the mean number of jumps (n,)."""
    n = len(rates)
    larger = np.zeros((n + 1, n + 1))
    larger[:n, :n], larger[:n, n] = rates, -np.diag(rates)
    moved = np.asarray(expm(span * larger))
    return moved[:n, :n], moved[:n, n]


def worlds(process: str) -> dict[str, tuple[World, Array]]:
    """Return both worlds of a process, each with the law of its clean sequences."""
    of, every = PROCESSES[process](3), np.array(list(np.ndindex(3, 3, 3)))
    patterns = every[np.random.default_rng(0).permutation(27)[:4]]
    chain = MarkovChain.random(3, np.random.default_rng(1))
    stored = (every[:, None] == patterns).all(axis=2).mean(axis=1)
    return {
        "memory": (World(of, DatasetIdeal(patterns, 3, of), 3), stored),
        "chain": (World(of, MarkovIdeal(chain, of), 3), np.exp(chain.log_prob(every))),
    }


class Sampler(NamedTuple):
    """How a chain is run: its times, its steps, and what corrects it after all but the last."""

    grid: Grid = time_grid
    step: Step = ancestral
    sites: int = 0
    span: float = 0.0

    @property
    def corrector(self) -> Corrector | None:
        """Return a heat bath of `sites` sites, or jumps for a span of time, or nothing."""
        if self.span:
            return Jumps(self.span)
        return HeatBath(self.sites) if self.sites else None

    def end(self, world: World, schedule: Schedule, intervals: int) -> tuple[Array, float]:
        """Return the law (n,) of what is generated, and the mean number of calls for a sequence."""
        step = world.tau_leap if self.step is tau_leap else world.bridge
        alphas = np.append(schedule.alpha(self.grid(1.0, intervals)), 1.0)
        law, calls = world.noise(), float(len(alphas) - 1)
        each = 1 + world.L * (world.process.states > world.process.V)  # of all conditionals
        for alpha_t, alpha_s in pairwise(alphas.tolist()):
            law = law @ step(alpha_s, alpha_t)
            if alpha_s < 1 and self.sites:
                law = law @ np.linalg.matrix_power(world.heat_bath(alpha_s), self.sites)
                calls += self.sites
            if alpha_s < 1 and self.span:
                matrix, jumps = run_for(world.generator(alpha_s, barker), self.span)
                calls += each * float(law @ (1 + jumps))
                law = law @ matrix
        return law, calls
