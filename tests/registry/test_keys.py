"""Keys: shown once, kept hashed, revoked at once."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from promise.clock import ManualClock
from promise.errors import ConfigError, DataError
from promise.registry.keys import Keys, digest_of
from promise.registry.lifecycle import Lifecycle
from promise.state.database import Database


@pytest.fixture
def keys(database: Database) -> Keys:
    return Keys(database, ManualClock())


def test_a_key_is_valid_until_it_is_revoked(keys: Keys) -> None:
    life = Lifecycle(keys.database, keys.clock)
    start = life.epoch()
    key, secret = keys.create("the shop", ("predict", "label"))
    other, _ = keys.create("me", ("admin",))
    assert secret.startswith(f"pk_{key.id}_")
    assert keys.valid()[digest_of(secret)] == key
    assert life.epoch() == start + 2
    keys.clock.advance(5.0)
    gone = keys.revoke(key.id)
    assert gone.revoked == keys.clock.now()
    keys.clock.advance(5.0)
    assert keys.revoke(key.id) == gone
    assert life.epoch() > start + 2
    assert list(keys.valid().values()) == [other]
    assert {k.id for k in keys.all()} == {key.id, other.id}


def test_a_secret_is_kept_nowhere(keys: Keys) -> None:
    _, secret = keys.create("the shop", ("predict",))
    with keys.database.reading() as connection:
        rows = connection.execute(sa.text("SELECT * FROM api_keys")).all()
    assert secret.rsplit("_", 1)[-1] not in str(rows)
    assert len({keys.create("x", ("predict",))[1] for _ in range(20)}) == 20


def test_what_cannot_be_a_key_is_refused() -> None:
    keys = Keys(Database("sqlite://"), ManualClock())
    with pytest.raises(DataError, match="no key yet"):
        keys.revoke("ab")
    key, _ = keys.create("x", ("predict",))
    with pytest.raises(DataError, match=f"known: {key.id}|did you mean '{key.id}'"):
        keys.revoke(key.id[:-1] + "z")
    with pytest.raises(ConfigError, match="did you mean 'predict'"):
        keys.create("x", ("predct",))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="at least one scope"):
        keys.create("x", ())
    with pytest.raises(ConfigError, match="--label"):
        keys.create("  ", ("predict",))
