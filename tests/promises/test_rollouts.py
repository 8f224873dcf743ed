"""The simulated rollouts judge as the judge does, and seldom roll back a healthy model."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from promise.promises.judge import judge_share
from promise.promises.spec import Promise, RolloutPlan

ERRORS = Promise("errors", "request_errors", at_most=0.01)


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).parents[2] / "bench" / "rollouts.py"
    spec = importlib.util.spec_from_file_location("bench_rollouts", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_table_turns_where_the_judge_does(bench: ModuleType) -> None:
    turns = bench.Turns.of(0.01, 40)
    for k in (0, 1, 2, 3, 7, 20, 40):
        last, first = int(turns.broken[k]), int(turns.kept[k])
        if last >= 0:
            assert judge_share(ERRORS, last, k).status == "BROKEN"
            assert judge_share(ERRORS, last + 1, k).status != "BROKEN"
        assert judge_share(ERRORS, first, k).status == "KEPT"
        assert judge_share(ERRORS, first - 1, k).status == "UNKNOWN"


def test_healthy_models_go_live_and_bad_ones_do_not(bench: ModuleType) -> None:
    rng, turns = np.random.default_rng(1), bench.Turns.of(0.01, 1500)
    healthy = bench.rollouts(rng, 400, 0.005, turns, RolloutPlan(), live=10_000)
    assert healthy.rolled_back <= 0.01
    assert healthy.live >= 0.98
    bad = bench.rollouts(rng, 200, 0.05, turns, RolloutPlan(), live=0)
    assert bad.rolled_back == 1
    assert 100 <= bad.requests <= 160
    assert 0.25 <= np.isfinite(bench.naive(rng, 1000, 0.005)).mean() <= 0.45


def test_a_live_model_that_turns_bad_is_noticed(bench: ModuleType) -> None:
    alarms = bench.watched(np.random.default_rng(2), 60, 0.005, 0.05, 4000, 4000)
    assert (alarms > 0).all()
    assert 250 <= np.median(alarms) <= 600
