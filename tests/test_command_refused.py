"""Whatever the command is given: what cannot be is one line, status 2, nothing half-written."""

from pathlib import Path

import pytest
from safetensors.numpy import load, save

from minuddm.checkpoint import checkpoint_metadata
from minuddm.command import run
from minuddm.command.program import main
from tests.command import TEXT, TINY, enter, refused, state


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is neither pydoc, names nor a file that exists"),
        (b"", "is empty"),
        (TEXT.encode("utf-16"), "is not UTF-8 text (byte 0), but UTF-16 or UTF-32"),
        (bytes(range(256)) * 9, "is not UTF-8 text"),
        (b"a" * 500, "1 different characters are kept; at least 2 are needed"),
        (b"too short", "is too short for sequences of length 64"),
    ],
)
def test_a_text_that_cannot_be_used_is_one_line_and_leaves_nothing(content, message, capsys):
    if content is not None:
        Path("bad.txt").write_bytes(content)
    assert message in refused(capsys, "train", "bad.txt", *TINY)
    assert not Path("minuddm-run").exists()


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_and_ends_of_lines_make_no_other_run(mark, end):
    Path("other.txt").write_bytes((mark + TEXT.replace("\n", end)).encode())
    for name in ("text", "other"):
        main(["train", f"{name}.txt", *TINY, "--steps", "1", "--out", name])
    assert state("text") == state("other")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--length", "32"], "whose length is 64 and not 32"),
        (["--seed", "1"], "whose seed is 0 and not 1"),
        (["--process", "masked"], "whose process is uniform and not masked"),
        (["--width", "16"], "whose width is 8 and not 16"),
        (["--lines"], "whose lines is False and not True"),
    ],
)
def test_a_run_of_other_settings_is_not_gone_on_with(words, message, capsys):
    main(["train", "text.txt", *TINY])
    before = state("minuddm-run")
    line = refused(capsys, "train", "text.txt", *TINY, *words)
    assert line == f"minuddm-run holds another run, {message}: give another folder (--out)"
    assert state("minuddm-run") == before


def test_a_run_of_another_text_is_not_gone_on_with(capsys):
    main(["train", "text.txt", *TINY])
    Path("text.txt").write_text(TEXT.replace("times", "plus"))
    assert "holds another run, of another text" in refused(capsys, "train", "text.txt", *TINY)


def test_a_folder_with_other_things_is_left_alone(capsys):
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("…")
    line = refused(capsys, "train", "text.txt", *TINY, "--out", "mine")
    assert "mine is no run and not empty (it has thesis.tex)" in line
    assert [path.name for path in Path("mine").iterdir()] == ["thesis.tex"]
    assert "cannot be made" in refused(capsys, "train", "text.txt", *TINY, "--out", "text.txt/run")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--width", "9"], "width must be a multiple of 2 * heads"),
        (["--steps", "0"], "argument --steps: must be in 1 … 1000000000, got 0"),
        (["--lr", "nan"], "argument --lr: must be positive and finite, got nan"),
        (["--dropout", "1"], "argument --dropout: must lie in [0, 1), got 1"),
        (["--words", "--tokenizer", "x"], "not allowed with argument"),
        (["--tokenizer", "none.json"], "the tokenizer none.json cannot be read: No such file"),
        (["--siz", "tiny"], "unrecognized arguments: --siz tiny"),
    ],
)
def test_options_that_cannot_be_are_one_line_and_leave_nothing(words, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "text.txt", *TINY, *words])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in said
    assert said.count("\n") == 1
    assert not Path("minuddm-run").exists()


@pytest.mark.parametrize("command", [["sample"], ["restore", "text"], ["info"]])
def test_a_run_that_is_not_there_is_one_line(command, capsys):
    line = refused(capsys, *command)
    assert "minuddm-run" in line
    assert "minuddm train makes" in line


