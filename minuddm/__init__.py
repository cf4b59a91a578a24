"""minuddm: the uniform-state discrete diffusion language model, from scratch, to be read.

Everything here is *the conditional of one token given the rest*. Reading order:

    schedule, transition      the process: how tokens are forgotten, and the way back
    denoiser                  the one interface
    nelbo                     the objective, and what it teaches: the leave-one-out conditional
    layers/, transformer      the network, forward and backward
    adamw, train              how it learns
    sources                   toy sources whose law is known
    ideal                     the exact answers it is held against
    reverse, probes/          restoring corrupted text, and measuring what came back
    text                      where tokens come from

One alphabet, everywhere: V vocabulary size; L sequence length, i a position; B batch, D width, H
heads; P number of training sequences = stored patterns ξ^μ; x0 clean and xt (z) corrupted tokens
(B, L); s < t diffusion times in [0, 1]; α_t the chance that a token was never resampled by time
t; β inverse temperature. Entropies and bounds are in nats per token. Labels such as [T8] number
the equations; README lists them with their sources.
"""

from minuddm.denoiser import Denoiser, posterior, score_ratios
from minuddm.ideal import DatasetIdeal
from minuddm.reverse import generate, restore
from minuddm.schedule import Cosine, Linear, LogLinear, Schedule
from minuddm.text import Corpus, load
from minuddm.train import TrainConfig, load_about, load_model
from minuddm.transformer import Transformer
from minuddm.transition import bridge, corrupt, inverse_temperature
from minuddm.weights import ModelConfig

# Functions named after their module keep their address: `minuddm.transition.transition`,
# `minuddm.nelbo.nelbo`, `minuddm.train.train`.
__all__ = [
    "Corpus",
    "Cosine",
    "DatasetIdeal",
    "Denoiser",
    "Linear",
    "LogLinear",
    "ModelConfig",
    "Schedule",
    "TrainConfig",
    "Transformer",
    "bridge",
    "corrupt",
    "generate",
    "inverse_temperature",
    "load",
    "load_about",
    "load_model",
    "posterior",
    "restore",
    "score_ratios",
]
