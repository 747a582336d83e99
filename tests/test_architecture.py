"""docs/architecture.md names packages, modules and functions that exist."""

import ast
import re

import pytest


@pytest.fixture(scope="module")
def page(repository):
    return (repository / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_every_name_on_the_page_exists(page, repository):
    source = repository / "src" / "spinloop"
    names = set(re.findall(r"`((?:[a-z_0-9]+[./])+[a-z_0-9]+)`", page))
    unknown = set()
    for name in names:
        parts = re.split(r"[./]", name)
        if (repository / name).exists() or not (source / parts[0]).is_dir():
            continue
        file, attribute = source.joinpath(*parts).with_suffix(".py"), None
        if not file.exists():
            file, attribute = source.joinpath(*parts[:-1]).with_suffix(".py"), parts[-1]
        if not file.exists():
            file = source.joinpath(*parts[:-1]) / "__init__.py"
        defined = {
            node.name
            for node in (ast.parse(file.read_text()).body if file.exists() else [])
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
        if not file.exists() or (attribute is not None and attribute not in defined):
            unknown.add(name)
    assert not unknown
    assert len(names) > 25


def test_every_package_is_on_the_page(page, repository):
    packages = {path.parent.name for path in (repository / "src" / "spinloop").glob("*/__init__.py")}
    assert packages <= set(re.findall(r"`([a-z]+)`", page))
