"""Which model gave an answer, as far as this machine knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from promise.errors import StateError
from promise.state.database import Database

JOIN_INDEX = "join.db"
"""The file in a machine's `run` folder in which answers wait for their labels."""
_IDS_AT_ONCE = 2_000


@dataclass
class Owners:
    """Looks up, in the answers that wait for labels on this machine, whose prediction an id is.

    Parameters
    ----------
    folder
        Where the collector of this machine keeps its index.

    Examples
    --------
    >>> Owners(Path("nowhere"))(["k3x9qa.0-mabc1234-0000001"])
    {}
    """

    folder: Path
    _index: Database | None = field(default=None, repr=False)

    def __call__(self, ids: Sequence[str]) -> dict[str, str]:
        """Return prediction id to model of those that are known here."""
        path = self.folder / JOIN_INDEX
        if not path.is_file():
            return {}
        if self._index is None:
            self._index = Database(f"sqlite:///{path.absolute()}", wait_s=1.0)
        query = "SELECT id, model FROM answers WHERE id IN :ids"
        statement = sa.text(query).bindparams(sa.bindparam("ids", expanding=True))
        found: dict[str, str] = {}
        try:
            with self._index.reading() as connection:
                for first in range(0, len(ids), _IDS_AT_ONCE):
                    part = list(ids[first : first + _IDS_AT_ONCE])
                    rows = connection.execute(statement, {"ids": part})
                    found |= {row.id: row.model for row in rows}
        except (StateError, sa.exc.SQLAlchemyError):  # labels are kept without it all the same
            return found
        return found

    def close(self) -> None:
        """Give back the connection."""
        if self._index is not None:
            self._index.close()
            self._index = None
