"""Promise: models that keep their promises, from two hundred rows to a billion.

>>> import promise
>>> sorted(promise.__all__)[:3]
['Found', 'Model', 'PromiseError']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from promise.discovery.discover import discover as discover
    from promise.discovery.found import Found as Found
    from promise.errors import PromiseError as PromiseError
    from promise.rollout.deploy import deploy as deploy
    from promise.rollout.deploy import rollback as rollback
    from promise.rollout.status import status as status
    from promise.training.model import Model as Model
    from promise.training.model import load as load
    from promise.training.train import train as train

_HOMES = {
    "deploy": "promise.rollout.deploy",
    "discover": "promise.discovery.discover",
    "Found": "promise.discovery.found",
    "PromiseError": "promise.errors",
    "Model": "promise.training.model",
    "load": "promise.training.model",
    "rollback": "promise.rollout.deploy",
    "status": "promise.rollout.status",
    "train": "promise.training.train",
}

__all__ = [
    "Found", "Model", "PromiseError", "deploy", "discover", "load", "rollback", "status", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that importing Promise stays cheap."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"promise has no {name!r}; it has {', '.join(__all__)}")
