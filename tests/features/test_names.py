"""Names in one spelling: every cell has a stated outcome, and the compiled path has the same."""

from __future__ import annotations

import pytest
import tldextract
from hypothesis import example, given, settings
from hypothesis import strategies as st

from promise.features.names import KINDS, normalise, normalise_many, pinned_suffixes, readable

SUFFIXES = pinned_suffixes()

CELLS = [
    ("WhatsApp.NET.", "whatsapp.net", "name"),
    ("*.example.com", "example.com", "name"),
    ("https://user:pw@Shop.example.com:8443/a/b?c#d", "shop.example.com", "name"),
    ("//cdn.example.com/x", "cdn.example.com", "name"),
    ("mailto:ann@mail.example.com", "mail.example.com", "name"),
    ("ann@mail.example.com", "mail.example.com", "name"),
    ("bücher.example", "xn--bcher-kva.example", "name"),
    ("XN--BCHER-KVA.example", "xn--bcher-kva.example", "name"),
    ("пример。рф", "xn--e1afmkfd.xn--p1ai", "name"),
    ("i❤.ws", "xn--i-7iq.ws", "name"),
    ("xn--a.example", "xn--a.example", "name"),
    ("аpple.com", "xn--pple-43d.com", "name"),  # its first letter is Cyrillic
    ("_dmarc.example.com", "_dmarc.example.com", "name"),
    ("localhost", "localhost", "name"),
    ("192.0.2.7", "192.0.2.7", "ip"),
    ("http://192.0.2.7:80/", "192.0.2.7", "ip"),
    ("[2001:db8::1]:443", "2001:db8::1", "ip"),
    ("2001:db8::1", "2001:db8::1", "ip"),
    ("", "", "empty"),
    ("  ", "", "empty"),
    (None, "", "empty"),
    ("http://", "", "empty"),
    ("a..b", "", "refused"),
    ("1.2.3", "", "refused"),
    ("a b.com", "", "refused"),
    ("x" * 1000 + ".com", "", "refused"),
    (".".join(["label"] * 60), "", "refused"),
    ("😀" * 1000, "", "refused"),
    ("".join(map(chr, range(0x4E00, 0x9FA5))) * 5 + ".com", "", "refused"),
]


@pytest.mark.parametrize(("cell", "text", "kind"), CELLS)
def test_every_cell_has_a_stated_outcome(cell: str | None, text: str, kind: str) -> None:
    found = normalise(cell)
    assert (found.text, found.kind) == (text, kind)
    assert bool(found.reason) == (kind == "refused")


def test_a_batch_tells_what_each_cell_alone_tells() -> None:
    cells = [cell for cell, _, _ in CELLS]
    names = normalise_many(cells, SUFFIXES)
    assert names.texts() == [text if kind == "name" else "" for _, text, kind in CELLS]
    assert [KINDS[code] for code in names.kinds] == [kind for _, _, kind in CELLS]
    assert normalise_many([], SUFFIXES).texts() == []


@pytest.mark.slow
@settings(deadline=None)  # the first call compiles
@given(st.lists(st.one_of(st.text(max_size=40), st.from_regex(r"[A-Za-z0-9._*-]{0,80}\.?"))))
@example(["-", ".", "*.", "a.", ".a", "0", "1.2.3.4", "A" * 64, "a" * 63])
def test_the_compiled_path_is_the_readable_one(cells: list[str]) -> None:
    names = normalise_many(cells, SUFFIXES)
    slow = [normalise(cell) for cell in cells]
    assert [KINDS[code] for code in names.kinds] == [one.kind for one in slow]
    assert names.texts() == [one.text if one.kind == "name" else "" for one in slow]


@settings(deadline=None)  # the first call compiles
@given(st.text(max_size=60))
def test_a_name_is_its_own_spelling(cell: str) -> None:
    found = normalise(cell)
    if found.kind == "name":
        assert normalise(found.text) == found
        assert readable(found.text).isprintable()


def test_labels_are_read_back() -> None:
    assert readable("xn--bcher-kva.example") == "bücher.example"
    assert readable("xn--a.example") == "xn--a.example"
    assert readable("xn--\x80.example") == "xn--\x80.example"


NAMES = [
    "api.whatsapp.net", "news.bbc.co.uk", "co.uk", "com", "www.ck", "a.b.ck", "b.ck", "ck",
    "x.city.kawasaki.jp", "a.b.kawasaki.jp", "me.blogspot.com", "a.me.blogspot.com",
    "unknown-top.nosuchtld", "deep.a.b.c.example.org", "xn--e1afmkfd.xn--p1ai", "tumblr.com",
    "t.me", "s3.eu-west-1.amazonaws.com", "localhost",
]  # fmt: skip


def test_cuts_are_those_of_the_readable_twin_and_of_tldextract() -> None:
    names = normalise_many(NAMES, SUFFIXES)
    extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    for name, (below, suffix) in zip(NAMES, names.cuts.tolist(), strict=True):
        parts = SUFFIXES.parts(name)
        assert (name[below:], name[suffix:]) == (parts.registrable, parts.suffix)
        known = extract(name)
        if known.suffix and known.domain:
            assert parts.suffix == known.suffix
            assert parts.registrable == known.top_domain_under_public_suffix


@pytest.mark.slow
@settings(deadline=None)  # the first call compiles
@given(st.lists(st.from_regex(r"([a-z0-9-]{1,8}\.){0,4}(com|co\.uk|ck|jp|blogspot\.com)",
                              fullmatch=True), max_size=20))  # fmt: skip
def test_compiled_cuts_are_the_readable_ones(texts: list[str]) -> None:
    names = normalise_many(texts, SUFFIXES)
    for text, (below, suffix) in zip(names.texts(), names.cuts.tolist(), strict=True):
        if text:
            parts = SUFFIXES.parts(text)
            assert (text[below:], text[suffix:]) == (parts.registrable, parts.suffix)


def test_hashes_tell_name_registrable_and_brand_apart() -> None:
    names = normalise_many(["a.bbc.co.uk", "b.bbc.co.uk", "bbc.com", "a.bbc.co.uk"], SUFFIXES)
    assert len(set(names.hashes.tolist())) == 3
    assert len(set(names.registrable_hashes.tolist())) == 2
    assert len(set(names.brand_hashes.tolist())) == 1


def test_the_pinned_list_is_known_by_its_digest() -> None:
    assert len(SUFFIXES.digest) == 64
    assert len(SUFFIXES.icann) > 5000
    assert len(SUFFIXES.private) > 1000
