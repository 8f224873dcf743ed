"""Domain names in one spelling, told apart from what only looks like them.

Every cell has a stated outcome: a name (lower-case ASCII, IDNA where it was not), an IP address,
nothing, or a refusal with its reason. Schemes, credentials, mail boxes, ports, paths, a leading
`*.` and a final dot are taken off first.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import idna
import numpy as np
import pyarrow as pa

from promise.data.columns import Array, IntArray
from promise.features.names_suffixes import Parts, Suffixes, pinned_suffixes
from promise.kernels.ngrams_names import (
    LONGEST_LABEL,
    LONGEST_NAME,
    OTHER,
    clean,
    hash_names,
    hash_parts,
    split_names,
)
from promise.models.hashed import NAME, text_bytes

__all__ = ["KINDS", "NAME", "Name", "Names", "Parts", "Suffixes", "normalise", "normalise_many",
           "pinned_suffixes", "readable", "tokens"]  # fmt: skip

Kind = Literal["name", "ip", "empty", "refused"]
KINDS: tuple[Kind, ...] = ("name", "ip", "empty", "refused")
"""What a cell may hold, in the order of the codes of `Names.kinds`."""

_SCHEME = re.compile(r"^(?:[a-z][a-z0-9+.-]*:)?//|^mailto:", re.IGNORECASE)
_PORT = re.compile(r":\d*$")
_LABEL = re.compile(r"[a-z0-9_-]+")
_FULL_STOPS = re.compile("[。．｡]")
_WORDS = re.compile(r"[a-z]+|[0-9]+")


@dataclass(frozen=True)
class Name:
    """What one cell holds.

    Parameters
    ----------
    text
        The name in one spelling, or the address; empty for the other kinds.
    reason
        Why it was refused.
    """

    text: str
    kind: Kind
    reason: str = ""


def normalise(cell: str | None) -> Name:
    """Return what a cell holds, in one spelling.

    Examples
    --------
    >>> normalise("https://user@API.WhatsApp.net.:443/path?q").text
    'api.whatsapp.net'
    >>> normalise("*.bücher.example").text, normalise("me@mail.example.com").text
    ('xn--bcher-kva.example', 'mail.example.com')
    >>> normalise("[::1]:80").kind, normalise("10.0.0.1").kind, normalise(" ").kind
    ('ip', 'ip', 'empty')
    >>> normalise("a..b").reason
    'an empty label'
    """
    host = _host((cell or "").strip())
    if not host:
        return Name("", "empty")
    address = _address(host)
    if address is not None:
        return address
    text = host if host.isascii() else _ascii(host)
    reason = _refusal(text)
    return Name("", "refused", reason) if reason else Name(text, "name")


def _host(cell: str) -> str:
    """Return the part of a cell that names a host, lower-case."""
    rest = _SCHEME.sub("", cell, count=1)
    rest = re.split(r"[/?#\\]", rest, maxsplit=1)[0].rpartition("@")[2]
    if rest.startswith("["):
        return rest[1:].partition("]")[0].lower()
    if rest.count(":") == 1:
        rest = _PORT.sub("", rest)
    rest = _FULL_STOPS.sub(".", rest).lower().strip()
    return rest.removeprefix("*.").removeprefix(".").removesuffix(".")


def _address(host: str) -> Name | None:
    try:
        return Name(str(ipaddress.ip_address(host.partition("%")[0])), "ip")
    except ValueError:
        pass
    last = host.rpartition(".")[2]
    if last.isdecimal():  # no top-level domain is a number
        return Name("", "refused", "a last label of digits, but no IP address")
    return None


def _ascii(host: str) -> str:
    """Return a name as IDNA 2008 with UTS 46 writes it; what IDNA forbids is only transcribed.

    Emoji and the like are registered all the same, under the spelling that Punycode gives them.
    """
    if len(host) > 4 * LONGEST_NAME:
        return host  # refused as too long; Punycode takes time by the square of a label's length
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        labels = host.split(".")
    return ".".join(
        label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")
        for label in labels
    )


def _refusal(name: str) -> str:
    labels = name.split(".")
    if "" in labels:
        return "an empty label"
    if len(name) > LONGEST_NAME or max(map(len, labels)) > LONGEST_LABEL:
        return f"longer than {LONGEST_LABEL} characters a label or {LONGEST_NAME} in all"
    if not all(_LABEL.fullmatch(label) for label in labels):
        return "a character that names do not have"
    return "" if not labels[-1].isdecimal() else "a last label of digits, but no IP address"


def readable(name: str) -> str:
    """Return a name as people write it; a label that is no valid Punycode stays as it is.

    Examples
    --------
    >>> readable("xn--bcher-kva.example"), readable("xn--a.example")
    ('bücher.example', 'xn--a.example')
    """
    return ".".join(_read(label) for label in name.split("."))


def _read(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        text = label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, ValueError):
        return label
    back = "xn--" + text.encode("punycode", "replace").decode("ascii")
    return text if back == label and text.isprintable() else label


def tokens(name: str) -> list[str]:
    """Return the runs of letters and the runs of digits of a name, in order.

    Examples
    --------
    >>> tokens("api-2.whatsapp.net")
    ['api', '2', 'whatsapp', 'net']
    """
    return _WORDS.findall(name)


@dataclass(frozen=True)
class Names:
    """A batch of normalised names, ready for compiled loops.

    Parameters
    ----------
    data, offsets
        All names as bytes: name `i` is `data[offsets[i]:offsets[i + 1]]`; empty for other kinds.
    kinds
        Codes into `KINDS`, int8 (n,).
    suffixes
        The rules that cut them.
    """

    data: Array
    offsets: IntArray
    kinds: Array
    suffixes: Suffixes

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def known(self) -> Array:
        """Which cells hold a name."""
        known: Array = self.kinds == 0
        return known

    @cached_property
    def cuts(self) -> IntArray:
        """Where registrable domain and ICANN suffix begin, int32 (n, 2)."""
        cut: IntArray = split_names(self.data, self.offsets, *suffix_table(self.suffixes))
        return cut

    @property
    def hashes(self) -> Array:
        """Identify each name: uint64 (n,)."""
        found: Array = hash_names(self.data, self.offsets, np.zeros(len(self), np.int32))
        return found

    @property
    def registrable_hashes(self) -> Array:
        """Identify each name's registrable domain: uint64 (n,)."""
        found: Array = hash_names(self.data, self.offsets, self.cuts[:, 0])
        return found

    @property
    def brand_hashes(self) -> Array:
        """Identify the label before each name's suffix, whatever the suffix: uint64 (n,)."""
        whole = (self.offsets[1:] - self.offsets[:-1]).astype(np.int32)
        below, suffix = self.cuts[:, 0], self.cuts[:, 1]
        ends = np.where(suffix > below, suffix - 1, whole).astype(np.int32)
        found: Array = hash_parts(self.data, self.offsets, below, ends)
        return found

    def text(self, row: int) -> str:
        """Return one name."""
        return bytes(self.data[self.offsets[row] : self.offsets[row + 1]]).decode("ascii")

    def texts(self) -> list[str]:
        """Return every name."""
        whole = self.data.tobytes().decode("ascii")
        ends = self.offsets.tolist()
        return [whole[a:b] for a, b in pairwise(ends)]


