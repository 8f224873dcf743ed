"""The Open Inference Protocol gives the lane's answers in tensors, and names a wrong tensor."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promise.data.schema import Field, Schema
from promise.errors import DataError
from promise.serving.tensors import TensorSent, input_metadata, rows_of

ROW = {"age": 41.0, "income": 1200.5, "plan": "gold"}
ROWS: list[dict[str, Any]] = [
    ROW,
    {"age": None, "income": 10, "plan": None},
    {"age": 7, "income": 1.5, "plan": "free"},
]
NUMBERS = Schema((Field("a", "number"), Field("b", "number"), Field("ok", "boolean")))
MIXED = Schema((Field("a", "number"), Field("plan", "category"), Field("day", "date")))


def tensors(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows as a client of the protocol sends them."""
    kinds = {"age": "FP64", "income": "FP64", "plan": "BYTES"}
    return [
        {"name": name, "shape": [len(rows)], "datatype": kind, "data": [r[name] for r in rows]}
        for name, kind in kinds.items()
    ]


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("what", ["up", "number"])
async def test_tensors_are_answered_as_the_lane_answers_rows(
    house: Any, client: Any, lines: Any, what: str
) -> None:
    house.deploy(what=what)
    worker = house.worker()
    async with client(worker) as http:
        rows = (await http.post("/v1/models/churn/predict", json={"rows": ROWS})).json()
        found = await http.post(
            "/v2/models/churn/infer", json={"id": "r7", "inputs": tensors(ROWS)},
            headers={"x-entity": "ann"},
        )  # fmt: skip
    assert found.status_code == 200, found.text
    made = found.json()
    assert (made["model_name"], made["model_version"], made["id"]) == ("churn", "1", "r7")
    outputs = {one["name"]: one for one in made["outputs"]}
    told = rows["predictions"]
    assert outputs["prediction"]["data"] == [one["prediction"] for one in told]
    assert outputs["prediction"]["shape"] == [3]
    if what == "up":
        classes = outputs["probability"]["parameters"]["classes"]
        flat = [one["probability"][name] for one in told for name in classes]
        assert (outputs["probability"]["data"], classes) == (flat, ["no", "yes"])
        assert outputs["probability"]["shape"] == [3, 2]
    logged = lines(worker)
    assert [line["id"] for line in logged[3:]] == outputs["prediction_id"]["data"]
    assert [line["row"] for line in logged[3:]] == [line["row"] for line in logged[:3]]
    assert {line["entity"] for line in logged[3:]} == {"ann"}
    assert worker.counters.series("churn", 1, "live", ()).rows == 6


@pytest.mark.anyio
async def test_a_version_can_be_named_and_outputs_chosen(house: Any, client: Any) -> None:
    house.deploy()
    house.deploy(what="down")
    worker = house.worker()
    old = {**ROW, "age": 70}
    body = {"inputs": tensors([old]), "outputs": [{"name": "prediction"}]}
    async with client(worker) as http:
        live = (await http.post("/v2/models/churn/infer", json=body)).json()
        first = (await http.post("/v2/models/churn/versions/1/infer", json=body)).json()
        absent = await http.post("/v2/models/churn/versions/9/infer", json=body)
        wrong = await http.post(
            "/v2/models/churn/infer", json={**body, "outputs": [{"name": "predictions"}]}
        )
    assert [one["name"] for one in live["outputs"]] == ["prediction"]
    assert (live["model_version"], first["model_version"]) == ("2", "1")
    assert live["outputs"][0]["data"] != first["outputs"][0]["data"]
    assert absent.status_code == 404
    assert (wrong.status_code, "did you mean 'prediction'" in wrong.text) == (422, True)


