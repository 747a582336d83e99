"""Real SMPL files: finding, reading, and converting them with SPIN's regressors to body files."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from spinloop.body.files import GENDERS, N_VERTICES, BodyFile, check_body
from spinloop.body.regressors import load_part_labels, load_regressor
from spinloop.errors import UserError
from spinloop.files import read_npz, require_file
from spinloop.files.pickles import load_arrays
from spinloop.joints import EXTRA9, H36M17, MODEL49, MODEL49_FROM_SOURCE54, SMPL24, SOURCE54, index_map

SMPL_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
REGRESSOR_EXTRA = "J_regressor_extra.npy"
REGRESSOR_H36M = "J_regressor_h36m.npy"
PART_TEXTURE = "vertex_texture.npy"
PART_CUBE = "cube_parts.npy"
SPIN_FILES = (REGRESSOR_EXTRA, REGRESSOR_H36M, PART_TEXTURE, PART_CUBE)

REGRESSED_JOINTS = tuple(
    joint for joint, source in enumerate(MODEL49_FROM_SOURCE54) if SOURCE54[source] in EXTRA9
)
"""Those of the 49 joints that SPIN's regressor computes from vertices."""

# SMPL's joint that is nearest in meaning to each of `joints.EXTRA9`.
_NEAREST = (
    "right_hip", "left_hip", "neck", "head", "pelvis", "spine3", "spine1", "head", "head",
)  # fmt: skip

_FIX = "download it again from smpl.is.tue.mpg.de or smplify.is.tue.mpg.de"
_FIX_NPZ = "save its arrays alone, e.g. np.savez(path, J_regressor=matrix.toarray(), …), or name SMPL's .pkl"
_READ = (*SMPL_KEYS, "J_regressor_extra")
_BY_VERTICES = {10475: "SMPL-X", 778: "MANO", 5023: "FLAME"}
_BY_JOINTS = {52: "SMPL-H", 55: "SMPL-X", 51: "SMPL-H"}
_LETTERS = {
    "neutral": "neutral",
    "n": "neutral",
    "f": "female",
    "female": "female",
    "m": "male",
    "male": "male",
}
# SMPL_MALE.pkl, as smplx requires; basicmodel_m_lbs_10_207_0_v1.1.0.pkl, basicModel_f_lbs_…, as published.
_NAME = re.compile(
    r"(?:smpl_(?P<long>neutral|female|male)|basicmodel_(?P<short>neutral|n|f|m)_lbs_.*)\.(?:pkl|npz)",
    re.IGNORECASE,
)


def gender_of(path: Path) -> str | None:
    """The gender in the name of an SMPL file; None if there is none."""
    match = _NAME.fullmatch(path.name)
    return _LETTERS[(match["long"] or match["short"]).lower()] if match else None


