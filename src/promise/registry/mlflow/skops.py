"""What a `.skops` file holds, read as data: its objects are described here and never made."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from promise.errors import ArtifactError

_LIMIT = 2**32  # bytes of what is read once unpacked; a small file may claim to hold more


@dataclass(frozen=True)
class Described:
    """An object that the file describes.

    Parameters
    ----------
    kind
        Its class, e.g. `"sklearn.linear_model._logistic.LogisticRegression"`.
    attributes
        Its state: plain values, arrays, lists, dictionaries and described objects.
    """

    kind: str
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The class without its module."""
        return self.kind.rsplit(".", 1)[-1]


def read_skops(path: Path) -> Described:
    """Return the object that a file describes; nothing is imported and nothing runs.

    Raises
    ------
    ArtifactError
        When the file is no skops file, or claims arrays that only unpickling could read.
    """
    try:
        with zipfile.ZipFile(path) as file:
            reader = _Reader(file, _LIMIT)
            found = reader.value(json.loads(reader.member("schema.json")))
    except Exception as error:  # whatever zipfile and NumPy raise on other bytes
        raise ArtifactError(f"{path.name} is no readable skops file: {error}.") from error
    if not isinstance(found, Described):
        raise ArtifactError(f"{path.name} holds a {type(found).__name__}, expected a model.")
    return found


@dataclass
class _Reader:
    file: zipfile.ZipFile
    left: int
    seen: dict[int, Any] = field(default_factory=dict)

    def member(self, name: str) -> bytes:
        """Return the bytes of one member, as long as all of them together are within the limit."""
        self.left -= self.file.getinfo(name).file_size
        if self.left < 0:
            raise ValueError(f"it would unpack to more than {_LIMIT:,} bytes")
        return self.file.read(name)

    def value(self, node: dict[str, Any]) -> Any:
        """Return the value of a node; a shared one is read once."""
        known = int(node.get("__id__", -1))
        if node["__loader__"] == "CachedNode" or known in self.seen:
            return self.seen[known]
        made = self._made(node)
        if known >= 0:
            self.seen[known] = made
        return made

    def _made(self, node: dict[str, Any]) -> Any:
        content: Any = node.get("content")
        match node["__loader__"]:
            case "JsonNode":
                return json.loads(content) if isinstance(content, str) else content
            case "DictNode" | "DefaultDictNode":
                held = content["main"]["content"] if "main" in (content or {}) else content
                return {key: self.value(child) for key, child in (held or {}).items()}
            case "ListNode" | "TupleNode" | "SetNode":
                return [self.value(child) for child in content]
            case "NdArrayNode":
                return self._array(node)
            case _:
                kind = f"{node['__module__']}.{node['__class__']}"
                state = self.value(content) if isinstance(content, dict) else {}
                return Described(kind, state if isinstance(state, dict) else {})

    def _array(self, node: dict[str, Any]) -> Any:
        if node["type"] == "numpy":
            return np.load(io.BytesIO(self.member(node["file"])), allow_pickle=False)
        return np.array([self.value(child) for child in node["content"]], dtype=object)
