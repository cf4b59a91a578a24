"""AdamW on the flat buffer (Loshchilov & Hutter 2019), with clipping and an average of the weights.

    g ← g · min(1, clip / ‖g‖)                       one norm over all tensors
    m ← β₁ m + (1 - β₁) g        v ← β₂ v + (1 - β₂) g²
    w ← w - lr · (m̂ / (√v̂ + ε) + λ w),   m̂ = m/(1 - β₁ᵏ), v̂ = v/(1 - β₂ᵏ) at step k = 1, 2, …
    w̄ ← d w̄ + (1 - d) w,   d = min(d_∞, (1 + k)/(10 + k)), so that the average forgets its start

The last line is an exponential moving average (EMA). λ shrinks all tensors, gains and biases too.
The caller computes ‖g‖; then one pass over the buffers does all four lines.
"""

import math

from minuddm.checks import Floats
from minuddm.machine.jit import jit_reassoc
from minuddm.machine.subnormals import flushed

_EPS = 1e-8


def learning_rate(step: int, warmup: int, peak: float, end: int | None = None) -> float:
    """Return lr at step 0, 1, …: linear warm-up to `peak`, which then stays.

    With the `end` of the run, a half cosine to 0 follows; the warm-up is at most a tenth of it.
    """
    if end is not None:
        warmup = min(warmup, end // 10)
    if step < warmup:
        return peak * (step + 1) / warmup
    if end is None:
        return peak
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, end - warmup)))


def average_decay(step: int, limit: float) -> float:
    """Return d, the decay of the moving average, at step 0, 1, … (k - 1 above)."""
    return min(limit, (2 + step) / (11 + step))


@jit_reassoc
def global_norm(g: Floats) -> float:
    """Return ‖g‖, summed in float64."""
    total = 0.0
    for i in range(g.shape[0]):
        total += float(g[i]) * float(g[i])
    return math.sqrt(total)


def adamw_step(
    w: Floats,
    average: Floats,
    m: Floats,
    v: Floats,
    g: Floats,
    norm: float,
    *,
    step: int,
    lr: float,
    clip: float,
    beta1: float,
    beta2: float,
    weight_decay: float,
    decay: float,
) -> None:
    """Update weights, average and moments in place at step 0, 1, …, given `norm` = ‖g‖."""
    factor = min(1.0, clip / norm) if norm > 0 else 1.0
    real = w.dtype.type
    with flushed():  # moments without a gradient fade away, and each would be slow for ever
        _update(
            w, average, m, v, g, real(factor), real(beta1), real(beta2),
            real(lr / (1 - beta1 ** (step + 1))), real(1 / math.sqrt(1 - beta2 ** (step + 1))),
            real(lr * weight_decay), real(decay), real(_EPS),
        )  # fmt: skip


@jit_reassoc
def _update(
    w: Floats,
    average: Floats,
    m: Floats,
    v: Floats,
    g: Floats,
    factor: float,
    beta1: float,
    beta2: float,
    step_size: float,
    v_scale: float,
    shrink: float,
    decay: float,
    eps: float,
) -> None:
    one = w.dtype.type(1)
    for i in range(w.shape[0]):
        gi = factor * g[i]
        mi = beta1 * m[i] + (one - beta1) * gi
        vi = beta2 * v[i] + (one - beta2) * gi * gi
        wi = w[i] - step_size * mi / (math.sqrt(vi) * v_scale + eps) - shrink * w[i]
        m[i] = mi
        v[i] = vi
        w[i] = wi
        average[i] = decay * average[i] + (one - decay) * wi
