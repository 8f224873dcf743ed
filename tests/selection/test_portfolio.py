"""Portfolios: what may race on which table, and why not."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from promise.data.answer import Class, Number
from promise.data.schema import Field, Schema
from promise.errors import ConfigError
from promise.job import Job
from promise.metrics.pointwise import Metric
from promise.selection.candidates import Candidate
from promise.selection.portfolio import PRESETS, for_metric, portfolio, skipped_families
from promise.selection.tuning import tuned

SCHEMA = Schema((Field("a", "number"), Field("b", "category")))


def chosen(preset: str = "default", **given: object) -> list[Candidate]:
    terms: dict[str, object] = {"n_rows": 1000, "n_columns": 2, "ordered": False, **given}
    return portfolio(preset, schema=SCHEMA, answer=Class(("a", "b")), **terms)  # type: ignore[arg-type]


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_listed_parameter_exists(preset: str) -> None:
    by_name = {c.name: c for c in chosen(preset)}
    for candidate in by_name.values():
        again = Candidate.from_json(candidate.to_json(), SCHEMA.to_json())
        assert again.key() == candidate.key()
    counts: dict[str, int] = {}
    for family, _, params in PRESETS[preset]:
        counts[family] = counts.get(family, 0) + 1
        candidate_of_it = by_name.get(f"{family}-{counts[family]:02d}")
        if candidate_of_it is not None:
            assert {k: candidate_of_it.params[k] for k in params} == params


def test_the_baseline_comes_first_and_every_family_soon() -> None:
    families = [c.family for c in chosen()]
    assert families[0] == "baseline"
    assert set(families) == set(families[:9])


def test_sequence_models_need_an_order() -> None:
    skipped = skipped_families("reference", answer=Number(), ordered=False)
    assert "no order among rows (no time column)" in skipped["lstm"]
    if find_spec("torch") is None:
        assert "needs the `deep` extra" in skipped["lstm"]
    forced = skipped_families("default", answer=Number(), ordered=False, families=("lstm",))
    assert "no order" not in forced.get("lstm", "")


def test_unknown_names_have_near_matches() -> None:
    with pytest.raises(ConfigError, match="did you mean 'lightgbm'"):
        chosen(families=("lightgbn",))
    with pytest.raises(ConfigError, match="did you mean 'default'"):
        chosen("defualt")


def test_absolute_metrics_get_an_absolute_loss() -> None:
    mae = Metric("mae", greater_is_better=False, kind="number")
    boosted = next(c for c in chosen() if c.family == "lightgbm")
    assert for_metric(boosted, mae).params["loss"] == "absolute"


def test_proposals_depend_on_their_number_alone() -> None:
    best = [c for c in chosen() if c.family == "lightgbm"]
    first, again = (tuned(best[:2], best, 3, Job(seed=1)) for _ in range(2))
    assert first == again
    assert tuned(best[:2], best, 4, Job(seed=1)).key() != first.key()
