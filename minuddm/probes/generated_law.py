"""The exact law of what a chain generates, where all its states can be enumerated [T31], [T45].

A step from α_t to α_s draws the tokens independently given the state z, so that it is a matrix of
products, and the chain the product of its matrices applied to the law of noise:

    P_N = noise · M_N ⋯ M_1,    M(z, y) = Π_i q_i(y_i | z),    q_i the bridge [T7] of token i

The chain of [T31] has N equal steps, the last one too: `even_grid`. Where tokens are known they
stay, and M is 1 or 0 there. If the process leaves doubt about them, a heat bath of one site follows
every step but the last [T35], as in `minuddm.reverse.generate`.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.checks import Tokens
from minuddm.denoiser import Denoiser
from minuddm.process import Process, given_or_uniform
from minuddm.reverse import Grid, time_grid
from minuddm.schedule import Schedule

Array = NDArray[np.float64]

MOST_STATES = 2**12
_BLOCK = 256  # rows of a matrix held at a time


def even_grid(t: float, steps: int) -> Array:
    """Return t ∈ (0, 1], and the points k/N below it: the last step is as long as the others.

    From t = 1 a chain of N steps, with N calls of the denoiser.
    """
    time_grid(t, steps)  # refuses what no chain has
    points = np.arange(1, steps + 1) / steps
    return np.append(t, points[points < t][::-1])


def generated_law(
    denoiser: Denoiser,
    L: int,
    V: int,
    schedule: Schedule,
    steps: int,
    process: Process | None = None,
    grid: Grid = even_grid,
    known: ArrayLike = False,
    prompt: ArrayLike | None = None,
) -> Array:
    """Return the law of what `generate` returns, a table with L axes of size V.

    Arguments are those of `generate`, `known` and `prompt` of shape (L,); the process is uniform if
    not given. Raises `ValueError` above 4,096 states.
    """
    process, L = given_or_uniform(process, checks.vocabulary(V)), checks.count(L, "L")
    S, noise = process.states, process.propagate(np.full(V, 1 / V), 0.0)
    if L * np.log2(S) > np.log2(MOST_STATES):
        raise ValueError(f"at most {MOST_STATES:,} states can be enumerated, got {S}^{L}")
    z = np.indices((S,) * L).reshape(L, -1).T.astype(np.int32)
    held, start, doubt = np.array(checks.booleans(known, (1, L), "known")[0]), noise[z], False
    alphas = [*schedule.alpha(grid(1.0, steps)).tolist(), 1.0]
    if prompt is not None:
        given = checks.tokens(prompt, V, "prompt", ndim=1, L=L)
        start = np.where(held, z == given, start)
        doubt = bool(np.isfinite(process.inverse_temperature(given[held], alphas[0])).any())
    elif held.any():
        raise ValueError("known tokens need a prompt that says what they are")
    p = start.prod(axis=1)
    for alpha_t, alpha_s in pairwise(alphas):
        moves = process.bridge(z, _conditionals(denoiser, z, alpha_t), alpha_s, alpha_t)
        p = _moved(p, np.where(held[:, None], z[..., None] == np.arange(S), moves))
        if doubt and alpha_s < 1 and not held.all():
            laws = process.propagate(_conditionals(denoiser, z, alpha_s), alpha_s)
            p = _heat_bath(p.reshape((S,) * L), laws, noise, np.flatnonzero(~held))
    return np.asarray(p.reshape((S,) * L)[(slice(V),) * L])


def _conditionals(denoiser: Denoiser, z: Tokens, alpha: float) -> Array:
    return np.exp(np.asarray(denoiser(z, np.full(len(z), alpha)), dtype=np.float64))


def _moved(p: Array, moves: Array) -> Array:
    """Return Σ_z p(z) Π_i moves_i(y_i | z), (n,), for p (n,) and moves (n, L, states)."""
    L, S = moves.shape[1:]
    total, reached = np.zeros((S ** (L - 1), S)), np.flatnonzero(p)
    for start in range(0, len(reached), _BLOCK):
        part = reached[start : start + _BLOCK]
        joint = p[part, None]
        for i in range(L - 1):
            joint = (joint[:, :, None] * moves[part, i, None]).reshape(len(part), -1)
        total += joint.T @ moves[part, -1]
    return total.ravel()


def _heat_bath(p: Array, laws: Array, noise: Array, free: NDArray[np.intp]) -> Array:
    """Return the law (n,) after one random free site of p (L axes) is drawn from laws (n, L, S).

    The site shows noise while the denoiser is asked, as in `HeatBath` [T43].
    """
    total = np.zeros_like(p)
    for i in free:
        asked = np.moveaxis(laws[:, i].reshape(*p.shape, -1), i, 0)
        total += p.sum(axis=i, keepdims=True) * np.moveaxis(np.tensordot(noise, asked, 1), -1, i)
    return total.ravel() / len(free)
