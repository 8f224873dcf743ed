"""An order understood: columns, terms and recipe; what cannot be meant is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from promise.data.infer import infer_schema
from promise.data.schema import Field, Schema
from promise.data.source import Source
from promise.errors import ConfigError
from promise.features.keyed import Keyed
from promise.pipeline.artifact import recipe_of
from promise.pipeline.order import Order
from promise.workloads.fraud.recipe import DEFAULT, Recipe
from promise.workloads.fraud.reference import REFERENCE
from promise.workloads.fraud.roles import Roles, roles_of
from promise.workloads.fraud.terms import Terms, smote_of, terms_of
from promise.workloads.fraud.views import keyed_of

PRESETS = {"default": DEFAULT, "reference": REFERENCE}


@dataclass(frozen=True)
class Plan:
    """What was asked for, once it is understood.

    Parameters
    ----------
    options
        As they were said, so that a later training can say them again.
    gap_s
        Between blocks: as long as labels take, unless the order says otherwise.
    """

    roles: Roles
    schema: Schema
    terms: Terms
    recipe: Recipe
    options: dict[str, str]
    preset: str
    gap_s: float

    @property
    def columns(self) -> dict[str, str]:
        """Role to column."""
        return dict(self.roles.columns)

    @property
    def formats(self) -> dict[str, Field]:
        """Inferred fields by name."""
        return {field.name: field for field in self.schema}

    @property
    def time(self) -> str:
        """Name of the time column."""
        return self.roles.columns["time"]

    def keyed(self, prevalence: float) -> Keyed:
        """Return the features, whose rates of unknown entities are the training rows' share."""
        return keyed_of(
            self.columns,
            self.terms.label_delay,
            wide=self.terms.wide,
            prior=float(f"{prevalence:.2g}"),
            numbers=self.roles.numbers,
        )


def plan_of(source: Source, order: Order) -> Plan:
    """Read an order: which columns, which terms, which recipe; refuse what cannot be meant.

    A version that is trained again says its roles and options, and the order may change them.
    """
    if order.resume:
        raise ConfigError("--resume: a fraud training is one piece; run it without.")
    kind = (order.split or "temporal").partition(":")[0]
    if kind != "temporal":
        raise ConfigError(
            f"--split {order.split}: frauds are learned from the past and judged on later days; "
            "say temporal:COLUMN, or leave it out."
        )
    before: dict[str, Any] = {} if order.start is None else recipe_of(order.start)
    said = order.columns | ({} if order.target is None else {order.target: "label"})
    kept = {c: role for role, c in before.get("columns", {}).items() if role not in said.values()}
    named = kept | dict.fromkeys(before.get("inputs", ()), "input") | said
    options = {**before.get("options", {}), **order.options}
    terms = terms_of(options)
    preset = str(before.get("preset", order.preset))
    recipe = PRESETS[preset]
    if terms.smote is not None:
        recipe = replace(recipe, smote=smote_of(terms.smote))
    if terms.train_rows is not None:
        recipe = replace(recipe, train_rows=terms.train_rows)
    schema = infer_schema(source)
    roles = roles_of(schema, source.sample(20_000), named)
    if terms.explore and "id" not in roles.columns:
        raise ConfigError(
            "--set explore: which events are explored is drawn by their id, and no column is the "
            "id; say --column id=NAME."
        )
    return Plan(roles, schema, terms, recipe, options, preset, order.gap_s or terms.gap_s)
