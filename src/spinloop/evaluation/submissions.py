"""Other people's predictions: read from npz or HDF5, checked, joined with a truth by id, and scored.

A file holds `ids` (N,) and either `joints` (N, J, 3) in metres and camera axes, the 17 H36M joints or those
named by `joint_names` (J,); or a body: `pose` (N, 72) or (N, 24, 3, 3) and `betas` (N, 10), and for masks
also `camera` (N, 3), the weak-perspective camera of the 224 px crop. A truth may add `gender` (N,) and
`sequence` (N,).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int

from spinloop.body.files import BodyFile
from spinloop.body.model import BodyModel, make_body_model
from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.evaluation.predictions import Predictions, predictions_of
from spinloop.evaluation.protocols import AnyProtocol, JointProtocol, MaskProtocol
from spinloop.evaluation.scores import AnyScores, Reference, score_bodies, score_joints, score_predictions
from spinloop.evaluation.truth import (
    NEUTRAL,
    TrueBodies,
    annotated_joints,
    gendered_vertices,
    rows_of,
    true_bodies,
)
from spinloop.files import parsing, read_npz
from spinloop.files.hdf5 import open_hdf5
from spinloop.geometry.camera import camera_to_translation
from spinloop.geometry.rotations import matrix_to_axis_angle
from spinloop.joints import H36M17
from spinloop.tables.crops import CropReader
from spinloop.tables.records import load_records

_FIX = "see `spinloop score --help` for what the file must hold"
_LABELS = ("gender", "sequence")
_TEXTS = ("ids", "joint_names", *_LABELS)
_NUMBERS = ("joints", "pose", "rotations", "betas", "camera")
# No joint is this far from the middle of the person's joints; in millimetres nearly all are.
_MAX_SPREAD_M, _MAX_NUMBER = 10.0, 1e9
_BATCH_SIZE = 256


@dataclass(frozen=True)
class SubmittedPeople:
    """People of a file, in the order of its ids."""

    path: Path
    ids: list[str]
    joints: Float[np.ndarray, "N 17 3"] | None
    """`joints.H36M17`, metres; NaN where the file has no such joint."""
    pose: Float[np.ndarray, "N 72"] | None
    """Axis-angles; the root's in camera axes."""
    betas: Float[np.ndarray, "N 10"] | None
    camera: Float[np.ndarray, "N 3"] | None
    labels: Mapping[str, list[str]]
    """`gender` and `sequence`, where the file has them."""

    def take(self, rows: Int[np.ndarray, " M"]) -> "SubmittedPeople":
        """Some of the people."""
        names = ("joints", "pose", "betas", "camera")
        arrays = {name: getattr(self, name) for name in names}
        chosen = {name: None if array is None else array[rows] for name, array in arrays.items()}
        labels = {name: [values[row] for row in rows] for name, values in self.labels.items()}
        return replace(self, ids=[self.ids[row] for row in rows], labels=labels, **chosen)


@dataclass(frozen=True)
class Submission:
    """Predictions and the truth of the same people, in the same order."""

    predicted: SubmittedPeople
    truth: SubmittedPeople | pd.DataFrame
    """A file of the same kind as the predictions, or a table of people."""
    path: Path
    """File of the truth, for messages."""
    records: pd.DataFrame
    """The people's `id` and `sequence`, and all columns where the truth is a table."""
    bodies: Mapping[str, BodyFile]
    """The bodies that were given, by gender."""
    crops: CropReader | None = None
    """Packed crops with the annotated masks of the people."""


