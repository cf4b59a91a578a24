"""README promises nothing that a record or a program does not say."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.kit.intervals import show
from minuddm.probes import Interval

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
RESULTS = ROOT / "experiments" / "results"


def table_rows(first_cell: str) -> list[list[str]]:
    """The rows of the table whose header starts with a cell."""
    lines = README.split("\n")
    start = next(k for k, line in enumerate(lines) if line.startswith(f"| {first_cell} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def record(name: str) -> dict:
    return json.loads((RESULTS / name / "record.json").read_text())


def rows_of(name: str, t: str = "0.1") -> dict[tuple[str, int, str], dict[str, str]]:
    """The rows of a recorded table at one time, by model, P and split."""
    with (RESULTS / name / "table.csv").open() as file:
        return {
            (row["model"], int(row["P"]), row["split"]): row
            for row in csv.DictReader(file)
            if row["t"] == t
        }


def crossing(name: str, reading: str) -> str:
    return f"P = {crossing_of(record(name)['headline'][reading])}"


def crossing_of(interval: dict) -> str:
    value, low, high = (interval[end] for end in ("value", "low", "high"))
    if value is None:
        return "none of those measured"
    above = f"{high:.0f}" if isinstance(high, float) else "beyond"  # infinity is a word
    return f"{value:.0f} ({low:.0f} to {above})"


def radii(name: str) -> str:
    found = {k: v for k, v in record(name)["headline"].items() if "radius" in k}
    sizes = sorted({int(k.split()[-1]) for k in found})
    return "; ".join(
        f"{found[f'train radius at P = {P}']:.1f}, {found[f'test radius at P = {P}']:.1f} "
        f"at P = {P}"
        for P in sizes
    )


def excess(name: str, P: int = 65536) -> str:
    row = rows_of(name)["network", P, "test"]
    value, error = float(row["excess"]), 2 * float(row["excess_se"])
    return f"{value:.3f} ± {error:.3f} nats per token"


def recovered(name: str, P: int = 65536) -> str:
    network, ideal = (
        "/".join(f"{float(rows_of(name, t)[model, P, 'test']['recovery']):.2f}" for t in TIMES)
        for model in ("network", "source_ideal")
    )
    return f"{network} of the ideal's {ideal}"


def energy(name: str) -> dict:
    return record(name)["headline"]


def readings(name: str) -> str:
    pooled = energy(name)["pooled"]["64x2"]
    wanted = ("sample entropy rises", "recovery leaves", "ideals cross")
    return "; ".join(f"P = {crossing_of(pooled[reading])}" for reading in wanted)


def power(name: str) -> str:
    return "P^{slope:.2f} ({low:.2f} to {high:.2f})".format(**energy(name)["power"])


def linear(name: str) -> str:
    rows = rows_of(name)
    P = max(P for _, P, _ in rows)
    train, test = (
        f"{float(rows['pseudolikelihood', P, split]['recovery']):.2f}"
        for split in ("train", "test")
    )
    return f"{train}/{test} at P = {P}"


TIMES = ("0.1", "0.25", "0.5")
CLAIMS = {
    "training recovery leaves 0.95": lambda: crossing("transition", "leaves"),
    "training and unseen recovery meet": lambda: crossing("transition", "recoveries_meet"),
    "their entropies meet, at the same place": lambda: crossing("transition", "entropies_meet"),
    "hierarchy: training recovery leaves 0.95": lambda: crossing("transition-hierarchy", "leaves"),
    "hierarchy: training and unseen recovery meet": lambda: crossing(
        "transition-hierarchy", "recoveries_meet"
    ),
    "hierarchy: the ideal generaliser comes closer than the memoriser": lambda: crossing(
        "transition-hierarchy", "ideals_cross"
    ),
    "enough data, Markov chain: bound above the source's entropy": lambda: excess("enough-markov"),
    "enough data, hierarchy: bound above the source's entropy": lambda: excess("enough-hierarchy"),
    "enough data, hierarchy: recovery at t = .1/.25/.5": lambda: recovered("enough-hierarchy"),
    "the hard case, 3 rules: bound above the source's entropy": lambda: excess("enough-3-rules"),
    "the hard case, 3 rules: recovery at t = .1/.25/.5": lambda: recovered("enough-3-rules"),
    "draws follow the laws of the kernel": lambda: (
        f"{record('kernel_lab')['headline']['largest_deviation_in_standard_errors']:.1f} "
        "standard errors at most, of 84 frequencies"
    ),
    "reverse diffusion with perfect memory is annealed retrieval": lambda: (
        f"{record('keystone')['headline']['tokens_differing']} of 825,600 tokens differ"
    ),
    "linear memory of the pseudo-likelihood: training recovery leaves 0.95": lambda: crossing(
        "transition-pseudolikelihood", "leaves"
    ),
    "linear memory: recovery of training and unseen sequences at the largest P": lambda: linear(
        "transition-pseudolikelihood"
    ),
    "n = 2 falls through an overlap of 0.95 at load .138": lambda: (
        "P/L = {:.4f} ({:.4f} to {:.4f}) at L = 2000".format(*energy("capacity")["critical_load"])
    ),
    "n = 3 and 4 keep about L² and L³ patterns": lambda: " and ".join(
        "L^{:.2f} ({:.2f} to {:.2f})".format(*energy("capacity")["slopes"][f"n = {n}"])
        for n in (3, 4)
    ),
    "the exponential keeps all of about 2^(L/2)": lambda: (
        "2^(cL), c = {:.2f} ({:.2f} to {:.2f})".format(*energy("capacity")["slopes"]["all stay"])
    ),
    "no energy: margins and basins are those of the theory": lambda: (
        f"[T24] within {energy('spin_transition')['largest_distance_to_T24']:.3f}, "
        f"root law within {energy('spin_transition')['largest_distance_to_the_root']:.3f}"
    ),
    "no energy, structured patterns: training recovery leaves 0.95": lambda: crossing(
        "spin_transition", "leaves"
    ),
    "no energy, structured patterns: training and unseen recovery meet": lambda: crossing(
        "spin_transition", "recoveries_meet"
    ),
    "no energy, structured patterns: their entropies cross": lambda: crossing(
        "spin_transition", "entropies_cross"
    ),
    "overload: mixtures first, then minima of its own": lambda: (
        "mixtures {1:.2f} of starts at P = {0}; others ahead from P = {2}".format(
            *energy("spurious")["mixtures_peak"],
            energy("spurious")["spurious_outnumber_stored_at"],
        )
    ),
    "Epanechnikov keeps its patterns and adds minima": lambda: (
        "{stored:.0f} of {P} kept, {emergent:.0f} more".format(**energy("spurious")["epanechnikov"])
    ),
    "structured patterns: likelihood-formed basins attract unseen ones": lambda: " against ".join(
        f"{energy('basins')['structured'][memory]['test_recovery']:.2f} ({memory})"
        for memory in ("pseudo-likelihood", "Hopfield")
    ),
    "larger networks remember more: training recovery leaves 0.95": lambda: ", ".join(
        f"{size}: P = {show(Interval(**reading['leaves']), 2)}"
        for size, reading in energy("size_sweep").items()
        if isinstance(reading, dict)
    ),
    "entropy of a network's own samples against recovery": lambda: (
        "rank correlation {rank_correlation:.2f}, "
        "distance {distance:.2f} in log P, {pairs} networks"
    ).format(**energy("estimators")["agreement"]["sample entropy rises"]),
    "hierarchy: own entropy rises; recovery leaves; ideals cross": lambda: readings(
        "estimators-hierarchy"
    ),
    "Markov chain: own entropy rises; recovery leaves; ideals cross": lambda: readings(
        "estimators-markov"
    ),
    "memory sets in after a time that grows like a power of P": lambda: power("learning_time"),
    "hierarchy: memory sets in after a time that grows like a power of P": lambda: power(
        "learning_time-hierarchy"
    ),
    "seconds a query, ideal memoriser and token memory": lambda: "; ".join(
        "P^{P:.2f} L^{L:.2f} V^{V:.2f}".format(**powers)
        for powers in energy("speed")["powers"].values()
    ),
    "first training step of a process": lambda: (
        "{later:.1f} s; {nothing_compiled:.0f} s with nothing compiled".format(
            **energy("speed")["start"]
        )
    ),
    "entropy gap between samples and training data closes": lambda: crossing(
        "uncertainty", "gap_closes"
    ),
    "basin of a sequence, in changed tokens of 32: training, unseen": lambda: radii("stability"),
    "perplexity of samples under a critic peaks": lambda: crossing("generated", "perplexity_peak"),
    "spurious samples have their largest share": lambda: (
        f"{energy('generated')['spurious_share']:.2f} at {crossing('generated', 'spurious_peak')}"
    ),
    "recall never goes uphill": lambda: (
        f"largest rise {energy('gallery')['largest_rise']:.0e}; "
        f"{energy('gallery')['letters_repaired']['exponential']} of 26 letters repaired"
    ),
}
COLUMNS = [
    ("network", "train", "recovery"),
    ("network", "test", "recovery"),
    ("network", "train", "entropy_loo"),
    ("network", "test", "entropy_loo"),
    ("dataset_ideal", "train", "recovery"),
    ("dataset_ideal", "test", "recovery"),
    ("token_memory", "train", "recovery"),
    ("token_memory", "test", "recovery"),
]


def test_the_table_is_the_records():
    recorded = rows_of("transition")
    shown = table_rows("P")
    assert [int(row[0]) for row in shown] == sorted({P for _, P, _ in recorded})
    for P, *cells in shown:
        wanted = [f"{float(recorded[m, int(P), split][name]):.2f}" for m, split, name in COLUMNS]
        assert cells == wanted


def test_the_claims_are_the_records():
    shown = {row[0]: row[1] for row in table_rows("claim")}
    assert shown == {claim: number() for claim, number in CLAIMS.items()}
    assert f"The first takes {record('transition')['wall_seconds'] / 60:.1f} minutes" in README
    for folder in RESULTS.iterdir():
        if (folder / "record.json").exists():
            assert record(folder.name)["environment"]["dirty"] is False


def speeds() -> list[list[str]]:
    """The rows of the table of speeds: steps in milliseconds, restoring in seconds."""
    with (RESULTS / "speed" / "table.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["what"] in ("step", "restore")]
    wanted = []
    for what, size, threads in dict.fromkeys((r["what"], r["size"], r["threads"]) for r in rows):
        own = {r["side"]: r for r in rows
               if (r["what"], r["size"], r["threads"]) == (what, size, threads)}  # fmt: skip
        shown = {
            side: f"{1e3 * float(r['seconds']):.{0 if float(r['seconds']) > 0.1 else 1}f} ms"
            if what == "step" else f"{float(r['seconds']):.1f} s"
            for side, r in own.items()
        }  # fmt: skip
        ratio = min(float(r["ratio"]) for side, r in own.items() if "PyTorch" in side)
        share = own["minuddm"]["share_of_roof"]
        wanted.append([
            f"{what}, {size}", threads,
            *(shown[side] for side in ("minuddm", "PyTorch eager", "PyTorch compiled")),
            f"{ratio:.2f}", f"{float(share):.2f}" if share else "",
        ])  # fmt: skip
    return wanted


def test_the_speeds_are_the_records():
    assert table_rows("measured") == speeds()


def test_no_network_beats_the_ideal_on_unseen_sequences():
    for name in ("transition-hierarchy", "enough-hierarchy", "enough-3-rules", "enough-markov"):
        for t in TIMES:
            rows = rows_of(name, t)
            for model, P, split in rows:
                if (model, split) == ("network", "test"):
                    ideal = rows["source_ideal", P, "test"]
                    assert float(rows[model, P, split]["recovery_lo"]) <= float(
                        ideal["recovery_hi"]
                    )


def test_with_enough_data_the_network_nearly_is_the_ideal():
    """Within .02 nats of a Markov chain; within .06 and a tenth of the recovery of a hierarchy."""
    markov, tree = (rows_of(f"enough-{name}") for name in ("markov", "hierarchy"))
    assert float(markov["network", 65536, "test"]["excess"]) <= 0.02
    assert float(tree["network", 65536, "test"]["excess"]) <= 0.06
    network, ideal = (
        float(tree[model, 65536, "test"]["recovery"]) for model in ("network", "source_ideal")
    )
    assert network >= 0.9 * ideal


def test_what_must_hold_holds_in_the_record():
    """The shape of the transition, as the project promises it, at t = 0.1."""
    rows = rows_of("transition")

    def of(split, P, name="recovery", model="network"):
        return float(rows[model, P, split][name])

    counts = sorted({P for _, P, _ in rows})
    assert len(counts) >= 7
    assert of("train", 16) >= 0.99
    assert of("test", counts[-1]) - of("test", 16) >= 0.25
    assert of("train", 16, "entropy_loo") < 0.02
    for P in counts:
        assert of("train", P, model="dataset_ideal") >= 0.99
        if P >= 1024:
            assert abs(of("train", P) - of("test", P)) <= 0.06
            assert min(of("train", P), of("test", P)) >= 0.38
            assert of("train", P, "entropy_loo") > 1.0


def test_the_example_prints_what_it_says():
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    printed = re.search(r"```text\n(.*?)```", README, re.DOTALL)
    assert code
    assert printed
    answer = subprocess.run(
        [sys.executable, "-c", code[1]], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert answer.stdout == printed[1]


def test_every_label_the_code_cites_is_in_the_list_of_equations():
    listed = set()
    for row in table_rows("label"):
        listed |= set(re.findall(r"T\d+", row[0]))
    for path in [
        *ROOT.glob("minuddm/**/*.py"),
        *ROOT.glob("hopfield/**/*.py"),
        *ROOT.glob("experiments/**/*.py"),
    ]:
        cited = set(re.findall(r"\[(T\d+)\]", path.read_text()))
        assert cited <= listed, f"{path.name} cites {sorted(cited - listed)}"


@pytest.mark.parametrize("name", ["minuddm", "hopfield", "experiments", "tests"])
def test_every_file_the_readme_names_exists(name):
    for path in re.findall(rf"`({name}/[\w/]+\.?\w*)`", README):
        assert (ROOT / path).exists(), path
