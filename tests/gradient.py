"""Central differences against a gradient: along random directions and in single entries."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

STEP = 2e-5
STENCIL = {2: -1 / 12, 1: 8 / 12, -1: -8 / 12, -2: 1 / 12}
"""f'(x) ≈ Σ_k c_k f(x + k STEP)/STEP: truncation STEP⁴ f⁽⁵⁾/30 ~ 5e-21 f⁽⁵⁾, rounding ~ 1e-11 f."""


def worst_error(
    loss: Callable[[], float],
    tensors: Mapping[str, NDArray[np.float64]],
    gradients: Mapping[str, NDArray[np.float64]],
    rng: Generator,
    directions: int = 3,
    entries: int = 4,
) -> dict[str, float]:
    """Return each tensor's largest error, relative to the slope or to its typical slope.

    `tensors` are perturbed in place and put back; `loss` reads them.
    """
    worst = {}
    for name, tensor in tensors.items():
        gradient = gradients[name].copy()
        scale = np.linalg.norm(gradient)
        if scale == 0:
            probes = [np.ones_like(tensor)]
        else:
            probes = [rng.normal(size=tensor.shape) for _ in range(directions)]
            for flat in rng.integers(tensor.size, size=entries):
                single = np.zeros(tensor.size)
                single[flat] = 1
                probes.append(single.reshape(tensor.shape))
            largest = np.zeros(tensor.size)
            largest[np.abs(gradient).argmax()] = 1
            probes.append(largest.reshape(tensor.shape))
        errors = []
        for probe in probes:
            probe = probe / np.linalg.norm(probe)
            keep = tensor.copy()
            wanted = 0.0
            for k, weight in STENCIL.items():
                tensor[...] = keep + k * STEP * probe
                wanted += weight * loss() / STEP
            tensor[...] = keep
            slope = float((gradient * probe).sum())
            typical = scale / np.sqrt(tensor.size)
            errors.append(abs(slope - wanted) / max(abs(slope), abs(wanted), typical, 1e-30))
        worst[name] = max(errors)
    return worst
