"""Alerts: raised once for each broken state, kept, logged, and posted until somebody took them."""

from __future__ import annotations

import http.client
import json
import logging
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from promise.clock import Clock
from promise.promises.verdict import Verdict
from promise.records.isolation import wait_in_line
from promise.settings import Settings
from promise.state.database import Database, Migrations
from promise.state.moments import from_text, maybe_moment, to_text

_log = logging.getLogger(__name__)
_LOCK = 0x414C5254  # "ALRT": two that see the same state break raise one alert
_TIMEOUT_S = 2.0
_LONGEST_PAUSE_S = 300.0
_GIVEN_UP = timedelta(days=7)

ALERTS = Migrations(
    "alerts",
    (
        """CREATE TABLE alerts (
            number BIGINT PRIMARY KEY,
            id VARCHAR(32) NOT NULL UNIQUE,
            at VARCHAR(40) NOT NULL,
            name VARCHAR(63) NOT NULL,
            version INTEGER NOT NULL,
            promise TEXT NOT NULL,
            status VARCHAR(16) NOT NULL,
            text TEXT NOT NULL,
            verdict TEXT NOT NULL,
            tries INTEGER NOT NULL,
            next_try VARCHAR(40),
            delivered_at VARCHAR(40)
        )""",
        "CREATE INDEX alerts_by_state ON alerts (name, version, promise, number)",
        "CREATE INDEX alerts_by_time ON alerts (at)",
    ),
)
"""The table of alerts."""


@dataclass(frozen=True)
class Alert:
    """Something that a person should know.

    Parameters
    ----------
    id
        The same at every delivery, so that a receiver can drop what it has already.
    status
        The verdict's: BROKEN, or KEPT where what was broken has recovered.
    delivered_at
        When the receiver took it; None while it waits, or where there is none.
    """

    id: str
    at: datetime
    name: str
    version: int
    promise: str
    status: str
    text: str
    verdict: dict[str, Any]
    delivered_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what is posted."""
        return {
            "id": self.id,
            "at": to_text(self.at),
            "model": self.name,
            "version": self.version,
            "promise": self.promise,
            "status": self.status,
            "text": self.text,
            "verdict": self.verdict,
        }


def raise_alert(
    database: Database,
    clock: Clock,
    settings: Settings,
    name: str,
    version: int,
    verdict: Verdict,
    text: str,
) -> Alert | None:
    """Tell of a broken promise once for as long as the state lasts, and of its recovery.

    Returns
    -------
    The new alert; None where this state was told already, or is nothing to tell: UNKNOWN, or
    KEPT without a break before it. An UNKNOWN verdict does not end a broken state.
    """
    if verdict.status == "UNKNOWN":
        return None
    database.migrate(ALERTS)
    now = clock.now()

    def work(connection: sa.Connection) -> Alert | None:
        wait_in_line(connection, _LOCK)
        state = _state(connection, name, version, verdict.promise)
        if state == verdict.status or (state is None and verdict.status == "KEPT"):
            return None
        made = Alert(
            uuid.uuid4().hex, now, name, version, verdict.promise, verdict.status, text,
            verdict.to_json(),
        )  # fmt: skip
        _insert(connection, made)
        return made

    made = database.run(work)
    if made is not None:
        facts = {"model": name, "version": version, "promise": verdict.promise}
        level = logging.WARNING if made.status == "BROKEN" else logging.INFO
        _log.log(level, "%s", text, extra=facts)
        deliver(database, clock, settings)
    return made


def _state(connection: sa.Connection, name: str, version: int, promise: str) -> str | None:
    """Return what was told last of a promise on a version."""
    query = (
        "SELECT status FROM alerts WHERE name = :name AND version = :version "
        "AND promise = :promise ORDER BY number DESC LIMIT 1"
    )
    values = {"name": name, "version": version, "promise": promise}
    found = connection.execute(sa.text(query), values).scalar()
    return None if found is None else str(found)


def _insert(connection: sa.Connection, alert: Alert) -> None:
    connection.execute(
        sa.text(
            # the order of numbers is that of events, also where the clock was moved back
            "INSERT INTO alerts SELECT COALESCE(MAX(number), 0) + 1, :id, :at, :name, "
            "CAST(:version AS INTEGER), :promise, :status, :text, :verdict, 0, :at, NULL "
            "FROM alerts"
        ),
        {**vars(alert), "at": to_text(alert.at), "verdict": json.dumps(alert.verdict)},
    )


def deliver(database: Database, clock: Clock, settings: Settings) -> int:
    """Post alerts that wait, oldest first; return how many were taken.

    An alert is posted until the receiver answers 2xx, after pauses that double up to five
    minutes, for a week. It may come twice (a receiver may have taken what we could not note):
    its id is in the body and in the header `Idempotency-Key`. A receiver that does not answer is
    left alone until the pause is over, whatever comes meanwhile; one that refuses an alert (4xx)
    still gets the others.
    """
    if settings.alerts is None:
        return 0
    database.migrate(ALERTS)
    taken = 0
    for alert, tries in _due(database, clock.now()):
        problem = _post(settings.alerts, alert)
        if problem is None:
            _note(database, alert.id, delivered_at=to_text(clock.now()))
            taken += 1
            continue
        _log.warning("an alert was not taken", extra={"alert": alert.id, "reason": problem.why})
        pause_s = min(_LONGEST_PAUSE_S, 2.0**tries) if problem.away else _LONGEST_PAUSE_S
        later = to_text(clock.now() + timedelta(seconds=pause_s))
        _note(database, alert.id, next_try=later, failed=problem.away)
        if problem.away:
            break
    return taken


@dataclass(frozen=True)
class _Problem:
    """Why an alert was not taken, and whether the receiver itself is away."""

    why: str
    away: bool


def _due(database: Database, now: datetime) -> list[tuple[Alert, int]]:
    query = (
        "SELECT * FROM alerts WHERE delivered_at IS NULL AND next_try <= :now AND at >= :oldest "
        "ORDER BY number LIMIT 20"
    )
    resting = (
        "SELECT COUNT(*) FROM alerts WHERE delivered_at IS NULL AND tries > 0 "
        "AND next_try > :now AND at >= :oldest"
    )
    values = {"now": to_text(now), "oldest": to_text(now - _GIVEN_UP)}
    with database.reading() as connection:
        if connection.execute(sa.text(resting), values).scalar_one():
            return []
        rows = connection.execute(sa.text(query), values).all()
        return [(_from_row(row), int(row.tries)) for row in rows]


def _note(
    database: Database,
    alert_id: str,
    *,
    next_try: str | None = None,
    delivered_at: str | None = None,
    failed: bool = False,
) -> None:
    def work(connection: sa.Connection) -> None:
        wait_in_line(connection)
        connection.execute(
            sa.text(
                "UPDATE alerts SET tries = tries + :failed, next_try = :next_try, "
                "delivered_at = :delivered_at WHERE id = :id"
            ),
            {
                "id": alert_id,
                "next_try": next_try,
                "delivered_at": delivered_at,
                "failed": int(failed),
            },
        )

    database.run(work)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing: an alert goes where the installation says."""
        return


