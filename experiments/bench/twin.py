"""The same network, bound, step and reverse chain in PyTorch: a measure of speed and of truth.

Written as one writes PyTorch today: modules, fused attention, fused AdamW, the backward pass by
autograd, optionally compiled. Names and shapes of its tensors are those of `minuddm.weights`, so
weights go over one to one; on the same inputs, logits, loss and every gradient agree with the
hand-written ones. Needs `torch`, the extra `bench`.
"""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from minuddm import ModelConfig
from minuddm.network import FEATURES


class Conditioning(nn.Module):
    """c = SiLU(MLP(features(-log α)))."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.inward = nn.Linear(FEATURES, config.cond)
        self.outward = nn.Linear(config.cond, config.cond)
        half = FEATURES // 2
        frequency = 10_000.0 ** (-torch.arange(half).double() / half)
        self.register_buffer("frequency", frequency)

    def forward(self, alpha: Tensor) -> Tensor:
        """Alpha (B,) → c (B, C)."""
        angle = (-alpha.log()[:, None] * self.frequency).to(self.inward.weight.dtype)
        features = torch.cat([angle.cos(), angle.sin()], dim=1)
        return functional.silu(self.outward(functional.silu(self.inward(features))))


class Block(nn.Module):
    """Attention and MLP, each modulated, gated and added to the stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        D, self.heads = config.width, config.heads
        self.modulation = nn.Linear(config.cond, 6 * D)
        self.norm1 = nn.LayerNorm(D, bias=False)
        self.qkv = nn.Linear(D, 3 * D, bias=False)
        self.out = nn.Linear(D, D, bias=False)
        self.norm2 = nn.LayerNorm(D, bias=False)
        self.mlp_in = nn.Linear(D, 4 * D)
        self.mlp_out = nn.Linear(4 * D, D)

    def forward(self, x: Tensor, c: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """X (B, L, D), c (B, C) → (B, L, D)."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(c)[:, None].chunk(6, dim=2)
        h = self.norm1(x) * (1 + scale1) + shift1
        x = x + gate1 * self.out(self.attention(self.qkv(h), cos, sin))
        h = self.norm2(x) * (1 + scale2) + shift2
        return x + gate2 * self.mlp_out(functional.gelu(self.mlp_in(h), approximate="tanh"))

    def attention(self, qkv: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Rotate q and k, attend, and put the heads side by side again."""
        B, L, D = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
        q, k, v = qkv.view(B, L, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        out = functional.scaled_dot_product_attention(_rotate(q, cos, sin), _rotate(k, cos, sin), v)
        return out.transpose(1, 2).reshape(B, L, D)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    x1, x2 = x.chunk(2, dim=-1)
    return torch.cat([x1 * cos - x2 * sin, x2 * cos + x1 * sin], dim=-1)


class Twin(nn.Module):
    """The transformer: call it for logits, `bound` for the loss."""

    def __init__(self, config: ModelConfig, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.config = config
        D = config.width
        self.embedding = nn.Embedding(config.vocab, D)
        self.conditioning = Conditioning(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.final_modulation = nn.Linear(config.cond, 2 * D)
        self.final_norm = nn.LayerNorm(D, bias=False)
        self.final_linear = nn.Linear(D, config.vocab)
        d = D // config.heads
        frequency = 10_000.0 ** (-2 * torch.arange(d // 2).double() / d)
        angle = torch.arange(config.length)[:, None] * frequency
        self.register_buffer("cos", angle.cos().to(dtype))
        self.register_buffer("sin", angle.sin().to(dtype))
        self.to(dtype)

    def forward(self, tokens: Tensor, alpha: Tensor) -> Tensor:
        """Tokens (B, L), alpha (B,) → logits (B, L, V)."""
        x, c = self.embedding(tokens), self.conditioning(alpha)
        for block in self.blocks:
            x = block(x, c, self.cos, self.sin)
        shift, scale = self.final_modulation(c)[:, None].chunk(2, dim=2)
        return self.final_linear(self.final_norm(x) * (1 + scale) + shift)

    def bound(self, x0: Tensor, xt: Tensor, alpha: Tensor, dalpha: Tensor) -> Tensor:
        """Mean of the NELBO integrand [T8] over the tokens, as its formula is written."""
        V, a = self.config.vocab, alpha[:, None]
        p = self(xt, alpha).softmax(dim=2)
        x_bar = V * a[..., None] * p + 1 - a[..., None]
        r = x_bar / x_bar.gather(2, xt[..., None])
        clean = V * a[..., None] * functional.one_hot(x0, V) + 1 - a[..., None]
        r0 = clean / clean.gather(2, xt[..., None])
        rate = -dalpha[:, None] / (V * a)
        return (rate * (r - r0 - r0 * (r / r0).log()).sum(dim=2)).mean()

    def named(self) -> dict[str, nn.Parameter]:
        """Return the parameters under the names of `minuddm.weights`."""
        there = {
            "conditioning.inward": "conditioning.in", "conditioning.outward": "conditioning.out",
            "qkv": "attention.qkv", ".out.": ".attention.out.", "mlp_in": "mlp.in",
            "mlp_out": "mlp.out", "norm1.weight": "norm1.gain", "norm2.weight": "norm2.gain",
            "final_norm.weight": "final.norm.gain", "final_": "final.",
            "embedding.weight": "embedding",
        }  # fmt: skip
        named = {}
        for name, parameter in self.named_parameters():
            for here, word in there.items():
                if here != ".out." or name.startswith("blocks."):
                    name = name.replace(here, word)
            named[name] = parameter
        return named

    def take(self, weights: Mapping[str, NDArray]) -> "Twin":
        """Take over the weights of a `minuddm` network."""
        named = self.named()
        if named.keys() != weights.keys():
            raise ValueError(f"tensors differ: {sorted(named.keys() ^ weights.keys())}")
        with torch.no_grad():
            for name, parameter in named.items():
                parameter.copy_(torch.from_numpy(weights[name]))
        return self


class Training:
    """One training step at a time: draw, corrupt, bound, backward, clip, AdamW, average."""

    def __init__(self, twin: Twin, tokens: NDArray[np.int32], batch: int, compiled: bool) -> None:
        self.twin, self.batch = twin, batch
        self.tokens = torch.from_numpy(tokens.astype(np.int64))
        self.weights = list(twin.parameters())
        self.average = [w.detach().clone() for w in self.weights]
        self.adamw = torch.optim.AdamW(
            self.weights, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.0, fused=True
        )
        self.bound: Callable[..., Tensor] = torch.compile(twin.bound) if compiled else twin.bound

    def step(self) -> float:
        """Take one step; return its loss."""
        B, V = self.batch, self.twin.config.vocab
        x0 = self.tokens[torch.randint(len(self.tokens), (B,))]
        low = math.sqrt(1e-5)
        u = low + (1 - low) * (torch.arange(B) + torch.rand(B)) / B
        alpha, dalpha = 1 - (1 - 1e-3) * u**2, -(1 - 1e-3) * 2 * u * (1 - low)
        keep = torch.rand(x0.shape) < alpha[:, None]
        xt = torch.where(keep, x0, torch.randint(V, x0.shape))
        loss = self.bound(x0, xt, alpha, dalpha)
        self.adamw.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.adamw.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.average, [w.detach() for w in self.weights], 0.001)
        return float(loss.detach())


class Restoring:
    """The reverse chain [T26] over the log-linear schedule: a forward pass and a draw a step."""

    def __init__(self, twin: Twin, compiled: bool, batch: int = 256) -> None:
        self.batch = batch

        def step(z: Tensor, u: Tensor, alpha_s: Tensor, alpha_t: Tensor) -> Tensor:
            V = twin.config.vocab
            p = twin(z, alpha_t.expand(len(z))).softmax(dim=2)
            a_ts = alpha_t / alpha_s
            stay = V * alpha_t * p.gather(2, z[..., None]) + a_ts - alpha_t
            q = (alpha_s - alpha_t) * p + (1 - a_ts) * (1 - alpha_s) / V
            q = q.scatter_add(2, z[..., None], stay)
            cumulative = q.cumsum(dim=2)
            below = cumulative <= u[..., None] * cumulative[..., -1:]
            return below.sum(dim=2).clamp(max=V - 1)

        self.one = torch.compile(step) if compiled else step

    def restore(self, z: NDArray[np.int32], steps: int) -> NDArray[np.int32]:
        """Return tokens (B, L) after the whole chain from t = 1."""
        state = torch.from_numpy(z.astype(np.int64))
        times = 1e-5 + (1 - 1e-5) * torch.arange(steps, -1, -1, dtype=torch.float64) / steps
        alphas = torch.cat([1 - (1 - 1e-3) * times, torch.ones(1)]).float()
        with torch.inference_mode():
            for alpha_t, alpha_s in pairwise(alphas):
                for start in range(0, len(state), self.batch):
                    part = slice(start, start + self.batch)
                    u = torch.rand(state[part].shape)
                    state[part] = self.one(state[part], u, alpha_s, alpha_t)
        return state.numpy().astype(np.int32)
