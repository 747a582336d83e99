"""Other people's predictions (`submitted`) joined with a truth by id, and scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from spinloop.evaluation.scores import (
    AnyScores,
    JointScores,
    Reference,
    joint_errors,
    score_bodies,
    score_joints,
    score_predictions,
)
from spinloop.evaluation.submitted import AXES, JOINT_SETS, Declared, SubmittedPeople, read_submitted
from spinloop.evaluation.truth import (
    NEUTRAL,
    TrueBodies,
    annotated_joints,
    chain_joints,
    gendered_vertices,
    rows_of,
    true_bodies,
)
from spinloop.geometry.camera import camera_to_translation
from spinloop.joints import SMPL24, index_map
from spinloop.progress import say
from spinloop.tables.crops import CropReader
from spinloop.tables.records import load_records

_BATCH_SIZE = 256
# A declaration is proposed if it takes this share of the error away, and more than so much of it.
_FAR_BETTER = 0.5
_FAR_BETTER_MM = 25.0


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
    predictions: Path,
    truth: Path,
    bodies: Mapping[str, BodyFile],
    crops: Path | None = None,
    declared: Declared | None = None,
) -> Submission:
    """Read predictions and truth, and bring the predictions into the order of the truth.

    Args:
        predictions: see `submitted`.
        truth: a table of people (`.parquet`), or a file of the same kind as the predictions.
        bodies: the bodies that were given, by gender.
        crops: packed crops of the table's people, with their masks.
        declared: units, axes and joints of the predictions.

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
    predicted = read_submitted(predictions, declared)
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
    if protocol.joint_set == SMPL24:
        return _score_chain(protocol, submission, true)
    if predicted.joints is None and predicted.joints24 is not None and predicted.pose is None:
        raise UserError(
            f"{predicted.path}: joints: SMPL's own 24 joints share names with those that "
            f"{protocol.name} compares, but lie elsewhere; use --protocol smpl24@1, or give pose and betas"
        )
    # A file may hold joints and bodies; without --body-neutral only its joints are compared.
    has_body = predicted.pose is not None and predicted.betas is not None
    if true is not None and (predicted.joints is None or (has_body and NEUTRAL in submission.bodies)):
        models = _body_models(protocol, submission.bodies, [NEUTRAL, "female", "male"])
        bodies = _predictions(predicted, models)
        if predicted.joints is not None:
            bodies = bodies._replace(joints=_required_joints(protocol, predicted.joints, predicted.path))
        _doubt(protocol, predicted, bodies.joints, _true_joints(protocol, submission, true))
        return score_bodies(protocol, bodies, true, models, _BATCH_SIZE)
    if predicted.joints is None:
        joints = _predictions(predicted, _body_models(protocol, submission.bodies, [NEUTRAL])).joints
    else:
        joints = _required_joints(protocol, predicted.joints, predicted.path)
    true_joints = _true_joints(protocol, submission, true)
    _doubt(protocol, predicted, joints, true_joints)
    return score_joints(protocol, joints, true_joints)


def _score_chain(protocol: JointProtocol, submission: Submission, true: TrueBodies | None) -> JointScores:
    """Score the joints of SMPL's chain, of files that hold them or bodies."""
    predicted, truth = submission.predicted, submission.truth
    genders = [NEUTRAL, "female", "male"]
    if predicted.joints24 is not None:
        joints = _required_joints(protocol, predicted.joints24, predicted.path)
    elif predicted.pose is not None and predicted.betas is not None:
        models = _body_models(protocol, submission.bodies, [NEUTRAL])
        joints = chain_joints(models, predicted.pose, predicted.betas, [None] * len(predicted.ids))
    else:
        raise UserError(
            f"{predicted.path}: {protocol.name} needs SMPL's 24 joints (--joints smpl24) or bodies"
        )
    if true is not None:
        models = _body_models(protocol, submission.bodies, genders)
        true_joints = chain_joints(models, true.pose, true.betas, true.genders)
    elif isinstance(truth, SubmittedPeople) and truth.joints24 is not None:
        true_joints = truth.joints24
    else:
        raise UserError(
            f"{submission.path}: {protocol.name} needs SMPL's 24 joints, named, or bodies as truth"
        )
    _doubt(protocol, predicted, joints, true_joints)
    return score_joints(protocol, joints, true_joints)


def _doubt(
    protocol: JointProtocol,
    people: SubmittedPeople,
    predicted: Float[np.ndarray, "N J 3"],
    true: Float[np.ndarray, "N J 3"],
) -> None:
    """Say so if other sides or other axes make the predictions far better, and how to declare it."""
    as_given = [errors.mean() for errors in joint_errors(protocol, predicted, true)]
    base = "smpl24" if protocol.joint_set == SMPL24 else "h36m17"
    for number, metric, option, changed in (
        *((1, "PA-MPJPE", f"--joints {name}", predicted[:, index_map(names, protocol.joint_set)])
          for name, names in JOINT_SETS.items() if name.startswith(f"{base}_")),
        *((0, "MPJPE", f"--axes {name}", predicted @ turn.T) for name, turn in AXES.items()),
    ):  # fmt: skip
        then = joint_errors(protocol, changed, true)[number].mean()
        if then < _FAR_BETTER * as_given[number] and as_given[number] - then > _FAR_BETTER_MM:
            say(
                f"{people.path}: {metric} is {as_given[number]:.0f} mm as the file is, and would be "
                f"{then:.0f} mm with `{option}`; declare it if it is so"
            )


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
    protocol: JointProtocol, joints: Float[np.ndarray, "N J 3"], path: Path
) -> Float[np.ndarray, "N J 3"]:
    """The joints, if all that the protocol needs are among them."""
    for row in sorted({protocol.root_row, *protocol.joint_rows}):
        if np.isnan(joints[:, row]).any():
            raise UserError(
                f"{path}: joint_names: {protocol.joint_set[row]} is missing; {protocol.name} needs it"
            )
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
