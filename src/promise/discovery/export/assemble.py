"""Lay kernel functions and generated code out as modules that import only each other."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from promise.discovery.export.kernels import Definition, Import, Library, Name, references
from promise.errors import ArtifactError

LINE_LIMIT = 390
SMALL = 75
WIDTH = 100


@dataclass(frozen=True)
class Part:
    """One generated module: its text names kernel functions freely, `wants` says whose they are."""

    file: str
    text: str
    wants: Mapping[str, str] = field(default_factory=dict)
    """Kernel function to kernel module."""


@dataclass
class _Module:
    """A module under construction."""

    docstring: str
    body: str
    imports: set[Import]
    definitions: list[Definition] = field(default_factory=list)


def assemble(parts: Sequence[Part], library: Library) -> dict[str, str]:
    """Return file name to source text: each definition lives in the first part that needs it.

    A part whose definitions do not fit the line limit, or share a name, sends them to modules of
    their own: one for each theme, or for each kernel where a theme is too large.

    Examples
    --------
    >>> part = Part("twice", '\"\"\"Doc.\"\"\"\\n\\nprint(double(2))\\n', {"double": "maths"})
    >>> text = "def double(x):\\n    return math.ldexp(x, 1)\\n"
    >>> files = assemble([part], Library({"maths": "import math\\n\\n\\n" + text}))
    >>> print(files["twice.py"].splitlines()[4])
    import math
    """
    homes: dict[Name, str] = {}
    modules: dict[str, _Module] = {}
    for part in parts:
        module, names = _read_part(part)
        wanted = [Name(part.wants[n], n) for n in sorted(names) if n in part.wants]
        closure = library.closure(wanted)
        mine = _ordered(d for a, d in closure.items() if a not in homes and not is_alias(d.address))
        modules[part.file] = module
        for file, definitions in _placed(part, module, mine, library, set(modules)):
            if file not in modules:
                modules[file] = _Module(_about(definitions, library), "", set())
            aliases = library.closure(a for d in definitions for a in d.needs if is_alias(a))
            modules[file].definitions += [*_ordered(aliases.values()), *definitions]
            homes.update({d.address: file for d in definitions})
        module.imports |= {_sibling(a, homes) for a in wanted if homes[a] != part.file}
    for file, module in modules.items():
        for definition in module.definitions:
            module.imports |= definition.imports
            module.imports |= {
                _sibling(a, homes) for a in definition.needs if not is_alias(a) and homes[a] != file
            }
    return {f"{file}.py": _text(module, set(modules), homes) for file, module in modules.items()}


def is_alias(address: Name) -> bool:
    """Say whether a name is a type alias, such as `Array`: each module that uses one defines it."""
    return address.name[:1].isupper() and not address.name.isupper()


def _sibling(address: Name, homes: Mapping[Name, str]) -> Import:
    return Import(homes[address], address.name, address.name)


def _about(definitions: list[Definition], library: Library) -> str:
    """Return a new module's docstring: that of the kernel most of it comes from."""
    sizes: dict[str, int] = {}
    for d in definitions:
        sizes[d.address.module] = sizes.get(d.address.module, 0) + d.source.count("\n")
    largest = max(sizes, key=lambda module: sizes[module])
    return library.docstring(largest)


def imported_packages(files: Mapping[str, str]) -> set[str]:
    """Return the packages that source files import, at the top or inside functions.

    Examples
    --------
    >>> imported_packages({"a.py": "import json, b\\nfrom numpy import array", "b.py": ""})
    {'numpy'}
    """
    found: set[str] = set()
    for text in files.values():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
    return {r for r in found if r not in sys.stdlib_module_names and f"{r}.py" not in files}


def _size(definitions: Iterable[Definition]) -> int:
    """Return how many lines a module of these definitions has, about."""
    return sum(d.source.count("\n") + 3 for d in definitions) + 30