def find_smpl(folder: Path) -> dict[str, Path]:
    """SMPL files under a folder by gender; `SMPL_<GENDER>` takes precedence over the published names.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name the folder of the SMPL files")
    found: dict[str, Path] = {}
    named = [(path, gender_of(path)) for path in sorted(folder.rglob("*")) if path.is_file()]
    for path, gender in sorted(named, key=lambda pair: not pair[0].name.lower().startswith("smpl_")):
        if gender is not None:
            found.setdefault(gender, path)
    return found


def read_smpl(path: Path) -> dict[str, Any]:
    """The arrays of an SMPL file by its own keys, as dense numpy arrays; nothing in a pickle is run.

    Args:
        path: `.pkl` as published (chumpy or numpy arrays) or `.npz`.

    Raises:
        UserError: the file is absent or damaged, names a class that is not an array, or lacks a key.
    """
    # Of files that `np.savez` wrote from a dictionary, only these keys are opened; others may be objects.
    arrays: dict[str, Any] = read_npz(path, _FIX_NPZ, _READ) if path.suffix == ".npz" else load_arrays(path)
    if path.suffix == ".npz":
        with suppress(UserError):  # a gender that is no word is as if it were not there
            arrays |= read_npz(path, _FIX_NPZ, ("gender",))
    _check_kind(path, arrays)
    for key in SMPL_KEYS:
        if not isinstance(arrays.get(key), np.ndarray):
            raise UserError(f"{path}: {key}: missing or not an array; is this an SMPL file?")
    return arrays


def _check_kind(path: Path, arrays: Mapping[str, Any]) -> None:
    """Name the other models whose files look alike.

    Raises:
        UserError: it is one of them.
    """
    shape, weights = (getattr(arrays.get(key), "shape", ()) for key in ("v_template", "weights"))
    kind = _BY_VERTICES.get(shape[0] if len(shape) == 2 else 0)
    if shape[:1] == (N_VERTICES,) and len(weights) == 2:
        kind = _BY_JOINTS.get(weights[1])
    if kind is not None:
        raise UserError(
            f"{path}: this is a file of {kind}, another model than SMPL; get SMPL_NEUTRAL.pkl (SMPLify) or "
            "SMPL_MALE.pkl and SMPL_FEMALE.pkl from smpl.is.tue.mpg.de"
        )
    if shape and shape != (N_VERTICES, 3):
        raise UserError(
            f"{path}: v_template: expected shape ({N_VERTICES}, 3), found {shape}; SMPL-H, SMPL-X and MANO "
            "files are other models"
        )


def convert_smpl(path: Path, gender: str | None, regressors: Path) -> BodyFile:
    """A body file from an SMPL file and the folder of SPIN's regressors.

    Args:
        path: the SMPL file.
        gender: one of `files.GENDERS`; None reads it from the file or its name.
        regressors: folder with `J_regressor_extra.npy`, `J_regressor_h36m.npy`, `vertex_texture.npy` and
            `cube_parts.npy`.

    Raises:
        UserError: a file is absent or damaged, has the wrong shape or order of rows, or the gender is
            unknown or contradicts the file.
    """
    arrays, template, joints = _converted(path, gender)
    added = {
        "J_regressor_extra": load_regressor(regressors / REGRESSOR_EXTRA, EXTRA9, template, joints),
        "J_regressor_h36m": load_regressor(regressors / REGRESSOR_H36M, H36M17, template, joints),
        "part_labels": load_part_labels(regressors / PART_TEXTURE, regressors / PART_CUBE, len(arrays["f"])),
    }
    return check_body(path, arrays | added)


def convert_lone(path: Path, gender: str | None, regressors: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays of a body file without those of SPIN's files that are absent.

    Args:
        path: as in `convert_smpl`.
        gender: as in `convert_smpl`.
        regressors: folder in which SPIN's files are looked for.

    Returns:
        Checked arrays by the keys of the body file, and the absent files of `SPIN_FILES`.

    Raises:
        UserError: as `convert_smpl`, but not if one of SPIN's files is absent.
    """
    arrays, template, joints = _converted(path, gender)
    absent = [name for name in SPIN_FILES if not (regressors / name).is_file()]
    known: dict[str, np.ndarray] = {}
    for key, name, rows in (
        ("J_regressor_extra", REGRESSOR_EXTRA, EXTRA9), ("J_regressor_h36m", REGRESSOR_H36M, H36M17)
    ):  # fmt: skip
        if name not in absent:
            known[key] = load_regressor(regressors / name, rows, template, joints)
    if PART_TEXTURE not in absent and PART_CUBE not in absent:
        paths = regressors / PART_TEXTURE, regressors / PART_CUBE
        known["part_labels"] = load_part_labels(*paths, len(arrays["f"]))
    body = check_body(path, _stand_ins(arrays) | arrays | known)
    return {key: np.asarray(getattr(body, key)) for key in (*arrays, *known)}, absent


def _converted(
    path: Path, gender: str | None
) -> tuple[dict[str, np.ndarray], Float[np.ndarray, "V 3"], Float[np.ndarray, "24 3"]]:
    """SMPL's arrays and the gender; the template and its joints, metres."""
    arrays = read_smpl(path)
    gender = _gender(path, gender, arrays.get("gender"))
    template = np.asarray(arrays["v_template"], dtype=np.float64)
    if arrays["J_regressor"].shape != (24, N_VERTICES):
        found = arrays["J_regressor"].shape
        raise UserError(f"{path}: J_regressor: expected shape (24, {N_VERTICES}), found {found}; {_FIX}")
    joints = np.asarray(arrays["J_regressor"], dtype=np.float64) @ template
    return {key: arrays[key] for key in SMPL_KEYS} | {"gender": np.array(gender)}, template, joints


