"""Results of trainings, read from the files of earlier stages."""

import dataclasses

from spinloop.params.training import SettingParams
from spinloop.reporting.results import load_trainings


def test_names_come_from_the_choices_and_not_from_the_key(trainings_named):
    (loop,) = trainings_named(["loop"])
    renamed = dataclasses.replace(loop, name="static")
    assert (renamed.label, renamed.phrase, renamed.kind) == (loop.label, loop.phrase, loop.kind)
    assert loop.label == "unpaired loop"


def test_trainings_of_equal_choices_keep_apart_by_their_keys(tmp_path):
    same = SettingParams(loop=True, use_3d=True)
    choices = {"one": same, "other": same, "third": SettingParams(loop=False, use_3d=False)}
    trainings = load_trainings(choices, [], [], tmp_path, tmp_path, tmp_path)
    assert [each.label for each in trainings] == ["paired loop (one)", "paired loop (other)", "static fits"]
    assert len({each.color for each in trainings}) == 3
