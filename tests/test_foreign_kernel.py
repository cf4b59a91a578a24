import numpy as np

from minuddm.laws import parametrize_with_laws


class Masking:  # a token stays with chance alpha, or shows the mask: value 4 beside 0 … 3
    V, states = 4, 5

    def kernel(self, alpha):
        return (alpha * np.eye(5) + (1 - alpha) * np.eye(5)[4]).astype("f4")

    def corrupt(self, x0, alpha, rng):
        return np.where(rng.random(x0.shape) < np.reshape(alpha, (-1, 1)), x0, 4)

    def bridge(self, xt, p, alpha_s, alpha_t):  # tokens (B, L), p (B, L, 4) -> (B, L, 5)
        shown = np.reshape((alpha_s - alpha_t) / np.maximum(1 - alpha_t, 1e-9), (-1, 1, 1)) * p
        masked = np.append(shown, 1 - shown.sum(axis=-1, keepdims=True), axis=-1)
        return np.where(xt[..., None] == 4, masked, np.eye(5)[xt]).astype("f4")


@parametrize_with_laws([Masking()])
def test_kernel(kernel, law):
    law(kernel)
