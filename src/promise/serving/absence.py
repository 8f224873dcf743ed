"""Why nobody answers for a model: told alike on every route."""

from __future__ import annotations

from collections.abc import Sequence

from promise.errors import near
from promise.serving.endpoints import Endpoint
from promise.serving.problems import Refused

_SOON = [("retry-after", "1")]
_LATER = [("retry-after", "5")]


def no_model(name: str, *, live: Sequence[str], registered: Sequence[str]) -> Refused:
    """Return the refusal of a name that is not deployed, or not known at all.

    Examples
    --------
    >>> str(no_model("chrun", live=["churn"], registered=["churn"]))
    "there is no model 'chrun'; did you mean 'churn'?"
    >>> str(no_model("idle", live=["churn"], registered=["churn", "idle"]))
    'idle is registered and not live: run `promise deploy idle`.'
    """
    if name in registered:
        detail = f"{name} is registered and not live: run `promise deploy {name}`."
        return Refused(409, "model not deployed", detail)
    known = sorted({*live, *registered})
    hint = near(name, known) if known else "nothing is deployed yet; run `promise deploy NAME`."
    return Refused(404, "unknown model", f"there is no model {name!r}; {hint}")


def nothing_live(endpoint: Endpoint) -> Refused:
    """Return the refusal of a model that was deployed once and has no live version now."""
    name = endpoint.name
    detail = f"no version of {name} is live: run `promise deploy {name}`."
    return Refused(409, "model not deployed", detail)


def not_loaded(endpoint: Endpoint, number: int | None = None) -> Refused:
    """Return the refusal of a model, or one version of it, that is not in memory."""
    name, failed = endpoint.name, endpoint.failed or {}
    if endpoint.noun and endpoint.versions:
        detail = f"{name} answers with lists: GET /v1/models/{name}/{endpoint.noun}/ID."
        return Refused(409, "model answers lists", detail)
    what = name if number is None else f"version {number} of {name}"
    if endpoint.loading or (number is not None and number not in failed):
        detail = f"{what} is being loaded; send it again shortly."
        return Refused(503, "model loading", detail, headers=_SOON)
    if number is not None:
        detail = f"{what} could not be loaded: {failed[number]}"
    else:
        detail = f"no version of {name} can be loaded: {describe_failures(endpoint)}"
    return Refused(503, "model unavailable", detail, headers=_LATER)


def not_served(endpoint: Endpoint, number: int) -> Refused:
    """Return the refusal of a version that no route names."""
    name = endpoint.name
    known = ", ".join(str(one) for one in sorted(endpoint.versions)) or "none"
    detail = (
        f"version {number} of {name} is not served; in memory: {known}. "
        f"`promise deploy {name}@{number}` serves it."
    )
    return Refused(404, "version not served", detail)


def describe_failures(endpoint: Endpoint) -> str:
    """Say which versions could not be loaded and why, as one sentence."""
    failed = sorted((endpoint.failed or {}).items())
    return "; ".join(f"version {number}: {reason}" for number, reason in failed)
