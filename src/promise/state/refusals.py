"""Why a database refused, in words that say what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import sqlalchemy as sa

from promise.errors import StateError

Kind = Literal["conflict", "duplicate", "locked", "away", "full", "damaged", "forbidden"]

_POSTGRES: dict[str, Kind] = {
    "40001": "conflict",
    "40P01": "conflict",
    "23505": "duplicate",
    "55P03": "locked",
    "57014": "locked",  # a statement that took longer than its wait
    "53100": "full",
    "53300": "away",
    "57P01": "away",
    "57P02": "away",
    "57P03": "away",
    "42501": "forbidden",
    "3F000": "forbidden",  # the schemas of the search path are not there
    "25006": "forbidden",  # a server that only reads, such as a replica
    "XX001": "damaged",
    "XX002": "damaged",
}
_SQLITE: dict[str, Kind] = {
    "SQLITE_BUSY": "locked",
    "SQLITE_LOCKED": "locked",
    "SQLITE_FULL": "full",
    "SQLITE_CANTOPEN": "away",
    "SQLITE_READONLY": "forbidden",
    "SQLITE_PERM": "forbidden",
    "SQLITE_AUTH": "forbidden",
    "SQLITE_IOERR": "away",
    "SQLITE_CORRUPT": "damaged",
    "SQLITE_NOTADB": "damaged",
}


@dataclass(frozen=True)
class Refusal:
    """Why the database refused, as far as it matters for what to do next.

    Parameters
    ----------
    kind
        `conflict` and `duplicate`: another writer came between, or the key is taken; `locked`:
        a lock was not granted in time; `away`, `full`, `damaged`, `forbidden`: no write can succeed
        now.
    detail
        The database's own words; for `duplicate` they name the key.
    """

    kind: Kind
    detail: str


def refusal_of(error: sa.exc.DBAPIError) -> Refusal | None:
    """Return why the database refused; None where the statement itself is wrong."""
    original: Any = error.orig
    state = getattr(original, "sqlstate", None)
    if state is not None:
        kind = "away" if state.startswith("08") else _POSTGRES.get(state)
        detail = getattr(original.diag, "message_detail", None) or str(original)
        return None if kind is None else Refusal(kind, detail)
    code = getattr(original, "sqlite_errorname", None)
    if code is not None:
        # extended codes add to the plain one: SQLITE_BUSY_RECOVERY, SQLITE_IOERR_WRITE
        plain = "_".join(code.split("_")[:2])
        return Refusal(_SQLITE[plain], str(original)) if plain in _SQLITE else None
    if error.connection_invalidated or isinstance(error, sa.exc.OperationalError):
        return Refusal("away", str(original))
    return None


@contextlib.contextmanager
def told(url: str, wait_s: float, *, conflicts: bool = False) -> Iterator[None]:
    """Turn what nobody can program around into a StateError that says what to do.

    Taken keys pass through, and conflicts unless asked for: callers know what to do about them.
    """
    try:
        yield
    except sa.exc.DBAPIError as error:
        found = refusal_of(error)
        if (
            found is None
            or found.kind == "duplicate"
            or (found.kind == "conflict" and not conflicts)
        ):
            raise
        _tell(found, url, wait_s, error)


@contextlib.contextmanager
def commit_told(url: str) -> Iterator[None]:
    """Say that nobody knows what became of a change whose commit was not answered.

    A server that is gone while it commits may have kept the change before it went.
    """
    try:
        yield
    except sa.exc.DBAPIError as error:
        found = refusal_of(error)
        if found is None or found.kind != "away":
            raise
        shown = sa.make_url(url).render_as_string(hide_password=True)
        why = " ".join(found.detail.split()).rstrip(".")
        raise StateError(
            f"it is unknown whether the last change was kept in the database {shown}: the "
            f"connection was lost while it was committed ({why}); once it answers, look with "
            "`promise status` or `promise models list`, and run the command again where the "
            "change is missing."
        ) from error


def _tell(found: Refusal, url: str, wait_s: float, error: Exception) -> NoReturn:
    shown = sa.make_url(url).render_as_string(hide_password=True)
    why = " ".join(found.detail.split()).rstrip(".")
    waited = f"{round(wait_s, 2):g}"
    sentences = {
        "conflict": f"other writers came between for {waited} s; run the command again.",
        "locked": f"another process has held its lock for {waited} s; wait for it or end it, "
        "then run the command again.",
        "away": f"it does not answer ({why}); check that it runs, and PROMISE_DATABASE.",
        "forbidden": f"it does not let this user write there ({why}); grant the rights, or name "
        "another user, schema or file in PROMISE_DATABASE.",
        "full": f"its disk is full ({why}); free some space and run the command again.",
        "damaged": f"it is damaged ({why}); restore it from a backup with `promise restore`.",
    }
    raise StateError(
        f"nothing was changed in the database {shown}: {sentences[found.kind]}"
    ) from error
