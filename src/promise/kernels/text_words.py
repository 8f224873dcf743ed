"""Words and runs of words of texts as hashes, from lower-cased UTF-8 in compiled loops.

A batch of texts is one array of bytes and `offsets`: text `i` is `data[offsets[i]:offsets[i + 1]]`.
A word is a run of letters and digits; apostrophes stay inside it, a possessive `'s` goes. Chinese
characters and kana, which are written without spaces, are words of one character each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.compiled import compiled
from promise.kernels.ngrams_names import looked_up, scrambled

Array = npt.NDArray[Any]

_APOSTROPHE, _S = 39, 115
_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_OF_PAIR = np.uint64(0x9E3779B97F4A7C15)


@compiled
def _is_letter(byte: np.uint8) -> Any:
    return 97 <= byte <= 122 or 48 <= byte <= 57 or byte >= 128 or byte == 95


@compiled
def _stands_alone(data: Array, at: int, last: int) -> Any:
    """Say whether a kana (E3 8x) or a Chinese character (E4 … E9) begins here."""
    if at + 2 >= last:
        return False
    first = data[at]
    return 0xE4 <= first <= 0xE9 or (first == 0xE3 and data[at + 1] <= 0x83)


@compiled
def _hash(data: Array, first: int, last: int) -> Any:
    h = _BASIS
    for i in range(first, last):
        h = (h ^ np.uint64(data[i])) * _PRIME
    return scrambled(h) | np.uint64(1)


@compiled
def cut_words(data: Array, offsets: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Cut texts into words.

    Returns
    -------
    hashes, starts, stops, ends, sentences
        Word `j` is `data[starts[j]:stops[j]]`, its hash never 0 (uint64, int64, int64); text `i`
        has the words `ends[i]` to `ends[i + 1]` (int64). `sentences` (int32) numbers the sentence
        of each word within its text.
    """
    n, room = len(offsets) - 1, len(data) // 2 + 1 + len(offsets)
    hashes, sentences = np.empty(room, np.uint64), np.empty(room, np.int32)
    starts, stops = np.empty(room, np.int64), np.empty(room, np.int64)
    ends, at = np.zeros(n + 1, np.int64), 0
    for row in range(n):
        i, last, sentence, pending = offsets[row], offsets[row + 1], 0, False
        while i < last:
            byte = data[i]
            if not _is_letter(byte):
                # A full stop ends a sentence where a space follows: not in "3.5" or "bbc.co.uk".
                broken = byte in (46, 33, 63) and (i + 1 == last or data[i + 1] <= 32)
                pending = pending or broken or byte == 10
                i += 1
                continue
            first = i
            if _stands_alone(data, i, last):
                i += 3
            else:
                while i < last and (
                    (_is_letter(data[i]) and not _stands_alone(data, i, last))
                    or (data[i] == _APOSTROPHE and i + 1 < last and _is_letter(data[i + 1]))
                ):
                    i += 1
            stop = i
            if stop - first > 2 and data[stop - 1] == _S and data[stop - 2] == _APOSTROPHE:
                stop -= 2
            if pending and at > ends[row]:
                sentence += 1
            pending = False
            hashes[at], sentences[at] = _hash(data, first, stop), sentence
            starts[at], stops[at] = first, stop
            at += 1
        ends[row + 1] = at
    return (
        hashes[:at].copy(), starts[:at].copy(), stops[:at].copy(), ends, sentences[:at].copy()
    )  # fmt: skip


@compiled
def join_words(hashes: Array, ends: Array, shortest: int, longest: int) -> tuple[Array, Array]:
    """Hash the runs of `shortest` to `longest` words within each text; a run of one is its word.

    Returns
    -------
    hashes, ends
        Uint64, by the word at which the runs begin, and int64 (n + 1,).
    """
    n = len(ends) - 1
    found = np.empty(len(hashes) * (longest - shortest + 1), np.uint64)
    stops, at = np.zeros(n + 1, np.int64), 0
    for row in range(n):
        for i in range(ends[row], ends[row + 1]):
            h = hashes[i]
            for length in range(1, min(longest, ends[row + 1] - i) + 1):
                if length > 1:
                    h = (scrambled((h ^ _OF_PAIR) * _PRIME) ^ hashes[i + length - 1]) | np.uint64(1)
                if length >= shortest:
                    found[at] = h
                    at += 1
        stops[row + 1] = at
    return found[:at].copy(), stops


@compiled
def number_terms(hashes: Array, keys: Array, numbers: Array) -> Array:
    """Return each term's number in an open-addressed table less one: -1 where it is not known."""
    found = np.empty(len(hashes), np.int32)
    for i in range(len(hashes)):
        found[i] = looked_up(keys, numbers, hashes[i]) - 1
    return found
