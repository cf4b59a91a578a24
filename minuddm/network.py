"""The transformer: what the network computes, in plain NumPy, and how its gradient flows back.

    c = SiLU(W SiLU(W features(α) + b) + b)                 conditioning on the noise level
    x = E[tokens]
    each block, with shift, scale, gate (twice) = W c + b:
        x ← x + gate₁ ⊙ Attention(LN(x) γ₁ (1 + scale₁) + shift₁)
        x ← x + gate₂ ⊙ MLP(LN(x) γ₂ (1 + scale₂) + shift₂)
    logits = W (LN(x) γ (1 + scale) + shift) + b

MLP(h) = W GELU(W h + b) + b, 4 D wide; Attention stands between two linears without b. Every W and
b is its own; LN is layer norm, γ its gain. The modulations and the last W start at 0, hence blocks
as the identity (adaLN-Zero, Peebles & Xie 2023); rotary positions are those of Su et al. 2021.
`minuddm.machine` computes the same, faster, and is tested against this. Layers come in pairs, each
backward under its forward: from dy, the gradient of the loss in y, it makes the gradients of what
y was made of. They work on the last axis of arrays (B, L, …), in the dtype of the weights. w and
its gradient g map the names of `minuddm.weights.shapes` to arrays, matrices (out, in); n is the
first part of such a name.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy  # special functions are loaded when first used
from numpy.typing import NDArray

Array = NDArray[Any]
Table = Mapping[str, Array]
Gradient = dict[str, Array]
Integrand = Callable[[Array], tuple[Array, Array]]
Saved = tuple[Any, ...]

FEATURES = 256  # cosines, then sines, of σ = -log α at 128 frequencies
SMALLEST_ALPHA = 1e-12  # keeps σ finite at pure noise
_EPS = 1e-5
_GELU, _CUBIC = math.sqrt(8 / math.pi), 0.044715


def features(alpha: NDArray[np.float64], dtype: Any) -> Array:
    """Alpha (B,) → [cos(σ f), sin(σ f)] (B, 256), with σ = -log α, f_k = 10000^(-k/128)."""
    half = FEATURES // 2
    sigma = -np.log(np.maximum(alpha, SMALLEST_ALPHA))
    angle = (sigma[:, None] * 10_000.0 ** (-np.arange(half) / half)).astype(dtype)
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)


def linear(x: Array, w: Table, n: str) -> Array:
    """Return y = x Wᵀ + b; q, k, v and the output of attention have no b."""
    return x @ w[f"{n}.weight"].T + w.get(f"{n}.bias", 0)


def linear_backward(dy: Array, x: Array, g: Gradient, w: Table, n: str) -> Array:
    """Return dx = dy W; write dW = Σ dyᵀ x and db = Σ dy, summed over all tokens."""
    rows = dy.reshape(-1, dy.shape[-1])
    g[f"{n}.weight"] = rows.T @ x.reshape(len(rows), -1)
    if f"{n}.bias" in w:
        g[f"{n}.bias"] = rows.sum(axis=0)
    return dy @ w[f"{n}.weight"]


def silu(x: Array) -> Array:
    """Return y = x S, where S = 1/(1 + e⁻ˣ)."""
    return x * scipy.special.expit(x)


def silu_backward(dy: Array, x: Array) -> Array:
    """Return dx = dy y', with y' = S (1 + x (1 - S)) because S' = S (1 - S)."""
    S = scipy.special.expit(x)
    return dy * S * (1 + x * (1 - S))


def gelu(x: Array) -> Array:
    """Return y = x S, where S = 1/(1 + e⁻ʷ), w = √(8/π) (x + 0.044715 x³): GELU, tanh form."""
    return x * scipy.special.expit(_GELU * (x + _CUBIC * x**3))


def gelu_backward(dy: Array, x: Array) -> Array:
    """Return dx = dy (S + x S (1 - S) w')."""
    S = scipy.special.expit(_GELU * (x + _CUBIC * x**3))
    return dy * S * (1 + x * (1 - S) * _GELU * (1 + 3 * _CUBIC * x**2))


