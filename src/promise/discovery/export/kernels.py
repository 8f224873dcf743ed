"""Take from Promise's kernels exactly the functions that one model needs, as source text."""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from promise.discovery.export.specialise import specialise
from promise.errors import ArtifactError

PACKAGE = "promise.kernels"
COMPILED = "compiled"
"""The kernel module by which others are compiled."""


@dataclass(frozen=True, order=True)
class Name:
    """A definition's address: the kernel module and the name in it."""

    module: str
    name: str


@dataclass(frozen=True, order=True)
class Import:
    """One imported name from outside the kernels, as it is bound in the importing file."""

    module: str
    name: str | None
    bound: str

    @property
    def root(self) -> str:
        """The top-level package that must be installed."""
        return self.module.partition(".")[0]


@dataclass(frozen=True)
class Definition:
    """A function, class or constant of a kernel, with everything it refers to."""

    address: Name
    line: int
    source: str
    needs: frozenset[Name]
    imports: frozenset[Import]
    is_function: bool


@dataclass(frozen=True)
class Library:
    """Kernel sources, taken apart as far as somebody asks.

    Parameters
    ----------
    sources
        Kernel module name to its source text (see `kernel_sources`).
    keep
        For functions that dispatch on a word: the words that occur (see `specialise`).
    themes
        Kernel module to the name of the file that it shares with others in an export.
    """

    sources: Mapping[str, str]
    keep: Mapping[Name, frozenset[str]] = field(default_factory=dict)
    themes: Mapping[str, str] = field(default_factory=dict)
    _modules: dict[str, _Module] = field(default_factory=dict)
    _definitions: dict[Name, Definition] = field(default_factory=dict)

    def theme(self, definition: Definition) -> str:
        """Return the file that a definition belongs to."""
        module = definition.address.module
        return self.themes.get(module, module)

    def docstring(self, module: str) -> str:
        """Return what a kernel module says of itself."""
        return self._module(module).docstring

    def closure(self, wanted: Iterable[Name]) -> dict[Name, Definition]:
        """Collect definitions and all that they refer to, transitively.

        Raises
        ------
        ArtifactError
            When a kernel lacks the function, or is written in a way that cannot be taken apart.

        Examples
        --------
        >>> text = "def double(x):\\n    return TWO * x\\n\\n\\nTWO = 2\\nTHREE = 3\\n"
        >>> found = Library({"maths": text}).closure([Name("maths", "double")])
        >>> sorted(address.name for address in found)
        ['TWO', 'double']
        """
        found: dict[Name, Definition] = {}
        queue = list(wanted)
        while queue:
            address = queue.pop()
            if address not in found:
                found[address] = self.definition(address)
                queue.extend(found[address].needs)
        return found

    def definition(self, address: Name) -> Definition:
        """Return one definition, specialised where `keep` says so."""
        if address not in self._definitions:
            self._definitions[address] = self._define(address)
        return self._definitions[address]

    def _define(self, address: Name) -> Definition:
        module = self._module(address.module)
        if address.name not in module.spans:
            raise ArtifactError(
                f"kernel {address.module!r} has no {address.name!r}; "
                f"it has {', '.join(sorted(module.spans))}."
            )
        start, end, is_function = module.spans[address.name]
        source = "\n".join(module.lines[start - 1 : end])
        if address in self.keep:
            source = specialise(source, self.keep[address])
        names, inner = references(source)
        names.discard(address.name)
        bound = [module.bound[name] for name in names if name in module.bound]
        return Definition(
            address=address,
            line=start,
            source=source,
            needs=frozenset(
                {Name(address.module, name) for name in names if name in module.spans}
                | {item for item in [*bound, *inner] if isinstance(item, Name)}
            ),
            imports=frozenset(item for item in bound if isinstance(item, Import)),
            is_function=is_function,
        )

    def _module(self, name: str) -> _Module:
        if name not in self.sources:
            raise ArtifactError(f"there is no kernel module {name!r} to export.")
        if name not in self._modules:
            text = self.sources[name]
            tree = ast.parse(text)
            lines = text.splitlines()
            self._modules[name] = _Module(
                docstring=ast.get_docstring(tree) or f"The kernel `{name}`.",
                lines=lines,
                bound=dict(_imports(name, tree.body)),
                spans=dict(_spans(name, tree, lines)),
            )
        return self._modules[name]


