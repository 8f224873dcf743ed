"""Rules made from promises: promtool reads them, and they fire when a promise burns."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from promise.monitoring.rules import as_yaml, installation_rules, rules_for
from promise.promises.read import read_model_file
from promise.promises.spec import ModelFile, Promise

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
EXAMPLE = FOLDER / "rules" / "fraud.yml"
INSTALLATION = FOLDER / "rules" / "installation.yml"


def test_the_checked_in_rules_are_what_the_example_gives() -> None:
    declared = read_model_file(FOLDER / "example.toml")
    assert EXAMPLE.read_text(encoding="utf-8") == as_yaml(rules_for("fraud", declared)), (
        "run: promise models rules fraud --config deploy/prometheus/example.toml"
    )
    assert INSTALLATION.read_text(encoding="utf-8") == as_yaml(installation_rules())


def test_the_files_are_read_by_prometheus(promtool: Any) -> None:
    done = promtool("check", "rules", EXAMPLE, INSTALLATION)
    assert done.returncode == 0, done.stderr
    done = promtool("check", "config", FOLDER / "prometheus.yml")
    assert done.returncode == 0, done.stderr


def test_odd_names_are_quoted(promtool: Any, tmp_path: Path) -> None:
    odd = Promise('a "quoted\\" key: {{ x }}', "latency_p99.9", at_most=0.5, of=None)
    path = tmp_path / "odd.yml"
    path.write_text(as_yaml(rules_for("a-b_c", ModelFile(promises=(odd,)))), encoding="utf-8")
    done = promtool("check", "rules", path)
    assert done.returncode == 0, done.stderr


def test_every_promise_has_a_verdict_alert_and_shares_burn() -> None:
    declared = read_model_file(FOLDER / "example.toml")
    rules = rules_for("fraud", declared)["groups"][0]["rules"]
    broken = {r["labels"]["promise"]: r for r in rules if r["alert"] == "PromiseBroken"}
    assert set(broken) == {promise.key for promise in declared.promises}
    assert broken["speed"]["labels"]["severity"] == "page"
    assert broken["drift"]["labels"]["severity"] == "ticket"
    burning = [r for r in rules if r["alert"] == "PromiseErrorsBurning"]
    assert [r["labels"]["severity"] for r in burning] == ["page", "ticket", "warning"]
    slow = [r for r in rules if r["alert"] == "PromiseLatencyBurning"]
    assert all('target_ms="12"' in r["expr"] for r in slow)


@pytest.mark.parametrize("bound", [0.01, 0.5, 0.9])
def test_no_limit_is_out_of_reach(bound: float) -> None:
    declared = ModelFile(promises=(Promise("errors", "request_errors", at_most=bound),))
    rules = rules_for("a", declared)["groups"][0]["rules"]
    limits = [float(x) for r in rules for x in re.findall(r"> ([0-9.e-]+)\)\nand", r["expr"])]
    assert limits
    assert all(bound <= limit < 1 for limit in limits)


def counted(metric: str, per_minute: str, more: str = "", version: int = 3) -> dict[str, Any]:
    """Return a series of the live arm, one value a minute."""
    labels = f'model="fraud", version="{version}", arm="live", instance="a:8000"'
    return {"series": f"{metric}{{{labels}{more}}}", "values": per_minute}


def alert_test(rules: Path, series: list[dict[str, Any]], at: str, name: str, fires: Any) -> Any:
    """Return a unit test of promtool: whether an alert fires at a time."""
    return {
        "interval": "1m",
        "input_series": series,
        "alert_rule_test": [{"eval_time": at, "alertname": name, "exp_alerts": fires}],
    }


def expected(rules: dict[str, Any], name: str, value: str, **labels: str) -> dict[str, Any]:
    """Return an alert as it must fire, its texts from the rules with the value put in."""
    found = next(
        rule
        for group in rules["groups"]
        for rule in group["rules"]
        if rule.get("alert") == name and labels.items() <= rule["labels"].items()
    )
    texts = {
        key: re.sub(r"{{ \$value[^}]*}}", value, text).replace("{{ $labels.instance }}", "a:8000")
        for key, text in found["annotations"].items()
    }
    instance = {"instance": "a:8000"} if "instance" in found["expr"] else {}
    return {"exp_labels": {**found["labels"], **instance}, "exp_annotations": texts}


@pytest.mark.slow
def test_alerts_fire_when_they_should_and_only_then(promtool: Any, tmp_path: Path) -> None:
    own = rules_for("fraud", read_model_file(FOLDER / "example.toml"))
    house = installation_rules()
    healthy = [
        counted("promise_requests_total", "0+1000x600"),
        counted("promise_errors_total", "0+4x600"),
        counted("promise_over_target_total", "0+9x600", ', target_ms="12"'),
    ]
    bad = [
        counted("promise_requests_total", "0+1000x60"),
        counted("promise_errors_total", "0+50x60"),
        counted("promise_over_target_total", "0+100x60", ', target_ms="12"'),
    ]
    quiet = [
        counted("promise_requests_total", "0+1x600"),
        counted("promise_errors_total", "0 0 1 1 1 1 1 1 1 1 1 1"),
    ]
    page = {"severity": "page"}
    stale = [{"series": 'promise_database_stale_seconds{instance="a:8000", slot="0"}',
              "values": "0 0 90 150"}]  # fmt: skip
    verdict = [{"series": 'promise_verdict{model="fraud", promise="quality", instance="a:8000"}',
                "values": "1 0 -1"}]  # fmt: skip
    dropped = [{"series": 'promise_log_dropped_total{instance="a:8000", slot="0"}',
                "values": "0 0 0 5 5 5"}]  # fmt: skip
    errors, slow = "PromiseErrorsBurning", "PromiseLatencyBurning"
    tests = [
        alert_test(EXAMPLE, healthy, "10h", errors, []),
        alert_test(EXAMPLE, healthy, "10h", slow, []),
        alert_test(EXAMPLE, quiet, "10m", errors, []),
        alert_test(EXAMPLE, verdict, "1m", "PromiseBroken", []),
        alert_test(EXAMPLE, verdict, "2m", "PromiseBroken",
                   [expected(own, "PromiseBroken", "", promise="quality")]),
        alert_test(EXAMPLE, bad, "50m", errors, [
            expected(own, errors, "5%", severity=severity)
            for severity in ("page", "ticket", "warning")
        ]),
        alert_test(EXAMPLE, bad, "50m", slow, [
            expected(own, slow, "10%", severity=severity) for severity in ("page", "ticket")
        ]),
        alert_test(INSTALLATION, stale, "1m", "PromiseDatabaseStale", []),
        alert_test(INSTALLATION, stale, "2m", "PromiseDatabaseStale",
                   [expected(house, "PromiseDatabaseStale", "1m 30s", **page)]),
        alert_test(INSTALLATION, dropped, "5m", "PromiseRecordsDropped",
                   [expected(house, "PromiseRecordsDropped", "", **page)]),
        alert_test(INSTALLATION, [], "6m", "PromiseAbsent",
                   [expected(house, "PromiseAbsent", "", **page)]),
        alert_test(INSTALLATION, healthy[:1], "6m", "PromiseShedding", []),
    ]  # fmt: skip
    path = tmp_path / "tests.json"
    said = {"rule_files": [str(EXAMPLE), str(INSTALLATION)], "evaluation_interval": "1m"}
    path.write_text(json.dumps({**said, "tests": tests}), encoding="utf-8")
    done = promtool("test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr
