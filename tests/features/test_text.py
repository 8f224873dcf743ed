"""Cleaning, cutting and guessing the language of articles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.errors import DataError
from promise.features.text import clean, text_or_none, to_columns, words
from promise.features.text_language import language
from promise.features.text_reading import Lexicon, Reading, Words

LATIN = st.text(st.characters(codec="latin-1"), max_size=60)


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("<p>One</p><p>Two</p>", "One\nTwo"),
        ("<div>a<br/>b</div><style>.c{}</style>", "a\nb"),
        ("seen <!-- <b>never</b> --> here", "seen here"),
        ("an open <!-- comment stays", "an open <!-- comment stays"),
        ("<p>kept <script>not closed", "kept not closed"),
        ("if a < b and c > d", "if a < b and c > d"),
        ("AT&amp;T &#8364;5 &bogus;", "AT&T €5 &bogus;"),
        ("\u201cfine\u201d \u2013 don\u2019t\u00a0\u200bgo", '"fine" - don\'t go'),
        ("ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("a\r\n\r\n b\t c\x00d", "a\nb c d"),
        ('<a href="x>y">link</a>', "link"),
        ("\ud800 alone", "? alone"),
    ],
)
def test_cleaning_reads_what_a_person_would(given: str, plain: str) -> None:
    assert clean(given) == plain


@settings(deadline=None)
@given(st.text(max_size=80))
def test_cleaning_twice_leaves_no_blank_to_take(text: str) -> None:
    once = clean(text)
    assert once == once.strip()
    assert "  " not in once
    assert "\r" not in once


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece", ["<", "<a", "<!--", "<script>", "<a b='", '<a b="', "&#", "&amp", "<![CDATA[", "</"]
)
def test_a_megabyte_of_open_markup_is_read(piece: str) -> None:
    # The parser's own time on these grows with the square of the length: minutes, not parts of one.
    text = "start " + piece * (1_000_000 // len(piece))
    assert clean(text).startswith("start")


def test_words_lose_their_possessive_s() -> None:
    assert words("It's the PM's 3.5% plan") == ["it", "the", "pm", "3", "5", "plan"]


@settings(deadline=None)
@given(LATIN)
def test_compiled_words_are_those_of_the_readable_twin(text: str) -> None:
    # Signs of Latin-1 (©, ½, …) count as letters in the compiled loop; underscores do not here.
    plain = "".join(c for c in clean(text) if c.isascii() or c.isalpha()).replace("_", " ")
    assert Words.of([plain]).texts() == words(plain)


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(LATIN, max_size=5))
def test_words_of_a_batch_are_those_of_each_text(texts: list[str]) -> None:
    batch = Words.of(texts)
    for row, text in enumerate(texts):
        alone, taken = Words.of([text]), batch.take(np.array([row]))
        assert alone.texts() == taken.texts()
        np.testing.assert_array_equal(alone.hashes, taken.hashes)
        np.testing.assert_array_equal(alone.sentences, taken.sentences)
        np.testing.assert_array_equal(alone.runs(1, 2)[0], taken.runs(1, 2)[0])


def test_chinese_characters_are_words_of_their_own() -> None:
    assert Words.of(["内閣は決 abc"]).texts() == ["内", "閣", "は", "決", "abc"]


def test_runs_of_words_depend_on_order_and_length() -> None:
    hashes, ends = Words.of(["a b", "b a", "a b c"]).runs(2, 3)
    assert ends.tolist() == [0, 1, 2, 5]
    assert hashes[0] == hashes[2]
    assert len(set(hashes.tolist())) == 4


def test_articles_are_read_as_people_write_them() -> None:
    found = to_columns(
        [{"Title": "T", "content": float("nan"), "publisher": "BBC"}, "text", {"text": 5}]
    )
    assert found["title"].tolist() == ["T", None, None]
    assert found["body"].tolist() == [None, "text", "5"]
    assert found["source"].tolist() == ["BBC", None, None]
    assert text_or_none(float("nan")) is None
    with pytest.raises(DataError, match=r"article 1 is int"):
        to_columns(["a", 3])  # type: ignore[list-item]
    with pytest.raises(DataError, match=r"did you mean 'title'"):
        to_columns([{"titel": "a"}])


def test_a_reading_knows_its_articles_and_their_parts() -> None:
    reading = Reading.of(
        to_columns([{"title": "A", "body": "b"}, "", {"body": "b", "source": " BBC "}])
    )
    assert reading.texts == ["A\nb", "", "b"]
    assert reading.sources == (None, None, "bbc")
    assert len(set(reading.hashes.tolist())) == 3
    assert reading.words.counts.tolist() == [2, 0, 1]
    part = reading.take(np.array([2, 0]))
    assert part.texts == ["b", "A\nb"]
    np.testing.assert_array_equal(part.hashes, reading.hashes[[2, 0]])
    assert part.words.texts() == ["b", "a", "b"]


def test_a_lexicon_finds_its_words_and_no_others() -> None:
    listed = [f"word{i}" for i in range(500)]
    lexicon = Lexicon.of(listed)
    assert lexicon.find(Words.of([" ".join(listed)]).hashes).tolist() == list(range(500))
    assert lexicon.find(Words.of(["word500 other"]).hashes).tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("en", "The prime minister said that the plan was good for the country."),
        ("de", "Die Regierung hat den Plan nicht auf den Weg gebracht, und das ist gut."),
        ("fr", "Le ministre a dit que les prix sont dans une situation difficile pour le pays."),
        ("es", "El ministro dijo que los precios no son buenos para el país y la gente."),
        ("it", "Il ministro ha detto che non è una buona cosa per gli italiani della città."),
        ("pl", "Minister powiedział, że nie jest to dobre dla kraju i że się z tym nie zgadza."),
        ("uk", "Міністр сказав, що ціни зростають у країні"),
        ("zh", "部长说价格上涨"),
        ("ko", "장관은 가격이 오른다고 말했다"),
        ("ar", "قال الوزير إن الأسعار ترتفع"),
        (None, "Lorem 42"),
        (None, ""),
    ],
)
def test_the_language_is_told_or_left_open(code: str | None, text: str) -> None:
    assert language(text) == code


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("<!DOCTYPE html><html><title>T</title><p>x</p></html>", "T\nx"),
        ('<?xml version="1.0"?><p>x</p>', "x"),
        ("<p>a <![CDATA[b]]> c</p>", "a b c"),
        ("<![CDATA[plain]]>", "plain"),
    ],
)
def test_what_a_page_declares_is_no_text(given: str, plain: str) -> None:
    assert clean(given) == plain


def test_a_single_article_is_no_list_of_letters() -> None:
    for one in ("only a text", {"body": "only a text"}):
        with pytest.raises(DataError, match="put it into a list"):
            to_columns(one)  # type: ignore[arg-type]


def test_missing_cells_of_frames_are_no_words() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    cells = [pandas.NA, pandas.NaT, np.float32("nan"), np.float64("nan"), None]
    assert [text_or_none(cell) for cell in cells] == [None] * 5
