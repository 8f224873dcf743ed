"""API keys: hashed, scoped, revocable."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, cast, get_args

import sqlalchemy as sa

from promise.clock import Clock, SystemClock
from promise.errors import ConfigError, DataError, near
from promise.registry.epoch import EPOCH, grow_epoch
from promise.state.database import Database, Migrations
from promise.state.moments import from_text, maybe_moment, maybe_text, to_text

Scope = Literal["predict", "label", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

KEYS = Migrations(
    "keys",
    (
        """CREATE TABLE api_keys (
            id VARCHAR(32) PRIMARY KEY,
            label TEXT NOT NULL,
            scopes TEXT NOT NULL,
            digest CHAR(64) NOT NULL,
            created VARCHAR(40) NOT NULL,
            revoked VARCHAR(40)
        )""",
    ),
)


@dataclass(frozen=True)
class Key:
    """A key as it is kept: its secret is known to its owner alone."""

    id: str
    label: str
    scopes: tuple[Scope, ...]
    created: datetime
    revoked: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {
            **vars(self),
            "scopes": list(self.scopes),
            "created": to_text(self.created),
            "revoked": maybe_text(self.revoked),
        }


def digest_of(secret: str) -> bytes:
    """Return the sha256 under which `Keys.valid` holds a secret, as it came with a request.

    A secret has 256 bits of chance, so a slow hash would only cost time.

    Examples
    --------
    >>> len(digest_of("pk_ab12cd34_secret"))
    32
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


@dataclass
class Keys:
    """Makes, lists, revokes and checks keys."""

    database: Database
    clock: Clock = field(default_factory=SystemClock)

    def create(self, label: str, scopes: Sequence[Scope]) -> tuple[Key, str]:
        """Make a key; the secret (`pk_ID_SECRET`) is returned once and kept nowhere."""
        key = Key(secrets.token_hex(4), _label(label), check_scopes(scopes), self.clock.now())
        secret = f"pk_{key.id}_{secrets.token_urlsafe(32)}"
        row = {
            "id": key.id,
            "label": key.label,
            "scopes": ",".join(key.scopes),
            "digest": digest_of(secret).hex(),
            "created": to_text(key.created),
        }

        def work(connection: sa.Connection) -> None:
            connection.execute(
                sa.text(
                    "INSERT INTO api_keys (id, label, scopes, digest, created) "
                    "VALUES (:id, :label, :scopes, :digest, :created)"
                ),
                row,
            )
            grow_epoch(connection)

        self._prepare()
        self.database.run(work)
        return key, secret

    def all(self) -> list[Key]:
        """List every key, revoked ones too."""
        return [_from_row(row) for row in self._rows("SELECT * FROM api_keys ORDER BY created, id")]

    def revoke(self, id: str) -> Key:
        """Revoke a key; servers notice within a second. Again, it changes nothing."""
        known = {key.id: key for key in self.all()}
        if id not in known:
            hint = near(id, known) if known else "there is no key yet; run `promise keys create`."
            raise DataError(f"there is no key {id!r}; {hint}")

        def work(connection: sa.Connection) -> None:
            connection.execute(
                sa.text("UPDATE api_keys SET revoked = :at WHERE id = :id AND revoked IS NULL"),
                {"id": id, "at": to_text(self.clock.now())},
            )
            grow_epoch(connection)

        self.database.run(work)
        return next(key for key in self.all() if key.id == id)

    def valid(self) -> dict[bytes, Key]:
        """Return sha256 of secret to key for all that are valid: what a server holds."""
        rows = self._rows("SELECT * FROM api_keys WHERE revoked IS NULL")
        return {bytes.fromhex(row["digest"]): _from_row(row) for row in rows}

    def _rows(self, query: str) -> Sequence[Mapping[Any, Any]]:
        self._prepare()
        with self.database.reading() as connection:
            return connection.execute(sa.text(query)).mappings().all()

    def _prepare(self) -> None:
        for tables in (KEYS, EPOCH):
            self.database.migrate(tables)


def check_scopes(scopes: Sequence[str]) -> tuple[Scope, ...]:
    """Return the scopes in their own order, each once; names a near match for a wrong one.

    Examples
    --------
    >>> check_scopes(["label", "predict", "label"])
    ('predict', 'label')
    """
    for scope in scopes:
        if scope not in SCOPES:
            raise ConfigError(f"{scope!r} is no scope of a key; {near(scope, SCOPES)}")
    if not scopes:
        raise ConfigError("a key needs at least one scope: predict, label or admin.")
    return tuple(scope for scope in SCOPES if scope in scopes)


def _label(label: str) -> str:
    if not label.strip() or len(label) > 200:
        raise ConfigError("say whose key it is in 1 to 200 characters: --label TEXT.")
    return label.strip()


def _from_row(row: Mapping[Any, Any]) -> Key:
    return Key(
        id=row["id"],
        label=row["label"],
        scopes=cast("tuple[Scope, ...]", tuple(row["scopes"].split(","))),
        created=from_text(row["created"]),
        revoked=maybe_moment(row["revoked"]),
    )
