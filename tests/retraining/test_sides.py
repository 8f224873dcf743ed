"""Answers to one request lie on one side; what a version knows never judges it: known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.data.columns import Columns
from promise.data.schema import Field, Schema
from promise.records.source import AT, ID
from promise.retraining.logged import Logged
from promise.retraining.sides import (
    Seen,
    Sides,
    content_fields,
    content_hashes,
    sides_by_content,
    sides_by_id,
    without_copies,
)

ASKED = Schema((Field("title", "text"), Field("body", "text")))
NOTHING = Seen(np.zeros(0, np.uint64), np.zeros(0, np.uint64))


def logged(bodies: list[str | None], titles: list[str | None] | None = None) -> Logged:
    """Return labelled answers, one a second, of articles with these bodies."""

    def column(cells: list[str | None]) -> np.ndarray:
        found = np.empty(len(cells), dtype=object)
        found[:] = cells
        return found

    n = len(bodies)
    columns = {
        "title": column(titles or [None] * n),
        "body": column(bodies),
        "label": column(["sport"] * n),
        ID: column([f"id-{row}" for row in range(n)]),
        AT: np.arange(n).astype("M8[s]").astype("M8[us]"),
    }
    return Logged(Columns(columns), "label")


def seen(learned: list[str | None], sealed: list[str | None]) -> Seen:
    return Seen.of([logged(learned).columns], [logged(sealed).columns], ASKED)


def told(sides: Sides) -> list[str]:
    """Say of each answer what it does."""
    assert not (sides.learned & sides.judging).any()
    words = np.where(sides.learned, "learns", np.where(sides.judging, "judges", "neither"))
    return words.tolist()


def test_articles_are_told_apart_by_their_texts_and_names_by_all_columns() -> None:
    request = Schema((Field("source", "category"), *ASKED.fields))
    assert content_fields(request).names == ("title", "body")
    names = Schema((Field("domain", "category"),))
    assert content_fields(names) == names


def test_blanks_and_case_make_no_other_article() -> None:
    one, two, three = content_hashes(
        logged(["Rain  in\nMay", "rain in may ", "Rain in June"]).columns, ASKED
    )
    assert one == two != three
    title, body = logged(["b", "a"], ["a", "b"]).columns, logged(["ab", "ab"], ["", ""]).columns
    assert len({*content_hashes(title, ASKED), *content_hashes(body, ASKED)}) == 3


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=200))
def test_answers_to_one_article_are_on_one_side_and_the_newest_judges(which: list[int]) -> None:
    answers = logged([f"article {number}" for number in which])
    found = told(sides_by_content(answers, ASKED, NOTHING))
    for number in set(which):
        places = [row for row, other in enumerate(which) if other == number]
        did = [found[row] for row in places]
        judged = ["neither"] * (len(places) - 1) + ["judges"]
        assert did in (["learns"] * len(places), judged)


@pytest.mark.parametrize("n", [1000, 3000])
def test_about_a_fifth_is_set_aside_whatever_comes_later(n: int) -> None:
    bodies: list[str | None] = [f"article {number}" for number in range(n)]
    first = sides_by_content(logged(bodies[:500]), ASKED, NOTHING).judging
    later = sides_by_content(logged(bodies), ASKED, NOTHING).judging
    assert first.tolist() == later[:500].tolist()
    assert 0.16 < later.mean() < 0.24


def test_what_was_learned_never_judges_and_what_was_sealed_is_never_learned() -> None:
    bodies: list[str | None] = [f"article {number}" for number in range(200)]
    before = told(sides_by_content(logged(bodies), ASKED, NOTHING))
    after = told(sides_by_content(logged(bodies), ASKED, seen(bodies[:50], bodies[50:80])))
    assert "judges" in before[:50]
    assert after == ["learns"] * 50 + ["neither"] * 30 + before[80:]


def test_what_was_asked_before_the_cutoff_does_not_judge_behind_it() -> None:
    answers = logged(["old", "copied", "copied", "new", "known", "sealed", "new"])
    by_time = Sides(np.arange(7) < 2, np.arange(7) >= 2, 2.0)
    found = without_copies(by_time, answers, ASKED, seen(["known"], ["sealed"]))
    assert told(found) == ["learns"] * 2 + ["neither"] * 4 + ["judges"]
    assert found.cutoff_s == 2.0


def test_rows_of_a_table_count_each_by_itself() -> None:
    found = sides_by_id(logged(["the same row"] * 1000))
    assert 0.16 < found.judging.mean() < 0.24
    assert (found.learned != found.judging).all()
