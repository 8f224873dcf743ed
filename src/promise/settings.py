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
        `PROMISE_REDIS`: a Redis URL for cache and feature state; default in process.
    """

    home: Path
    database: str
    artifacts: str
    redis: str | None

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
        )
