"""minuddm: the uniform-state discrete diffusion language model, from scratch, to be read.

Everything here is *the conditional of one token given the rest*. The first evening:

    transition, denoiser      how tokens are forgotten, and the way back; the one interface
    hopfield/reference        an associative memory: energy, update, recall
    ideal/dataset             perfect memory, which is an associative memory (tests/test_keystone)
    schedule, process/        how fast they are forgotten; the process as a value
    nelbo/integrand           the objective, and what it teaches: the leave-one-out conditional
    network                   the transformer, forward and backward
    reverse                   the chain back
    adamw, train              how it learns, and how an interrupted run goes on bit for bit
    probes/                   measuring what came back

A second one: samplers (other steps, correctors), sources, text, vocabulary and sequences (tokens
with a known law, and from text), ideal/ (perfect generalisation), checkpoint and published (our
networks and others', from files), weights and transformer (tensors; checks and engines), machine/
and draws (the same, faster), laws/ (what others' objects must obey too), command/ (the CLI).

One alphabet: V vocabulary size, v a value; L sequence length, i a position; B batch, D width, H
heads; P number of training sequences = stored patterns ξ^μ; x0 clean and xt (z) corrupted tokens
(B, L); s < t diffusion times in [0, 1], 0 clean; α_t the chance that a token was never resampled
by time t, α' its derivative in t; p_i(v) the belief that x0_i = v; β inverse temperature. Entropies
and bounds are in nats per token. Labels such as [T8] number the equations; `THEORY.md` derives them
and names their sources.
"""

from minuddm.checkpoint import checkpoint_metadata, load_about, load_model
from minuddm.denoiser import Denoiser, posterior, score_ratios
from minuddm.ideal import DatasetIdeal
from minuddm.process import Absorbing, Process, Uniform
from minuddm.reverse import generate, restore
from minuddm.schedule import Cosine, Linear, LogLinear, Schedule
from minuddm.text import Corpus, load, load_text
from minuddm.train import TrainConfig
from minuddm.transformer import Transformer
from minuddm.transition import bridge, corrupt, inverse_temperature
from minuddm.weights import ModelConfig

# A function named after its module would hide it here, and is imported from there:
# `minuddm.transition.transition`, `minuddm.nelbo.nelbo`, `minuddm.train.train`.
__all__ = [
    "Absorbing", "Corpus", "Cosine", "DatasetIdeal", "Denoiser", "Linear", "LogLinear",
    "ModelConfig", "Process", "Schedule", "TrainConfig", "Transformer", "Uniform", "bridge",
    "checkpoint_metadata", "corrupt", "generate", "inverse_temperature", "load", "load_about",
    "load_model", "load_text", "posterior", "restore", "score_ratios",
]  # fmt: skip
