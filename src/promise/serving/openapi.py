"""The OpenAPI 3.1 document: every route, and the request and answer of every live model."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any

import msgspec

from promise.pipeline.answers import answer_schema
from promise.pipeline.finding import NOUNS
from promise.pipeline.pipeline import Pipeline
from promise.serving.auth import Need
from promise.serving.endpoints import Snapshot
from promise.serving.operations import OPERATIONS, PREDICT, Operation
from promise.serving.problems import CONTENT_TYPE

_REF = "#/components/schemas/{name}"
_SUMMARY = (
    "Answers of models, what they are held to, and what was live when. Errors are problem "
    "documents (RFC 9457)."
)
_PATH_PARAMETERS: dict[str, tuple[str, dict[str, Any]]] = {
    "name": ("The model's name.", {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,62}$"}),
    "version": ("A version's number.", {"type": "integer", "minimum": 1}),
    "noun": ("What the model answers for.", {"enum": list(NOUNS)}),
    "id": ("As the caller knows them.", {"type": "string", "minLength": 1, "maxLength": 200}),
}
_WITH_BODY = {
    408: "The body came too slowly.",
    413: "The body or its number of rows is over the limit.",
    415: "The body is compressed, which is not read.",
}
_NO_PROBE = {
    401: "There is no valid API key.",
    403: "The API key lacks the scope.",
    503: "It could not be answered in time; try again.",
}
_ALWAYS = {
    429: "Too many requests are in flight; try again.",
    500: "Something went wrong on our side; the log has it under the instance.",
}
_ONE_ID = {"oneOf": [{"required": ["prediction_id"]}, {"required": ["id"]}]}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "What went wrong (RFC 9457): what came, what was expected, what to do next.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
}


def document(snapshot: Snapshot) -> dict[str, Any]:
    """Return the whole document, as it stands for what is served at this moment."""
    kinds = [kind for operation in OPERATIONS for kind in _kinds(operation)]
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
    components: dict[str, Any] = {"Problem": _PROBLEM, **schemas}
    components["LabelSent"] = {**components["LabelSent"], **_ONE_ID}
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    for name, pipeline, row in _models(snapshot):
        components[f"{name}.Row"] = row
        components[f"{name}.Rows"] = _batch(f"{name}.Row")
        components[f"{name}.Predictions"] = _predictions(pipeline)
        for operation in OPERATIONS:
            if operation.rows:
                path = operation.path.replace("{name}", name)
                paths[path] = {"post": _of_model(operation, name, "rows" in pipeline.task.request)}
    for name, endpoint in sorted(snapshot.endpoints.items()):
        for operation in OPERATIONS if endpoint.noun else ():
            if "{noun}" in operation.path:
                path = operation.path.replace("{name}", name).replace("{noun}", endpoint.noun)
                paths.setdefault(path, {})[operation.method.lower()] = _of_lists(operation, name)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Promise", "version": version("promise-ml"), "description": _SUMMARY},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _kinds(operation: Operation) -> list[type]:
    found = [*operation.sends, operation.answers]
    return [kind for kind in found if kind is not None and kind is not dict]


def _models(snapshot: Snapshot) -> list[tuple[str, Pipeline, dict[str, Any]]]:
    """Return the pipeline and the row's schema of every model whose live version is loaded."""
    found = []
    for name, endpoint in sorted(snapshot.endpoints.items()):
        live = endpoint.route.live
        loaded = None if live is None else endpoint.versions.get(live)
        if loaded is not None and endpoint.intake is not None:
            found.append((name, loaded.pipeline, endpoint.intake.json_schema()))
    return found


def _operation(operation: Operation) -> dict[str, Any]:
    """Return one operation as the document describes it."""
    made: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.about,
        "tags": [operation.tag],
        "parameters": _parameters(operation),
        "responses": _responses(operation),
        "security": _security(operation.scope),
    }
    if operation.rows:
        made["requestBody"] = _body({"type": "object"}, "One row, or several as `rows`.")
    elif operation.sends:
        refs = [_ref(kind.__name__) for kind in operation.sends]
        made["requestBody"] = _body(refs[0] if len(refs) == 1 else {"oneOf": refs})
    return made


