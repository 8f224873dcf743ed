"""Why somebody is shown, in words that both may read: nothing of what one other person did."""

from __future__ import annotations

import numpy as np

from promise.data.columns import IntArray
from promise.features.people import UNKNOWN, codes_of
from promise.features.people_ids import NOBODY
from promise.workloads.matching.quest import Quest
from promise.workloads.matching.retrieve import COLLABORATIVE, POPULAR, RANDOM

NAMED = 3
"""How many shared interests are named."""
CLOSE_YEARS = 3
MANY = 3
"""So many likes are told of."""
SHOWN_ENOUGH = "everybody who may be met was shown often enough today."


def reasons(quest: Quest, codes: IntArray, source: IntArray) -> list[list[str]]:
    """Return sentences for each person who is shown, the strongest first."""
    world = quest.world
    take, words = world.register.take, world.register.lexicon.spelled("interests")
    mine = quest.side.interests[0]
    shared = take("interests", codes) & mine
    counts = world.basis.interest_counts
    places, ages = take("place", codes), take("age", codes)
    likes, complete = world.counted.likes(codes), take("completeness", codes)
    found: list[list[str]] = []
    for row in range(len(codes)):
        said: list[str] = []
        both = codes_of(shared[row]) if shared[row].any() else []
        rare = sorted(both, key=lambda c: counts[c] if c < len(counts) else 0)
        said += [f"you both like {words[code]}" for code in rare[:NAMED]]
        if source[row] == COLLABORATIVE:
            said.append("people you like are liked alike")
        if places[row] == quest.place != UNKNOWN:
            said.append("same place")
        if np.abs(ages[row] - quest.age) <= CLOSE_YEARS:
            said.append("about the same age")
        if source[row] == POPULAR and likes[row] >= MANY:
            said.append("many like them")
        elif source[row] == POPULAR and complete[row] == 1:
            said.append("a full profile")
        if source[row] == RANDOM:
            said.append("somebody new to discover")
        found.append(said)
    return found


def why_empty(quest: Quest) -> str:
    """Return why nobody is found, and what would change it."""
    if not len(quest.groups) and not len(quest.loose):
        return "nobody here seeks and is sought: no group of people fits what both sides seek."
    if quest.spent and not quest.asks:
        return SHOWN_ENOUGH
    if quest.asks:
        return "nobody fits the filters who may be met; ask for fewer."
    if quest.code != NOBODY:
        return "everybody who may be met was decided on or is blocked."
    return "there is nobody who may be met."
