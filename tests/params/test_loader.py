"""Sections of the parameter file: what is accepted, and the message of each fault."""

import json
import re

import pytest

from spinloop.errors import UserError
from spinloop.params.datasets import SourcesParams
from spinloop.params.loader import Section, load_section, require_choice


class Solver(Section):
    """A section with one number of each kind."""

    step_size: float
    """Metres."""
    n_iterations: int
    """Count."""


GOOD = "solver:\n  step_size: 5e-5\n  n_iterations: 3\n"


@pytest.fixture
def write(tmp_path):
    def _write(text):
        path = tmp_path / "params.yaml"
        path.write_text(text)
        return path

    return _write


def test_exponents_without_a_point_are_numbers(write):
    assert load_section(write(GOOD), "solver", Solver).step_size == 5e-5


def test_a_dotted_key_names_a_nested_section(write):
    nested = "outer:\n" + "".join(f"  {line}\n" for line in GOOD.splitlines())
    assert load_section(write(nested), "outer.solver", Solver).n_iterations == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "  speed: 1\n", "solver.speed: unknown key; remove it"),
        ("solver:\n  step_size: 1.0\n", "solver.n_iterations: missing"),
        (GOOD.replace("3", "'3'"), "solver.n_iterations: input should be a valid integer, got '3'"),
        (GOOD.replace("3", "3.5"), "solver.n_iterations: input should be"),
        ("other: {}\n", "solver: section missing"),
        ("- a\n", "expected sections"),
        ("a: [\n", "line 2: not valid YAML"),
        ("a:\n  b: 1\n  b: 2\n", 'line 3: not valid YAML (found duplicate key "b"'),
    ],
)
def test_each_fault_is_one_line_with_file_and_key(write, text, message):
    path = write(text)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        load_section(path, "solver", Solver)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


PHOTOS = {"reader": "photos", "raw": "data", "box_factor": 1.2, "min_limb_joints": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box_factor": 0.0}, "sources.mine.box_factor: input should be greater than 0, got 0.0"),
        ({"openpose": None}, "sources.mine.openpose: unknown key"),
        ({"raw": ...}, "sources.mine.raw: missing; add it"),
        ({"reader": ...}, "sources.mine.reader: missing; add it"),
        ({"reader": "fotos"}, "sources.mine.reader: expected one of 'coco', .*'photos'.*, got 'fotos'"),
    ],
)
def test_a_fault_of_one_of_several_formats_is_named_by_the_users_own_keys(write, change, message):
    source = {key: value for key, value in {**PHOTOS, **change}.items() if value is not ...}
    with pytest.raises(UserError, match=rf"params\.yaml: {message}"):
        load_section(write(json.dumps({"sources": {"mine": source}})), "sources", SourcesParams)


def test_a_value_in_place_of_a_section_is_refused(write):
    with pytest.raises(UserError, match="solver: expected keys with values, got None"):
        load_section(write("solver: null\n"), "solver", Solver)


def test_all_faults_are_named_at_once(write):
    with pytest.raises(UserError, match=r"solver\.n_iterations.*; .*solver\.extra"):
        load_section(write("solver: {step_size: 1.0, extra: 2}\n"), "solver", Solver)


def test_an_absent_file_names_the_fix(tmp_path):
    with pytest.raises(UserError, match="--params"):
        load_section(tmp_path / "params.yaml", "solver", Solver)


def test_a_section_cannot_be_changed(write):
    section = load_section(write(GOOD), "solver", Solver)
    with pytest.raises(ValueError, match="frozen"):
        section.step_size = 1.0


def test_a_value_that_is_no_key_is_refused_with_the_keys(write):
    path = write("settings: {static: {}, loop: {}}\n")
    require_choice(path, "settings", "loop", "--setting")
    message = f"--setting lop: not in {path}: settings; give one of static, loop"
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        require_choice(path, "settings", "lop", "--setting")
