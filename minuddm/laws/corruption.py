"""The laws of what a process draws [T5].

Frequencies are compared with the kernel by chi-square, from generators with fixed seeds. An object
that obeys fails such a law with chance 1e-6 (`FALSE_ALARM`), whatever the stream of its draws, and
then always does: draw otherwise, once, and it is over.
"""

from typing import Any

import numpy as np

from minuddm.laws.kernels import kernel_of, states
from minuddm.laws.law import Array, frequencies, holds, law, same

_DRAWS = 200_000
_NOISE_LEVELS = (0.0, 0.3, 0.97)


def _tokens(drawn: Any, shape: tuple[int, ...], n: int) -> Array:
    """Return tokens as an array, and raise unless they are whole numbers 0 … n - 1 of a shape."""
    x = np.asarray(drawn)
    holds(x.shape == shape, f"the shape {shape} of tokens (it is {x.shape})")
    holds(x.dtype.kind in "iu", f"whole numbers as tokens (dtype {x.dtype})")
    holds((x >= 0) & (x < n), f"0 ≤ token < {n}")
    return x


@law("[T5]", "kernel corrupt")
def corruption(process: Any) -> None:
    """`corrupt` draws x_t from the row x0 of Q(α)."""
    V, n = process.V, states(process)
    for alpha in _NOISE_LEVELS:
        x0, Q = np.tile(np.arange(V), (_DRAWS, 1)), kernel_of(process, alpha)
        xt = _tokens(process.corrupt(x0, alpha, np.random.default_rng(0)), x0.shape, n)
        for v in range(V):
            counts = np.bincount(xt[:, v], minlength=n)
            what = f"x_t from x_0 = {v} at α = {alpha}"
            frequencies(counts, Q[v], len(_NOISE_LEVELS) * V, what)


@law("[T5]", "kernel corrupt")
def independence(process: Any) -> None:
    """Tokens move independently: of neighbours and of sequences, pairs have product laws."""
    n, alpha = states(process), 0.5
    x0 = np.zeros((_DRAWS, 2), np.int64)
    xt = _tokens(process.corrupt(x0, alpha, np.random.default_rng(1)), x0.shape, n)
    row = kernel_of(process, alpha)[0]
    for one, two, what in (
        (xt[:, 0], xt[:, 1], "a pair of neighbours"),
        (xt[::2, 0], xt[1::2, 0], "a pair of sequences"),
    ):
        counts = np.bincount(one * n + two, minlength=n * n)
        frequencies(counts, np.outer(row, row).ravel(), 2, what)


@law("[T5]", "corrupt")
def noise_by_sequence(process: Any) -> None:
    """`corrupt` is the identity at α = 1, of a sequence with its own alpha too."""
    x0 = np.tile(np.arange(process.V), (3, 40))
    xt = _tokens(
        process.corrupt(x0, np.array([0.0, 1.0, 0.0]), np.random.default_rng(2)),
        x0.shape,
        states(process),
    )
    same(xt[1], x0[1], 0, "x_t at α = 1")
    holds((xt[[0, 2]] != x0[[0, 2]]).any(axis=1), "a change at α = 0")
    for alpha in (1.0, np.ones(3)):
        xt = np.asarray(process.corrupt(x0, alpha, np.random.default_rng(2)))
        same(xt, x0, 0, "x_t at α = 1")


@law("[T5]", "kernel change")
def changes(process: Any) -> None:
    """`change` draws from the row x0 of Q without its diagonal."""
    V, n = process.V, states(process)
    x0, Q = np.tile(np.arange(V), (_DRAWS, 1)), kernel_of(process, 0.5)
    xt = _tokens(process.change(x0, np.random.default_rng(3)), x0.shape, n)
    for v in range(V):
        row = np.where(np.arange(n) == v, 0.0, Q[v])
        frequencies(np.bincount(xt[:, v], minlength=n), row, V, f"a change of {v}")


@law("[T3]", "kernel noise")
def noise(process: Any) -> None:
    """`noise` draws from π, the row of Q at α = 0."""
    n = states(process)
    x = _tokens(process.noise((_DRAWS // 2, 2), np.random.default_rng(4)), (_DRAWS // 2, 2), n)
    frequencies(np.bincount(x.ravel(), minlength=n), kernel_of(process, 0.0)[0], 1, "noise")


@law("[T5]", "corrupt")
def repeats(process: Any) -> None:
    """`corrupt` takes all chance from its generator: equal ones give equal tokens."""
    x0 = np.zeros((50, 20), np.int64)
    one, two, other = (
        np.asarray(process.corrupt(x0, 0.5, np.random.default_rng(seed))) for seed in (5, 5, 6)
    )
    same(one, two, 0, "x_t of a generator with the same seed")
    holds((one != other).any(), "a difference between generators")


@law("[T5]", "corrupt")
def arguments_stay(process: Any) -> None:
    """`corrupt` leaves its arguments as they were."""
    x0, alpha = np.zeros((20, 5), np.int64), np.zeros(20)
    process.corrupt(x0, alpha, np.random.default_rng(7))
    same(x0, np.zeros((20, 5)), 0, "x0 after the call")
    same(alpha, np.zeros(20), 0, "alpha after the call")
