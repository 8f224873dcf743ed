"""The compiled terms of a name are those that the words of their description give."""

from __future__ import annotations

import re
from collections import Counter
from itertools import groupby

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.features.names import normalise_many, pinned_suffixes
from promise.kernels.ngrams import LONGEST, ROOM, SHORTEST, count_terms, terms, terms_and_shape
from promise.kernels.ngrams_shape import SHAPES

MASK = (1 << 64) - 1
SUFFIXES = pinned_suffixes()


def scrambled(word: int) -> int:
    z = word
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def fnv(raw: bytes) -> int:
    h = 0xCBF29CE484222325
    for c in raw:
        h = ((h ^ c) * 0x100000001B3) & MASK
    return h


def backwards(text: str) -> int:
    return scrambled(fnv(text[::-1].encode())) | 1


def terms_in_words(name: str, bits: int) -> Counter[int]:
    """Return the buckets of a name's terms: the readable twin of `terms`."""
    parts = SUFFIXES.parts(name)
    marked = f"<{name}>".encode()
    hashes = [
        scrambled(fnv(marked[i : i + n]))
        for i in range(len(marked))
        for n in range(SHORTEST, LONGEST + 1)
        if i + n <= len(marked)
    ]

    hashes.append(scrambled(backwards(parts.suffix) ^ 0x9E3779B97F4A7C15))
    words = [word for word in name.replace("-", ".").split(".") if word]
    hashes += [scrambled(backwards(word) ^ 0xD1B54A32D192ED03) for word in words]
    return Counter(h >> (64 - bits) for h in hashes)


def pattern(text: str, most: int) -> int:
    """Return the hash of the runs of `text`: letters, digits, marks; 7 where one is longer."""
    kind = {"L": 1, "D": 2, "-": 3, ".": 46}
    plain = re.sub("[a-z]", "L", re.sub("[0-9]", "D", text.replace("_", "-")))
    runs = [(kind[c], len(list(run))) for c, run in groupby(plain)]
    return fnv(b"".join(bytes([c, 7] if n > 1 else [c]) for c, n in runs)[:most])


def shape_in_words(name: str, bits: int) -> list[int]:
    """Return the buckets of a name's shape: the readable twin of `shape_terms`."""
    suffix = SUFFIXES.parts(name).suffix
    host = name.removesuffix(suffix).removesuffix(".")
    own = host.rpartition(".")[2]
    letters = re.sub("[^a-z]", "", own)
    tone = 8 * len(re.findall("[aeiouy]", own)) // max(1, len(letters))
    run = max(map(len, re.findall("[b-df-hj-np-tv-xz]+", own)), default=0)
    under = backwards(suffix)
    values = [
        (min(len(host), 40), 0), (min(len(own), 40), 0),
        (min(sum(c.isdigit() for c in host), 9), 0),
        (min(len(host), 40) // 3, under), (host.count("."), under), (host.count("-"), under),
        (pattern(host, 24), 0), (pattern(own, 16), under),
        (tone, 0), (tone, under), (run, 0), (64 * (len(own) // 3) + run, 0),
        (4096 * len(own) + 64 * (tone // 2) + run, 0), (len(own), under),
        (backwards(own[:3]), under), (backwards(own[:4]), under),
        (backwards(own[-3:]), under), (backwards(own[-4:]), under),
    ]  # fmt: skip
    return [
        scrambled(scrambled((value + number * 0x9E3779B97F4A7C15) & MASK) ^ where) >> (64 - bits)
        for number, (value, where) in enumerate(values, 1)
    ]


NAMES = st.from_regex(r"([a-z0-9-]{1,9}\.){0,3}(com|co\.uk|org|nosuch)", fullmatch=True)


@settings(deadline=None)  # the first call compiles
@given(NAMES, st.integers(4, 22))
def test_terms_are_what_they_are_said_to_be(name: str, bits: int) -> None:
    names = normalise_many([name], SUFFIXES)
    found = np.empty(ROOM, np.int64)
    n = terms(names.data, 0, len(names.data), names.cuts[0, 1], bits, found)
    assert Counter(found[:n].tolist()) == terms_in_words(name, bits)


@settings(deadline=None)
@given(NAMES, st.integers(4, 22))
def test_shapes_are_what_they_are_said_to_be(name: str, bits: int) -> None:
    names = normalise_many([name], SUFFIXES)
    found = np.empty(ROOM, np.int64)
    cut = names.cuts[0, 1]
    plain = terms_and_shape(names.data, 0, len(names.data), cut, bits, False, found)
    n = terms_and_shape(names.data, 0, len(names.data), cut, bits, True, found)
    assert found[plain:n].tolist() == shape_in_words(name, bits)


def test_the_longest_name_fits() -> None:
    label = "a-" * 31 + "a"
    name = ".".join([label, label, label, label[:57], "com"])
    names = normalise_many([name], SUFFIXES)
    assert names.texts() == [name]
    counts = np.zeros(1 << 12, np.int64)
    count_terms(names.data, names.offsets, names.cuts, np.arange(1), 12, counts)
    assert counts.sum() == sum(terms_in_words(name, 12).values()) + SHAPES <= ROOM
