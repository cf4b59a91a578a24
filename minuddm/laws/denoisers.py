"""The laws of a denoiser: the conditional of one token given the others [T11], [T15].

A subject is called with tokens (B, L), alphas (B,) and returns log-probabilities (B, L, V). It has
the attributes V and L, and may have

    states              the number of values that a token shows, V if there is none
    leave_one_out       True: it claims to be blind to the token at its own position
    law, process        a table of probabilities with L axes of size V, and a kernel of the suite
                        `kernels`: it claims to be their exact leave-one-out conditional

`Denoising` gives them to a denoiser that does not have them. As p is compared, not log p, nothing
is asked of values that have no chance.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minuddm.laws.law import Array, Strategy, alphas, holds, law, rounding, same, ulp


@dataclass(frozen=True)
class Denoising:
    """A denoiser with what the laws need to know of it: a subject of this suite."""

    denoiser: Callable[[Array, Array], Any]
    V: int
    L: int
    leave_one_out: bool = True
    law: Any = None
    process: Any = None

    @property
    def states(self) -> int:
        """The number of values that a token shows."""
        return int(getattr(self.process, "states", self.V))

    def __call__(self, tokens: Array, alpha: Array) -> Any:
        """Ask the denoiser."""
        return self.denoiser(tokens, alpha)

    def __repr__(self) -> str:
        return f"{type(self.denoiser).__name__}(V={self.V}, L={self.L})"


def states(subject: Any) -> int:
    """Return the number of values that a token may show."""
    return int(getattr(subject, "states", subject.V))


noisy = alphas.filter(lambda alpha: alpha < 1)


def sequences(subject: Any) -> Strategy:
    """Return the tokens (L,) of a sequence."""
    value = st.integers(0, states(subject) - 1)
    return st.lists(value, min_size=subject.L, max_size=subject.L)


def batches(subject: Any) -> Strategy:
    """Return pairs of tokens (B, L) and alphas (B,), B = 1 … 4."""
    one = st.tuples(sequences(subject), alphas)
    return st.lists(one, min_size=1, max_size=4).map(
        lambda pairs: (np.array([x for x, _ in pairs]), np.array([alpha for _, alpha in pairs]))
    )


def _ask(subject: Any, tokens: Array, alpha: Array) -> Array:
    """Return p (B, L, V) of copies of the arguments, which must stay."""
    given = tokens.copy(), alpha.copy()
    log_p = np.asarray(subject(*given))
    shape = (*tokens.shape, subject.V)
    holds(log_p.shape == shape, f"the shape {shape} of log p (it is {log_p.shape})")
    holds(log_p.dtype.kind == "f", f"a floating dtype of log p (it is {log_p.dtype})")
    same(given[0], tokens, 0, "the argument tokens")
    same(given[1], alpha, 0, "the argument alpha")
    holds(log_p <= rounding(subject.V, log_p), "log p ≤ 0")
    return np.asarray(np.exp(log_p))


def _half_of_the_digits(p: Array) -> float:
    """Return √ulp: a network may amplify the rounding of another order of its sums."""
    return math.sqrt(ulp(p))


@law("[T11]", "V L", batch=batches)
def normalised(subject: Any, batch: tuple[Array, Array]) -> None:
    """Σ_v p_i(v) = 1 at every position."""
    p = _ask(subject, *batch)
    same(p.sum(axis=2), np.ones(p.shape[:2]), rounding(subject.V, p), "Σ_v p_i(v) of (b, i)")


@law("[T11]", "V L", "leave_one_out", tokens=sequences, alpha=noisy)
def blind_to_its_own_position(subject: Any, tokens: list[int], alpha: float) -> None:
    """p_i does not depend on the token at i: no posterior, which does."""
    n, L = states(subject), subject.L
    x = np.tile(np.array(tokens), (n, L, 1))
    x[:, np.arange(L), np.arange(L)] = np.arange(n)[:, None]
    p = _ask(subject, x.reshape(n * L, L), np.full(n * L, alpha)).reshape(n, L, L, -1)
    own = p[:, np.arange(L), np.arange(L)]  # (n, L, V): value put at i, i, v
    allowed = _half_of_the_digits(p)
    same(own, np.tile(own[0], (n, 1, 1)), allowed, "with z_i = z, p_i(v) of (z, i, v)")


@law("[T11]", "V L", batch=batches)
def independent_of_the_batch(subject: Any, batch: tuple[Array, Array]) -> None:
    """The answer for a sequence does not depend on the others in its batch."""
    tokens, alpha = batch
    together = _ask(subject, tokens, alpha)
    allowed = _half_of_the_digits(together)
    twice = _ask(subject, np.repeat(tokens[::-1], 2, axis=0), np.repeat(alpha[::-1], 2))
    same(twice[::-2], together, allowed, "reversed and doubled, p_i(v) of (b, i, v)")
    for b in range(len(tokens)):
        alone = _ask(subject, tokens[b : b + 1], alpha[b : b + 1])[0]
        same(alone, together[b], allowed, f"sequence {b} alone, p_i(v) of (i, v)")


@law("[T15]", "V L law process", tokens=sequences, alpha=noisy)
def enumeration(subject: Any, tokens: list[int], alpha: float) -> None:
    """p_i(v) ∝ Σ_{x: x_i = v} law(x) Π_{j≠i} q(z_j | x_j), over all V^L sequences x."""
    V, L, z = subject.V, subject.L, np.array(tokens)
    Q = np.asarray(subject.process.kernel(alpha), dtype=np.float64)[:V]
    p = _ask(subject, z[None], np.array([alpha]))[0]
    for i in range(L):
        table = np.moveaxis(np.asarray(subject.law, dtype=np.float64), i, -1)
        for j in np.delete(np.arange(L), i):
            table = np.tensordot(Q[:, z[j]], table, axes=1)
        if table.sum() > 0:
            # a sum over values of products over the sequence, from logarithms of chances; that of
            # no chance at all may be written as -10⁴
            logs = 1e4 if (Q == 0).any() else 1 - math.log(Q.min())
            allowed = rounding(L * V, p) * logs
            same(p[i], table / table.sum(), allowed, f"at position {i}, p_i(v)")
