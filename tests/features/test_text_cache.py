"""Caches of texts: every store keeps the same promises, and a wrong value is never found."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import pickle
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.models.tiny_encoders import write_bert, write_static

from promise.clock import ManualClock
from promise.data.columns import FloatArray
from promise.errors import ConfigError
from promise.features.text_cache import CachedEncoder, TextCache, normal_text
from promise.features.text_cache_disk import DiskEntries
from promise.features.text_cache_places import open_store
from promise.features.text_cache_redis import RedisEntries
from promise.features.text_cache_shared import shared_encoder, shared_stats, shared_store
from promise.features.text_cache_stores import ENTRY_BYTES, Fronted, MemoryEntries, TextStore
from promise.models.encoder import open_encoder
from promise.models.encoder_tokens import Words

Make = Callable[[float], TextStore]


@pytest.fixture(params=["memory", "disk", "redis"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Give stores of one kind by their limit in MiB; all of one test share a place."""
    made: list[TextStore] = []
    prefix = f"test:{{{uuid.uuid4().hex}}}"
    url = request.getfixturevalue("redis_server") if request.param == "redis" else ""

    def opened(limit_mb: float = 1.0) -> TextStore:
        if request.param == "memory":
            made.append(MemoryEntries(limit_mb))
        elif request.param == "disk":
            made.append(DiskEntries(tmp_path / "cache", limit_mb=limit_mb))
        else:
            made.append(RedisEntries(url, limit_mb=limit_mb, prefix=prefix))
        return made[-1]

    yield opened
    for store in made:
        store.clear()
        store.close()


def lengths(texts: list[str]) -> FloatArray:
    """A feature that anybody can check."""
    return np.array([[len(text), text.count("a")] for text in texts], np.float32)


def test_what_is_kept_is_found(make: Make) -> None:
    store = make(1.0)
    assert store.get_many([b"a", b"b"]) == {}
    entries = {bytes([n]) * 16: bytes([n]) * n for n in range(200)}
    store.put_many(entries)
    store.put_many({bytes([5]) * 16: b"new"})
    assert store.get_many([*entries, b"other"]) == entries | {bytes([5]) * 16: b"new"}
    assert store.held().n == 200
    store.clear()
    assert store.get_many(list(entries)) == {}
    assert store.held() == type(store.held())(0, 0)


def test_what_was_used_least_recently_goes_first(make: Make) -> None:
    room = 10 * (16 + 84 + ENTRY_BYTES)
    store = make(room / 2**20)
    keys = [bytes([n]) * 16 for n in range(12)]
    for key in keys[:10]:
        store.put_many({key: bytes(84)})
    assert store.held().n_bytes == room
    assert set(store.get_many(keys[:2])) == set(keys[:2])
    for key in keys[10:]:
        store.put_many({key: bytes(84)})
    assert set(store.get_many(keys)) == set(keys) - {keys[2], keys[3]}
    assert store.held().n_bytes <= room


def test_a_value_over_the_bound_is_not_kept(make: Make) -> None:
    store = make(1000 / 2**20)
    store.put_many({b"k" * 16: bytes(5000)})
    assert store.get_many([b"k" * 16]) == {}
    assert store.held().n_bytes == 0


def test_equal_texts_are_computed_once(make: Make) -> None:
    cache, asked = TextCache("lengths", store=make(1.0)), []

    def compute(texts: list[str]) -> FloatArray:
        asked.append(list(texts))
        return lengths(texts)

    first = cache.values(["banana", "fig", " banana\n", "fig"], compute, 2)
    second = cache.values(["fig", "kiwi", "banana"], compute, 2)
    np.testing.assert_array_equal(first, [[6, 3], [3, 0], [6, 3], [3, 0]])
    np.testing.assert_array_equal(second, [[3, 0], [4, 0], [6, 3]])
    assert asked == [["banana", "fig"], ["kiwi"]]
    stats = cache.stats()
    assert (stats.enabled, stats.size, stats.hits, stats.misses) == (True, 3, 4, 3)
    assert stats.hit_rate == pytest.approx(4 / 7)
    assert stats.memory_mb > 0
    cache.clear()
    assert cache.stats().to_json()["size"] == 0


