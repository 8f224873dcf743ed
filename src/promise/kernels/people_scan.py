"""Scans over people who lie in the order of eligibility group, place and age."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.compiled import compiled

Array = npt.NDArray[Any]


@compiled
def mixed(value: np.uint64) -> Any:
    """Return 64 bits that look drawn by lot (splitmix64)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled
def n_bits(word: np.uint64) -> Any:
    """Return how many bits are set."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + (
        (word >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@compiled
def first_not_below(values: Array, start: int, end: int, least: float) -> Any:
    """Return the first place of an ascending part (NaN last) that is not below `least`."""
    while start < end:
        middle = (start + end) // 2
        if values[middle] < least:
            start = middle + 1
        else:
            end = middle
    return start


@compiled
def first_above(values: Array, start: int, end: int, most: float) -> Any:
    """Return the first place of an ascending part (NaN last) that is above `most`."""
    while start < end:
        middle = (start + end) // 2
        if values[middle] <= most:
            start = middle + 1
        else:
            end = middle
    return start


@compiled
def spans(
    cells: Array,
    n_places: int,
    groups: Array,
    places: Array,
    ages: Array,
    least: float,
    most: float,
) -> Any:
    """Return where people of some groups, places and ages lie: starts, ends, places.

    Parameters
    ----------
    cells
        Where each cell (group, then place) starts: int64 (n_groups * n_places + 1,).
    groups, places
        Which are wanted; no place stands for all of them.
    ages
        Of everybody, in the order of the cells, NaN last within each: float32 (n,).
    least, most
        NaN: ages do not matter.
    """
    by_age = least == least  # noqa: PLR0124 — NaN says that ages do not matter
    n_wanted = len(places) if len(places) else n_places
    room = len(groups) * n_wanted
    starts, ends = np.empty(room, np.int64), np.empty(room, np.int64)
    where = np.empty(room, np.int64)
    n = 0
    for group in groups:
        for number in range(n_wanted):
            place = places[number] if len(places) else number
            start, end = cells[group * n_places + place], cells[group * n_places + place + 1]
            if by_age and end > start:
                start = first_not_below(ages, start, end, least)
                end = first_above(ages, start, end, most)
            if end > start:
                starts[n], ends[n], where[n] = start, end, place
                n += 1
    return starts[:n].copy(), ends[:n].copy(), where[:n].copy()


@compiled
def alikeness(
    age: float, other_age: float, same_place: bool, mine: Array, theirs: Array, weights: Array
) -> Any:
    """Return how alike two people are: ages within ten years, place, share of interests."""
    score = 0.0
    gap = abs(age - other_age)
    if gap < 10.0:
        score += weights[0] * (1.0 - gap / 10.0)
    if same_place:
        score += weights[1]
    both, either = 0, 0
    for word in range(len(mine)):
        both += n_bits(mine[word] & theirs[word])
        either += n_bits(mine[word] | theirs[word])
    if either > 0:
        score += weights[2] * both / either
    return score


@compiled
def best_alike(
    starts: Array, ends: Array, where: Array, order: Array, ages: Array, interests: Array,
    age: float, place: int, mine: Array, weights: Array, stamps: Array, stamp: int, flags: Array,
    barred: int, k: int, salt: np.uint64,
) -> Any:  # fmt: skip
    """Return the codes and scores of the most alike people of some spans, best first.

    Parameters
    ----------
    where
        The place of each span.
    order, ages, interests
        Code, age and bits of everybody, in the order of the cells.
    stamps
        Whoever bears the number `stamp` is passed over: int32 by code.
    flags, barred
        Whoever has one of the flags `barred` is passed over: uint8 by code.
    salt
        Settles ties, so that equals are not always shown in the same order.
    """
    codes, scores = np.empty(k, np.int64), np.empty(k, np.float32)
    lots = np.empty(k, np.uint64)
    n = 0
    for span in range(len(starts)):
        same = where[span] == place and place >= 0
        for row in range(starts[span], ends[span]):
            score = np.float32(alikeness(age, ages[row], same, mine, interests[row], weights))
            if n == k and score < scores[n - 1]:
                continue
            code = order[row]
            if stamps[code] == stamp or flags[code] & barred:
                continue
            lot = mixed(np.uint64(code) ^ salt)
            if n == k and score == scores[n - 1] and lot <= lots[n - 1]:
                continue
            place_at = n if n < k else k - 1
            while place_at > 0 and (
                scores[place_at - 1] < score
                or (scores[place_at - 1] == score and lots[place_at - 1] < lot)
            ):
                scores[place_at], codes[place_at] = scores[place_at - 1], codes[place_at - 1]
                lots[place_at] = lots[place_at - 1]
                place_at -= 1
            scores[place_at], codes[place_at], lots[place_at] = score, code, lot
            n = min(n + 1, k)
    return codes[:n].copy(), scores[:n].copy(), lots[:n].copy()


@compiled
def alike_each(
    codes: Array, ages: Array, places: Array, interests: Array,
    age: float, place: int, mine: Array, weights: Array, salt: np.uint64,
) -> Any:  # fmt: skip
    """Return the score and the lot of each of these people, row for row."""
    scores, lots = np.empty(len(codes), np.float32), np.empty(len(codes), np.uint64)
    for i in range(len(codes)):
        same = places[i] == place and place >= 0
        scores[i] = alikeness(age, ages[i], same, mine, interests[i], weights)
        lots[i] = mixed(np.uint64(codes[i]) ^ salt)
    return scores, lots


@compiled
def count_marked(starts: Array, others: Array, codes: Array, marks: Array, mark: int) -> Array:
    """Return how many of each person's neighbours bear a mark."""
    found = np.zeros(len(codes), np.int64)
    for i in range(len(codes)):
        for entry in range(starts[codes[i]], starts[codes[i] + 1]):
            found[i] += marks[others[entry]] == mark
    return found


@compiled
def shared_neighbours(starts: Array, others: Array, left: Array, right: Array) -> Array:
    """Return how many neighbours each two people share; the rows' neighbours ascend."""
    found = np.zeros(len(left), np.int64)
    for i in range(len(left)):
        a, a_end = starts[left[i]], starts[left[i] + 1]
        b, b_end = starts[right[i]], starts[right[i] + 1]
        while a < a_end and b < b_end:
            if others[a] < others[b]:
                a += 1
            elif others[a] > others[b]:
                b += 1
            else:
                found[i] += 1
                a += 1
                b += 1
    return found
