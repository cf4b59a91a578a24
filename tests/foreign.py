"""Processes of nobody's package, slow and sound: what the laws are tried on besides our own."""

from dataclasses import dataclass

import numpy as np

LARGE = 1e4  # stands for an infinite logarithm


def over(alpha, x):
    """Alphas () or (B,) against x (B, …)."""
    alpha = np.asarray(alpha, float)
    return alpha.reshape(alpha.shape + (1,) * (np.ndim(x) - alpha.ndim)) if alpha.ndim else alpha


@dataclass(frozen=True)
class Masked:
    """A token stays, or shows the mask V for good (Austin et al. 2021)."""

    V: int

    @property
    def states(self):
        return self.V + 1

    def kernel(self, alpha):
        return alpha * np.eye(self.states) + (1 - alpha) * np.eye(self.states)[self.V]

    def rate(self):
        return np.eye(self.states)[self.V] - np.eye(self.states)

    def propagate(self, p, alpha):
        p = np.append(p, 0 * p[..., : self.states - p.shape[-1]], axis=-1)
        alpha = over(alpha, p)
        return alpha * p + (1 - alpha) * p.sum(-1, keepdims=True) * np.eye(self.states)[self.V]

    def marginal(self, x0, alpha):
        return self.propagate(np.eye(self.V)[x0], alpha)

    def corrupt(self, x0, alpha, rng):
        return np.where(rng.random(x0.shape) < over(alpha, x0), x0, self.V)

    def change(self, x0, rng):
        return np.full_like(x0, self.V)

    def noise(self, shape, rng):
        return np.full(shape, self.V)

    def prior(self, alpha):
        return 0.0 if alpha == 0 else np.inf

    def log_evidence(self, xt, alpha):
        shown = xt < self.V
        with np.errstate(divide="ignore"):
            seen = np.where(shown, np.log(over(alpha, xt)), np.log1p(-over(alpha, xt)))
        return np.maximum(seen, -LARGE), np.where(shown, -2 * LARGE, seen)

    def inverse_temperature(self, xt, alpha):
        return np.where(xt < self.V, np.inf, 0.0)

    def bridge(self, xt, p, alpha_s, alpha_t):
        a, b = over(alpha_s, p), over(alpha_t, p)
        shown = (a - b) / np.where(b < 1, 1 - b, 1)  # the chance that a mask goes
        masked = np.append(shown * p, (1 - shown) * np.ones_like(p[..., :1]), axis=-1)
        return np.where(xt[..., None] == self.V, masked, np.eye(self.states)[xt])

    def bridge_quantile(self, xt, log_p, alpha_s, alpha_t, u):
        q = self.bridge(xt, np.exp(log_p), alpha_s, alpha_t)
        total = np.cumsum(q, axis=-1)
        return ((u[..., None] * total[..., -1:]) >= total).sum(axis=-1)

    def mode_of_bridge(self, xt, log_p, alpha_s, alpha_t):
        return self.bridge(xt, np.exp(log_p), alpha_s, alpha_t).argmax(axis=-1)

    def nelbo(self, log_p, x0, xt, alpha, dalpha):
        loss = -np.take_along_axis(log_p, x0[..., None], -1)[..., 0]
        return np.where(xt == self.V, over(-dalpha / (1 - np.asarray(alpha)), x0) * loss, 0.0)

    def nelbo_grad(self, logits, x0, xt, alpha, dalpha):
        e = np.exp(logits - logits.max(axis=-1, keepdims=True))
        p = e / e.sum(axis=-1, keepdims=True)
        weight = np.where(xt == self.V, over(-dalpha / (1 - np.asarray(alpha)), x0), 0.0)
        slope = weight[..., None] * (p - np.eye(self.V)[x0])
        return self.nelbo(np.log(p), x0, xt, alpha, dalpha), slope


class Opaque:
    """What another library returns: NumPy can read it, and that is all."""

    def __init__(self, answer):
        self.answer = np.asarray(answer)
        if self.answer.dtype == np.float64:
            self.answer = self.answer.astype(np.float32)

    def __array__(self, dtype=None, copy=None):
        return self.answer


class Single:
    """A process that reads and returns single precision, in arrays of its own kind."""

    def __init__(self, process):
        self.process, self.V, self.states = process, process.V, process.states

    def __repr__(self):
        return f"Single({self.process!r})"

    def __getattr__(self, name):
        def single(given):
            kind = getattr(given, "dtype", None) or type(given)
            return np.float32(given) if kind in (float, np.float64) else given

        def ask(*given):
            kept = 1 if name == "bridge_quantile" else 0  # uniforms would be rounded to 1
            given = [*map(single, given[: len(given) - kept]), *given[len(given) - kept :]]
            found = getattr(self.process, name)(*given)
            return tuple(map(Opaque, found)) if isinstance(found, tuple) else Opaque(found)

        asked = getattr(type(self.process), name, None)
        if not callable(asked):
            raise AttributeError(name)
        return ask
