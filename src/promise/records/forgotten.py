"""Who asked to be deleted: kept as digests, so that nobody comes back and no id stays behind."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

import sqlalchemy as sa

from promise.state.database import Database, Migrations
from promise.state.moments import to_text

_KEYS_AT_ONCE = 2_000  # well below SQLite's bound on parameters


def _salt(connection: sa.Connection) -> None:
    made = {"salt": secrets.token_hex(32)}
    connection.execute(sa.text("INSERT INTO forgotten_salt VALUES (:salt)"), made)


FORGOTTEN = Migrations(
    "forgotten",
    (
        """CREATE TABLE forgotten (
            model VARCHAR(63) NOT NULL,
            digest VARCHAR(32) NOT NULL,
            number BIGINT NOT NULL,
            at VARCHAR(40) NOT NULL,
            settled INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (model, digest)
        )""",
        """CREATE TABLE forgotten_machines (
            machine VARCHAR(40) NOT NULL PRIMARY KEY,
            swept BIGINT NOT NULL,
            seen VARCHAR(40) NOT NULL
        )""",
        "CREATE TABLE forgotten_salt (salt VARCHAR(64) NOT NULL)",
        _salt,
    ),
)
"""The digests of forgotten ids, the secret that they are made with, and which machines' logs are
clean of them."""


@dataclass(frozen=True)
class Digests:
    """Recognises the forgotten ids of one model without knowing any.

    Examples
    --------
    >>> digests = Digests("meet", b"secret", frozenset())
    >>> gone = Digests("meet", b"secret", frozenset([digests.of("ann")]))
    >>> "ann" in gone, "bob" in gone, bool(digests)
    (True, False, False)
    """

    model: str
    salt: bytes
    kept: frozenset[str]

    def of(self, id: str) -> str:
        """Return the digest of an id."""
        text = f"{self.model}\x1f{id}".encode("utf-8", "surrogatepass")
        return blake2b(text, key=self.salt, digest_size=16).hexdigest()

    def __contains__(self, id: str) -> bool:
        return self.of(id) in self.kept

    def __bool__(self) -> bool:
        return bool(self.kept)


@dataclass
class Forgotten:
    """The forgotten ids of every model.

    Who trains asks `among` for the ids of its data and leaves those out that it returns.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> database = Database("sqlite://")
    >>> forgotten = Forgotten(database)
    >>> database.migrate(FORGOTTEN)
    >>> with database.transaction() as connection:
    ...     forgotten.keep(connection, "meet", "ann", 12, datetime(2026, 1, 1, tzinfo=UTC))
    >>> sorted(forgotten.among("meet", ["ann", "bob"])), forgotten.among("other", ["ann"])
    (['ann'], set())
    """

    database: Database

    def among(self, model: str, ids: Iterable[str]) -> set[str]:
        """Return which of these ids were forgotten by a model's people."""
        digests = self.digests(model)
        return {id for id in ids if id in digests} if digests else set()

    def digests(self, model: str) -> Digests:
        """Return what recognises the forgotten ids of a model."""
        self.database.migrate(FORGOTTEN)
        with self.database.reading() as connection:
            return digests_in(connection, model)

    def keep(
        self, connection: sa.Connection, model: str, id: str, number: int, at: datetime
    ) -> None:
        """Remember an id inside the transaction that deletes it; `FORGOTTEN` is migrated.

        Parameters
        ----------
        number
            Of the event that tells of it.
        """
        digest = Digests(model, _salt_in(connection), frozenset()).of(id)
        query = (
            "INSERT INTO forgotten VALUES (:model, :digest, :number, :at, 0) "
            "ON CONFLICT (model, digest) DO UPDATE SET number = :number, at = :at, settled = 0"
        )
        values = {"model": model, "digest": digest, "number": number, "at": to_text(at)}
        connection.execute(sa.text(query), values)


def digests_in(connection: sa.Connection, model: str, ids: Sequence[str] | None = None) -> Digests:
    """Return what recognises forgotten ids, as a transaction sees it; `FORGOTTEN` is migrated.

    Parameters
    ----------
    ids
        Only these will be asked for; None for any.
    """
    both = "SELECT salt, EXISTS (SELECT 1 FROM forgotten WHERE model = :model) FROM forgotten_salt"
    salt, some = connection.execute(sa.text(both), {"model": model}).one()
    of = Digests(model, bytes.fromhex(salt), frozenset())
    if not some:
        return of
    if ids is None:
        query = sa.text("SELECT digest FROM forgotten WHERE model = :model")
        return Digests(
            model, of.salt, frozenset(connection.execute(query, {"model": model}).scalars())
        )
    query = sa.text("SELECT digest FROM forgotten WHERE model = :model AND digest IN :digests")
    query = query.bindparams(sa.bindparam("digests", expanding=True))
    asked, found = [of.of(id) for id in ids], set[str]()
    for first in range(0, len(asked), _KEYS_AT_ONCE):
        part = {"model": model, "digests": asked[first : first + _KEYS_AT_ONCE]}
        found.update(connection.execute(query, part).scalars())
    return Digests(model, of.salt, frozenset(found))


def _salt_in(connection: sa.Connection) -> bytes:
    query = sa.text("SELECT salt FROM forgotten_salt")
    return bytes.fromhex(connection.execute(query).scalar_one())
