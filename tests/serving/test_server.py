"""A real server: processes, signals, slow clients, a lost database; no count is lost."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from promise.clock import SystemClock
from promise.errors import ConfigError
from promise.records.evidence import EvidenceStore
from promise.serving.limits import Limits
from promise.serving.supervisor import Supervisor, bound_socket
from promise.state.database import Database

ROW = {"age": 41.0, "income": 1200.5, "plan": "gold"}
PATH = "/v1/models/churn/predict"

pytestmark = pytest.mark.slow


def counted(house: Any) -> int:
    """Return how many live requests the evidence store knows."""
    store = EvidenceStore(Database(house.settings.database), SystemClock())
    return sum(bucket.requests for bucket in store.counts("churn", 1, "live"))


def page(served: Any) -> str:
    """Return the metrics that one of the workers shows."""
    return httpx.get(f"{served.url}/metrics").text


def pids(house: Any) -> list[int]:
    """Return the worker processes."""
    found: list[int] = json.loads((house.settings.run / "workers.json").read_text())["pids"]
    return found


@pytest.mark.slow
def test_it_serves_counts_and_drains_without_losing_a_request(
    house: Any, serve: Any, wait: Any
) -> None:
    house.deploy()
    served = serve(house.settings, "--workers", "2")
    sent, errors = [0], []
    stop = threading.Event()

    def send() -> None:
        with contextlib.suppress(ConnectionError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
            while not stop.is_set():
                connection.request("POST", PATH, json.dumps(ROW))
                response = connection.getresponse()
                response.read()
                sent[0] += 1
                if response.status != 200:
                    errors.append(response.status)
                if response.headers.get("connection") == "close":
                    return

    crew = [threading.Thread(target=send) for _ in range(2)]
    for one in crew:
        one.start()
    wait(lambda: sent[0] > 300)
    wait(lambda: all(f'promise_ready{{slot="{n}"}} 1.0' in page(served) for n in (0, 1)))
    assert served.stop() == 0
    assert not list(house.settings.run.glob("standing-*"))  # who ended tells nothing any longer
    stop.set()
    for one in crew:
        one.join()
    assert not errors
    assert counted(house) >= sent[0]  # every answered request is evidence by now
    lines = [
        line
        for file in (house.settings.records / "churn").glob("*.jsonl")
        for line in file.read_text().splitlines()
    ]
    assert len(lines) == counted(house)
    assert len({json.loads(line)["id"] for line in lines}) == len(lines)


@pytest.mark.slow
@pytest.mark.parametrize("keep", [True, False])
def test_who_connects_while_the_server_ends_is_answered_or_not_let_in(
    house: Any, serve: Any, wait: Any, keep: bool
) -> None:
    house.deploy()
    served = serve(house.settings, "--workers", "2")
    answered, lost, stop = [0], [], threading.Event()

    def send() -> None:
        while not stop.is_set():
            try:
                connection = socket.create_connection(("127.0.0.1", served.port), timeout=10)
            except (ConnectionError, TimeoutError):
                return  # nobody listens any longer: nothing was sent
            try:
                while _one(connection, keep):
                    answered[0] += 1
                answered[0] += 1
            except OSError as error:
                lost.append(str(error))
            connection.close()

    crew = [threading.Thread(target=send) for _ in range(6)]
    for one in crew:
        one.start()
    wait(lambda: answered[0] > 300)
    assert served.stop() == 0
    stop.set()
    for one in crew:
        one.join()
    assert not lost


@pytest.mark.slow
def test_a_connection_that_was_just_made_is_answered_by_a_server_that_ends(
    house: Any, serve: Any, wait: Any
) -> None:
    house.deploy()
    served = serve(house.settings)
    early = socket.create_connection(("127.0.0.1", served.port), timeout=10)
    half = socket.create_connection(("127.0.0.1", served.port), timeout=10)
    half.sendall(f"POST {PATH} HTTP/1.1\r\nhost".encode())
    served.process.send_signal(signal.SIGTERM)
    wait(lambda: _refused(served.port))
    assert not _one(early, True)
    body = json.dumps(ROW).encode()
    half.sendall(b": x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    assert b"200 OK" in half.recv(65536)
    assert served.stop() == 0


def _refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
    except (ConnectionRefusedError, TimeoutError):
        return True
    return False


def _one(connection: socket.socket, keep: bool) -> bool:
    """Ask once; say whether the connection stays."""
    body = json.dumps(ROW).encode()
    close = b"" if keep else b"connection: close\r\n"
    head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n".encode()
    connection.sendall(head + close + b"\r\n" + body)
    answer = http.client.HTTPResponse(connection)
    try:
        answer.begin()
        answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    assert answer.status == 200
    return answer.headers.get("connection") != "close"


@pytest.mark.slow
def test_a_killed_worker_is_replaced_in_its_slot_and_counts_go_on(
    house: Any, serve: Any, wait: Any
) -> None:
    house.deploy()
    served = serve(house.settings)
    with httpx.Client(base_url=served.url) as http:
        for _ in range(20):
            assert http.post(PATH, json=ROW).status_code == 200
    wait(lambda: counted(house) == 20)
    (before,) = pids(house)
    os.kill(before, signal.SIGKILL)
    wait(lambda: pids(house) != [before])

    def answers() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.post(served.url + PATH, json=ROW, timeout=60).status_code == 200
        return False

    wait(answers)
    assert served.stop() == 0
    assert counted(house) == 21


@pytest.mark.slow
def test_slow_clients_are_hung_up_on_and_nobody_waits_for_them(house: Any, wait: Any) -> None:
    house.deploy()
    supervisor = Supervisor(house.settings, port=0, limits=Limits(read_s=0.8))
    url = supervisor.bind()
    port = int(url.rsplit(":", 1)[1])
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        with httpx.Client(base_url=url, timeout=20) as http:
            assert http.get("/healthz").status_code == 200
            slow = [_slow(port, head) for head in (True, False)]
            assert http.post(PATH, json=ROW).status_code == 200
            for one in slow:
                assert one.recv(4096).startswith(b"HTTP/1.1 408")
    finally:
        supervisor.stop()
        thread.join()


def _slow(port: int, head: bool) -> socket.socket:
    """Begin a request whose headers, or whose body, never end."""
    made = socket.create_connection(("127.0.0.1", port), timeout=20)
    start = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n".encode()
    made.sendall(start[:-10] if head else start + b'\r\n{"age": 4')
    return made


@pytest.mark.slow
def test_it_starts_and_serves_while_the_database_is_away(house: Any, serve: Any, wait: Any) -> None:
    house.deploy()
    first = serve(house.settings)
    httpx.post(first.url + PATH, json=ROW)
    assert first.stop() == 0
    file = Path(house.settings.database.removeprefix("sqlite:///"))
    away = file.with_suffix(".away")
    file.rename(away)
    file.mkdir()  # nothing can be opened in its place
    served = serve(house.settings)
    for _ in range(3):
        assert httpx.post(served.url + PATH, json=ROW).json()["version"] == 1
    assert served.stop() == 0
    file.rmdir()
    away.rename(file)
    assert counted(house) == 1
    again = serve(house.settings)  # what could not be sent then is sent now
    wait(lambda: counted(house) == 4)
    assert again.stop() == 0


def test_a_port_in_use_is_told_in_words() -> None:
    with bound_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port} .* choose another by --port"):
            bound_socket("127.0.0.1", port)


def test_workers_that_die_at_once_end_the_server(house: Any, monkeypatch: Any) -> None:
    from promise.serving import supervisor as module

    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(module.sys, "executable", "/bin/false")
    with pytest.raises(module.StartFailed, match="ended 5 times"):
        Supervisor(house.settings, port=0).run()


@pytest.mark.slow
def test_a_client_that_sends_far_too_much_can_read_why(house: Any, serve: Any) -> None:
    house.deploy()
    served = serve(house.settings)
    for path in (PATH, "/v1/labels"):
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
        connection.request("POST", path, b'{"rows": [' + b" " * 12_000_000 + b"]}")
        response = connection.getresponse()
        assert response.status == 413
        assert json.loads(response.read())["title"] == "body too large"
