"""The report says what the records say: a page that loads nothing, and RESULTS.md."""

import csv
import html
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from experiments.kit.experiment import FAILS, HOLDS, IN_PART, MEASURED, OPEN
from experiments.kit.record import RESULTS, records
from experiments.report import PARTS, judged
from experiments.report.__main__ import main
from experiments.report.markdown import results
from experiments.report.page import page
from minuddm.probes.verdicts import KNOWN_ERROR

ROOT = Path(__file__).parents[1]
VOID = {"meta", "img", "br", "path", "use", "rect", "circle", "image", "stop", "line", "polygon"}


class Page(HTMLParser):
    """Collects what a browser would fetch, ids, and tags left open."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.ids, self.open, self.wrong = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href") and not value.startswith(("#", "data:")):
                self.fetched.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.fixture(scope="module")
def committed():
    """The records that travel with the code; others may lie beside them."""
    listed = subprocess.run(["git", "ls-files", str(RESULTS)], capture_output=True, text=True,
                            cwd=ROOT, check=False)  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = {Path(line).parent.name for line in listed.stdout.splitlines()}
    return {name: record for name, record in records().items() if name in names}


@pytest.fixture(scope="module")
def written(committed):
    return page(judged(committed), RESULTS)


def test_the_page_loads_nothing_from_anywhere_and_is_well_formed(written):
    page = Page(written)
    assert page.fetched == []
    assert not re.search(r"url\((?!#)", written)
    assert "<script" not in written
    assert page.open == []
    assert page.wrong == []
    assert "width=device-width" in written


def test_no_two_figures_share_an_id(written):
    ids = Page(written).ids
    assert len(ids) == len(set(ids))


def test_every_record_stands_in_the_page_with_its_words(written, committed):
    for name, record in committed.items():
        assert f"id='{name}'" in written
        assert html.escape(record.headline["paragraph"]) in written


def test_results_md_is_what_the_records_say(committed):
    """`python -m experiments.report` writes it."""
    assert (ROOT / "experiments" / "RESULTS.md").read_text() == results(committed)


def test_every_experiment_says_its_verdict_on_every_committed_record(committed):
    rows = judged(committed)
    assert {row.name for row in rows if row.record is not None} == set(committed)
    for row in rows:
        assert row.verdicts
        for verdict in row.verdicts:
            assert verdict.word in (HOLDS, IN_PART, FAILS, OPEN, MEASURED)
            assert verdict.number


def test_every_file_that_makes_a_claim_is_in_a_part():
    files = {path.stem for path in (ROOT / "experiments").glob("*.py")} - {"__init__"}
    assert files == {experiment.name for part in PARTS.values() for experiment in part}


def fake(tmp_path, name, headline):
    folder = tmp_path / name
    folder.mkdir(parents=True)
    made = {"cpu": "c", "cores": 2, "date": "d", "commit": "abc", "dirty": False}
    record = {"experiment": name, "claim": "<a claim>", "wall_seconds": 60.0, "environment": made,
              "data": {"name": "pydoc"}, "settings": {},
              "headline": headline | {"paragraph": "a & b"}}  # fmt: skip
    (folder / "record.json").write_text(json.dumps(record))
    rows = [f"network,{P},0.1,{split},1" for P in (16, 2000) for split in ("train", "test")]
    (folder / "table.csv").write_text("\n".join(["model,P,t,split,recovery", *rows, ""]))


def interval(value, low=None, high=None):
    return {"value": value, "low": value if low is None else low, "high": high or value}


@pytest.mark.parametrize(("leaves", "meets", "word"), [(50, 900, HOLDS), (900, 50, FAILS),
                                                       (50, None, OPEN), (16, 900, OPEN),
                                                       (16, 16, OPEN)])  # fmt: skip
def test_verdicts_follow_the_numbers(tmp_path, leaves, meets, word):
    headline = {"t": 0.1, "leaves": interval(leaves), "recoveries_meet": interval(meets),
                "entropies_meet": interval(meets), "ideals_cross": interval(meets)}  # fmt: skip
    fake(tmp_path, "transition", headline)
    rows = judged(records(tmp_path))
    first, entropies, ideals = rows[0].verdicts
    assert first.word == word
    seen = meets is not None and meets > 16  # else nothing met that was apart before
    assert entropies.word == (HOLDS if seen else OPEN)
    assert ideals.word == (FAILS if meets is None else HOLDS if seen else OPEN)
    assert {v.word for row in rows[1:] for v in row.verdicts} == {OPEN}  # not run
    written = page(rows, tmp_path)
    assert "&lt;a claim&gt;" in written
    assert "a &amp; b" in written


def test_a_page_is_written_and_a_missing_record_is_named(tmp_path, capsys):
    fake(tmp_path / "in", "keystone", {"tokens_differing": 0, "largest_difference": 0})
    record = tmp_path / "in" / "keystone" / "record.json"
    content = json.loads(record.read_text())
    record.write_text(json.dumps(content | {"settings": {"chains": 1}, "data": {"L": 2}}))
    main(["--results", str(tmp_path / "in"), "--out", str(tmp_path / "out")])
    said = capsys.readouterr()
    assert "1 records in" in said.out
    assert "RESULTS.md is not written: RESULTS.md needs the records of" in said.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]


def test_a_folder_without_records_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--results", str(tmp_path)])
    assert stop.value.code == 2
    assert "holds no record.json" in capsys.readouterr().err


@pytest.mark.parametrize("t", KNOWN_ERROR)
def test_the_probes_known_errors_are_those_of_the_networks_on_record(committed, t):
    assert "estimators" in committed
    entropy, shell = f"returning, from {t:g}", f"recovery from {t:g} leaves"
    if t == 1:
        entropy, shell = "samples, from 1", "copies fall"
    with (RESULTS / "estimators" / "table.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["seed"] != "all"]
    P = {(row["size"], row["seed"], row["reading"]): float(row["P"] or "nan") for row in rows}
    least = min(committed["estimators"].content["settings"]["subsets"])
    pairs = [(P[*net, entropy], P[*net, shell]) for net in {key[:2] for key in P}]
    known = [(rises, lost) for rises, lost in pairs if rises > least and lost > least]
    factors = [rises / lost for rises, lost in known]
    assert len(factors) >= 12
    assert KNOWN_ERROR[t] == pytest.approx((min(factors), max(factors)), abs=0.005)  # as rounded
