"""Basins without an energy: couplings that maximise conditional likelihoods [T21], [T22].

spins      ψ(s_i | s) = e^{s_i f_i} / (2 cosh f_i)
tokens     the same with V values and a softmax, as a denoiser
gardner    how large a margin couplings can have at all
"""

from hopfield.pseudolikelihood.gardner import gardner_load, gardner_margin, repaired_share
from hopfield.pseudolikelihood.spins import PseudoLikelihood
from hopfield.pseudolikelihood.tokens import TokenPseudoLikelihood

__all__ = [
    "PseudoLikelihood",
    "TokenPseudoLikelihood",
    "gardner_load",
    "gardner_margin",
    "repaired_share",
]
