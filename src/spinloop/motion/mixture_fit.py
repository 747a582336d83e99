"""Fitting the mixture of poses on recorded clips.

Skeletons of recordings lack some of SMPL's joints (a spine joint, toes, collars, hands), whose angles are
then zero. A joint that enough frames have is sampled in the others given the joints that they do have; any
other joint becomes an independent Gaussian around zero with a given deviation.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from sklearn.mixture import GaussianMixture

from spinloop.joints import SMPL24_FLIP
from spinloop.motion.clips import Clip, recorded_joints
from spinloop.motion.mixture import N_ANGLES, Mixture, is_plausible
from spinloop.progress import say

# Least share of frames that must have a joint for its angles to be fitted.
_MIN_RECORDED_SHARE = 0.1
_N_SAMPLES = 10_000


class Frames(NamedTuple):
    """Body poses of many clips, in no order."""

    poses: Float[np.ndarray, "N 69"]
    is_recorded: Bool[np.ndarray, "N 23"]
    """False where the clip's skeleton lacks the joint."""


def plausible_clips(clips: Sequence[Clip]) -> list[Clip]:
    """The clips that have a plausible pose; a line names those that have none.

    Raises:
        ValueError: no clip has one.
    """
    kept = [clip for clip in clips if is_plausible(clip.poses[:, 3:]).any()]
    names = ", ".join(clip.name for clip in clips if not any(clip is other for other in kept))
    if not kept:
        raise ValueError(f"no frame of {names} is a plausible pose; name the T-pose with --bind-frame")
    if len(kept) < len(clips):
        say(f"{len(clips) - len(kept)} of {len(clips)} clips left out, no frame is a plausible pose: {names}")
    return kept


def plausible_share(mixture: Mixture) -> float:
    """Share of plausible poses among 10,000 samples of a mixture."""
    samples = mixture.sample_unbounded(_N_SAMPLES, np.random.default_rng(0))
    return float(is_plausible(samples).mean())


def subsample(clips: Sequence[Clip], frames_per_clip: int) -> Frames:
    """At most `frames_per_clip` evenly spaced frames of each clip, so that long clips do not dominate."""
    poses, recorded = [], []
    for clip in clips:
        n = min(frames_per_clip, len(clip.poses))
        chosen = ((np.arange(n) + 0.5) * len(clip.poses) / n).astype(int)
        poses.append(clip.poses[chosen, 3:].astype(np.float64))
        recorded.append(np.repeat(recorded_joints(clip)[None, 1:], n, axis=0))
    return Frames(np.concatenate(poses), np.concatenate(recorded))


def with_flipped(frames: Frames) -> Frames:
    """The frames followed by their left-right flips, so that the distribution is symmetric."""
    order = np.array(SMPL24_FLIP[1:]) - 1
    flipped = frames.poses.reshape(-1, 23, 3)[:, order] * [1.0, -1.0, -1.0]
    return Frames(
        np.concatenate([frames.poses, flipped.reshape(-1, 69)]),
        np.concatenate([frames.is_recorded, frames.is_recorded[:, order]]),
    )


class FittedMixture(NamedTuple):
    """The mixture of all clips, and the log-likelihoods of one that is fitted on four fifths of them."""

    mixture: Mixture
    log_likelihood: dict[str, float]
    """Nats per pose: `train`, `held_out`, and `held_out_single` for a single Gaussian."""


