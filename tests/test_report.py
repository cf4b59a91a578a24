"""The report says what the records say, on one page that loads nothing."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from experiments import report

RESULTS = Path(report.__file__).parent / "results"
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
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    report.main(["--out", str(out)])
    return (out / "report.html").read_text()


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


def test_every_record_stands_in_the_page_with_its_words(written):
    for path in RESULTS.glob("*/record.json"):
        if not path.parent.name.endswith("quick"):
            record = json.loads(path.read_text())
            assert f"id='{path.parent.name}'" in written
            assert report.html.escape(record["headline"]["paragraph"]) in written


def fake(tmp_path, name, headline):
    folder = tmp_path / name
    folder.mkdir(parents=True)
    made = {"cpu": "c", "cores": 2, "date": "d", "commit": "abc", "dirty": False}
    record = {"experiment": name, "claim": "<a claim>", "wall_seconds": 60.0, "environment": made,
              "headline": headline | {"paragraph": "a & b"}}  # fmt: skip
    (folder / "record.json").write_text(json.dumps(record))


def interval(value, low=None, high=None):
    return {"value": value, "low": value if low is None else low, "high": high or value}


@pytest.mark.parametrize(
    ("leaves", "meets", "word"), [(50, 900, "reproduced"), (900, 50, "not reproduced"),
                                  (50, None, "open")],
)  # fmt: skip
def test_verdicts_follow_the_numbers(tmp_path, leaves, meets, word):
    headline = {"leaves": interval(leaves), "recoveries_meet": interval(meets),
                "entropies_meet": interval(meets)}  # fmt: skip
    fake(tmp_path, "transition", headline)
    judged = report.judge(report.records(tmp_path))
    assert judged[0][1] == word
    assert {v for verdict, v, _ in judged if verdict.record != "transition"} == {"open"}
    page = report.page(report.records(tmp_path), tmp_path)
    assert "&lt;a claim&gt;" in page
    assert "a &amp; b" in page


def test_quick_runs_are_left_out(tmp_path):
    fake(tmp_path, "keystone-quick", {"tokens_differing": 0, "largest_difference": 0})
    assert report.records(tmp_path) == {}


def test_a_folder_without_records_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        report.main(["--results", str(tmp_path)])
    assert stop.value.code == 2
    assert "holds no record.json" in capsys.readouterr().err


def test_every_verdict_can_be_read_from_the_records_that_are_here():
    found = report.records(RESULTS)
    for verdict, word, numbers in report.judge(found):
        if verdict.record in found:
            assert word in (report.REPRODUCED, report.NOT, report.OPEN)
            assert numbers
