"""What a memory's landscape looks like: capacity, basins, and the kinds of fixed points.

    states      overlaps and damage
    capacity    retrieved overlap against load
    basins      radius and volume
    census      where random starts end: at stored patterns, at mixtures of k of them, elsewhere

All of it asks a memory for one thing, `recall`, so memories with and without an energy, of spins
and of tokens, are measured by the same code. Volumes compare basins of different memories, as
2505.21777 does for images; on a finite set of states the volume is a count and needs no scale.
"""

from hopfield.landscape.basins import REPAIRED, basin_radius, log_volume, repaired
from hopfield.landscape.capacity import CapacityCurve, capacity
from hopfield.landscape.census import SPURIOUS, STORED, UNCONVERGED, Census, census
from hopfield.landscape.states import Damage, Memory, change, overlap

__all__ = [
    "REPAIRED",
    "SPURIOUS",
    "STORED",
    "UNCONVERGED",
    "CapacityCurve",
    "Census",
    "Damage",
    "Memory",
    "basin_radius",
    "capacity",
    "census",
    "change",
    "log_volume",
    "overlap",
    "repaired",
]
