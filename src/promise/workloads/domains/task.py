"""What is asked of names: which columns hold name and label, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass

from promise.data.answer import Class
from promise.data.infer import infer_schema
from promise.data.schema import Field, Schema
from promise.data.source import Source
from promise.errors import ConfigError, DataError, near
from promise.pipeline.order import Order
from promise.pipeline.task import Task
from promise.workloads.domains.split import NameSplit

NAME_OF_WORKLOAD = "domains"
DOMAIN = "domain"
_NAMES = ("domain", "host", "hostname", "fqdn", "name", "url")
_LABELS = ("label", "class", "category", "app")
METRIC = "accuracy"


@dataclass(frozen=True)
class Sheet:
    """Which columns are read.

    Parameters
    ----------
    domain, label
        The columns of names and of classes.
    levels
        Further label columns, from the nearest up.
    """

    domain: str
    label: str
    levels: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read."""
        return (self.domain, self.label, *self.levels)

    @property
    def fields(self) -> Schema:
        """All of them as text."""
        return Schema(tuple(Field(name, "category") for name in self.columns))


def read_sheet(source: Source, order: Order) -> Sheet:
    """Find the columns of names and labels: by role, by name, or as the only ones left.

    Raises
    ------
    DataError, ConfigError
        When a column is missing or several would do; says how to name it.
    """
    roles = {role: column for column, role in order.columns.items()}
    levels = tuple(order.options[key] for key in ("company", "category") if key in order.options)
    for column in (*order.columns, *levels):
        if column not in source.columns:
            raise DataError(
                f"{source.name} has no column {column!r}; {near(column, source.columns)}"
            )
    domain = roles.get("domain") or next((n for n in _NAMES if n in source.columns), None)
    if domain is None:
        raise DataError(
            f"{source.name} has no column of names; say which by --column domain=NAME "
            f"(columns: {', '.join(source.columns)})."
        )
    label = order.target or roles.get("label") or _only_text(source, {domain, *levels})
    if label in levels or label == domain:
        raise ConfigError(f"column {label!r} plays two parts; name the label: --column label=NAME.")
    return Sheet(domain, label, levels)


def _only_text(source: Source, taken: set[str]) -> str:
    """Return the column that is called what labels are called, or the only one left."""
    rest = [name for name in source.columns if name not in taken]
    named = [name for name in rest if name.lower() in _LABELS]
    if len(named) == 1:
        return named[0]
    if len(rest) != 1:
        texts = [f.name for f in infer_schema(source) if f.name in rest and f.type == "category"]
        rest = texts or rest
    if len(rest) == 1:
        return rest[0]
    if not rest:
        raise DataError(
            f"{source.name} has no column of labels beside {', '.join(sorted(taken))}; add one, "
            "with the class of each name."
        )
    raise DataError(
        f"several columns may hold the label ({', '.join(rest)}): say --column label=NAME."
    )


def names_task(
    sheet: Sheet, classes: tuple[str, ...], unknown: str, split: NameSplit, prior: tuple[float, ...]
) -> Task:
    """Return the task: one name is asked, a class or `unknown` is answered."""
    label = Field(sheet.label, "category", role="label")
    return Task(
        workload=NAME_OF_WORKLOAD,
        request=Schema((Field(sheet.domain, "category", role="domain"),)),
        answer=Class(classes, unknown=unknown),
        label=sheet.label,
        metric=METRIC,
        split={"names": split.to_json(), "label_field": Schema((label,)).to_json()[0]},
        heuristic=prior,
    )
