"""A finding: what is wrong with a table, the evidence, and the fix as code."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from promise.data.schema import Schema

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

DROPPED = frozenset({"all_missing", "constant", "identifier", "target_copy"})
"""Checks whose columns a careful person would always leave out."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Parameters
    ----------
    check
        Which check, in snake case.
    severity
        `error`: the score would be a lie; `warning`: likely to mislead; `note`: worth knowing.
    columns
        The columns it is about; empty when it is about the rows.
    evidence
        One sentence with the numbers.
    fix
        A flag or a line of Python that the reader can run.
    suspicious
        Whether the columns may hold the answer, so that a score learned from them would lie.
    """

    check: str
    severity: Severity
    columns: tuple[str, ...]
    evidence: str
    fix: str
    suspicious: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {**asdict(self), "columns": list(self.columns)}


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings with the gravest first, otherwise in their order."""
    return sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), not f.suspicious))


def drop(columns: Iterable[str]) -> str:
    """Return the flags that leave columns out.

    Examples
    --------
    >>> drop(["duration", "call id"])
    "--column ignore=duration --column 'ignore=call id'"
    """
    return " ".join("--column " + shlex.quote(f"ignore={name}") for name in columns)


def flag(option: str, column: str) -> str:
    """Return a flag that names a column, as a shell reads it.

    Examples
    --------
    >>> flag("group", "call id"), flag("time", "-t")
    ("--group 'call id'", '--time=-t')
    """
    between = "=" if column.startswith("-") else " "
    return f"--{option}{between}{shlex.quote(column)}"


def schema_with_findings(
    schema: Schema, findings: Iterable[Finding], *, drop_suspicious: bool = False
) -> Schema:
    """Leave out what a careful person would always leave out, and never the last input.

    Identifiers, constants, empty columns and exact copies of the target lose their role `input`;
    columns that merely look suspicious keep it unless `drop_suspicious`.

    Examples
    --------
    >>> from promise.data.schema import Field
    >>> schema = Schema((Field("id", "category"), Field("age", "number")))
    >>> found = Finding("identifier", "warning", ("id",), "7 of 7 values differ", drop(["id"]))
    >>> schema_with_findings(schema, [found])["id"].role
    'ignore'
    """
    roles: dict[str, str] = {}
    for finding in findings:
        if finding.check in DROPPED or (drop_suspicious and finding.suspicious):
            for name in finding.columns:
                if name in schema and schema[name].role == "input":
                    roles[name] = "ignore"
    if not any(field.name not in roles for field in schema.inputs):
        return schema
    return schema.with_roles(roles)