@dataclass(frozen=True)
class _Module:
    """A kernel module: what it imports, and where its definitions begin and end."""

    docstring: str
    lines: list[str]
    bound: dict[str, Name | Import]
    spans: dict[str, tuple[int, int, bool]]


@cache
def kernel_sources() -> Mapping[str, str]:
    """Return the source text of every kernel module that an export may carry, by its name."""
    import promise.kernels

    folder = Path(promise.kernels.__file__).parent
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))}
    return portable({name: text for name, text in texts.items() if name != "__init__"})


def portable(sources: Mapping[str, str]) -> dict[str, str]:
    """Leave out the kernels that are compiled to machine code, and all that build on them.

    They serve models that are never exported, and an export that carried them would need numba.
    A kernel is compiled if it imports `promise.kernels.compiled`.

    Examples
    --------
    >>> fast = "from promise.kernels.compiled import compiled"
    >>> above = "from promise.kernels.fast import loop"
    >>> list(portable({"above": above, "compiled": "", "fast": fast, "plain": "TWO = 2"}))
    ['plain']
    """
    needs = {name: _kernels_used(name, text) for name, text in sources.items()}
    left_out = {COMPILED}
    while more := {name for name, used in needs.items() if used & left_out} - left_out:
        left_out |= more
    return {name: text for name, text in sources.items() if name not in left_out}


def _kernels_used(module: str, text: str) -> set[str]:
    """Return the kernel modules that one imports, also inside its functions."""
    found = _imports(module, ast.walk(ast.parse(text)))
    return {item.module for _, item in found if isinstance(item, Name)}


def _imports(module: str, body: Iterable[ast.AST]) -> Iterator[tuple[str, Name | Import]]:
    """Yield what each import statement binds."""
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.partition(".")[0]
                yield bound, Import(alias.name, None, bound)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            for alias in node.names:
                bound = alias.asname or alias.name
                if source.startswith(PACKAGE + "."):
                    if alias.asname not in (None, alias.name):
                        raise ArtifactError(f"kernel {module!r} renames {alias.name!r} on import.")
                    yield bound, Name(source.removeprefix(PACKAGE + "."), alias.name)
                elif source.partition(".")[0] == "promise":
                    raise ArtifactError(f"kernel {module!r} imports {source}.{alias.name}.")
                elif source != "__future__":
                    yield bound, Import(source, alias.name, bound)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from _imports(module, node.body)


def _spans(
    module: str, tree: ast.Module, lines: list[str]
) -> Iterator[tuple[str, tuple[int, int, bool]]]:
    """Yield (name, (first line, last line, whether no constant)) of each definition."""
    for index, node in enumerate(tree.body):
        start = node.lineno
        end = node.end_lineno or start
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            start = min([start, *(d.lineno for d in node.decorator_list)])
            name, is_function = node.name, True
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if len(targets) != 1 or not isinstance(targets[0], ast.Name):
                raise ArtifactError(f"kernel {module!r}, line {start}: not a plain assignment.")
            name, is_function = targets[0].id, False
            after = tree.body[index + 1] if index + 1 < len(tree.body) else None
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                end = after.end_lineno or end
        elif isinstance(node, ast.Import | ast.ImportFrom | ast.Expr | ast.If):
            continue
        else:
            where = f"kernel {module!r}, line {start}"
            raise ArtifactError(f"{where}: only functions, classes and constants.")
        while start > 1 and lines[start - 2].startswith("#"):
            start -= 1
        yield name, (start, end, is_function)


def references(source: str) -> tuple[set[str], set[Name | Import]]:
    """Return the global names a definition uses, and what it imports inside itself."""
    tree = ast.parse(source)
    names = set(_global_names(symtable.symtable(source, "kernel", "exec")))
    inner: set[Name | Import] = set()
    for node in ast.walk(tree):
        # Annotations are no part of the symbol table once they are postponed.
        annotation = getattr(node, "annotation", None) or getattr(node, "returns", None)
        if isinstance(annotation, ast.expr):
            names.update(n.id for n in ast.walk(annotation) if isinstance(n, ast.Name))
        if isinstance(node, ast.Import | ast.ImportFrom):
            inner.update(item for _, item in _imports("kernel", [node]))
    return names, inner


def _global_names(table: symtable.SymbolTable) -> Iterator[str]:
    """Yield the names that a scope and the scopes inside it look up in the module."""
    for symbol in table.get_symbols():
        if table.get_type() == "module" or symbol.is_global():
            yield symbol.get_name()
    for child in table.get_children():
        yield from _global_names(child)
