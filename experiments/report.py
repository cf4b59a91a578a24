"""Everything that was measured here, on one page, with a verdict for each claim.

Collects the records in `experiments/results` into one HTML file that loads nothing from anywhere:
figures inline, tables folded, and for every claim what was found: *reproduced*, *not reproduced*
or *open*, with the numbers that say so and the command that made them. A record that is missing is
named as missing; nothing is computed here.
"""

import base64
import csv
import html
import json
import math
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import commandline
from experiments.record import claim
from minuddm.files import write_atomically

REPRODUCED, NOT, OPEN = "reproduced", "not reproduced", "open"
ROWS = 400  # of a table, shown
A_TOKEN = 1.0  # a mean radius that changed by less has not changed
Record = dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """One claim about one record, and the question whether it holds there."""

    record: str
    claim: str
    judge: Callable[[Record], tuple[bool | None, str]]
    """Returns whether it holds (None: cannot be said) and the numbers behind."""


def _interval(x: Any, digits: int = 0) -> str:
    if x is None or x["value"] is None:
        return "not within the P measured"
    ends = [
        f"{float(x[end]):,.{digits}f}" if _finite(x[end]) else "beyond" for end in ("low", "high")
    ]
    return f"{x['value']:,.{digits}f} ({ends[0]} to {ends[1]})"


def _finite(x: Any) -> bool:
    return x is not None and math.isfinite(float(x))


def _transition(record: Record) -> tuple[bool | None, str]:
    h = record["headline"]
    leaves, meet = h["leaves"], h["recoveries_meet"]
    said = f"leaves .95 at P = {_interval(leaves)}, meets at P = {_interval(meet)}"
    if leaves["value"] is None or meet["value"] is None:
        return None, said
    return leaves["value"] < meet["value"], said


def _entropies(record: Record) -> tuple[bool | None, str]:
    recoveries, entropies = (record["headline"][k] for k in ("recoveries_meet", "entropies_meet"))
    said = f"recoveries at P = {_interval(recoveries)}, entropies at P = {_interval(entropies)}"
    if recoveries["value"] is None or entropies["value"] is None:
        return None, said
    return _overlap(recoveries, entropies), said


def _overlap(one: Any, other: Any) -> bool:
    low, high = (max(float(x["low"]) for x in (one, other)),
                 min(float(x["high"]) for x in (one, other)))  # fmt: skip
    return low <= high


def _ideals(record: Record) -> tuple[bool | None, str]:
    h = record["headline"]
    said = (
        f"P = {_interval(h['ideals_cross'])}; recoveries meet at {_interval(h['recoveries_meet'])}"
    )
    return (h["ideals_cross"] or {"value": None})["value"] is not None, said


def _annealed(record: Record) -> tuple[bool | None, str]:
    differing = record["headline"]["tokens_differing"]
    worst = record["headline"]["largest_difference"]
    return differing == 0, f"{differing} tokens differ, conditionals by at most {worst:.0e}"


def _capacity(record: Record) -> tuple[bool | None, str]:
    at, low, high = record["headline"]["critical_load"]
    return abs(at - 0.138) <= 0.01, f"overlap .95 at {at:.4f} ({low:.4f} to {high:.4f})"


def _growth(record: Record) -> tuple[bool | None, str]:
    slopes = record["headline"]["slopes"]
    good = all(abs(slopes[f"n = {n}"][0] - (n - 1)) <= 0.25 for n in (3, 4))
    said = ", ".join(f"{name}: {s[0]:.2f} ({s[1]:.2f} to {s[2]:.2f})" for name, s in slopes.items())
    return good, said


def _spins(record: Record) -> tuple[bool | None, str]:
    h = record["headline"]
    far = h["largest_distance_to_T24"], h["largest_distance_to_T25"]
    return max(far) <= 0.03, f"numbers of [T24] within {far[0]:.3f}, of [T25] within {far[1]:.3f}"


def _basins(record: Record) -> tuple[bool | None, str]:
    learned = record["headline"]["structured"]
    best = max(x["test_recovery"] for name, x in learned.items() if name != "pseudo-likelihood")
    own = learned["pseudo-likelihood"]["test_recovery"]
    return own > best, f"unseen recovery {own:.2f}, best of the energy-formed {best:.2f}"


