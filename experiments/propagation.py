"""Energy descent of free nodes passes by what they have in common and ends in one place.

Attention is a step down an energy of nodes that pull each other [T49]. With the patterns clamped,
one free node takes the step of a dense associative memory, which for tokens is the posterior of
the ideal memoriser [T50]. With free nodes only (noisy copies of five words, none clean) the words
have to be found from the copies alone:

    itself counted     whole steps, each node in its own mean: copies of a word meet on it, or stay
                       where they are for long, and in the end all meet in one place
    itself left out    the same without the node itself: the first step recalls, since what is
                       damaged in a node is whole in most others; further ones meet in one place too

Both go down one energy, whose minimum is one place. That of two nodes against the length of a step
may rise beyond the bound of [T49]. Recovery [T26] is the share of changed tokens that come back,
the largest entry being the token.
"""

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import COLOURS, band, subplots
from experiments.kit.intervals import columns, headers, larger, spread
from experiments.kit.record import Record
from hopfield import ContinuousMemory, Propagation
from hopfield.propagation import gaussian
from minuddm import DatasetIdeal, corrupt, inverse_temperature
from minuddm.denoiser import posterior
from minuddm.probes import bootstrap_mean

WORDS = ("remembering", "understands", "likelihoods", "equilibrium", "hamiltonian")
STORED = np.array([[ord(letter) - ord("a") for letter in word] for word in WORDS])
V, COPIES = 26, 20
ALPHAS = (0.9, 0.7, 0.5)
SHOWN = 0.7  # the α of the figure, and
BETA, WARMER = 0.7, 1.25  # two β: copies collapse at once, and on their way pass by the words
BETAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, BETA, 0.8, 1.0, WARMER, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)
STEPS, LONG = 10, 200
APART = 0.01  # nodes that agree to this in every entry are in one place
LAMBDAS = (0.1, 1.0)
ROUNDING = 1e-10
KINDS = COUNTED, LEFT_OUT, CLEAN = "itself counted", "itself left out", "clean words clamped"
STEP = {"title": "a step: to the mean of copies,", "title_fontsize": 8.5, "alignment": "left"}
COLUMNS = ["part", "alpha", "beta", "kind", "step", "draws", *headers(["recovery"]), "places",
           "lam", "tau", "change"]  # fmt: skip

Rows = list[dict[str, Any]]
Floats = NDArray[np.float64]


def one_hot(x: NDArray[Any]) -> Floats:
    """Return tokens (B, L) as nodes (B, L V)."""
    return np.eye(V)[x].reshape(len(x), -1)


def means(kind: str, beta: float) -> Propagation | ContinuousMemory:
    """Return what moves noisy copies: what they see of each other, or the clean words alone."""
    if kind == CLEAN:  # each copy is one free node
        return ContinuousMemory(one_hot(STORED), beta)
    return Propagation(gaussian(beta), sees_itself=kind == COUNTED)


def copies(alpha: float, beta: float, kind: str, steps: int, draws: int, seed: int) -> Floats:
    """Return recovery and the number of places (2, steps, draws) of noisy copies after each step.

    Every β and kind meets the same noise.
    """
    found = np.empty((2, steps, draws))
    clean, scene = np.repeat(STORED, COPIES, axis=0), means(kind, beta)
    for draw in range(draws):
        noisy = corrupt(clean, alpha, V, generator(seed, f"copies {alpha} {draw}"))
        changed, z = noisy != clean, one_hot(noisy)
        for k in range(steps):
            z = scene.step(z)
            back = z.reshape(*clean.shape, V).argmax(axis=-1)
            places = {node.tobytes() for node in np.rint(z / APART).astype(np.int8)}
            found[:, k, draw] = (back == clean)[changed].mean(), len(places)
    return found


