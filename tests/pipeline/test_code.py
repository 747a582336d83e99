"""The digest of a command follows its code and no other."""

import shutil
from pathlib import Path

import grimp
import pytest

from spinloop.pipeline.code import digests_of_commands, reached, read_modules

ONE = '''"""One."""

from ..room import inner


def run(x=Option(help="a")):
    """Do."""
    return inner
'''
SOURCES = {
    "__init__.py": "",
    "stages/__init__.py": "",
    "stages/one.py": ONE,
    "stages/two.py": "def run():\n    from ..room.late import name\n    return name\n",
    "stages/three.py": "import spinloop.alone\n",
    "room/__init__.py": "",
    "room/inner.py": 'x: int = 1  # a number\nHALF = f"{x!r:>3} of {{two}}"\n',
    "room/late.py": 'name = ("assets", "page.html")\n',
    "alone.py": "from . import room\n",
    "assets/page.html": "page",
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def changed(source: Path, name: str, text: str) -> set[str]:
    before = digests_of_commands(source)
    (source / name).write_text(text)
    after = digests_of_commands(source)
    assert list(after) == sorted(before)
    return {command for command in after if after[command] != before[command]}


@pytest.mark.parametrize(
    ("name", "text", "commands"),
    [
        ("room/inner.py", "x: int = 2\n", {"one"}),
        ("room/late.py", "name = 1\n", {"two"}),
        ("room/__init__.py", "import warnings\n", {"one", "two", "three"}),
        ("alone.py", "from .room import inner\n", {"three"}),
        ("stages/one.py", "def run():\n    return 1\n", {"one"}),
        ("assets/page.html", "another page", {"two"}),
        ("assets/other.html", "of nobody", set()),
        ("new.py", "y = 1\n", set()),
    ],
)
def test_an_edit_changes_the_digests_of_the_commands_that_reach_it(source, name, text, commands):
    assert changed(source, name, text) == commands


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""One."""', '"""Another line."""'),
        ('    """Do."""\n', ""),
        ('help="a"', "help='more'"),
        ("return inner", "return (  # a comment\n        inner\n    )"),
        ("\n\n\n", "\n"),
    ],
)
def test_prose_and_layout_do_not_count(source, old, new):
    assert changed(source, "stages/one.py", ONE.replace(old, new)) == set()


def test_a_string_that_is_no_docstring_counts(source):
    assert changed(source, "room/late.py", SOURCES["room/late.py"].replace("html", "htm")) == {"two"}


def test_a_module_that_is_new_is_followed_when_it_is_imported(source):
    (source / "room/more.py").write_text("z = 1\n")
    assert changed(source, "alone.py", "def f():\n    from spinloop.room.more import z\n") == {"three"}
    assert changed(source, "room/more.py", "z = 2\n") == {"three"}


def test_a_digest_stays_the_same_on_every_machine_and_python(source):
    """A clone on another machine has nothing to do."""
    assert digests_of_commands(source)["one"] == "44c595daa802b289"


def test_the_modules_that_a_command_reaches_are_those_of_the_import_graph(repository):
    modules = read_modules(repository / "src/spinloop")
    graph = grimp.build_graph("spinloop", cache_dir=None)
    assert modules.keys() == graph.modules
    for name in modules:
        if name.startswith("spinloop.stages."):
            ours, theirs = set(reached(name, modules)), graph.find_upstream_modules(name) | {name}
            assert ours >= theirs, name
            # `from package import module` runs the package, too.
            assert ours - theirs <= {module.rpartition(".")[0] for module in ours}, name


def test_an_edit_of_the_real_code_concerns_what_imports_it(repository, tmp_path):
    source = Path(shutil.copytree(repository / "src/spinloop", tmp_path / "spinloop"))
    path = source / "stages/train.py"
    assert changed(source, "stages/train.py", path.read_text() + "\n_EDITED = 1\n") <= {
        "train",
        "experiment",
        "_trial",
    }
    path = source / "errors.py"
    assert changed(source, "errors.py", path.read_text() + "\n_EDITED = 1\n") >= {"train", "report", "merge"}
