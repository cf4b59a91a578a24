"""The NELBO integrand inside a compiled pass: the type of its coefficients says whose it is.

A process hands the pass the numbers that its integrand needs, one set per sequence, as a named
tuple of a class of its own, and registers for that class the compiled function that turns logits
into their gradient. The pass calls `integrand_and_gradient`; Numba chooses the function by
the class when it compiles the pass. Called from Python, it is the same function.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.extending import overload
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.checks import Floats

Integrand = Callable[..., None]
_INTEGRANDS: dict[type, Integrand] = {}


def integrand_of(coefficients: type) -> Callable[[Integrand], Integrand]:
    """Register the compiled function that follows as the integrand of a class of coefficients."""

    def register(function: Integrand) -> Integrand:
        _INTEGRANDS[coefficients] = function
        return function

    return register


def of_sequences(coefficients: Any, part: slice) -> Any:
    """Return the coefficients of some of the sequences."""
    return type(coefficients)(*(array[part] for array in coefficients))


def checked(coefficients: Any, B: int) -> Any:
    """Return coefficients of B sequences as arrays that a compiled loop may index.

    Raises `TypeError` for those of a class that has no integrand, `ValueError` for other shapes.
    """
    if type(coefficients) not in _INTEGRANDS:
        raise TypeError(f"no integrand is registered for {type(coefficients).__name__}")
    arrays = [np.ascontiguousarray(x, dtype=np.float64) for x in coefficients]
    if any(x.shape != (B,) for x in arrays):
        shapes = ", ".join(str(x.shape) for x in arrays)
        raise ValueError(f"coefficients must have shape ({B},), got {shapes}")
    return type(coefficients)(*arrays)


def integrand_and_gradient(
    loss: Any, logits: Any, x0: Any, xt: Any, coefficients: Any, first: int, L: int
) -> None:
    """Tokens (N,) of the sequences from `first` on → loss (N,); logits (N, V) ← their gradient."""
    _INTEGRANDS[type(coefficients)](loss, logits, x0, xt, coefficients, first, L)


def losses_and_gradient(
    logits: ArrayLike,
    x0: ArrayLike,
    xt: ArrayLike,
    states: int,
    alpha: ArrayLike,
    coefficients: Callable[[NDArray[np.float64]], Any],
) -> tuple[Floats, Floats]:
    """Return the integrand (B, L), and its gradient in the logits (B, L, V), of checked arguments.

    x0 are clean tokens below V, xt tokens below `states`; alphas (B,) become `coefficients`.
    """
    given = np.asarray(logits)
    V = given.shape[-1]
    clean = checks.tokens(x0, V, "x0", ndim=2)
    z = checks.tokens(xt, states, "xt", ndim=2)
    if clean.shape != z.shape:
        raise ValueError(f"x0 and xt must have one shape, got {clean.shape} and {z.shape}")
    gradient = checks.logits(given, z).copy()
    loss = np.empty(z.shape, gradient.dtype)
    of_each = checked(coefficients(checks.alphas(alpha, len(z))), len(z))
    flat = loss.reshape(-1), gradient.reshape(-1, V), clean.ravel(), z.ravel()
    integrand_and_gradient(*flat, of_each, 0, z.shape[1])
    return loss, gradient


@overload(integrand_and_gradient, jit_options={"forceinline": True})
def _compiled(
    loss: Any, logits: Any, x0: Any, xt: Any, coefficients: Any, first: Any, L: Any
) -> Any:
    function = _INTEGRANDS[coefficients.instance_class]

    def call(
        loss: Any, logits: Any, x0: Any, xt: Any, coefficients: Any, first: Any, L: Any
    ) -> None:
        function(loss, logits, x0, xt, coefficients, first, L)

    return call
