"""hopfield: associative memories, with an energy and without one, from scratch, to be read.

A memory stores patterns and recalls them: from a damaged pattern it descends to a fixed point.
Reading order:

    reference            the law: energy, update, recall and heat bath as lines of NumPy
    token                that memory for sequences of tokens; enough to read the keystone
    separation           the functions Q of the overlaps; tables of them
    dense, walks, baths  the same law in O(P L) a sweep, on any finite alphabet
    recall               asynchronous, synchronous and Gibbs: what all memories share
    binary               the dense memory on spins
    continuous           the dense memory on points: one step of attention, a density estimate
    propagation          nodes that pull each other: attention as a step down an energy
    couplings            Hopfield 1982, Storkey, pseudo-inverse: pairwise couplings
    pseudolikelihood/    couplings that a likelihood chose: basins and no energy
    landscape/           capacity, basins, volumes, and fixed points that are no patterns
    frozen, jit          what a memory keeps is its own; how walks compile

Every memory has `.energy(x)` and `.recall(x) -> Recall(state, energies, steps, converged)`, batched
over queries. `TokenMemory`'s energy, conditionals and recall are the energy-side twins of what
`minuddm` calls marginal likelihood, denoiser and reverse chain. The two packages do not import each
other; that they are one theory is proved in `tests/test_keystone.py` [T16].
"""

from hopfield.binary import BinaryMemory
from hopfield.continuous import ContinuousMemory, DensityMemory
from hopfield.couplings import Couplings, hebbian, pseudo_inverse, storkey
from hopfield.propagation import Propagation
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
    "Propagation",
    "PseudoLikelihood",
    "Recall",
    "Separation",
    "TokenMemory",
    "TokenPseudoLikelihood",
    "hebbian",
    "pseudo_inverse",
    "storkey",
]
