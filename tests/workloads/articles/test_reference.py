"""The first design's extractor, classifier, retraining and monitor, by the names it gave them."""

import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.features.text_articles import CLASSES, generated
from tests.models.tiny_encoders import write_bert

from promise.clock import ManualClock
from promise.errors import ArtifactError, ConfigError, DataError, MissingExtra, StateError
from promise.models.encoder import Encoder, open_encoder
from promise.state.files import alone
from promise.workloads import articles as room
from promise.workloads.articles import (
    AdaptiveFeatureExtractor,
    AutoRetrainer,
    MLClassifier,
    ProductionMonitor,
    load_model_version,
    reference,
)
from promise.workloads.articles.reference_tiers import TIERS, reference_groups, tier_of

AT = datetime(2026, 3, 1, tzinfo=UTC)


class Lengths:
    """An encoder of four numbers, all from the text's length."""

    kind, size, max_tokens, weights_hash = "static", 4, None, "lengths"

    def __init__(self) -> None:
        self.seen = 0

    def encode(self, texts: list[str]) -> np.ndarray:
        """Return float32 (n, 4)."""
        self.seen += len(texts)
        return np.array([[len(t), 1, 2, 3] for t in texts], dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write nothing."""


def fitted(n: int = 240, **options: Any) -> tuple[AdaptiveFeatureExtractor, list[Any], list[str]]:
    """Return a fitted extractor and what it was fitted on."""
    articles, labels = generated(n)
    return AdaptiveFeatureExtractor(**options).fit(articles, labels), articles, labels


@pytest.mark.parametrize(
    ("n_articles", "name", "target", "n_features"),
    [
        (200, "conservative", 45, 43),
        (399, "conservative", 45, 43),
        (400, "balanced", 80, 56),
        (799, "balanced", 80, 56),
        (800, "enhanced", 150, 156),
        (1499, "enhanced", 150, 156),
        (1500, "maximum", 300, 160),
        (10**6, "maximum", 300, 160),
    ],
)
def test_the_tier_follows_from_the_number_of_articles(
    n_articles: int, name: str, target: int, n_features: int
) -> None:
    articles, labels = generated(30)
    extractor = AdaptiveFeatureExtractor(n_articles, encoder=Lengths()).fit(articles, labels)
    config = extractor.feature_config
    assert (config.name, config.target_features) == (name, target)
    assert (config["name"], config["target_features"]) == (name, target)
    assert extractor.n_features == n_features == len(extractor.feature_names)
    assert extractor.transform(articles[0]).shape == (n_features,)


def test_below_the_first_tier_comes_a_warning() -> None:
    for n_articles in (0, 1, 199):
        with pytest.warns(UserWarning, match=f"{n_articles} articles are fewer than the 200"):
            extractor = AdaptiveFeatureExtractor(n_articles)
        assert extractor.feature_config.name == "conservative"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tier_of(200).name == "conservative"
    with pytest.raises(KeyError):
        TIERS[0]["size"]


@pytest.mark.slow
def test_the_groups_of_each_tier_are_those_that_were_listed() -> None:
    sizes = {
        "tfidf": 15, "domain": 12, "keywords": 5, "rules": 5, "text_statistics": 4,
        "source_quality": 2,
    }  # fmt: skip
    extractor, _, _ = fitted()
    assert extractor.groups.sizes == sizes
    extractor = fitted(240, dataset_size=400)[0]
    assert extractor.groups.sizes == {**sizes, "sentiment": 5, "entities": 8}
    extractor = fitted(240, dataset_size=1500, enable_advanced=False)[0]
    assert extractor.groups.sizes == sizes
    assert extractor.feature_config.name == "maximum"


@pytest.mark.slow
def test_the_number_of_fitted_articles_decides_where_none_is_given() -> None:
    extractor, articles, labels = fitted(240)
    assert extractor.feature_config.name == "conservative"
    assert extractor.fit(articles * 2, labels * 2).feature_config.name == "balanced"
    with pytest.raises(ConfigError, match="give `dataset_size`, or fit"):
        _ = AdaptiveFeatureExtractor().feature_config
    with pytest.raises(ConfigError, match="call `fit` first"):
        AdaptiveFeatureExtractor().transform("a")
    with pytest.raises(DataError, match="2 articles came with 1 labels"):
        AdaptiveFeatureExtractor(400).fit(["a", "b"], ["x"])


def test_what_cannot_be_built_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    tiers = "promise.workloads.articles.reference_tiers"
    monkeypatch.setattr(f"{tiers}.find_spec", lambda name: None)

    def absent(*_: object, **__: object) -> None:
        raise MissingExtra("a sentence encoder", "deep")

    monkeypatch.setattr(f"{tiers}.open_encoder", absent)
    articles, labels = generated(30)
    with pytest.warns(UserWarning, match="are left out") as told:
        extractor = AdaptiveFeatureExtractor(1500).fit(articles, labels)
    assert [str(warning.message).split()[0] for warning in told] == [
        "word_embeddings", "sentence_embeddings",
    ]  # fmt: skip
    assert "words" in str(told[0].message)
    assert extractor.n_features == 56
    with pytest.raises(MissingExtra):
        reference_groups(1500, encoder="some/where")


def test_articles_without_words_leave_word_embeddings_out() -> None:
    articles, labels = ["", "?!"] * 400, ["a", "b"] * 400
    extractor = AdaptiveFeatureExtractor()
    with pytest.warns(UserWarning, match="word_embeddings are left out: these articles hold"):
        extractor.fit(articles, labels)
    assert extractor.feature_config.name == "enhanced"
    assert "word_embeddings" in (extractor.feature_config.left_out or {})
    assert extractor.n_features == 56
    assert np.isfinite(extractor.transform("")).all()


@pytest.mark.slow
@pytest.mark.parametrize("enable_cache", [True, False])
def test_a_batch_is_its_articles_one_by_one(
    enable_cache: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    extractor, articles, _ = fitted(dataset_size=400, enable_cache=enable_cache)
    asked = [
        *articles[:20],
        "",
        "<p>Only &amp; markup</p>",
        {"content": "x " * 5000},
        {"title": "t"},
    ]
    batch = extractor.transform_batch(asked, batch_size=7)
    assert batch.dtype == np.float32
    assert batch.shape == (24, 56)
    singles = np.stack([extractor.transform(article) for article in asked])
    np.testing.assert_array_equal(batch, singles)
    np.testing.assert_array_equal(extractor.transform_batch(asked, show_progress=False), batch)
    assert extractor.transform_batch([], show_progress=False).shape == (0, 56)
    assert capfd.readouterr().out == ""
    with pytest.raises(ConfigError, match="at least one article"):
        extractor.transform_batch(asked, batch_size=0)


@pytest.mark.slow
def test_what_was_saved_is_read_back(tmp_path: Path) -> None:
    rules = {"money": ["interest rates"]}
    extractor, articles, _ = fitted(dataset_size=800, rules=rules)
    expected = extractor.transform_batch(articles, show_progress=False)
    for _ in range(2):
        extractor.save(tmp_path / "extractor")
    again = AdaptiveFeatureExtractor.load(tmp_path / "extractor")
    np.testing.assert_array_equal(again.transform_batch(articles, show_progress=False), expected)
    assert (again.feature_config.name, again.dataset_size) == ("enhanced", 800)
    assert again.feature_names == extractor.feature_names
    assert again.get_cache_stats()["enabled"]
    told = tmp_path / "extractor" / "extractor.json"
    written = f'"version": {reference.VERSION}'
    told.write_text(told.read_text().replace(written, '"version": 99'))
    with pytest.raises(ArtifactError, match="another version"):
        AdaptiveFeatureExtractor.load(tmp_path / "extractor")
    with pytest.raises(ArtifactError, match="holds no extractor"):
        AdaptiveFeatureExtractor.load(tmp_path)


@pytest.mark.slow
def test_the_cache_computes_an_article_once() -> None:
    encoder = Lengths()
    extractor, articles, _ = fitted(dataset_size=1500, encoder=encoder)
    extractor.transform_batch(articles[:10] * 3, show_progress=False)
    assert encoder.seen == 10
    stats = extractor.get_cache_stats()
    assert (stats["enabled"], stats["size"]) == (True, 10)
    assert stats["hit_rate"] == pytest.approx(20 / 30)
    assert 0 < stats["memory_mb"] < 1
    # The same words elsewhere, or from another source, are another article.
    one = {"title": "a", "body": "bc", "source": ""}
    extractor.transform_batch([one, {**one, "title": "ab", "body": "c"}, {**one, "source": "a"}])
    assert encoder.seen == 13
    extractor.clear_cache()
    assert extractor.get_cache_stats() == {
        "enabled": True, "size": 0, "memory_mb": 0.0, "hit_rate": 0.0,
    }  # fmt: skip
    off = AdaptiveFeatureExtractor(200, enable_cache=False).fit(articles, ["a", "b"] * 120)
    off.clear_cache()
    assert off.get_cache_stats()["enabled"] is False


def test_a_classifier_learns_is_judged_and_read_back(tmp_path: Path) -> None:
    articles, labels = generated(240, share=0.08)
    extractor = AdaptiveFeatureExtractor().fit(articles, labels)
    fresh, truth = generated(90, seed=11, share=0.08)
    classifier = MLClassifier()
    matrix = extractor.transform_batch(articles, show_progress=False)
    assert classifier.train(matrix, labels)["accuracy"] > 0.8
    held = extractor.transform_batch(fresh, show_progress=False)
    scores = classifier.evaluate(held, truth)
    assert scores["f1_macro"] > 0.8
    assert scores["f1_macro_ci"][0] < scores["f1_macro"] < scores["f1_macro_ci"][1] < 1
    assert scores["rows"] == 90
    proba = classifier.predict_proba(held)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    assert classifier.classes == CLASSES
    classifier.save(tmp_path / "v3", {"f1_macro": 0.9})
    again = load_model_version(tmp_path)
    np.testing.assert_array_equal(again.predict_proba(held), proba)
    assert again.metadata == {"f1_macro": 0.9}
    with pytest.raises(ArtifactError, match="has no version 4; there are: 3"):
        load_model_version(tmp_path, 4)
    with pytest.raises(ArtifactError, match="holds no version"):
        load_model_version(tmp_path / "nowhere")


def test_a_classifier_with_an_extractor_takes_articles(tmp_path: Path) -> None:
    articles, labels = generated(240)
    classifier = MLClassifier(AdaptiveFeatureExtractor())
    classifier.train(articles, labels)
    classifier.save(tmp_path / "one")
    again = MLClassifier.load(tmp_path / "one")
    assert again.predict(articles[:5]) == classifier.predict(articles[:5])
    with pytest.raises(DataError, match="opera are no classes of this model"):
        again.evaluate(articles[:1], ["opera"])
    with pytest.raises(DataError, match="2 rows came with 1 labels"):
        again.evaluate(articles[:2], labels[:1])


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda: MLClassifier().train(np.zeros((2, 1)), ["a", "a"]), "at least two classes"),
        (lambda: MLClassifier().train(np.zeros((2, 1)), ["a", None]), "article 1 has no label"),
        (lambda: AutoRetrainer("/x").retrain(["t"], [float("nan")]), "article 0 has no label"),
        (lambda: MLClassifier().predict_proba(np.zeros((1, 1))), "call `train` first"),
        (lambda: MLClassifier().train(["text"], ["a"]), "no extractor"),
        (lambda: MLClassifier.load("/nowhere"), "no classifier.json"),
        (lambda: AdaptiveFeatureExtractor(-3), "there are, not -3"),
        (lambda: AdaptiveFeatureExtractor("200"), "there are, not '200'"),  # type: ignore[arg-type]
        (lambda: room.Adaptive, "has no 'Adaptive'"),
        (lambda: ProductionMonitor().track_extraction(-1, 0.0), "neither is below zero"),
    ],
)
def test_errors_say_what_to_do(act: Callable[[], object], told: str) -> None:
    with pytest.raises((DataError, ConfigError, ArtifactError, AttributeError), match=told):
        act()


def test_a_retraining_is_due_by_labels_time_or_drift(tmp_path: Path) -> None:
    clock = ManualClock(AT)
    retrainer = AutoRetrainer(tmp_path, clock=clock)
    assert retrainer.should_retrain().reason == "there is no version yet"
    articles, labels = generated(260)
    first = retrainer.retrain(articles, labels)
    assert (first.version, first.kept, first.difference) == (1, True, None)
    told = load_model_version(tmp_path).metadata
    assert told["trained_at"] == AT.isoformat()
    assert (told["configuration"], told["n_features"]) == ("conservative", 43)
    assert told["dataset_size"] == 260
    assert told["f1_macro"] == first.f1 >= 0.85
    assert not retrainer.should_retrain(199)
    assert retrainer.should_retrain(200).reason == "200 new labels (asked: every 200)"
    assert retrainer.should_retrain(0, drifted=True)
    clock.advance(8 * 86_400)
    assert retrainer.should_retrain(1).reason == "7 days since the last training"
    assert not retrainer.should_retrain(0)


@pytest.mark.slow
def test_a_version_is_kept_only_when_it_wins(tmp_path: Path) -> None:
    articles, labels = generated(500, share=0.06)
    retrainer = AutoRetrainer(tmp_path, clock=ManualClock(AT), min_f1=0.99)
    refused = retrainer.retrain(articles[:220], labels[:220])
    assert (refused.version, refused.kept) == (None, False)
    assert "below 0.99" in refused.reason
    retrainer = AutoRetrainer(tmp_path, clock=ManualClock(AT), min_f1=0.0)
    noise = np.random.default_rng(1).permutation(labels[:260]).tolist()
    assert retrainer.retrain(articles[:260], noise).version == 1
    better = retrainer.retrain(articles, labels)
    assert better.version == 2
    assert better.difference is not None
    assert better.difference.low > 0
    same = retrainer.retrain(articles, labels)
    assert same.version is None
    assert "not proven better than version 2" in same.reason
    with pytest.raises(DataError, match="too few to judge"):
        retrainer.retrain(articles[:1], labels[:1])
    with pytest.raises(DataError, match="20 articles came with 19 labels"):
        retrainer.retrain(articles[:20], labels[:19])


@pytest.mark.slow
def test_a_lost_comparison_waits_for_labels_that_it_has_not_seen(tmp_path: Path) -> None:
    articles, labels = generated(300)
    clock = ManualClock(AT)
    retrainer = AutoRetrainer(tmp_path, clock=clock, every_articles=40, min_f1=0.0)
    assert retrainer.retrain(articles[:240], labels[:240]).version == 1
    assert retrainer.should_retrain(40).reason == "40 new labels (asked: every 40)"
    assert not retrainer.retrain(articles[:280], labels[:280]).kept
    assert not retrainer.should_retrain(40)
    assert not retrainer.should_retrain(40, drifted=True)
    assert retrainer.should_retrain(60).reason == "due after 20 more labels, or 7 days"
    assert (
        retrainer.should_retrain(80).reason == "40 labels since the last attempt (asked: every 40)"
    )
    clock.advance(86_400)
    assert retrainer.should_retrain(40, drifted=True)
    clock.advance(6 * 86_400)
    assert not retrainer.should_retrain(40)
    assert retrainer.should_retrain(41).reason == "7 days since the last training"


@pytest.mark.slow
def test_a_first_version_that_was_refused_waits_for_more_articles(tmp_path: Path) -> None:
    articles, labels = generated(240)
    retrainer = AutoRetrainer(tmp_path, clock=ManualClock(AT), every_articles=40, min_f1=1.01)
    assert not retrainer.retrain(articles, labels).kept
    assert not retrainer.should_retrain(240)
    assert (
        retrainer.should_retrain(280).reason == "40 labels since the last attempt (asked: every 40)"
    )


def test_two_retrainings_never_run_at_once(tmp_path: Path) -> None:
    articles, labels = generated(20)
    with (
        alone(tmp_path / ".retraining", "held"),
        pytest.raises(StateError, match="wait for its end"),
    ):
        AutoRetrainer(tmp_path).retrain(articles, labels)


@pytest.mark.slow
def test_the_monitor_reports_what_it_was_told() -> None:
    monitor = ProductionMonitor({"a": 600, "b": 400})
    assert monitor.report()["drift"] is None
    monitor.track_extraction(10, 0.5, cache={"hit_rate": 0.25}, classes=["a"] * 6 + ["b"] * 4)
    monitor.track_extraction(30, 0.3)
    report = monitor.report()
    assert report["articles"] == 40
    assert report["extraction_ms"] == pytest.approx(20.0)
    assert report["slowest_ms"] == pytest.approx(50.0)
    assert report["articles_per_s"] == pytest.approx(50.0)
    assert report["cache"] == {"hit_rate": 0.25}
    assert report["memory_mb"] > 1
    assert report["drift"]["drifted"] is None
    monitor.track_extraction(1000, 1.0, classes=["a"] * 600 + ["b"] * 400)
    assert monitor.report()["drift"]["drifted"] is False
    monitor.track_extraction(2000, 1.0, classes=["c"] * 2000)
    assert monitor.report()["drift"]["drifted"] is True
    assert ProductionMonitor().report()["drift"] is None


@pytest.mark.slow
def test_a_fitted_extractor_stays_as_it_is() -> None:
    articles, labels = generated(240)
    extractor = AdaptiveFeatureExtractor().fit(articles, labels)
    groups = extractor.groups
    MLClassifier(extractor).train(articles[:210], labels[:210])
    assert extractor.groups is groups


def test_a_bad_article_of_a_batch_is_named_by_its_place() -> None:
    articles, labels = generated(200)
    extractor = AdaptiveFeatureExtractor().fit(articles, labels)
    with pytest.raises(DataError, match="article 130 is int"):
        extractor.transform_batch([*articles[:130], 5], show_progress=False)
    with pytest.raises(DataError, match="put it into a list"):
        extractor.transform_batch("only a text", show_progress=False)


def test_a_loaded_extractor_uses_the_gpu_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="the deep extra is not installed")
    articles, labels = generated(60)
    tiny = write_bert(tmp_path / "tiny")
    first = AdaptiveFeatureExtractor(1500, use_gpu=True, encoder=tiny).fit(articles, labels)
    first.save(tmp_path / "x")
    asked: list[str] = []

    def opened(path: Path, *, device: str) -> Encoder:
        asked.append(device)
        return open_encoder(path, device=device)

    monkeypatch.setattr(reference, "open_encoder", opened)
    again = AdaptiveFeatureExtractor.load(tmp_path / "x")
    assert (asked, again.use_gpu, again.transform("a goal").shape) == (
        ["auto"], True, (again.n_features,)
    )  # fmt: skip
