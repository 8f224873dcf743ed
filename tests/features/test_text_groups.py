"""Every feature group: its size, known values, honesty about labels, and what it keeps on disk."""

from pathlib import Path

import numpy as np
import pytest
from tests.features.text_articles import CLASSES, columns

from promise.data.columns import Columns
from promise.errors import ArtifactError, ConfigError, DataError
from promise.features.text import to_columns
from promise.features.text_crossfit import Crossfit
from promise.features.text_entities import Entities, count_entities
from promise.features.text_groups import Group, TextGroups, fit_groups
from promise.features.text_labels import TextLabels
from promise.features.text_rules import Rules
from promise.features.text_sentiment import Sentiment
from promise.features.text_sources import SourceQuality
from promise.features.text_statistics import TextStatistics
from promise.features.text_tfidf import ReducedTfidf
from promise.features.text_topics import Keywords, Topics, shared
from promise.features.text_vectors import SentenceEmbeddings, WordEmbeddings
from promise.job import Job
from promise.models.blend import matrix_column

JOB = Job(seed=3, threads=1)


class Counting:
    """An encoder of two numbers: characters and words."""

    kind, size, max_tokens, weights_hash = "static", 2, None, "none"

    def encode(self, texts: list[str]) -> np.ndarray:
        """Return float32 (n, 2)."""
        return np.array([[len(t), len(t.split())] for t in texts], dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write nothing."""


GROUPS: dict[str, tuple[Group, int]] = {
    "tfidf": (ReducedTfidf(15), 15),
    "domain": (Crossfit(Topics(12)), 12),
    "keywords": (Crossfit(Keywords(5)), 5),
    "rules": (Rules({"money": ["bab bab", "gig"]}, 5), 5),
    "text_statistics": (TextStatistics(), 4),
    "source_quality": (Crossfit(SourceQuality()), 2),
    "sentiment": (Sentiment(), 5),
    "entities": (Entities(), 8),
    "word_embeddings": (WordEmbeddings(100, min_count=2), 100),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", GROUPS)
def test_a_group_keeps_its_size_its_rows_and_its_files(name: str, tmp_path: Path) -> None:
    group, size = GROUPS[name]
    articles, labels = columns(90)
    fitted = fit_groups([group], articles, labels, JOB)
    assert (group.name, fitted.sizes, fitted.n_features) == (name, {name: size}, size)
    assert len(set(fitted.feature_names)) == size
    odd = to_columns(
        ["", "<p></p>", "内閣は決めた", "x " * 20_000, {"title": "only", "source": "new"}]
    )
    asked = Columns({key: np.concatenate([articles[key], odd[key]]) for key in articles})
    batch = fitted.transform(asked)
    assert batch.dtype == np.float32
    assert batch.shape == (95, size)
    assert np.isfinite(batch).all()
    for row in (0, 17, 90, 92, 93, 94):
        one = fitted.transform(asked.take(np.array([row])))
        np.testing.assert_array_equal(one[0], batch[row])
    fitted.save(tmp_path)
    again = TextGroups.load(tmp_path)
    assert again.feature_names == fitted.feature_names
    np.testing.assert_array_equal(again.transform(asked), batch)


def test_groups_stand_beside_each_other_as_a_stage() -> None:
    articles, labels = columns(60)
    fitted = fit_groups([TextStatistics(), Sentiment(), Rules()], articles, labels, JOB)
    assert fitted.n_features == 14
    out = fitted.many(articles, {}, None)
    np.testing.assert_array_equal(out[matrix_column("text")], fitted.transform(articles))
    assert fitted.needs(articles) == ()
    assert fitted.transform(articles.take(np.array([], dtype=int))).shape == (0, 14)


def test_an_unknown_group_is_refused(tmp_path: Path) -> None:
    articles, labels = columns(10)
    fit_groups([TextStatistics()], articles, labels, JOB).save(tmp_path)
    path = tmp_path / "model.json"
    path.write_text(path.read_text().replace("text_statistics", "text_statistic"))
    with pytest.raises(ArtifactError, match="did you mean 'text_statistics'"):
        TextGroups.load(tmp_path)


def test_an_encoder_gives_vectors_and_zeros_for_nothing() -> None:
    found = SentenceEmbeddings(Counting()).fit(to_columns([""]), None, JOB)
    assert found.n_features == 2
    assert found.transform(to_columns(["a bc", "", "<b></b>"])).tolist() == [[4, 2], [0, 0], [0, 0]]


def test_topics_and_keywords_find_the_planted_words() -> None:
    articles, labels = columns(150)
    fresh, truth = columns(60, seed=9)
    for group in (Topics(12), Keywords(5)):
        fitted = Crossfit(group).fit(articles, labels, JOB)
        first = [name.split("_")[1] for name in fitted.feature_names[:3]]
        assert sorted(first) == sorted(CLASSES)
        best = fitted.transform(fresh)[:, :3].argmax(axis=1)
        right = np.mean([first[code] == label for code, label in zip(best, truth, strict=True)])
        assert right > 0.85


def test_given_topics_count_their_words() -> None:
    topics = Topics(3, {"money": ["Interest rates", "bank"], "sport": ["goal"]})
    fitted = topics.fit(to_columns(["x"]), ["a"], JOB)
    found = fitted.transform(to_columns(["Bank rates: a goal", ""]))
    assert found.tolist() == [[50.0, 25.0, 0.0], [0.0, 0.0, 0.0]]
    assert fitted.feature_names == ("topic_money_1", "topic_sport_1", "topic_unused_3")
    with pytest.raises(ConfigError, match="3 topics were given and there are 2 columns"):
        Topics(2, {"a": [], "b": [], "c": []}).fit(to_columns(["x"]), ["a"], JOB)


def test_columns_are_shared_among_classes() -> None:
    assert shared((), 3) == []
    assert shared(("a",), 2) == [(0, 0), (0, 1)]
    assert [place for place, _ in shared(tuple("abcdef"), 4)] == [0, 1, 2, 3]


def test_rules_count_words_and_phrases() -> None:
    rules = Rules({"money": ["interest rates", "Bank's"], "sport": ["goal", "bank"]}, 3)
    fitted = rules.fit(to_columns([""]), ["a"], JOB)
    found = np.expm1(fitted.transform(to_columns(["The bank's interest rates; bank!", "none"])))
    assert found.round().tolist() == [[3, 2, 0], [0, 0, 0]]
    with pytest.raises(ConfigError, match=r"rule '!!' of 'money' has 0 words"):
        Rules({"money": ["!!"]}).fit(to_columns([""]), ["a"], JOB)


def test_of_too_many_rules_those_that_apply_are_kept() -> None:
    rules = Rules({name: [name] for name in ("aa", "bb", "cc")}, 2)
    fitted = rules.fit(to_columns(["bb cc", "cc", "bb"]), ["a"] * 3, JOB)
    assert fitted.feature_names == ("rule_bb", "rule_cc")


@pytest.mark.parametrize("group", [Topics(6), Keywords(5), SourceQuality()])
def test_an_articles_own_label_does_not_reach_its_features(group: Topics) -> None:
    articles, labels = columns(80)
    before = Crossfit(group).fit(articles, labels, JOB).transform(articles)
    for row in (0, 41):
        changed = list(labels)
        others = [name for name in CLASSES if name != labels[row]]
        changed[row] = others[0]
        # The order of columns follows the classes' frequencies, which one label may turn around.
        if TextLabels.of(changed).classes != TextLabels.of(labels).classes:
            continue
        after = Crossfit(group).fit(articles, changed, JOB).transform(articles)
        np.testing.assert_array_equal(after[row], before[row])
        assert not np.array_equal(after, before)


def test_random_labels_leave_no_signal_in_crossfitted_features() -> None:
    articles, labels = columns(200)
    noise = np.random.default_rng(2).permutation(labels).tolist()
    codes = np.array([CLASSES.index(name) for name in noise])
    fitted = Crossfit(Topics(3)).fit(articles, noise, JOB)
    place = [CLASSES.index(name.split("_")[1]) for name in fitted.feature_names]
    honest = np.array(place)[fitted.transform(articles).argmax(axis=1)]
    naive = np.array(place)[Topics(3).fit(articles, noise, JOB).transform(articles).argmax(axis=1)]
    assert (naive == codes).mean() > 0.6
    assert (honest == codes).mean() < 0.45


def test_sources_are_smoothed_towards_all() -> None:
    articles = to_columns([{"body": str(i), "source": "a" if i < 40 else "b"} for i in range(42)])
    labels = ["x"] * 38 + ["y"] * 2 + ["x", "y"]
    fitted = SourceQuality(weight=10).fit(articles, labels, JOB)
    usual = (38 + 1) / 42
    big, small = fitted.transform(articles)[[0, 41]]
    assert big == pytest.approx([(38 + 10 * usual) / 50, np.log(41)])
    assert small == pytest.approx([(1 + 10 * usual) / 12, np.log(3)])
    nowhere = SourceQuality().fit(to_columns(["x", "y"]), ["a", "b"], JOB)
    assert nowhere.transform(to_columns(["x"])).tolist() == [[0.0, 0.0]]


def test_labels_may_be_several() -> None:
    several = TextLabels.of([["b", "a"], ("b",), {"c"}, []])
    assert several.classes == ("b", "a", "c")
    assert several.member.toarray().tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]]
    articles, labels = columns(60)
    fitted = Crossfit(Topics(6)).fit(articles, [[label, "news"] for label in labels], JOB)
    assert fitted.transform(articles).shape == (60, 6)
    with pytest.raises(DataError, match="article 1 has no label"):
        TextLabels.of(["a", None])


def test_statistics_of_known_texts() -> None:
    found = TextStatistics().transform(to_columns(["One two. One three! Four", "", "..."]))
    assert found[0] == pytest.approx([np.log(6), 18 / 5, 5 / 3, 4 / 5])
    assert found[1:].tolist() == [[0] * 4] * 2


def test_sentiment_of_known_texts() -> None:
    texts = [
        {"title": "A great day", "body": "They won. It was a terrible loss."},
        "Nobody was happy. A success!",
        "das ist gut",
    ]
    found = Sentiment().transform(to_columns(texts))
    assert found[0] == pytest.approx([20.0, 20.0, 0.0, np.std([1, 1, -1]), 1.0], abs=1e-5)
    assert found[1, :3] == pytest.approx([20.0, 20.0, 0.0])
    assert found[2].tolist() == [0] * 5


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("The Bank of England cut rates.", (1, 0, 1, 0, 0, 0, 0, 0)),
        ("Police in Paris arrested Sir John Hall on Monday.", (2, 1, 0, 1, 0, 1, 0, 0)),
        ("Profits rose 3.5% to $2.1m in May 2004.", (0, 0, 0, 0, 3, 2, 1, 1)),
        ("I think the BBC and Acme Inc agree.", (2, 0, 2, 0, 0, 0, 0, 0)),
        ("lower case mln dlrs 5 pct", (0, 0, 0, 0, 1, 0, 0, 1)),
        ("", (0,) * 8),
    ],
)
def test_entities_of_known_texts(text: str, counts: tuple[int, ...]) -> None:
    assert count_entities(text) == counts


def test_strong_words_are_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    articles, labels = columns(60)
    whole = Keywords(5).fit(articles, labels, JOB)
    monkeypatch.setattr("promise.features.text_topics._BLOCK", 7)
    parts = Keywords(5).fit(articles, labels, JOB)
    np.testing.assert_array_equal(parts.lexicon.hashes, whole.lexicon.hashes)
    np.testing.assert_array_equal(parts.weights, whole.weights)


def test_a_group_that_finds_nothing_to_learn_from_is_left_out() -> None:
    articles = to_columns(["", "???", "one two"])
    fitted = fit_groups([WordEmbeddings(100), TextStatistics()], articles, ["a", "b", "a"], JOB)
    assert fitted.sizes == {"text_statistics": 4}
    assert fitted.transform(articles).shape == (3, 4)


def test_few_articles_fill_what_they_can() -> None:
    fitted = ReducedTfidf(15).fit(to_columns(["one two", "one two three"]), None, JOB)
    found = fitted.transform(to_columns(["one", "nothing known"]))
    assert found.shape == (2, 15)
    assert found[1].tolist() == [0] * 15
    assert (found[0, 2:] == 0).all()


@pytest.mark.slow
def test_entities_of_a_list_of_numbers_take_linear_time() -> None:
    # By the square of its length, this list would keep the rules busy for hours.
    assert count_entities("1," * 250_000) == (0, 0, 0, 0, 1, 0, 0, 0)
    assert count_entities("in 1999,2000 dollars; 1.5% and 3 pct, x1.5")[4:] == (4, 2, 1, 2)


@pytest.mark.parametrize("group", [Rules({"money": "rates"}), Topics(2, {"money": "rates"})])
def test_one_text_in_place_of_a_list_is_refused(group: Rules | Topics) -> None:
    articles = Columns({"body": np.array(["rates"], dtype=object)})
    with pytest.raises(ConfigError, match=r"one text; give a list, for example \['rates'\]"):
        group.fit(articles, ["a"], Job())
