"""The NELBO integrand inside a compiled pass: the type of its coefficients says whose it is.

A process hands the pass the numbers that its integrand needs, one set per sequence, as a named
tuple of a class of its own, and registers for that class the compiled function that turns logits
into their gradient. The pass calls `integrand_and_gradient`; Numba chooses the function by
the class when it compiles the pass. Called from Python, it is the same function.
"""

from collections.abc import Callable
from typing import Any

from numba.extending import overload

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


def integrand_and_gradient(
    loss: Any, logits: Any, x0: Any, xt: Any, coefficients: Any, first: int, L: int
) -> None:
    """Tokens (N,) of the sequences from `first` on → loss (N,); logits (N, V) ← their gradient."""
    _INTEGRANDS[type(coefficients)](loss, logits, x0, xt, coefficients, first, L)


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
