"""Energy descent of free nodes passes by what they have in common and ends in one place.

Attention is a step down an energy of nodes that pull each other [T49]. With the patterns clamped,
one free node takes the step of a dense associative memory, which for tokens is the posterior of
the ideal memoriser [T50]. With free nodes only (noisy copies of five words, none clean) the words
have to be found from the copies alone:

    itself counted     whole steps, each node in its own mean: copies of a word meet on it, or stay
                       where they are for long, and in the end all meet in one place
    itself left out    the same without the node itself: the first step recalls, since what is
                       damaged in a node is whole in most others; further ones meet in one place too

Both go down the same energy, of which one place is the minimum. And the energy of two nodes against the length of a step: it may rise beyond the bound of [T49].
Recovery [T26] is the share of changed tokens that come back, the largest entry being the token.
"""

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import COLOUR, COLOURS, band, subplots
from experiments.kit.intervals import columns, headers, spread
from experiments.kit.record import Record
from hopfield import Propagation
from hopfield.propagation import gaussian
from minuddm import DatasetIdeal, corrupt, inverse_temperature
from minuddm.denoiser import posterior
from minuddm.probes import bootstrap_mean

WORDS = ("remembering", "understands", "likelihoods", "equilibrium", "hamiltonian")
V, COPIES = 26, 20
ALPHAS = (0.9, 0.7, 0.5)
SHOWN = 0.7  # the α of the figure, and
BETA, WARMER = 0.7, 1.25  # two β: copies collapse at once, and on their way pass by the words
BETAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, BETA, 0.8, 1.0, WARMER, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)
STEPS, LONG = 10, 200
APART = 0.01  # nodes that agree to this in every entry are in one place
LAMBDAS = (0.1, 1.0)
ROUNDING = 1e-10
COLUMNS = ["part", "alpha", "beta", "sees_itself", "step", "draws", *headers(["recovery"]),
           "places", "energy", "lam", "tau", "change"]  # fmt: skip

Rows = list[dict[str, Any]]
Floats = NDArray[np.float64]


def words() -> NDArray[np.int64]:
    """Return the words as tokens (5, 11)."""
    return np.array([[ord(letter) - ord("a") for letter in word] for word in WORDS])


def one_hot(x: NDArray[Any]) -> Floats:
    """Return tokens (B, L) as nodes (B, L V)."""
    return np.eye(V)[x].reshape(len(x), -1)


def copies(alpha: float, beta: float, itself: bool, steps: int, draws: int, seed: int) -> Floats:
    """Return recovery, places and energy (3, steps, draws) of free noisy copies after each step.

    Step 0 is the first; every β and both kinds of nodes meet the same noise.
    """
    found = np.empty((3, steps, draws))
    clean, scene = (
        np.repeat(words(), COPIES, axis=0),
        Propagation(gaussian(beta), 1.0, None, itself),
    )
    for draw in range(draws):
        noisy = corrupt(clean, alpha, V, generator(seed, f"copies {alpha} {draw}"))
        changed, z = noisy != clean, one_hot(noisy)
        for k in range(steps):
            z = scene.step(z)
            back = z.reshape(*clean.shape, V).argmax(axis=-1)
            places = len({node.tobytes() for node in np.rint(z / APART).astype(np.int8)})
            found[:, k, draw] = (back == clean)[changed].mean(), places, scene.energy(z)
    return found


def clamped(alpha: float, beta: float, draws: int, seed: int) -> Floats:
    """Return the recovery (draws,) of copies that see the clean words only, one step each."""
    clean = np.repeat(words(), COPIES, axis=0)
    scene, found = Propagation(gaussian(beta), 1.0, one_hot(words()), sees_itself=False), []
    for draw in range(draws):
        noisy = corrupt(clean, alpha, V, generator(seed, f"copies {alpha} {draw}"))
        back = [scene.step(z[None]).reshape(-1, V).argmax(axis=-1) for z in one_hot(noisy)]
        found.append((np.array(back) == clean)[noisy != clean].mean())
    return np.array(found)


def links(seed: int) -> float:
    """Return how far one free node's step is from the posterior of the ideal memoriser."""
    ideal, far = DatasetIdeal(words(), V), 0.0
    for alpha in ALPHAS:
        noisy = corrupt(words(), alpha, V, generator(seed, f"links {alpha}"))
        beta = float(inverse_temperature(alpha, V))
        scene = Propagation(gaussian(beta), 1.0, one_hot(words()), sees_itself=False)
        with np.errstate(divide="ignore"):
            exact = np.exp(posterior(ideal(noisy, alpha), noisy, alpha)).reshape(len(noisy), -1)
        stepped = np.concatenate([scene.step(z[None]) for z in one_hot(noisy)])
        far = max(far, float(np.abs(stepped - exact).max()))
    return far


