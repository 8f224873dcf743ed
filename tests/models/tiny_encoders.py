"""Small encoders with weights by chance, written as published ones are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from promise.data.columns import Array
from promise.models.encoder_files import write_safetensors

WORDS = (
    "the", "match", "goal", "team", "bank", "market", "share", "price", "film", "actor", "##s",
    "##ing", "play", "un", "##known", ".", ",", "!", "a", "b",
)  # fmt: skip
MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
VOCABULARY = {piece: number for number, piece in enumerate((*MARKS, *WORDS))}
SIZE, LAYERS, HEADS, INNER, WINDOW = 16, 2, 2, 32, 12


def tokenizer_json(lower: bool = True) -> str:
    """Return the tokenizer file over the vocabulary."""
    return json.dumps(
        {
            "normalizer": {"type": "BertNormalizer", "lowercase": lower},
            "model": {"type": "WordPiece", "vocab": VOCABULARY, "unk_token": "[UNK]"},
        }
    )


def tensors(seed: int = 0) -> dict[str, Array]:
    """Return the weights of a BERT, by the names that published ones have."""
    rng = np.random.default_rng(seed)

    def drawn(*shape: int) -> Array:
        return rng.normal(0, 0.3, shape).astype(np.float32)

    found = {
        "embeddings.word_embeddings.weight": drawn(len(VOCABULARY), SIZE),
        "embeddings.position_embeddings.weight": drawn(WINDOW + 8, SIZE),
        "embeddings.token_type_embeddings.weight": drawn(2, SIZE),
        "embeddings.LayerNorm.weight": 1 + drawn(SIZE),
        "embeddings.LayerNorm.bias": drawn(SIZE),
    }
    linear = {
        **{f"attention.self.{part}": (SIZE, SIZE) for part in ("query", "key", "value")},
        "attention.output.dense": (SIZE, SIZE),
        "intermediate.dense": (INNER, SIZE),
        "output.dense": (SIZE, INNER),
    }
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}."
        for part, shape in linear.items():
            found[f"{name}{part}.weight"], found[f"{name}{part}.bias"] = (
                drawn(*shape),
                drawn(shape[0]),
            )
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            found[f"{name}{part}.weight"], found[f"{name}{part}.bias"] = (
                1 + drawn(SIZE),
                drawn(SIZE),
            )
    return found


def write_bert(folder: Path, seed: int = 0) -> Path:
    """Write a whole sentence encoder; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "bert", "hidden_size": SIZE, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "intermediate_size": INNER, "hidden_act": "gelu",
        "max_position_embeddings": WINDOW + 8, "layer_norm_eps": 1e-12,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": WINDOW}))
    (folder / "tokenizer.json").write_text(tokenizer_json())
    write_safetensors(folder / "model.safetensors", tensors(seed))
    return folder


def write_static(folder: Path, size: int = 6) -> Path:
    """Write a static table with its tokenizer; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    table = np.random.default_rng(1).normal(size=(len(VOCABULARY), size)).astype(np.float32)
    write_safetensors(folder / "model.safetensors", {"embeddings": table})
    (folder / "config.json").write_text(json.dumps({"model_type": "model2vec"}))
    (folder / "tokenizer.json").write_text(tokenizer_json())
    return folder
