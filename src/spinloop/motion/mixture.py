"""A Gaussian mixture over body poses: the prior of the fit, and the distribution of sampled poses.

A Gaussian has no bounds: some of its samples bend a knee forwards. `is_plausible` rejects them; it is meant
for samples, not for recordings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from spinloop.errors import UserError
from spinloop.files import output, read_npz
from spinloop.files.pickles import load_pickle
from spinloop.joints import SMPL24

PACKAGED_MIXTURE = Path(__file__).parents[1] / "assets" / "cmu_mixture.npz"
"""The mixture that comes with the package, fitted on CMU's recordings of motion."""

# Largest rotation of each joint relative to its parent, radians: ranges of motion of clinical tables, widened
# to those of the dancers, fighters and climbers in the CMU recordings.
MAX_ANGLE_RAD = {
    "hip": 2.3, "knee": 2.6, "ankle": 1.1, "foot": 1.1, "spine1": 1.1, "spine2": 0.6, "spine3": 0.7,
    "neck": 0.8, "head": 1.1, "collar": 0.6, "shoulder": 2.4, "elbow": 2.6, "wrist": 1.3, "hand": 0.6,
}  # fmt: skip

# Hinges: (joint, axis, sign of bending). Knees bend about +x, the left elbow about −y, the right about +y.
HINGES = (("left_knee", 0, 1.0), ("right_knee", 0, 1.0), ("left_elbow", 1, -1.0), ("right_elbow", 1, 1.0))
OVERSTRETCH_RAD = 0.1
# A knee neither twists nor bends sideways by more than this.
KNEE_OFF_AXIS_RAD = 0.3

_BODY = SMPL24[1:]
_LIMITS = np.array([MAX_ANGLE_RAD[name.removeprefix("left_").removeprefix("right_")] for name in _BODY])


def is_plausible(poses: Float[np.ndarray, "N 69"]) -> Bool[np.ndarray, " N"]:
    """Whether each pose is anatomically plausible.

    Every joint is within its range of motion, knees and elbows are overstretched by at most 0.1 rad, and
    knees neither twist nor bend sideways. Contact and balance are not checked.
    """
    joints = poses.reshape(-1, len(_BODY), 3)
    is_fine = (np.linalg.norm(joints, axis=2) <= _LIMITS).all(1)
    for name, axis, sign in HINGES:
        is_fine &= sign * joints[:, _BODY.index(name), axis] >= -OVERSTRETCH_RAD
    for name in ("left_knee", "right_knee"):
        is_fine &= (np.abs(joints[:, _BODY.index(name), 1:]) <= KNEE_OFF_AXIS_RAD).all(1)
    return is_fine


N_ANGLES = 69
KEYS = ("means", "covars", "weights")
_LOG_LIKELIHOOD = "log_likelihood_"
_N_LOWER = N_ANGLES * (N_ANGLES + 1) // 2
_FIX = "make it with `spinloop fit_prior`"
# 85 % of the samples of the shipped mixture are plausible; a mixture with one in a thousand is wrong.
_MAX_TRIES_PER_SAMPLE = 1000


@dataclass(frozen=True)
class Mixture:
    """M Gaussians over the 69 angles of a body pose, radians; float64."""

    means: Float[np.ndarray, "M 69"]
    covars: Float[np.ndarray, "M 69 69"]
    weights: Float[np.ndarray, " M"]
    """Of the components; they sum to one."""

    @cached_property
    def cholesky(self) -> Float[np.ndarray, "M 69 69"]:
        """Lower factors of the covariances."""
        return np.linalg.cholesky(self.covars)

    @cached_property
    def log_determinants(self) -> Float[np.ndarray, " M"]:
        """Logarithms of the determinants of the covariances; the determinants would underflow."""
        return 2 * np.log(np.diagonal(self.cholesky, axis1=1, axis2=2)).sum(1)

    def log_prob(self, poses: Float[np.ndarray, "N 69"]) -> Float[np.ndarray, " N"]:
        """Logarithm of the density at each pose, nats."""
        offsets = [poses - mean for mean in self.means]
        factors = zip(self.cholesky, offsets, strict=True)
        distances = np.array([(solve_triangular(c, o.T, lower=True) ** 2).sum(0) for c, o in factors])
        norm = self.log_determinants + N_ANGLES * np.log(2 * np.pi)
        each = np.log(self.weights)[:, None] - 0.5 * (norm[:, None] + distances)
        return np.asarray(logsumexp(each, axis=0))

    def sample(self, n: int, rng: np.random.Generator) -> Float[np.ndarray, "n 69"]:
        """Random plausible poses (see `is_plausible`), by rejection.

        Raises:
            ValueError: almost no sample is plausible, so the mixture is not one of human poses.
        """
        kept, n_kept, n_tried = [np.empty((0, N_ANGLES))], 0, 0
        while n_kept < n:
            if n_tried > _MAX_TRIES_PER_SAMPLE * n:
                raise ValueError(f"only {n_kept} of {n_tried} samples are plausible poses")
            # Blocks of a fixed size, so that the first samples do not depend on n.
            block = self.sample_unbounded(256, rng)
            kept.append(block[is_plausible(block)])
            n_kept, n_tried = n_kept + len(kept[-1]), n_tried + len(block)
        return np.concatenate(kept)[:n]

    def sample_unbounded(self, n: int, rng: np.random.Generator) -> Float[np.ndarray, "n 69"]:
        """Random poses of the mixture, plausible or not."""
        component = rng.choice(len(self.weights), size=n, p=self.weights)
        poses = rng.standard_normal((n, N_ANGLES))
        for number, (mean, factor) in enumerate(zip(self.means, self.cholesky, strict=True)):
            rows = component == number
            poses[rows] = mean + poses[rows] @ factor.T
        return poses


