"""Which rung is chosen and why, what the curve foretells, what is left to people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from promise.data.answer import Class, Labels
from promise.errors import ConfigError, DataError
from promise.job import Job
from promise.workloads.articles.chances import Chances, label_multipliers
from promise.workloads.articles.choosing import choose
from promise.workloads.articles.curve import Line, Point, outlook_of
from promise.workloads.articles.presets import means_tried
from promise.workloads.articles.reviewing import (
    Reviewing,
    confidence,
    thresholds_of_precision,
    thresholds_of_share,
)
from promise.workloads.articles.rungs import Folds, Rung, Terms
from promise.workloads.articles.split import ArticleSplit, group_folds
from promise.workloads.articles.terms import Wishes
from promise.workloads.articles.ways import Setting

ANSWER = Class(("a", "b"))
TERMS = Terms(ANSWER, Job(seed=1), None, float("inf"))
FOLDS = Folds((), np.arange(100))


def rung(name: str, cost: int, wrong: list[int], y: np.ndarray) -> Rung:
    """Return a rung that errs on these rows."""
    said = y.copy()
    said[wrong] = 1 - said[wrong]
    shares = np.where(np.eye(2, dtype=bool)[said], 0.9, 0.1)
    score = TERMS.metric.score(y, shares)
    return Rung(name, (), cost, shares, score=score, latency_ms=float(cost))


def test_a_clear_lead_wins_and_a_small_one_is_left_to_the_cheaper_rung() -> None:
    y = np.arange(1000) % 2
    folds = Folds((), np.arange(1000))
    cheap, dear = rung("cheap", 1, [1, 2, 3], y), rung("dear", 9, [1, 5], y)
    chosen, why = choose([cheap, dear], y, TERMS, folds)
    assert chosen.name == "cheap"
    assert "surely leads by less" in why
    poor = rung("poor", 1, list(range(40)), y)
    chosen, why = choose([poor, dear], y, TERMS, folds)
    assert chosen.name == "dear"
    assert "it is the best" in why


def test_a_small_lead_that_few_articles_show_is_not_left_to_the_cheaper_rung() -> None:
    y = np.arange(100) % 2
    cheap, dear = rung("cheap", 1, [1, 2, 3], y), rung("dear", 9, [1, 2, 3], y)
    chosen, _ = choose([cheap, replace(dear, score=cheap.score + 0.0001)], y, TERMS, FOLDS)
    assert chosen.name == "dear"


@pytest.mark.parametrize(("n_wrong", "chosen"), [(9, "all kinds"), (30, "words")])
def test_where_the_best_may_lead_by_chance_the_mean_of_all_kinds_is_taken(
    n_wrong: int, chosen: str
) -> None:
    y = np.arange(100) % 2
    words, table = rung("words", 1, list(range(8)), y), rung("table", 4, list(range(20)), y)
    way = ("any", Setting(1.0, 0.0))
    broad = replace(rung("all kinds", 25, list(range(50, 50 + n_wrong)), y), ways=(way,) * 3)
    found, why = choose([words, table, broad], y, TERMS, FOLDS)
    assert found.name == chosen
    assert ("may be chance" in why) == (chosen == "all kinds")


def test_a_mean_of_two_does_not_stand_for_all() -> None:
    y = np.arange(100) % 2
    way = ("any", Setting(1.0, 0.0))
    pair = replace(rung("pair", 5, list(range(50, 59)), y), ways=(way,) * 2)
    assert choose([rung("words", 1, list(range(8)), y), pair], y, TERMS, FOLDS)[0].name == "words"


def test_terms_a_table_and_a_sentence_encoder_are_averaged() -> None:
    y = np.arange(20) % 2
    rungs = [
        rung("words", 1, [1], y), rung("static vectors", 4, [2, 3], y),
        rung("sentence vectors", 20, [4], y), rung("tuned sentence vectors", 21, [], y),
    ]  # fmt: skip
    names = [[each.name for each in members] for members in means_tried(rungs)]
    assert names[-1] == ["words", "static vectors", "tuned sentence vectors"]
    assert [len(each) for each in means_tried(rungs[:2])] == [2]


def test_a_rung_without_rivals_is_judged_once() -> None:
    truth = np.eye(2, dtype=bool)[np.arange(200) % 2]
    job = Job(seed=1)
    assert len(Folds.of(truth, np.arange(200), job).parts) == 20
    assert len(Folds.of(truth, np.arange(200), job, rivals=False).parts) == 5


def test_folds_keep_copies_together_and_classes_apart() -> None:
    truth = np.eye(3, dtype=bool)[np.array([0] * 20 + [1] * 9 + [2])]
    groups = np.arange(30)
    groups[1] = groups[0]
    fold = group_folds(truth, groups, 5, np.random.default_rng(0))
    assert fold[0] == fold[1]
    assert fold[29] == -1  # the class of one article is learned from alone
    assert np.bincount(fold[:20]).max() <= 5
    sealed, _ = ArticleSplit("random", 0.25, 7).sides(truth, groups, None)
    assert not sealed[29]
    assert sealed[0] == sealed[1]
    assert 5 <= sealed.sum() <= 9
    assert sealed[20:29].any()


def test_split_rules_are_read() -> None:
    with pytest.raises(ConfigError, match="temporal:COLUMN"):
        ArticleSplit.of("temporal", n_rows=100, seed=1)
    with pytest.raises(ConfigError, match="there is no rule 'brand'"):
        ArticleSplit.of("brand:x", n_rows=100, seed=1)
    truth = np.eye(2, dtype=bool)[np.arange(30) % 2]
    with pytest.raises(DataError, match="none of the rows"):
        ArticleSplit.of("given:part", n_rows=30, seed=1).sides(
            truth, np.arange(30), np.full(30, "train", dtype=object)
        )


def test_temperature_and_lines_make_chances_honest() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3000, 3))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = np.array([rng.choice(3, p=p) for p in shares])
    fitted = Chances.fit(3.0 * logits, np.eye(3, dtype=bool)[y], several=False)
    assert fitted.temperature == pytest.approx(3.0, rel=0.1)
    truth = rng.random((3000, 2)) < 1 / (1 + np.exp(-logits[:, :2]))
    several = Chances.fit(2.0 * logits[:, :2], truth, several=True)
    assert several.lines is not None
    assert several.lines[0][0] == pytest.approx(0.5, rel=0.15)
    assert Chances.from_json(several.to_json()) == several
    assert len(label_multipliers(several.of(2.0 * logits[:, :2]), truth)) == 2


def test_the_least_sure_share_is_for_people() -> None:
    output = np.column_stack([np.linspace(0.5, 1, 101), np.linspace(0.5, 0, 101)])
    sure, code = confidence(ANSWER, output, None)
    policy = Reviewing(ANSWER, thresholds_of_share(ANSWER, sure, 0.1))
    assert policy.many({}, output)["review"].mean() == pytest.approx(0.1, abs=0.01)  # type: ignore[arg-type]
    truth = np.zeros((101, 2), dtype=bool)
    truth[np.arange(101), np.where(np.arange(101) < 30, 1, 0)] = True  # the unsure ones are wrong
    cuts = thresholds_of_precision(ANSWER, sure, code, truth, 0.95)
    kept = sure >= cuts[0]
    assert truth[kept, 0].mean() >= 0.95
    assert kept.sum() > 60
    assert thresholds_of_share(ANSWER, sure, 0.0) == ()


def test_several_labels_are_as_sure_as_the_least_sure_one() -> None:
    answer = Labels(("x", "y", "z"))
    sure, _ = confidence(answer, np.array([[0.9, 0.2, 0.4]]), (1.0, 1.0, 1.0))
    assert sure.tolist() == pytest.approx([0.6])
    found = Reviewing(answer, (0.7,), (1.0, 1.0, 2.0)).many({}, np.array([[0.9, 0.2, 0.4]]))  # type: ignore[arg-type]
    assert found["prediction"].tolist() == [["x", "z"]]
    assert found["review"].tolist() == [True]


def test_a_curve_extrapolates_its_own_law() -> None:
    points = [Point("words", n, 1 - 3.0 * n**-0.5) for n in (100, 200, 400)]
    line = Line.of("words", 1, points)
    assert line.c == pytest.approx(0.5)
    assert line.score(1600) == pytest.approx(1 - 3.0 / 40)
    flat = Line.of("words", 1, [Point("words", n, 0.9) for n in (100, 200, 400)])
    assert flat.score(10_000) == pytest.approx(0.9)


@pytest.mark.parametrize(("gained", "coming"), [(0.0, "words"), (0.05, "table")])
def test_a_lead_that_was_left_to_chance_makes_no_next_rung_due(gained: float, coming: str) -> None:
    y = np.arange(100) % 2
    chosen = rung("words", 1, [1], y)
    lines = [Line("words", 1, 0.2, 0.0), Line("table", 4, 0.19 * 100**gained, gained)]
    found = outlook_of(chosen, lines, [], 100, 100)
    assert found.rung == coming
    assert found.changes == (coming == "table")


def test_wishes_are_read_or_refused() -> None:
    assert Wishes.of({"latency": "0.5s"}).latency_ms == 500.0
    for bad in ({"review": "2"}, {"precision": "x"}, {"review": "0.1", "precision": "0.9"}):
        with pytest.raises(ConfigError):
            Wishes.of(bad)