def load_submission(
    predictions: Path, truth: Path, bodies: Mapping[str, BodyFile], crops: Path | None = None
) -> Submission:
    """Read predictions and truth, and bring the predictions into the order of the truth.

    Args:
        predictions: see the module.
        truth: a table of people (`.parquet`), or a file of the same kind as the predictions.
        bodies: the bodies that were given, by gender.
        crops: packed crops of the table's people, with their masks.

    Raises:
        UserError: a file is faulty, or the people differ.
    """
    is_table = truth.suffix == ".parquet"
    if crops is not None and not is_table:
        raise UserError(f"--crops {crops}: goes with a table of people; give its .parquet as --truth")
    if is_table:
        people = records = load_records(truth)
    else:
        people = read_submitted(truth)
        sequence = people.labels.get("sequence", [None] * len(people.ids))
        records = pd.DataFrame({"id": people.ids, "sequence": sequence})
    ids = records["id"].tolist()
    reader = None
    if crops is not None:
        reader = CropReader(crops)
        rows_of(reader.ids, ids, crops)
    predicted = read_submitted(predictions)
    rows = match_ids(predicted.ids, ids, predictions, truth)
    return Submission(predicted.take(rows), people, truth, records, bodies, reader)


def score_submission(protocol: AnyProtocol, submission: Submission) -> AnyScores:
    """Score the predictions; vertices are compared only where both sides are bodies.

    Raises:
        UserError: predictions, truth or options lack what the protocol needs.
    """
    predicted, truth = submission.predicted, submission.truth
    if isinstance(protocol, MaskProtocol):
        if isinstance(truth, SubmittedPeople) or predicted.camera is None or predicted.pose is None:
            raise UserError(
                f"{predicted.path}: {protocol.name} renders bodies on images; give pose, betas and "
                "camera, and a table of people (.parquet) as truth"
            )
        models = _body_models(protocol, submission.bodies, [NEUTRAL])
        reference = Reference(
            submission.path, submission.records, models, submission.bodies[NEUTRAL], submission.crops
        )
        return score_predictions(protocol, _predictions(predicted, models), reference, _BATCH_SIZE)
    true = _true_bodies(protocol, submission)
    # A file may hold joints and bodies; without --body-neutral only its joints are compared.
    has_body = predicted.pose is not None and predicted.betas is not None
    if true is not None and (predicted.joints is None or (has_body and NEUTRAL in submission.bodies)):
        models = _body_models(protocol, submission.bodies, [NEUTRAL, "female", "male"])
        bodies = _predictions(predicted, models)
        if predicted.joints is not None:
            bodies = bodies._replace(joints=_required_joints(protocol, predicted.joints, predicted.path))
        return score_bodies(protocol, bodies, true, models, _BATCH_SIZE)
    if predicted.joints is None:
        joints = _predictions(predicted, _body_models(protocol, submission.bodies, [NEUTRAL])).joints
    else:
        joints = _required_joints(protocol, predicted.joints, predicted.path)
    return score_joints(protocol, joints, _true_joints(protocol, submission, true))


def _true_bodies(protocol: JointProtocol, submission: Submission) -> TrueBodies | None:
    """The true bodies, if the protocol regresses its joints from them and there are any."""
    truth = submission.truth
    if protocol.truth != "gendered_body":
        return None
    if not isinstance(truth, SubmittedPeople):
        return true_bodies(truth, submission.path)
    if truth.joints is not None or truth.pose is None or truth.betas is None:
        return None
    genders: list[str | None] = [*truth.labels.get("gender", [None] * len(truth.ids))]
    return TrueBodies(truth.ids, truth.pose, truth.betas.astype(np.float64), genders)


@torch.no_grad()
def _true_joints(
    protocol: JointProtocol, submission: Submission, true: TrueBodies | None
) -> Float[np.ndarray, "N 17 3"]:
    truth = submission.truth
    if true is not None:
        models = _body_models(protocol, submission.bodies, [NEUTRAL, "female", "male"])
        pose, betas = (torch.from_numpy(array.astype(np.float32)) for array in (true.pose, true.betas))
        return models[NEUTRAL].regress_h36m(gendered_vertices(models, pose, betas, true.genders)).numpy()
    if not isinstance(truth, SubmittedPeople):
        return annotated_joints(truth, protocol, submission.path)
    if truth.joints is None:
        raise UserError(f"{truth.path}: joints: missing; {protocol.name} compares with annotated joints")
    return _required_joints(protocol, truth.joints, truth.path)


