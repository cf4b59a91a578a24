"""The objective: the negative evidence lower bound (NELBO) of uniform-state diffusion.

nelbo, nelbo_grad      its integrand at one time, per token [T8], and the gradient in the logits
exact_nelbo            the whole bound of a law that can be enumerated [T9]
masked_nelbo           that of the masked process in closed form [T38]
discrete_elbo          the same with finitely many steps in place of continuous time [T10]
enumerate_law          a source as the table of its probabilities
prior                  what is left of a token at t = 1

The integrand is the uniform process's own, and a process stands below the exact bounds, which take
any. So the latter are loaded when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from minuddm.nelbo.integrand import coefficients, nelbo, nelbo_grad

if TYPE_CHECKING:
    from minuddm.nelbo.exact import discrete_elbo, enumerate_law, exact_nelbo, masked_nelbo, prior

__all__ = [
    "coefficients",
    "discrete_elbo",
    "enumerate_law",
    "exact_nelbo",
    "masked_nelbo",
    "nelbo",
    "nelbo_grad",
    "prior",
]


def __getattr__(name: str) -> Any:
    """Return what `minuddm.nelbo.exact` has under one of the names above."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("minuddm.nelbo.exact"), name)
