"""What joints of a person can do, as a yes-or-no rule on a pose.

A Gaussian has no ends: some of its samples bend a knee forwards. The rule leaves those out. It is meant for
drawing poses, not for judging recordings.

A Gaussian mixture over body poses: the prior of the fit, and where random people's poses come from.
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
from spinloop.files import atomic, read_npz
from spinloop.joints import SMPL24
from spinloop.pickles import load_pickle

PACKAGED_MIXTURE = Path(__file__).parents[1] / "assets" / "cmu_mixture.npz"
"""The mixture that comes with the package, fitted on CMU's recordings of motion."""

# Largest turn of each joint against its parent, radians: the ranges of motion of clinical tables, widened to
# what the dancers, fighters and climbers of the CMU recordings show.
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
    """Whether a person's joints can take each pose.

    Every joint within its range of motion, knees and elbows not bent backwards by more than 0.1 rad, knees
    not bent sideways. Contact and balance are not looked at.
    """
    joints = poses.reshape(-1, len(_BODY), 3)
    fine = (np.linalg.norm(joints, axis=2) <= _LIMITS).all(1)
    for name, axis, sign in HINGES:
        fine &= sign * joints[:, _BODY.index(name), axis] >= -OVERSTRETCH_RAD
    for name in ("left_knee", "right_knee"):
        fine &= (np.abs(joints[:, _BODY.index(name), 1:]) <= KNEE_OFF_AXIS_RAD).all(1)
    return fine


N_ANGLES = 69
KEYS = ("means", "covars", "weights")
_LOG_LIKELIHOOD = "log_likelihood_"
_N_LOWER = N_ANGLES * (N_ANGLES + 1) // 2
_CURE = "make it with `spinloop fit_prior`"
# Of the shipped mixture 85 % of all draws are plausible; one that passes one in a thousand is wrong.
_MAX_DRAWS_PER_SAMPLE = 1000


@dataclass(frozen=True)
class Mixture:
    """M Gaussians over the 69 angles of a body pose, radians; float64."""

    means: Float[np.ndarray, "M 69"]
    covars: Float[np.ndarray, "M 69 69"]
    weights: Float[np.ndarray, " M"]
    """Shares of the components; they sum to one."""

    @cached_property
    def cholesky(self) -> Float[np.ndarray, "M 69 69"]:
        """Lower factors of the covariances."""
        return np.linalg.cholesky(self.covars)

    @cached_property
    def log_determinants(self) -> Float[np.ndarray, " M"]:
        """Of the covariances; the determinants themselves would underflow."""
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
        """Random poses that a person can take: draws outside `limits.is_plausible` are drawn again.

        Raises:
            ValueError: almost no draw is plausible, so the mixture is not one of human poses.
        """
        kept, n_kept, n_drawn = [np.empty((0, N_ANGLES))], 0, 0
        while n_kept < n:
            if n_drawn > _MAX_DRAWS_PER_SAMPLE * n:
                raise ValueError(f"only {n_kept} of {n_drawn} samples are poses that a person can take")
            # Drawn in blocks of a fixed size, so that more people leave the first ones as they were.
            draws = self.sample_unbounded(256, rng)
            kept.append(draws[is_plausible(draws)])
            n_kept, n_drawn = n_kept + len(kept[-1]), n_drawn + len(draws)
        return np.concatenate(kept)[:n]

    def sample_unbounded(self, n: int, rng: np.random.Generator) -> Float[np.ndarray, "n 69"]:
        """Random poses of the mixture itself."""
        component = rng.choice(len(self.weights), size=n, p=self.weights)
        poses = rng.standard_normal((n, N_ANGLES))
        for number, (mean, factor) in enumerate(zip(self.means, self.cholesky, strict=True)):
            mine = component == number
            poses[mine] = mean + poses[mine] @ factor.T
        return poses


def load_mixture(path: Path) -> Mixture:
    """Read `means` (M, 69), `covars` (M, 69, 69) or their lower triangles (M, 2415), and `weights` (M,).

    An npz file as `fit_prior` writes it, or SMPLify's `gmm_08.pkl`, of which nothing is run.

    Raises:
        UserError: the file is absent or unreadable, or an array is missing, of the wrong shape, or no
            mixture.
    """
    if path.suffix != ".pkl":
        return check_mixture(path, read_npz(path, _CURE, KEYS))
    content = load_pickle(path, _CURE)
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a dictionary, found {type(content).__name__}; {_CURE}")
    return check_mixture(path, content)


def save_mixture(path: Path, mixture: Mixture, log_likelihood: Mapping[str, float]) -> None:
    """Write a mixture as float32, covariances as lower triangles, atomically and always with the same bytes.

    Args:
        path: the npz file.
        mixture: what to write.
        log_likelihood: nats per pose by name of the set, kept as `log_likelihood_<name>`.
    """
    rows, columns = np.tril_indices(N_ANGLES)
    arrays: dict[str, Any] = {
        "means": mixture.means.astype(np.float32),
        "covars": mixture.covars[:, rows, columns].astype(np.float32),
        "weights": mixture.weights.astype(np.float32),
    }
    arrays |= {f"{_LOG_LIKELIHOOD}{name}": np.float32(value) for name, value in log_likelihood.items()}
    with atomic(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def load_log_likelihood(path: Path) -> dict[str, float]:
    """Nats per pose by name of the set, as `save_mixture` kept them.

    Raises:
        UserError: the file is absent or unreadable.
    """
    arrays = read_npz(path, _CURE)
    names = sorted(key for key in arrays if key.startswith(_LOG_LIKELIHOOD))
    return {key.removeprefix(_LOG_LIKELIHOOD): round(float(arrays[key]), 3) for key in names}


def check_mixture(path: Path, arrays: Mapping[str, np.ndarray]) -> Mixture:
    """The mixture in `arrays`, after every check.

    Raises:
        UserError: see `load_mixture`.
    """
    for key in KEYS:
        if key not in arrays:
            raise UserError(f"{path}: {key}: missing; {_CURE}")
        values = arrays[key]
        if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or not np.isfinite(values).all():
            raise UserError(f"{path}: {key}: not all entries are finite numbers; {_CURE}")
    means, weights = (np.asarray(arrays[key], dtype=np.float64) for key in ("means", "weights"))
    covars = _full(np.asarray(arrays["covars"], dtype=np.float64))
    n = len(weights)
    expected = {"means": (n, N_ANGLES), "covars": (n, N_ANGLES, N_ANGLES), "weights": (n,)}
    for key, array in (("means", means), ("covars", covars), ("weights", weights)):
        if array.shape != expected[key]:
            raise UserError(f"{path}: {key}: expected shape {expected[key]}, found {array.shape}; {_CURE}")
    if (weights <= 0).any() or abs(weights.sum() - 1) > 1e-3:
        raise UserError(f"{path}: weights: expected positive numbers that sum to one; {_CURE}")
    if np.abs(covars - covars.transpose(0, 2, 1)).max() > 1e-6 or np.linalg.eigvalsh(covars).min() <= 0:
        raise UserError(f"{path}: covars: not symmetric and positive; {_CURE}")
    return Mixture(means, (covars + covars.transpose(0, 2, 1)) / 2, weights / weights.sum())


def _full(covars: np.ndarray) -> np.ndarray:
    if covars.ndim != 2 or covars.shape[1] != _N_LOWER:
        return covars
    rows, columns = np.tril_indices(N_ANGLES)
    full = np.empty((len(covars), N_ANGLES, N_ANGLES))
    full[:, rows, columns] = covars
    full[:, columns, rows] = covars
    return full
