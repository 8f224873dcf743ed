"""Public suffixes of a pinned list: where the part of a name begins that someone registered.

The list is the snapshot inside the package `tldextract`; nothing is fetched. Rules of its first
part (ICANN's) cut names; those of its private part, by which hosts such as `blogspot.com` let
names to others, cut none: what such a host's names have in common is theirs to tell.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

import numpy as np

from promise.data.columns import Array
from promise.kernels.ngrams_names import EXCEPTION, RULE, WILDCARD, filled, hash_bytes

_PRIVATE_PART = "// ===BEGIN PRIVATE DOMAINS==="
_RULE = re.compile(r"^[^\s/]\S*", re.MULTILINE)


@dataclass(frozen=True)
class Parts:
    """A name cut at its public suffix.

    Parameters
    ----------
    subdomain
        What stands before the registrable domain; empty for none.
    brand
        The label before the suffix, or the whole name where it is itself a suffix.
    suffix
        The public suffix.
    registrable
        Brand and suffix, or the whole name where it is itself a suffix.
    """

    subdomain: str
    brand: str
    suffix: str
    registrable: str


@dataclass(frozen=True)
class Suffixes:
    """The rules of a public-suffix list, ASCII and lower-case.

    Parameters
    ----------
    icann, private
        The rules of the two parts, as the list writes them: `com`, `*.ck`, `!www.ck`. Names are
        cut by those of the first alone; the digest is of both.

    Examples
    --------
    >>> rules = Suffixes(("com", "uk", "co.uk"), ("blogspot.com",))
    >>> rules.parts("news.bbc.co.uk")
    Parts(subdomain='news', brand='bbc', suffix='co.uk', registrable='bbc.co.uk')
    >>> rules.parts("a.me.blogspot.com").registrable
    'blogspot.com'
    """

    icann: tuple[str, ...]
    private: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Identify the rules: a version names it."""
        text = "\n".join((*self.icann, "", *self.private))
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    @cached_property
    def _icann(self) -> frozenset[str]:
        return frozenset(self.icann)

    def parts(self, name: str) -> Parts:
        """Cut one normalised name, by the text of the rules: the readable twin of `split_names`."""
        rules = self._icann
        labels = name.split(".")
        start = len(labels) - 1  # without a rule, the last label is the suffix
        for i in range(len(labels)):
            here = ".".join(labels[i:])
            if f"!{here}" in rules:
                start = i + 1
                break
            if here in rules or f"*.{'.'.join(labels[i + 1 :])}" in rules:
                start = i
                break
        if start == 0:
            return Parts("", name, name, name)
        registrable = ".".join(labels[start - 1 :])
        suffix = ".".join(labels[start:])
        return Parts(".".join(labels[: start - 1]), labels[start - 1], suffix, registrable)

    def table(self) -> tuple[Array, Array]:
        """Return the rules as the open-addressed table that `split_names` reads."""
        texts, flags = [], []
        for rule in self.icann:
            flags.append({"*": WILDCARD, "!": EXCEPTION}.get(rule[0], RULE))
            texts.append(rule.removeprefix("*.").removeprefix("!").encode("ascii"))
        raw = [np.frombuffer(text, np.uint8) for text in texts]
        keys = np.array([hash_bytes(data, 0, len(data)) for data in raw], dtype=np.uint64)
        table: tuple[Array, Array] = filled(keys, np.array(flags, dtype=np.uint8))
        return table


@cache
def pinned_suffixes() -> Suffixes:
    """Return the rules of the snapshot that is installed with `tldextract`."""
    raw = files("tldextract").joinpath(".tld_set_snapshot").read_text(encoding="utf-8")
    icann, _, private = raw.partition(_PRIVATE_PART)
    return Suffixes(_rules(icann), _rules(private))


def _rules(text: str) -> tuple[str, ...]:
    found = (match.group() for match in _RULE.finditer(text))
    return tuple(sorted({_ascii(rule) for rule in found}))


def _ascii(rule: str) -> str:
    if rule.isascii():
        return rule
    return ".".join(
        label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")
        for label in rule.split(".")
    )