def fit_mixture(
    clips: Sequence[Clip],
    n_components: int,
    frames_per_clip: int,
    floor_std_rad: float,
    unseen_std_rad: float,
    seed: int,
) -> FittedMixture:
    """Fit the mixture on all clips, and a second one on four fifths of them for the held-out log-likelihood.

    Args:
        clips: recordings.
        n_components: number of Gaussians.
        frames_per_clip: at most so many frames of each clip are used, each also flipped.
        floor_std_rad: added in quadrature to the deviation of every angle: the error of converting a recorded
            skeleton to SMPL's angles (recorded knees are perfect hinges, people's are not).
        unseen_std_rad: deviation of the angles of joints that the recordings lack.
        seed: of the split, the sampled angles and the start of the fit.

    Source:
        SMPLify (Bogo et al. 2016), sec. 3.2, for the mixture over CMU motion.
    """
    rng = np.random.default_rng(seed)
    is_held_out = np.zeros(len(clips), dtype=bool)
    is_held_out[rng.permutation(len(clips))[: len(clips) // 5]] = True
    train, test = (
        with_flipped(
            subsample(
                [clip for clip, out in zip(clips, is_held_out, strict=True) if out == side], frames_per_clip
            )
        )
        for side in (False, True)
    )
    everything = Frames(*(np.concatenate(pair) for pair in zip(train, test, strict=True)))
    is_fitted = everything.is_recorded.mean(0) >= _MIN_RECORDED_SHARE

    def filled(frames: Frames, known_from: Frames) -> Float[np.ndarray, "N 69"]:
        return fill_unrecorded(frames, known_from, is_fitted, floor_std_rad, rng)

    def fitted(poses: Float[np.ndarray, "N 69"], n: int) -> Mixture:
        return _fit(poses, is_fitted, n, floor_std_rad, unseen_std_rad, seed)

    known, unknown = filled(train, train), filled(test, train)
    partial = fitted(known, n_components)
    log_likelihood = {
        "train": float(partial.log_prob(known).mean()),
        "held_out": float(partial.log_prob(unknown).mean()),
        "held_out_single": float(fitted(known, 1).log_prob(unknown).mean()),
    }
    return FittedMixture(fitted(filled(everything, everything), n_components), log_likelihood)


def fill_unrecorded(
    frames: Frames,
    known_from: Frames,
    is_fitted: Bool[np.ndarray, " 23"],
    floor_std_rad: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "N 69"]:
    """Poses whose missing joints are sampled given the joints that they have.

    The distribution is one Gaussian over those frames of `known_from` that have all fitted joints. Joints
    that are not fitted are zero.

    Raises:
        ValueError: no frame of `known_from` has all fitted joints.
    """
    mask = np.repeat(is_fitted, 3)
    poses, known = frames.poses * mask, np.repeat(frames.is_recorded | ~is_fitted, 3, axis=1)
    complete = known_from.poses[(known_from.is_recorded | ~is_fitted).all(1)] * mask
    if not len(complete):
        raise ValueError("no recording has all the joints that the others lack")
    mean = complete.mean(0)
    covar = np.cov(complete.T) + floor_std_rad**2 * np.eye(N_ANGLES)
    patterns, pattern_of = np.unique(known, axis=0, return_inverse=True)
    for number, here in enumerate(patterns):
        if here.all():
            continue
        rows = np.flatnonzero(pattern_of.ravel() == number)
        gain = np.linalg.solve(covar[np.ix_(here, here)], covar[np.ix_(here, ~here)]).T
        spread = np.linalg.cholesky(covar[np.ix_(~here, ~here)] - gain @ covar[np.ix_(here, ~here)])
        noise = rng.standard_normal((len(rows), len(spread))) @ spread.T
        poses[np.ix_(rows, ~here)] = mean[~here] + (poses[rows][:, here] - mean[here]) @ gain.T + noise
    return poses


def _fit(
    poses: Float[np.ndarray, "N 69"],
    is_fitted: Bool[np.ndarray, " 23"],
    n_components: int,
    floor_std_rad: float,
    unseen_std_rad: float,
    seed: int,
) -> Mixture:
    columns = np.flatnonzero(np.repeat(is_fitted, 3))
    model: Any = GaussianMixture(
        n_components, reg_covar=floor_std_rad**2, random_state=seed, max_iter=500, tol=1e-3, n_init=2
    ).fit(poses[:, columns])
    order = np.argsort(-model.weights_, kind="stable")
    means = np.zeros((n_components, N_ANGLES))
    covars = np.tile(unseen_std_rad**2 * np.eye(N_ANGLES), (n_components, 1, 1))
    means[:, columns] = model.means_[order]
    covars[:, columns[:, None], columns] = model.covariances_[order]
    return Mixture(means, (covars + covars.transpose(0, 2, 1)) / 2, model.weights_[order])