def _spurious(record: Record) -> tuple[bool | None, str]:
    h = record["headline"]
    (P, share), taken = h["mixtures_peak"], h["spurious_outnumber_stored_at"]
    return taken > P, f"mixtures peak at P = {P} ({share:.2f} of starts), others ahead from {taken}"


def _sizes(record: Record) -> tuple[bool | None, str]:
    h = record["headline"]
    sizes = {k: v for k, v in h.items() if isinstance(v, dict) and "leaves" in v}
    said = "; ".join(f"{k} at P = {_interval(v['leaves'])}" for k, v in sizes.items())
    return bool(h["rises_with_size"]), said


def _alone(record: Record) -> tuple[bool | None, str]:
    a = record["headline"]["agreement"]["sample entropy rises"]
    rank = a["rank_correlation"]
    said = f"rank correlation {rank if rank is None else round(rank, 2)}, " \
           f"mean distance in log P {a['distance']:.2f}, {a['pairs']} networks"  # fmt: skip
    return (None if rank is None else rank > 0.5 and a["distance"] < math.log(2)), said


def _peak(record: Record) -> tuple[bool | None, str]:
    h = record["headline"]
    said = (
        f"peak at P = {_interval(h['perplexity_peak'])}, plateau left at {_interval(h['leaves'])}"
    )
    return bool(h["perplexity_peaks_at_the_plateau"]), said


def _spurious_samples(record: Record) -> tuple[bool | None, str]:
    h = record["headline"]
    peak, share = h["spurious_peak"], h["spurious_share"]
    said = f"largest share {share:.2f}, at P = {_interval(peak)}"
    return (share > 0.05 if peak["value"] is not None else None), said


def _memory_later(record: Record) -> tuple[bool | None, str]:
    order = record["headline"]["generalises_first"]
    said = ", ".join(f"{share:.2f} at P = {P}" for P, share in order.items())
    return min(order.values()) > 0.9, f"in a share of the networks of {said}"


def _linear(record: Record) -> tuple[bool | None, str]:
    fit = record["headline"]["power"]
    if fit["slope"] is None:
        return None, "too few networks remember"
    return fit["low"] <= 1 <= fit[
        "high"
    ], f"power {fit['slope']:.2f} ({fit['low']:.2f} to {fit['high']:.2f})"


def _faster(record: Record) -> tuple[bool | None, str]:
    ratios = record["headline"]["ratios"].values()
    if not ratios:
        return None, "PyTorch was not there to compare"
    said = f"the faster PyTorch takes {min(ratios):.2f} to {max(ratios):.2f} times as long"
    return min(ratios) > 1, said


def _near_the_roof(record: Record) -> tuple[bool | None, str]:
    shares = record["headline"]["share_of_roof"]
    said = ", ".join(f"{share:.2f} ({size})" for size, share in shares.items())
    return min(shares.values()) >= 0.85, f"share of the rate of its products alone: {said}"


def _gap(record: Record) -> tuple[bool | None, str]:
    h = record["headline"]
    said = f"closes at P = {_interval(h['gap_closes'])}"
    return h["gap_closes"]["value"] is not None, said


def _certain(record: Record) -> tuple[bool | None, str]:
    good, bad = record["headline"]["recovered"], record["headline"]["failed"]
    return good < bad, f"{good:.2f} against {bad:.2f} nats"


def _basin_of_unseen(record: Record) -> tuple[bool | None, str]:
    h = {k: v for k, v in record["headline"].items() if "radius" in k}
    test = [v for k, v in h.items() if k.startswith("test")]
    train = [v for k, v in h.items() if k.startswith("train")]
    said = "; ".join(f"{k}: {v:.1f}" for k, v in h.items())
    grows, shrinks = test[-1] - test[0], train[0] - train[-1]
    return grows >= A_TOKEN and shrinks >= A_TOKEN, said


