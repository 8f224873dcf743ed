"""`promise train`: from data to a registered version, whatever the workload."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from promise.data.lineage import open_beside
from promise.data.rows import OnBadRows
from promise.data.source import Source, open_source
from promise.errors import ConfigError
from promise.pipeline.artifact import save_pipeline
from promise.pipeline.figures import figure
from promise.pipeline.order import Order, Outcome, workload_named
from promise.records.forgotten import Forgotten
from promise.records.history import LOG, History
from promise.registry.registry import Registry
from promise.registry.versions import Version, check_name
from promise.settings import Settings
from promise.state.files import alone
from promise.training.model import Model


@dataclass(frozen=True)
class Trained:
    """A new version and what is known of it."""

    version: Version
    outcome: Outcome
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return what `promise train --json` prints."""
        return {
            "version": str(self.version),
            "metrics": self.outcome.metrics,
            "split": self.outcome.split,
            "rows": self.outcome.rows,
            "seconds": self.seconds,
            "peak_memory_mb": self.outcome.peak_memory_mb,
            **self.outcome.details,
        }

    def sentence(self) -> str:
        """Say what was made and how good it is."""
        metric = self.outcome.pipeline.task.metric
        score = figure(self.outcome.metrics.get(metric))
        log = self.outcome.details.get("log")
        read = "" if log is None else f", read {log['events']:,} events of its log"
        return (
            f"registered {self.version}: {metric} {score} on {self.outcome.split}; "
            f"trained on {self.outcome.rows:,} rows{read} in {self.seconds:.1f} s, "
            f"peak memory {self.outcome.peak_memory_mb:,.0f} MB"
        )


def train(
    workload: str,
    data: Any,
    *,
    name: str,
    start: str | None = None,
    on_bad_rows: OnBadRows = "fail",
    tell: Callable[[str], None] | None = None,
    **terms: Any,
) -> Model:
    """Train a version, register it under a name and return it ready to predict.

    Parameters
    ----------
    workload
        `"tabular"`, or another installed workload.
    data
        A path, URL or data frame; `"log"`, where the workload answers with lists: the events that
        the model keeps already, up to the last one.
    name
        The model's name.
    start
        `NAME@V` to train again; its views, estimators and rounds are kept.
    terms
        Further fields of `Order`: `target`, `preset`, `full`, `budget_s`, `trials`, `seed`, …

    Raises
    ------
    PromiseError
        For a user's error, in one sentence.
    """
    trained = train_version(
        workload, data, name=name, start=start, on_bad_rows=on_bad_rows, tell=tell, **terms
    )
    return Model(trained.version)


def train_version(
    workload: str,
    data: Any,
    *,
    name: str,
    start: str | None = None,
    on_bad_rows: OnBadRows = "fail",
    tell: Callable[[str], None] | None = None,
    lineage: Mapping[str, Any] | None = None,
    admit: Callable[[sa.Connection], None] | None = None,
    settings: Settings | None = None,
    until: int | None = None,
    **terms: Any,
) -> Trained:
    """Do what `train` does and return what is known of the new version.

    Parameters
    ----------
    lineage
        What else the version's lineage keeps.
    admit
        See `Registry.register`: what it raises leaves no version.
    until
        Up to which event of its log a model that answers with lists learns, beside its data; None:
        the log is read only where it is the data, to its end.
    """
    begun = time.perf_counter()
    kind = workload_named(workload)
    settings = settings or Settings.load()
    registry = Registry.open(settings)
    terms["threads"] = max(1, min(terms.get("threads") or 2, os.cpu_count() or 1))
    terms["options"] = whole_paths(terms.get("options") or {}, kind.paths)
    parent = None if start is None else registry.find(start)
    order = Order(
        name=check_name(name),
        work=settings.home.absolute() / "work" / f"{workload}-{name}",
        start=None if parent is None else parent.folder,
        forgotten=partial(Forgotten(registry.database).among, name),
        **terms,
    )
    if order.preset not in kind.presets:
        raise ConfigError(f"--preset {order.preset}: {workload} has {' and '.join(kind.presets)}.")
    busy = f"another training of {name!r} is under way here; wait for it, or use another --name."
    with alone(order.work.with_name(f"{order.work.name}.lock"), busy):
        if not order.resume:
            shutil.rmtree(order.work, ignore_errors=True)
        order.work.mkdir(parents=True, exist_ok=True)
        source: Source
        if kind.finder is not None and isinstance(data, str) and data == LOG:
            source = History(registry.database, name, until=until, records=settings.records)
        else:
            known = () if parent is None else (parent.lineage,)
            source = open_beside(data, *known, on_bad_rows=on_bad_rows)
            if until is not None:
                log = History(registry.database, name, until=until, records=settings.records)
                order = replace(order, log=log)
        outcome = kind.train(source, order, tell or (lambda _: None))
        parents = [] if parent is None else [str(parent)]
        ordered = order_told(
            data, source,
            preset=order.preset, columns=order.columns, target=order.target,
            split=order.split, options=order.options, people=order.people,
        )  # fmt: skip
        told = {"parents": parents, "order": ordered, **(lineage or {})}
        kept = replace(outcome.contents, lineage={**outcome.contents.lineage, **told})
        version = registry.register(
            name,
            lambda folder: save_pipeline(outcome.pipeline, folder, kept),
            parents=parents,
            admit=admit,
        )
        shutil.rmtree(order.work, ignore_errors=True)
    return Trained(version, outcome, time.perf_counter() - begun)


def order_told(
    data: Any,
    source: Source,
    *,
    preset: str,
    columns: Mapping[str, str],
    target: str | None,
    split: str | None = None,
    options: Mapping[str, str] | None = None,
    people: str | None = None,
) -> dict[str, Any]:
    """Return on which terms a version was trained, so that it can be ordered again.

    A log is told as `log`; a local path is kept whole, since whoever trains again may work in
    another folder; a URL as messages show it, without its password. The target is told as the
    column that has its role.
    """
    return {
        "data": LOG if isinstance(source, History) else _place(data, source.name),
        **({} if people is None else {"people": _place(people, open_source(people).name)}),
        "preset": preset,
        "columns": {**columns, **({} if target is None else {target: "label"})},
        "split": split,
        "options": dict(options or {}),
    }


def whole_paths(options: Mapping[str, str], paths: tuple[str, ...]) -> dict[str, str]:
    """Return options whose local paths lead to the same files from any folder.

    Examples
    --------
    >>> whole_paths({"rules": "/srv/rules.csv", "reject": "0.1"}, ("rules",))
    {'rules': '/srv/rules.csv', 'reject': '0.1'}
    """
    return {key: _whole(text) if key in paths else text for key, text in options.items()}


def _whole(text: str) -> str:
    """Return a path whole, or several that commas part; what is no file here is a name."""
    parts = [text] if Path(text).expanduser().exists() else text.split(",")
    here = ((part, Path(part.strip()).expanduser().exists()) for part in parts)
    return ",".join(_place(part.strip(), part) if found else part for part, found in here)


def _place(data: Any, name: str) -> str:
    """Return where data lies, whoever asks: a local path whole, else its name."""
    local = isinstance(data, str | Path) and "://" not in str(data)
    return str(Path(data).expanduser().absolute()) if local else name