def links(seed: int) -> float:
    """Return how far one free node's step is from the posterior of the ideal memoriser."""
    ideal, far = DatasetIdeal(STORED, V), 0.0
    for alpha in ALPHAS:
        noisy = corrupt(STORED, alpha, V, generator(seed, f"links {alpha}"))
        beta = float(inverse_temperature(alpha, V))
        scene = Propagation(gaussian(beta), 1.0, one_hot(STORED), sees_itself=False)
        with np.errstate(divide="ignore"):
            exact = np.exp(posterior(ideal(noisy, alpha), noisy, alpha)).reshape(len(noisy), -1)
        stepped = np.concatenate([scene.step(z[None]) for z in one_hot(noisy)])
        far = max(far, float(np.abs(stepped - exact).max()))
    return far


def lengths(tau: Floats) -> tuple[Rows, dict[str, list[float]]]:
    """Return the change of the energy of two nodes against tau; of each λ bound and root."""
    rows, ends = [], {}
    z = np.array([[0.0], [1.0]])
    for lam in LAMBDAS:
        scene = Propagation(gaussian(), lam)

        def change(t: float, scene: Propagation = scene) -> float:
            return scene.energy(scene.step(z, t), z) - scene.energy(z)

        rows += [{"part": "two nodes", "beta": 1.0, "lam": lam, "tau": t, "change": change(t)}
                 for t in tau.tolist()]  # fmt: skip
        bound = scene.safe_step(z)
        ends[f"{lam:g}"] = [bound, float(brentq(change, bound, 3.0)), change(bound), change(1.0)]
    return rows, ends


def plane(seed: int) -> Floats:
    """Return the path (steps + 1, 3, n, 2) of three groups of free nodes in the plane."""
    centres = 2.2 * np.array([[np.cos(a), np.sin(a)] for a in np.pi / 6 * np.array([3, 7, 11])])
    noise = generator(seed, "plane").normal(size=(3, 12, 2))
    path = [(centres[:, None] + 0.55 * noise).reshape(-1, 2)]
    for _ in range(LONG):
        path.append(Propagation(gaussian(0.8)).step(path[-1], 0.5))
    return np.array(path).reshape(len(path), 3, -1, 2)


def draw_plane(axes: Any, path: Floats) -> None:
    """Draw where the nodes start (circles), their ways, and where all of them end (a star)."""
    for group, colour in zip(path.transpose(1, 2, 0, 3), COLOURS, strict=False):
        for way in group:
            axes.plot(*way.T, color=colour, lw=0.8, alpha=0.7)
            axes.plot(*way[0], "o", ms=4, color=colour)
    axes.plot(*path[-1, 0, 0], "*", ms=15, color="k", zorder=3)
    axes.set(title="Free nodes pull each other: three groups\nmeet, then all in one place (star)",
             aspect="equal", xticks=[], yticks=[])  # fmt: skip
    axes.grid(visible=False)


def draw_lengths(axes: Any, rows: Rows, ends: dict[str, list[float]]) -> None:
    """Draw the change of the energy against the length of the step, with its bound and its root."""
    for (name, (bound, back, at_bound, _)), colour in zip(ends.items(), COLOURS, strict=False):
        line = [row for row in rows if f"{row['lam']:g}" == name]
        axes.plot([row["tau"] for row in line], [row["change"] for row in line], color=colour,
                  label=f"pull λ = {name}")  # fmt: skip
        axes.plot(bound, at_bound, "o", color=colour)
        axes.plot(back, 0, "x", ms=8, mew=2, color=colour)
    axes.axhline(0, color="k", lw=0.8)
    axes.plot([], [], "o", color="0.4", label="safe up to here")
    axes.plot([], [], "x", ms=8, mew=2, color="0.4", label="beyond it has risen")
    axes.set(title="Two nodes: too long a step goes uphill", ylabel="energy after a step - before",
             ylim=(-1.3, 1.1))  # fmt: skip
    axes.set_xlabel("length of the step, τ (1: all the way to the mean)")
    axes.legend(fontsize=8.5, loc="upper left")


