"""What `minuddm.network` computes, faster. Nobody needs to open it: its README.md is its contract.

Conventions of the layers, one file each, one forward/backward pair a layer:

Arguments come in the order outputs, saved, inputs; a leading `d` marks the gradient of the loss in
that array. Rows are tokens: N = B·L. A backward *writes* the gradients of inputs that have one
reader in the network, and *adds* to those that have many: the parameters', to which every tile of
a batch adds, and the residual stream `dx` of a norm. Where a gradient overwrites an array, the
docstring says so and the caller gives the gradient a name of its own. Arrays are float32 for work
and float64 for checking; the dtype of the weights decides.

All of it is compiled and calls no Python; working arrays are allocated once, by the engine. A loop
that changes an array in place takes it as one argument: two arguments with the same memory would
keep it from vectorising, and so would a sum in the same loop.
"""
