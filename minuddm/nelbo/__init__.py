"""The objective: the negative evidence lower bound of uniform-state diffusion.

nelbo, nelbo_grad      its rate at one time, per token [T8], and the gradient in the logits
exact_nelbo            the whole bound of a law that can be enumerated [T9]
discrete_elbo          the same with T steps in place of continuous time [T10]
enumerate_law          a source as the table of its probabilities
prior                  what is left of a token at t = 1
"""

from minuddm.nelbo.exact import discrete_elbo, enumerate_law, exact_nelbo, prior
from minuddm.nelbo.integrand import coefficients, nelbo, nelbo_grad

__all__ = [
    "coefficients",
    "discrete_elbo",
    "enumerate_law",
    "exact_nelbo",
    "nelbo",
    "nelbo_grad",
    "prior",
]