_OPENER = urllib.request.build_opener(_NoRedirect())


def _post(url: str, alert: Alert) -> _Problem | None:
    """Post one alert; return why it was not taken, or nothing."""
    if not url.startswith(("http://", "https://")):
        return _Problem(f"PROMISE_ALERTS is {url!r}; expected an http or https URL", away=True)
    request = urllib.request.Request(
        url,
        data=json.dumps(alert.to_json()).encode(),
        headers={"Content-Type": "application/json", "Idempotency-Key": alert.id},
        method="POST",
    )
    try:
        with _OPENER.open(request, timeout=_TIMEOUT_S):
            return None
    except urllib.error.HTTPError as error:
        error.close()
        refused = 400 <= error.code < 500 and error.code not in (408, 425, 429)
        return _Problem(f"the receiver answered {error.code}", away=not refused)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _Problem(str(error) or type(error).__name__, away=True)


def alerts(database: Database, since: datetime | None = None, limit: int = 1000) -> list[Alert]:
    """Return the alerts raised at or after a moment, oldest first."""
    database.migrate(ALERTS)
    rule = "" if since is None else "WHERE at >= :since "
    values = {"limit": limit} | ({} if since is None else {"since": to_text(since)})
    with database.reading() as connection:
        query = f"SELECT * FROM alerts {rule}ORDER BY number LIMIT :limit"
        return [_from_row(row) for row in connection.execute(sa.text(query), values)]


def _from_row(row: Any) -> Alert:
    return Alert(
        id=row.id,
        at=from_text(row.at),
        name=row.name,
        version=row.version,
        promise=row.promise,
        status=row.status,
        text=row.text,
        verdict=json.loads(row.verdict),
        delivered_at=maybe_moment(row.delivered_at),
    )
