"""Which trainings are compared, and what they are called."""

import dataclasses

import pytest

from spinloop.params.training import SettingParams
from spinloop.reporting.comparisons import pairs
from spinloop.reporting.results import load_settings


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["loop"], []),
        (["static", "loop"], [("static", "loop")]),
        (["loop", "static"], [("static", "loop")]),
        (["static", "loop", "paired"], [("static", "loop"), ("loop", "paired")]),
        (["static_3d", "loop", "paired"], [("static_3d", "paired"), ("loop", "paired")]),
        (["static", "paired"], [("static", "paired")]),
    ],
)
def test_trainings_that_differ_in_one_choice_are_compared(settings_named, names, expected):
    assert [(one.name, other.name) for one, other in pairs(settings_named(names))] == expected


def test_names_come_from_the_choices_and_not_from_the_key(settings_named):
    (loop,) = settings_named(["loop"])
    renamed = dataclasses.replace(loop, name="static")
    assert (renamed.label, renamed.phrase, renamed.kind) == (loop.label, loop.phrase, loop.kind)
    assert loop.label == "unpaired loop"


def test_trainings_of_equal_choices_keep_apart_by_their_keys(tmp_path):
    same = SettingParams(loop=True, use_3d=True)
    choices = {"one": same, "other": same, "third": SettingParams(loop=False, use_3d=False)}
    settings = load_settings(choices, [], [], tmp_path, tmp_path, tmp_path)
    assert [each.label for each in settings] == ["paired loop (one)", "paired loop (other)", "static fits"]
    assert len({each.color for each in settings}) == 3
