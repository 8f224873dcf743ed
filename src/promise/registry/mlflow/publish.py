"""Versions in MLflow: runs with metrics and lineage, registered models, aliases and verdicts."""

from __future__ import annotations

import contextlib
import json
import math
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promise.errors import DataError
from promise.pipeline.artifact import read_manifest, recipe_of
from promise.registry.aliases import ROLES
from promise.registry.mlflow.pyfunc import write_model
from promise.registry.mlflow.server import Mlflow, told
from promise.registry.registry import Registry
from promise.registry.verdicts import Judged, Verdicts
from promise.registry.versions import Version

NUMBER_TAG = "promise.version"
"""The tag of a model version of MLflow that says which version of Promise it is."""


@dataclass(frozen=True)
class Published:
    """A version as MLflow knows it.

    Parameters
    ----------
    number
        MLflow's own number of the model version.
    """

    name: str
    number: int
    run_id: str


def log_version(version: Version, *, tracking_uri: str, experiment: str | None = None) -> str:
    """Log a version as a run: parameters, metrics with intervals, lineage, card and files.

    Parameters
    ----------
    experiment
        Where the run belongs; made where it is missing. By default the model's name.

    Returns
    -------
    The run's id; a version that was logged there before keeps its run.
    """
    bridge = Mlflow(tracking_uri)
    client = bridge.client
    with told(bridge):
        where = _experiment(client, experiment or version.name)
        run = _logged(client, where, version)
        return run if run is not None else _log(client, where, version)


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return str(client.create_experiment(name) if found is None else found.experiment_id)


def _logged(client: Any, experiment: str, version: Version) -> str | None:
    """Return the finished run of this very version, if it was logged before."""
    query = f"tags.`promise.digest` = '{version.digest}' and attributes.status = 'FINISHED'"
    for run in client.search_runs([experiment], filter_string=query):
        if run.data.tags.get(NUMBER_TAG) == str(version):
            return str(run.info.run_id)
    return None


def _log(client: Any, experiment: str, version: Version) -> str:
    from mlflow.entities import Metric, Param

    run = client.create_run(experiment, run_name=str(version), tags=_tags(version))
    run_id = str(run.info.run_id)
    at_ms = int(version.created.timestamp() * 1000)
    metrics = [Metric(k, v, at_ms, 0) for k, v in metrics_of(version).items()]
    params = [Param(k, v) for k, v in params_of(version).items()]
    try:
        client.log_batch(run_id, metrics=metrics, params=params)
        client.log_artifact(run_id, str(version.folder / "card.md"))
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            write_model(version, folder)
            client.log_artifacts(run_id, str(folder), "model")
    except BaseException:
        client.set_terminated(run_id, status="FAILED")
        raise
    client.set_terminated(run_id, status="FINISHED")
    return run_id


def _tags(version: Version) -> dict[str, str]:
    """Return where a version came from, as tags."""
    kept = {k: v for k, v in version.lineage.items() if k not in ("schema", "reader")}
    lineage = {
        f"promise.lineage.{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in kept.items()
    }
    return {
        NUMBER_TAG: str(version),
        "promise.digest": version.digest,
        "promise.workload": version.workload,
        **{key: text[:5000] for key, text in lineage.items()},
        **{f"promise.label.{key}": value for key, value in version.labels.items()},
    }


