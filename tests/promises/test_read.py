"""`promise.toml` is read strictly: right files mean what they say, wrong ones say what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promise.errors import ConfigError
from promise.promises.defaults import DEFAULT_PROMISES
from promise.promises.measures import KNOWN, measure_named
from promise.promises.read import model_file, read_model_file
from promise.promises.spec import ModelFile, Promise, RolloutPlan

DESIGN = """
name = "fraud"
workload = "fraud"
[promises]
errors   = { that = "request_errors",    at_most  = 0.01, warn = 0.005, on_break = "rollback" }
speed    = { that = "latency_p99",       at_most  = "12ms",             on_break = "rollback" }
quality  = { that = "average_precision", at_least = 0.60, due = "live", on_break = "retrain" }
drift    = { that = "psi", at_most = 0.1, on_break = ["alert", "retrain"] }
fairness = { that = "equal_opportunity_difference", of = "customer_age", at_most = 0.1, \
on_break = "hold" }
memory   = { that = "memory",            at_most  = "8GB" }
[rollout]
shadow = 1000
steps  = [10, 25, 50, 100]
bake   = "24h"
[experiment]
split  = { "3" = 50, "4" = 50 }
[retrain]
every_rows = 200
schedule   = "sun 02:00"
on_drift   = true
"""


def promised(**clause: Any) -> Promise:
    """Read one promise."""
    return model_file({"promises": {"it": clause}}, "file").promises[0]


def test_the_design_says_what_it_means(tmp_path: Path) -> None:
    path = tmp_path / "promise.toml"
    path.write_text(DESIGN, encoding="utf-8")
    read = read_model_file(path)
    assert read.promises == (
        Promise("errors", "request_errors", at_most=0.01, warn=0.005, due="canary",
                on_break=("rollback",)),
        Promise("speed", "latency_p99", at_most=12.0, due="canary", on_break=("rollback",)),
        Promise("quality", "average_precision", at_least=0.6, due="live", on_break=("retrain",)),
        Promise("drift", "psi", at_most=0.1, due="live", on_break=("alert", "retrain")),
        Promise("fairness", "equal_opportunity_difference", at_most=0.1, due="gate",
                on_break=("hold",), of="customer_age"),
        Promise("memory", "memory", at_most=8192.0, due="gate", on_break=("alert",)),
    )  # fmt: skip
    assert read.rollout == RolloutPlan(1000, (10, 25, 50, 100), 86_400.0)
    assert read.experiment == {3: 50.0, 4: 50.0}
    assert read.retrain == {"every_rows": 200, "schedule": "sun 02:00", "on_drift": True}
    assert (read.name, read.workload) == ("fraud", "fraud")
    assert ModelFile.from_json(read.to_json()) == read


def test_a_file_without_promises_has_the_default_one() -> None:
    read = model_file({"name": "churn"}, "file")
    assert read.promises == DEFAULT_PROMISES
    assert read.promises[0].on_break == ("rollback",)
    assert read.rollout == RolloutPlan()


@pytest.mark.parametrize(
    ("that", "bound", "due", "on_break"),
    [
        ("request_errors", 0.02, "canary", "rollback"),
        ("latency_p50", "2ms", "canary", "rollback"),
        ("memory", "1GB", "gate", "alert"),
        ("throughput", "500/s", "gate", "alert"),
        ("accuracy", 0.8, "gate", "alert"),
        ("rmse", 3, "gate", "alert"),
        ("ece", 0.05, "gate", "alert"),
        ("accuracy_difference", 0.1, "gate", "alert"),
        ("psi", 0.2, "live", "alert"),
    ],
)
def test_each_measure_has_its_defaults(that: str, bound: Any, due: str, on_break: str) -> None:
    of = {"of": "sex"} if that == "accuracy_difference" else {}
    found = promised(that=that, **{measure_named(that).side: bound}, **of)
    assert (found.due, found.on_break) == (due, (on_break,))


@pytest.mark.parametrize("name", KNOWN)
def test_every_known_name_is_a_measure(name: str) -> None:
    assert measure_named(name).name == name


@pytest.mark.parametrize(
    ("that", "bound", "value"),
    [
        ("latency_p99", "1.5s", 1500.0),
        ("latency_p99.9", 20, 20.0),
        ("latency_p95", "250us", 0.25),
        ("request_errors", "1%", 0.01),
        ("request_errors", "0.5 %", 0.005),
        ("memory", "512MB", 512.0),
        ("throughput", "30/min", 0.5),
    ],
)
def test_units_are_understood(that: str, bound: Any, value: float) -> None:
    assert promised(that=that, **{measure_named(that).side: bound}).bound == pytest.approx(value)


def test_aliases_become_the_one_name() -> None:
    assert promised(that="auc", at_least=0.8).that == "roc_auc"
    assert promised(that="psi", of="score", at_most=0.1).of == "score"
    assert promised(that="psi", at_most=0.1, grace="2d").grace_s == 2 * 86_400


ERRORS = {"that": "request_errors", "at_most": 0.01}
WRONG_PROMISES: list[tuple[Any, str]] = [
    ("fast", "expected a table"),
    ({"that": "request_erors", "at_most": 0.1}, "did you mean 'request_errors'"),
    ({"that": "latency_p0", "at_most": 1}, "did you mean"),
    ({"at_most": 0.1}, "that is None"),
    ({**ERRORS, "at_mots": 1}, "did you mean 'at_most'"),
    ({"that": "request_errors"}, "has no bound; expected exactly one bound, at_most"),
    ({**ERRORS, "at_least": 0.1}, "has at_most and at_least"),
    ({"that": "request_errors", "at_least": 0.1}, "less is better"),
    ({"that": "accuracy", "at_most": 0.1}, "more is better for accuracy; say at_least = 0.1"),
    ({"that": "request_errors", "at_most": 0}, "none will ever fail"),
    ({"that": "request_errors", "at_most": 1.5}, "below 1"),
    ({"that": "request_errors", "at_most": float("nan")}, "expected a number"),
    ({"that": "accuracy", "at_least": True}, "expected a number"),
    ({"that": "latency_p99", "at_most": "12 parsecs"}, "unit ms"),
    ({"that": "memory", "at_most": float("inf")}, "bounded by"),
    ({**ERRORS, "warn": 0.02}, "lies below 0.01"),
    ({**ERRORS, "due": "canari"}, "did you mean 'canary'"),
    ({"that": "psi", "at_most": 0.1, "due": "gate"}, "seen only in: canary or live"),
    ({"that": "throughput", "at_least": 10, "due": "live"}, "seen only in: gate"),
    ({**ERRORS, "on_break": "rolback"}, "did you mean 'rollback'"),
    ({**ERRORS, "on_break": []}, "expected for example"),
    ({**ERRORS, "on_break": ["alert", "alert"]}, "named once"),
    ({**ERRORS, "on_break": ["rollback", "hold"]}, "leaves or stays"),
    ({**ERRORS, "of": "sex"}, "leave it out"),
    ({"that": "accuracy_difference", "at_most": 0.1}, "which column"),
    ({**ERRORS, "grace": "soon"}, "span of time"),
]


@pytest.mark.parametrize(("clause", "words"), WRONG_PROMISES)
def test_wrong_promises_are_refused_by_name(clause: Any, words: str) -> None:
    with pytest.raises(ConfigError) as told:
        model_file({"promises": {"it": clause}}, "file")
    assert str(told.value).startswith("file: promises.it")
    assert words in str(told.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"promise": {}}, "did you mean 'promises'"),
        ({"promises": []}, "expected a table"),
        ({"name": 3}, "expected a text"),
        ({"rollout": {"step": [100]}}, "no key 'step' in [rollout]; did you mean 'steps'"),
        ({"rollout": {"steps": [10, 50]}}, "end in 100"),
        ({"rollout": {"steps": [50, 10, 100]}}, "growing"),
        ({"rollout": {"steps": [0.5, 100]}}, "whole percents"),
        ({"rollout": {"shadow": -1}}, "from 0"),
        ({"rollout": {"bake": "a while"}}, "rollout.bake"),
        ({"experiment": {"split": {"3": 60, "4": 50}}}, "adds to 110 %"),
        ({"experiment": {"split": {"three": 50}}}, "is no version"),
        ({"experiment": {"split": {"3": 0}}}, "above 0"),
        ({"experiment": {"splits": {}}}, "did you mean 'split'"),
        ({"retrain": {"schedule": "whenever"}}, "sun 02:00"),
        ({"retrain": {"on_drift": 1}}, "true or false"),
        ({"retrain": {"every_rows": 0}}, "from 1"),
        ({"promises": {"a": ERRORS, "b": ERRORS}}, "both about request_errors"),
    ],
)
def test_wrong_files_are_refused_in_words(data: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as told:
        model_file(data, "file")
    assert str(told.value).startswith("file: ")
    assert words in str(told.value)


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_model_file(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_model_file(tmp_path)
    broken = tmp_path / "broken.toml"
    broken.write_text("[promises\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 1"):
        read_model_file(broken)
    broken.write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigError, match="utf-8"):
        read_model_file(broken)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 200) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["that", "at_most", "due", "steps", "split", "x"]), inner)
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no finding
@given(
    st.dictionaries(
        st.sampled_from(["name", "promises", "rollout", "experiment", "retrain", "odd"]), JSON
    )
)
def test_anything_is_read_or_refused_but_never_crashes(data: dict[str, Any]) -> None:
    try:
        read = model_file(data, "file")
    except ConfigError:
        return
    assert ModelFile.from_json(read.to_json()) == read


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "not 0"),
        ("k" * 65, "not 65"),
        ("speed of light", "not ' '"),
        ("größe", "not 'ö'"),
        ("a.b", "not '.'"),
        ("a\nb", r"not '\\n'"),
    ],
)
def test_a_promise_is_called_by_letters_and_digits(tmp_path: Path, key: str, why: str) -> None:
    clause = {"that": "memory", "at_most": "8GB"}
    with pytest.raises(ConfigError, match=f"^here: a promise is called .*{why}"):
        model_file({"promises": {key: clause}}, "here")
    quoted = json.dumps(key)
    before = f'name = "churn"\n# {quoted} is no name\n[promises]\n'
    inside = (
        before + f'on = {{ that = "accuracy", at_least = 0.5 }}\n{quoted} = {{ }}\n\n[retrain]\n'
    )
    table = before + f'[promises.{quoted}]\nthat = "memory"\n'
    split = before + f'{quoted} = {{ on_break = [\n"alert",\n] }}\n[retrain]\n'
    for text, line in ((inside, 5), (table, 4), (split, 6)):
        path = tmp_path / "promise.toml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=rf"promise.toml, line {line}: a promise is called"):
            read_model_file(path)


@pytest.mark.slow
@given(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True))
def test_every_such_name_is_taken(key: str) -> None:
    read = model_file({"promises": {key: {"that": "memory", "at_most": "8GB"}}}, "here")
    assert read.promises[0].key == key
