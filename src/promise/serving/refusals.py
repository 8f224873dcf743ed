"""What a client is told of an error, on every route alike: words and a status, no traceback."""

from __future__ import annotations

import logging
import secrets

import sqlalchemy as sa
from starlette.requests import ClientDisconnect

from promise.errors import ConfigError, DataError, PromiseError, StateError
from promise.pipeline.json_text import MalformedRequest
from promise.pipeline.wire import TooManyRows
from promise.records.events import EventConflict
from promise.serving.answering import NoAnswer
from promise.serving.arrivals import Disconnected
from promise.serving.problems import Problem, Refused, problem

_LOG = logging.getLogger("promise.serving")
_LEFT = (Disconnected, ClientDisconnect)
_AWAY = (StateError, sa.exc.OperationalError, sa.exc.TimeoutError)


def problem_of(error: Exception, *, instance: str | None = None) -> Problem:
    """Return what the client is told of an error; an unforeseen one is logged under a trace id.

    Parameters
    ----------
    instance
        The path of the request.

    Examples
    --------
    >>> problem_of(TooManyRows("the batch has 20,000 rows.")).status
    413
    """
    if isinstance(error, Refused):
        return error.problem
    if isinstance(error, MalformedRequest):
        return problem(400, "malformed request", str(error), instance=instance)
    if isinstance(error, TooManyRows):
        return problem(413, "too many rows", str(error), instance=instance)
    if isinstance(error, EventConflict):
        return problem(409, "event id taken", str(error), instance=instance)
    if isinstance(error, DataError | ConfigError):
        return problem(422, "invalid input", str(error), instance=instance)
    if isinstance(error, NoAnswer):
        status, title = (504, "deadline passed") if error.late else (503, "model unavailable")
        return problem(status, title, str(error), headers=[("retry-after", "1")])
    if isinstance(error, _LEFT):
        return problem(400, "connection closed", "The client left before the body was read.")
    if isinstance(error, _AWAY):
        _LOG.warning("database away", extra={"reason": str(error.__cause__ or error)})
        detail = "The database does not answer at the moment; try again shortly."
        return problem(503, "database away", detail, headers=[("retry-after", "1")])
    return _unforeseen(error)


def _unforeseen(error: Exception) -> Problem:
    trace = secrets.token_hex(8)
    known = isinstance(error, PromiseError)  # its words say all; a traceback would add nothing
    why = f": {error}" if known else ""
    _LOG.error(
        "request failed, trace %s%s", trace, why, exc_info=None if known else error,
        extra={"trace": trace},
    )  # fmt: skip
    detail = f"Something went wrong on our side; the log has it under {trace}."
    return problem(500, "unexpected error", detail, instance=f"urn:promise:trace:{trace}")
