"""Which tables an installation has, as the rooms that keep them declare them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import sqlalchemy as sa

from promise.errors import StateError
from promise.registry.dump import count
from promise.state.database import STEPS, Database, Migrations, climb, make_steps


@dataclass(frozen=True)
class Rooms:
    """Knows every table that a backup keeps; whoever knows all the rooms hands them in.

    Parameters
    ----------
    migrations
        Of every room that keeps tables in an installation's database.
    apart
        Names of rooms whose tables stay as they are: no backup keeps them, no restore clears them.

    Examples
    --------
    >>> from promise.registry.epoch import EPOCH
    >>> list(Rooms((EPOCH,)).fresh)
    ['epoch']
    """

    migrations: tuple[Migrations, ...]
    apart: frozenset[str] = frozenset()

    @cached_property
    def by_name(self) -> Mapping[str, Migrations]:
        """The migrations by the name of their room."""
        return {made.room: made for made in sorted(self.migrations, key=lambda made: made.room)}

    @cached_property
    def fresh(self) -> Mapping[str, tuple[str, int]]:
        """Each table of a new installation, referred-to ones first: its room and its rows."""
        database, rooms_of = Database("sqlite://"), {STEPS: ""}
        for room, migrations in self.by_name.items():
            database.migrate(migrations)
            with database.reading() as connection:
                for table in sa.inspect(connection).get_table_names():
                    rooms_of.setdefault(table, room)
        with database.reading() as connection:
            ordered = [name for name, _ in sa.inspect(connection).get_sorted_table_and_fkc_names()]
            ours = [name for name in ordered if name is not None and name != STEPS]
            found = {name: (rooms_of[name], count(connection, name)) for name in ours}
        database.close()
        return found

    def present(self, connection: sa.Connection) -> list[str]:
        """Return the installation's tables that exist, referred-to ones first.

        A table that only has the name of one of ours, in a database shared with others, is theirs.
        """
        done, there = self.steps(connection), set(sa.inspect(connection).get_table_names())
        return [name for name, (room, _) in self.fresh.items() if room in done and name in there]

    def in_use(self, connection: sa.Connection) -> list[str]:
        """Return the tables that hold more than a new installation's do."""
        present = self.present(connection)
        return [name for name in present if count(connection, name) > self.fresh[name][1]]

    def steps(self, connection: sa.Connection) -> dict[str, int]:
        """Return how many steps of each room were applied; a newer Promise's are refused."""
        if not sa.inspect(connection).has_table(STEPS):
            return {}
        query = f"SELECT room, COUNT(*) FROM {STEPS} GROUP BY room ORDER BY room"
        found = {str(room): int(n) for room, n in connection.execute(sa.text(query))}
        done = {room: n for room, n in found.items() if room not in self.apart}
        self.refuse_newer(done, "the database")
        return done

    def refuse_newer(self, done: Mapping[str, int], what: str) -> None:
        """Raise StateError where steps were applied that this installation does not know."""
        for room, number in done.items():
            known = len(self.by_name[room].steps) if room in self.by_name else 0
            if number > known:
                raise StateError(
                    f"{what} was written by a newer Promise ({room} step {number}, known here: "
                    f"{known}); upgrade this installation and run the command again."
                )

    def rebuild(self, connection: sa.Connection, done: Mapping[str, int]) -> None:
        """Make the tables anew and empty, as they were after so many steps of each room."""
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        for table in reversed(self.present(connection)):
            _drop(connection, table)
        make_steps(connection)
        gone = sa.text(f"DELETE FROM {STEPS} WHERE room NOT IN :apart")
        gone = gone.bindparams(sa.bindparam("apart", expanding=True))
        connection.execute(gone, {"apart": sorted(self.apart)})
        for room, number in done.items():
            climb(connection, self.by_name[room], number)


def _drop(connection: sa.Connection, table: str) -> None:
    if connection.dialect.name != "postgresql":
        connection.execute(sa.text(f'DROP TABLE "{table}"'))
        return
    query = (
        "SELECT DISTINCT tgfoid::regproc::text FROM pg_trigger "
        "WHERE tgrelid = to_regclass(:table) AND NOT tgisinternal"
    )
    functions = connection.execute(sa.text(query), {"table": f'"{table}"'}).scalars().all()
    connection.execute(sa.text(f'DROP TABLE "{table}" CASCADE'))
    for function in functions:
        connection.execute(sa.text(f"DROP FUNCTION IF EXISTS {function}() CASCADE"))
