"""Submitted predictions under a protocol: against a table of people, or against a submitted truth."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from spinloop.body.files import BodyFile
from spinloop.body.model import BodyModel, make_body_model
from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.evaluation.measure import Reference, measure, score_bodies
from spinloop.evaluation.offline_fits import as_predictions
from spinloop.evaluation.predict import Predictions
from spinloop.evaluation.protocols import AnyProtocol, MaskProtocol, Protocol
from spinloop.evaluation.scores import MaskScores, Scores, score_joints
from spinloop.evaluation.submission import Submitted, match_ids, read_submitted
from spinloop.evaluation.truth import NEUTRAL, Masks, Truth, annotated_joints, gendered_vertices, truth_of
from spinloop.geometry.camera import camera_to_translation
from spinloop.joints import H36M17
from spinloop.tables.records import load_records

_BATCH = 256


@dataclass(frozen=True)
class Contest:
    """Predictions and what they are compared with, person by person."""

    predicted: Submitted
    path: Path
    """File of the truth, for messages."""
    records: pd.DataFrame
    """The people: `id` and `sequence`, and all else where the truth is a table of people."""
    submitted: Submitted | None
    """The truth, where it is not a table of people."""
    bodies: Mapping[str, BodyFile]
    """Those that were given, by gender."""
    masks: Masks | None = None
    """Annotated masks, row by row."""


def load_contest(
    predictions: Path, truth: Path, bodies: Mapping[str, BodyFile], masks: Masks | None = None
) -> Contest:
    """Read both files and bring the predictions into the order of the truth.

    Args:
        predictions: see `submitted`.
        truth: a table of people (`.parquet`), or a file of the same kind as the predictions.
        bodies: those that were given, by gender.
        masks: annotated masks of the table's people.

    Raises:
        UserError: a file is faulty, or they do not speak of the same people.
    """
    theirs = None
    if truth.suffix == ".parquet":
        records = load_records(truth)
    else:
        theirs = read_submitted(truth)
        sequence = theirs.labels.get("sequence", [None] * len(theirs.ids))
        records = pd.DataFrame({"id": theirs.ids, "sequence": sequence})
    predicted = read_submitted(predictions)
    rows = match_ids(predicted.ids, records["id"].tolist(), predictions, truth)
    return Contest(predicted.take(rows), truth, records, theirs, bodies, masks)


def score_contest(protocol: AnyProtocol, contest: Contest) -> Scores | MaskScores:
    """The predictions' errors. Vertices are compared only where both sides are bodies.

    Raises:
        UserError: predictions, truth or options lack what the protocol needs.
    """
    predicted = contest.predicted
    if isinstance(protocol, MaskProtocol):
        if contest.submitted is not None or predicted.camera is None or predicted.pose is None:
            raise UserError(
                f"{predicted.path}: {protocol.name} draws bodies on images; give pose, betas and "
                "camera, and a table of people (.parquet) as truth"
            )
        models = _models(protocol, contest.bodies, [NEUTRAL])
        bodies = _as_predictions(predicted, models[NEUTRAL])
        reference = Reference(contest.path, contest.records, models, contest.bodies[NEUTRAL], contest.masks)
        return measure(protocol, bodies, reference, _BATCH)
    truth = _true_body(protocol, contest)
    # A file may hold joints and bodies; without --body-neutral its joints alone are compared.
    has_body = predicted.pose is not None and predicted.betas is not None
    if truth is not None and (predicted.joints is None or (has_body and NEUTRAL in contest.bodies)):
        models = _models(protocol, contest.bodies, [NEUTRAL, "female", "male"])
        bodies = _as_predictions(predicted, models[NEUTRAL])
        if predicted.joints is not None:
            bodies = bodies._replace(joints=_complete(protocol, predicted.joints, predicted.path))
        return score_bodies(protocol, bodies, truth, models, _BATCH)
    return score_joints(
        protocol, _predicted_joints(protocol, contest), _true_joints(protocol, contest, truth)
    )


def _true_body(protocol: Protocol, contest: Contest) -> Truth | None:
    """The true bodies, where the protocol regresses its joints from them and there are any."""
    if protocol.truth != "gendered_body":
        return None
    if contest.submitted is None:
        return truth_of(contest.records, contest.path)
    theirs = contest.submitted
    if theirs.joints is not None or theirs.pose is None or theirs.betas is None:
        return None
    genders: list[str | None] = [*theirs.labels.get("gender", [None] * len(theirs.ids))]
    return Truth(theirs.ids, theirs.pose, theirs.betas.astype(np.float64), genders)


def _predicted_joints(protocol: Protocol, contest: Contest) -> Float[np.ndarray, "N 17 3"]:
    predicted = contest.predicted
    if predicted.joints is None:
        model = _models(protocol, contest.bodies, [NEUTRAL])[NEUTRAL]
        return _as_predictions(predicted, model).joints
    return _complete(protocol, predicted.joints, predicted.path)


def _true_joints(protocol: Protocol, contest: Contest, truth: Truth | None) -> Float[np.ndarray, "N 17 3"]:
    if truth is not None:
        models = _models(protocol, contest.bodies, [NEUTRAL, "female", "male"])
        return _regressed(truth, models)
    if contest.submitted is None:
        return annotated_joints(contest.records, protocol, contest.path)
    if contest.submitted.joints is None:
        raise UserError(f"{contest.path}: joints: missing; {protocol.name} compares with annotated joints")
    return _complete(protocol, contest.submitted.joints, contest.path)


@torch.no_grad()
def _regressed(truth: Truth, models: Mapping[str, BodyModel]) -> Float[np.ndarray, "N 17 3"]:
    pose, betas = (torch.from_numpy(array.astype(np.float32)) for array in (truth.pose, truth.betas))
    return models[NEUTRAL].regress_h36m(gendered_vertices(models, pose, betas, truth.genders)).numpy()


def _complete(
    protocol: Protocol, joints: Float[np.ndarray, "N 17 3"], path: Path
) -> Float[np.ndarray, "N 17 3"]:
    """The joints, if all that the protocol needs are among them."""
    for row in sorted({protocol.root_row, *protocol.joint_rows}):
        if np.isnan(joints[:, row]).any():
            raise UserError(f"{path}: joint_names: {H36M17[row]} is missing; {protocol.name} needs it")
    return joints


def _models(
    protocol: AnyProtocol, bodies: Mapping[str, BodyFile], genders: list[str]
) -> dict[str, BodyModel]:
    for gender in genders:
        if gender not in bodies:
            raise UserError(f"--body-{gender}: {protocol.name} needs it to compare these files; give it")
    return {gender: make_body_model(bodies[gender]) for gender in genders}


def _as_predictions(predicted: Submitted, model: BodyModel) -> Predictions:
    assert predicted.pose is not None
    assert predicted.betas is not None
    camera = np.tile(np.array([1, 0, 0], np.float32), (len(predicted.ids), 1))
    if predicted.camera is not None:
        camera = predicted.camera
    pose, betas = (torch.from_numpy(array.astype(np.float32)) for array in (predicted.pose, predicted.betas))
    state = BodyState(pose, betas, camera_to_translation(torch.from_numpy(camera)))
    return as_predictions(predicted.ids, state, model, _BATCH)