def _placed(
    part: Part, module: _Module, mine: list[Definition], library: Library, taken: set[str]
) -> Iterator[tuple[str, list[Definition]]]:
    """Yield (file, definitions): all in the part itself if they fit, else by theme."""
    own = module.body.count("\n")
    if own + _size(mine) <= LINE_LIMIT and not _clash(mine, library, part):
        yield part.file, mine
        return
    groups: dict[str, list[Definition]] = {}
    for definition in mine:
        groups.setdefault(library.theme(definition), []).append(definition)
    for theme, group in groups.items():
        inside = {d.address for d in group}
        others = [d for d in mine if d.address not in inside]
        alone = not any(d.needs & inside for d in others)
        fits = _size(group) <= SMALL and own + _size(group) <= LINE_LIMIT
        if alone and fits and not _clash(group, library, part):
            own += _size(group)
            yield part.file, group
        elif _size(group) <= LINE_LIMIT and not _clash(group, library):
            yield _fresh(theme, part, taken), group
        else:
            for origin in dict.fromkeys(d.address.module for d in group):
                kernel = [d for d in group if d.address.module == origin]
                for chunk in _chunks(kernel):
                    yield _fresh(origin, part, taken), chunk


def _fresh(name: str, part: Part, taken: set[str]) -> str:
    """Return a file name that is not taken, and note that it is now."""
    names = [name, f"{name}_{part.file}", *(f"{name}_{part.file}_{n}" for n in range(2, 9))]
    free = next(n for n in names if n not in taken)
    taken.add(free)
    return free


def _clash(mine: list[Definition], library: Library, part: Part | None = None) -> bool:
    """Say whether two different things would have one name in this file."""
    meanings: dict[str, set[object]] = {}

    def means(name: str, what: object) -> None:
        meanings.setdefault(name, set()).add(what)

    needs = {need for d in mine for need in d.needs}
    sources = {d.address: d.source for d in mine}
    sources |= {a: d.source for a, d in library.closure(filter(is_alias, needs)).items()}
    for address in {*sources, *needs}:
        means(address.name, sources.get(address, address))
    for item in {i for d in mine for i in d.imports}:
        means(item.bound, (item.module, item.name))
    text = "" if part is None else part.text
    for node in ast.parse(text).body:
        for name in _bound(node):
            means(name, ast.get_source_segment(text, node))
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            for alias in node.names:
                means(alias.asname or alias.name, (node.module, alias.name))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                means(alias.asname or alias.name, (alias.name, None))
    return any(len(found) > 1 for found in meanings.values())


def _bound(node: ast.stmt) -> list[str]:
    """Return the names that a top-level statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [t.id for t in node.targets if isinstance(t, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


def _chunks(group: list[Definition]) -> Iterator[list[Definition]]:
    """Cut one kernel's definitions, dependencies first, into files under the line limit."""
    pending: list[Definition] = []
    done: set[Name] = set()
    lines = 0
    by_address = {d.address: d for d in group}

    def visit(definition: Definition) -> Iterator[Definition]:
        if definition.address in done:
            return
        done.add(definition.address)
        for need in sorted(definition.needs & by_address.keys()):
            yield from visit(by_address[need])
        yield definition

    total = sum(d.source.count("\n") + 3 for d in group)
    if total + 30 <= LINE_LIMIT:
        yield group
        return
    for definition in (found for d in group for found in visit(d)):
        size = definition.source.count("\n") + 3
        if pending and lines + size + 30 > LINE_LIMIT:
            yield pending
            pending, lines = [], 0
        pending.append(definition)
        lines += size
    yield pending


def _ordered(definitions: Iterable[Definition]) -> list[Definition]:
    """Sort by kernel module, imported modules first, then by line: constants precede their use."""
    definitions = list(definitions)
    needs: dict[str, set[str]] = {}
    for d in definitions:
        needs.setdefault(d.address.module, set()).update(
            n.module for n in d.needs if n.module != d.address.module
        )
    order: list[str] = []

    def visit(module: str, above: tuple[str, ...]) -> None:
        if module in above:
            raise ArtifactError(f"kernels import each other in a circle: {' → '.join(above)}.")
        if module in needs and module not in order:
            for other in sorted(needs[module]):
                visit(other, (*above, module))
            order.append(module)

    for module in sorted(needs):
        visit(module, ())
    return sorted(definitions, key=lambda d: (order.index(d.address.module), d.line))


