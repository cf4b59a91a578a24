"""The probe's page: one HTML file that loads nothing from anywhere, and what it says in words."""

import html
from collections.abc import Iterable, Sequence

import numpy as np

from minuddm.checks import Tokens
from minuddm.command.figures import on_the_way, returning
from minuddm.command.subject import Subject
from minuddm.probes import Gap, Probed, Returned, Verdict, gaps, memories, verdicts
from minuddm.probes.samples import twins
from minuddm.probes.verdicts import BETWEEN, KNOWN_ERROR, SURE, UNDECIDED

_ROWS = 6  # of the most, and of the least certain samples
_LONGEST = 400  # characters of a sequence that are shown
_STYLE = """
:root{color-scheme:light dark;--rule:#8885}
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:auto;padding:1rem}
h1{font-size:1.6rem;line-height:1.25}h2{font-size:1.2rem;margin-top:2.2rem}
.said{font-size:1.1rem;border-left:.25rem solid #0072b2;padding-left:.9rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.88rem}
th,td{text-align:left;padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--rule);
vertical-align:top}td.seq{font-family:ui-monospace,monospace;overflow-wrap:anywhere;
white-space:pre-wrap;min-width:16rem}
figure{background:#fff;margin:1rem 0;padding:.4rem;border-radius:.3rem}
figure svg{width:100%;height:auto;display:block}.small{font-size:.88rem;opacity:.85}
"""
_LIMITS = """Entropy tells a memory from what is none. Whether that has learnt the language, or
little at all, only the bound on a text says. A language in which the other tokens leave no doubt is
as certain as a memory; repetition tells them apart, as far as the number of samples sees it. What
own samples say of inner shells is what they say of t = 1, unless these shells reach it; a text that
was in training tells more. See [T46] and [T47] in THEORY.md."""


def paragraphs(read: Probed) -> list[str]:
    """Return in words what the samples say, and what a text says if there is one."""
    of_samples = [*_judged(read, "samples"), _repetition(read)]
    of_text = [*_judged(read, "text"), *_copied(read), *_apart(read), *_bounds(read)]
    return [" ".join(said) for said in (of_samples, of_text) if said]


def page(subject: Subject, read: Probed, how: str) -> str:
    """Return the whole page; `how` says what was done, with what, and how long it took."""
    config = subject.network.config
    size = f"V = {config.vocab:,}, L = {config.length}, {read.process}"
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>Probe of {html.escape(subject.name)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>Does {html.escape(subject.name)} remember?</h1>"
        f"<div class='said'>{''.join(f'<p>{html.escape(x)}</p>' for x in paragraphs(read))}</div>"
        f"<h2>By starting time</h2>{_by_start(read)}"
        f"<figure role='img' aria-label='entropy by starting time'>{returning(read)}</figure>"
        f"<figure role='img' aria-label='entropy on the way'>{on_the_way(read)}</figure>"
        f"{_of_texts(read)}<h2>Its least and most certain sequences</h2>{_sequences(subject, read)}"
        f"<h2>What this can and cannot say</h2><p>{html.escape(_LIMITS)} {html.escape(_errors())}"
        f"</p><p class='small'>{html.escape(size)}. {html.escape(how)}</p></body></html>\n"
    )


# ---- in words -----------------------------------------------------------------------------------


def _judged(read: Probed, subject: str) -> Iterable[str]:
    """Return the verdicts on one subject, a sentence for each word."""
    groups: dict[str, list[Verdict]] = {}
    for one in verdicts(read):
        if one.subject == subject:
            groups.setdefault(one.word, []).append(one)
    return [_sentence(subject, word, group) for word, group in groups.items()]


def _sentence(subject: str, word: str, group: Sequence[Verdict]) -> str:
    """Return what several starts say alike, with the reason of the last one."""
    times, last = _listed([f"{one.t:g}" for one in group]), group[-1]
    of, where = " the text" * (subject == "text"), f" (t = {last.t:g})" * (len(group) > 1)
    what = f"this network {word}{of}"
    if word == UNDECIDED:
        what = f"it is undecided whether this network remembers{of}"
    elif word == BETWEEN and of:
        what = "this network remembers some of the text"
    start = "At" if of else "By its own samples, at"
    return f"{start} t = {times} {what}: {last.why}{where}."


def _repetition(read: Probed) -> str:
    n, about = len(read.samples), memories(read)
    repeated = twins(read.samples)[1]
    if not repeated:
        return f"No two of its {n} samples are copies of one another."
    if about.value < 1.5:
        return f"Its {n} samples are copies of one another."
    likely = f"about {about.value:,.0f} sequences ({about.low:,.0f} to {about.high:,.0f})"
    return (
        f"Its {n} samples repeat themselves ({repeated:,} pairs of copies), as they would if they "
        f"were drawn from {likely}."
    )


