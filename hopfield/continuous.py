"""Dense associative memories whose states are points of a space.

    z_μ = c_μ - ½‖x - ξ^μ‖²           overlap: near is high
    E(x) = -Q(z_1 … z_P)              Q one of the two that are logarithms (`hopfield.separation`)
    ξ̄(x) = Σ_μ w_μ ξ^μ / Σ_μ w_μ      mean pattern at the force w = ∂Q/∂z: -∇E = (Σ w) (ξ̄(x) - x)

`DensityMemory` has c = 0: e^{-βE} is a density estimate around the patterns, Gaussian for LogSumExp
and Epanechnikov for LogSumReLU [T18], [T20]. `ContinuousMemory` has c_μ = ½‖ξ^μ‖², which turns z
into x·ξ^μ - ½‖x‖² and E into

    E(x) = ½‖x‖² - (1/β) log Σ_μ e^{β x·ξ^μ},   ξ̄(x) = Ξᵀ softmax(β Ξ x)        Ramsauer et al. 2020

whose ξ̄ is one step of attention. For patterns of one norm the two are the same up to a constant.

*Why E never rises from x to x + τ (ξ̄(x) - x), 0 < τ ≤ 1.* Both Q lie above a surrogate that
touches them at x and is, in the new point y, -½ Σ_μ w_μ‖y - ξ^μ‖² up to constants: log-sum-exp is
convex in z, so it lies above its tangent; Σ_μ max(0, 1 + βz) is at least the sum over the patterns
that are near x. The surrogate is a parabola with its top at ξ̄(x), and on the way from x to the
top it only rises: Q rises, E falls. τ = 1 is the concave-convex step; small τ follows the
gradient flow, in a time that runs Σ w times as fast.

A step needs w up to a factor only. So patterns are taken a tile at a time, all within the cache:
exponents by one product, weights in their place, sums by another. What would be passes over P
numbers besides, c_μ and the largest exponent and the sum, are columns of the two products.
"""

import numpy as np
from numpy.typing import ArrayLike

import argument_checks as checks
from hopfield.frozen import Frozen
from hopfield.recall import Floats, Recall
from hopfield.separation import LogSumExp, LogSumReLU

_LARGEST = 1e150  # a coordinate, whose square is still a float64
_BLOCK = 2_000_000  # overlaps held at a time
_STATES, _TILE = 256, 512  # states and patterns of a step at a time: their overlaps stay in L2