def _read_part(part: Part) -> tuple[_Module, set[str]]:
    """Take a generated module apart: docstring, imports, body, and the names it uses."""
    tree = ast.parse(part.text)
    lines = part.text.splitlines()
    imports: set[Import] = set()
    drop: set[int] = set()
    for index, node in enumerate(tree.body):
        first, last = node.lineno, node.end_lineno or node.lineno
        if isinstance(node, ast.Import):
            imports |= {Import(a.name, None, a.asname or a.name) for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.module != "__future__":
                imports |= {
                    Import(node.module or "", a.name, a.asname or a.name) for a in node.names
                }
        elif not (index == 0 and isinstance(node, ast.Expr)):
            continue
        drop.update(range(first, last + 1))
    body = "\n".join(line for number, line in enumerate(lines, 1) if number not in drop)
    names, _ = references(part.text)
    names -= {i.bound for i in imports} | {name for node in tree.body for name in _bound(node)}
    doc = ast.get_docstring(tree) or ""
    return _Module(doc, body.strip("\n"), imports), names


def _text(module: _Module, files: set[str], homes: Mapping[Name, str]) -> str:
    """Write a module: docstring, imports in order, generated body, kernel definitions."""
    body, main, rest = module.body.partition('if __name__ == "__main__":')
    body = body.rstrip("\n")
    seen = set(body.splitlines())
    for definition in module.definitions:
        source = _siblings(definition.source, homes)
        if source in seen:  # two kernels may share a type alias
            continue
        seen.add(source)
        together = not definition.is_function and _ends_plain(body)
        body += ("\n" if together else "\n\n\n" if body else "") + source
    # what runs at once comes last, when everything is defined
    body += f"\n\n\n{main}{rest}" if main else ""
    used, _ = references(body)
    kept = {i for i in module.imports if i.bound.partition(".")[0] in used}
    blocks = ["from __future__ import annotations", *import_blocks(kept, files)]
    gap = "\n\n\n" if body.startswith(("def ", "class ", "@")) else "\n\n"
    return _docstring(module.docstring) + "\n\n" + "\n\n".join(blocks) + gap + body + "\n"


def _docstring(text: str) -> str:
    """Write a module docstring, its end on a line of its own when there are several."""
    return f'"""{text}"""' if "\n" not in text else f'"""{text}\n"""'


def _ends_plain(body: str) -> bool:
    """Say whether the last line is a top-level constant's, which another may follow at once."""
    last = body.rsplit("\n", 1)[-1]
    return bool(last) and not last.startswith((" ", "#"))


def _siblings(source: str, homes: Mapping[Name, str]) -> str:
    """Point imports inside a function at the files in which the export keeps those kernels."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("promise.kernels."):
            origin = (node.module or "").removeprefix("promise.kernels.")
            indent = " " * node.col_offset
            targets: dict[str, list[str]] = {}
            for alias in node.names:
                targets.setdefault(homes[Name(origin, alias.name)], []).append(alias.name)
            new = [f"{indent}from {f} import {', '.join(sorted(targets[f]))}" for f in
                   sorted(targets)]  # fmt: skip
            end = node.end_lineno or node.lineno
            lines[node.lineno - 1 : end] = new
            return _siblings("\n".join(lines), homes)
    return "\n".join(lines)


def import_blocks(imports: Iterable[Import], files: set[str]) -> list[str]:
    """Write import statements in sections, sorted as linters expect.

    Examples
    --------
    >>> found = {Import("numpy", None, "np"), Import("pathlib", "Path", "Path")}
    >>> print(*import_blocks(found, set()), sep="|")
    from pathlib import Path|import numpy as np
    """
    sections: list[list[Import]] = [[], [], []]
    for item in imports:
        place = 0 if item.root in sys.stdlib_module_names else 2 if item.root in files else 1
        sections[place].append(item)
    return ["\n".join(_statements(section)) for section in sections if section]


def _statements(section: list[Import]) -> Iterator[str]:
    plain = sorted(
        {(i.module, i.bound) for i in section if i.name is None}, key=lambda p: p[0].lower()
    )
    for module, bound in plain:
        yield f"import {module}" + ("" if bound == module.partition(".")[0] or bound == module
                                    else f" as {bound}")  # fmt: skip
    members: dict[str, set[str]] = {}
    for item in section:
        if item.name is not None:
            name = item.name if item.bound == item.name else f"{item.name} as {item.bound}"
            members.setdefault(item.module, set()).add(name)
    for module in sorted(members, key=str.lower):
        names = sorted(members[module], key=_member_key)
        line = f"from {module} import {', '.join(names)}"
        if len(line) <= WIDTH:
            yield line
        else:
            yield "\n".join([f"from {module} import (", *(f"    {n}," for n in names), ")"])


def _member_key(name: str) -> tuple[int, str]:
    """Sort constants, then classes, then the rest, as linters do."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return kind, name
