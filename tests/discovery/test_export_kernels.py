"""Taking kernels apart: what is needed comes, what is dead goes, and the rest stays as it was."""

from __future__ import annotations

import ast
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.discovery.export.assemble import Part, assemble
from promise.discovery.export.code import function_modules, modules_of
from promise.discovery.export.kernels import Library, Name, kernel_sources, portable
from promise.discovery.export.literals import assignment, literal
from promise.discovery.export.specialise import specialise
from promise.errors import ArtifactError

LOW = '''"""Low-level sums."""

import math
from typing import Any

import numpy as np

Array = Any
# Above this, sums are taken in parts.
LIMIT = 3


def total(xs: Array) -> float:
    """Add."""
    return part(xs, LIMIT) + math.fsum(xs)


def part(xs: Array, limit: int) -> float:
    """Add some."""
    import bisect

    math = bisect.bisect(xs, limit)
    return float(math)


def unused() -> None:
    """Never asked for."""
    np.zeros(1)
'''
HIGH = '''"""High-level means."""

from promise.kernels.low import total


def mean(xs: list[float], way: str) -> float:
    """Average in a way."""
    if way == "plain":
        return total(xs) / len(xs)
    elif way == "trimmed":
        return trimmed(xs)
    else:
        return 0.0


def trimmed(xs: list[float]) -> float:
    """Average without the ends."""
    from promise.kernels.low import part

    return part(xs[1:-1], 1)
'''
SOURCES = {"low": LOW, "high": HIGH}


def names(library: Library, *wanted: Name) -> set[str]:
    return {address.name for address in library.closure(wanted)}


def test_the_closure_is_what_is_referred_to_and_nothing_else() -> None:
    everything = names(Library(SOURCES), Name("high", "mean"))
    assert everything == {"mean", "trimmed", "total", "part", "LIMIT", "Array"}


def test_a_dead_branch_takes_its_functions_along() -> None:
    library = Library(SOURCES, {Name("high", "mean"): frozenset({"plain"})})
    assert names(library, Name("high", "mean")) == {"mean", "total", "part", "LIMIT", "Array"}
    text = library.definition(Name("high", "mean")).source
    assert "trimmed" not in text
    assert "else:\n        return 0.0" in text


def test_a_local_name_is_no_import() -> None:
    found = Library(SOURCES).definition(Name("low", "part"))
    assert not found.imports  # `math` is a local variable there


def test_assembled_modules_run_alone_and_keep_comments() -> None:
    part = Part("main", '"""Doc."""\n\nRESULT = mean\n', {"mean": "high"})
    files = assemble([part], Library(SOURCES, themes={"low": "low"}))
    space: dict[str, Any] = {}
    text = files["main.py"].replace("RESULT = mean", "")
    exec(compile(text, "main.py", "exec"), space)
    assert space["mean"]([1.0, 2.0], "plain") == 2.5
    assert "# Above this, sums are taken in parts.\nLIMIT = 3" in text
    assert "promise" not in text


def test_what_does_not_fit_gets_modules_of_its_own() -> None:
    part = Part("main", '"""Doc."""\n\nprint(total)\n' + "print()\n" * 350, {"total": "low"})
    files = assemble([part], Library({"low": LOW}))
    assert set(files) == {"main.py", "low.py"}
    assert "from low import total" in files["main.py"]
    assert files["low.py"].startswith('"""Low-level sums."""')


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("while True:\n    pass\n", "only functions, classes and constants"),
        ("from promise.errors import near\n\n\nx = near\n", "imports promise.errors.near"),
        ("a = b = 1\n", "not a plain assignment"),
        ("y = 1\n", "has no 'x'"),
    ],
)
def test_a_kernel_that_cannot_be_taken_apart_is_refused(text: str, why: str) -> None:
    with pytest.raises(ArtifactError, match=why):
        Library({"odd": text}).closure([Name("odd", "x")])


def test_a_class_is_taken_out_whole_with_what_its_methods_need() -> None:
    text = (
        "import io\n\n\nclass A(io.RawIOBase):\n    size = 3\n\n    def double(self):\n"
        "        return twice(self.size)\n\n\ndef twice(x):\n    return TWO * x\n\n\nTWO = 2\n"
    )
    found = Library({"odd": text}).closure([Name("odd", "A")])
    assert sorted(address.name for address in found) == ["A", "TWO", "twice"]
    assert [item.module for item in found[Name("odd", "A")].imports] == ["io"]


def test_every_function_of_every_kernel_can_be_taken_out() -> None:
    library = Library(kernel_sources())
    known = function_modules()
    wanted = [Name(m, n) for n, m in known.items() if m in library.sources]
    for definition in library.closure(wanted).values():
        ast.parse(definition.source)


def test_compiled_kernels_and_what_builds_on_them_stay_behind() -> None:
    sources = {
        "compiled": "import numba\n",
        "loops": "from promise.kernels.compiled import compiled\n",
        "above": "def f():\n    from promise.kernels.loops import loop\n",
        "plain": "from promise.kernels.low import total\n",
        "low": "def total(xs):\n    return sum(xs)\n",
    }
    assert list(portable(sources)) == ["plain", "low"]
    carried = kernel_sources()
    assert {"scores", "encoding", "linear", "boosting_lightgbm"} <= carried.keys()
    assert not any("numba" in text or "@compiled" in text for text in carried.values())


def test_two_kernels_with_a_function_of_one_name_are_both_named() -> None:
    text = "def score(x):\n    return _part(x)\n\n\ndef _part(x):\n    return x\n"
    with pytest.raises(ArtifactError, match=r"'high' and 'low' both define 'score'.*rename"):
        modules_of({"high": text, "low": text})
    assert modules_of({"low": text, "high": text.replace("score", "rank")}) == {
        "score": "low", "rank": "high",
    }  # fmt: skip


SNIPPETS = {
    "match": 'match w:\n        case "a":\n            r = 1\n        case "b" | "c":\n'
    "            r = 2\n        case _:\n            r = 3",
    "if": 'if w == "a":\n        r = 1\n    elif w == "b":\n        r = 2\n'
    '    elif w in ("c", "d"):\n        r = 4\n    else:\n        r = 3',
    "dict": 'r = {"a": one, "b": two, "c": two, "d": two}[w]()',
    "and": 'r = 3\n    if w == "a" and one():\n        r = 1\n'
    '    if w == "b" or w == "c":\n        r = 2',
}


@given(st.sampled_from(sorted(SNIPPETS)), st.sets(st.sampled_from("abcd"), min_size=1))
def test_a_specialised_function_answers_live_words_as_before(kind: str, live: set[str]) -> None:
    source = f"def f(w):\n    {SNIPPETS[kind]}\n    return r"
    space: dict[str, Any] = {"one": lambda: 1, "two": lambda: 2}
    exec(source, space)
    before = {word: space["f"](word) for word in live}
    exec(specialise(source, frozenset(live)), space)
    assert {word: space["f"](word) for word in live} == before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.slow
@settings(max_examples=40)
@given(JSON)
def test_a_literal_means_what_it_was_written_from(value: Any) -> None:
    assert eval(literal(value)) == value
    space: dict[str, Any] = {}
    exec(assignment("X", value), space)
    assert space["X"] == value


def test_numbers_without_a_literal_form_are_written_as_calls() -> None:
    assert literal([math.inf]) == '[float("inf")]'
