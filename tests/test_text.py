import hashlib

import numpy as np
import pytest

from minuddm.text import PAD, load_text


def test_the_default_corpus_is_english_in_28_characters():
    corpus = load_text("pydoc", 32)
    assert corpus.alphabet == " .abcdefghijklmnopqrstuvwxyz"
    assert len(corpus) > 5000
    assert len(corpus.sha256) == 64
    text = "".join(corpus.decode(corpus.tokens[:200]))
    assert " the " in text
    assert not corpus.unknown


def test_windows_cut_the_text_and_decode_back(file):
    corpus = load_text(file("abcdefghij"), 3)
    assert corpus.decode(corpus.tokens) == ["abc", "def", "ghi"]
    assert corpus.alphabet == "abcdefghij"


def test_no_sequence_occurs_twice(file):
    corpus = load_text(file("abcabcabdabc"), 3)
    assert corpus.decode(corpus.tokens) == ["abc", "abd"]


def test_lines_are_padded_and_long_ones_dropped_and_counted(file):
    corpus = load_text(file("ab\n\nabc\r\nabcdefgh\nab\n"), 4, lines=True)
    assert corpus.decode(corpus.tokens) == ["ab" + 2 * PAD, "abc" + PAD]
    assert corpus.dropped == 1


def test_lines_are_as_long_as_the_longest_unless_told_otherwise(file):
    corpus = load_text(file("ab\nabcd\n"), lines=True)
    assert corpus.decode(corpus.tokens) == ["ab" + 2 * PAD, "abcd"]
    assert load_text("pydoc").tokens.shape[1] == 32


def test_padding_is_told(file):
    corpus = load_text(file("ab\nabcd\n"), lines=True)
    assert corpus.alphabet[corpus.pad] == PAD
    assert corpus.padding == 2 / 8
    windows = load_text(file("ab\nabcd\n"), 4)
    assert windows.pad is None
    assert windows.padding == 0


def test_lines_that_are_all_too_long_are_refused_with_the_length_they_need(file):
    path = file("".join(f"{'a' * 34}{k}\n" for k in range(4)))
    with pytest.raises(ValueError, match="at most 32 characters: the shortest has 35"):
        load_text(path, lines=True)
    assert load_text(path, 35, lines=True).tokens.shape == (4, 35)


def test_the_digest_is_that_of_the_file(file):
    content = b"\xef\xbb\xbfab\r\nba\r\n"
    assert load_text(file(content), 2).sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_marks_and_ends_of_lines_leave_no_trace(file, end, mark):
    corpus = load_text(file(f"{mark}ab{end}{end}ba{end}"), 2, lines=True)
    assert corpus.decode(corpus.tokens) == ["ab", "ba"]
    assert corpus.alphabet == "\nab"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_utf_16_is_named_as_such(file, encoding, mark):
    with pytest.raises(ValueError, match=r"is not UTF-8 text \(byte .*\), but UTF-16 or"):
        load_text(file(f"{mark}some words, no more".encode(encoding)), 4)


def test_a_byte_of_zero_in_a_text_is_a_character(file):
    corpus = load_text(file("ab\0ab" * 9), 5)
    assert corpus.alphabet == "\0ab"
    assert corpus.decode(corpus.tokens) == ["ab\0ab"]


def test_several_files_are_one_corpus_and_no_sequence_spans_two(file):
    paths = [file("\ufeffabcab", "one"), file("cdc\r\nd", "two"), file("x", "three")]
    corpus = load_text(paths, 3)
    assert corpus.decode(corpus.tokens) == ["abc", "cdc"]
    assert corpus.alphabet == "\nabcdx"
    assert corpus.name == f"{paths[0]} and 2 more"
    whole = b"".join(path.read_bytes() for path in paths)
    assert corpus.sha256 == hashlib.sha256(whole).hexdigest()
    lines = load_text(paths, lines=True)
    assert lines.decode(lines.tokens) == ["abcab", "cdc\n\n", "d" + 4 * PAD, "x" + 4 * PAD]
    one, alone = load_text(paths[:1], 3), load_text(paths[0], 3)
    assert (one.name, one.sha256, one.alphabet) == (alone.name, alone.sha256, alone.alphabet)


def test_no_file_and_a_file_that_is_missing_among_several_are_refused(file):
    with pytest.raises(ValueError, match="at least one file, got none"):
        load_text([], 3)
    with pytest.raises(ValueError, match="gone is neither"):
        load_text([file("abcdef"), "gone"], 3)
    for wrong in (3, b"text", None, ["text", 3]):
        with pytest.raises(TypeError, match="a text must be a name or a path, got"):
            load_text(wrong, 3)


