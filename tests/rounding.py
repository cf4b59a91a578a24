"""What floating-point numbers may be wrong by, derived once for the tests that compare them."""

import numpy as np

from hopfield import Power, Separation

EPS = 2.0**-53


def of_energy(F: Separation, z: np.ndarray) -> float:
    """What an energy of overlaps z (…, P), and a comparison of two, may be wrong by."""
    P, largest = z.shape[-1], np.abs(z).max()
    if isinstance(F, Power):  # P terms of n factors, each rounded
        return 8 * EPS * (P + F.n) * (np.abs(z) ** F.n / F.n).sum(axis=-1).max()
    return 1e-13 * (largest + (P + 1) * (1 + largest) / F.beta)  # a sum seen through log/β
