"""The integrand of the continuous-time negative evidence lower bound (NELBO) of one token [T8].

With j a token value, a = V α, b = 1 - α, x̄_j = a p_j + b, z = x_t, and r⁰ the r of p = e_{x0}:

    r_j = x̄_j / x̄_z        ℓ = -α'/(V α) · Σ_j [r_j - r⁰_j - r⁰_j log(r_j / r⁰_j)]  ≥ 0

the KL(true bridge ‖ bridge with p plugged in) per unit of time; zero iff r = r⁰.

*Where it comes from.* In a step back from t to s with α_ts = 1 - h the bridge [T7] moves to j ≠ z
with chance (h/V) r_j, to first order. The KL of two such laws is (h/V) Σ_{j≠z} [r⁰_j log(r⁰_j /
r_j) + r_j - r⁰_j]: the jumps that happen, and those that were announced and did not come. With h =
-α'/α dt that is ℓ dt.

*What it teaches* [T11]. Given x_t only r⁰ depends on x0, and the mean over x0 of Σ_j [r_j - r⁰_j
log r_j] is least where r_j is the mean of r⁰_j. Let p be the law of x0 given the *other* tokens.
Seeing z multiplies it by x̄⁰_z / V, which cancels the denominator of r⁰_j = x̄⁰_j / x̄⁰_z:

    E[r⁰_j | x_t] = Σ_{x0} p(x0) x̄⁰_j / Σ_{x0} p(x0) x̄⁰_z = x̄_j / x̄_z

as x̄ is linear in p. So the best p is the leave-one-out conditional. In NumPy, for one token:

    x, x0_bar = V * alpha * p + 1 - alpha, V * alpha * (arange(V) == x0) + 1 - alpha
    r, r0 = x / x[z], x0_bar / x0_bar[z]
    loss = -dalpha / (V * alpha) * (r - r0 - r0 * log(r / r0)).sum()

*Without cancellation.* Write δ_j = r_j/r⁰_j - 1: each term is r⁰_j (δ_j - log(1 + δ_j)), so none
is negative and none cancels another. r⁰ is constant but for one index, the clean value x0, and so

    x0 = z   r⁰_j = c = b/(a + b)   δ_j = g (p_j + c q),  g = a (a + b)/(b x̄_z);   none at z
    x0 ≠ z   r⁰_j = 1               δ_j = g (p_j - p_z),  g = a/x̄_z;   and at j = x0, r⁰ = 1/c,
             δ = -a (b q + (a + b) p_z) / ((a + b) x̄_z)

where q = 1 - p_{x0}, summed over the other values rather than subtracted from one. Both cases are
*one* formula over V, δ_j = g (p_j - p*), with g `gain` and p* `neutral` in the code. At the clean
value p is set to p* meanwhile, so that δ is zero there; its own term, if any, is added afterwards.

Gradient of the sum S = Σ_j […], so that ℓ = -α'/(V α) · S, in the logits, p = softmax. As ∂S/∂r_j =
δ_j / (1 + δ_j) and r_j = x̄_j / x̄_z: ∂S/∂x̄_j = r⁰_j δ_j / x̄_j for j ≠ z, and ∂S/∂x̄_z =
-Σ_j r⁰_j δ_j / x̄_z. With G = a ∂S/∂x̄ the chain through softmax is p_j (G_j - Σ_k p_k G_k),
which no constant added to G can change. Subtracting a/x̄_z from G_j leaves -a r⁰_j / x̄_j: the form
without cancellation where x̄_z < a (z improbable, little noise), as the first is where x̄_z ≥ a.

Numerically safe by construction: a, b and c come from float64 alphas (1 - α is never formed in
float32); x̄ ≥ b > 0; the largest number formed is a (a + b)/b², about 2.5e21 at V = 50,000 and α
= 1 - 1e-6, well inside float32.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.checks import Floats, Tokens
from minuddm.machine.exponential import exp, largest, x_minus_log1p
from minuddm.machine.integrand import integrand_of, losses_and_gradient
from minuddm.machine.jit import jit_reassoc

LEAST = 1e-30  # alpha: below it 1/α leaves float32, and ℓ, of the order of α, is no number


def nelbo(
    log_p: ArrayLike, x0: ArrayLike, xt: ArrayLike, alpha: ArrayLike, dalpha: ArrayLike
) -> Floats:
    """Return the integrand ℓ (B, L) [T8], in nats per unit of t.

    log_p (B, L, V) are log-probabilities of the clean token, up to a constant a token, for they
    are normalised here (minus infinity is welcome); x0 and xt are tokens (B, L), alpha and dalpha
    (B,) or numbers: α in (0, 1) and its derivative in t.
    Summed over positions, averaged over xt and integrated over t it bounds -log p(x0), up to the
    terms of [T9] at both ends of time.
    """
    loss, _ = _bound(log_p, x0, xt, alpha, dalpha)
    return loss


def nelbo_grad(
    logits: ArrayLike, x0: ArrayLike, xt: ArrayLike, alpha: ArrayLike, dalpha: ArrayLike
) -> tuple[Floats, Floats]:
    """Return ℓ (B, L) and its gradient in the logits (B, L, V); the rest as for `nelbo`."""
    return _bound(logits, x0, xt, alpha, dalpha)


def _bound(
    logits: ArrayLike, x0: ArrayLike, xt: ArrayLike, alpha: ArrayLike, dalpha: ArrayLike
) -> tuple[Floats, Floats]:
    logits = np.asarray(logits)
    V = checks.vocabulary(logits.shape[-1] if logits.ndim else 0)

    def given(alpha: NDArray[np.float64]) -> Coefficients:
        return coefficients(alpha, dalpha, V)

    return losses_and_gradient(logits, x0, xt, V, alpha, given)


class Coefficients(NamedTuple):
    """What the integrand needs of the time of each of B sequences, in float64."""

    a: NDArray[np.float64]  # V α
    b: NDArray[np.float64]  # 1 - α
    weight: NDArray[np.float64]  # -α'/(V α)


def coefficients(alpha: NDArray[np.float64], dalpha: ArrayLike, V: int) -> Coefficients:
    """Return the coefficients of alphas (B,) in (0, 1) and their derivatives in t, (B,) or one."""
    dalpha = checks.slopes(dalpha, alpha)
    wrong = ~((alpha >= LEAST) & (alpha < 1))
    if wrong.any():
        raise ValueError(f"the bound needs alpha in [{LEAST:g}, 1), got {alpha[wrong][0]:g}")
    return Coefficients(V * alpha, 1 - alpha, -dalpha / (V * alpha))


@integrand_of(Coefficients)
@jit_reassoc
def _integrand(
    loss: Floats,
    logits: Floats,
    x0: Tokens,
    xt: Tokens,
    given: Coefficients,
    first: int,
    L: int,
) -> None:
    """Tokens (N,) of the sequences from `first` on → loss (N,); logits (N, V) ← their gradient.

    One row after the other passes through p (V,), so that nothing of size (N, V) is held twice.
    Here and below, numbers such as `one - one` are zeros of the right dtype.
    """
    N, V = logits.shape
    p = np.empty(V, logits.dtype)
    real = logits.dtype.type
    one = real(1)
    for n in range(N):
        row = first + n // L
        a, b, weight = given.a[row], given.b[row], given.weight[row]
        clean, z = x0[n], xt[n]
        q = _softmax(p, logits[n], clean)
        p_clean, p_z = p[clean], p[z]
        x_z = a * p_z + b
        if clean == z:
            r0, gain, neutral = b / (a + b), a * (a + b) / (b * x_z), -b / (a + b) * q
        else:
            r0, gain, neutral = one + 0 * b, a / x_z, p_z + 0 * b
        p[clean] = real(neutral)
        G = logits[n]  # read for the last time above
        shift = one if x_z < a else one - one  # times a/x̄_z, subtracted from G
        terms, deltas = _terms(G, p, real(a), real(b), real(r0), real(gain), real(neutral), shift)
        p[clean] = p_clean
        total = r0 * deltas  # Σ_j r⁰_j δ_j
        value = r0 * terms
        if clean != z:
            c = b / (a + b)
            x_clean = a * p_clean + b
            delta = -a * (c * q + p_z) / x_z
            value += x_minus_log1p(delta, c * x_clean / x_z) / c
            total += delta / c
            G[clean] = real(a / (c * x_clean) * (-1.0 if shift else delta))
        G[z] = real(-a / x_z * (total + shift))
        loss[n] = real(weight * value)
        _through_softmax(G, p, real(weight))


@jit_reassoc
def _softmax(p: Floats, logits: Floats, clean: int) -> Any:
    """Write softmax into p (V,); return q = 1 - p_clean, summed over the other values."""
    V = p.shape[0]
    peak = largest(logits)
    for j in range(V):
        p[j] = exp(logits[j] - peak)
    e_clean = p[clean]
    others = peak - peak
    p[clean] = 0
    for j in range(V):
        others += p[j]
    p[clean] = e_clean
    inverse = p.dtype.type(1) / (others + e_clean)
    for j in range(V):
        p[j] *= inverse
    return others * inverse


@jit_reassoc
def _terms(
    G: Floats,
    p: Floats,
    a: float,
    b: float,
    r0: float,
    gain: float,
    neutral: float,
    shift: float,
) -> tuple[float, float]:
    """Write G_j = a r⁰ δ_j / x̄_j, or -a r⁰ / x̄_j; return Σ_j (δ_j - log(1 + δ_j)) and Σ_j δ_j.

    The first if shift is 0, the second if it is 1. First the sums, then the writing: see
    `minuddm.machine.jit`.
    """
    keep = p.dtype.type(1) - shift
    value, deltas = a - a, a - a
    slope = gain / a  # 1 + δ_j = x̄_j g/a, without the cancellation in 1 + δ
    for j in range(p.shape[0]):
        delta = gain * (p[j] - neutral)
        value += x_minus_log1p(delta, (a * p[j] + b) * slope)
        deltas += delta
    for j in range(p.shape[0]):
        delta = gain * (p[j] - neutral)
        G[j] = a * r0 * (keep * delta - shift) / (a * p[j] + b)
    return value, deltas


@jit_reassoc
def _through_softmax(G: Floats, p: Floats, weight: float) -> None:
    """G ← weight · p ⊙ (G - Σ p G), in place."""
    mean = weight - weight
    for j in range(p.shape[0]):
        mean += p[j] * G[j]
    for j in range(p.shape[0]):
        G[j] = weight * p[j] * (G[j] - mean)
