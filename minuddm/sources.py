"""Toy sources with a known law: what a model of them should have learned is known exactly.

`MarkovChain`. A matrix M with rows summing to one: P(x) = π(x_1) Π_i M[x_i, x_{i+1}], and

    H = H(π) + Σ_i Σ_a P(x_i = a) H(M[a])      nats per sequence

`RandomHierarchy` (the Random Hierarchy Model of Cagnetta et al. 2023). A root symbol, uniform
over v; every symbol of a level is rewritten by one of its m rules, uniformly, into s symbols of
the next, d times: L = s^d tokens. Rules are *unambiguous*: no two of a level share their right
side, so a sequence has at most one derivation, and each of the v m^N sequences with one, N = (s^d
- 1)/(s - 1) rewritings, has the same chance:

    log P(x) = -(log v + N log m) = -H         inside the support, -∞ outside
"""

import math

import numpy as np
import scipy
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.checks import Tokens
from minuddm.machine.jit import jit_strict

_MOST_SIDES = 2**24  # in the table that inverts a level
_MOST_LEAVES = 2**20
_SUM = 1e-9  # how far a row may be from summing to one


class MarkovChain(checks.Sealed):
    """A chain over V values: matrix (V, V), row = present value; start (V,), else stationary.

    Both are shown read-only. Raises `ValueError` for a matrix or a start that is not stochastic,
    and where the stationary law is not unique and no start is given.
    """

    def __init__(self, matrix: ArrayLike, start: ArrayLike | None = None) -> None:
        M = np.asarray(matrix, dtype=np.float64)
        if M.ndim != 2 or M.shape[0] != M.shape[1]:
            raise ValueError(f"matrix must be square, got shape {M.shape}")
        self.V = checks.vocabulary(len(M))
        self.matrix = checks.read_only(_stochastic(M, "matrix"))
        pi = _stationary(self.matrix) if start is None else np.asarray(start, dtype=np.float64)
        if pi.shape != (self.V,):
            raise ValueError(f"start must have shape ({self.V},), got {pi.shape}")
        self.start = checks.read_only(_stochastic(pi, "start"))
        self._cumulative = np.cumsum(self.start), np.cumsum(self.matrix, axis=1)

    @classmethod
    def random(cls, V: int, rng: Generator, concentration: float = 0.3) -> "MarkovChain":
        """Return a chain whose rows are drawn from a symmetric Dirichlet law."""
        alpha = np.full(checks.vocabulary(V), checks.positive(concentration, "concentration"))
        return cls(checks.generator(rng).dirichlet(alpha, size=V))

    def sample(self, n: int, L: int, rng: Generator) -> Tokens:
        """Return n sequences (n, L)."""
        shape = checks.count(n, "n"), checks.count(L, "L")
        u = checks.generator(rng).random(shape)
        x = np.empty(u.shape, np.int32)
        _walk(x, *self._cumulative, u)
        return x

    def log_prob(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return log P (n,) of sequences (n, L), -∞ outside the support."""
        tokens = checks.tokens(x, self.V, "x", ndim=2)
        with np.errstate(divide="ignore"):
            log_start, log_matrix = np.log(self.start), np.log(self.matrix)
        steps = log_matrix[tokens[:, :-1], tokens[:, 1:]].sum(axis=1)
        return np.asarray(log_start[tokens[:, 0]] + steps)

    def contains(self, x: ArrayLike) -> NDArray[np.bool_]:
        """Return whether the sequences (n, L) can occur, (n,)."""
        return np.asarray(self.log_prob(x) > -np.inf)

    def entropy(self, L: int) -> float:
        """Return the entropy of sequences of length L, in nats per token."""
        rows, p = scipy.special.entr(self.matrix).sum(axis=1), self.start
        total = float(scipy.special.entr(p).sum())
        for _ in range(checks.count(L, "L") - 1):
            total += float(p @ rows)
            p = p @ self.matrix
        return total / L


class RandomHierarchy(checks.Sealed):
    """A tree of rewritings: rules[k] (v, m, s) gives each symbol of level k its m right sides.

    Level 0 is the root's; `rules` is shown read-only. Raises `ValueError` for rules of unequal
    shapes, symbols outside 0 … v - 1, a right side that occurs twice in a level, and for trees of
    more than 2^20 leaves or 2^24 right sides in a level.
    """

    def __init__(self, rules: ArrayLike) -> None:
        table = np.asarray(rules)
        if table.ndim != 4 or 0 in table.shape:
            raise ValueError(
                "rules must have shape (depth, symbols, rules, branching), "
                f"none of them 0, got {table.shape}"
            )
        self.depth, v, self.m, self.branching = table.shape
        self.V = checks.vocabulary(v)
        _small_enough(self.V, self.branching, self.depth)
        self.rules = checks.read_only(checks.tokens(table, self.V, "rules"))
        self.L = self.branching**self.depth
        self.rewritings = sum(self.branching**k for k in range(self.depth))
        self._parents = np.stack([self._inverse(level) for level in range(self.depth)])

    @classmethod
    def random(
        cls, symbols: int, rules: int, branching: int, depth: int, rng: Generator
    ) -> "RandomHierarchy":
        """Return a grammar whose right sides are drawn without repetition, uniformly."""
        v, m = checks.vocabulary(symbols), checks.count(rules, "rules")
        s, d = checks.count(branching, "branching", 2), checks.count(depth, "depth")
        _small_enough(v, s, d)
        if v * m > v**s:
            raise ValueError(
                f"{v} symbols with {m} rules each need {v * m} different right sides; "
                f"branching {s} has only {v**s}"
            )
        checks.generator(rng)
        codes = np.stack([rng.permutation(v**s)[: v * m] for _ in range(d)])
        powers = v ** np.arange(s - 1, -1, -1)
        return cls((codes[..., None] // powers % v).reshape(d, v, m, s))

    def sample(self, n: int, rng: Generator) -> Tokens:
        """Return n sequences (n, L)."""
        size = checks.count(n, "n"), 1
        x = checks.generator(rng).integers(self.V, size=size, dtype=np.int32)
        for level in self.rules:
            x = level[x, rng.integers(self.m, size=x.shape)].reshape(n, -1)
        return np.ascontiguousarray(x)

    def log_prob(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return log P (n,) of sequences (n, L), -∞ outside the support."""
        inside = self.contains(x)
        return np.where(inside, -self.L * self.entropy(), -np.inf)

    def contains(self, x: ArrayLike) -> NDArray[np.bool_]:
        """Return whether sequences (n, L) have a derivation, (n,): parsed from the leaves up."""
        symbols = checks.tokens(x, self.V, "x", ndim=2)
        if symbols.shape[1] != self.L:
            raise ValueError(f"x must have length {self.L}, got {symbols.shape[1]}")
        good = np.ones(len(symbols), np.bool_)
        for parents in self._parents[::-1]:
            groups = symbols.reshape(len(symbols), -1, self.branching)
            symbols = parents[self._code(groups)]
            good &= (symbols >= 0).all(axis=1)
            symbols = np.maximum(symbols, 0)
        return good

    def entropy(self) -> float:
        """Return the entropy in nats per token: (log v + N log m) / L."""
        return float((math.log(self.V) + self.rewritings * math.log(self.m)) / self.L)

    def _code(self, groups: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the numbers of right sides (…, s) in base v."""
        return np.asarray(groups @ self.V ** np.arange(self.branching - 1, -1, -1))

    def _inverse(self, level: int) -> NDArray[np.int32]:
        """Return the symbol each right side comes from, (v^s,), -1 for none."""
        codes = self._code(self.rules[level]).reshape(self.V, self.m)
        values, counts = np.unique(codes, return_counts=True)
        if (counts > 1).any():
            side = values[counts > 1][0] // self.V ** np.arange(self.branching)[::-1] % self.V
            raise ValueError(
                f"rules are ambiguous: {side.tolist()} is a right side twice in level {level}"
            )
        parent = np.full(self.V**self.branching, -1, np.int32)
        parent[codes] = np.arange(self.V)[:, None]
        return parent


def _small_enough(v: int, s: int, d: int) -> None:
    """Refuse sizes whose tables would not fit, before they are multiplied out."""
    if s * math.log2(v) > math.log2(_MOST_SIDES):
        raise ValueError(f"symbols ** branching must be at most {_MOST_SIDES}, got {v}^{s}")
    if d * math.log2(s) > math.log2(_MOST_LEAVES):
        raise ValueError(f"branching ** depth must be at most {_MOST_LEAVES}, got {s}^{d}")


def _stochastic(p: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Return p with rows summing to one exactly, or say which does not."""
    if not np.isfinite(p).all() or (p < 0).any():
        raise ValueError(f"{name} must be finite and not negative")
    sums = p.sum(axis=-1, keepdims=True)
    if (np.abs(sums - 1) > _SUM).any():
        wrong = sums.ravel()[np.abs(sums.ravel() - 1).argmax()]
        raise ValueError(f"{name} must have rows that sum to one, got {wrong:.6g}")
    return np.asarray(p / sums)


def _stationary(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve π M = π, Σ π = 1."""
    V = len(matrix)
    equations = np.concatenate([matrix.T - np.eye(V), np.ones((1, V))])
    if np.linalg.matrix_rank(equations[:-1], tol=1e-10) < V - 1:
        raise ValueError("matrix has several stationary laws; give a start")
    pi = np.linalg.lstsq(equations, np.append(np.zeros(V), 1.0), rcond=None)[0]
    return np.asarray(np.maximum(pi, 0) / np.maximum(pi, 0).sum())


@jit_strict
def _walk(
    x: Tokens,
    start: NDArray[np.float64],
    rows: NDArray[np.float64],
    u: NDArray[np.float64],
) -> None:
    """Inverse of the cumulative sums: the first value whose sum exceeds u."""
    V = start.shape[0]
    for n in range(x.shape[0]):
        for i in range(x.shape[1]):
            cumulative = start if i == 0 else rows[x[n, i - 1]]
            level = u[n, i] * cumulative[V - 1]
            v = 0
            while v < V - 1 and cumulative[v] <= level:
                v += 1
            x[n, i] = v