def _stand_ins(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of SPIN that a fit or a check needs but does not use; they are never written."""
    return {
        "J_regressor_extra": arrays["J_regressor"][list(index_map(SMPL24, _NEAREST))],
        "J_regressor_h36m": arrays["J_regressor"][: len(H36M17)],
        "part_labels": np.ones(len(arrays["f"]), np.uint8),
    }


def convert_folder(folder: Path, regressors: Path) -> dict[str, BodyFile]:
    """Body files of all genders from a folder of SMPL files.

    Raises:
        UserError: see `convert_smpl`; also if a gender has no file, or two genders have the same body.
    """
    found = find_smpl(folder)
    for gender in GENDERS:
        if gender not in found:
            raise UserError(f"{folder}: no {gender} SMPL file (SMPL_{gender.upper()}.pkl); {_FIX}")
    bodies = {gender: convert_smpl(found[gender], gender, regressors) for gender in GENDERS}
    for one, other in (("neutral", "female"), ("neutral", "male"), ("female", "male")):
        if np.array_equal(bodies[one].v_template, bodies[other].v_template):
            raise UserError(
                f"{found[other]}: the same body as {found[one]}; give one of them the name of its gender"
            )
    return bodies


def _gender(path: Path, requested: str | None, stored: Any) -> str:
    sources = {
        "requested": requested,
        "in the file": None if stored is None else str(stored),
        "in its name": gender_of(path),
    }
    known = {source: gender for source, gender in sources.items() if gender is not None}
    if not known:
        raise UserError(f"{path}: gender unknown; give --gender neutral, female or male")
    if len(set(known.values())) > 1:
        found = ", ".join(f"{gender} {source}" for source, gender in known.items())
        raise UserError(f"{path}: gender: {found}; give the file of the gender that you mean")
    gender = next(iter(known.values()))
    if gender not in GENDERS:
        raise UserError(f"{path}: gender: expected one of {', '.join(GENDERS)}, found {gender!r}")
    return gender


class FittableBody(NamedTuple):
    """A body to fit to keypoints."""

    body: BodyFile
    has_regressed_joints: bool
    """Whether `REGRESSED_JOINTS` are SPIN's; else they are SMPL's nearest joints."""


def load_fittable_body(path: Path) -> FittableBody:
    """Read a body file or an SMPL file, with or without SPIN's regressors; nothing in a pickle is run.

    SPIN's regressor of `joints.EXTRA9` is read from the file itself, or from `J_regressor_extra.npy` beside
    it.

    Args:
        path: a file of `prepare_body` or `convert_body`, or SMPL's `.pkl` or `.npz`.

    Raises:
        UserError: the file is absent or damaged, or an array is missing or wrong; the key is named.
    """
    require_file(path, "give a body file, or SMPL's .pkl or .npz")
    arrays = {key: np.asarray(value) for key, value in read_smpl(path).items()}
    beside = path.parent / REGRESSOR_EXTRA
    has_own = "J_regressor_extra" in arrays
    if not has_own and beside.is_file():
        template = arrays["v_template"].astype(np.float64)
        joints = arrays["J_regressor"].astype(np.float64) @ template
        arrays["J_regressor_extra"] = load_regressor(beside, EXTRA9, template, joints)
    arrays = _stand_ins(arrays) | arrays | {"gender": np.array(gender_of(path) or GENDERS[0])}
    return FittableBody(check_body(path, arrays), has_own or beside.is_file())


def require_regressed_joints(path: Path, fittable: FittableBody, is_known: Bool[np.ndarray, "N 49"]) -> None:
    """Refuse keypoints of joints that the body does not have.

    Args:
        path: of the body, for the message.
        fittable: the body.
        is_known: which keypoints each person has.

    Raises:
        UserError: a keypoint is of a joint that only SPIN's regressor provides, and there is none.
    """
    wanted = [joint for joint in REGRESSED_JOINTS if is_known[:, joint].any()]
    if wanted and not fittable.has_regressed_joints:
        raise UserError(
            f"{path}: no joint {MODEL49[wanted[0]]!r}, which the keypoints have; put SPIN's "
            f"{REGRESSOR_EXTRA} beside the body, or set the confidence of keypoints 27, 28, 37 to 43 to 0"
        )
