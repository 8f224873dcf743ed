"""Leave out of a function the branches that one model never takes, without touching the rest."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator


def specialise(source: str, live: frozenset[str]) -> str:
    """Drop the branches of a dispatching function whose word is not among the live ones.

    Three ways to dispatch on a word are known: `case "word":`, `if x == "word":` with its `elif`
    and `else`, and a dictionary from words to functions.

    Parameters
    ----------
    source
        A function.
    live
        The words that occur in this export; branches on other words go.

    Examples
    --------
    >>> text = '''def read(way, x):
    ...     if way == "csv":
    ...         return 1
    ...     elif way == "parquet":
    ...         return 2
    ...     return {"csv": csv, "parquet": parquet}[way]
    ... '''
    >>> print(specialise(text, frozenset({"parquet"})))
    def read(way, x):
        if way == "parquet":
            return 2
        return {"parquet": parquet}[way]
    """
    whole = source
    while (shorter := _shortened(source, live)) is not None:
        source = shorter
    while source != whole and (shorter := _without_unused(source)) is not None:
        source = shorter
    return source


def _without_unused(source: str) -> str | None:
    """Drop one assignment whose name nothing reads any more; None when there is none."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    read = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    for node in nodes:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        acts = any(isinstance(n, ast.Call | ast.Await | ast.Yield) for n in ast.walk(node.value))
        inside = node.col_offset > 0
        if inside and len(node.targets) == 1 and node.targets[0].id not in read and not acts:
            return _without(source.splitlines(), node.lineno, node.end_lineno or node.lineno)
    return None


def _shortened(source: str, live: frozenset[str]) -> str | None:
    """Apply the first possible cut; None when there is none."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Match):
            for case in node.cases:
                words = _pattern_words(case.pattern)
                if words and not words & live:
                    return _without(lines, case.pattern.lineno, _end(case.body))
        elif isinstance(node, ast.If) and _is_dead(node.test, live):
            return _without_branch(lines, node)
        elif isinstance(node, ast.Dict):
            cut = _smaller_dict(source, node, live)
            if cut is not None:
                return cut
    return None


def _pattern_words(pattern: ast.pattern) -> set[str]:
    """Return the words that a pattern accepts; empty when it accepts anything else."""
    options = pattern.patterns if isinstance(pattern, ast.MatchOr) else [pattern]
    words = set()
    for option in options:
        if not isinstance(option, ast.MatchValue) or not isinstance(option.value, ast.Constant):
            return set()
        words.add(str(option.value.value))
    return words


def _is_dead(test: ast.expr, live: frozenset[str]) -> bool:
    """Say whether a condition compares with a word (or words) that never occur."""
    if isinstance(test, ast.BoolOp):
        deaths = [_is_dead(value, live) for value in test.values]
        return any(deaths) if isinstance(test.op, ast.And) else all(deaths)
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return False
    other = test.comparators[0]
    if isinstance(test.ops[0], ast.Eq) and isinstance(other, ast.Constant):
        return isinstance(other.value, str) and other.value not in live
    if isinstance(test.ops[0], ast.In) and isinstance(other, ast.Tuple | ast.Set):
        words = [e.value for e in other.elts if isinstance(e, ast.Constant)]
        return len(words) == len(other.elts) and not live.intersection(map(str, words))
    return isinstance(test.ops[0], ast.In) and _is_absent_member(test, live)


def _is_absent_member(test: ast.Compare, live: frozenset[str]) -> bool:
    """Say whether `"word" in xs` asks for a word that never occurs."""
    left = test.left
    return isinstance(left, ast.Constant) and isinstance(left.value, str) and left.value not in live


def _without(lines: list[str], first: int, last: int) -> str:
    return "\n".join(lines[: first - 1] + lines[last:])


def _without_branch(lines: list[str], node: ast.If) -> str:
    """Cut an `if` (or `elif`) with its body; what follows it takes its place."""
    first, last = node.lineno, _end(node.body)
    is_elif = lines[first - 1].lstrip().startswith("elif")
    if not node.orelse:
        return _without(lines, first, last)
    follower = node.orelse[0]
    if isinstance(follower, ast.If) and lines[follower.lineno - 1].lstrip().startswith("elif"):
        rest = lines[follower.lineno - 1 :]
        if not is_elif:
            rest[0] = rest[0].replace("elif", "if", 1)
        return "\n".join(lines[: first - 1] + rest)
    if is_elif:  # the `else:` stays, for the branches before
        return _without(lines, first, last)
    body = textwrap.dedent("\n".join(lines[_else_line(lines, last) : _end(node.orelse)]))
    placed = textwrap.indent(body, " " * node.col_offset).splitlines()
    return "\n".join(lines[: first - 1] + placed + lines[_end(node.orelse) :])


def _else_line(lines: list[str], after: int) -> int:
    """Return the number of the `else:` line."""
    return next(n for n in range(after + 1, len(lines) + 1) if lines[n - 1].strip() == "else:")


def _smaller_dict(source: str, node: ast.Dict, live: frozenset[str]) -> str | None:
    """Cut entries `"word": function` of a dispatching dictionary."""
    if not all(isinstance(v, ast.Name) for v in node.values) or len(node.values) < 2:
        return None
    entries = list(zip(node.keys, node.values, strict=True))
    kept = [(k, v) for k, v in entries if isinstance(k, ast.Constant) and k.value in live]
    if not kept or len(kept) == len(entries):
        return None
    inside = ", ".join(f"{_segment(source, k)}: {_segment(source, v)}" for k, v in kept)
    start, end = (_offset(source, node.lineno, node.col_offset),
                  _offset(source, node.end_lineno or 0, node.end_col_offset or 0))  # fmt: skip
    return source[:start] + "{" + inside + "}" + source[end:]


def _segment(source: str, node: ast.expr) -> str:
    return ast.get_source_segment(source, node) or ""


def _offset(source: str, line: int, column: int) -> int:
    lines = source.splitlines(keepends=True)
    # columns count UTF-8 bytes
    return sum(map(len, lines[: line - 1])) + len(lines[line - 1].encode()[:column].decode())


def _end(body: list[ast.stmt]) -> int:
    return max(_ends(body))


def _ends(body: list[ast.stmt]) -> Iterator[int]:
    for node in body:
        yield node.end_lineno or node.lineno
