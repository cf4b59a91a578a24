import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuddm.text import PAD
from minuddm.vocabulary import HOLE, Characters, Subwords, Unit, Vocabulary, Words

TEXT = "The cat, it's said, sat.\n\n  A cat\tsat: 猫が。 naïve_x 3.14\n"


def tokenizer(kind="bytes"):
    """A small tokenizer.json; of bytes, or of words with an unknown token."""
    pytest.importorskip("tokenizers", reason="needs the extra text")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if kind == "bytes":
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=300, special_tokens=["<|end|>"], show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        )  # fmt: skip
    else:
        made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.pre_tokenizer = pre_tokenizers.Whitespace()
        made.decoder = decoders.WordPiece()
        special = ["[UNK]", "[CLS]"]
        trainer = trainers.WordPieceTrainer(
            vocab_size=60, special_tokens=special, show_progress=False
        )
    made.train_from_iterator(["the cat sat on the mat, the rat sat"] * 3, trainer)
    return made.to_str()


def of(text, unit=None, most=1000, least=1, lines=False):
    unit = unit or Characters()
    return Vocabulary.of(unit, [unit.cut(text)], most, least, lines)


# ---- units --------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [Characters(), Words()])
@given(text=st.text())
def test_pieces_are_the_whole_text(unit: Unit, text: str):
    assert "".join(unit.spell(unit.cut(text))) == text


def test_words_take_the_space_before_them_and_marks_stand_alone():
    assert Words().cut("It's  said:\n a_b") == ["It", "'", "s", " ", " said", ":", "\n", " a_b"]


def test_tokens_of_bytes_are_the_whole_text_and_half_a_character_waits_for_the_other():
    unit = Subwords(tokenizer())
    pieces = unit.cut(TEXT)
    shown = unit.spell(pieces)
    assert len(shown) == len(pieces)
    assert "".join(shown) == TEXT
    assert not any("\ufffd" in piece for piece in shown)
    assert unit.spell([PAD, *unit.cut("cat"), PAD, PAD])[-2:] == [PAD, PAD]


def test_a_tokenizer_adds_nothing_and_its_special_tokens_are_named():
    assert Subwords(tokenizer()).special == {"<|end|>"}
    unit = Subwords(tokenizer("words"))
    assert unit.special == {"[UNK]", "[CLS]"}
    assert "".join(unit.spell(unit.cut("the cat sat"))) == "the cat sat"


def test_a_file_that_is_no_tokenizer_is_one_line(tmp_path):
    pytest.importorskip("tokenizers", reason="needs the extra text")
    path = tmp_path / "tokenizer.json"
    for content in (b"{}", b"", b"\xff", b"[1]"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"tokenizer\.json cannot be read: ") as error:
            Subwords.read(path)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        Subwords.read(tmp_path / "none")


def test_the_library_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(ValueError, match=r"pip install 'minuddm\[text\]'"):
        Subwords.read(tmp_path / "t.json")


# ---- vocabularies -------------------------------------------------------------------------------


@given(text=st.text("abc \n", min_size=1), most=st.integers(2, 5), least=st.integers(1, 4))
def test_what_is_kept_is_encoded_and_decoded_and_the_rest_are_holes(text, most, least):
    try:
        vocabulary = of(text, most=most, least=least)
    except ValueError:
        assert sum(text.count(c) >= least for c in set(text)) < 2
        return
    assert most >= vocabulary.V
    tokens = vocabulary.encode(text)
    kept = tokens != HOLE
    assert "".join(vocabulary.spell(tokens[kept])) == "".join(np.array(list(text))[kept])
    rarest = min(text.count(c) for c in vocabulary.pieces)
    assert rarest >= least
    missing = {text.count(c) for c, token in zip(text, tokens, strict=True) if token == HOLE}
    assert most == vocabulary.V or max(missing, default=0) < least
    assert max(missing, default=0) <= rarest or max(missing) < least


def test_lines_keep_what_fills_them_up_whether_or_not_it_occurs():
    assert of("abab", most=2, lines=True).pieces == (PAD, "a")


def test_special_tokens_are_holes_and_never_kept():
    unit = Subwords(tokenizer("words"))
    text = "the cat ξ sat [CLS] the"
    vocabulary = of(text, unit)
    assert not {"[UNK]", "[CLS]"} & set(vocabulary.pieces)
    tokens = vocabulary.encode(text)
    assert (tokens == HOLE).sum() == 2
    assert "".join(vocabulary.spell(tokens[:2])) == "the cat"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"most": 1}, "vocab must lie in 2 … 65536, got 1"),
        ({"least": 0}, "least must be at least 1, got 0"),
        ({"least": 9}, "0 different characters are kept; at least 2"),
    ],
)
def test_vocabularies_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        of("aabb", **options)


def test_a_tokenizer_survives_json():
    unit = Subwords(tokenizer())
    again = Subwords(json.loads(json.dumps(unit.content)))
    assert again.cut(TEXT) == unit.cut(TEXT)
