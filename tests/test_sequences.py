import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuddm.sequences import _different, _stretches, read_sequences
from minuddm.vocabulary import HOLE, Characters, Words

LETTERS = "the quick brown fox jumps over the lazy dog and runs away from it all "


def read(files, length=None, unit=None, **options):
    return read_sequences(files, unit or Characters(), length, **options)


def numbered(n):
    return " ".join(f"{k}" for k in range(n))


def test_windows_are_of_the_text_and_the_last_tenth_is_held_out(file):
    text = numbered(400)
    found = read(file(text), 16)
    first, last = text[: len(text) - len(text) // 10], text[len(text) - len(text) // 10 :]
    assert all(row in first for row in found.vocabulary.decode(found.training))
    assert "".join(found.vocabulary.decode(found.held_out)) == last[: len(last) // 16 * 16]
    assert found.lost < 16 / len(text) * 2
    assert found.rare == 0


def test_windows_to_learn_from_overlap_and_show_each_token_in_several_places(file):
    found = read(file(numbered(400)), 16)
    one, two = found.training[:2]
    np.testing.assert_array_equal(one[2:], two[:-2])


def test_every_file_has_a_tenth_held_out_and_no_window_spans_two(file):
    files = [file("ab" + "0123456789" * 3 + "xyz", "one"), file("cdefghijklmnopqrstuvwxyz", "two")]
    found = read(files, 3)
    both = [path.read_text() for path in files]
    for rows in (found.training, found.held_out):
        texts = found.vocabulary.decode(rows)
        assert all(any(row in text for text in both) for row in texts)
    assert found.vocabulary.decode(found.held_out) == ["xyz"]  # the other "xyz" is the same


@given(text=st.text("abcdé", min_size=40, max_size=200), length=st.integers(2, 6))
def test_no_sequence_held_out_is_learnt_from_and_none_has_a_hole(text, length, tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(text)
    try:
        found = read(path, length, most=3)
    except ValueError as error:
        assert any(why in str(error) for why in ("too short", "repeats itself", "different"))
        return
    for rows in (found.training, found.held_out):
        assert rows.min() >= 0
        assert all(row in text for row in found.vocabulary.decode(rows))
    learnt = {row.tobytes() for row in found.training}
    assert not learnt & {row.tobytes() for row in found.held_out}
    assert 0 <= found.rare <= found.lost < 1


def test_what_is_lost_is_counted(file):
    found = read(file("abcdabcd" * 8 + "é" + "dcbadacb" * 8 + "acca"), 4, least=2)
    assert found.rare == pytest.approx(1 / 133)
    assert found.lost == pytest.approx(2 / 133)  # and one that fills no window of the last 13


def test_lines_are_different_filled_up_and_a_tenth_is_held_out(file):
    lines = [f"{k}" for k in range(40)]
    found = read(file("\r\n".join([*lines, "", *lines])), lines=True)
    decoded = found.vocabulary.decode(np.concatenate([found.training, found.held_out]))
    assert sorted(row.rstrip("\n") for row in decoded) == sorted(lines)
    assert found.training.shape == (36, 2)
    again, other = (read(file("\n".join(lines)), lines=True, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(found.held_out, again.held_out)
    assert (found.held_out != other.held_out).any()


def test_lines_that_are_long_or_hold_a_rare_piece_are_left_out_and_counted(file):
    found = read(file("ab\nba\nabé\nabab\n"), 3, lines=True, least=2)
    assert sorted(found.vocabulary.decode(np.vstack([found.training, found.held_out]))) == [
        "ab\n", "ba\n"
    ]  # fmt: skip
    assert found.lost == pytest.approx(7 / 11)
    assert found.rare == pytest.approx(1 / 11)


def test_words_that_are_rare_are_in_no_sequence(file):
    text = LETTERS * 6 + "zebra " + " ".join(LETTERS.split()[::-1])
    found = read(file(text), 4, Words(), least=2)
    shown = "".join(found.vocabulary.decode(np.vstack([found.training, found.held_out])))
    assert "zebra" not in shown
    assert " fox" in found.vocabulary.pieces
    assert found.rare > 0


def test_stretches_lie_between_holes():
    x = np.array([HOLE, 1, 2, HOLE, HOLE, 3, HOLE], np.int32)
    assert [part.tolist() for part in _stretches([x, x[:1], x[1:2]])] == [[1, 2], [3], [1]]


def test_different_rows_keep_their_order():
    rows = np.array([[1, 2], [0, 0], [1, 2], [3, 3]], np.int32)
    np.testing.assert_array_equal(_different(rows, rows[:0]), rows[[0, 1, 3]])
    np.testing.assert_array_equal(_different(rows, rows[1:2]), rows[[0, 3]])


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, "is empty"),
        ("some words".encode("utf-16"), {}, "not UTF-8 text .*UTF-16"),
        (b"\x00\x01\x02\xff" * 99, {}, "is not UTF-8 text"),
        ("a" * 200, {}, "1 different characters are kept; at least 2"),
        ("abcdefgh", {"length": 6}, "too short for sequences of length 6.*stretch has 8"),
        ("ab" * 300, {"length": 8}, "repeats itself"),
        ("abcdef", {"length": 1}, "length must lie in 2 … 4096, got 1"),
        ("abcdef\n", {"lines": True}, "1 different lines of at most 6"),
        (
            "abcdef\nbcdefa\n",
            {"lines": True, "length": 3},
            "0 different lines.*shortest line has 6",
        ),
    ],
)
def test_unusable_text_gets_one_clear_line(file, content, options, message):
    with pytest.raises(ValueError, match=message) as error:
        read(file(content), **options)
    assert "\n" not in str(error.value)