def test_a_line_of_a_million_characters_is_dropped_or_cut(file):
    path = file("ab" * 500_000 + "\nab\nba\n")
    corpus = load_text(path, lines=True)
    assert (len(corpus), corpus.dropped) == (2, 1)
    with pytest.raises(ValueError, match="the shortest has 1000000, so cut it without lines"):
        load_text(file("ab" * 500_000), lines=True)
    assert len(load_text(path, 64)) == 1


def test_a_text_of_one_character_is_refused_unless_its_lines_end(file):
    with pytest.raises(ValueError, match=r"no window of 32 characters \(1 characters in all\)"):
        load_text(file("a"))
    with pytest.raises(ValueError, match="1 different characters"):
        load_text(file("a" * 100))
    assert load_text(file("a"), lines=True).decode([[1, 0]]) == ["a" + PAD]


def test_genes_and_code_are_text_like_any_other(file):
    genes = load_text(file(">chr1\n" + "ACGT" * 100 + "\n"), 16)
    assert set("ACGT") < set(genes.alphabet)
    code = "def f(x):\n\treturn x  # π\n"
    corpus = load_text(file(code * 3), len(code))
    assert corpus.decode(corpus.tokens) == [code]


def test_rare_characters_are_left_out_and_counted(file):
    corpus = load_text(file("aaabbbcé" * 3), 2, vocab=2)
    assert corpus.alphabet == "ab"
    assert corpus.unknown == {"c": 3, "é": 3}
    lines = load_text(file("ab\naéb\nba\n"), 3, lines=True, vocab=3)
    assert lines.unknown == {"é": 1}
    assert lines.decode(lines.tokens) == ["ab" + PAD, "ba" + PAD]


def test_a_rare_newline_is_left_out_and_counted_like_any_other_character(file):
    corpus = load_text(file("Title\n" + "abcdefghij" * 20), 32, vocab=8)
    assert corpus.V == 8
    assert corpus.unknown["\n"] == 1
    assert "\n" not in corpus.alphabet
    kept = load_text(file("ab\n" * 20 + "cd"), 4, vocab=3)
    assert set("".join(kept.decode(kept.tokens))) == set("ab\n")


def test_subsets_are_nested_and_share_no_sequence_with_the_test_set():
    corpus = load_text("pydoc", 32)
    training, test = corpus.split(500, seed=1)
    assert len(training) + len(test) == len(corpus)
    small, large = training.subset(16).tokens, training.subset(300).tokens
    np.testing.assert_array_equal(small, large[:16])
    unseen = {row.tobytes() for row in test.tokens}
    assert not unseen & {row.tobytes() for row in training.tokens}


def test_the_split_is_the_seeds():
    corpus = load_text("pydoc", 32)
    one, two, other = (corpus.split(100, seed)[1].tokens for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_the_names_need_their_package_and_say_so(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'minuddm\[data\]'"):
        load_text("names", 12)


def test_the_names_are_surnames_one_a_line(monkeypatch, tmp_path):
    (tmp_path / "dist.all.last").write_text("SMITH 1.0 1.0 1\nLEE 0.3 1.3 2\nSMITH 0.1 1 3\n")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr("importlib.resources.files", lambda name: tmp_path)
    corpus = load_text("names", 6)
    assert corpus.decode(corpus.tokens) == ["smith" + PAD, "lee" + 3 * PAD]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, "is empty"),
        (" \n\n", {}, "is empty"),
        (b"\xff\xfe\x00", {}, r"is not UTF-8 text \(byte 0\)"),
        (b"\xef\xbb\xbfab\xe9", {}, r"is not UTF-8 text \(byte 5\)$"),
        ("short", {"length": 32}, r"no window of 32 characters \(5 characters in all\)"),
        ("too long a line\n", {"length": 4, "lines": True}, "no line of at most 4 characters"),
        ("aaaaaaaa", {"length": 4}, "1 different characters; at least 2"),
        ("abcdef", {"length": 1}, "length must lie in 2 … 4096, got 1"),
        ("abcdef", {"length": 2, "vocab": 1}, "vocab must lie in 2 … 4096, got 1"),
    ],
)
def test_unusable_text_gets_one_clear_line(file, content, options, message):
    with pytest.raises(ValueError, match=message) as error:
        load_text(file(content), **({"length": 2} | options))
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(ValueError, match="neither pydoc, names nor a file"):
        load_text(tmp_path / "none.txt", 4)
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        load_text(tmp_path, 4)


def test_more_sequences_than_there_are_cannot_be_had(file):
    corpus = load_text(file("abcdefghijkl"), 2)
    with pytest.raises(ValueError, match=r"P must lie in 1 … 6, .* got 7"):
        corpus.subset(7)
    with pytest.raises(ValueError, match="between 1 and 5 of the 6 sequences"):
        corpus.split(6, 0)
    with pytest.raises(ValueError, match="has one sequence, which cannot be split"):
        load_text(file("abcd"), 4).split(1, 0)
