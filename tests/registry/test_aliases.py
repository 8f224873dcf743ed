"""Aliases move by compare-and-swap and leave a history."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from promise.errors import ConfigError, DataError
from promise.registry.registry import Registry


@pytest.fixture
def two(registry: Registry, write) -> Registry:
    for _ in range(2):
        registry.register("churn", write())
    return registry


def test_an_alias_moves_and_remembers(two: Registry) -> None:
    aliases = two.aliases
    assert aliases.get("churn", "champion") is None
    aliases.set("churn", "champion", 1, reason="the first")
    two.clock.advance(-3600.0)
    aliases.set("churn", "champion", 2)
    aliases.set("churn", "champion", 2)
    aliases.set("churn", "old", 1)
    assert aliases.all("churn") == {"champion": 2, "old": 1}
    aliases.set("churn", "old", None)
    assert aliases.all("churn") == {"champion": 2}
    moves = aliases.history("churn", "champion")
    assert [(m.seq, m.version, m.reason) for m in moves] == [(1, 1, "the first"), (2, 2, "")]
    assert moves[0].at == moves[1].at
    assert len(aliases.history("churn")) == 4


def test_an_alias_moves_only_from_where_it_is_expected(two: Registry) -> None:
    aliases = two.aliases
    aliases.set("churn", "champion", 1, expect=None)
    with pytest.raises(ConfigError, match="points at version 1, expected nothing"):
        aliases.set("churn", "champion", 2, expect=None)
    aliases.set("churn", "champion", 2, expect=1)
    assert aliases.get("churn", "champion") == 2


def test_what_cannot_be_an_alias_is_refused(two: Registry) -> None:
    for alias, word in (("live", "promise deploy"), ("Prod", "lower-case"), ("3", "lower-case")):
        with pytest.raises(ConfigError, match=word):
            two.aliases.set("churn", alias, 1)
    with pytest.raises(DataError, match="no version 9"):
        two.aliases.set("churn", "champion", 9)


def test_history_cannot_be_changed(two: Registry) -> None:
    two.aliases.set("churn", "champion", 1)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"):
        two.database.run(lambda c: c.execute(sa.text("DELETE FROM aliases")))