@pytest.mark.anyio
async def test_metadata_and_readiness(house: Any, client: Any) -> None:
    house.deploy()
    house.deploy(what="down")
    worker = house.worker()
    async with client(worker) as http:
        assert (await http.get("/v2")).json()["name"] == "promise"
        assert (await http.get("/v2/health/live")).json() == {"live": True}
        assert (await http.get("/v2/health/ready")).json() == {"ready": True}
        found = (await http.get("/v2/models/churn")).json()
        ready = await http.get("/v2/models/churn/versions/1/ready")
        unknown = await http.get("/v2/models/chrun/ready")
        worker.draining = True
        draining = await http.get("/v2/health/ready")
    assert found["versions"] == ["1", "2"]
    assert found["platform"] == "promise_tabular"
    assert {(one["name"], one["datatype"]) for one in found["inputs"]} == {
        ("age", "FP64"), ("income", "FP64"), ("plan", "BYTES"),
    }  # fmt: skip
    assert [one["name"] for one in found["outputs"]] == [
        "prediction", "probability", "prediction_id",
    ]  # fmt: skip
    assert ready.json() == {"name": "churn", "ready": True}
    assert (unknown.status_code, draining.status_code) == (404, 503)


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"inputs": []}, 422),
        ({"inputs": [{"name": "age"}]}, 422),
        ({"inputs": tensors([])}, 422),
        ({"inputs": tensors([ROW])[:2]}, 422),
        ({"inputs": tensors([ROW] * 3)}, 413),
        ({"inputs": tensors([{**ROW, "plan": 3}])}, 422),
    ],
)
async def test_tensors_that_do_not_fit_are_refused(
    house: Any, client: Any, body: Any, status: int
) -> None:
    house.deploy()
    async with client(house.worker(rows=2)) as http:
        response = await http.post("/v2/models/churn/infer", json=body)
    assert (response.status_code, response.json()["status"]) == (status, status)


@pytest.mark.anyio
async def test_a_deadline_that_passed_is_answered_by_a_fallback_or_504(
    house: Any, client: Any
) -> None:
    house.deploy()
    body = {"inputs": tensors([ROW])}
    async with client(house.worker()) as http:
        late = await http.post("/v2/models/churn/infer", json=body, headers={"x-deadline-ms": "0"})
        wrong = await http.post(
            "/v2/models/churn/infer", json=body, headers={"x-deadline-ms": "soon"}
        )
    assert late.status_code in (200, 504)
    if late.status_code == 200:
        assert late.json()["parameters"] == {"fallback": "heuristic"}
    assert wrong.status_code == 400


@pytest.mark.anyio
async def test_a_version_that_cannot_be_loaded_is_answered_for(house: Any, client: Any) -> None:
    version = house.deploy()
    (version.folder / "weights" / "score").rename(version.folder / "gone")
    async with client(house.worker()) as http:
        found = await http.post("/v2/models/churn/infer", json={"inputs": tensors([ROW])})
        about = await http.get("/v2/models/churn")
    assert found.status_code == 200, found.text
    assert found.json()["parameters"] == {"fallback": "heuristic"}
    assert found.json()["outputs"][0]["data"][0] in ("yes", "no")
    assert about.status_code == 503


def tensor(name: str, data: list[Any], datatype: str = "FP64", shape: Any = None) -> TensorSent:
    return TensorSent(name, shape or [len(data)], datatype, data)  # type: ignore[arg-type]


@given(
    st.lists(
        st.tuples(
            st.none() | st.floats(allow_nan=False, allow_infinity=False),
            st.none() | st.integers(-(2**40), 2**40),
            st.none() | st.booleans(),
        ),
        max_size=6,
    )
)
def test_a_matrix_and_named_tensors_give_the_same_rows(
    rows: list[tuple[float | None, int | None, bool | None]],
) -> None:
    whole = [[a, b, None if ok is None else float(ok)] for a, b, ok in rows]
    matrix = tensor("input-0", whole, shape=[len(rows), 3])
    flat = tensor("input-0", [v for row in whole for v in row], shape=[len(rows), 3])
    named = [
        tensor("ok", [[ok] for *_, ok in rows], "BOOL", [len(rows), 1]),
        tensor("b", [b for _, b, _ in rows], "INT64"),
        tensor("a", [a for a, *_ in rows], "FP32"),
    ]
    assert rows_of([matrix], NUMBERS) == rows_of([flat], NUMBERS) == rows_of(named, NUMBERS)
    assert rows_of(named, NUMBERS) == [{"a": a, "b": b, "ok": ok} for a, b, ok in rows]


