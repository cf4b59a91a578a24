"""The layers of the network: one file each, one forward/backward pair a layer.

    linear       y = x Wᵀ + b
    embedding    x = E[tokens]
    layernorm    y = LN(x) γ (1 + scale) + shift        normalisation and adaLN in one pass
    attention    rotary positions, softmax(q kᵀ/√d) v
    mlp          GELU of (u + b)
    modulation   x + gate ⊙ h, and what the noise level is turned into
    dropout      a mask, in training
    softmax      log-softmax over the vocabulary
    exponential  exp and its kin, as SIMD
    product      matrix products: through BLAS, and small ones in registers
    vector       a register of the processor as a value

Every function takes its arguments in the order outputs, saved, inputs; a leading `d` marks the
gradient of the loss in that array. Rows are tokens: N = B·L. A backward *writes* the gradients of
private inputs, each of which has one reader in the network, and *adds* to those that many feed:
the parameters', to which every tile of a batch adds, and the residual stream `dx` of a norm.
What a backward is the last to read, its gradient may replace; its docstring then says so.
Arrays are float32 for work and float64 for checking; which of the two is decided by the weights.

All of it is compiled and calls no Python. The arrays of a pass are allocated once, by the network.
A loop that changes an array in place takes it as one argument: two arguments with the same memory
would keep it from vectorising; sums over tokens are loops of their own likewise.
"""
