"""Who may do what: API keys from a request's headers, checked against the snapshot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from promise.registry.keys import Key, digest_of
from promise.serving.problems import Refused
from promise.serving.worker import Worker

Need = Literal["predict", "label", "admin", "any"]
"""The scope that a request needs; `any` is content with every valid key."""

_BEARER = b"bearer "
_CHALLENGE = ("www-authenticate", 'Bearer realm="promise"')


def authorise(
    worker: Worker, headers: Iterable[tuple[bytes, bytes]], scope: Need
) -> Refused | None:
    """Return None where the request may pass, else the refusal that says what it lacks.

    Parameters
    ----------
    headers
        As ASGI gives them: lower-case names, raw values.
    scope
        What the request needs; a key with `admin` may do everything.

    Notes
    -----
    The key is looked up by its sha256, so the time that the look-up takes tells nothing of how
    much of a guessed key is right.
    """
    if worker.open_access:
        return None
    secret = _secret(headers)
    if not secret:
        return _challenged(
            "This server answers requests with an API key only: send `Authorization: Bearer "
            "pk_…`; `promise keys create` makes one."
        )
    key = worker.runtime.snapshot.keys.get(digest_of(secret.decode("utf-8", "surrogateescape")))
    if key is None:
        return _challenged("The API key is unknown here or was revoked; ask for a new one.")
    return None if _covers(key, scope) else _forbidden(key, scope)


def _secret(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    found = b""
    for name, value in headers:
        if name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
            return value[len(_BEARER) :].strip()
        if name == b"x-api-key":
            found = value.strip()
    return found


def _covers(key: Key, scope: Need) -> bool:
    return scope == "any" or scope in key.scopes or "admin" in key.scopes


def _challenged(detail: str) -> Refused:
    return Refused(401, "no valid API key", detail, headers=[_CHALLENGE])


def _forbidden(key: Key, scope: Need) -> Refused:
    return Refused(
        403,
        "missing scope",
        f"Key {key.id} has the scopes {', '.join(key.scopes) or 'none'}; this request needs "
        f"{scope}. `promise keys create --scope {scope}` makes a key that has it.",
        missing_scope=scope,
    )