def _of_model(operation: Operation, name: str, rows_is_field: bool) -> dict[str, Any]:
    """Return a row operation with the request and answer of one model."""
    made = _operation(operation)
    made["operationId"] = f"{operation.id}_{re.sub(r'[^a-z0-9]', '_', name)}"
    made["summary"] = f"{operation.about}: {name}"
    made["tags"] = [name]
    made["parameters"] = [one for one in made["parameters"] if one["name"] != "name"]
    one, several = _ref(f"{name}.Row"), _ref(f"{name}.Rows")
    made["requestBody"] = _body(one if rows_is_field else {"anyOf": [one, several]})
    if operation is PREDICT:
        made["responses"]["200"] = _answer(_ref(f"{name}.Predictions"))
    return made


def _of_lists(operation: Operation, name: str) -> dict[str, Any]:
    """Return an operation on the lists of one model."""
    made = _operation(operation)
    made["operationId"] = f"{operation.id}_{re.sub(r'[^a-z0-9]', '_', name)}"
    made["summary"] = f"{operation.about}: {name}"
    made["tags"] = [name]
    chosen = ("name", "noun")
    made["parameters"] = [one for one in made["parameters"] if one["name"] not in chosen]
    return made


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found = []
    for name in re.findall(r"\{(\w+)\}", operation.path):
        text, schema = _PATH_PARAMETERS[name]
        found.append(
            {"name": name, "in": "path", "required": True, "description": text, "schema": schema}
        )
    for one in operation.parameters:
        found.append(
            {"name": one.name, "in": one.where, "description": one.text, "schema": one.schema}
        )
    return found


def _responses(operation: Operation) -> dict[str, Any]:
    if operation is PREDICT:
        answered = _answer(_predictions(None))
    elif operation.answers is None:
        answered = {
            "description": operation.about,
            "content": {operation.media_type: {"schema": {"type": "string"}}},
        }
    elif operation.answers is dict:
        answered = _answer({"type": "object"})
    else:
        answered = _answer(_ref(operation.answers.__name__))
    made = {"200": answered}
    refused = {
        **_ALWAYS,
        **({} if operation.scope is None else _NO_PROBE),
        **(_WITH_BODY if operation.sends or operation.rows else {}),
        **operation.refuses,
    }
    made |= {str(status): _problem(text) for status, text in sorted(refused.items())}
    return made | {str(s): {**answered, "description": t} for s, t in operation.also.items()}


def _predictions(pipeline: Pipeline | None) -> dict[str, Any]:
    """Return the schema of a prediction's answer; of any model where none is given."""
    known = {} if pipeline is None else answer_schema(pipeline)["properties"]
    row: dict[str, Any] = {
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": "Send it back with the label."},
            "prediction": {"description": "A number or a class."},
            **known,
        },
        "required": ["id", "prediction"],
    }
    return {
        "type": "object",
        "properties": {
            "model": {"type": "string"},
            "version": {"type": "integer"},
            "predictions": {"type": "array", "items": row},
            "fallback": {
                "enum": ["previous", "heuristic"],
                "description": "Who answered in place of the version that should have.",
            },
        },
        "required": ["model", "version", "predictions"],
    }


def _batch(row: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"rows": {"type": "array", "items": _ref(row), "minItems": 1}},
        "required": ["rows"],
        "additionalProperties": False,
    }


def _security(scope: Need | None) -> list[dict[str, list[str]]]:
    if scope is None:
        return []
    roles: list[str] = [] if scope == "any" else [scope]
    return [{"bearer": roles}, {"key": roles}]


def _body(schema: dict[str, Any], text: str = "") -> dict[str, Any]:
    made = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {**made, "description": text} if text else made


def _answer(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": "The answer.", "content": {"application/json": {"schema": schema}}}


def _problem(text: str) -> dict[str, Any]:
    return {"description": text, "content": {CONTENT_TYPE: {"schema": _ref("Problem")}}}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": _REF.format(name=name)}
