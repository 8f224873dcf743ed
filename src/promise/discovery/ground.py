"""What is known before the race: the data, its label, what fits in memory, what looks wrong."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from promise.data.infer import infer_schema
from promise.data.sample import sample_size
from promise.data.schema import Role, Schema
from promise.data.source import Source, open_source
from promise.discovery.options import Options
from promise.discovery.preflight import Preflight, preflight
from promise.discovery.timing import pace_since
from promise.discovery.watch import Watcher
from promise.errors import DataError, near
from promise.metrics.pointwise import Metric, default_metric, metric_named
from promise.models.base import ESTIMATORS
from promise.profiling.checks import Finding, check_split, check_table, schema_with_findings
from promise.profiling.profile import Profile, profile_source
from promise.registry.versions import check_name, slug
from promise.selection.portfolio import families_of
from promise.training.train import order_told
from promise.workloads.tabular.label import Label, read_label
from promise.workloads.tabular.table import Sampling, Table, load_table, table_roles


@dataclass(frozen=True)
class Ground:
    """Everything that stands before the first fit.

    Parameters
    ----------
    warnings
        Sentences that the user must see beside the result.
    read_s
        What one pass over the data costs.
    order
        On which terms the version is trained, as its lineage keeps them.
    """

    name: str
    source: Source
    metric: Metric
    preflight: Preflight
    profile: Profile
    table: Table
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]
    read_s: float
    order: dict[str, Any]


def survey(data: Any, options: Options, watcher: Watcher, *, began: float) -> Ground:
    """Open, profile, sample, split and check the data; refuse what cannot be learned, in words.

    `began` is when the user started to wait, in monotonic seconds.
    """
    watcher.step("reading")
    source = _opened(data, options)
    name = check_name(options.name or model_name(data))
    roles = _roles(options)
    schema = table_roles(infer_schema(source), roles, options.target)
    begun = time.monotonic()
    label = read_label(
        source,
        schema,
        options.target,
        seed=options.seed,
        least=_rows_wanted(source, options),
        metric=options.metric,
    )
    read_s = time.monotonic() - begun
    metric = (
        default_metric(label.answer)
        if options.metric is None
        else metric_named(options.metric, label.answer)
    )
    fits = _preflight(source, schema, label, options, pace_since(began))
    for sentence in fits.describe():
        watcher.tell(sentence)
    watcher.step("profiling")
    profile = profile_source(source, schema, target=options.target, threads=options.threads)
    watcher.step("splitting and checking")
    columns = {role: column for column, role in roles.items()}
    table = load_table(
        source,
        schema,
        options.target,
        label,
        Sampling(fits.rows_used, options.strategy, options.seed),
        time=columns.get("time"),
        group=columns.get("group"),
        gap_s=options.gap_s,
    )
    findings = _check(profile, table)
    table = _with_inputs(table, findings)
    warnings = _warnings(fits, table, findings)
    for warning in warnings:
        watcher.warn(warning)
    order = order_told(data, source, preset=options.preset, columns=roles, target=options.target)
    order["reading"] = dict(options.reading)
    return Ground(
        name, source, metric, fits, profile, table, tuple(findings), tuple(warnings), read_s, order
    )


def _opened(data: Any, options: Options) -> Source:
    source = open_source(
        data,
        on_bad_rows=options.on_bad_rows,
        delimiter=options.reading.get("delimiter"),
        encoding=options.reading.get("encoding"),
        decimal=options.reading.get("decimal"),
        compression=options.reading.get("compression"),
    )
    if options.target not in source.columns:
        hint = near(options.target, source.columns)
        raise DataError(f"{source.name} has no column {options.target!r}; {hint}")
    return source


def _roles(options: Options) -> dict[str, str]:
    """Return column to role: what `--column`, `--time` and `--group` say together."""
    roles = dict(options.columns)
    for role, column in (("time", options.time), ("group", options.group)):
        if column is not None:
            roles[column] = role
    return roles


def _rows_wanted(source: Source, options: Options) -> int:
    """Return for how many rows the label is needed in any case."""
    if options.sample == "full":
        return source.size().rows
    return 0 if isinstance(options.sample, str) else options.sample


def _preflight(
    source: Source, schema: Schema, label: Label, options: Options, pace: float
) -> Preflight:
    names = options.families or families_of(options.preset)
    return preflight(
        replace(source.size(), rows=label.n_source_rows, exact=True),
        schema,
        label.answer,
        families=[ESTIMATORS.resolve(name) for name in names],
        sample=sample_size(label.n_labelled, options.sample),
        memory_mb=options.memory_mb,
        threads=options.threads,
        budget_s=None if options.trials is not None else options.budget_s,
        pace=pace,
        forced=options.families is not None,
    )


def _with_inputs(table: Table, findings: list[Finding]) -> Table:
    """Return the table without the columns that the findings rule out."""
    table = table.with_schema(schema_with_findings(table.schema, findings))
    if not table.fed:
        reasons = "; ".join(f.evidence for f in findings if f.severity == "error")
        raise DataError(f"no column of {table.source.name} is left to learn from: {reasons[:400]}")
    return table


def model_name(data: Any) -> str:
    """Return a model's name for data that the user gave without one.

    Examples
    --------
    >>> model_name("data/Bank Marketing.csv"), model_name("sqlite:///shop.db::orders")
    ('bank-marketing', 'orders')
    """
    if not isinstance(data, str | Path):
        return "table"
    text = str(data).rpartition("::")[2] or str(data)
    parts = [part.split(".")[0] for part in re.split(r"[/\\]", text)]
    named = [slug(part) for part in parts if re.search(r"[A-Za-z]{2}", part) and "*" not in part]
    return named[-1] if named else "table"


def _check(profile: Profile, table: Table) -> list[Finding]:
    train = table.train
    findings = check_table(
        profile,
        table.schema,
        table.columns.take(train),
        table.y[train],
        table.answer,
        rows=table.rows[train],
        target=table.target,
        time=_named(table, "time"),
    )
    inputs = table.columns.only(field.name for field in table.schema.inputs)
    return [
        *findings,
        *check_split(
            inputs,
            table.y,
            train,
            table.holdout,
            rows=table.rows,
            target=table.target,
            time=_named(table, "time"),
            group=_named(table, "group"),
        ),
    ]


def _named(table: Table, role: Role) -> str | None:
    field = table.schema.find(role)
    return None if field is None else field.name


def _warnings(fits: Preflight, table: Table, findings: list[Finding]) -> list[str]:
    lines = list(table.source.cautions())
    if table.columns.n_rows < table.n_source_rows - table.unlabelled:
        used, all_rows = table.columns.n_rows, table.n_source_rows
        lines.append(f"Training on a sample of {used:,} of {all_rows:,} rows.")
    if table.unlabelled:
        lines.append(f"{table.unlabelled:,} rows have no {table.target} and are left out.")
    if table.source.bad_rows.count:
        shown = "; ".join(why for _, why in table.source.bad_rows.examples[:3])
        lines.append(f"{table.source.bad_rows.count:,} ragged rows were skipped: {shown}.")
    lines += [f.evidence for f in findings if f.suspicious]
    return [*lines, *table.warnings, *fits.warnings]
