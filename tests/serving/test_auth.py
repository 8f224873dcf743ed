"""API keys: who may do what, told by 401 and 403, noticed when revoked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from promise.clock import ManualClock
from promise.registry.keys import Key, Keys
from promise.serving.auth import authorise
from promise.serving.operations import OPERATIONS

NOW = ManualClock().now()


@dataclass
class Guarded:
    """As much of a worker as authorising reads."""

    keys: dict[bytes, Key] = field(default_factory=dict)
    open_access: bool = False

    @property
    def runtime(self) -> Any:
        return SimpleNamespace(snapshot=SimpleNamespace(keys=self.keys))


def guarded(*scopes: str) -> Any:
    key = Key("ab12", "test", scopes, NOW)  # type: ignore[arg-type]
    return Guarded({hashlib.sha256(b"pk_ab12_secret").digest(): key})


def headers(name: bytes = b"authorization", value: bytes = b"Bearer pk_ab12_secret") -> Any:
    return [(b"host", b"x"), (name, value)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"authorization", b"Bearer pk_ab12_secret"),
        (b"authorization", b"bearer  pk_ab12_secret "),
        (b"x-api-key", b"pk_ab12_secret"),
    ],
)
def test_a_key_is_read_from_either_header(name: bytes, value: bytes) -> None:
    assert authorise(guarded("predict"), headers(name, value), "predict") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"authorization", b"Bearer pk_ab12_secrets"),
        (b"authorization", b"Bearer "),
        (b"authorization", b"Basic pk_ab12_secret"),
        (b"x-api-key", b"\xff\x00"),
        (b"cookie", b"pk_ab12_secret"),
    ],
)
def test_without_a_valid_key_the_answer_challenges(name: bytes, value: bytes) -> None:
    refused = authorise(guarded("admin"), headers(name, value), "any")
    assert refused is not None
    assert refused.problem.status == 401
    assert dict(refused.problem.headers)[b"www-authenticate"].startswith(b"Bearer")
    assert b"pk_ab12" not in refused.problem.body


@pytest.mark.parametrize(
    ("scopes", "needs", "allowed"),
    [
        (("predict",), "predict", True),
        (("predict",), "label", False),
        (("label",), "predict", False),
        (("label",), "any", True),
        (("predict", "label"), "admin", False),
        (("admin",), "predict", True),
        (("admin",), "label", True),
    ],
)
def test_a_key_does_what_its_scopes_say(scopes: Any, needs: Any, allowed: bool) -> None:
    refused = authorise(guarded(*scopes), headers(), needs)
    assert (refused is None) == allowed
    if refused is not None:
        told = msgspec.json.decode(refused.problem.body)
        assert (refused.problem.status, told["missing_scope"]) == (403, needs)


@pytest.mark.slow
@pytest.mark.anyio
async def test_routes_ask_for_keys_and_notice_a_revoked_one(
    house: Any, client: Any, wait: Any
) -> None:
    house.deploy()
    worker = house.worker()
    worker.open_access = False
    key, secret = Keys(worker.database, worker.clock).create("test", ("label",))
    wait(lambda: worker.runtime.snapshot.keys)
    bearer = {"authorization": f"Bearer {secret}"}
    async with client(worker) as http:
        for op in OPERATIONS:
            path = op.path.format(name="churn", version=1, noun="people", id="ann")
            found = await http.request(op.method, path, content=b"{}")
            assert (found.status_code == 401) == (op.scope is not None), path
            found = await http.request(op.method, path, content=b"{}", headers=bearer)
            assert (found.status_code == 403) == (op.scope in ("predict", "admin")), path
        Keys(worker.database, worker.clock).revoke(key.id)
        wait(lambda: not worker.runtime.snapshot.keys)
        assert (await http.get("/v1/models", headers=bearer)).status_code == 401
