"""Which store keeps event state in an installation, opened for tools and for an event loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from promise.clock import Clock, SystemClock
from promise.errors import ConfigError, PromiseError, StateError, near
from promise.features.store import DAY_S, AsyncStore, Lifetimes, Store
from promise.features.stores.awaited import Awaited
from promise.features.stores.checkpoints import Checkpoints
from promise.features.stores.memory import MemoryStore
from promise.features.stores.sqlite import SQLiteStore
from promise.settings import Settings
from promise.state.database import Database

Kind = Literal["process", "redis", "postgres", "sqlite"]

RETENTION_S = 90 * DAY_S
"""Kept at least so long; longer where a view looks back further."""

_CHOICES = ("shared", "process")
_SQLITE_THREADS, _POSTGRES_THREADS = 1, 8  # SQLite has one writer


def store_kind(settings: Settings) -> Kind:
    """Return which store an installation uses.

    Raises
    ------
    ConfigError
        When `PROMISE_FEATURES` says something else than `shared` or `process`.

    Examples
    --------
    >>> store_kind(Settings.load({})), store_kind(Settings.load({"PROMISE_REDIS": "redis://h"}))
    ('sqlite', 'redis')
    """
    if settings.features not in _CHOICES:
        raise ConfigError(
            f"PROMISE_FEATURES is {settings.features!r}; {near(settings.features, _CHOICES)}"
        )
    if settings.features == "process":
        return "process"
    if settings.redis:
        return "redis"
    return "postgres" if settings.database.startswith("postgresql") else "sqlite"


def refuse_many_workers(settings: Settings, workers: int) -> None:
    """Keep several workers from counting the same entity each for itself.

    Raises
    ------
    ConfigError
        When state is kept in one process and there are several.

    Examples
    --------
    >>> refuse_many_workers(Settings.load({"PROMISE_FEATURES": "process"}), 2)
    Traceback (most recent call last):
        ...
    promise.errors.ConfigError: 2 workers would each keep event state of their own \
(PROMISE_FEATURES=process); use --workers 1, or PROMISE_FEATURES=shared.
    """
    if workers > 1 and store_kind(settings) == "process":
        raise ConfigError(
            f"{workers} workers would each keep event state of their own "
            "(PROMISE_FEATURES=process); use --workers 1, or PROMISE_FEATURES=shared."
        )


@dataclass
class Opened:
    """A store for threads that wait, and the same state for an event loop."""

    store: Store
    lane: AsyncStore
    retention_s: float
    release: list[Callable[[], None]] = field(default_factory=list)

    def close(self) -> None:
        """Give back files and connections of the waiting store."""
        self.store.close()
        for one in self.release:
            one()


def open_store(
    settings: Settings,
    *,
    retention_s: float = 0.0,
    clock: Clock | None = None,
    wait_s: float = 5.0,
) -> Opened:
    """Open the installation's event state.

    Parameters
    ----------
    retention_s
        The longest that a view looks back; never kept shorter than 90 days.
    wait_s
        How long one call waits for a store that is slow.

    Raises
    ------
    ConfigError
        When another process holds a store of one process.
    StateError
        When the database is away.
    """
    kept_s = max(retention_s, RETENTION_S)
    lifetimes, kind = Lifetimes(retention_s=kept_s), store_kind(settings)
    if kind == "redis":
        from promise.features.stores.redis import AsyncRedisStore, RedisStore

        assert settings.redis is not None, "the kind says so"
        url, told = settings.redis, {"lifetimes": lifetimes, "timeout_s": wait_s}
        return Opened(RedisStore(url, **told), AsyncRedisStore(url, **told), kept_s)  # type: ignore[arg-type]
    if kind == "process":
        store: Store = _in_process(settings, clock, lifetimes)
        return Opened(store, Awaited(store), kept_s)
    if kind == "postgres":
        from promise.features.stores.postgres import PostgresStore

        database = Database(settings.database, wait_s=wait_s)
        store = PostgresStore(database, lifetimes, timeout_s=wait_s)
        lane = Awaited(store, timeout_s=wait_s, threads=_POSTGRES_THREADS)
        return Opened(store, lane, kept_s, [database.close])
    settings.home.mkdir(parents=True, exist_ok=True)
    database = Database(f"sqlite:///{settings.home.absolute()}/features.db", wait_s=wait_s)
    checkpoints = Checkpoints(database.engine)  # before the store's first connection
    try:
        store = SQLiteStore(database, clock or SystemClock(), lifetimes)
    except PromiseError:
        checkpoints.close()
        raise
    lane = Awaited(store, timeout_s=wait_s, threads=_SQLITE_THREADS)
    return Opened(store, lane, kept_s, [checkpoints.close, database.close])


def _in_process(settings: Settings, clock: Clock | None, lifetimes: Lifetimes) -> MemoryStore:
    try:
        return MemoryStore(settings.home / "features", clock=clock, lifetimes=lifetimes)
    except (ConfigError, StateError) as error:
        raise type(error)(
            f"{error} With PROMISE_FEATURES=process only the server itself reaches event state: "
            "send events and labels over HTTP."
        ) from error
