"""Word pieces, static tables and tables distilled of a sentence encoder."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.models.tiny_encoders import VOCABULARY, tokenizer_json, write_bert, write_static

from promise.errors import ConfigError, DataError
from promise.models.encoder import open_encoder
from promise.models.encoder_files import read_safetensors, write_safetensors
from promise.models.encoder_static import distilled
from promise.models.encoder_tokens import WordPieces, Words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Café naïve ÅNGSTRÖM", ["cafe", "naive", "angstrom"]),
        ("tab\there\x00null", ["tab", "herenull"]),
        ("a_b-c's $5.0", ["a", "_", "b", "-", "c", "'", "s", "$", "5", ".", "0"]),
        ("中文ab", ["中", "文", "ab"]),
        ("İstanbul soft\u00adhyphen", ["istanbul", "softhyphen"]),
        ("“quoted” – dash…", ["“", "quoted", "”", "–", "dash", "…"]),
        ("emoji 😀 €5", ["emoji", "😀", "€5"]),
        ("   ", []),
    ],
)
def test_words_are_cut_as_bert_cuts_them(text: str, words: list[str]) -> None:
    assert Words().cut(text) == words


@given(st.text(st.characters(max_codepoint=127)))
def test_both_ways_of_cutting_agree_on_plain_text(text: str) -> None:
    words = Words()
    assert words.cut(text) == text.lower().translate(words._spaced).split()


def test_longest_pieces_win_and_the_rest_is_unknown() -> None:
    pieces = WordPieces(VOCABULARY)
    assert pieces.one("playing Plays unknown") == [
        VOCABULARY[p] for p in ("play", "##ing", "play", "##s", "un", "##known")
    ]
    assert pieces.one("playz " + "x" * 101) == [VOCABULARY["[UNK]"]] * 2


def test_a_vocabulary_file_reads_like_the_tokenizer_file(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY))
    by_lines = WordPieces.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text(tokenizer_json())
    by_json = WordPieces.load(tmp_path)
    text = "The team, playing un-known markets!"
    assert by_lines.one(text) == by_json.one(text)


def test_other_tokenizers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE"}}))
    with pytest.raises(ConfigError, match="WordPiece"):
        WordPieces.load(tmp_path)
    with pytest.raises(ConfigError, match=r"vocab\.txt"):
        WordPieces.load(tmp_path / "none")


def test_a_static_vector_is_the_mean_of_its_pieces(tmp_path: Path) -> None:
    encoder = open_encoder(write_static(tmp_path))
    table = read_safetensors(tmp_path / "model.safetensors")["embeddings"]
    rows = [VOCABULARY[p] for p in ("the", "team", "play", "##s")]
    expected = table[rows].mean(0)
    found = encoder.encode(["The TEAM plays zzz", "zzz", ""])
    np.testing.assert_allclose(found[0], expected / np.linalg.norm(expected), rtol=1e-5)
    np.testing.assert_array_equal(found[1:], 0.0)
    assert (encoder.kind, encoder.size, encoder.max_tokens) == ("static", 6, None)


def test_static_rows_do_not_depend_on_one_another(tmp_path: Path) -> None:
    encoder = open_encoder(write_static(tmp_path))
    texts = ["the match", "goal, goal!", "", "a b a", "market " * 5000]
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    np.testing.assert_array_equal(encoder.encode(texts), alone)
    assert encoder.encode([]).shape == (0, 6)


def test_a_table_in_numpys_format_with_weights(tmp_path: Path) -> None:
    write_static(tmp_path)
    table = read_safetensors(tmp_path / "model.safetensors")["embeddings"]
    (tmp_path / "model.safetensors").unlink()
    np.save(tmp_path / "embeddings.npy", table)
    np.save(tmp_path / "weights.npy", np.arange(len(table), dtype=np.float64))
    goal, team = VOCABULARY["goal"], VOCABULARY["team"]
    expected = goal * table[goal] + team * table[team]
    found = open_encoder(tmp_path).encode(["goal team"])[0]
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), rtol=1e-5)


@pytest.mark.parametrize("zipped", [False, True])
def test_word_vectors_in_a_text_file(tmp_path: Path, zipped: bool) -> None:
    told = b"2 3\ngoal 1 0 0\nbank 0 3 4\n"
    path = tmp_path / ("words.txt.gz" if zipped else "words.vec")
    path.write_bytes(gzip.compress(told) if zipped else told)
    encoder = open_encoder(path)
    found = encoder.encode(["Goal!", "bank", "other"])
    np.testing.assert_allclose(found, [[1, 0, 0], [0, 0.6, 0.8], [0, 0, 0]], rtol=1e-6)
    (tmp_path / "kept").mkdir()
    encoder.save(tmp_path / "kept")
    np.testing.assert_array_equal(
        open_encoder(tmp_path / "kept").encode(["Goal!", "bank"]), found[:2]
    )


def test_a_bad_line_of_word_vectors_is_named(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("goal 1 0\nbank 1\n")
    with pytest.raises(DataError, match="line 2: expected a word and 2 numbers"):
        open_encoder(path)
    path.write_text("")
    with pytest.raises(DataError, match="holds no vectors"):
        open_encoder(path)


def test_what_is_no_encoder_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"")
    with pytest.raises(ConfigError, match="is no encoder"):
        open_encoder(tmp_path / "model.pt")
    with pytest.raises(ConfigError, match="is no encoder"):
        open_encoder(tmp_path)


def test_half_precision_tensors_are_read(tmp_path: Path) -> None:
    values = np.array([[1.0, -2.5], [0.15625, 3.0]], np.float32)
    write_safetensors(tmp_path / "a.safetensors", {"x": values})
    np.testing.assert_array_equal(read_safetensors(tmp_path / "a.safetensors")["x"], values)
    raw = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    told = json.dumps({"x": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "b.safetensors").write_bytes(len(told).to_bytes(8, "little") + told + raw)
    np.testing.assert_array_equal(read_safetensors(tmp_path / "b.safetensors")["x"], values)


def test_a_distilled_table_reads_like_any_other(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the deep extra is not installed")
    sentence = open_encoder(write_bert(tmp_path / "bert"))
    (tmp_path / "table").mkdir()
    made = distilled(sentence, WordPieces.load(tmp_path / "bert"), tmp_path / "table", size=5)
    again = open_encoder(tmp_path / "table")
    texts = ["the team plays", "bank market"]
    assert made.encode(texts).shape == (2, 5)
    np.testing.assert_array_equal(again.encode(texts), made.encode(texts))
    assert again.weights_hash == made.weights_hash


def test_a_vocabulary_file_may_hold_marks_that_end_lines_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes("[UNK]\n\u2028\n\x85\nteam\r\n".encode())
    assert WordPieces.load(tmp_path).one("team") == [3]


def test_words_with_accents_are_found_in_a_text_file(tmp_path: Path) -> None:
    path = tmp_path / "words.vec"
    path.write_text("cafe 1 0\ncafé 0 1\nüber 0 1\nй 1 1\n", encoding="utf-8")
    encoder = open_encoder(path)
    found = encoder.encode(["Über", "über", "Café", "Й"])
    np.testing.assert_allclose(found, [[0, 1], [0, 1], [1, 0], [0.5**0.5, 0.5**0.5]], atol=1e-6)
    (tmp_path / "to").mkdir()
    encoder.save(tmp_path / "to")
    np.testing.assert_array_equal(open_encoder(tmp_path / "to").encode(["über"]), found[1:2])
