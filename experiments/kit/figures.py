"""How figures look: colours safe for colour-blind readers, training solid, test dashed.

The colours are those of Okabe & Ito (2008). Figures are made without pyplot, whose state, that of a
notebook or a screen, is its user's.
"""

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

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
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASH = {"train": "-", "test": (0, (4, 2))}

_STYLE = {
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


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw and write in the style of this project, whatever its user prefers."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def subplots(rows: int, columns: int, size: tuple[float, float], **more: Any) -> tuple[Figure, Any]:
    """Return a figure of a size in inches, and its axes."""
    figure = Figure(size)
    return figure, figure.subplots(rows, columns, **more)


def band(axes: Any, rows: Sequence[Mapping[str, Any]], x: str, name: str, **style: Any) -> None:
    """Draw column `name` of the rows against column `x`, with its interval `_lo` to `_hi`."""
    at = [row[x] for row in rows]
    axes.plot(at, [row[name] for row in rows], **style)
    low, high = ([row[f"{name}_{end}"] for row in rows] for end in ("lo", "hi"))
    axes.fill_between(at, low, high, color=style["color"], alpha=0.15, lw=0)


def both(
    axes: Any, rows: Sequence[Mapping[str, Any]], x: str, name: str, label: str, **style: Any
) -> None:
    """Draw column `name` of the rows of both splits, training solid, test dashed."""
    for split, dash in DASH.items():
        line = [row for row in rows if row["split"] == split]
        band(axes, line, x, name, ls=dash, label=f"{label}, {split}", **style)


def drawn(figure: Figure) -> dict[str, bytes]:
    """Return figure.png, with a palette of 256 colours to keep it small, and figure.svg.

    The palette is an octree's: one that cuts at medians has no room for the colour of a thin line.
    """
    pixels, small, vector = io.BytesIO(), io.BytesIO(), io.BytesIO()
    figure.savefig(pixels, format="png", metadata={"Software": None})
    figure.savefig(vector, format="svg", metadata={"Date": None})
    palette = Image.open(pixels).convert("RGB").quantize(256, method=Image.Quantize.FASTOCTREE)
    palette.save(small, format="png", optimize=True)
    return {"figure.png": small.getvalue(), "figure.svg": vector.getvalue()}
