"""Text templates with a few conditions, for the files that an export writes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "templates"
_CONDITION = re.compile(r"^\s*#: (if not|if|else|end)\b ?(\w*)$")


@cache
def template(name: str) -> str:
    """Return the text of a template in the package."""
    return (FOLDER / f"{name}.tmpl").read_text(encoding="utf-8")


def render(text: str, values: Mapping[str, str], flags: Collection[str]) -> str:
    """Fill in `@@name@@` and keep the lines between `#: if flag` and `#: end` whose flag is set.

    Examples
    --------
    >>> text = "#: if loud\\n@@word@@!\\n#: else\\n@@word@@\\n#: end"
    >>> print(render(text, {"word": "hi"}, ["loud"]), end="")
    hi!
    """
    kept = []
    states: list[bool] = []
    for line in text.splitlines():
        found = _CONDITION.match(line)
        if found is None:
            if all(states):
                kept.append(line)
            continue
        verb, flag = found[1], found[2]
        if verb == "end":
            states.pop()
        elif verb == "else":
            states[-1] = not states[-1]
        else:
            states.append((flag in flags) == (verb == "if"))
    filled = re.sub(r"@@(\w+)@@", lambda m: values[m[1]], "\n".join(kept))
    return filled.rstrip("\n") + "\n"