@pytest.mark.parametrize(
    "other",
    [
        {"version": 2},
        {"configuration": {"lower": False}},
        {"weights_hash": "b"},
        {"extractor": "other"},
    ],
)
def test_another_extractor_never_finds_older_values(make: Make, other: dict[str, object]) -> None:
    made = {"extractor": "lengths", "configuration": {"lower": True}, "weights_hash": "a"}
    store = make(1.0)
    TextCache(**made, store=store).values(["banana"], lengths, 2)
    cache = TextCache(**{**made, **other}, store=store)
    found = cache.values(["banana"], lambda texts: 10 * lengths(texts), 2)
    np.testing.assert_array_equal(found, [[60, 30]])
    assert (cache.hits, cache.misses) == (0, 1)


def test_damaged_values_are_computed_again(make: Make) -> None:
    store = make(1.0)
    cache = TextCache("lengths", store=store)
    texts = ["banana", "fig", "kiwi", "date"]
    cache.values(texts, lengths, 2)
    keys = [cache.key(text) for text in texts]
    whole = store.get_many(keys)
    store.put_many(
        {
            keys[0]: whole[keys[0]][:-1],
            keys[1]: whole[keys[1]][:-1] + b"\xff",
            keys[2]: b"",
        }
    )
    np.testing.assert_array_equal(cache.values(texts, lengths, 2), lengths(texts))
    assert (cache.hits, cache.misses) == (1, 7)


def test_another_size_is_a_miss(make: Make) -> None:
    cache = TextCache("lengths", store=make(1.0))
    cache.values(["fig"], lengths, 2)
    found = cache.values(["fig"], lambda texts: np.ones((len(texts), 3)), 3)
    np.testing.assert_array_equal(found, [[1, 1, 1]])


def test_a_store_outlives_its_process_where_it_is_shared(make: Make) -> None:
    first = make(1.0)
    if isinstance(first, MemoryEntries):
        return
    first.put_many({b"k" * 16: b"value"})
    assert make(1.0).get_many([b"k" * 16]) == {b"k" * 16: b"value"}


def test_few_hits_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    cache = TextCache("lengths")
    with caplog.at_level(logging.WARNING):
        cache.values([str(n) for n in range(999)], lengths, 2)
        assert not caplog.records
        for n in range(999, 1003):
            cache.values([str(n)], lengths, 2)
    assert [record.extractor for record in caplog.records] == ["lengths"]


def test_many_hits_are_no_news(caplog: pytest.LogCaptureFixture) -> None:
    cache = TextCache("lengths")
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            cache.values([str(n) for n in range(400)], lengths, 2)
    assert not caplog.records


def test_an_encoder_behind_a_cache_gives_the_same(tmp_path: Path) -> None:
    plain = open_encoder(write_static(tmp_path))
    cached = CachedEncoder.over(plain)
    texts = ["the match", "  goal\n team ", "", "the  match"]
    expected = plain.encode([normal_text(text) for text in texts])
    for _ in range(2):
        np.testing.assert_array_equal(cached.encode(texts), expected)
    np.testing.assert_array_equal(asyncio.run(cached.encode_soon(texts)), expected)
    assert (cached.size, cached.kind, cached.max_tokens) == (6, "static", None)
    assert cached.weights_hash == plain.weights_hash
    assert cached.cache.stats().hits == 9
    assert cached.encode([]).shape == (0, 6)


