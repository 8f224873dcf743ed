"""Where a version came from, as far as the registry knows it: code, parents, promises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import sqlalchemy as sa


def lineage_of(
    connection: sa.Connection, name: str, given: Mapping[str, Any], parents: Iterable[str]
) -> dict[str, Any]:
    """Return the manifest's lineage with what only the registry knows.

    `code` and `parents` of the manifest stay; `promise_revision` is the newest at this moment.
    """
    query = sa.text("SELECT COALESCE(MAX(number), 0) FROM revisions WHERE name = :name")
    revision = connection.execute(query, {"name": name}).scalar_one()
    named = list(parents)
    return {
        "parents": named,
        "code": code_version(),
        **given,
        **({"parents": named} if named else {}),
        "promise_revision": revision,
    }


def code_version(source: Path | None = None) -> dict[str, str]:
    """Return the installed version and, when run from a git checkout, the commit.

    Parameters
    ----------
    source
        A file of the package; by default this one.

    Examples
    --------
    >>> sorted(code_version(Path("/nowhere/at/all.py")))
    ['version']
    """
    try:
        found = {"version": version("promise-ml")}
    except PackageNotFoundError:
        found = {"version": "unknown"}
    commit = _commit((source or Path(__file__)).absolute())
    return found if commit is None else {**found, "commit": commit}


def _commit(source: Path) -> str | None:
    """Read the commit from git's files, so that no program has to be run."""
    for folder in source.parents:
        # a package installed into a checkout's environment is not of that checkout
        if folder.name == "site-packages":
            return None
        if (folder / ".git").exists():
            return _head(folder / ".git")
    return None


def _head(git: Path) -> str | None:
    try:
        if git.is_file():  # a work tree of its own: the file names its folder
            git = (git.parent / git.read_text().partition("gitdir:")[2].strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return head
        name = head.removeprefix("ref:").strip()
        return _resolved(git, name)
    except OSError:
        return None


def _resolved(git: Path, name: str) -> str | None:
    shared = git
    if (git / "commondir").is_file():
        shared = (git / (git / "commondir").read_text().strip()).resolve()
    for home in (git, shared):
        if (home / name).is_file():
            return (home / name).read_text().strip()
    if (shared / "packed-refs").is_file():
        for line in (shared / "packed-refs").read_text().splitlines():
            commit, _, ref = line.partition(" ")
            if ref == name:
                return commit
    return None
