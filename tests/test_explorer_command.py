"""Where the page's networks come from, what cannot be shown, and how the command ends."""

import hashlib
import json
import re
import signal
import socket

import numpy as np
import pytest

from experiments.explorer import checkpoints, messages
from experiments.explorer.__main__ import main
from minuddm import Absorbing, ModelConfig, TrainConfig, Transformer, load_text
from minuddm.command import program as minuddm
from minuddm.command.run import open_run
from minuddm.train import train
from tests.test_program import start

SMALL = [
    *("--subsets", "4", "8", "--steps", "20", "--sequences", "10", "--grid", "8", "--jobs", "1"),
    *("--width", "16", "--heads", "2", "--blocks", "1", "--times", "0.2", "0.5", "--length", "8"),
]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat"], size=600)
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(" ".join(words))
    return path


@pytest.fixture(scope="module")
def trained(text, tmp_path_factory):
    """The folder of a small main job, and the page exported of it."""
    out = tmp_path_factory.mktemp("main job")
    words = ["--data", str(text), "--out", str(out), *SMALL]
    main([*words, "--export", str(out / "page.html")])
    return out, words


def exported(path):
    return json.loads(re.search(r'id="data">(.*?)</script>', path.read_text())[1])


def test_without_networks_they_are_trained_and_then_found_again(trained, monkeypatch):
    out, words = trained
    data = exported(out / "page.html")
    assert [run["name"] for run in data["runs"]] == [
        f"P = {P} (16 × 1, 20 steps)" for P in (4, 8)
    ]  # fmt: skip
    asked = {(one["run"], one["source"], one["number"], one["t"]) for one in data["recorded"]}
    assert len(asked) == len(data["recorded"]) == 2 * 2 * 2 * 2  # P × sources × sequences × times
    for one in data["recorded"]:
        assert [restoring["model"] for restoring in one["restorings"]] == [
            "network", "dataset_ideal", "token_memory"
        ]  # fmt: skip
    monkeypatch.setattr(checkpoints, "compute", None)
    main([*words, "--export", str(out / "again.html")])
    assert (out / "again.html").read_bytes() == (out / "page.html").read_bytes()


def test_the_sequences_of_a_checkpoint_are_those_it_was_trained_on(trained, text):
    out, _ = trained
    corpus = load_text(text, 8)
    training, test = corpus.split(10, 0)
    for run, P in zip(exported(out / "page.html")["runs"], (4, 8), strict=True):
        assert run["training"] == training.tokens[: min(P, messages.RECORDED)].tolist()
        assert run["unseen"] == test.tokens[: messages.RECORDED].tolist()
        assert checkpoints.first(training.tokens, hashlib.sha256(
            training.tokens[:P].tobytes()).hexdigest()) == P  # fmt: skip
    assert checkpoints.first(training.tokens, "") is None


def test_what_minuddm_train_left_is_shown_with_its_own_sequences(text, tmp_path, capsys):
    small = ["--steps", "3", "--length", "24", "--width", "16", "--heads", "2", "--blocks", "1"]
    run = tmp_path / "run"
    assert minuddm.main(["train", str(text), "--out", str(run), *small]) == 0
    main([str(run), "--export", str(tmp_path / "page.html"), "--times", "0.3", "--grid", "4"])
    (shown,) = exported(tmp_path / "page.html")["runs"]
    of = open_run(run)
    assert shown["name"] == f"run: P = {len(of.training):,} (16 × 1, 3 steps)"
    assert shown["training"] == of.training[: messages.RECORDED].tolist()
    assert shown["unseen"] == of.held_out[: messages.RECORDED].tolist()
    assert minuddm.main(["train", str(text), "--words", "--out", str(tmp_path / "w"), *small]) == 0
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path / "w"), "--export", str(tmp_path / "words.html")])
    assert "has learnt words; shown are characters" in capsys.readouterr().err


def test_a_run_is_named_by_file_or_folder_and_of_either_process(trained, text, tmp_path, capsys):
    out, words = trained
    corpus = load_text(text, 8)
    few = corpus.split(10, 0)[0].subset(3).tokens
    size = ModelConfig(corpus.V, 8, 16, 1, 2, 8, states=corpus.V + 1)
    train(Transformer.init(size, np.random.default_rng(0)), few, TrainConfig(steps=2),
          process=Absorbing(corpus.V), checkpoint=tmp_path / "run.safetensors",
          about={"alphabet": corpus.alphabet})  # fmt: skip
    file = next((out / "cells").glob("*P=000004*.safetensors"))
    main([str(tmp_path), str(file), *words, "--export", str(tmp_path / "page.html")])
    names = [run["name"] for run in exported(tmp_path / "page.html")["runs"]]
    assert names == ["P = 4 (16 × 1, 20 steps)", "P = 3 (16 × 1, 2 steps, masked)"]
    (tmp_path / "other.txt").write_text("a mat sat on the cat " * 9)
    words = ["--data", str(tmp_path / "other.txt"), *SMALL]
    main([str(file), *words, "--export", str(tmp_path / "alone.html")])
    assert "it is shown alone" in capsys.readouterr().err
    [run] = exported(tmp_path / "alone.html")["runs"]
    assert (run["training"], run["unseen"]) == ([], [])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nothing.safetensors"], "nothing.safetensors does not exist"),
        (["{empty}"], "holds no checkpoint"),
        (["{damaged}"], "damaged or not a checkpoint"),
        (["--port", "70000"], "must be in 0 … 65535, got 70000"),
        (["--port", "{taken}", "{cells}"], "Address already in use"),
        (["--export", "{damaged}/page.html", "{cells}"], "cannot be written"),
        (["--data", "nowhere.txt"], "neither pydoc, names nor a file"),
    ],
)
def test_what_cannot_be_shown_gets_one_line_and_status_two(words, line, trained, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged.safetensors").write_bytes(b"\0" * 100)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        places = {"empty": tmp_path / "empty", "damaged": tmp_path / "damaged.safetensors",
                  "taken": taken.getsockname()[1], "cells": trained[0] / "cells"}  # fmt: skip
        with pytest.raises(SystemExit) as stop:
            main([*trained[1], *(word.format(**places) for word in words)])
    errors = capsys.readouterr().err.strip()
    assert stop.value.code == 2
    assert line in errors
    assert "\n" not in errors


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_served_page_ends_when_it_is_told_to(which, trained):
    process = start("-m", "experiments.explorer", *trained[1], "--port", "0")
    said = process.stdout.readline()
    url = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/ \(Ctrl-C ends it\)\n", said)
    with socket.create_connection(("127.0.0.1", int(url[1]))):  # a connection that stays open
        process.send_signal(which)
        rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest, errors) == (0, "", "")