class DensityMemory(Frozen):
    """Patterns (P, D), real, with E = -Q(-½‖x - ξ^μ‖²): minus the log of a density estimate.

    F is a `LogSumExp` or a `LogSumReLU`; others have no step that is known to lower E. Overlaps
    are one product by BLAS: last bits may depend on its number of threads.
    """

    def __init__(self, patterns: ArrayLike, F: LogSumExp | LogSumReLU) -> None:
        if not isinstance(F, LogSumExp | LogSumReLU):
            raise TypeError(f"F must be a LogSumExp or a LogSumReLU, got {F!r}")
        xi = _bounded(checks.points(patterns, "patterns"), "patterns")
        self.F = F
        self._patterns = xi
        self._centre = self._origin(xi)
        xi = xi - self._centre
        self._keys = np.column_stack([xi, self._constants(xi), np.ones(len(xi))])

    @property
    def patterns(self) -> Floats:
        """A read-only copy of the patterns (P, D)."""
        return checks.read_only(self._patterns)

    def energy(self, x: ArrayLike) -> Floats:
        """Return E (B,) of the states x (B, D); ∞ where LogSumReLU has no pattern near."""
        return self._energy(self._states(x))

    def gradient(self, x: ArrayLike) -> Floats:
        """Return ∇E (B, D)."""
        state = self._states(x)
        out = np.empty_like(state)
        for part in self._parts(len(state)):
            w = self.F.weights(self._overlaps(state[part]))
            out[part] = w.sum(axis=1, keepdims=True) * state[part] - w @ self._xi
        return out

    def step(self, x: ArrayLike) -> Floats:
        """Return ξ̄(x) (B, D), the concave-convex step; a state with no force on it stays."""
        return self._step(self._states(x)) + self._centre

    def recall(self, x: ArrayLike, *, max_steps: int = 1000, tolerance: float = 1e-9) -> Recall:
        """Iterate ξ̄ from the states x (B, D) until no coordinate moves by more than `tolerance`.

        The tolerance is relative to the largest coordinate of the patterns, or to that counted from
        their mean, if it is smaller. Close to where two
        minima merge, steps become arbitrarily small; a recall cut short is not `converged`.
        """
        checks.count(max_steps, "max_steps")
        size = min(np.abs(self._xi).max(), np.abs(self._patterns).max())
        far = checks.positive(tolerance, "tolerance") * max(1e-300, size)
        state = self._states(x)
        active, steps = np.arange(len(state)), np.zeros(len(state), np.int64)
        trace = [self._energy(state)]
        while len(active) and len(trace) <= max_steps:
            after = self._step(state[active])
            moved = (np.abs(after - state[active]) > far).any(axis=1)
            active, after = active[moved], after[moved]
            if len(active) == 0:
                break
            state[active] = after
            steps[active] += 1
            trace.append(trace[-1].copy())
            trace[-1][active] = self._energy(after)
        converged = np.ones(len(state), np.bool_)
        converged[active] = False
        return Recall(state + self._centre, np.stack(trace, axis=1), steps, converged)

    def flow(self, x: ArrayLike, steps: int, tau: float = 0.1) -> Floats:
        """Return the path (steps + 1, B, D) of the gradient flow from x (B, D).

        Each step goes the share tau in (0, 1] of the way to ξ̄(x); E never rises along it.
        """
        if not 0 < tau <= 1:
            raise ValueError(f"tau must lie in (0, 1], got {tau}")
        path = [self._states(x)]
        for _ in range(checks.count(steps, "steps")):
            path.append(path[-1] + tau * (self._step(path[-1]) - path[-1]))
        return np.stack(path) + self._centre

    def _energy(self, state: Floats) -> Floats:
        out = np.empty(len(state))
        for part in self._parts(len(state)):
            out[part] = -self.F.potential(self._overlaps(state[part]))
        return out

    def _step(self, x: Floats) -> Floats:
        out = x.copy()
        for start in range(0, len(x), _STATES):
            part = slice(start, start + _STATES)
            sums = self._sums(x[part])
            total = sums[:, -1:]
            np.divide(sums[:, :-2], total, out=out[part], where=total > 0)
        return out

    def _sums(self, x: Floats) -> Floats:
        """Return Σ_μ w_μ (ξ^μ, c_μ - ½‖ξ^μ‖², 1), (B, D + 2), with w up to a factor of each state.

        A query (βx, β, -½β‖x‖²) times a key (ξ^μ, c_μ - ½‖ξ^μ‖², 1) is βz_μ. Where differences of
        the z_μ are all that counts, -½β‖x‖², whose rounding may be larger than they, is left out.
        """
        beta, own = self.F.beta, 0.5 * np.einsum("bd,bd->b", x, x)
        own *= not self.F.differences
        query = np.column_stack([beta * x, np.full(len(x), beta), -beta * own])
        query[:, -1:] += self.F.offset(query @ self._keys[:_TILE].T)
        sums, room = np.zeros_like(query), np.empty(len(x) * _TILE)
        for start in range(0, len(self._keys), _TILE):
            tile = self._keys[start : start + _TILE]
            y = room[: len(x) * len(tile)].reshape(len(x), len(tile))
            shift = self.F.weigh(np.matmul(query, tile.T, out=y))
            if shift.any():
                query[:, -1:] -= shift
                sums *= np.exp(-shift)
            sums += y @ tile
        return sums

    def _overlaps(self, x: Floats) -> Floats:
        own = 0.5 * np.einsum("bd,bd->b", x, x)[:, None]
        return np.asarray(x @ self._xi.T + self._keys[:, -2] - own)

    def _constants(self, xi: Floats) -> Floats:
        """Return c_μ - ½‖ξ^μ‖², (P,), with c = 0."""
        return np.asarray(-0.5 * np.einsum("pd,pd->p", xi, xi))

    def _origin(self, xi: Floats) -> Floats:
        """Return the point (D,) from which coordinates count: products of large ones cancel."""
        return np.asarray(xi.mean(axis=0))

    @property
    def _xi(self) -> Floats:
        return self._keys[:, :-2]

    def _states(self, x: ArrayLike) -> Floats:
        x = _bounded(checks.points(x, "states", self._keys.shape[1] - 2), "states")
        return np.asarray(x - self._centre)

    def _parts(self, B: int) -> list[slice]:
        size = max(1, _BLOCK // len(self._keys))
        return [slice(start, start + size) for start in range(0, B, size)]


class ContinuousMemory(DensityMemory):
    """Patterns (P, D), real, with E = ½‖x‖² - (1/β) log Σ_μ e^{β x·ξ^μ}, β > 0."""

    def __init__(self, patterns: ArrayLike, beta: float = 1.0) -> None:
        super().__init__(patterns, LogSumExp(beta))

    def _constants(self, xi: Floats) -> Floats:
        return np.zeros(len(xi))

    def _origin(self, xi: Floats) -> Floats:
        return np.zeros(xi.shape[1])


def _bounded(x: Floats, name: str) -> Floats:
    largest = np.abs(x).max(initial=0.0)
    if largest > _LARGEST:
        raise ValueError(f"{name} must be at most {_LARGEST:g} in size, got {largest:g}")
    return x
