"""The instruments: what is measured on a denoiser, whichever it is.

recovery     what the reverse chain brings back [T26]
entropy      how certain the conditionals are [T28], leave-one-out and posterior [T13]
perplexity   the bound on held-out sequences [T8], [T9]
intervals    bootstrap over sequences
transition   the number of sequences at which memory turns into generalisation
"""

from minuddm.probes.entropy import ConditionalEntropy, conditional_entropy, divergence, entropy
from minuddm.probes.intervals import Interval, bootstrap_mean
from minuddm.probes.perplexity import held_out_nelbo
from minuddm.probes.recovery import Recovery, recovery
from minuddm.probes.transition import Curve, curves_cross, curves_meet, plateau_left

__all__ = [
    "ConditionalEntropy",
    "Curve",
    "Interval",
    "Recovery",
    "bootstrap_mean",
    "conditional_entropy",
    "curves_cross",
    "curves_meet",
    "divergence",
    "entropy",
    "held_out_nelbo",
    "plateau_left",
    "recovery",
]