@pytest.mark.parametrize(
    "name", ["settings.json", "vocabulary.json", "sequences.safetensors", "checkpoint.safetensors"]
)
@pytest.mark.parametrize("damage", ["missing", "cut", "empty object", "changed"])
def test_a_damaged_run_is_one_line_that_names_the_file(name, damage, capsys):
    main(["train", "text.txt", *TINY])
    path = Path("minuddm-run", name)
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        changed = bytearray(content)
        changed[-40] ^= 1
        new = {"cut": content[:-9], "empty object": b"{}", "changed": bytes(changed)}[damage]
        path.write_bytes(new)
    if (name, damage) == ("settings.json", "changed"):
        return  # a setting is text that anybody may change
    line = refused(capsys, "sample")
    assert name in line or "minuddm-run has no network yet" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["restore", "4" * 65], "the text has 65 characters, and the run's sequences 64"),
        (["restore", ""], "there is no text to restore"),
        (["restore", "3 times", "--known", "7"], "known positions must lie in 0 … 6, got 7"),
        (["restore", "3_times", "--known", "1"], "position 1 cannot be known"),
        (["restore", "3 times", "--mask", "ab"], "--mask must be one character, got 'ab'"),
        (["restore", "3 times", "--t", "0"], "a time must lie in (0, 1], got 0"),
        (["restore", "3 times", "--known", "3-1"], "positions rise, got 3-1"),
        (["restore", "3 times", "--known", "x"], "positions are written as 0-3,7, got 'x'"),
        (["sample", "--prompt", "é"], "the prompt 'é' has others than the run's characters"),
        (["sample", "-n", "0"], "must be in 1 … 10000, got 0"),
        (["info", "text.txt"], "text.txt is damaged or not a checkpoint"),
        (["info", "gone"], "gone does not exist"),
        (["info", "."], ". holds neither a run nor a published network"),
    ],
)
def test_questions_that_have_no_answer_are_one_line(words, message, capsys):
    if words[0] != "info":
        main(["train", "text.txt", *TINY, "--steps", "1"])
    assert message in refused(capsys, *words)


def test_two_runs_of_one_folder_do_not_mix():
    main(["train", "text.txt", *TINY, "--out", "one"])
    main(["train", "text.txt", *TINY, "--out", "two", "--length", "32"])
    Path("two/checkpoint.safetensors").replace("one/checkpoint.safetensors")
    with pytest.raises(ValueError, match=r"is not of this run: sequences\.safetensors is another"):
        run.open_run(Path("one")).network()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--width", "100000000", "--heads", "4"], "weights would take"),
        (["--batch", "1000000000000"], "a batch of 1,000,000,000,000 sequences would take"),
        (["--steps", "1000000000000"], "must be in 1 … 1000000000, got 1000000000000"),
        (["--lr", "1e300"], "lr must be at most 1e+06, got 1e+300"),
    ],
)
def test_what_cannot_be_trained_does_not_stand_in_the_way(words, message, capsys):
    assert message in refused(capsys, "train", "text.txt", *TINY, *words)
    main(["train", "text.txt", *TINY])
    assert run.open_run(Path("minuddm-run")).settings.width == 8


@pytest.mark.parametrize("command", ["sample", "restore", "probe"])
def test_no_chain_is_longer_than_a_million_steps(command, capsys):
    main(["train", "text.txt", *TINY])
    words = ["minuddm-run", *(["a text"] if command == "restore" else [])]
    line = refused(capsys, command, *words, "--steps", "999999999999999")
    assert "must be in 1 … 1000000, got 999999999999999" in line


def test_a_probe_that_cannot_write_its_page_writes_no_numbers(capsys):
    main(["train", "text.txt", *TINY])
    Path("o/probe.html").mkdir(parents=True)
    line = refused(capsys, "probe", "minuddm-run", "-n", "2", "--steps", "1", "--out", "o")
    assert line == "o/probe.html is a folder, where a file would be written"
    assert [path.name for path in Path("o").iterdir()] == ["probe.html"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"training": "[1]"}, "odd.safetensors is damaged: its training cannot be read"),
        ({"training": "nope"}, "odd.safetensors is damaged: its training cannot be read"),
        ({"step": "zzz"}, "odd.safetensors is damaged: step 'zzz'"),
    ],
)
def test_a_checkpoint_without_a_digest_is_not_believed(header, message, capsys):
    """The oldest checkpoints had none: their headers may say anything."""
    main(["train", "text.txt", *TINY])
    of = Path("minuddm-run/checkpoint.safetensors")
    tensors, said = load(of.read_bytes()), checkpoint_metadata(of)
    old = (
        {k: v for k, v in said.items() if k != "sha256"}
        | {"format": "minuddm-checkpoint-1"}
        | header
    )
    Path("odd.safetensors").write_bytes(save(tensors, metadata=old))
    assert message in refused(capsys, "info", "odd.safetensors")


def test_what_a_header_says_is_shown_on_one_line(capsys):
    main(["train", "text.txt", *TINY])
    of = Path("minuddm-run/checkpoint.safetensors")
    tensors, said = load(of.read_bytes()), checkpoint_metadata(of)
    old = {k: v for k, v in said.items() if k != "sha256"}
    old |= {"format": "minuddm-checkpoint-1", "process": "Evil\nnetwork  another"}
    Path("odd.safetensors").write_bytes(save(tensors, metadata=old))
    capsys.readouterr()
    main(["info", "odd.safetensors"])
    shown = capsys.readouterr().out
    assert "Evil↵network  another" in shown


def test_a_log_that_nothing_can_read_is_passed_over(capsys):
    main(["train", "text.txt", *TINY])
    Path("minuddm-run/log.csv").write_text("a," + "b" * 200_000)
    assert main(["info"]) == 0
    assert "6 of 6 steps" in capsys.readouterr().out
