"""One digest for the code of each command: the modules that it reaches by imports, and their assets."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path

from spinloop.files import sha256_of

ROOT = "spinloop"


def digests_of_commands(source: Path) -> dict[str, str]:
    """Digest the code of every command.

    Comments, docstrings, help of options and the layout of lines do not count. Every release of Python gives
    the same digest.

    Args:
        source: folder of the package (`src/spinloop`).

    Returns:
        Name of the command (`train`) → 16 hexadecimal digits, sorted by name.
    """
    modules = read_modules(source)
    assets = {path.name: sha256_of(path) for path in sorted((source / "assets").glob("*")) if path.is_file()}
    prefix = f"{ROOT}.stages."
    commands = sorted(name for name in modules if name.startswith(prefix))
    return {name.removeprefix(prefix): _digest(reached(name, modules), modules, assets) for name in commands}


@cache
def digest_of_command(command: str) -> str:
    """The digest of one command of the package that runs."""
    return digests_of_commands(Path(__file__).parents[1])[command]


def read_modules(source: Path) -> dict[str, "Module"]:
    """The package's modules by their full names (`spinloop.body.model`)."""
    modules = {}
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join((ROOT, *(parts[:-1] if is_package else parts)))
        modules[name] = Module(name, is_package, ast.parse(path.read_text(encoding="utf-8"), str(path)))
    return modules


def reached(start: str, modules: Mapping[str, "Module"]) -> list[str]:
    """Names of a module and of all that it imports, directly or not, of the package's own."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in modules and name not in found:
            found.add(name)
            waiting += modules[name].imports
    return sorted(found)


class Module:
    """A parsed module."""

    def __init__(self, name: str, is_package: bool, tree: ast.Module) -> None:
        self._package = name if is_package else name.rpartition(".")[0]
        self._tree = tree

    @cached_property
    def imports(self) -> set[str]:
        """Names that it imports anywhere, inside functions too; not all of them are modules."""
        names: set[str] = set()
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                parents = self._package.split(".")[: 1 - node.level or None] if node.level else []
                base = ".".join([*parents, *filter(None, [node.module])])
                names.update((base, *(f"{base}.{alias.name}" for alias in node.names)))
        return names

    @cached_property
    def strings(self) -> set[str]:
        """String literals, among them the names of assets."""
        nodes = (node for node in ast.walk(self._tree) if isinstance(node, ast.Constant))
        return {node.value for node in nodes if isinstance(node.value, str)}

    @cached_property
    def digest(self) -> str:
        """Of the syntax tree without docstrings and help."""
        return sha256_of("".join(_flat(self._tree)).encode())


def _digest(names: list[str], modules: Mapping[str, Module], assets: Mapping[str, str]) -> str:
    """Of some modules, the packages around them, which Python runs first, and the assets that they name."""
    parts = (name.split(".") for name in names)
    names = sorted({".".join(words[: i + 1]) for words in parts for i in range(len(words))})
    strings = set[str]().union(*(modules[name].strings for name in names))
    lines = [f"{name} {modules[name].digest}" for name in names]
    lines += [f"{name} {digest}" for name, digest in assets.items() if name in strings]
    return sha256_of("\n".join(lines).encode())


def _flat(node: object) -> Iterator[str]:
    """A syntax tree as text; empty fields, of which later Pythons have more, are left out."""
    if isinstance(node, ast.AST):
        yield f"{type(node).__name__}("
        for name, value in ast.iter_fields(node):
            if value is not None and value != []:
                yield f"{name}="
                yield from _flat(value)
        yield ")"
    elif isinstance(node, list):
        for item in node:
            if not _is_prose(item):
                yield from _flat(item)
    else:
        yield repr(node)


def _is_prose(node: object) -> bool:
    """Whether a node is a docstring or `help=…`."""
    is_string = isinstance(node, ast.Expr | ast.keyword) and (
        isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    )
    return is_string and getattr(node, "arg", "help") == "help"
