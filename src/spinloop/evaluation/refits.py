"""Fits to the keypoints of test images, measured as the network's own predictions are.

The fit starts from the network's prediction, as in the loop, or from the mean pose, as the original SMPLify
does. Both see the annotated 2D joints of the image, which the network does not.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from spinloop.annotations.record import column_array
from spinloop.body.model import BodyModel
from spinloop.body.state import BodyState
from spinloop.evaluation.bootstrap import mean_interval
from spinloop.evaluation.meshes import batches
from spinloop.evaluation.predict import Predictions
from spinloop.evaluation.scores import MaskScores, Scores, sequence_labels
from spinloop.fitting.energy import fitted_only
from spinloop.fitting.offline import crop_keypoints
from spinloop.fitting.smplify import Fitter
from spinloop.geometry.camera import camera_to_translation, translation_to_camera
from spinloop.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from spinloop.joints import COMMON24, MODEL49
from spinloop.params.fitting import FittingParams


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


def unanchored(fitting: FittingParams) -> FittingParams:
    """The same parameters where the anchor needs no weights that only training learns."""
    return fitting.model_copy(update={"anchor": "none"}) if fitting.anchor == "adaptive" else fitting


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


def refit(
    fitter: Fitter, network: Predictions, keypoints: Float[Tensor, "N 49 3"], body: BodyModel, batch_size: int
) -> dict[str, Predictions]:
    """Fits from both starts, beside the network's own predictions.

    Args:
        fitter: of the neutral body.
        network: predictions of people with 2D joints.
        keypoints: of the same people, px of their crops.
        body: the neutral body.
        batch_size: people posed at once.

    Returns:
        `network`, `from_network`, `from_mean`.
    """
    fits = {
        "from_network": fitter.fit(as_state(network), keypoints),
        "from_mean": fitter.fit_from_mean(keypoints),
    }
    fitted = {way: as_predictions(network.ids, fit.state, body, batch_size) for way, fit in fits.items()}
    return {"network": network, **fitted}


def reprojection(fitter: Fitter, predictions: Predictions, keypoints: Float[Tensor, "N 49 3"]) -> float:
    """Mean robust reprojection error, px², each body where it reprojects best."""
    placed = fitter.place(as_state(predictions), keypoints)
    return float(fitter.reprojection(placed, keypoints).mean())


def summarize_refits(
    scores: Mapping[str, Scores | MaskScores],
    records: pd.DataFrame,
    confidence: float,
    n_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Each way's metrics over the same people, and the change from the network to the fit.

    Args:
        scores: `network`, `from_network`, `from_mean`.
        records: the people, for their sequences.
        confidence: of the intervals, in (0, 1).
        n_resamples: draws of the bootstrap.
        seed: of the draws.

    Returns:
        `<way>_<metric>` with `_low` and `_high`; for joints also `change_<metric>`: fit from the network
        minus network, person by person.
    """
    groups, summary = sequence_labels(records), {}
    for way, found in scores.items():
        for name in found.values:
            rng = np.random.default_rng(seed)
            interval = found.interval(name, groups, confidence, n_resamples, rng)
            summary |= _flat(f"{way}_{name}", interval)
    network, fitted = scores["network"], scores["from_network"]
    if isinstance(network, Scores):
        for name, before in network.values.items():
            change = fitted.values[name] - before
            rng = np.random.default_rng(seed)
            summary |= _flat(f"change_{name}", mean_interval(change, groups, confidence, n_resamples, rng))
    return summary


def _flat(key: str, interval: tuple[float, float, float]) -> dict[str, float]:
    mean, low, high = interval
    return {key: mean, f"{key}_low": low, f"{key}_high": high}
