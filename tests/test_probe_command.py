"""minuddm probe: verdicts, page and numbers of whatever network, text or folder it is given."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from minuddm.checkpoint import load_model
from minuddm.command import probe as command
from minuddm.command.program import main
from minuddm.command.subject import open_subject
from minuddm.probes import STARTS
from tests.command import TEXT, TINY, enter, refused
from tests.published import CHECKPOINT, HUB
from tests.test_report import Page
from tests.test_vocabulary import tokenizer

FEW = ["-n", "6", "--steps", "2", "--threads", "1"]
HOSTILE = "<script>alert('1')</script>&amp;<img src=x onerror=y>"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)
    Path("other.txt").write_text(TEXT[::-1])
    return tmp_path


def probed(capsys, *words):
    """What is printed, the page and the numbers."""
    capsys.readouterr()
    assert main(["probe", *map(str, words), *FEW]) == 0
    said = capsys.readouterr()
    page = Path("minuddm-probe", command.PAGE).read_text()
    return said, page, json.loads(Path("minuddm-probe", command.NUMBERS).read_text())


def asks_for_nothing(page):
    parsed = Page(page)
    assert parsed.fetched == []
    assert parsed.wrong == []
    assert parsed.open == []
    assert len(set(parsed.ids)) == len(parsed.ids)
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)|\bsrc\s*=", page)
    assert {"#" + name for name in parsed.ids} >= set(re.findall(r'href="(#[^"]*)"', page))


@pytest.mark.parametrize("process", ["uniform", "masked"])
@pytest.mark.parametrize("lines", [[], ["--lines"]])
def test_a_run_with_two_texts_has_a_page_and_all_numbers(process, lines, capsys):
    main(["train", "text.txt", *TINY, *lines, "--length", "20", "--process", process])
    said, page, numbers = probed(capsys, "--text", "text.txt", "--against", "other.txt")
    assert re.search(r"the network reads [\d,]+ sequences of 20 tokens, .* about \d+ s", said.err)
    assert re.match(
        r"By its own samples, at t = [\d., and]+ (this network|it is undecided)", said.out
    )
    assert "standard errors" in said.out
    asks_for_nothing(page)
    assert page.count("<svg") == 2
    assert numbers["starts"] == list(STARTS)
    subjects = [one["subject"] for one in numbers["verdicts"]]
    assert subjects == ["samples"] * 5 + ["text"] * 4
    assert np.shape(numbers["samples"]) == (6, 20)
    assert np.shape(numbers["levels"]["against"]) == (6, 5)
    assert {len(back["entropy"]) for back in numbers["own"].values()} == {6}
    assert {gap[0] for gap in numbers["gaps"]["recovery"]} == set(STARTS[:-1])
    assert numbers["own"]["1"]["recovery"] == [None] * 6


def test_the_same_command_reads_the_same(capsys):
    main(["train", "text.txt", *TINY])
    first, again = (probed(capsys)[2] for _ in range(2))
    assert first == again
    assert first["text"] == first["gaps"] == {}
    assert first["copied"] is None


@pytest.mark.parametrize("file", [HUB, CHECKPOINT])
def test_a_published_network_needs_no_text_and_its_tokens_are_numbers(file, capsys):
    said, page, numbers = probed(capsys, file, *(["--length", "8"] if file == CHECKPOINT else []))
    asks_for_nothing(page)
    row = " ".join(map(str, numbers["samples"][0]))
    assert row in page
    assert "kept in minuddm-probe" in said.out


def test_a_published_network_reads_texts_with_its_tokenizer(capsys):
    Path("tokenizer.json").write_text(tokenizer())
    known = open_subject(HUB, tokenizer=Path("tokenizer.json")).vocabulary.pieces
    Path("known.txt").write_text("".join(known[1:20]) * 4)
    words = [HUB, "--tokenizer", "tokenizer.json", "--text", "known.txt"]
    said, page, numbers = probed(capsys, *words)
    asks_for_nothing(page)
    assert numbers["text"].keys() == {"0.1", "0.25", "0.5", "0.75"}
    assert "copies of the text" in said.out


def test_a_checkpoint_that_names_its_alphabet_is_read_in_letters(capsys):
    main(["train", "text.txt", *TINY, "--length", "16"])
    checkpoint = Path("minuddm-run/checkpoint.safetensors")
    assert open_subject(checkpoint).vocabulary is None
    _, page, numbers = probed(capsys, checkpoint)
    asks_for_nothing(page)
    assert numbers["V"] == load_model(checkpoint).config.vocab


def test_no_text_and_no_name_is_taken_for_html(capsys):
    Path("text.txt").write_text("\n".join(f"{k} {HOSTILE}" for k in range(30)))
    main(["train", "text.txt", *TINY, "--length", "12", "--out", "<b>mine"])
    _, page, _ = probed(capsys, "<b>mine", "--text", "text.txt")
    asks_for_nothing(page)
    assert "&lt;b&gt;mine" in page
    assert not re.search(r"<(script|img|b)\b", page)


def test_a_text_of_one_sequence_is_corrupted_several_times(capsys):
    main(["train", "text.txt", *TINY, "--length", "16"])
    Path("one.txt").write_text(TEXT[:16])
    _, page, numbers = probed(capsys, "--text", "one.txt", "--against", "other.txt")
    asks_for_nothing(page)
    assert {len(back["entropy"]) for back in numbers["text"].values()} == {6}
    assert numbers["sequences"] == {"text": 1, "against": 6}


def test_an_interrupt_leaves_nothing_half_written(monkeypatch, capsys):
    main(["train", "text.txt", *TINY])

    def interrupted(*given, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "probe", interrupted)
    assert main(["probe", *FEW]) == 130
    assert capsys.readouterr().err.endswith("interrupted\n")
    assert list(Path("minuddm-probe").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gone"], "gone does not exist"),
        (["."], ". holds neither a run nor a published network with its config.json"),
        (["text.txt"], "text.txt is damaged or not a checkpoint"),
        (["--against", "text.txt"], "--against is compared with --text, which is not given"),
        (["--text", "gone.txt"], "gone.txt is neither pydoc, names nor a file that exists"),
        (["--text", "short.txt"], "short.txt has no stretch of 64 characters that the network"),
        (["--text", "foreign.txt"], "the longest stretch has 1"),
        (["--tokenizer", "x.json"], "has its own vocabulary: it takes no tokenizer"),
        (["-n", "1"], "argument -n: must be in 2 … 2048, got 1"),
        (["--out", "text.txt/page"], "the folder text.txt/page cannot be made"),
        ([HUB, "--text", "text.txt"], "give the tokenizer.json that it was trained with"),
        ([HUB, "--tokenizer", "none.json"], "the tokenizer none.json cannot be read"),
    ],
)
def test_what_cannot_be_probed_is_one_line_and_leaves_nothing(words, message, capsys):
    main(["train", "text.txt", *TINY, "--steps", "1"])
    Path("short.txt").write_text("3 times 4 is 12.")
    Path("foreign.txt").write_text("žluťoučký kůň" * 40)
    assert message in refused(capsys, "probe", *words)
    assert not Path("minuddm-probe").exists()