_TABLES: dict[str, tuple[Array, Array]] = {}


def suffix_table(suffixes: Suffixes) -> tuple[Array, Array]:
    """Return the compiled table of these rules, built once for each process."""
    key = suffixes.digest
    if key not in _TABLES:
        _TABLES[key] = suffixes.table()
    return _TABLES[key]


def normalise_many(cells: Sequence[Any] | Array | pa.Array, suffixes: Suffixes) -> Names:
    """Normalise a batch: plain names by a compiled loop, all others by `normalise`.

    Parameters
    ----------
    cells
        Text or None, as an Arrow array, object array or list.

    Examples
    --------
    >>> names = normalise_many(["WhatsApp.NET.", "http://t.me/x", "10.0.0.1"], pinned_suffixes())
    >>> names.texts(), names.kinds.tolist()
    (['whatsapp.net', 't.me', ''], [0, 0, 1])
    """
    column = (
        cells
        if isinstance(cells, pa.Array)
        else pa.array(cells, pa.large_string(), from_pandas=True)
    )
    column = column.cast(pa.large_string()).fill_null("")
    data, ends, kinds = clean(*text_bytes(column))
    odd = np.flatnonzero(kinds == OTHER)
    if len(odd):
        data, ends, kinds = _with_care(column, data, ends, kinds, odd)
    return Names(data, ends, kinds, suffixes)


def _with_care(
    column: pa.Array, data: Array, ends: IntArray, kinds: Array, odd: IntArray
) -> tuple[Array, IntArray, Array]:
    """Return a cleaned batch with what the compiled loop left out."""
    pieces, before = [], 0
    lengths = np.diff(ends)
    for row, cell in zip(odd.tolist(), column.take(pa.array(odd)).to_pylist(), strict=True):
        name = normalise(cell)
        kinds[row] = KINDS.index(name.kind)
        pieces.append(data[ends[before] : ends[row]])
        text = name.text.encode("ascii") if name.kind == "name" else b""
        pieces.append(np.frombuffer(text, np.uint8))
        lengths[row], before = len(text), row
    pieces.append(data[ends[before] :])
    return np.concatenate(pieces), np.concatenate([[0], np.cumsum(lengths)]), kinds