def load_mixture(path: Path) -> Mixture:
    """Read `means` (M, 69), `covars` (M, 69, 69) or their lower triangles (M, 2415), and `weights` (M,).

    Args:
        path: npz of `save_mixture`, or SMPLify's `gmm_08.pkl`, in which nothing is run.

    Raises:
        UserError: the file is absent or unreadable, or an array is missing, has the wrong shape, or is not
            part of a mixture.
    """
    if path.suffix != ".pkl":
        return check_mixture(path, read_npz(path, _FIX, KEYS))
    content = load_pickle(path, _FIX)
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a dictionary, found {type(content).__name__}; {_FIX}")
    return check_mixture(path, content)


def save_mixture(path: Path, mixture: Mixture, log_likelihood: Mapping[str, float]) -> None:
    """Write a mixture as float32, covariances as lower triangles, atomically and with reproducible bytes.

    Args:
        path: the npz file.
        mixture: what to write.
        log_likelihood: nats per pose by name of the set, stored as `log_likelihood_<name>`.
    """
    rows, columns = np.tril_indices(N_ANGLES)
    arrays: dict[str, Any] = {
        "means": mixture.means.astype(np.float32),
        "covars": mixture.covars[:, rows, columns].astype(np.float32),
        "weights": mixture.weights.astype(np.float32),
    }
    arrays |= {f"{_LOG_LIKELIHOOD}{name}": np.float32(value) for name, value in log_likelihood.items()}
    with output(path) as stream:
        np.savez_compressed(stream, **arrays)


def load_log_likelihood(path: Path) -> dict[str, float]:
    """Log-likelihoods that `save_mixture` stored, nats per pose by name of the set.

    Raises:
        UserError: the file is absent or unreadable.
    """
    arrays = read_npz(path, _FIX)
    names = sorted(key for key in arrays if key.startswith(_LOG_LIKELIHOOD))
    return {key.removeprefix(_LOG_LIKELIHOOD): round(float(arrays[key]), 3) for key in names}


def check_mixture(path: Path, arrays: Mapping[str, np.ndarray]) -> Mixture:
    """The mixture in checked arrays.

    Raises:
        UserError: see `load_mixture`.
    """
    for key in KEYS:
        if key not in arrays:
            raise UserError(f"{path}: {key}: missing; {_FIX}")
        values = arrays[key]
        if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or not (np.abs(values) < 1e9).all():
            raise UserError(f"{path}: {key}: not all entries are finite numbers; {_FIX}")
    if arrays["weights"].ndim != 1 or not arrays["weights"].size or not arrays["covars"].ndim:
        raise UserError(f"{path}: weights: expected a list, found {arrays['weights'].shape}; {_FIX}")
    means, weights = (np.asarray(arrays[key], dtype=np.float64) for key in ("means", "weights"))
    covars = _full(np.asarray(arrays["covars"], dtype=np.float64))
    n = len(weights)
    expected = {"means": (n, N_ANGLES), "covars": (n, N_ANGLES, N_ANGLES), "weights": (n,)}
    for key, array in (("means", means), ("covars", covars), ("weights", weights)):
        if array.shape != expected[key]:
            raise UserError(f"{path}: {key}: expected shape {expected[key]}, found {array.shape}; {_FIX}")
    if (weights <= 0).any() or abs(weights.sum() - 1) > 1e-3:
        raise UserError(f"{path}: weights: expected positive numbers that sum to one; {_FIX}")
    if np.abs(covars - covars.transpose(0, 2, 1)).max() > 1e-6 or np.linalg.eigvalsh(covars).min() <= 0:
        raise UserError(f"{path}: covars: expected symmetric positive definite matrices; {_FIX}")
    return Mixture(means, (covars + covars.transpose(0, 2, 1)) / 2, weights / weights.sum())


def _full(covars: np.ndarray) -> np.ndarray:
    if covars.ndim != 2 or covars.shape[1] != _N_LOWER:
        return covars
    rows, columns = np.tril_indices(N_ANGLES)
    full = np.empty((len(covars), N_ANGLES, N_ANGLES))
    full[:, rows, columns] = covars
    full[:, columns, rows] = covars
    return full
