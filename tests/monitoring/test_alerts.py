"""Alerts: once for a state, kept, and delivered at least once with an id to tell doubles by."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from promise.clock import ManualClock
from promise.monitoring.alerts import alerts, deliver, raise_alert
from promise.promises.verdict import Status, Verdict
from promise.settings import Settings
from promise.state.database import Database


class Receiver:
    """An HTTP server that answers with the next of its codes, the last one for good."""

    def __init__(self) -> None:
        self.codes = [200]
        self.got: list[tuple[str, dict[str, Any]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((self.headers["Idempotency-Key"], json.loads(body)))
                code = outer.codes.pop(0) if len(outer.codes) > 1 else outer.codes[0]
                self.send_response(code)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/alerts"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def settings_of(tmp_path: Path, url: str | None) -> Settings:
    env = {"PROMISE_HOME": str(tmp_path)} | ({} if url is None else {"PROMISE_ALERTS": url})
    return Settings.load(env)


def verdict(status: Status, promise: str = "errors") -> Verdict:
    return Verdict(promise, "request_errors", status, 0.01, measured=0.02, n=500)


def test_a_state_is_told_once_and_its_recovery_too(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    clock, settings = ManualClock(), settings_of(tmp_path, receiver.url)

    def tell(status: Status, version: int = 3) -> bool:
        clock.advance(1)
        told = raise_alert(database, clock, settings, "churn", version, verdict(status), status)
        return told is not None

    assert not tell("KEPT")
    assert tell("BROKEN")
    assert not tell("BROKEN")
    assert not tell("UNKNOWN")
    assert not tell("BROKEN")
    assert tell("KEPT")
    assert not tell("KEPT")
    assert tell("BROKEN")
    assert tell("BROKEN", version=4)
    kept = alerts(database)
    assert [alert.status for alert in kept] == ["BROKEN", "KEPT", "BROKEN", "BROKEN"]
    assert all(alert.delivered_at is not None for alert in kept)
    assert [key for key, _ in receiver.got] == [alert.id for alert in kept]
    assert receiver.got[0][1]["verdict"]["measured"] == 0.02
    assert receiver.got[0][1]["model"] == "churn"
    assert alerts(database, since=kept[1].at) == kept[1:]


def test_what_is_not_taken_is_posted_again_under_the_same_id(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    clock, settings = ManualClock(), settings_of(tmp_path, receiver.url)
    receiver.codes = [503, 503, 200]
    raise_alert(database, clock, settings, "churn", 1, verdict("BROKEN"), "it broke")
    assert deliver(database, clock, settings) == 0
    raise_alert(database, clock, settings, "churn", 1, verdict("BROKEN", "speed"), "it is slow")
    assert len(receiver.got) == 1  # a receiver in trouble is left alone
    clock.advance(2)
    assert deliver(database, clock, settings) == 0
    clock.advance(5)
    assert deliver(database, clock, settings) == 2
    assert deliver(database, clock, settings) == 0
    keys = [key for key, _ in receiver.got]
    assert keys[0] == keys[1] == keys[2] != keys[3]


def test_a_refused_alert_does_not_hold_up_the_others(tmp_path: Path, receiver: Receiver) -> None:
    database = Database("sqlite://")
    clock, settings = ManualClock(), settings_of(tmp_path, receiver.url)
    receiver.codes = [422, 200]
    raise_alert(database, clock, settings, "churn", 1, verdict("BROKEN"), "it broke")
    raise_alert(database, clock, settings, "churn", 1, verdict("BROKEN", "speed"), "it is slow")
    assert [alert.delivered_at is None for alert in alerts(database)] == [True, False]
    clock.advance(300)
    assert deliver(database, clock, settings) == 1
    database.close()


def test_a_receiver_that_is_away_fails_nothing_and_none_is_needed(tmp_path: Path) -> None:
    database, clock = Database("sqlite://"), ManualClock()
    for number, url in enumerate(("http://127.0.0.1:9/", "ftp://x/", "nonsense", None)):
        settings = settings_of(tmp_path, url)
        clock.advance(400)
        told = raise_alert(database, clock, settings, "churn", number, verdict("BROKEN"), "broke")
        assert told is not None
    assert [alert.delivered_at for alert in alerts(database)] == [None] * 4
    clock.advance(8 * 86_400)
    assert deliver(database, clock, settings_of(tmp_path, "http://127.0.0.1:9/")) == 0
    database.close()


def test_two_that_see_the_same_break_raise_one_alert(database: Database, tmp_path: Path) -> None:
    clock, settings = ManualClock(), settings_of(tmp_path, None)
    alerts(database)
    threads = [
        threading.Thread(
            target=raise_alert,
            args=(database, clock, settings, "churn", 1, verdict("BROKEN"), "it broke"),
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(alerts(database)) == 1
