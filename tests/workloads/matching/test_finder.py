"""From a version's folder to a list: the same alone and in a batch, drawn again, and explained."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.workloads.matching.small_world import (
    INTERESTS,
    START,
    anybody,
    basis,
    folk,
    log,
)

from promise.data.columns import Columns
from promise.errors import ConfigError, DataError
from promise.pipeline.finding import MOST, Asked, Bounded, Told
from promise.pipeline.policy import PREDICTION
from promise.workloads.matching import finder as finder_module
from promise.workloads.matching import snapshot
from promise.workloads.matching.content import NEAR, WIDENING
from promise.workloads.matching.finder import PeopleFinder
from promise.workloads.matching.heuristic import AFFINITY, DayOne, by_affinity
from promise.workloads.matching.pick import (
    LOT,
    POOL,
    SHOWN,
    SOURCE,
    PickPeople,
)
from promise.workloads.matching.retrieve import RANDOM, Plan
from promise.workloads.matching.snapshot import Basis
from promise.workloads.matching.stages import ID, PairFeatures, RetrievePeople

N = 150
EVERYBODY = anybody(N)
LIKES = log(
    [(f"p{a}", "like", f"p{b}") for a in range(N) for b in range(N) if a != b and (a + b) % 29 == 3]
)
BASE = basis(folk(EVERYBODY), LIKES, tastes=True)


def stages(base: Basis = BASE, pick: PickPeople | None = None, plan: Plan | None = None):
    """The four stages."""
    find = RetrievePeople.over(base, plan or Plan(rings=WIDENING))
    read = PairFeatures.over(find, mutual=True)
    score = DayOne(read.names) if base.source is None else by_affinity(read.names)
    return {
        "retrieve": find,
        "featurize": read,
        "score": score,
        "decide": pick or PickPeople(explored=2),
    }


def saved(folder: Path, *args, **more) -> Path:
    """Write a version's folder."""
    kinds = {}
    for name, stage in stages(*args, **more).items():
        home = folder / "weights" / name
        home.mkdir(parents=True)
        stage.save(home)
        kinds[name] = {"kind": stage.kind, "version": stage.kind_version}
    manifest = {"format": 1, "stages": kinds}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A version over a hundred and fifty people."""
    return saved(tmp_path_factory.mktemp("version"))


@pytest.fixture
def finder(folder) -> PeopleFinder:
    """A finder of its own for each test."""
    return PeopleFinder.open(folder)


def test_a_list_has_what_it_promises(finder) -> None:
    answer = finder.find(Asked("p5", features=True), START)
    items = answer["items"]
    assert not answer["cold_start"]
    assert [one["position"] for one in items] == list(range(1, 21))
    assert len({one["id"] for one in items}) == 20
    assert Counter(one["source"] for one in items)["random"] == 2
    for one in items:
        assert 0 <= one["probability"] <= 1
        assert one["reasons"] == [reason for reason in one["reasons"] if reason]
    json.dumps(answer, allow_nan=False)


def test_features_are_those_that_somebody_is_ranked_by(finder, tmp_path) -> None:
    no_taste = PeopleFinder.open(saved(tmp_path, basis(folk(EVERYBODY))))
    for of, read in ((finder, {AFFINITY}), (no_taste, set(DayOne.reads))):
        ranked = of.find(Asked("p5", features=True, limit=5), START)["items"]
        assert all(set(one["features"]) == read for one in ranked)


def test_one_is_as_in_a_batch_and_a_batch_is_as_each(finder, folder) -> None:
    stage = stages()
    names = np.array([f"p{i}" for i in range(0, N, 3)] + ["stranger"], dtype=object)
    find, read = stage["retrieve"], stage["featurize"]
    rows = read.many(find.many(Columns({ID: names}), {}, None), {}, None)
    lists = stage["decide"].many(rows, stage["score"].many(rows))[PREDICTION]
    for name, batch in zip(names, lists, strict=True):
        alone = finder.find(Asked(str(name)), START)["items"]
        kept = [{k: v for k, v in one.items() if k != "reasons"} for one in alone]
        assert kept == batch, name
    loaded = RetrievePeople.load(folder / "weights" / "retrieve")
    same = PairFeatures.load(folder / "weights" / "featurize")
    again = same.many(loaded.many(Columns({ID: names}), {}, None), {}, None)
    for column in rows.arrays:
        np.testing.assert_array_equal(again[column], rows[column])


def test_no_request_finds_nobody_and_says_so(finder) -> None:
    find = stages()["retrieve"]
    nobody = find.many(Columns({ID: np.empty(0, object)}), {}, None)
    assert nobody.n_rows == 0
    finder.take([Told(i, "p5", f"p{i}", "block", START) for i in range(1, N)])
    finder.take([Told(N, "p5", "p0", "block", START)])
    answer = finder.find(Asked("p5"), START)
    assert answer["items"] == []
    assert "decided on or is blocked" in answer["reason"]
    filtered = finder.find(Asked("p6", filters={"place": "Atlantis"}), START)
    assert filtered["items"] == []
    assert "filters" in filtered["reason"]


def test_a_draw_can_be_drawn_again_and_another_draw_differs(finder) -> None:
    first, again, other = (
        [one["id"] for one in finder.find(Asked("p5", draw=draw), START)["items"]]
        for draw in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("explored", [0, 2, 5])
@pytest.mark.parametrize("limit", [1, 7, 20, 140])
def test_propensities_add_up_to_the_length_of_the_list(explored, limit) -> None:
    stage = stages(pick=PickPeople(explored=explored))
    rows = stage["featurize"].many(
        stage["retrieve"].many(Columns({ID: np.array(["p5"], object)}), {}, None), {}, None
    )
    picked = stage["decide"].one(rows, stage["score"].many(rows), limit)
    assert len(picked.rows) == min(limit, rows.n_rows)
    by_chance = picked.by_chance
    assert (picked.propensity[~by_chance] == 1).all()
    if explored:
        n_best = (~by_chance).sum()
        others = rows[POOL][0] + (rows[SOURCE] != RANDOM).sum() - n_best
        total = n_best + others * picked.propensity[by_chance][:1].sum()
        assert total == pytest.approx(len(picked.rows))


@pytest.mark.slow
def test_how_often_somebody_is_explored_is_their_propensity(finder) -> None:
    shown, chance = Counter(), {}
    for draw in range(300):
        for one in finder.find(Asked("p5", draw=draw), START)["items"]:
            if one["source"] == "random":
                shown[one["id"]] += 1
                chance[one["propensity"]] = 1
    (share,) = chance
    assert sum(shown.values()) == 600
    everybody = 2 / share  # candidates that are not shown for their score are among them
    assert 0.9 * everybody < len(shown) <= everybody + 1e-9
    expected = 300 * share
    assert sum((n - expected) ** 2 / expected for n in shown.values()) < 2 / share + 60


def test_caps_on_exposure_hold() -> None:
    pick = PickPeople(explored=2, most_shown=2)
    find = stages(pick=pick)
    from promise.workloads.matching.overlay import World

    finder = PeopleFinder(
        World(basis(folk(EVERYBODY), LIKES, tastes=True)),
        find["retrieve"], find["featurize"], find["score"], pick,
    )  # fmt: skip
    shown: Counter[str] = Counter()
    number = 0
    for asker in range(12):
        items = finder.find(Asked(f"p{asker}"), START)["items"]
        for one in items:
            number += 1
            shown[one["id"]] += 1
            finder.take([Told(number, f"p{asker}", one["id"], "impression", START)])
    assert max(shown.values()) <= 2
    five, shown_before = np.array([5.0, 5.0]), np.array([2, 9])
    rows = Columns({SOURCE: np.array([0, 3]), SHOWN: shown_before, POOL: five, LOT: five})
    assert not len(pick.one(rows, np.array([[0.9, np.nan]] * 2)).rows)


def test_lists_that_were_given_count_like_events_that_tell_of_them() -> None:
    pick = PickPeople(explored=2, most_shown=2)
    find = stages(pick=pick)
    from promise.workloads.matching.overlay import World

    finder = PeopleFinder(
        World(basis(folk(EVERYBODY), LIKES, tastes=True)),
        find["retrieve"], find["featurize"], find["score"], pick,
    )  # fmt: skip
    assert isinstance(finder, Bounded)
    assert finder.most_shown == 2
    first = [one["id"] for one in finder.find(Asked("p0"), START)["items"]]
    finder.count_shown({**dict.fromkeys(first, 1), "nobody": 5}, START)
    finder.take([Told(1, "p0", first[0], "impression", START)])  # the same list, told by an event
    assert not finder.shown_enough(first, START)
    again = finder.find(Asked("p0"), START)["items"]
    assert [one["id"] for one in again] == first
    finder.count_shown(dict.fromkeys(first, 1), START)
    assert finder.shown_enough(first[-1:], START)
    later = {one["id"] for one in finder.find(Asked("p0"), START)["items"]}
    assert later  # the others are looked for, not only left over
    assert not later & set(first)
    pool = finder.find(Asked("p0"), START)["items"]
    assert all(one["propensity"] <= 1 for one in pool)
    everybody = dict.fromkeys(EVERYBODY, 2)
    finder.count_shown(everybody, START)
    answer = finder.find(Asked("p0"), START)
    assert (answer["items"], answer["reason"]) == (
        [], "everybody who may be met was shown often enough today.",
    )  # fmt: skip
    tomorrow = START + timedelta(days=1)
    assert not finder.shown_enough(first, tomorrow)
    assert {one["id"] for one in finder.find(Asked("p0"), tomorrow)["items"]} & set(first)


def test_strangers_are_answered_and_flagged(finder) -> None:
    for asked in (
        Asked("nobody-told"),
        Asked(None),
        Asked(None, profile={"age": 30, "city": "Oslo", "interests": ["jazz", "unheard-of"]}),
    ):
        answer = finder.find(asked, START)
        assert answer["cold_start"]
        assert len(answer["items"]) == 20
        assert {one["source"] for one in answer["items"]} <= {"popular", "content", "random"}
    with pytest.raises(DataError, match="did you mean 'age'"):
        finder.find(Asked(None, profile={"agee": 30}), START)


def test_on_the_first_day_there_is_no_taste_and_still_a_list(tmp_path) -> None:
    finder = PeopleFinder.open(saved(tmp_path, basis(folk(anybody(40))), plan=Plan(rings=NEAR)))
    items = finder.find(Asked("p3"), START)["items"]
    assert len(items) == 20
    ranked = [one["probability"] for one in items if one["source"] != "random"]
    assert ranked == sorted(ranked, reverse=True)
    assert not any("many like them" in one["reasons"] for one in items)  # nobody liked anybody
    assert finder.similar("p3", 5, START)["items"] == []
    empty = PeopleFinder.open(saved(tmp_path / "none", basis(folk({}))))
    assert empty.find(Asked("p3"), START)["items"] == []
    empty.take([Told(1, "a", "b", "like", START), Told(2, "b", "c", "like", START)])
    assert {one["id"] for one in empty.find(Asked("c"), START)["items"]} == {"a", "b"}


@pytest.mark.parametrize("limit", [0, -1, MOST + 1, 10_000])
def test_a_list_of_no_or_too_many_places_is_refused(finder, limit) -> None:
    with pytest.raises(DataError, match="outside 1 to"):
        finder.find(Asked("p5", limit=limit), START)
    with pytest.raises(DataError, match="outside 1 to"):
        finder.similar("p5", limit, START)


def test_a_longer_list_has_more_candidates(finder) -> None:
    answer = finder.find(Asked("p5", limit=MOST), START)
    liked = {one.other for one in LIKES if one.entity == "p5"}
    assert {one["id"] for one in answer["items"]} == set(EVERYBODY) - {"p5"} - liked


def test_look_alikes_are_chosen_by_the_same_people(finder) -> None:
    answer = finder.similar("p4", 4, START)
    same = {f"p{i}" for i in range(4, N, 29)} - {"p4"}
    assert len(answer["items"]) == 4
    assert {one["id"] for one in answer["items"]} <= same
    finder.take([Told(1, "p4", answer["items"][0]["id"], "block", START)])
    blocked = answer["items"][0]["id"]
    assert blocked not in {one["id"] for one in finder.similar("p4", 4, START)["items"]}
    unknown = finder.similar("nobody-told", 4, START)
    assert (unknown["items"], unknown["cold_start"]) == ([], True)
    finder.take([Told(2, "eva", "", "person", START, {"age": 30})])
    assert "nobody has liked them yet" in finder.similar("eva", 4, START)["reason"]


def test_reasons_are_true(finder) -> None:
    me = EVERYBODY["p5"]
    for one in finder.find(Asked("p5", limit=100), START)["items"]:
        other, said = EVERYBODY[one["id"]], one["reasons"]
        both = {w for w in INTERESTS if w in me["interests"] and w in other["interests"]}
        named = {s.removeprefix("you both like ") for s in said if s.startswith("you both")}
        assert named <= both
        assert len(named) == min(3, len(both))
        assert ("same place" in said) == (me["place"] is not None and me["place"] == other["place"])
        assert ("people you like are liked alike" in said) == (one["source"] == "collaborative")


def test_a_like_changes_the_next_answer_and_its_target_is_not_shown_again(finder) -> None:
    before = finder.find(Asked("p5"), START)["items"]
    target = next(one["id"] for one in before if one["source"] == "collaborative")
    finder.take([Told(1, "p5", target, "like", START)])
    after = finder.find(Asked("p5"), START)["items"]
    assert target not in {one["id"] for one in after}
    assert {one["id"]: one["probability"] for one in after} != {
        one["id"]: one["probability"] for one in before
    }


def test_two_finders_of_one_folder_do_not_see_each_others_events(folder, finder) -> None:
    other = PeopleFinder.open(folder)
    gone = Told(1, "p7", "", "forget", START)
    finder.take([gone, Told(2, "p8", "", "person", START, {"age": 99})])
    assert other.find(Asked("p7"), START)["cold_start"] is False
    assert finder.find(Asked("p7"), START)["cold_start"] is True
    ages = [one.world.register.take("age", np.array([8]))[0] for one in (finder, other)]
    assert ages[0] == 99 != ages[1]
    assert (finder.number, other.number, finder.follow_from()) == (2, 0, 0)


def test_a_policy_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot keep 30 places"):
        PickPeople(limit=20, explored=30)
    with pytest.raises(ConfigError, match="did you mean 'harmonic'"):
        PickPeople(rule="harmonics")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="is no plan"):
        Plan(collaborative=0.9, content=0.3)


@pytest.mark.parametrize("by", ["vectors", "history"])
def test_a_graph_filter_is_asked_by_vectors_or_by_the_history_with_all_that_is_new(by) -> None:
    from promise.job import Job
    from promise.models.graph_filter import GraphFilter
    from promise.workloads.matching.overlay import World

    snapshot = basis(folk(EVERYBODY), LIKES).snapshot
    own = Basis.of(snapshot, GraphFilter(size=4).fit(snapshot.likes, Job(seed=1)))
    stage = stages(own, plan=Plan(rings=WIDENING, by=by))
    finder = PeopleFinder(World(own), *stage.values())
    liked = {one.other for one in LIKES if one.entity == "p5"}
    same_taste = {one.entity for one in LIKES if one.other in liked} - {"p5"}
    fan = min(same_taste)
    finder.take(
        [
            Told(1, "new", "", "person", START, {"age": 30}),
            Told(2, fan, "new", "like", START),
            Told(3, "p5", "new", "pass", START),
            Told(4, "p6", "new", "like", START),
            Told(5, "new", "p6", "like", START),
        ]
    )
    for who in ("p5", "p6", "new"):
        items = finder.find(Asked(who, limit=120), START)["items"]
        sources = Counter(one["source"] for one in items)
        assert sources["collaborative"] or who == "p6", sources
        ids = [one["id"] for one in items]
        assert len(set(ids)) == len(ids) == 120
        assert not {who, "new" if who != "new" else "p6"} & set(ids)
    assert finder.find(Asked("stranger"), START)["cold_start"]


def test_people_of_many_take_half_the_room_and_are_listed_alike(tmp_path, monkeypatch) -> None:
    wide = PeopleFinder.open(saved(tmp_path / "wide"))
    monkeypatch.setattr(snapshot, "SHORT_FROM", N)
    short_basis = basis(folk(EVERYBODY), LIKES, tastes=True)
    folder = saved(tmp_path / "short", short_basis)
    home = folder / "weights" / "retrieve" / "basis"
    assert not (home / "index" / "vectors.npy").exists()
    assert np.load(home / "source" / "chosen.npy").dtype == np.int16
    short = PeopleFinder.open(folder)
    short.warm()
    for asker in range(0, N, 5):
        chances = [
            [
                one["probability"]
                for one in f.find(Asked(f"p{asker}"), START)["items"]
                if one["propensity"] == 1
            ]
            for f in (wide, short)
        ]  # whose chances are equal may change places
        np.testing.assert_allclose(*chances, atol=1e-4)
    short.take([Told(1, "p5", "p9", "like", START), Told(2, "new", "p5", "like", START)])
    assert short.find(Asked("new"), START)["items"]
    assert short.find(Asked("p5"), START)["items"]


def test_people_that_memory_does_not_hold_are_left_on_the_disk(folder, monkeypatch, caplog) -> None:
    monkeypatch.setattr(finder_module, "available_mb", lambda: 0.0)
    finder = PeopleFinder.open(folder)
    finder.warm()
    assert "do not fit" in caplog.text
    assert finder.find(Asked("p5"), START)["items"]
