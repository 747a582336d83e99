"""Whatever body a user has: our file, or one in SMPL's own format with or without SPIN's regressors."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from spinloop.body.files import GENDERS, BodyFile, check_body
from spinloop.body.regressors import load_regressor
from spinloop.body.smpl import REGRESSOR_EXTRA, gender_of, read_smpl
from spinloop.errors import UserError
from spinloop.files import require_file
from spinloop.joints import EXTRA9, H36M17, MODEL49, MODEL49_FROM_SOURCE54, SMPL24, SOURCE54, index_map

REGRESSED_JOINTS = tuple(
    joint for joint, source in enumerate(MODEL49_FROM_SOURCE54) if SOURCE54[source] in EXTRA9
)
"""Joints of the 49 that SPIN's regressor makes from vertices."""

# The joints of SMPL's own tree that are nearest in meaning to SPIN's regressed ones.
_NEAREST = (
    "right_hip", "left_hip", "neck", "head", "pelvis", "spine3", "spine1", "head", "head",
)  # fmt: skip
_CURE = "name a body file, or SMPL's .pkl or .npz"


class UsersBody(NamedTuple):
    """A body to fit."""

    body: BodyFile
    has_regressed_joints: bool
    """Whether `REGRESSED_JOINTS` are SPIN's; else SMPL's nearest joints stand in their place."""


def load_users_body(path: Path) -> UsersBody:
    """Read any SMPL-format body; nothing in a pickle is run.

    SPIN's regressor is taken from the file itself, or from `J_regressor_extra.npy` beside it.

    Args:
        path: a file of `prepare_body` or `convert-body`, or SMPL's `.pkl` or `.npz`.

    Raises:
        UserError: the file is absent, damaged, refused, or an array is missing or wrong; the key is named.
    """
    require_file(path, _CURE)
    arrays = {key: np.asarray(value) for key, value in read_smpl(path).items()}
    beside = path.parent / REGRESSOR_EXTRA
    has_own = "J_regressor_extra" in arrays
    if not has_own and beside.is_file():
        template = arrays["v_template"].astype(np.float64)
        joints = arrays["J_regressor"].astype(np.float64) @ template
        arrays["J_regressor_extra"] = load_regressor(beside, EXTRA9, template, joints)
    elif not has_own:
        arrays["J_regressor_extra"] = arrays["J_regressor"][list(index_map(SMPL24, _NEAREST))]
    # Of the body file's other arrays a fit uses none.
    arrays["J_regressor_h36m"] = arrays["J_regressor"][: len(H36M17)]
    arrays["part_labels"] = np.ones(len(arrays["f"]), np.uint8)
    arrays["gender"] = np.array(gender_of(path) or GENDERS[0])
    return UsersBody(check_body(path, arrays), has_own or beside.is_file())


def refuse_regressed_joints(path: Path, found: UsersBody, seen: Bool[np.ndarray, "N 49"]) -> None:
    """Refuse to fit joints that the body does not have.

    Args:
        path: of the body, for the message.
        found: the body.
        seen: which joints each person is to be fitted to.

    Raises:
        UserError: a keypoint is of a joint that only SPIN's regressor makes, and there is none.
    """
    wanted = [joint for joint in REGRESSED_JOINTS if seen[:, joint].any()]
    if wanted and not found.has_regressed_joints:
        raise UserError(
            f"{path}: no joint {MODEL49[wanted[0]]!r}, which the keypoints have: put SPIN's "
            f"{REGRESSOR_EXTRA} beside the body, or set the confidence of keypoints 27, 28, 37 to 43 to 0"
        )
