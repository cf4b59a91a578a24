"""Kernels and schedules with one planted fault each, beside the law that must name it."""

from functools import partial

import numpy as np
from scipy.linalg import expm
from scipy.special import softmax

from minuddm import transition
from minuddm.process import Absorbing, Uniform
from minuddm.schedule import Cosine, Linear, LogLinear


class Mutant:
    """A sound object, but for some attributes; functions among them get it as first argument."""

    def __init__(self, sound, **faults):
        self.sound = sound
        for name, fault in faults.items():
            setattr(self, name, partial(fault, sound) if callable(fault) else fault)

    def __getattr__(self, name):
        return getattr(self.sound, name)


U, M, I = Uniform(3), Absorbing(3), np.eye(3)  # noqa: E741  the identity


def skewed(alpha):
    """Forgets into (.6, .3, .1), but is handed the uniform law for the end."""
    rest = np.array([0.6, 0.3, 0.1]) if alpha else np.full(3, 1 / 3)
    return alpha * I + (1 - alpha) * rest


def cycle(alpha):
    """Turns in a circle, 0 → 1 → 2 → 0."""
    step = np.roll(I, 1, axis=1)
    return expm(-np.log(alpha) * (step - I)) if alpha else np.full((3, 3), 1 / 3)


def by_bayes(first, between, last, z, p):
    """(p Q_s) ⊙ Q_ts[:, z] / (p Q_t)_z for tokens z (B, L) and laws p (B, L, 3), normalised."""
    joint = (p @ first) * between.T[z]
    return joint / joint.sum(axis=-1, keepdims=True)


def swapped(k, z, p, a, b):
    Q = [k.kernel(x) for x in (a, b, b / a if a > b else 1.0)]
    return by_bayes(Q[1], Q[2], Q[0], z, p)


def posterior_plugged_in(k, z, p, a, b):
    seen = p * k.kernel(b).T[z]
    return k.bridge(z, seen / seen.sum(axis=-1, keepdims=True), a, b)


def mixed_by_p(k, z, p, a, b):
    """Σ_v p(v) q(x_s | z, v): by the chances of the clean values before z was seen."""
    return sum(p[..., [v]] * k.bridge(z, np.broadcast_to(I[v], p.shape), a, b) for v in range(3))


def without_noise(k, z, p, a, b):
    q = k.bridge(z, p, a, b) - (1 - b / a if a else 0) * (1 - a) / 3
    return np.abs(q) / np.abs(q).sum(axis=-1, keepdims=True)


def in_single_precision(k, z, log_p, a, b, u):
    total = np.cumsum(k.bridge(z, np.exp(log_p), a, b), axis=-1).astype(np.float32)
    return (u[..., None].astype(np.float32) >= total).sum(axis=-1)


def of_p(k, z, log_p, a, b, u):
    return (u[..., None] >= np.cumsum(np.exp(log_p), axis=-1)).sum(axis=-1).clip(max=2)


def never_the_same(k, x0, alpha, rng):
    kept = rng.random(x0.shape) < np.reshape(alpha, (-1, 1))
    return np.where(kept, x0, (x0 + rng.integers(1, 3, size=x0.shape)) % 3)


def one_uniform(axis):
    def corrupt(k, x0, alpha, rng):
        shape = [1 if n == axis else size for n, size in enumerate(x0.shape)]
        return np.where(rng.random(shape) < np.reshape(alpha, (-1, 1)), x0, 3)

    return corrupt


def in_place(k, x0, alpha, rng):
    x0[:] = k.corrupt(x0, alpha, rng)
    return x0


def hard_coded(k, log_p, x0, xt, alpha, dalpha):
    """α = 1 - t, and t of a schedule with ε = .001."""
    t = (1 - np.asarray(alpha)) / (1 - 1e-3)
    return k.nelbo(log_p, x0, xt, np.clip(1 - t, 1e-6, 1), dalpha)


def cross_entropy(k, log_p, x0, xt, alpha, dalpha):
    return np.where(x0 != xt, -np.take_along_axis(log_p, x0[..., None], -1)[..., 0], 0.0)


def of_log_p(k, logits, x0, xt, alpha, dalpha):
    """The derivative of the masked bound in log p: nothing of the softmax."""
    loss, slope = k.nelbo_grad(logits, x0, xt, alpha, dalpha)
    return loss, slope - softmax(logits, axis=-1) * (loss != 0)[..., None]


def reversed_prior(k, alpha):
    row = k.kernel(alpha)[0]
    return (np.log(1 / 3 / row) / 3).sum() if alpha < 1 else np.inf


