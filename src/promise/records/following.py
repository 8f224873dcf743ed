"""Observations that are read again and again: of each reading only what changed since."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from promise.records.evidence import Observed
from promise.records.evidence_tables import EVIDENCE
from promise.state.database import Database
from promise.state.moments import from_text, to_text

_KEYS_AT_ONCE = 500
_OF = "model = :model AND version = :version AND kind = :kind"
_READ = "SELECT key, token, first_at, at, payload FROM observations"


@dataclass
class Following:
    """Gives what `EvidenceStore.observed` gives, and fetches only payloads that are new.

    A position in time would lose what a transaction brings late, or a machine whose clock is
    behind; so the keys are listed each time, which an index alone answers, and compared.

    Examples
    --------
    >>> from promise.clock import ManualClock
    >>> from promise.records.evidence import EvidenceStore
    >>> store = EvidenceStore(Database("sqlite://"), ManualClock())
    >>> following = Following(store.database, "churn", 1, "outcome")
    >>> store.observe("churn", 1, "outcome", "a", {"y": [1]})
    >>> first = following.read()
    >>> store.observe("churn", 1, "outcome", "b", {"y": [0]})
    >>> second = following.read()
    >>> [seen.payload for seen in second], second[0] is first[0]
    ([{'y': [1]}, {'y': [0]}], True)
    """

    database: Database
    model: str
    version: int
    kind: str
    _kept: dict[str, tuple[int, Observed]] = field(default_factory=dict, repr=False)
    _seen: list[Observed] = field(default_factory=list, repr=False)

    def read(self, since: datetime | None = None) -> list[Observed]:
        """Return the observations, oldest first; the very same list where nothing changed.

        Parameters
        ----------
        since
            Only those that were refreshed at or after this moment.
        """
        self.database.migrate(EVIDENCE)
        with self.database.reading() as connection:
            listed = self._listed(connection, since)
            stale = [key for key, token in listed.items() if self._token(key) != token]
            fetched = self._fetched(connection, stale)
        gone = set(stale) - fetched.keys()  # withdrawn between the two queries
        known = self._kept | fetched
        self._kept = {key: known[key] for key in listed if key not in gone}
        seen = [observed for _, observed in self._kept.values()]
        if len(seen) != len(self._seen) or any(
            a is not b for a, b in zip(seen, self._seen, strict=True)
        ):
            self._seen = seen
        return self._seen

    def _token(self, key: str) -> int | None:
        return self._kept[key][0] if key in self._kept else None

    def _listed(self, connection: sa.Connection, since: datetime | None) -> dict[str, int]:
        """Return key to the mark of its writing, in the order in which the observations began."""
        rule = "" if since is None else " AND at >= :since"
        query = f"SELECT key, token FROM observations WHERE {_OF}{rule} ORDER BY first_at, key"
        values = self._values if since is None else {**self._values, "since": to_text(since)}
        rows = connection.execute(sa.text(query), values)
        return {row.key: int(row.token) for row in rows}

    def _fetched(
        self, connection: sa.Connection, keys: Sequence[str]
    ) -> dict[str, tuple[int, Observed]]:
        return {
            row.key: (
                row.token,
                Observed(
                    self.kind,
                    from_text(row.at),
                    json.loads(row.payload),
                    row.key,
                    from_text(row.first_at),
                ),
            )
            for row in self._rows(connection, keys)
        }

    def _rows(self, connection: sa.Connection, keys: Sequence[str]) -> Iterator[Any]:
        some = sa.text(f"{_READ} WHERE {_OF} AND key IN :keys")
        some = some.bindparams(sa.bindparam("keys", expanding=True))
        for first in range(0, len(keys), _KEYS_AT_ONCE):
            part = list(keys[first : first + _KEYS_AT_ONCE])
            yield from connection.execute(some, {**self._values, "keys": part})

    @property
    def _values(self) -> dict[str, Any]:
        return {"model": self.model, "version": self.version, "kind": self.kind}
