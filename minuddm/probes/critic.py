"""An outside critic for generated text: an n-gram model with Witten-Bell interpolation.

    P_k(v | h) = (c(h v) + n(h) P_{k-1}(v | h')) / (c(h) + n(h))

with c the counts in the critic's own text, n(h) the number of different tokens seen after h, h'
the history h without its oldest token, and P_0 = 1/V. A history that was never seen leaves the
shorter one's law untouched. The law sums to one by construction, and gives no token chance 0
(Witten & Bell 1991; Chen & Goodman 1999, sec. 2.4).

The perplexity of samples under a critic that never saw the model says whether they look like the
language; it is a reading of its own, since copies of training text please a critic as well as new
text does.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minuddm import checks

LARGEST = 20_000_000  # entries of the longest table


class NGram:
    """An interpolated n-gram of sequences (N, L) over V values; `order` 1 is a unigram."""

    def __init__(self, tokens: ArrayLike, V: int, order: int = 4) -> None:
        self.V, self.order = checks.vocabulary(V), checks.count(order, "order")
        if self.order * math.log(self.V) > math.log(LARGEST):
            raise ValueError(f"V^order must be at most {LARGEST}, got {self.V}^{self.order}")
        x = checks.tokens(tokens, self.V, "tokens", ndim=2).astype(np.int64)
        if x.size == 0:
            raise ValueError(f"a critic needs text, got shape {x.shape}")
        self._tables = [np.full((1, self.V), 1 / self.V)]
        for k in range(1, self.order + 1):
            counts = np.zeros((self.V ** (k - 1), self.V))
            history, following = _histories(x, k - 1, self.V)
            np.add.at(counts, (history, following), 1)
            seen = counts.sum(axis=1, keepdims=True)
            kinds = (counts > 0).sum(axis=1, keepdims=True)
            shorter = np.tile(self._tables[-1], (len(counts) // len(self._tables[-1]), 1))
            law = np.divide(counts + kinds * shorter, seen + kinds, out=shorter, where=seen > 0)
            self._tables.append(law)

    def log_prob(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return log P of every token of x (N, L) given those before it, in nats, (N, L).

        The first tokens have shorter histories.
        """
        tokens = checks.tokens(x, self.V, "x", ndim=2).astype(np.int64)
        out = np.empty(tokens.shape)
        for i in range(tokens.shape[1]):
            k = min(i, self.order - 1)
            history = np.zeros(len(tokens), np.int64)
            for token in tokens[:, i - k : i].T:
                history = history * self.V + token
            out[:, i] = np.log(self._tables[k + 1][history, tokens[:, i]])
        return out

    def perplexity(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return exp(-mean log P), (N,), of the sequences x (N, L)."""
        return np.asarray(np.exp(-self.log_prob(x).mean(axis=1)))


def _histories(x: NDArray[np.int64], k: int, V: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return every history of k tokens, as a number whose last digit is the newest, and its next.

    Digits base V: dropping the oldest token is taking the remainder, so the shorter histories of a
    table of V^k rows repeat every V^{k-1} rows.
    """
    L = x.shape[1]
    history = np.zeros((len(x), max(0, L - k)), np.int64)
    for j in range(k if k < L else 0):
        history = history * V + x[:, j : L - k + j]
    return history.ravel(), x[:, k:].ravel()