def lengths(tau: Floats) -> tuple[Rows, dict[str, list[float]]]:
    """Return the change of the energy of two nodes against tau, and per λ the bound and the root.

    The root is where the energy is back at what it was.
    """
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
    axes.plot([], [], "o", color="0.4", label="safe up to here, for all nodes")
    axes.plot([], [], "x", ms=8, mew=2, color="0.4", label="beyond it has risen")
    axes.set(title="Two nodes: too long a step goes uphill", ylabel="energy after a step - before",
             ylim=(-1.3, 1.1))  # fmt: skip
    axes.set_xlabel("length of the step, τ (1: all the way to the mean)")
    axes.legend(fontsize=8.5, loc="upper left")


def draw_steps(axes: Any, rows: Rows) -> None:
    """Draw recovery against the number of steps."""
    for itself, colour in ((True, COLOURS[0]), (False, COLOURS[1])):
        for beta, dash in ((BETA, "-"), (WARMER, (0, (4, 2)))):
            line = [r for r in rows if (r["beta"], r["sees_itself"]) == (beta, itself)]
            who = "itself counted" if itself else "itself left out"
            band(axes, line, "step", "recovery", color=colour, ls=dash, label=f"{who}, β = {beta}")
    ticks = [1, 2, 5, 10, 20, 50, 100, 200]
    axes.set(title="Five words from 100 copies, 30 % of their letters\n"
                   "redrawn: recalled on the way, then lost in one place",
             xlabel="step", ylabel="share of changed letters that are back", ylim=(0, 1.02),
             xscale="log", xticks=ticks, xticklabels=map(str, ticks))  # fmt: skip
    axes.minorticks_off()
    axes.legend(fontsize=8.5, loc="lower right")


def draw_betas(axes: Any, rows: Rows, memory: Rows) -> None:
    """Draw recovery against β, after one step and after ten."""
    lines = (
        ("ten steps, itself counted", [r for r in rows if r["sees_itself"] and r["step"] == STEPS],
         COLOURS[0]),
        ("one step, itself counted", [r for r in rows if r["sees_itself"] and r["step"] == 1],
         COLOURS[5]),
        ("one step, itself left out", [r for r in rows if not r["sees_itself"] and r["step"] == 1],
         COLOURS[1]),
        ("one step towards the clean words", memory, COLOUR["token_memory"]),
    )  # fmt: skip
    for label, line, colour in lines:
        band(axes, line, "beta", "recovery", color=colour, label=label)
    axes.set(title="The same copies: one step that leaves the node\nitself out recalls over a wide range of β",
             xlabel="β (small: all nodes pull, large: the nearest)",
             ylabel="share of changed letters that are back", ylim=(0, 1.02))  # fmt: skip
    axes.legend(fontsize=8.5, loc="center right", bbox_to_anchor=(1, 0.6))


def row(part: str, alpha: float, beta: float, recovered: Floats, **more: Any) -> dict[str, Any]:
    """Return a row of the table: recovery (draws,) with its interval over draws of the noise."""
    rng = generator(0, f"bootstrap {part} {alpha} {beta} {more}")
    return {"part": part, "alpha": alpha, "beta": beta, "draws": len(recovered),
            **columns("recovery", bootstrap_mean(recovered, rng)), **more}  # fmt: skip


def grid(run: Run, alphas: Sequence[float], betas: Sequence[float], steps: int, n: int) -> Rows:
    """Return the rows of free copies at each α, β and kind of node, a row for each step."""
    tasks = [(a, b, itself, steps, n, run.args.seed)
             for a in alphas for b in betas for itself in (True, False)]  # fmt: skip
    return [
        row("copies", a, b, recovered[k], sees_itself=itself, step=k + 1,
            places=float(places[k].mean()), energy=float(energy[k].mean()))
        for (a, b, itself, *_), (recovered, places, energy) in zip(
            tasks, run.spread(copies, tasks), strict=True)
        for k in range(steps)
    ]  # fmt: skip


