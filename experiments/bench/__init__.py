"""bench: what `experiments.speed` measures: seconds, the roof above them, the same in PyTorch."""
