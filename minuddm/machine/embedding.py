"""Embedding: x_n = E[token_n], and its transpose, a scatter of gradients into the table's rows."""

from minuddm.checks import Floats, Tokens
from minuddm.machine.jit import jit_reassoc


@jit_reassoc
def embedding_forward(x: Floats, tokens: Tokens, E: Floats) -> None:
    """Tokens (N,) and table E (states, D) → x (N, D)."""
    for n in range(tokens.shape[0]):
        row = tokens[n]
        for j in range(E.shape[1]):
            x[n, j] = E[row, j]


@jit_reassoc
def embedding_backward(dE: Floats, dx: Floats, tokens: Tokens) -> None:
    """dE_v += Σ_{n: token_n = v} dx_n."""
    for n in range(tokens.shape[0]):
        row = tokens[n]
        for j in range(dE.shape[1]):
            dE[row, j] += dx[n, j]