VERDICTS = (
    Verdict("transition", "training recovery leaves its plateau, then meets unseen recovery",
            _transition),
    Verdict("transition", "the conditional entropies meet where the recoveries do", _entropies),
    Verdict("transition-hierarchy", "the same on a hierarchical source", _transition),
    Verdict("transition-hierarchy", "the ideal generaliser takes over from the memoriser", _ideals),
    Verdict("size_sweep", "larger networks need more data to generalise", _sizes),
    Verdict("estimators", "entropy alone detects the transition", _alone),
    Verdict("stability", "basins of unseen sequences grow while those of training ones shrink",
            _basin_of_unseen),
    Verdict("uncertainty", "recovered tokens are the certain ones", _certain),
    Verdict("uncertainty", "the entropy gap between samples and training data closes", _gap),
    Verdict("generated", "perplexity of samples peaks where the plateau is left", _peak),
    Verdict("generated", "spurious samples appear between memory and generalisation",
            _spurious_samples),
    Verdict("learning_time", "generalisation comes before memory", _memory_later),
    Verdict("learning_time", "the time of memory grows linearly with P", _linear),
    Verdict("keystone", "reverse diffusion with perfect memory is annealed retrieval", _annealed),
    Verdict("capacity", "Hopfield's network is full at a load of 0.138", _capacity),
    Verdict("capacity", "polynomial memories keep L^(n-1) patterns", _growth),
    Verdict("spin_transition", "likelihood alone forms basins of the predicted size", _spins),
    Verdict("spin_transition", "few patterns are remembered, many are learned from", _transition),
    Verdict("basins", "likelihood-formed basins attract unseen patterns best", _basins),
    Verdict("spurious", "mixtures come first, then minima of the memory's own", _spurious),
    Verdict("speed", "training and restoring take less time than in PyTorch", _faster),
    Verdict("speed", "a training step reaches 85 % of its roof", _near_the_roof),
)  # fmt: skip

STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882}
body{font:16px/1.55 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
h1{line-height:1.2}h2{margin-top:3rem;border-top:1px solid var(--line);padding-top:1.2rem}
table{border-collapse:collapse;font-size:.9rem}th,td{padding:.25rem .6rem;text-align:left;
border-bottom:1px solid var(--line);vertical-align:top}.wide{overflow-x:auto}
figure{margin:1rem 0;background:#fff;border-radius:.4rem;padding:.3rem}
figure svg,figure img{width:100%;height:auto;display:block}
code{background:var(--soft);padding:.1rem .3rem;border-radius:.2rem;overflow-wrap:anywhere}
.v{white-space:nowrap;font-weight:600}.v.yes{color:#087f5b}.v.no{color:#c92a2a}.v.open{color:#b8860b}
.how{font-size:.85rem;opacity:.8}summary{cursor:pointer}
"""


def records(results: Path) -> dict[str, Record]:
    """Return the records found, by folder name; those of --quick runs are left out."""
    found = {}
    for path in sorted(results.glob("*/record.json")):
        if not path.parent.name.endswith("quick"):
            found[path.parent.name] = json.loads(path.read_text())
    return found


def judge(found: dict[str, Record]) -> list[tuple[Verdict, str, str]]:
    """Return every claim with its verdict and the numbers behind it."""
    result = []
    for verdict in VERDICTS:
        record = found.get(verdict.record)
        if record is None:
            result.append((verdict, OPEN, "no record: not run"))
            continue
        holds, numbers = verdict.judge(record)
        result.append((verdict, OPEN if holds is None else REPRODUCED if holds else NOT, numbers))
    return result


def page(found: dict[str, Record], results: Path) -> str:
    """Return the whole report as HTML."""
    verdicts = judge(found)
    counts = {word: sum(v == word for _, v, _ in verdicts) for word in (REPRODUCED, NOT, OPEN)}
    rows = "".join(
        f"<tr><td>{_link(v.record, v.claim, found)}</td><td class='v {_class(word)}'>{word}</td>"
        f"<td>{html.escape(numbers)}</td></tr>"
        for v, word, numbers in verdicts
    )
    sections = "".join(_section(name, record, results / name) for name, record in found.items())
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>minuddm: what was measured</title><style>{STYLE}</style></head><body>"
        "<h1>Language diffusion and associative memory: what was measured</h1>"
        f"<p>{html.escape(claim(__doc__))} {counts[REPRODUCED]} claims are reproduced, "
        f"{counts[NOT]} are not, {counts[OPEN]} are open. Intervals are 95 %.</p>"
        "<div class='wide'><table><thead><tr><th>claim</th><th>verdict</th><th>numbers</th></tr>"
        f"</thead><tbody>{rows}</tbody></table></div>{sections}</body></html>\n"
    )


def _link(name: str, text: str, found: dict[str, Record]) -> str:
    safe = html.escape(text)
    return f"<a href='#{name}'>{safe}</a>" if name in found else safe


def _class(word: str) -> str:
    return {REPRODUCED: "yes", NOT: "no", OPEN: "open"}[word]


def _section(name: str, record: Record, folder: Path) -> str:
    made = record["environment"]
    experiment = record["experiment"]
    command = record.get("command") or f"python -m experiments.{experiment}"
    how = (
        f"<code>{html.escape(command)}</code>, {record['wall_seconds'] / 60:.1f} min on "
        f"{html.escape(str(made['cpu']))} ({made['cores']} cores), {made['date']}, commit "
        f"{str(made['commit'])[:10]}{' with changes' if made['dirty'] else ''}"
    )
    return (
        f"<h2 id='{name}'>{html.escape(name)}</h2><p><b>{html.escape(record['claim'])}</b></p>"
        f"{_figure(name, folder)}<p>{html.escape(record['headline']['paragraph'])}</p>"
        f"<p class='how'>{how}. {html.escape(record.get('intervals', ''))}</p>{_table(folder)}"
    )


def _figure(name: str, folder: Path) -> str:
    """Return the figure: SVG inline, its ids made its own, or the PNG where there is no SVG."""
    vector, drawn = folder / "figure.svg", folder / "figure.png"
    if vector.exists():
        text = vector.read_text()
        text = text[text.index("<svg") :]
        text = re.sub(r'(<image\b[^>]*?) id="[^"]*"', r"\1", text)  # equal pictures share one
        text = re.sub(r'\bid="', f'id="{name}-', text)
        text = re.sub(r'href="#', f'href="#{name}-', text)
        text = re.sub(r"url\(#", f"url(#{name}-", text)
        return f"<figure role='img' aria-label='figure of {name}'>{text}</figure>"
    if drawn.exists():
        data = base64.b64encode(drawn.read_bytes()).decode()
        return f"<figure><img alt='figure of {name}' src='data:image/png;base64,{data}'></figure>"
    return ""


def _table(folder: Path) -> str:
    path = folder / "table.csv"
    if not path.exists():
        return ""
    with path.open() as file:
        head, *body = csv.reader(file)
    used = [k for k in range(len(head)) if any(row[k] for row in body)]
    cells = "".join(
        "<tr>" + "".join(f"<td>{html.escape(row[k])}</td>" for k in used) + "</tr>"
        for row in body[:ROWS]
    )
    more = f" (the first {ROWS} shown)" if len(body) > ROWS else ""
    titles = "".join(f"<th>{html.escape(head[k])}</th>" for k in used)
    return (
        f"<details><summary>table.csv, {len(body)} rows{more}</summary><div class='wide'><table>"
        f"<thead><tr>{titles}</tr></thead><tbody>{cells}</tbody></table></div></details>"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Write the report; see `--help`."""
    p = commandline.CommandLine("report", claim(__doc__))
    p.add_argument("--results", type=Path, default=commandline.RESULTS, metavar="FOLDER",
                   help="where the records are")  # fmt: skip
    args = p.parse_args(argv)
    found = records(args.results)
    if not found:
        p.error(f"--results {args.results} holds no record.json in its folders")
    out = p.folder(args)
    write_atomically(out / "report.html", page(found, args.results).encode())
    verdicts = judge(found)
    said = ", ".join(
        f"{sum(v == word for _, v, _ in verdicts)} {word}" for word in (REPRODUCED, NOT, OPEN)
    )
    where = shlex.quote(str(out / "report.html"))
    print(f"{len(found)} records in {where}: {said}.")


if __name__ == "__main__":
    commandline.run(main)
