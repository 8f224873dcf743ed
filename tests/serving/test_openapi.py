"""The OpenAPI document: valid, complete with the lane, and of what is live at this moment."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from promise.serving.openapi import document
from promise.serving.operations import OPERATIONS

pytestmark = pytest.mark.anyio

GUIDE = Path(__file__).parents[2] / "docs" / "serving-api.md"
ROW = {"age": 41.0, "income": 1200.5, "plan": "gold"}


@pytest.mark.slow
async def test_the_document_is_valid_and_complete(house: Any, client: Any) -> None:
    house.deploy()
    house.deploy("price", "number")
    async with client(house.worker()) as http:
        found = (await http.get("/openapi.json")).json()
    validate(found)
    told = {
        (method.upper(), path) for path, methods in found["paths"].items() for method in methods
    }
    assert {(op.method, op.path) for op in OPERATIONS} < told
    for name in ("churn", "price"):
        assert ("POST", f"/v1/models/{name}/predict") in told
        assert ("POST", f"/v1/models/{name}/explain") in told
    ids = [op["operationId"] for methods in found["paths"].values() for op in methods.values()]
    assert len(ids) == len(set(ids))


async def test_a_live_models_answers_fit_its_own_schema(house: Any, client: Any) -> None:
    house.deploy()
    house.deploy("price", "number")
    async with client(house.worker()) as http:
        found = (await http.get("/openapi.json")).json()
        for name in ("churn", "price"):
            path = f"/v1/models/{name}/predict"
            operation = found["paths"][path]["post"]
            one = (await http.post(path, json=ROW)).json()
            several = (await http.post(path, json={"rows": [ROW, ROW]})).json()
            answered = operation["responses"]["200"]["content"]["application/json"]["schema"]
            sent = operation["requestBody"]["content"]["application/json"]["schema"]
            for schema, values in ((answered, (one, several)), (sent, (ROW, {"rows": [ROW]}))):
                for value in values:
                    jsonschema.validate(value, {**schema, "components": found["components"]})
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate({"age": 1}, {**sent, "components": found["components"]})


@pytest.mark.slow
async def test_the_document_follows_what_is_live(house: Any, client: Any, wait: Any) -> None:
    house.deploy()
    worker = house.worker()
    async with client(worker) as http:
        before = (await http.get("/openapi.json")).json()
        assert (await http.get("/openapi.json")).json() == before
        house.deploy("churn", "number")
        house.deploy("price", "number")
        wait(lambda: "price" in worker.runtime.snapshot.endpoints and worker.runtime.ready)
        wait(lambda: worker.runtime.snapshot.endpoints["churn"].route.live == 2)
        after = (await http.get("/openapi.json")).json()
    assert "price.Row" not in before["components"]["schemas"]
    assert "price.Row" in after["components"]["schemas"]
    kinds = [
        d["components"]["schemas"]["churn.Predictions"]["properties"]["predictions"]["items"]
        for d in (before, after)
    ]
    assert kinds[0]["properties"]["prediction"] != kinds[1]["properties"]["prediction"]


async def test_the_docs_are_one_page_that_loads_nothing_from_elsewhere(
    house: Any, client: Any
) -> None:
    house.deploy()
    async with client(house.worker()) as http:
        response = await http.get("/docs")
    assert response.headers["content-type"].startswith("text/html")
    assert "/v1/models/churn/predict" in response.text
    assert "<script" not in response.text
    assert "http://" not in response.text
    assert "https://" not in response.text


def guide() -> list[tuple[list[str], Any]]:
    """Return the guide's calls, each with the answer that stands below it, if one does."""
    blocks = re.findall(
        r"```sh\n(.*?)```\n(?:```json\n(.*?)```)?", GUIDE.read_text(encoding="utf-8"), re.DOTALL
    )
    calls = []
    for commands, answer in blocks:
        parted = [shlex.split(one) for one in re.split(r"^(?=curl )", commands, flags=re.M) if one]
        calls += [(words, None) for words in parted[:-1]]
        calls.append((parted[-1], json.loads(answer) if answer else None))
    return calls


async def test_the_guide_shows_every_route_and_its_calls_give_such_answers(
    house: Any, client: Any
) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for operation in OPERATIONS:
        path = operation.path
        assert (
            path in text or path.format(name="churn", version=2, noun="people", id="ann") in text
        ), path
    house.deploy()
    house.deploy()
    async with client(house.worker()) as http:
        for words, told in guide():
            assert words[:2] == ["curl", "-s"]
            path = words[2].removeprefix("localhost:8000")
            method = "POST" if "-d" in words else "GET"
            body = words[words.index("-d") + 1] if "-d" in words else None
            found = await http.request(method, path, content=body)
            assert found.status_code == 200, (path, found.text)
            if told is not None:
                assert shape_of(found.json()) == shape_of(told), path


def shape_of(value: Any) -> Any:
    """Return the keys of an answer, and those of the first entry of each list."""
    if isinstance(value, dict):
        return {key: shape_of(inner) for key, inner in value.items() if key != "transitions"}
    return [shape_of(inner) for inner in value[:1]] if isinstance(value, list) else None


def test_an_empty_house_has_a_document_too(house: Any) -> None:
    validate(document(house.worker().runtime.snapshot))