def test_a_redis_that_is_gone_costs_misses_alone(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("redis", reason="the redis extra is not installed")
    clock = ManualClock()
    store = RedisEntries("redis://127.0.0.1:1", clock=clock, timeout_s=0.1)
    cache = TextCache("lengths", store=store)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            np.testing.assert_array_equal(cache.values(["fig"], lengths, 2), [[3, 0]])
        assert len(caplog.records) == 1  # then it is left in peace for a while
        assert store.held().n == 0
        clock.advance(2.5)
        store.clear()
        cache.values(["fig"], lengths, 2)
    assert cache.hits == 0


def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    store = DiskEntries(tmp_path)
    store.put_many({b"k" * 16: b"value"})
    store.close()
    store.path.write_bytes(b"no database at all, " * 500)
    again = DiskEntries(tmp_path)
    assert again.get_many([b"k" * 16]) == {}
    again.put_many({b"k" * 16: b"value"})
    assert again.get_many([b"k" * 16]) == {b"k" * 16: b"value"}
    again.close()


def test_a_busy_file_is_a_miss(tmp_path: Path) -> None:
    store = DiskEntries(tmp_path, wait_s=0.01)
    store.put_many({b"k" * 16: b"value"})
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert store.get_many([b"k" * 16]) == {}
    store.put_many({b"j" * 16: b"value"})
    other.execute("ROLLBACK")
    other.close()
    assert store.get_many([b"j" * 16, b"k" * 16]) == {b"k" * 16: b"value"}
    store.close()


def test_a_folder_that_cannot_be_made_is_a_miss(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = DiskEntries(tmp_path / "file" / "cache")
    store.put_many({b"k" * 16: b"value"})
    assert store.get_many([b"k" * 16]) == {}


def _fill(folder: Path, first: int) -> None:
    store = DiskEntries(folder, wait_s=30.0)
    for n in range(first, first + 20):
        store.put_many({n.to_bytes(16, "big"): str(n).encode()})
    store.close()


@pytest.mark.slow
def test_several_processes_share_a_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_fill, args=(tmp_path, 100 * n)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    keys = [n.to_bytes(16, "big") for first in (0, 100) for n in range(first, first + 20)]
    store = DiskEntries(tmp_path)
    assert len(store.get_many(keys)) == store.held().n == 40
    store.close()


def test_stores_open_by_where_they_are(tmp_path: Path, redis_server: str) -> None:
    assert isinstance(open_store(), MemoryEntries)
    assert isinstance(open_store(tmp_path), DiskEntries)
    assert isinstance(open_store(redis_server), RedisEntries)
    with pytest.raises(ConfigError, match="above 0"):
        open_store(limit_mb=0)


@given(st.text())
def test_what_a_cache_normalises_is_cut_into_the_same_words(text: str) -> None:
    for words in (Words(lower=True), Words(lower=False)):
        assert words.cut(normal_text(text)) == words.cut(text)


def test_versions_of_equal_weights_share_what_they_computed(tmp_path: Path) -> None:
    folder = write_static(tmp_path)
    one, other = (shared_encoder(open_encoder(folder)) for _ in range(2))
    before = shared_stats()
    text = ["the match, in shared words"]
    np.testing.assert_array_equal(one.encode(text), other.encode(text))
    found = shared_stats()
    assert (found.hits - before.hits, found.misses - before.misses) == (1, 1)
    assert found.enabled
    assert found.size == before.size + 1
    assert found.seconds > before.seconds
    assert one.cache.store is other.cache.store is shared_store()


def test_what_the_far_store_knows_is_near_from_then_on() -> None:
    near, far = MemoryEntries(), MemoryEntries()
    far.put_many({b"a": b"1"})
    both = Fronted(near, far)
    assert both.get_many([b"a", b"b"]) == {b"a": b"1"}
    assert near.get_many([b"a"]) == {b"a": b"1"}
    both.put_many({b"b": b"2"})
    assert far.get_many([b"b"]) == {b"b": b"2"}
    both.clear()
    assert both.held().n == far.held().n == 0


def test_sentence_vectors_are_shared_through_redis(
    tmp_path: Path, redis_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="the deep extra is not installed")
    monkeypatch.setenv("PROMISE_REDIS", f"{redis_server}/11")
    sentence, static = write_bert(tmp_path / "bert"), write_static(tmp_path / "static")
    text = [f"the team {uuid.uuid4().hex}"]

    def in_a_new_process(folder: Path) -> CachedEncoder:
        shared_store.cache_clear()
        return shared_encoder(open_encoder(folder))

    try:
        first = in_a_new_process(sentence)
        vectors, second = first.encode(text), in_a_new_process(sentence)
        np.testing.assert_array_equal(second.encode(text), vectors)
        assert (second.cache.hits, second.cache.misses) == (1, 0)
        in_a_new_process(static).encode(text)
        again = in_a_new_process(static)
        again.encode(text)
        assert (again.cache.hits, again.cache.misses) == (0, 1)
        shared_store().clear()
    finally:
        shared_store.cache_clear()


def test_an_encoder_behind_a_cache_travels_to_other_processes(tmp_path: Path) -> None:
    plain = open_encoder(write_static(tmp_path / "table"))
    for store in (None, DiskEntries(tmp_path / "cache")):
        cached = CachedEncoder.over(plain, store)
        found = pickle.loads(pickle.dumps(cached))
        np.testing.assert_array_equal(found.encode(["goal"]), cached.encode(["goal"]))
        found.cache.store.close()
        cached.cache.store.close()
