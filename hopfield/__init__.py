"""hopfield: associative memories, with an energy and without one, from scratch, to be read.

A memory stores patterns and recalls them: from a damaged pattern it walks to a place of rest.
Reading order:

    separation           how fast a memory forgets patterns that are not the nearest one
    dense, walks         the dense associative memory on any finite alphabet
    binary, token        the same for spins and for sequences of tokens
    continuous           the same for points: one step of attention, a density estimate
    couplings            Hopfield 1982, Storkey, pseudo-inverse: pairwise couplings
    pseudolikelihood/    couplings that a likelihood chose: basins and no energy
    recall               walking downhill, one site at a time or all at once
    landscape/           capacity, basins, volumes, and what else there is besides the patterns

Every memory has `.energy(x)` and `.recall(x) -> Recall(state, energies, steps, converged)`, batched
over queries. `TokenMemory`'s energy, conditionals and recall are the energy-side twins of what
`minuddm` calls marginal likelihood, denoiser and reverse chain. The two packages do not import each
other; that they are one theory is proved in `tests/test_keystone.py` [T16].
"""

from hopfield.binary import BinaryMemory
from hopfield.continuous import ContinuousMemory, DensityMemory
from hopfield.couplings import Couplings, hebbian, pseudo_inverse, storkey
from hopfield.pseudolikelihood import PseudoLikelihood, TokenPseudoLikelihood
from hopfield.recall import Recall
from hopfield.separation import Exponential, LogSumExp, LogSumReLU, Power, Separation
from hopfield.token import TokenMemory

__all__ = [
    "BinaryMemory",
    "ContinuousMemory",
    "Couplings",
    "DensityMemory",
    "Exponential",
    "LogSumExp",
    "LogSumReLU",
    "Power",
    "PseudoLikelihood",
    "Recall",
    "Separation",
    "TokenMemory",
    "TokenPseudoLikelihood",
    "hebbian",
    "pseudo_inverse",
    "storkey",
]