def _required_joints(
    protocol: JointProtocol, joints: Float[np.ndarray, "N 17 3"], path: Path
) -> Float[np.ndarray, "N 17 3"]:
    """The joints, if all that the protocol needs are among them."""
    for row in sorted({protocol.root_row, *protocol.joint_rows}):
        if np.isnan(joints[:, row]).any():
            raise UserError(f"{path}: joint_names: {H36M17[row]} is missing; {protocol.name} needs it")
    return joints


def _body_models(
    protocol: AnyProtocol, bodies: Mapping[str, BodyFile], genders: list[str]
) -> dict[str, BodyModel]:
    for gender in genders:
        if gender not in bodies:
            raise UserError(f"--body-{gender}: {protocol.name} needs it to compare these files; give it")
    return {gender: make_body_model(bodies[gender]) for gender in genders}


def _predictions(people: SubmittedPeople, models: Mapping[str, BodyModel]) -> Predictions:
    assert people.pose is not None
    assert people.betas is not None
    camera = np.tile(np.array([1, 0, 0], np.float32), (len(people.ids), 1))
    if people.camera is not None:
        camera = people.camera
    pose, betas = (torch.from_numpy(array.astype(np.float32)) for array in (people.pose, people.betas))
    state = BodyState(pose, betas, camera_to_translation(torch.from_numpy(camera)))
    return predictions_of(people.ids, state, models[NEUTRAL], _BATCH_SIZE)


def match_ids(
    predicted: Sequence[str], wanted: Sequence[str], path: Path, truth: Path
) -> Int[np.ndarray, " N"]:
    """Row of each true person among the predicted ones; both must be the same people.

    Args:
        predicted: ids of the predictions, of the file `path`.
        wanted: ids of the truth, of the file `truth`.
        path: for messages.
        truth: for messages.

    Raises:
        UserError: a person is missing or superfluous; the first is named.
    """
    row_of = {key: row for row, key in enumerate(predicted)}
    missing = [key for key in wanted if key not in row_of]
    if missing:
        n = f"{len(missing)} of {len(wanted)}"
        raise UserError(f"{path}: {missing[0]}: missing ({n}); predict all of {truth}")
    extra = set(row_of) - set(wanted)
    if extra:
        key = next(key for key in predicted if key in extra)
        raise UserError(f"{path}: {key}: not in {truth} ({len(extra)} too many); leave such people out")
    return np.array([row_of[key] for key in wanted], dtype=np.int64)


def read_submitted(path: Path) -> SubmittedPeople:
    """Read and check a file of predictions or of truths.

    Raises:
        UserError: nobody is in it, an id occurs twice, or an array is missing, of the wrong shape, not finite
            or not in metres; the first person is named.
    """
    arrays = _read_arrays(path)
    if "ids" not in arrays:
        raise UserError(f"{path}: ids: missing; {_FIX}")
    ids = _to_texts(path, "ids", arrays["ids"])
    if not ids:
        raise UserError(f"{path}: ids: nobody in the file; give at least one person")
    counts = Counter(ids)
    if len(counts) != len(ids):
        twice = next(key for key in ids if counts[key] > 1)
        raise UserError(f"{path}: {twice}: this id occurs twice; keep one row per person")
    for name in _NUMBERS:
        if name in arrays:
            _check_numbers(path, name, arrays[name], ids)
    for name in _LABELS:
        if name in arrays and arrays[name].shape != (len(ids),):
            found = arrays[name].shape
            raise UserError(f"{path}: {name}: expected one for each of {len(ids)} ids, found {found}; {_FIX}")
    labels = {name: _to_texts(path, name, arrays[name]) for name in _LABELS if name in arrays}
    joints, pose = _read_joints(path, arrays, ids), _read_pose(path, arrays)
    betas, camera = _read_rows(path, arrays, "betas", 10), _read_rows(path, arrays, "camera", 3)
    if joints is None and (pose is None or betas is None):
        raise UserError(f"{path}: neither joints nor pose and betas; {_FIX}")
    return SubmittedPeople(path, ids, joints, pose, betas, camera, labels)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    names = (*_TEXTS, *_NUMBERS)
    if path.suffix == ".npz":
        return read_npz(path, _FIX, names)
    with open_hdf5(path, "npz or HDF5", _FIX) as file:
        arrays = {name: file.values(name) for name in names if name in file}
        if "joint_names" not in arrays and file.has_attribute("joint_names"):
            arrays["joint_names"] = np.asarray(file.attribute("joint_names"))
        return arrays


