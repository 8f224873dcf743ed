"""Installation settings: the only file that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Where this installation keeps its state, and which engines it uses.

    Parameters
    ----------
    home
        `PROMISE_HOME`: embedded state; made on first write. Default `.promise/`.
    database
        `PROMISE_DATABASE`: a SQLAlchemy URL; default SQLite inside `home`.
    artifacts
        `PROMISE_ARTIFACTS`: a folder or `s3://bucket/prefix`; default `home/artifacts`.
    redis
        `PROMISE_REDIS`: a Redis URL for caches and feature state; default in process.
    records
        `PROMISE_RECORDS`: the folder of the prediction log; default `home/records`.
    alerts
        `PROMISE_ALERTS`: a URL to which alerts are posted as JSON; default none.
    features
        `PROMISE_FEATURES`: `process` keeps event state in the one worker's memory, with snapshots
        in `home/features`; `shared`, the default, in Redis, Postgres or SQLite, whichever is there.
    skew
        `PROMISE_SKEW`: how far ahead of this machine's clock an event may lie; default `5m`.
    machine
        `PROMISE_MACHINE`: a name that no other home has which shares the database or the records;
        default the host's name with the path of `home`.
    """

    home: Path
    database: str
    artifacts: str
    redis: str | None
    records: Path
    alerts: str | None
    features: str = "shared"
    skew: str = "5m"
    machine: str | None = None

    @property
    def run(self) -> Path:
        """The folder of what running processes share: counters of worker slots."""
        return self.home / "run"

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from the environment.

        Examples
        --------
        >>> Settings.load({"PROMISE_HOME": "state"}).database
        'sqlite:///state/promise.db'
        """
        env = os.environ if environ is None else environ
        home = Path(env.get("PROMISE_HOME", ".promise"))
        return cls(
            home=home,
            database=env.get("PROMISE_DATABASE", f"sqlite:///{home}/promise.db"),
            artifacts=env.get("PROMISE_ARTIFACTS", str(home / "artifacts")),
            redis=env.get("PROMISE_REDIS"),
            records=Path(env.get("PROMISE_RECORDS", str(home / "records"))),
            alerts=env.get("PROMISE_ALERTS"),
            features=env.get("PROMISE_FEATURES", "shared"),
            skew=env.get("PROMISE_SKEW", "5m"),
            machine=env.get("PROMISE_MACHINE") or None,
        )


def failpoint(environ: Mapping[str, str] | None = None) -> tuple[str, int] | None:
    """Return where a test wants this process to die, as (point, which visit of it); else None.

    Read from `PROMISE_FAILPOINT`, e.g. `lifecycle.commit.inserted:3`; without a number the first
    visit is meant.

    Examples
    --------
    >>> failpoint({"PROMISE_FAILPOINT": "lifecycle.commit.inserted:3"})
    ('lifecycle.commit.inserted', 3)
    >>> failpoint({}) is None
    True
    """
    given = (os.environ if environ is None else environ).get("PROMISE_FAILPOINT")
    if not given:
        return None
    point, _, visit = given.partition(":")
    return point, int(visit or 1)
