"""Sections of the parameter file: what is accepted, and what each fault is told as."""

import re

import pytest

from spinloop.errors import UserError
from spinloop.params.loader import Section, load_section


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
        ("a: [\n", "not valid YAML"),
    ],
)
def test_each_fault_is_one_line_with_file_and_key(write, text, message):
    path = write(text)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        load_section(path, "solver", Solver)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_faults_are_named_at_once(write):
    with pytest.raises(UserError, match=r"solver\.n_iterations.*; .*solver\.extra"):
        load_section(write("solver: {step_size: 1.0, extra: 2}\n"), "solver", Solver)


def test_an_absent_file_names_the_cure(tmp_path):
    with pytest.raises(UserError, match="--params"):
        load_section(tmp_path / "params.yaml", "solver", Solver)


def test_a_section_cannot_be_changed(write):
    section = load_section(write(GOOD), "solver", Solver)
    with pytest.raises(ValueError, match="frozen"):
        section.step_size = 1.0
