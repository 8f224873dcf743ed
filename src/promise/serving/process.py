"""The entry of a worker process: `python -m promise.serving.process ORDER`, as JSON."""

from __future__ import annotations

import logging
import os
import socket
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from promise.serving.limits import Limits
from promise.settings import Settings


@dataclass(frozen=True)
class Order:
    """What a supervisor tells a worker.

    Parameters
    ----------
    socket_fd, ready_fd
        Inherited: the bound socket, and a pipe that is told `{"slot", "models"}` when ready.
    parent
        Process id of the supervisor.
    """

    slot: int
    socket_fd: int
    ready_fd: int
    parent: int
    open_access: bool
    settings: dict[str, str | None]
    limits: Limits = field(default_factory=Limits)

    def to_json(self) -> str:
        """Return the order as one argument of a command line."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str) -> Order:
        """Read back what `to_json` wrote."""
        return msgspec.json.decode(text, type=cls)


def told(settings: Settings) -> dict[str, str | None]:
    """Return settings as an order carries them.

    Examples
    --------
    >>> heard(told(Settings.load({}))) == Settings.load({})
    True
    """
    return {k: None if v is None else str(v) for k, v in asdict(settings).items()}


def heard(settings: dict[str, str | None]) -> Settings:
    """Return the settings that an order carries."""
    paths: dict[str, Any] = {
        key: Path(value) for key, value in settings.items() if key in ("home", "records") and value
    }
    return Settings(**{**settings, **paths})


def main(arguments: list[str]) -> None:
    """Serve as ordered until told to stop."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    order = Order.from_json(arguments[0])
    # A worker is one core's: threads of a model library that wait for each other at every single
    # row cost more than they bring, and most where the cores are busy. Read when libraries load.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from promise.serving.server import open_worker, run_worker

    worker = open_worker(
        heard(order.settings), order.slot, order.limits, open_access=order.open_access
    )

    def tell() -> None:
        endpoints = worker.runtime.snapshot.endpoints
        models = {name: endpoint.route.live for name, endpoint in endpoints.items()}
        os.write(order.ready_fd, msgspec.json.encode({"slot": order.slot, "models": models}))
        os.close(order.ready_fd)

    sock = socket.socket(fileno=order.socket_fd)
    run_worker(worker, sock, on_ready=tell, parent=order.parent)


if __name__ == "__main__":
    main(sys.argv[1:])
