"""Anny's bones and weights as SMPL's."""

import numpy as np
import pytest

from spinloop.freebody.rigging import joint_of_bone, merge_weights


@pytest.mark.parametrize(
    ("bone", "joint"),
    [
        ("root", "pelvis"),
        ("upperleg02.L", "left_hip"),
        ("toe5-3.R", "right_foot"),
        ("spine03", "spine2"),
        ("finger1-2.L", "left_wrist"),
        ("finger4-2.R", "right_hand"),
        ("eye.L", "head"),
        ("shoulder01.R", "right_collar"),
    ],
)
def test_bones_merge_into_joints(bone, joint):
    assert joint_of_bone(bone) == joint


def test_merged_weights_keep_four_and_break_ties_symmetrically():
    bones = ("root", "upperleg01.L", "upperleg01.R", "spine04", "spine03", "spine02")
    weights = np.array([[0.3, 0.1, 0.1, 0.2, 0.15, 0.15]])
    merged = merge_weights(weights, bones, np.array([0]))
    assert (merged > 0).sum() == 4
    assert merged.sum() == pytest.approx(1.0)
    assert merged[0, 1] == merged[0, 2] == 0.0