OF_KERNELS = [
    ("rows", "transposed", Mutant(M, kernel=lambda k, a: k.kernel(a).T)),
    ("no_time", "off by one step", Mutant(U, kernel=lambda k, a: k.kernel(a * 0.999))),
    ("chapman_kolmogorov", "never the same value",
     Mutant(U, kernel=lambda k, a: a * I + (1 - a) * (1 - I) / 2)),
    ("chapman_kolmogorov", "single precision called double",
     Mutant(U, kernel=lambda k, a: k.kernel(a).astype("f4").astype("f8"))),
    ("forgetting", "keeps a hundredth", Mutant(U, kernel=lambda k, a: k.kernel(0.01 + 0.99 * a))),
    ("stationarity", "another end", Mutant(U, kernel=lambda k, a: skewed(a))),
    ("reversibility", "a cycle", Mutant(U, kernel=lambda k, a: cycle(a))),
    ("generator", "rate to others", Mutant(U, rate=lambda k: (1 - I) / 2 - I)),
    ("generator", "backwards in time", Mutant(M, rate=lambda k: k.rate().T)),
    ("propagation", "by columns", Mutant(U, kernel=lambda k, a: skewed(a),
                                         propagate=lambda k, p, a: skewed(a) @ p)),
    ("marginals", "kept for lost",
     Mutant(U, marginal=lambda k, x, a: k.marginal(x, 1 - np.asarray(a)))),
    ("marginals", "one alpha for all",
     Mutant(U, marginal=lambda k, x, a: k.marginal(x, np.ravel(a)[0]))),
    ("evidence", "odds of staying", Mutant(U, inverse_temperature=lambda k, z, a: np.log1p(
        2 * a) + 0 * z)),
    ("evidence", "masks in doubt", Mutant(M, inverse_temperature=lambda k, z, a: np.full(
        z.shape, np.inf))),
    ("prior_cost", "KL reversed", Mutant(U, prior=reversed_prior)),
    ("corruption", "never the same value", Mutant(U, corrupt=never_the_same)),
    ("corruption", "masks what it keeps",
     Mutant(M, corrupt=lambda k, x, a, rng: k.corrupt(x, 1 - np.asarray(a), rng))),
    ("corruption", "the last value never comes",
     Mutant(U, corrupt=lambda k, x, a, rng: transition.corrupt(x.clip(max=1), a, 2, rng))),
    ("independence", "one uniform a sequence", Mutant(M, corrupt=one_uniform(1))),
    ("independence", "one uniform a position", Mutant(M, corrupt=one_uniform(0))),
    ("noise_by_sequence", "the mean alpha",
     Mutant(U, corrupt=lambda k, x, a, rng: k.corrupt(x, np.mean(a), rng))),
    ("changes", "into itself", Mutant(U, change=lambda k, x, rng: k.noise(x.shape, rng))),
    ("noise", "tokens for masks", Mutant(M, noise=lambda k, size, rng: rng.integers(3, size=size))),
    ("repeats", "a generator of its own",
     Mutant(U, corrupt=lambda k, x, a, rng: k.corrupt(x, a, np.random.default_rng(0)))),
    ("arguments_stay", "in place", Mutant(U, corrupt=in_place)),
    ("bayes_for_a_value", "s and t swapped", Mutant(U, bridge=swapped)),
    ("bayes_for_a_law", "posterior plugged in", Mutant(U, bridge=posterior_plugged_in)),
    ("bayes_for_a_law", "no noise on the way", Mutant(U, bridge=without_noise)),
    ("normalised_bridge", "not divided by the chance of z",
     Mutant(U, bridge=lambda k, z, p, a, b: k.bridge(z, p, a, b) * (p @ k.kernel(b))[..., :1])),
    ("marginalisation", "mixed by p", Mutant(U, bridge=mixed_by_p)),
    ("bridge_over_no_time", "a step too far",
     Mutant(U, bridge=lambda k, z, p, a, b: k.bridge(z, p, np.minimum(1, a + 1e-3), b))),
    ("bridge_to_the_start", "never quite clean",
     Mutant(U, bridge=lambda k, z, p, *pair: k.bridge(z, p, *np.minimum(pair, 0.999)))),
    ("bridge_from_noise", "ε in the bridge only",
     Mutant(U, bridge=lambda k, z, p, *pair: k.bridge(z, p, *np.maximum(pair, 1e-3)))),
    ("bridges_by_sequence", "one alpha for all",
     Mutant(U, bridge=lambda k, z, p, a, b: k.bridge(z, p, np.ravel(a)[0], np.ravel(b)[0]))),
    ("quantiles", "drawn from p", Mutant(U, bridge_quantile=of_p)),
    ("ends_of_quantiles", "float32 uniforms", Mutant(U, bridge_quantile=in_single_precision)),
    ("mode", "argmax of p", Mutant(U, mode_of_bridge=lambda k, z, log_p, a, b: log_p.argmax(-1))),
    ("bound", "α = 1 - t hard-coded", Mutant(U, nelbo=hard_coded)),
    ("bound", "α' forgotten", Mutant(U, nelbo=lambda k, *given: k.nelbo(*given[:-1], -1.0))),
    ("bound", "V forgotten", Mutant(U, nelbo=lambda k, *given: 3 * k.nelbo(*given))),
    ("bound_as_limit", "cross-entropy of changed tokens", Mutant(U, nelbo=cross_entropy)),
    ("gradient", "in log p", Mutant(M, nelbo_grad=of_log_p)),
]  # fmt: skip

OF_SCHEDULES = [
    ("starts_whole", "clipped", Mutant(Linear(), alpha=lambda s, t: s.alpha(t).clip(max=1 - 1e-5))),
    ("forgets_only", "turns back", Mutant(Cosine(), alpha=lambda s, t: np.cos(np.pi * t) ** 2)),
    ("derivative", "ε in α only", Mutant(LogLinear(), dalpha=lambda s, t: -np.ones(np.shape(t)))),
    ("inverse", "ε in α only", Mutant(LogLinear(), time=lambda s, a: 1 - np.asarray(a))),
]  # fmt: skip
