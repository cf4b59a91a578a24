"""The report as one HTML file that loads nothing from anywhere: figures inline, tables folded."""

import base64
import html
import re
from pathlib import Path

from experiments import report
from experiments.kit.experiment import FAILS, HOLDS
from experiments.kit.record import Record, claim
from experiments.report import Judged, counted

ROWS = 400  # of a table, shown
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


def page(rows: list[Judged], results: Path) -> str:
    """Return the whole report as HTML."""
    lines = "".join(
        f"<tr><td>{_link(row, verdict.claim)}</td><td class='v {_class(verdict.word)}'>"
        f"{verdict.word}</td><td>{html.escape(verdict.number)}</td></tr>"
        for row in rows
        for verdict in row.verdicts
    )
    sections = "".join(
        _section(row, row.record, results / row.name) for row in rows if row.record is not None
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>minuddm: what was measured</title><style>{STYLE}</style></head><body>"
        "<h1>Language diffusion and associative memory: what was measured</h1>"
        f"<p>{html.escape(claim(report.__doc__))} Of the claims: {counted(rows)}. Intervals are "
        "95 %.</p><div class='wide'><table><thead><tr><th>claim</th><th>verdict</th>"
        f"<th>numbers</th></tr></thead><tbody>{lines}</tbody></table></div>{sections}"
        "</body></html>\n"
    )


def _link(row: Judged, text: str) -> str:
    safe = html.escape(text)
    return f"<a href='#{row.name}'>{safe}</a>" if row.record is not None else safe


def _class(word: str) -> str:
    return {HOLDS: "yes", FAILS: "no"}.get(word, "open")


def _section(row: Judged, record: Record, folder: Path) -> str:
    made, content = record.content["environment"], record.content
    how = (
        f"<code>{html.escape(record.command)}</code>, {content['wall_seconds'] / 60:.1f} min on "
        f"{html.escape(str(made['cpu']))} ({made['cores']} cores), {made['date']}, commit "
        f"{str(made['commit'])[:10]}{' with changes' if made['dirty'] else ''}"
    )
    said = " ".join([record.headline["paragraph"], *map(str, row.verdicts)])
    return (
        f"<h2 id='{row.name}'>{html.escape(row.name)}</h2>"
        f"<p><b>Claim: {html.escape(content['claim'])}</b></p>"
        f"{_figure(row.name, folder)}<p>{html.escape(said)}</p>"
        f"<p class='how'>{how}. {html.escape(content.get('intervals', ''))}</p>{_table(record)}"
    )


def _figure(name: str, folder: Path) -> str:
    """Return the figure: SVG inline, its ids made its own, or the PNG where there is no SVG."""
    vector, drawn = folder / "figure.svg", folder / "figure.png"
    if vector.exists():
        text = vector.read_text("utf-8")
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


def _table(record: Record) -> str:
    rows = record.table
    if not rows:
        return ""
    used = [column for column in rows[0] if any(row[column] for row in rows)]
    cells = "".join(
        "<tr>" + "".join(f"<td>{html.escape(row[column])}</td>" for column in used) + "</tr>"
        for row in rows[:ROWS]
    )
    more = f" (the first {ROWS} shown)" if len(rows) > ROWS else ""
    titles = "".join(f"<th>{html.escape(column)}</th>" for column in used)
    return (
        f"<details><summary>table.csv, {len(rows)} rows{more}</summary><div class='wide'><table>"
        f"<thead><tr>{titles}</tr></thead><tbody>{cells}</tbody></table></div></details>"
    )
