"""The page itself."""

from __future__ import annotations

import html
import json
from typing import Any


def render(story: dict[str, Any]) -> str:
    """Return the whole report as one self-contained HTML page."""
    said = "".join(f"<p>{html.escape(str(s))}</p>" for s in story.get("recommendation") or [])
    dump = html.escape(json.dumps(story.get("leaderboard"), indent=1, default=str))
    return f"<!doctype html><meta charset=utf-8><title>Promise</title>{said}<pre>{dump}</pre>"
