import pytest

from spinloop import joints
from spinloop.joints import COMMON24, H36M17, MODEL49, OPENPOSE25, SMPL24, flip_permutation, index_map

SETS = {
    name: value
    for name, value in vars(joints).items()
    if name.isupper() and isinstance(value, tuple) and all(isinstance(item, str) for item in value)
}


@pytest.mark.parametrize("name", sorted(SETS))
def test_names_are_unique_and_the_sets_name_tells_the_count(name):
    assert len(set(SETS[name])) == len(SETS[name]) == int("".join(c for c in name if c.isdigit())[-2:])


def test_the_documentation_has_the_sets_of_users_files_in_their_order(repository):
    rows = [
        [cell.strip().replace("`", "") for cell in line.split("|")[1:-1]]
        for line in (repository / "docs/conventions.md").read_text().splitlines()
        if line.startswith("|") and line.split("|")[1].strip().isdecimal()
    ]
    protocol = [f"{name} ({row})" for name, row in zip(joints.PROTOCOL17, joints.H36M_TO_J17, strict=True)]
    columns = [[str(number) for number in range(25)], SMPL24, OPENPOSE25, COMMON24, H36M17, protocol]
    for found, expected in zip(zip(*rows, strict=True), columns, strict=True):
        assert [cell for cell in found if cell] == list(expected)


def test_what_the_documentation_says_of_single_joints_is_so(repository):
    page = " ".join((repository / "docs/conventions.md").read_text().split())
    assert f"The fit leaves {', '.join(map(str, joints.FIT_IGNORED))} out" in page
    numbers = [MODEL49.index(name) for name in ("head_h36m", "head_top_lsp")]
    assert "(`head_h36m`, {} of the 49), not LSP's top of the head ({})".format(*numbers) in page
    assert tuple(f"op_{name}" for name in OPENPOSE25) + COMMON24 == MODEL49


@pytest.mark.parametrize("name", sorted(SETS))
def test_a_flip_is_its_own_inverse_and_keeps_the_midline(name):
    flip = flip_permutation(SETS[name])
    assert [flip[flip[i]] for i in range(len(flip))] == list(range(len(flip)))
    for joint, other in enumerate(flip):
        has_side = "left" in SETS[name][joint] or "right" in SETS[name][joint]
        assert (joint != other) == has_side


# SPIN's index lists, as they stand in its constants.
def test_flips_equal_the_reference():
    assert joints.SMPL24_FLIP == (
        0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22,
    )  # fmt: skip
    common = (5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13, 14, 15, 16, 17, 18, 19, 21, 20, 23, 22)
    openpose = (0, 1, 5, 6, 7, 2, 3, 4, 8, 12, 13, 14, 9, 10, 11, 16, 15, 18, 17, 22, 23, 24, 19, 20, 21)
    assert joints.COMMON24_FLIP == common
    assert joints.MODEL49_FLIP == openpose + tuple(25 + joint for joint in common)


def test_sources_of_the_49_equal_the_reference():
    assert joints.MODEL49_FROM_SOURCE54 == (
        24, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34,
        8, 5, 45, 46, 4, 7, 21, 19, 17, 16, 18, 20, 47, 48, 49, 50, 51, 52, 53, 24, 26, 25, 28, 27,
    )  # fmt: skip


def test_protocol_selectors_equal_the_reference():
    assert joints.H36M_TO_J17 == (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10, 0, 7, 9)
    assert joints.COMMON24_TO_J17 == (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 18, 14, 16, 17)
    assert joints.H36M_TO_J14 == joints.H36M_TO_J17[:14]
    assert joints.COMMON24_TO_J14 == joints.COMMON24_TO_J17[:14]


def test_fitting_selectors_equal_the_reference():
    assert set(joints.FIT_IGNORED) == {1, 9, 12, 27, 28}
    assert joints.CAMERA_JOINTS_OPENPOSE == (9, 12, 2, 5)
    assert joints.CAMERA_JOINTS_ANNOTATED == (27, 28, 33, 34)


def test_parents_come_before_their_children():
    assert joints.SMPL_PARENTS[0] == -1
    assert all(parent < child for child, parent in enumerate(joints.SMPL_PARENTS))


def test_parents_flip_with_the_joints():
    flip = joints.SMPL24_FLIP
    for child, parent in enumerate(joints.SMPL_PARENTS):
        if parent >= 0:
            assert joints.SMPL_PARENTS[flip[child]] == flip[parent]


def test_index_map_selects_by_name_and_refuses_what_is_not_there():
    assert index_map(SMPL24, ["head", "pelvis"]) == (15, 0)
    with pytest.raises(ValueError, match="tail"):
        index_map(SMPL24, ["tail"])


def test_the_49_are_25_detected_and_24_annotated():
    assert len(OPENPOSE25) == joints.N_OPENPOSE == 25
    assert MODEL49[25:] == COMMON24
    assert [name.removeprefix("op_") for name in MODEL49[:25]] == list(OPENPOSE25)


def test_left_leg_comes_first_in_the_regressor_of_human36m():
    assert H36M17.index("left_knee") < H36M17.index("right_knee")
