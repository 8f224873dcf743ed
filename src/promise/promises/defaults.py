"""What is promised of a model of which nothing was declared."""

from __future__ import annotations

from promise.promises.spec import ModelFile, Promise

DEFAULT_PROMISES = (
    Promise("errors", "request_errors", at_most=0.01, due="canary", on_break=("rollback",)),
)
"""At most one request in a hundred fails, else the version before comes back."""


def default_model_file(name: str | None = None) -> ModelFile:
    """Return what holds for a name until somebody declares more.

    Examples
    --------
    >>> default_model_file("churn").promises[0].that
    'request_errors'
    """
    return ModelFile(name=name, promises=DEFAULT_PROMISES)