def norm(x: Array, shift: Array, scale: Array, gain: Array) -> tuple[Array, Saved]:
    """Return y = x̂ γ (1 + scale) + shift, where x̂ = (x - mean) rstd; shift, scale (B, 1, D)."""
    rstd = 1 / np.sqrt(x.var(axis=-1, keepdims=True) + _EPS)
    x_hat = (x - x.mean(axis=-1, keepdims=True)) * rstd
    return x_hat * gain * (1 + scale) + shift, (x_hat, rstd, scale, gain)


def norm_backward(dy: Array, saved: Saved) -> tuple[Array, Array, Array, Array]:
    """Return dx, dshift, dscale, dγ; from dx̂_k/dx_j = rstd (δ_kj - 1/D - x̂_k x̂_j/D)."""
    x_hat, rstd, scale, gain = saved
    dx_hat = dy * gain * (1 + scale)
    along = (dx_hat * x_hat).mean(axis=-1, keepdims=True)
    dx = rstd * (dx_hat - dx_hat.mean(axis=-1, keepdims=True) - x_hat * along)
    dgain = (dy * x_hat * (1 + scale)).sum(axis=(0, 1))
    return dx, dy.sum(axis=1), (dy * x_hat * gain).sum(axis=1), dgain


def rotate(x: Array, by: float = 1.0) -> Array:
    """Rotate each pair (x_k, x_{k+d/2}) at position l by l · 10000^(-2k/d); back with by = -1."""
    L, d = x.shape[-2:]
    angle = by * np.arange(L)[:, None] * 10_000.0 ** (-2 * np.arange(d // 2) / d)
    cos, sin = np.cos(angle).astype(x.dtype), np.sin(angle).astype(x.dtype)
    x1, x2 = x[..., : d // 2], x[..., d // 2 :]
    return np.concatenate([x1 * cos - x2 * sin, x2 * cos + x1 * sin], axis=-1)


def attention(qkv: Array, heads: int) -> tuple[Array, Saved]:
    """Return o = A v for every head, A = softmax(q kᵀ/√d) over all positions; qkv (B, L, 3D)."""
    B, L, _ = qkv.shape
    q, k, v = qkv.reshape(B, L, 3, heads, -1).transpose(2, 0, 3, 1, 4)  # (B, H, L, d) each
    q, k = rotate(q), rotate(k)
    A = scipy.special.softmax(q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1]), axis=-1)
    return (A @ v).transpose(0, 2, 1, 3).reshape(B, L, -1), (q, k, v, A)


def attention_backward(do: Array, saved: Saved) -> Array:
    """Return dqkv: dv = Aᵀ do, dA = do vᵀ, dS = A (dA - Σ A dA)/√d, dq = dS k, dk = dSᵀ q."""
    q, k, v, A = saved
    B, H, L, d = q.shape
    do = do.reshape(B, L, H, d).transpose(0, 2, 1, 3)
    dv, dA = A.swapaxes(-1, -2) @ do, do @ v.swapaxes(-1, -2)
    dS = A * (dA - (dA * A).sum(axis=-1, keepdims=True)) / math.sqrt(d)
    dq, dk = rotate(dS @ k, by=-1), rotate(dS.swapaxes(-1, -2) @ q, by=-1)
    return np.stack([dq, dk, dv]).transpose(1, 3, 0, 2, 4).reshape(B, L, -1)


def modulation(c: Array, w: Table, n: str, rows: int) -> list[Array]:
    """Return `rows` vectors (B, 1, D), cut from one linear layer of the conditioning c (B, C)."""
    return np.split(linear(c, w, f"{n}.modulation")[:, None], rows, axis=-1)


def block(
    x: Array, c: Array, w: Table, n: str, heads: int, masks: Sequence[Any]
) -> tuple[Array, Saved]:
    """Add to the residual stream x (B, L, D) the output of attention, then that of the MLP."""
    shift1, scale1, gate1, shift2, scale2, gate2 = modulation(c, w, n, 6)
    h1, norm1 = norm(x, shift1, scale1, w[f"{n}.norm1.gain"])
    o, attended = attention(linear(h1, w, f"{n}.attention.qkv"), heads)
    a = linear(o, w, f"{n}.attention.out") * masks[0]
    x = x + gate1 * a
    h2, norm2 = norm(x, shift2, scale2, w[f"{n}.norm2.gain"])
    u = linear(h2, w, f"{n}.mlp.in")
    m = linear(gelu(u), w, f"{n}.mlp.out") * masks[1]
    return x + gate2 * m, (norm1, h1, attended, o, gate1, a, norm2, h2, u, gate2, m, masks)


def block_backward(
    dx: Array, saved: Saved, c: Array, g: Gradient, w: Table, n: str
) -> tuple[Array, Array]:
    """Return dx and dc: each line differentiates one of `block`, last first; branches add to dx."""
    norm1, h1, attended, o, gate1, a, norm2, h2, u, gate2, m, masks = saved
    dgate2, dm = (dx * m).sum(axis=1), dx * gate2 * masks[1]
    du = gelu_backward(linear_backward(dm, gelu(u), g, w, f"{n}.mlp.out"), u)
    dh2 = linear_backward(du, h2, g, w, f"{n}.mlp.in")
    through, dshift2, dscale2, g[f"{n}.norm2.gain"] = norm_backward(dh2, norm2)
    dx = dx + through
    dgate1, da = (dx * a).sum(axis=1), dx * gate1 * masks[0]
    dqkv = attention_backward(linear_backward(da, o, g, w, f"{n}.attention.out"), attended)
    dh1 = linear_backward(dqkv, h1, g, w, f"{n}.attention.qkv")
    through, dshift1, dscale1, g[f"{n}.norm1.gain"] = norm_backward(dh1, norm1)
    dmod = np.concatenate([dshift1, dscale1, dgate1, dshift2, dscale2, dgate2], axis=-1)
    return dx + through, linear_backward(dmod, c, g, w, f"{n}.modulation")


def forward(
    w: Table, tokens: Array, alpha: Array, heads: int, masks: Array | None = None
) -> tuple[Array, Saved]:
    """Tokens (B, L), alpha (B,) → logits (B, L, V), and what `backward` needs.

    masks (blocks, 2, B, L, D) multiply the branches: 0 or 1/(1 - dropout), in training.
    """
    f = features(alpha, w["embedding"].dtype)
    u1 = linear(f, w, "conditioning.in")
    u2 = linear(silu(u1), w, "conditioning.out")
    c = silu(u2)
    x, blocks = w["embedding"][tokens], []
    for k in range(sum(n.endswith("norm1.gain") for n in w)):  # the blocks
        x, saved = block(x, c, w, f"blocks.{k}", heads, (1, 1) if masks is None else masks[k])
        blocks.append(saved)
    shift, scale = modulation(c, w, "final", 2)
    h, final = norm(x, shift, scale, w["final.norm.gain"])
    return linear(h, w, "final.linear"), (tokens, f, u1, u2, c, blocks, h, final)


def backward(dlogits: Array, saved: Saved, w: Table) -> Gradient:
    """Return the gradient of every tensor, given that of the logits: `forward`, last line first."""
    tokens, f, u1, u2, c, blocks, h, final = saved
    g: Gradient = {}
    dh = linear_backward(dlogits, h, g, w, "final.linear")
    dx, dshift, dscale, g["final.norm.gain"] = norm_backward(dh, final)
    dc = linear_backward(np.concatenate([dshift, dscale], axis=-1), c, g, w, "final.modulation")
    for k in reversed(range(len(blocks))):
        dx, dc_k = block_backward(dx, blocks[k], c, g, w, f"blocks.{k}")
        dc = dc + dc_k
    g["embedding"] = np.zeros_like(w["embedding"])
    np.add.at(g["embedding"], tokens, dx)
    da1 = linear_backward(silu_backward(dc, u2), silu(u1), g, w, "conditioning.out")
    linear_backward(silu_backward(da1, u1), f, g, w, "conditioning.in")
    return g


def log_probs(w: Table, tokens: Array, alpha: Array, heads: int) -> Array:
    """Tokens (B, L), alpha (B,) → log-probabilities (B, L, V): the weights as a `Denoiser`."""
    return scipy.special.log_softmax(forward(w, tokens, alpha, heads)[0], axis=-1)


def loss_and_grad(
    w: Table, tokens: Array, alpha: Array, heads: int, integrand: Integrand,
    masks: Array | None = None,
) -> tuple[Array, Gradient]:  # fmt: skip
    """Return the losses (B, L) and the gradient of their sum.

    `integrand` turns logits (B, L, V) into losses and the gradient of each in its logits [T8].
    """
    logits, saved = forward(w, tokens, alpha, heads, masks)
    loss, dlogits = integrand(logits)
    return loss, backward(dlogits, saved, w)
