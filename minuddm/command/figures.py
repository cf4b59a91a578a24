"""The two figures of the probe's page, as SVG that stands in HTML and asks for nothing."""

import io
import re
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minuddm.probes import STARTS, Probed, Returned
from minuddm.probes.verdicts import SURE

_COLOUR = {"own": "#0072b2", "text": "#d55e00", "against": "#009e73"}
_NAME = {"own": "its own samples", "text": "the text", "against": "the other text"}
_STYLE: dict[Any, Any] = {"svg.hashsalt": "minuddm", "font.size": 10, "axes.spines.top": False,
          "axes.spines.right": False, "legend.frameon": False}  # fmt: skip
_LEAST = 1e-3  # nats: the axis is linear below


def returning(read: Probed) -> str:
    """Draw what returns from each t: the entropy of each sequence, and their mean."""
    with mpl.rc_context(_STYLE):
        figure = Figure((7.2, 4), layout="constrained")
        axes = figure.subplots()
        kinds = [kind for kind in _NAME if getattr(read, kind)]
        for k, kind in enumerate(kinds):
            _dots(axes, getattr(read, kind), kind, (k - (len(kinds) - 1) / 2) * 0.22)
        axes.axhline(SURE, color="0.4", lw=1, ls=":")
        axes.text(0.995, 0.9 * SURE, "certain", color="0.35", ha="right", va="top",
                  transform=axes.get_yaxis_transform())  # fmt: skip
        axes.set_yscale("symlog", linthresh=_LEAST)
        axes.set_ylim(0, 1.3 * np.log(read.V))
        axes.set_xticks(range(len(STARTS)), [f"{t:g}" for t in STARTS])
        axes.set(xlabel="starting time t", ylabel="entropy of what returns, nats a token")
        axes.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))
        return inline(figure, "returning")


def on_the_way(read: Probed) -> str:
    """Draw the entropy on the way from noise, and the bound by noise level where a text is."""
    with mpl.rc_context(_STYLE):
        figure = Figure((7.2, 3.6), layout="constrained")
        if read.levels:
            left, right = figure.subplots(1, 2)
            _bound(right, read)
        else:
            left = figure.subplots()
        known = ~np.isnan(read.way).all(axis=1)
        times, way = read.times[known], read.way[known]
        low, middle, high = np.nanquantile(way, [0.1, 0.5, 0.9], axis=1)
        left.fill_between(times, low, high, color=_COLOUR["own"], alpha=0.2, lw=0)
        left.plot(times, middle, color=_COLOUR["own"])
        left.invert_xaxis()
        left.set_ylim(bottom=0)
        left.set(xlabel="time t, from noise to sequence", ylabel="entropy, nats a token")
        left.set_title("On the way from noise (median, 10 % to 90 %)", fontsize=10)
        return inline(figure, "way")


def inline(figure: Figure, name: str) -> str:
    """Return a figure as an SVG element with ids of its own, that refers to nothing outside."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)  # HTML knows what an svg is
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', text)
    return re.sub(r"url\(#", f"url(#{name}-", text)


def _dots(axes: Axes, of: dict[float, Returned], kind: str, shift: float) -> None:
    places = np.array([STARTS.index(t) for t in of]) + shift
    spread = np.random.default_rng(0)
    for place, back in zip(places, of.values(), strict=True):
        beside = spread.uniform(-0.07, 0.07, len(back.entropy))
        axes.plot(place + beside, back.entropy, ".", ms=3, alpha=0.4, color=_COLOUR[kind])
    means = [back.entropy.mean() for back in of.values()]
    axes.plot(places, means, "o-", color=_COLOUR[kind], label=_NAME[kind])


def _bound(axes: Axes, read: Probed) -> None:
    for kind, parts in read.levels.items():
        up_to = parts.cumsum(axis=1)
        mean, error = up_to.mean(axis=0), up_to.std(axis=0) / np.sqrt(len(up_to))
        if np.isfinite(mean).all():
            axes.errorbar(STARTS, mean, 1.96 * error, fmt="o-", ms=4, color=_COLOUR[kind],
                          label=_NAME[kind])  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set(xlabel="noise up to t", ylabel="bound, nats a token")
    axes.set_title("The bound by noise level (mean, 95 %)", fontsize=10)
    if axes.has_data():
        axes.legend()