def metrics_of(version: Version) -> dict[str, float]:
    """Return the holdout's metrics by name, and the bounds of the score's interval."""
    kept = version.metrics
    found = dict(kept.get("all", {}))
    name, interval = str(kept.get("metric", "score")), kept.get("ci")
    if kept.get("score") is not None:
        found[name] = kept["score"]
    if interval is not None:
        found[f"{name}_low"], found[f"{name}_high"] = interval
    if kept.get("rows") is not None:
        found["holdout_rows"] = kept["rows"]
    return {
        key: float(value)
        for key, value in found.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def params_of(version: Version) -> dict[str, str]:
    """Return how a version is trained again, flattened: members, parameters, task."""
    task = read_manifest(version.folder)["task"]
    asked = {key: task[key] for key in ("workload", "label", "metric")}
    flat = dict(_flat({**asked, **recipe_of(version.folder)}))
    return {_key(path): value[:5000] for path, value in flat.items()}


def _key(text: str) -> str:
    """Return a name that MLflow takes: letters, digits and a few marks."""
    return re.sub(r"[^\w./ -]", "_", text)[:250]


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _flat(child, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, child in enumerate(value):
            yield from _flat(child, f"{path}.{number}")
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)


def register(
    version: Version, *, tracking_uri: str, experiment: str | None = None, name: str | None = None
) -> Published:
    """Log a version and register it as a model version with its signature.

    Parameters
    ----------
    name
        The registered model in MLflow; by default the model's name here.

    Returns
    -------
    MLflow's number and run; a version that was registered there before keeps its number.
    """
    bridge = Mlflow(tracking_uri)
    client = bridge.client
    run_id = log_version(version, tracking_uri=tracking_uri, experiment=experiment)
    title = name or version.name
    with told(bridge):
        known = _numbers(client, title, version.name).get(version.number)
        if known is not None:
            return Published(title, known, run_id)
        _ensure_model(client, title)
        made = client.create_model_version(
            title,
            source=f"runs:/{run_id}/model",
            run_id=run_id,
            tags=_tags(version),
            description=f"{version} of Promise, {version.workload}",
        )
        return Published(title, int(made.version), run_id)


def _ensure_model(client: Any, title: str) -> None:
    from mlflow.exceptions import MlflowException

    with contextlib.suppress(MlflowException):
        client.get_registered_model(title)
        return
    client.create_registered_model(title)


def _numbers(client: Any, title: str, name: str) -> dict[int, int]:
    """Return Promise's number to MLflow's of every model version that came from this name."""
    found: dict[int, int] = {}
    for made in client.search_model_versions(f"name='{title}'"):
        own, _, number = made.tags.get(NUMBER_TAG, "").rpartition("@")
        if own == name and number.isdigit():
            found[int(number)] = max(found.get(int(number), 0), int(made.version))
    return found


def mirror_aliases(
    name: str, *, registry: Registry, tracking_uri: str, title: str | None = None
) -> dict[str, int]:
    """Let MLflow's aliases say what is live here, and its tags what the evidence says.

    Parameters
    ----------
    title
        The registered model in MLflow; by default the same name.

    Returns
    -------
    Alias to MLflow's number; a role without a version, or whose version was never registered
    there, has no alias.
    """
    bridge, title = Mlflow(tracking_uri), title or name
    client = bridge.client
    route = registry.lifecycle.route(name)
    verdicts = Verdicts(registry.database, registry.clock)
    with told(bridge):
        numbers = _numbers(client, title, name)
        if not numbers:
            raise DataError(
                f"MLflow at {tracking_uri} has no version of {title!r} that came from here; "
                f"run `promise models publish {name}` first."
            )
        roles = {role: numbers.get(getattr(route, role) or 0) for role in ROLES}
        there = dict(client.get_registered_model(title).aliases)
        for role, number in roles.items():
            if number is not None and str(there.get(role)) != str(number):
                client.set_registered_model_alias(title, role, str(number))
            if number is None and role in there:
                client.delete_registered_model_alias(title, role)
        for version in route.loaded:
            if version in numbers:
                _tag_verdicts(client, title, numbers[version], verdicts.current(name, version))
    return {role: number for role, number in roles.items() if number is not None}


def _tag_verdicts(client: Any, title: str, number: int, judged: list[Judged]) -> None:
    there: Mapping[str, str] = client.get_model_version(title, str(number)).tags
    for found in judged:
        verdict = found.verdict
        key = _key(f"promise.verdict.{verdict.promise}")
        measured = "nothing" if verdict.measured is None else f"{verdict.measured:.6g}"
        text = (
            f"{verdict.status}: {verdict.that} {measured}, bound {verdict.bound:g}, n {verdict.n}"
        )
        if there.get(key) != text:
            client.set_model_version_tag(title, str(number), key, text)