def _to_texts(path: Path, name: str, array: np.ndarray) -> list[str]:
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iuSUOT"):
        found = f"{array.dtype} of shape {array.shape}"
        raise UserError(f"{path}: {name}: expected a list of words, found {found}; {_FIX}")
    with parsing(f"{path}: {name}", "words in UTF-8", _FIX):
        return [value.decode() if isinstance(value, bytes) else str(value) for value in array.tolist()]


def _check_numbers(path: Path, name: str, array: np.ndarray, ids: list[str]) -> None:
    if array.dtype.kind not in "iuf" or array.ndim < 2 or len(array) != len(ids):
        raise UserError(f"{path}: {name}: expected a row of numbers for each of {len(ids)} ids; {_FIX}")
    faulty = ~(np.abs(array.reshape(len(array), -1)) < _MAX_NUMBER).all(1)  # NaN is not below it either
    if faulty.any():
        first = ids[int(np.flatnonzero(faulty)[0])]
        raise UserError(
            f"{path}: {first}: {name}: not all numbers are finite ({int(faulty.sum())} people); "
            "give an estimate for everybody"
        )


def _read_joints(path: Path, arrays: Mapping[str, np.ndarray], ids: list[str]) -> np.ndarray | None:
    if "joints" not in arrays:
        return None
    given = arrays["joints"].astype(np.float64)
    names = _to_texts(path, "joint_names", arrays.get("joint_names", np.array(H36M17)))
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"{path}: joint_names: {twice[0]} occurs twice; name every joint once")
    if given.ndim != 3 or given.shape[1:] != (len(names), 3):
        found = " × ".join(str(side) for side in given.shape[1:])
        raise UserError(
            f"{path}: {ids[0]}: joints: expected {len(names)} × 3 numbers, found {found}; give the 17 H36M "
            "joints, or name them in joint_names"
        )
    spread = np.linalg.norm(given - given.mean(1, keepdims=True), axis=-1).max(1)
    if (spread > _MAX_SPREAD_M).any():
        row = int(np.flatnonzero(spread > _MAX_SPREAD_M)[0])
        raise UserError(
            f"{path}: {ids[row]}: joints: {spread[row]:.0f} m from their middle; they look like millimetres, "
            "divide by 1000"
        )
    joints = np.full((len(given), len(H36M17), 3), np.nan)
    for row, name in enumerate(H36M17):
        if name in names:
            joints[:, row] = given[:, names.index(name)]
    return joints


def _read_pose(path: Path, arrays: Mapping[str, np.ndarray]) -> np.ndarray | None:
    pose = arrays.get("pose", arrays.get("rotations"))
    if pose is None:
        return None
    if pose.shape[1:] == (24, 3, 3):
        return matrix_to_axis_angle(torch.from_numpy(pose.astype(np.float64))).flatten(1).numpy()
    if pose.shape[1:] != (72,):
        raise UserError(f"{path}: pose: expected (N, 72) or (N, 24, 3, 3), found {pose.shape}; {_FIX}")
    return pose.astype(np.float64)


def _read_rows(path: Path, arrays: Mapping[str, np.ndarray], name: str, width: int) -> np.ndarray | None:
    if name not in arrays:
        return None
    if arrays[name].shape[1:] != (width,):
        raise UserError(f"{path}: {name}: expected (N, {width}), found {arrays[name].shape}; {_FIX}")
    return arrays[name].astype(np.float32)
