"""The OpenAPI document as one page that needs no other server: paths, bodies, answers."""

from __future__ import annotations

import html
import json
from typing import Any

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code,pre{font:14px/1.4 ui-monospace,monospace}
pre{background:#f4f4f4;padding:.75rem;overflow:auto}
details{border-bottom:1px solid #ddd;padding:.4rem 0}
summary{cursor:pointer}.method{font-weight:700;display:inline-block;width:4rem}
table{border-collapse:collapse}td{padding:.1rem 1rem .1rem 0;vertical-align:top}
@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}pre{background:#222}
a{color:#8bf}}
"""


def page(document: dict[str, Any]) -> bytes:
    """Return the document as HTML, grouped by tag."""
    groups: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation["tags"][0], []).append(_entry(path, method, operation))
    sections = [f"<h2>{_text(tag)}</h2>{''.join(entries)}" for tag, entries in groups.items()]
    shapes = [
        f"<details id='{_text(name)}'><summary><code>{_text(name)}</code></summary>"
        f"{_json(schema)}</details>"
        for name, schema in document["components"]["schemas"].items()
    ]
    info = document["info"]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>{_text(info['title'])}</title><style>{_STYLE}</style>"
        f"<h1>{_text(info['title'])} {_text(info['version'])}</h1>"
        f"<p>{_text(info['description'])} The document itself: "
        "<a href='/openapi.json'>/openapi.json</a>.</p>"
        f"{''.join(sections)}<h2>shapes</h2>{''.join(shapes)}"
    ).encode()


def _entry(path: str, method: str, operation: dict[str, Any]) -> str:
    scopes = sorted({role for one in operation["security"] for role in next(iter(one.values()))})
    key = f"key with {scopes[0]}" if scopes else "any key" if operation["security"] else "no key"
    rows = "".join(
        f"<tr><td>{_text(status)}<td>{_text(found['description'])}"
        for status, found in operation["responses"].items()
    )
    parameters = "".join(
        f"<tr><td><code>{_text(one['name'])}</code><td>{_text(one['in'])}"
        f"<td>{_text(one['description'])}"
        for one in operation["parameters"]
    )
    body = operation.get("requestBody")
    return (
        f"<details><summary><span class=method>{method.upper()}</span><code>{_text(path)}</code> "
        f"{_text(operation['summary'])} ({key})</summary>"
        + (f"<table>{parameters}</table>" if parameters else "")
        + (f"<p>Body</p>{_json(_schema(body))}" if body else "")
        + f"<p>Answer</p>{_json(_schema(operation['responses']['200']))}<table>{rows}</table>"
        "</details>"
    )


def _schema(part: dict[str, Any]) -> Any:
    return next(iter(part["content"].values()))["schema"]


def _json(value: Any) -> str:
    return f"<pre>{_text(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"


def _text(value: Any) -> str:
    return html.escape(str(value))
