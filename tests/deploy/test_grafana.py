"""The dashboard has the shape that Grafana imports, and asks for what `/metrics` tells."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families

from promise.monitoring.rules import installation_rules, rules_for
from promise.promises.read import read_model_file
from promise.serving.server import build, close_worker, open_worker
from promise.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
WINDOW = "5m"

DATASOURCE = {
    "type": "object",
    "required": ["type", "uid"],
    "properties": {"type": {"const": "prometheus"}, "uid": {"const": "${datasource}"}},
}
TARGET = {
    "type": "object",
    "required": ["refId", "expr", "datasource", "legendFormat"],
    "properties": {
        "refId": {"type": "string", "pattern": "^[A-Z]$"},
        "expr": {"type": "string", "minLength": 1},
        "legendFormat": {"type": "string"},
        "datasource": DATASOURCE,
    },
}
PANEL = {
    "type": "object",
    "required": ["id", "type", "title", "description", "gridPos", "targets", "fieldConfig"],
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "type": {"enum": ["timeseries", "state-timeline", "stat", "table"]},
        "title": {"type": "string", "minLength": 1},
        "gridPos": {
            "type": "object",
            "required": ["x", "y", "w", "h"],
            "additionalProperties": False,
            "properties": {
                "x": {"type": "integer", "minimum": 0, "maximum": 23},
                "y": {"type": "integer", "minimum": 0},
                "w": {"type": "integer", "minimum": 1, "maximum": 24},
                "h": {"type": "integer", "minimum": 1},
            },
        },
        "datasource": DATASOURCE,
        "targets": {"type": "array", "minItems": 1, "items": TARGET},
        "fieldConfig": {
            "type": "object",
            "required": ["defaults", "overrides"],
            "properties": {
                "defaults": {"type": "object", "required": ["unit"]},
                "overrides": {"type": "array"},
            },
        },
        "options": {"type": "object"},
    },
}
VARIABLE = {
    "type": "object",
    "required": ["name", "type", "query"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z]+$"},
        "type": {"enum": ["datasource", "query"]},
    },
}
DASHBOARD = {
    "type": "object",
    "required": ["uid", "title", "schemaVersion", "panels", "templating", "time", "refresh"],
    "properties": {
        "uid": {"type": "string", "maxLength": 40},
        "title": {"type": "string"},
        "schemaVersion": {"type": "integer", "minimum": 36},
        "panels": {"type": "array", "minItems": 1, "items": PANEL},
        "templating": {
            "type": "object",
            "required": ["list"],
            "properties": {"list": {"type": "array", "items": VARIABLE}},
        },
        "time": {"type": "object", "required": ["from", "to"]},
        "annotations": {"type": "object", "required": ["list"]},
    },
}


@pytest.fixture(scope="module")
def dashboard() -> Any:
    """Return the dashboard as it is checked in."""
    return json.loads((DEPLOY / "grafana" / "dashboard.json").read_text(encoding="utf-8"))


@pytest.fixture
async def told(tmp_path: Path) -> dict[str, set[str]]:
    """Return every sample name that `/metrics` tells, with its labels."""
    worker = open_worker(Settings.load({"PROMISE_HOME": str(tmp_path)}), 0, open_access=True)
    try:
        series = worker.counters.series("fraud", 3, "live", (12.0,))
        series.answered(3.0)
        transport = httpx.ASGITransport(app=build(worker))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            page = (await client.get("/metrics")).text
    finally:
        close_worker(worker)
    found: dict[str, set[str]] = {}
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    for family in text_string_to_metric_families(page):
        for ending in endings.get(family.type, ("",)):
            found.setdefault(family.name + ending, set())
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio."""
    return "asyncio"


def expressions(dashboard: Any) -> list[str]:
    """Return every PromQL expression of the dashboard."""
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return found + [note["expr"] for note in dashboard["annotations"]["list"]]


def asked(expression: str) -> dict[str, set[str]]:
    """Return the names that an expression asks for, with the labels that it selects by."""
    found: dict[str, set[str]] = {}
    for name, _, selector in re.findall(r"\b(promise_[a-z0-9_]+)\b({([^}]*)})?", expression):
        labels = re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", selector)
        found.setdefault(name, set()).update(labels)
    return found


def test_the_dashboard_has_grafanas_shape(dashboard: Any) -> None:
    jsonschema.Draft202012Validator(DASHBOARD).validate(dashboard)
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in dashboard["panels"]:
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs), panel["title"]


def test_panels_stay_on_the_page_and_apart(dashboard: Any) -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in dashboard["panels"]]
    for title, at in places:
        assert at["x"] + at["w"] <= 24, title
    for (one, a), (other, b) in combinations(places, 2):
        apart = (
            a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        )  # fmt: skip
        assert apart, (one, other)


def test_variables_that_are_used_are_defined(dashboard: Any) -> None:
    defined = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]+)\b", json.dumps(dashboard)))
    assert used <= defined
    assert defined <= used


@pytest.mark.anyio
async def test_every_name_is_told_by_the_metrics_page(
    dashboard: Any, told: dict[str, set[str]]
) -> None:
    declared = read_model_file(DEPLOY / "prometheus" / "example.toml")
    groups = [*installation_rules()["groups"], *rules_for("fraud", declared)["groups"]]
    rules = [rule["expr"] for group in groups for rule in group["rules"]]
    variables = [v["definition"] for v in dashboard["templating"]["list"] if "definition" in v]
    for expression in (*expressions(dashboard), *rules, *variables):
        for name, labels in asked(expression).items():
            assert name in told, f"{name} is not on /metrics: {expression}"
            # a family without samples yet tells no labels
            assert not told[name] or labels <= told[name], (name, labels - told[name])


def test_expressions_are_promql(dashboard: Any, tmp_path: Path, promtool: Any) -> None:
    rules = [
        {"record": f"check:{number}", "expr": expression.replace("$__rate_interval", WINDOW)}
        for number, expression in enumerate(expressions(dashboard))
    ]
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = promtool("check", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr
