"""Suffix rules match at labels, the longest first, and say what they rest on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.data.columns import Columns
from promise.errors import ConfigError
from promise.features.names import NAME, normalise_many, pinned_suffixes
from promise.features.names_rules import RULE, Rules, SuffixRules, given_rules
from promise.kernels.ngrams_names import hash_bytes
from promise.models.hashed import RULED, SURE

CLASSES = {"telegram": 0, "whatsapp": 1}


def rules_of(endings: dict[str, int], rows: int = 3) -> Rules:
    raw = [np.frombuffer(ending.encode(), np.uint8) for ending in endings]
    return Rules(
        np.array([hash_bytes(one, 0, len(one)) for one in raw], np.uint64),
        np.array(list(endings.values()), np.int32),
        np.full(len(endings), rows, np.int32),
        np.full(len(endings), 0.9),
    )


def matched(endings: dict[str, int], names: list[str]) -> list[tuple[str, int] | None]:
    """Return what each name's longest ending is: the readable twin."""
    found: list[tuple[str, int] | None] = []
    for name in names:
        labels = name.split(".")
        endings_of = (".".join(labels[i:]) for i in range(len(labels)))
        hit = next((one for one in endings_of if one in endings), None)
        found.append(None if hit is None else (hit, endings[hit]))
    return found


def test_rules_match_at_labels_and_the_longest_wins() -> None:
    endings = {"t.me": 0, "me": 1, "a.t.me": 1}
    stage = SuffixRules("domain", rules_of(endings))
    cells = ["x.T.me", "tt.me", "b.a.t.me", "t.me", "example.com", "192.0.2.1", None]
    found = stage.many(Columns({"domain": np.array(cells, dtype=object)}), {}, None)
    assert found[NAME].tolist()[:2] == ["x.t.me", "tt.me"]
    assert found[RULED].tolist() == [0, 1, 1, 0, -1, -1, -1]
    assert found[RULE][0] == {"suffix": "t.me", "source": "learned", "rows": 3}
    assert found[RULE][4] is None
    assert found[SURE][0] == 0.9


LABEL = st.sampled_from(["a", "b", "c", "me", "t"])
NAME_TEXT = st.lists(LABEL, min_size=1, max_size=5).map(".".join)


@pytest.mark.slow
@settings(deadline=None)  # the first call compiles
@given(st.dictionaries(NAME_TEXT, st.integers(0, 3), min_size=1, max_size=8), st.lists(NAME_TEXT))
def test_the_compiled_match_is_the_readable_one(endings: dict[str, int], names: list[str]) -> None:
    rules = rules_of(endings)
    found = rules.matched(normalise_many(names, pinned_suffixes()))
    told = [
        None if rule == 0 else (name[start:], int(rules.codes[rule - 1]))
        for name, (rule, start) in zip(names, found.tolist(), strict=True)
    ]
    assert told == matched(endings, names)


def test_a_list_of_rules_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rules.txt"
    path.write_text("# known\nT.me telegram\nwhatsapp.net, whatsapp\nwa.me\twhatsapp\n\n")
    rules = given_rules(path, CLASSES)
    assert rules.codes.tolist() == [0, 1, 1]
    assert rules.told(0, "t.me") == {"suffix": "t.me", "source": "given", "rows": 0}
    both = rules.before(rules_of({"t.me": 1, "x.org": 0}))
    assert len(both) == 4
    assert both.codes.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("text", "told"),
    [("t.me telgram", "did you mean 'telegram'"), ("t.me", "line 1"), ("a..b x", "line 1")],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "rules.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=told):
        given_rules(path, CLASSES)
    with pytest.raises(ConfigError, match="not readable"):
        given_rules(tmp_path / "absent.txt", CLASSES)


def test_rules_are_saved(tmp_path: Path) -> None:
    stage = SuffixRules("host", rules_of({"t.me": 0}))
    stage.save(tmp_path)
    again = SuffixRules.load(tmp_path)
    assert again.field == "host"
    for one, other in zip(again.rules.arrays, stage.rules.arrays, strict=True):
        np.testing.assert_array_equal(one, other)
