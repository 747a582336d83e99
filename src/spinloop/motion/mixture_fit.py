"""From recorded clips to the mixture of poses.

Skeletons of recordings lack some of SMPL's joints (a spine joint, toes, collars, hands). Zero there does not
mean that the joint never turns. A joint that enough frames have is filled in the others by a random draw
given the joints that they do have; a joint that hardly any frame has becomes an independent Gaussian around
zero of a width that the user names.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from sklearn.mixture import GaussianMixture

from spinloop.motion.clips import Clip, Frames, thin, with_mirror_images
from spinloop.motion.mixture import N_ANGLES, Mixture

# A joint that fewer frames have cannot be learnt from them.
_MIN_RECORDED_SHARE = 0.1


class FittedMixture(NamedTuple):
    """The mixture of all clips, and how well one of four fifths of them foretells the rest."""

    mixture: Mixture
    log_likelihood: dict[str, float]
    """Nats per pose: `train`, `held_out`, and `held_out_single` of one Gaussian on the same clips."""


def fit_mixture(
    clips: Sequence[Clip],
    n_components: int,
    frames_per_clip: int,
    floor_std_rad: float,
    unseen_std_rad: float,
    seed: int,
) -> FittedMixture:
    """Fit the mixture on all clips, and a second one without a fifth of them to measure it.

    Args:
        clips: recordings.
        n_components: number of Gaussians.
        frames_per_clip: at most so many frames of each clip are used, and as many mirror images.
        floor_std_rad: added in quadrature to every angle's deviation: the error of turning a recorded
            skeleton into SMPL's angles (recorded knees are perfect hinges, people's are not).
        unseen_std_rad: deviation of the angles of joints that the recordings lack.
        seed: of the split, of the draws and of the start of the fit.

    Source:
        SMPLify (Bogo et al. 2016), sec. 3.2, for the mixture over CMU motion.
    """
    rng = np.random.default_rng(seed)
    is_held_out = np.zeros(len(clips), dtype=bool)
    is_held_out[rng.permutation(len(clips))[: len(clips) // 5]] = True
    train, test = (
        with_mirror_images(
            thin([clip for clip, out in zip(clips, is_held_out, strict=True) if out == side], frames_per_clip)
        )
        for side in (False, True)
    )
    everything = Frames(*(np.concatenate(pair) for pair in zip(train, test, strict=True)))
    seen = everything.is_recorded.mean(0) >= _MIN_RECORDED_SHARE

    def filled(frames: Frames, known_from: Frames) -> Float[np.ndarray, "N 69"]:
        return fill_unrecorded(frames, known_from, seen, floor_std_rad, rng)

    def fitted(poses: Float[np.ndarray, "N 69"], n: int) -> Mixture:
        return _fit(poses, seen, n, floor_std_rad, unseen_std_rad, seed)

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
    seen: Bool[np.ndarray, " 23"],
    floor_std_rad: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "N 69"]:
    """Poses with the joints that a frame lacks drawn given those that it has; joints not `seen` are zero.

    The draw is from one Gaussian over those frames of `known_from` that have all seen joints.

    Raises:
        ValueError: no frame of `known_from` has all seen joints.
    """
    shown = np.repeat(seen, 3)
    poses, known = frames.poses * shown, np.repeat(frames.is_recorded | ~seen, 3, axis=1)
    complete = known_from.poses[(known_from.is_recorded | ~seen).all(1)] * shown
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
    seen: Bool[np.ndarray, " 23"],
    n_components: int,
    floor_std_rad: float,
    unseen_std_rad: float,
    seed: int,
) -> Mixture:
    columns = np.flatnonzero(np.repeat(seen, 3))
    model: Any = GaussianMixture(
        n_components, reg_covar=floor_std_rad**2, random_state=seed, max_iter=500, tol=1e-3, n_init=2
    ).fit(poses[:, columns])
    order = np.argsort(-model.weights_, kind="stable")
    means = np.zeros((n_components, N_ANGLES))
    covars = np.tile(unseen_std_rad**2 * np.eye(N_ANGLES), (n_components, 1, 1))
    means[:, columns] = model.means_[order]
    covars[:, columns[:, None], columns] = model.covariances_[order]
    return Mixture(means, (covars + covars.transpose(0, 2, 1)) / 2, model.weights_[order])