def measure(args: Namespace, run: Run) -> Findings:
    """Compare one free node with the memoriser, let copies fall, and stretch a step."""
    n = 4 if args.quick else 40
    table = grid(run, ALPHAS, BETAS, STEPS, n)
    long = [dict(r, part="long") for r in grid(run, [SHOWN], [BETA, WARMER], LONG, n)]
    tasks = [(SHOWN, beta, n, args.seed) for beta in BETAS]
    memory = [
        row("clamped", a, b, found, sees_itself=False, step=1)
        for (a, b, *_), found in zip(tasks, run.spread(clamped, tasks), strict=True)
    ]
    stretched, ends = lengths(np.linspace(0, 2.2, 111))
    far = links(args.seed)

    def at(
        alpha: float, beta: float, itself: bool, step: int, rows: Rows = table
    ) -> dict[str, Any]:
        key = (alpha, beta, itself, step)
        [found] = [r for r in rows
                   if (r["alpha"], r["beta"], r["sees_itself"], r["step"]) == key]  # fmt: skip
        return found

    def said(found: dict[str, Any]) -> list[float]:
        return [found[f"recovery{end}"] for end in ("", "_lo", "_hi")]

    best = max((at(SHOWN, beta, True, STEPS) for beta in BETAS), key=lambda r: float(r["recovery"]))
    headline = {
        "largest_difference": far,
        "ends": ends,
        "counted": said(at(SHOWN, BETA, True, STEPS)),
        "left_out": {f"{alpha:g}": said(at(alpha, BETA, False, 1)) for alpha in ALPHAS},
        "seen": {f"{alpha:g}": said(at(alpha, BETA, True, 1)) for alpha in ALPHAS},
        "on_the_way": [best["beta"], *said(best)],
        "places": at(SHOWN, BETA, True, STEPS)["places"],
        "last_places": [r["places"] for r in long if r["step"] == LONG],
        "last": max(r["recovery"] for r in long if r["step"] == LONG),
        "unmoved": at(SHOWN, BETAS[-1], True, STEPS)["recovery"],
    }
    figure, panels = subplots(2, 2, (11, 8.2))
    draw_plane(panels[0, 0], plane(args.seed))
    draw_lengths(panels[0, 1], stretched, ends)
    draw_steps(panels[1, 0], long)
    draw_betas(panels[1, 1], [r for r in table if r["alpha"] == SHOWN], memory)
    one, half = headline["left_out"][f"{SHOWN:g}"], headline["left_out"]["0.5"]
    text = (
        f"One free node among clamped words takes the step that is the posterior of the ideal "
        f"memoriser, to {far:.0e}. Of {COPIES} noisy copies of each of {len(WORDS)} words, none "
        f"clean, with α = {SHOWN:g} and β = {BETA:g}, ten whole steps down the "
        f"energy leave {headline['places']:.0f} place and {spread(headline['counted'], 3)} of the changed "
        f"letters; one step that leaves the node itself out recovers {spread(one, 3)}, and at α = "
        f"0.5 {spread(half, 3)}. At β = {BETAS[-1]:g} ten steps move nothing "
        f"({headline['unmoved']:.3f}); in between they pass by the words (best: "
        f"{best['recovery']:.3f} at β = {best['beta']:g}), but {LONG} steps end at no more than "
        f"{headline['last']:.3f}, with the node itself or without. Two nodes at λ = 0.1 go uphill "
        f"beyond τ = {ends['0.1'][1]:.3f}; up to {ends['0.1'][0]:.3f} the bound says that they "
        f"cannot."
    )
    return Findings(
        [*table, *long, *memory, *stretched],
        headline,
        text,
        figure,
        {"words": WORDS, "copies": COPIES, "draws": n, "seed": args.seed},
        {"intervals": "95 %, percentile bootstrap over draws of the noise"},
    )


def verdicts(record: Record) -> list[Verdict]:
    """Judge the links, the collapse, what leaving oneself out recalls, and the bound."""
    h = record.headline
    far, (beta, *way) = record.number("largest_difference"), h["on_the_way"]
    left, seen = h["left_out"], h["seen"]
    return [
        Verdict(
            "one free node among clamped words is the ideal memoriser's posterior",
            f"largest difference {far:.0e}",
            (far < ROUNDING,),
        ),
        Verdict(
            "free nodes end in one place, whether or not they see themselves",
            f"{max(h['last_places']):g} place after {LONG} steps, recovery {h['last']:.2f}",
            (max(h["last_places"]) == 1, h["last"] < 0.5),
        ),
        Verdict(
            "ten steps that count the node itself recall at no β",
            f"{spread(way)} at β = {beta:g}",
            (way[0] < 0.5,),
        ),
        Verdict(
            "one step that leaves the node itself out recalls what one that does not cannot",
            ", ".join(f"α = {a}: {spread(left[a])} against {spread(seen[a])}" for a in left),
            tuple(left[a][1] > seen[a][2] for a in left),
        ),
        Verdict(
            "a step within the bound goes downhill, a longer one may not",
            f"λ = 0.1: safe up to τ = {h['ends']['0.1'][0]:.3f}, uphill by "
            f"{h['ends']['0.1'][3]:.3f} at τ = 1",
            (all(end[2] < 0 for end in h["ends"].values()), h["ends"]["0.1"][3] > 0),
        ),
    ]


EXPERIMENT = Experiment("propagation", __doc__, COLUMNS, measure, verdicts)

if __name__ == "__main__":
    EXPERIMENT.main()