def draw_steps(axes: Any, rows: Rows) -> None:
    """Draw recovery against the number of steps."""
    for kind, colour in zip((COUNTED, LEFT_OUT), COLOURS, strict=False):
        for beta, dash in ((BETA, "-"), (WARMER, (0, (4, 2)))):
            line = [r for r in rows if (r["beta"], r["kind"]) == (beta, kind)]
            band(axes, line, "step", "recovery", color=colour, ls=dash, label=f"{kind}, β = {beta}")
    ticks = [1, 2, 5, 10, 20, 50, 100, 200]
    axes.set(title="Five words from 100 copies, 30 % of their letters\n"
                   "redrawn: recalled on the way, then lost in one place",
             xlabel="step", ylabel="share of changed letters that are back", ylim=(0, 1.02),
             xscale="log", xticks=ticks, xticklabels=map(str, ticks))  # fmt: skip
    axes.minorticks_off()
    axes.legend(fontsize=8.5, loc="lower right", **STEP)


def draw_betas(axes: Any, rows: Rows) -> None:
    """Draw recovery against β, after one step and after ten."""
    for k, kind, steps, colour in (
        (STEPS, COUNTED, "ten steps", COLOURS[0]),
        (1, COUNTED, "one step", COLOURS[5]),
        (1, LEFT_OUT, "one step", COLOURS[1]),
        (1, CLEAN, "one step", COLOURS[2]),
    ):
        line = [r for r in rows if (r["kind"], r["step"]) == (kind, k)]
        band(axes, line, "beta", "recovery", color=colour, label=f"{steps}, {kind}")
    axes.set(title="The same copies: one step with the node itself\n"
                   "left out recalls over a wide range of β",
             xlabel="β (small: all nodes pull, large: the nearest)",
             ylabel="share of changed letters that are back", ylim=(0, 1.02))  # fmt: skip
    axes.legend(fontsize=8.5, loc="center right", bbox_to_anchor=(1, 0.6), **STEP)


def grid(
    run: Run, part: str, alphas: Sequence[float], betas: Sequence[float], steps: int, n: int
) -> Rows:
    """Return the rows of copies at each α, β and kind, one for each step."""
    tasks = [(a, b, kind, steps, n, run.args.seed)
             for a in alphas for b in betas for kind in KINDS]  # fmt: skip
    rows = []
    for (a, b, kind, *_), (recovered, places) in zip(tasks, run.spread(copies, tasks), strict=True):
        rng = generator(run.args.seed, f"bootstrap {part} {a} {b} {kind}")
        rows += [
            {"part": part, "alpha": a, "beta": b, "kind": kind, "step": k + 1, "draws": n,
             **columns("recovery", bootstrap_mean(recovered[k], rng)),
             "places": float(places[k].mean())}
            for k in range(steps)
        ]  # fmt: skip
    return rows