@pytest.mark.parametrize(
    ("sent", "schema", "words"),
    [
        ([tensor("a", [1.0])], NUMBERS, "input 'b' is missing"),
        ([tensor("A2", [1.0])], NUMBERS, "there is no input 'A2'"),
        ([tensor("a", [1.0]), tensor("a", [1.0])], NUMBERS, "came twice"),
        ([tensor("x", [1.0, 2.0], shape=[1, 2])], NUMBERS, "has 2 columns, the request has 3"),
        ([tensor("x", [1.0] * 3, shape=[1, 3])], MIXED, "'plan' is category"),
        ([tensor("x", ["1"] * 3, "BYTES", [1, 3])], NUMBERS, "is BYTES"),
        ([tensor("a", [1.0], shape=[2])], NUMBERS, "holds 1 values, its shape"),
        ([tensor("a", [1.5], "INT32")], NUMBERS, "1.5 is no INT32"),
        ([tensor("a", [True], "INT32")], NUMBERS, "True is no INT32"),
        ([tensor("a", [2**31], "INT32")], NUMBERS, "is no INT32"),
        ([tensor("a", [-1], "UINT8")], NUMBERS, "is no UINT8"),
        ([tensor("ok", [1], "BOOL")], NUMBERS, "1 is no BOOL"),
        ([tensor("a", ["1"], "BYTES")], NUMBERS, "expected FP64"),
        ([tensor("a", [{}])], NUMBERS, "is no FP64"),
        ([tensor("plan", ["x", "y"], "BYTES", [1, 2])], MIXED, "expected \\[n\\]|one tensor"),
        (
            [tensor("a", [1.0]), tensor("b", [1.0, 2.0]), tensor("ok", [True], "BOOL")],
            NUMBERS, "differ in their number of rows",
        ),
    ],
)  # fmt: skip
def test_a_wrong_tensor_is_named(sent: Any, schema: Schema, words: str) -> None:
    with pytest.raises(DataError, match=words):
        rows_of(sent, schema)


def test_input_tensors_follow_the_schema() -> None:
    kinds = [(one.name, one.datatype) for one in input_metadata(MIXED)]
    assert kinds == [("a", "FP64"), ("plan", "BYTES"), ("day", "BYTES")]


@pytest.mark.anyio
async def test_a_tensor_of_a_column_that_training_ignored_is_passed_over(
    house: Any, client: Any
) -> None:
    house.deploy()
    label = {"name": "target", "shape": [3], "datatype": "BYTES", "data": ["yes", "no", "yes"]}
    async with client(house.worker()) as http:
        rows = {"rows": [{**row, "target": "yes"} for row in ROWS]}
        lane = (await http.post("/v1/models/churn/predict", json=rows)).json()
        sent = {"inputs": [*tensors(ROWS), label]}
        found = await http.post("/v2/models/churn/infer", json=sent)
        wrong = {"inputs": [*tensors(ROWS), {**label, "name": "targte"}]}
        refused = await http.post("/v2/models/churn/infer", json=wrong)
    assert found.status_code == 200, found.text
    told = [one["prediction"] for one in lane["predictions"]]
    assert found.json()["outputs"][0]["data"] == told
    assert (refused.status_code, "targte" in refused.text) == (422, True)


def test_dates_are_sent_as_their_field_keeps_them() -> None:
    schema = Schema((Field("day", "date"), Field("at", "date", format="epoch_s")))
    assert [one.datatype for one in input_metadata(schema)] == ["BYTES", "FP64"]
    day, at = tensor("day", ["2026-01-31"], "BYTES"), tensor("at", [1769860800.0])
    assert rows_of([day, at], schema) == [{"day": "2026-01-31", "at": 1769860800.0}]
    with pytest.raises(DataError, match=r"'at' is BYTES; .* expected FP64"):
        rows_of([day, tensor("at", ["2026-01-31"], "BYTES")], schema)
