"""How figures look: colours safe for colour-blind readers, training solid, test dashed.

The colours are those of Okabe & Ito (2008).
"""

import io
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from minuddm.files import write_atomically

COLOUR = {
    "network": "#0072B2",
    "pseudolikelihood": "#E69F00",
    "dataset_ideal": "#D55E00",
    "token_memory": "#009E73",
    "source_ideal": "#CC79A7",
}
NAME = {
    "network": "network",
    "pseudolikelihood": "linear, pseudo-likelihood",
    "dataset_ideal": "ideal memoriser",
    "token_memory": "token memory (energy descent)",
    "source_ideal": "ideal generaliser",
}
DASH = {"train": "-", "test": (0, (4, 2))}

plt.rcParams.update(
    {
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "legend.frameon": False,
        "lines.linewidth": 1.8,
        "svg.hashsalt": "minuddm",  # the same figure gives the same file
        "savefig.dpi": 150,
        "figure.constrained_layout.use": True,
    }
)


def save(out: Path, figure: Figure) -> None:
    """Write figure.png and figure.svg."""
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        content = io.BytesIO()
        figure.savefig(content, format=kind, metadata=metadata)
        write_atomically(out / f"figure.{kind}", content.getvalue())
    plt.close(figure)
