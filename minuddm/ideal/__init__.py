"""Ideal denoisers: the exact answers that a trained network is held against.

    DatasetIdeal      of P sequences: perfect memory [T14]
    MarkovIdeal       of a Markov chain, by forward-backward [T15]
    HierarchyIdeal    of a random hierarchy, by belief propagation up and down its tree [T15]

All are Denoisers, all return leave-one-out conditionals in the log domain, for any α in [0, 1].
The first is the ideal memoriser; the others are ideal generalisers, which no model beats on
unseen data.
"""

from minuddm.ideal.dataset import DatasetIdeal
from minuddm.ideal.hierarchy import HierarchyIdeal
from minuddm.ideal.markov import MarkovIdeal

__all__ = ["DatasetIdeal", "HierarchyIdeal", "MarkovIdeal"]
