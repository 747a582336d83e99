"""Fits to the keypoints of test images, measured as the network's own predictions are.

The fit starts from a network's prediction, as in the loop, from the mean pose, as the original SMPLify does,
or from the 2D joints lifted to 3D. All see the annotated 2D joints of the image, which the network does not.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from spinloop.annotations.record import column_array
from spinloop.body.model import BodyModel
from spinloop.body.state import BodyState
from spinloop.evaluation.compare import paired_changes
from spinloop.evaluation.meshes import batches
from spinloop.evaluation.predict import Predictions
from spinloop.evaluation.scores import MaskScores, Scores, intervals
from spinloop.fitting.energy import fitted_only
from spinloop.fitting.offline import crop_keypoints
from spinloop.fitting.smplify import Fitter
from spinloop.geometry.camera import camera_to_translation, translation_to_camera
from spinloop.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from spinloop.joints import COMMON24, MODEL49


def image_keypoints(records: pd.DataFrame) -> Float[Tensor, "N 49 3"]:
    """Annotated 2D joints of people as a fit takes them: px of each person's 224 px crop, and confidence.

    Joints that are not annotated have confidence 0; so has everybody in a table without 2D joints.
    """
    annotated = np.nan_to_num(column_array(records, "keypoints").astype(np.float64))
    keypoints = np.zeros((len(records), len(MODEL49), 3))
    keypoints[:, -len(COMMON24) :] = annotated
    centers = np.array(records["center"].tolist(), dtype=np.float64).reshape(-1, 2)
    moved = crop_keypoints(keypoints, centers, records["scale"].to_numpy(dtype=np.float64))
    return torch.from_numpy(moved.astype(np.float32))


def rows_to_fit(keypoints: Float[Tensor, "N 49 3"], min_joints: int) -> Int[np.ndarray, " M"]:
    """People with enough joints that count in a fit."""
    seen = (fitted_only(keypoints)[..., 2] > 0).sum(-1)
    return np.flatnonzero(seen.numpy() >= min_joints)


def take(predictions: Predictions, rows: Int[np.ndarray, " M"]) -> Predictions:
    """Some of the people."""
    ids = [predictions.ids[row] for row in rows]
    return Predictions(ids, *(array[rows] for array in predictions[1:]))


def as_state(predictions: Predictions) -> BodyState:
    """Predictions as the start of a fit."""
    rotations, betas, camera = (
        torch.from_numpy(array) for array in (predictions.rotations, predictions.betas, predictions.camera)
    )
    return BodyState(matrix_to_axis_angle(rotations).flatten(1), betas, camera_to_translation(camera))


@torch.no_grad()
def as_predictions(ids: list[str], state: BodyState, body: BodyModel, batch_size: int) -> Predictions:
    """Fits in the form of predictions, so that the same protocols measure them."""
    rotations = axis_angle_to_matrix(state.pose.unflatten(1, (24, 3)))
    joints = [
        body.regress_h36m(body.vertices(rotations[part], state.betas[part]))
        for part in batches(len(ids), batch_size)
    ]
    tensors = (rotations, state.betas, translation_to_camera(state.translation), torch.cat(joints))
    return Predictions(ids, *(tensor.numpy() for tensor in tensors))


def reprojection(fitter: Fitter, predictions: Predictions, keypoints: Float[Tensor, "N 49 3"]) -> float:
    """Mean robust reprojection error, px², each body where it reprojects best."""
    placed = fitter.place(as_state(predictions), keypoints)
    return float(fitter.reprojection(placed, keypoints).mean())


class Way(NamedTuple):
    """What one way to find bodies gave for some people."""

    scores: Scores | MaskScores
    reprojection_px2: float
    """See `reprojection`."""


def summarize_refits(
    networks: Mapping[str, Way],
    fits: Mapping[str, Way],
    starts: Mapping[str, Way],
    groups: Shaped[np.ndarray, " N"],
    confidence: float,
    n_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Each way's metrics over the same people, and the change from each network to the fit that starts there.

    Args:
        networks: setting → what its network predicted.
        fits: setting → the fits that start at the network's predictions.
        starts: name of another start → the fits from there.
        groups: which people are resampled together.
        confidence: of the intervals, in (0, 1).
        n_resamples: draws of the bootstrap.
        seed: of the draws.

    Returns:
        `starts`: name → metrics; `networks`: setting → `network`, `fit` and `change` (fit minus network,
        person by person) → metrics; each metric with `_low` and `_high`.
    """
    bootstrap = (confidence, n_resamples, seed)

    def numbers(way: Way) -> dict[str, float]:
        return intervals(way.scores, groups, *bootstrap) | {"reprojection_px2": way.reprojection_px2}

    pairs = {
        setting: {
            "network": numbers(networks[setting]),
            "fit": numbers(fit),
            "change": paired_changes(networks[setting].scores, fit.scores, groups, *bootstrap),
        }
        for setting, fit in fits.items()
    }
    return {"starts": {name: numbers(way) for name, way in starts.items()}, "networks": pairs}
