"""The forward pass of BERT-like encoders in plain PyTorch, without padding.

Token rows of all sequences lie one below the other; attention runs for all sequences of one length
at once. So no time goes into padding, and on a processor a row has the same digits whatever stands
beside it: its matrix products add in the same order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from promise.data.columns import Array, FloatArray
from promise.errors import ArtifactError, ConfigError, MissingExtra
from promise.models.encoder_files import read_tensors

Precision = Literal["float32", "bfloat16"]
LEAST_ROWS = 4  # with fewer, matrix products of some libraries add in another order
_LAYER = "encoder.layer.{}."


@dataclass(frozen=True)
class Shape:
    """How large a BERT is.

    Parameters
    ----------
    most_positions
        The longest sequence, marks included.
    """

    size: int
    layers: int
    heads: int
    most_positions: int
    epsilon: float

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read `config.json`.

        Raises
        ------
        ConfigError
            When it is no BERT, or one with parts that this does not compute.
        """
        told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        expected = {
            "model_type": ("bert",),
            "position_embedding_type": ("absolute", None),
            "hidden_act": ("gelu", None),
        }
        for key, known in expected.items():
            if told.get(key) not in known:
                raise ConfigError(
                    f"{folder}/config.json says {key} = {told.get(key)!r}; this computes "
                    f"{known[0]!r} alone (MiniLM, BGE, E5, GTE and other encoders made of BERT)."
                )
        return cls(
            size=int(told["hidden_size"]),
            layers=int(told["num_hidden_layers"]),
            heads=int(told["num_attention_heads"]),
            most_positions=int(told["max_position_embeddings"]),
            epsilon=float(told.get("layer_norm_eps", 1e-12)),
        )


@dataclass(frozen=True, eq=False)
class Bert:
    """A BERT whose weights lie on one device.

    Parameters
    ----------
    precision
        Of the layers' matrix products; `bfloat16` is faster where the processor multiplies it.
    """

    shape: Shape
    tensors: dict[str, Any]
    device: str = "cpu"
    precision: Precision = "float32"

    @classmethod
    def load(cls, folder: Path, device: str = "cpu", precision: Precision = "float32") -> Self:
        """Read weights and put them where they are used.

        Raises
        ------
        ConfigError, ArtifactError, MissingExtra
            When files are missing, do not fit or PyTorch is not installed.
        """
        torch = torch_or_told()
        shape, arrays = Shape.read(folder), read_tensors(folder)
        plain = {name.removeprefix("bert."): array for name, array in arrays.items()}
        missing = [name for name in _names(shape) if name not in plain]
        if missing:
            raise ArtifactError(f"the weights in {folder} lack {missing[0]} ({len(missing)} lack).")
        found = {
            name: torch.from_numpy(np.array(plain[name], dtype=np.float32))
            for name in _names(shape)
        }
        return cls(shape, _placed(found, shape, device, precision), device, precision)

    def means(
        self, rows: Sequence[Sequence[int]], weights: Sequence[FloatArray | None], first: bool
    ) -> FloatArray:
        """Return the weighted sum of each sequence's token vectors, float32 (n, size).

        Parameters
        ----------
        rows
            Numbers of pieces, marks included; sequences of one length stand together.
        weights
            Of each token; None for 1 each.
        first
            Whether the first token alone is what counts.
        """
        import torch

        lengths = [len(one) for one in rows]
        numbers = np.fromiter((n for one in rows for n in one), np.int64, sum(lengths))
        with torch.inference_mode():
            hidden = self._hidden(numbers, lengths)
            if first:
                starts = np.cumsum([0, *lengths[:-1]])
                found = hidden[torch.from_numpy(starts).to(self.device)]
            else:
                found = torch.cat(list(_sums(hidden, lengths, weights)))
            answer: FloatArray = found.float().cpu().numpy()
        return answer

    def _hidden(self, numbers: Array, lengths: list[int]) -> Any:
        """Return the last layer's token vectors, (n_tokens or LEAST_ROWS, size)."""
        import torch
        from torch.nn import functional

        positions = np.concatenate([np.arange(length) for length in lengths])
        short = max(0, LEAST_ROWS - len(numbers))
        if short:
            numbers, positions = (np.pad(one, (0, short)) for one in (numbers, positions))
        t, of = self.tensors, "embeddings."
        at = torch.from_numpy(numbers).to(self.device)
        where = torch.from_numpy(positions).to(self.device)
        x = t[f"{of}word_embeddings.weight"][at] + t[f"{of}position_embeddings.weight"][where]
        x = self._normed(x + t[f"{of}token_type_embeddings.weight"][0], f"{of}LayerNorm")
        runs = [(length, len(list(group))) for length, group in groupby(lengths)]
        for layer in range(self.shape.layers):
            name = _LAYER.format(layer)
            mixed = self._attention(self._linear(x, f"{name}qkv"), runs)
            x = self._normed(
                x + self._linear(mixed, f"{name}attention.output.dense"),
                f"{name}attention.output.LayerNorm",
            )
            inner = functional.gelu(self._linear(x, f"{name}intermediate.dense"))
            x = self._normed(
                x + self._linear(inner, f"{name}output.dense"), f"{name}output.LayerNorm"
            )
        return x

    def _attention(self, qkv: Any, runs: list[tuple[int, int]]) -> Any:
        """Let the tokens of each sequence attend to one another; runs are (length, sequences)."""
        import torch
        from torch.nn import functional

        size, heads = self.shape.size, self.shape.heads
        mixed = torch.zeros_like(qkv[:, :size])
        start = 0
        for length, n in runs:
            end = start + length * n
            split = qkv[start:end].view(n, length, 3, heads, size // heads)
            q, k, v = split.permute(2, 0, 3, 1, 4)  # each (n, heads, length, head size)
            told = functional.scaled_dot_product_attention(q, k, v)
            mixed[start:end] = told.transpose(1, 2).reshape(-1, size)
            start = end
        return mixed

    def _linear(self, x: Any, name: str) -> Any:
        from torch.nn import functional

        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        if self.precision == "float32":
            return functional.linear(x, weight, bias)
        return functional.linear(x.bfloat16(), weight, bias).float()

    def _normed(self, x: Any, name: str) -> Any:
        from torch.nn import functional

        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        return functional.layer_norm(x, (self.shape.size,), weight, bias, self.shape.epsilon)


def _sums(hidden: Any, lengths: list[int], weights: Sequence[FloatArray | None]) -> Iterator[Any]:
    """Yield each sequence's weighted sum, (1, size); every sum runs over its own rows alone."""
    import torch

    start = 0
    for length, weight in zip(lengths, weights, strict=True):
        rows = hidden[start : start + length]
        if weight is not None:
            rows = rows * torch.from_numpy(weight).to(rows)[:, None]
        yield rows.sum(0, keepdim=True)
        start += length


def _names(shape: Shape) -> list[str]:
    """Return the names of all tensors that are used."""
    ends = (".weight", ".bias")
    tables = ("word_embeddings", "position_embeddings", "token_type_embeddings")
    parts = (
        *(f"attention.self.{part}" for part in ("query", "key", "value")),
        "attention.output.dense", "attention.output.LayerNorm", "intermediate.dense",
        "output.dense", "output.LayerNorm",
    )  # fmt: skip
    return [
        *(f"embeddings.{table}.weight" for table in tables),
        *(f"embeddings.LayerNorm{end}" for end in ends),
        *(
            f"{_LAYER.format(i)}{part}{end}"
            for i in range(shape.layers) for part in parts for end in ends
        ),
    ]  # fmt: skip


def _placed(
    found: dict[str, Any], shape: Shape, device: str, precision: Precision
) -> dict[str, Any]:
    """Return the tensors on their device: query, key and value as one, products as asked."""
    import torch

    for i in range(shape.layers):
        name = _LAYER.format(i)
        for end in ("weight", "bias"):
            own = [f"{name}attention.self.{part}.{end}" for part in ("query", "key", "value")]
            found[f"{name}qkv.{end}"] = torch.cat([found.pop(one) for one in own])
    if precision == "bfloat16":
        products = ("qkv", "attention.output.dense", "intermediate.dense", "output.dense")
        for name in [f"{_LAYER.format(i)}{p}" for i in range(shape.layers) for p in products]:
            for end in (".weight", ".bias"):
                found[name + end] = found[name + end].bfloat16()
    if device != "cpu":
        found = {name: tensor.to(device) for name, tensor in found.items()}
    return found


@contextmanager
def threads_of_torch(threads: int) -> Iterator[None]:
    """Let PyTorch use so many threads inside the block."""
    import torch

    before = torch.get_num_threads()
    if before == threads:
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def torch_or_told() -> Any:
    """Return PyTorch, or say which extra brings it."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingExtra("a sentence encoder", "deep") from error
    return torch
