"""Whether a label is one that a live model could have answered."""

from __future__ import annotations

from typing import Any

from promise.errors import DataError, near
from promise.records.given import as_answered
from promise.serving.runtime import Runtime


def answered_by_live(runtime: Runtime, name: str, value: Any) -> Any:
    """Return a label as the live version of a model answers; as it is where none is loaded.

    Of a prediction whose model is not known yet (`name` is empty) the label stays as it is, but
    some live version must be able to answer it.

    Raises
    ------
    DataError
        When it is no class, or no number, that the version could answer; or when there is no such
        model.
    """
    endpoints = runtime.snapshot.endpoints
    if name and name not in endpoints and name not in (known := runtime.registered()):
        raise DataError(f"there is no model {name[:80]!r}; {near(name[:80], known)}")
    asked = [endpoints[name]] if name in endpoints else [] if name else list(endpoints.values())
    refusal: DataError | None = None
    for endpoint in asked:
        live = endpoint.route.live
        if live is None or live not in endpoint.versions:
            return value
        try:
            answered = as_answered(value, endpoint.versions[live].pipeline.task.answer)
        except DataError as error:
            refusal = error
        else:
            return answered if name else value
    if refusal is None:
        return value
    if len(asked) > 1:
        raise DataError(f"the label is {value!r:.80}, which no live model answers.")
    raise refusal