def _copied(read: Probed) -> Iterable[str]:
    if read.copied is not None:
        n = int(read.copied.sum())
        yield f"{n} of its {len(read.copied)} samples are copies of the text."


def _bounds(read: Probed) -> Iterable[str]:
    for name, parts in read.levels.items():
        bound, of = float(parts.sum(axis=1).mean()), "other " * (name == "against")
        less = "less" if bound < np.log(read.V) else "no less"
        yield (
            f"Its bound on the {of}text is {bound:.2f} nats a token, {less} than the "
            f"{np.log(read.V):.2f} (log V) of knowing nothing."
        )


def _apart(read: Probed) -> Iterable[str]:
    for quantity, found in gaps(read).items():
        known = [gap for gap in found if not np.isnan(gap.errors)]
        if known:
            most = max(known, key=lambda gap: abs(gap.errors))
            yield (
                f"By its {quantity} the text is {_errors_ahead(most)} the other text at "
                f"t = {most.t:g}."
            )


def _errors_ahead(gap: Gap) -> str:
    many = f"{abs(gap.errors):.1f}" if np.isfinite(gap.errors) else "any number of"
    return f"{many} standard errors {'ahead of' if gap.errors >= 0 else 'behind'}"


def _known_error(of: Verdict) -> str:
    """Return the factor, where it is known: of own samples at t = 1, of a text before."""
    if of.t not in KNOWN_ERROR or (of.t == 1) != (of.subject == "samples"):
        return "unknown"
    return _factor(*KNOWN_ERROR[of.t])


def _factor(low: float, high: float) -> str:
    return f"{low:.2f}" + (f" to {high:.2f}" if high > low else "")


def _errors() -> str:
    parts = [f"{_factor(*of)} times (t = {t:g})" for t, of in KNOWN_ERROR.items()]
    return (
        "The readings' errors are known from networks that were trained on more and more "
        f"sequences: certainty is lost at {_listed(parts)} the number of them at which the shell "
        "itself is, as recovery of training sequences and, at t = 1, copies among samples tell."
    )


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


# ---- tables -------------------------------------------------------------------------------------


def _table(
    titles: Sequence[str], rows: Iterable[Sequence[str]], sequence: int | None = None
) -> str:
    """Return a table of cells that are not HTML yet; one column may hold sequences."""
    head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=seq' if k == sequence else ''}>{html.escape(cell)}</td>"
            for k, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        "</div>"
    )


def _by_start(read: Probed) -> str:
    of = {"samples": read.own, "text": read.text}
    titles = [
        "t", "of", "verdict", "share (95 %)", f"entropy, nats ({SURE:g} is certain)", "recovery",
        "known error in P",
    ]  # fmt: skip
    rows = [
        [
            f"{one.t:g}", one.subject, one.word,
            f"{one.share.value:.2f} ({one.share.low:.2f} to {one.share.high:.2f})",
            *_means(of[one.subject][one.t]), _known_error(one),
        ]
        for one in verdicts(read)
    ]  # fmt: skip
    others = [[f"{t:g}", "other text", "", "", *_means(x), ""] for t, x in read.against.items()]
    return _table(titles, rows + others)


def _means(back: Returned) -> list[str]:
    known = back.recovery[~np.isnan(back.recovery)]
    return [f"{back.entropy.mean():.3f}", f"{known.mean():.2f}" if len(known) else ""]


def _of_texts(read: Probed) -> str:
    found = gaps(read)
    if not found:
        return ""
    rows = [
        [quantity, f"{gap.t:g}", f"{gap.difference:+.3f}", f"{gap.errors:+.1f}"]
        for quantity, of in found.items()
        for gap in of
    ]
    return "<h2>The text against the other text</h2>" + _table(
        ["better in", "t", "by", "standard errors"], rows
    )


def _sequences(subject: Subject, read: Probed) -> str:
    H, apart = read.own[1.0].entropy, read.own[1.0].apart
    order = np.argsort(H, kind="stable")
    k = min(_ROWS, len(order) // 2)
    titles = ["entropy, nats", "nearest other sample", "copy of the text", "sequence"]
    copied = [""] * len(H) if read.copied is None else np.where(read.copied, "yes", "no").tolist()

    def row(n: int) -> list[str]:
        return [
            f"{H[n]:.3f}",
            f"{apart[n]:.0%} differs",
            copied[n],
            _short(subject, read.samples[n]),
        ]

    return _table(titles, map(row, [*order[::-1][:k].tolist(), *order[:k].tolist()]), 3)


def _short(subject: Subject, tokens: Tokens) -> str:
    shown = subject.shown(tokens)
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…"