def measure(args: Namespace, run: Run) -> Findings:
    """Compare one free node with the memoriser, let copies fall, and stretch a step."""
    n = 4 if args.quick else 40
    table = grid(run, "copies", ALPHAS, BETAS, STEPS, n)
    long = grid(run, "long", [SHOWN], [BETA, WARMER], LONG, n)
    stretched, ends = lengths(np.linspace(0, 2.2, 111))
    far = links(args.seed)
    at = {(r["alpha"], r["beta"], r["kind"], r["step"]): r for r in table}
    last = [r for r in long if r["step"] == LONG and r["kind"] != CLEAN]

    def said(*key: Any) -> list[float]:
        return [at[key][f"recovery{end}"] for end in ("", "_lo", "_hi")]

    best = max((said(SHOWN, beta, COUNTED, STEPS), beta) for beta in BETAS)
    headline = {
        "largest_difference": far,
        "ends": ends,
        "counted": said(SHOWN, BETA, COUNTED, STEPS),
        "one_step": {f"{alpha:g}": [said(alpha, BETA, kind, 1) for kind in (LEFT_OUT, COUNTED)]
                     for alpha in ALPHAS},
        "on_the_way": best,
        "last_places": max(r["places"] for r in last),
        "last": max(r["recovery"] for r in last),
        "unmoved": said(SHOWN, BETAS[-1], COUNTED, STEPS),
    }  # fmt: skip
    figure, panels = subplots(2, 2, (11, 8.2))
    draw_plane(panels[0, 0], plane(args.seed))
    draw_lengths(panels[0, 1], stretched, ends)
    draw_steps(panels[1, 0], long)
    draw_betas(panels[1, 1], [r for r in table if r["alpha"] == SHOWN])
    one, half = (headline["one_step"][f"{alpha:g}"][0] for alpha in (SHOWN, 0.5))
    text = (
        f"One free node among clamped words takes the step that is the posterior of the ideal "
        f"memoriser, to {far:.0e}. Of {COPIES} noisy copies of each of {len(WORDS)} words, none "
        f"clean, with α = {SHOWN:g} and β = {BETA:g}, ten steps down the energy leave "
        f"{at[SHOWN, BETA, COUNTED, STEPS]['places']:g} place and {spread(headline['counted'], 3)} "
        f"of the changed letters; one step with the node itself left out recovers "
        f"{spread(one, 3)}, and at α = 0.5 {spread(half, 3)}. At β = {BETAS[-1]:g} ten steps move "
        f"nothing ({headline['unmoved'][0]:.3f}); in between they pass by the words (best: "
        f"{best[0][0]:.3f} at β = {best[1]:g}), but {LONG} steps end at no more than "
        f"{headline['last']:.3f}, with the node itself or without. Two nodes at λ = 0.1 go uphill "
        f"beyond τ = {ends['0.1'][1]:.3f}; the bound is {ends['0.1'][0]:.3f}."
    )
    return Findings(
        [*table, *long, *stretched],
        headline,
        text,
        figure,
        {"words": WORDS, "copies": COPIES, "draws": n, "seed": args.seed},
        {"intervals": "95 %, percentile bootstrap over draws of the noise"},
    )


def verdicts(record: Record) -> list[Verdict]:
    """Judge the links, the collapse, what leaving oneself out recalls, and the bound."""
    h, far = record.headline, record.number("largest_difference")
    (way, beta), steps, ends = h["on_the_way"], h["one_step"], h["ends"]
    return [
        Verdict(
            "one free node among clamped words is the ideal memoriser's posterior",
            f"largest difference {far:.0e}",
            (far < ROUNDING,),
        ),
        Verdict(
            "free nodes end in one place, whether or not they see themselves",
            f"{h['last_places']:g} place after {LONG} steps, recovery {h['last']:.2f}",
            (h["last_places"] == 1, h["last"] < 0.5),
        ),
        Verdict(
            "ten steps that count the node itself recall at no β",
            f"{spread(way)} at β = {beta:g}",
            (way[0] < 0.5,),
        ),
        Verdict(
            "one step with the node itself left out recalls more than one that counts it",
            ", ".join(
                f"α = {a}: {spread(out)} against {spread(counted)}"
                for a, (out, counted) in steps.items()
            ),
            tuple(larger(out, counted) for out, counted in steps.values()),
        ),
        Verdict(
            "a step within the bound goes downhill, a longer one may not",
            f"λ = 0.1: safe up to τ = {ends['0.1'][0]:.3f}, at τ = 1 up by {ends['0.1'][3]:.3f}",
            (all(end[2] < 0 for end in ends.values()), ends["0.1"][3] > 0),
        ),
    ]


EXPERIMENT = Experiment("propagation", __doc__, COLUMNS, measure, verdicts)

if __name__ == "__main__":
    EXPERIMENT.main()
