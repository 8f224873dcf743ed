"""The registry: every version of every name, in one database, written in one transaction."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from promise.clock import Clock, SystemClock
from promise.errors import ArtifactError, ConfigError, DataError, near
from promise.pipeline.artifact import read_manifest
from promise.registry.aliases import ALIASES, ROLES, Aliases
from promise.registry.lifecycle import Lifecycle
from promise.registry.lineage import lineage_of
from promise.registry.retirement import Retirement
from promise.registry.revisions import REVISIONS
from promise.registry.tables import VERSIONS, from_row, to_row
from promise.registry.versions import Version, check_name, parse_reference
from promise.settings import Settings
from promise.state.artifacts import Artifacts, open_artifacts
from promise.state.artifacts_local import MANIFEST, LocalArtifacts
from promise.state.database import Database
from promise.state.failpoints import reach
from promise.state.files import sha256

_LEFT_BEHIND = timedelta(days=1)  # longer than any registration takes
_LABEL = re.compile(r"[A-Za-z0-9_.-]{1,63}")


@dataclass
class Registry:
    """Registers version folders under a name and finds them again.

    Parameters
    ----------
    database
        Where the rows live.
    artifacts
        The store of version folders, or the folder of a local one.
    """

    database: Database
    artifacts: Artifacts | Path
    clock: Clock = field(default_factory=SystemClock)

    @classmethod
    def open(cls, settings: Settings | None = None) -> Registry:
        """Open the registry of this installation; tables are made at first use."""
        settings = settings or Settings.load()
        store = open_artifacts(settings.artifacts, settings.home / "cache" / "artifacts")
        return cls(Database(settings.database), store)

    @property
    def store(self) -> Artifacts:
        """The store of version folders."""
        if isinstance(self.artifacts, Path):
            return LocalArtifacts(self.artifacts.absolute())
        return self.artifacts

    @property
    def lifecycle(self) -> Lifecycle:
        """What is live for each name, in the same database."""
        return Lifecycle(self.database, self.clock)

    @property
    def aliases(self) -> Aliases:
        """Names for versions that move, in the same database."""
        return Aliases(self.database, self.clock)

    def register(
        self,
        name: str,
        write: Callable[[Path], None],
        *,
        parents: Iterable[str] = (),
        admit: Callable[[sa.Connection], None] | None = None,
    ) -> Version:
        """Make the next version of a name: `write` fills its folder, then the row is committed.

        The folder takes its final place inside the transaction that adds the row, so a kill
        leaves at most an unregistered folder, which the next registration replaces.

        Parameters
        ----------
        parents
            Versions that it was made from, as `NAME@V`.
        admit
            Called inside the transaction that adds the row; what it raises leaves no version.
        """
        check_name(name)
        self._prepare()
        with self.store.draft() as draft:
            write(draft)
            manifest = read_manifest(draft)
            self.store.prepare(draft, name)

            def add(connection: sa.Connection) -> Version:
                if admit is not None:
                    admit(connection)
                return self._add(connection, name, draft, manifest, list(parents))

            return self.database.run(add)

    def _add(
        self,
        connection: sa.Connection,
        name: str,
        draft: Path,
        manifest: Mapping[str, Any],
        parents: list[str],
    ) -> Version:
        newest = connection.execute(
            sa.text("SELECT COALESCE(MAX(number), 0) FROM versions WHERE name = :name"),
            {"name": name},
        ).scalar_one()
        location = self.store.location(draft, name, newest + 1)
        version = Version(
            name=name,
            number=newest + 1,
            created=self.clock.now(),
            workload=manifest["task"]["workload"],
            folder=self.store.place(location),
            digest=sha256(draft / MANIFEST),
            metrics=manifest["metrics"],
            lineage=lineage_of(connection, name, manifest["lineage"], parents),
            labels={},
            location=location,
            views=dict(manifest.get("views", {})),
        )
        row = to_row(version)
        names, values = ", ".join(row), ", ".join(f":{key}" for key in row)
        # the row first: its key keeps another writer from placing a folder under this number
        connection.execute(sa.text(f"INSERT INTO versions ({names}) VALUES ({values})"), row)
        reach("registry.register.inserted")
        self.store.publish(draft, name, version.number)
        reach("registry.register.published")
        return version

    def versions(self, name: str | None = None) -> list[Version]:
        """List the versions of one name or of all, oldest first, archived ones too.

        Their folders may not be on this machine yet; `find` and `fetch` bring them there.
        """
        clause = "" if name is None else "WHERE name = :name "
        return self._read(f"{clause}ORDER BY name, number", name=name)

    def get(self, reference: str) -> Version:
        """Return a version's row: `NAME@V`, `NAME@ALIAS`, `NAME@live`, or the newest of `NAME`.

        The newest is the newest that is not retired, where there is one.

        Raises
        ------
        DataError
            When there is none; near names are given.
        """
        name, mark = parse_reference(reference)
        number = self._number(name, mark) if isinstance(mark, str) else mark
        order = "ORDER BY CASE state WHEN 'active' THEN 0 ELSE 1 END, number DESC LIMIT 1"
        if number is None:
            found = self._read(f"WHERE name = :name {order}", name=name)
        else:
            found = self._read("WHERE name = :name AND number = :number", name=name, number=number)
        if found:
            return found[0]
        numbers = [version.number for version in self.versions(name)]
        if not numbers:
            names = sorted({version.name for version in self.versions()})
            hint = near(name, names) if names else "nothing is registered yet; run `promise demo`."
            raise DataError(f"there is no model {name!r}; {hint}")
        raise DataError(
            f"{name} has no version {number}; it has {', '.join(str(n) for n in numbers)}."
        )

    def find(self, reference: str) -> Version:
        """Return the version that `get` does, its files on this machine and its manifest checked.

        Raises
        ------
        DataError
            When there is none; near names are given.
        ArtifactError
            When its files are gone or damaged.
        """
        return self.fetch(self.get(reference))

    def fetch(self, version: Version) -> Version:
        """Bring a version's files to this machine where they are not; check its manifest."""
        try:
            self.store.local(version.location, version.digest)
        except ArtifactError as error:
            if version.state != "archived":
                raise
            raise ArtifactError(
                f"{version} is archived and its files are gone ({version.retired_because}); "
                "restore them from a backup."
            ) from error
        return version

    def label(self, reference: str, labels: Mapping[str, str | None]) -> Version:
        """Set marks on a version; None or an empty text takes one away.

        Examples
        --------
        >>> _checked({"owner": "risk"})
        {'owner': 'risk'}
        """
        version = self.get(reference)
        given = _checked(labels)

        def work(connection: sa.Connection) -> None:
            key = {"name": version.name, "number": version.number}
            query = "SELECT labels FROM versions WHERE name = :name AND number = :number"
            kept = {**json.loads(connection.execute(sa.text(query), key).scalar_one()), **given}
            kept = {mark: value for mark, value in kept.items() if value}
            connection.execute(
                sa.text(
                    "UPDATE versions SET labels = :labels WHERE name = :name AND number = :number"
                ),
                {**key, "labels": json.dumps(kept)},
            )

        self.database.run(work)
        return self.get(str(version))

    def retire(self, reference: str, reason: str, *, actor: str = "person") -> Version:
        """Deprecate a version for 30 days, after which `sweep` archives it.

        Raises
        ------
        ConfigError
            When a route has it loaded; names the role and the way out. Without a reason, too.
        """
        version = self.get(reference)
        self._retirement.begin(version, reason, actor)
        return self.get(str(version))

    def unretire(self, reference: str, reason: str = "", *, actor: str = "person") -> Version:
        """Make a retired version active again; an archived one only while its files exist."""
        version = self.get(reference)
        self._retirement.undo(version, reason, actor)
        return self.get(str(version))

    def sweep(self) -> list[Version]:
        """Archive what was deprecated for long enough; only then may its files go.

        Rows stay for good. What killed registrations left a day ago goes, too. Returns the
        versions that were archived now.
        """
        self._prepare()
        done = self._retirement.archive(
            self._read("WHERE state = 'deprecated' ORDER BY name, number")
        )
        self._retirement.purge()
        self.store.tidy(self.clock.now() - _LEFT_BEHIND)
        return [self.get(str(version)) for version in done]

    @property
    def _retirement(self) -> Retirement:
        return Retirement(self.lifecycle, self.store)

    def _number(self, name: str, alias: str) -> int:
        """Return the version that an alias or a role names."""
        route = self.lifecycle.route(name)
        if alias in ROLES:
            number: int | None = getattr(route, alias)
        else:
            number = self.aliases.get(name, alias)
        if number is not None:
            return number
        known = {role for role in ROLES if getattr(route, role) is not None}
        known |= set(self.aliases.all(name))
        if alias == "live" and self.versions(name):
            raise DataError(f"nothing is live for {name}; run `promise deploy {name}`.")
        if not self.versions(name):
            self.get(name)  # tells which names there are
        hint = near(alias, sorted(known)) if known else "it has none."
        raise DataError(f"{name} has no alias {alias!r}; {hint}")

    def _read(self, rest: str, **parameters: Any) -> list[Version]:
        self._prepare()
        with self.database.reading() as connection:
            rows = connection.execute(sa.text(f"SELECT * FROM versions {rest}"), parameters)
            return [from_row(dict(row), self.store.place) for row in rows.mappings()]

    def _prepare(self) -> None:
        for tables in (VERSIONS, REVISIONS, ALIASES):
            self.database.migrate(tables)


def _checked(labels: Mapping[str, str | None]) -> dict[str, str | None]:
    wrong = [mark for mark in labels if not _LABEL.fullmatch(mark)]
    if wrong:
        raise ConfigError(
            f"{wrong[0]!r} cannot be a label's key: use 1 to 63 letters, digits, _, . and -."
        )
    return dict(labels)
