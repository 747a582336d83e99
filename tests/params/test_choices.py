"""Words of the command line that are keys of a section: a misspelt one is told with those that there are."""

import re

import pytest

from spinloop.errors import UserError
from spinloop.params.evaluation import EvaluateParams
from spinloop.params.loader import load_section, require_choice


def test_a_name_that_is_no_key_is_told_with_the_keys(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("settings: {static: {}, loop: {}}\n")
    require_choice(path, "settings", "loop", "--setting")
    message = f"--setting lop: not in {path}: settings; give one of static, loop"
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        require_choice(path, "settings", "lop", "--setting")


def test_a_split_without_a_protocol_is_told_with_those_that_have_one(repository):
    section = load_section(repository / "params.yaml", "evaluate", EvaluateParams)
    message = r"evaluate\.splits\.pw3d_tset: missing; give one of .*pw3d_test.*, or add it"
    with pytest.raises(UserError, match=message):
        section.protocol_of("pw3d_tset")
