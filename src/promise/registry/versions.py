"""A version: an immutable folder and its row in the registry."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from promise.errors import ConfigError

State = Literal["active", "deprecated", "archived"]

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Version:
    """One registered version of a model's name.

    Parameters
    ----------
    name, number
        Together unique; numbers of a name count up from 1 and are never used again.
    folder
        Where its files lie on this machine; `Registry.fetch` brings them there from S3.
    digest
        Of its manifest, which holds the digests of all other files.
    metrics
        Holdout metrics with intervals, as the manifest keeps them.
    lineage
        Where it came from: data fingerprint, seed, `code`, `parents` (`NAME@V`) and
        `promise_revision`, the promises that were declared when it was registered.
    labels
        Free `key: value` marks.
    location
        Where the artifact store keeps it: a folder or a URL.
    views
        The feature views that it was trained with, each with its version.
    state, archive_at, retired_because
        `active`, or `deprecated` until a date and then `archived`, and why.
    """

    name: str
    number: int
    created: datetime
    workload: str
    folder: Path
    digest: str
    metrics: dict[str, Any]
    lineage: dict[str, Any]
    labels: dict[str, str]
    location: str = ""
    views: dict[str, Any] = field(default_factory=dict)
    state: State = "active"
    archive_at: datetime | None = None
    retired_because: str = ""

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"


def check_name(name: str) -> str:
    """Return the model's name, or say what a name looks like.

    Examples
    --------
    >>> check_name("churn-eu")
    'churn-eu'
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be a model's name: use 1 to 63 lower-case letters, digits, "
            f"- and _, starting with a letter, for example {slug(name)!r}."
        )
    return name


def slug(text: str) -> str:
    """Return a valid model name close to a text.

    Examples
    --------
    >>> slug("Bank Marketing.csv")
    'bank-marketing-csv'
    """
    words = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-_")
    return (words if words[:1].isalpha() else f"m-{words}").rstrip("-")[:63] or "model"


def parse_reference(reference: str) -> tuple[str, int | str | None]:
    """Split `NAME[@V]` or `NAME[@ALIAS]`; without either the newest version is meant.

    Examples
    --------
    >>> parse_reference("churn@3")
    ('churn', 3)
    >>> parse_reference("churn@live")
    ('churn', 'live')
    >>> parse_reference("churn")
    ('churn', None)
    """
    name, at, mark = reference.partition("@")
    if not at:
        return name, None
    if re.fullmatch("[0-9]{1,9}", mark):  # what an INTEGER column holds
        return name, int(mark)
    if _NAME.fullmatch(mark):
        return name, mark
    raise ConfigError(
        f"{reference!r}: after @ comes a version number or an alias, for example {name}@3 or "
        f"{name}@live."
    )
