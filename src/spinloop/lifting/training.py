"""Training of the lifter on simulated people and keypoints; nothing is rendered.

Every step has new people, which depend on the seed and the number of the step alone.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation
from torch import Tensor

from spinloop.body.files import BodyFile
from spinloop.body.joints_only import JointsOnly
from spinloop.body.pose import BodyState
from spinloop.geometry.camera import estimate_translation
from spinloop.geometry.crop import CENTER_PX, CROP_PX
from spinloop.geometry.procrustes import procrustes_align
from spinloop.geometry.rotations import axis_angle_to_matrix, matrix_to_rot6d
from spinloop.joints import COMMON24_TO_J14, N_OPENPOSE, SMPL24
from spinloop.keypoints.noise import sample_keypoints
from spinloop.lifting.network import Lifted, Lifter, encode_camera, encode_keypoints, frame_of
from spinloop.motion.mixture import Mixture
from spinloop.params.fitting import LifterLossParams, LifterParams, LifterPeopleParams
from spinloop.resume import MadeFrom, named_values

# Share of the crop's side that a person takes up, as `box_factor: 1.2` leaves it.
_FILL = 1 / 1.2
# Neither changes a step of the training.
_IGNORED = ("lifter.checkpoint_every", "lifter.n_held_out")
_SIDES = ("left", "right")
# Joints of SMPL, without the root, that make a limb.
_LIMBS = [
    np.array([SMPL24[1:].index(name) for name in names])
    for names in (
        *([f"{side}_{part}" for part in ("collar", "shoulder", "elbow", "wrist", "hand")] for side in _SIDES),
        *([f"{side}_{part}" for part in ("hip", "knee", "ankle", "foot")] for side in _SIDES),
        ("neck", "head"),
    )
]


class SimulatedPeople(NamedTuple):
    """Bodies, and their joints as a camera sees them."""

    state: BodyState
    """The translation is that of the crop's 5000 px camera that is nearest to the real camera."""
    joints: Float[Tensor, "B 49 3"]
    """Metres, without the translation."""
    pixels: Float[Tensor, "B 49 2"]
    """Where the real camera sees the joints, pixels of the crop."""


def sample_people(
    skeleton: JointsOnly, mixture: Mixture, params: LifterPeopleParams, n: int, rng: np.random.Generator
) -> SimulatedPeople:
    """Sample people and a real camera for each.

    The camera is at a photographer's distance, so that near hands are large, and looks at the root joint, as
    the crop's own camera does.

    Args:
        skeleton: the 49 joints of the body.
        mixture: of body poses.
        params: distributions of shapes, orientations and cameras.
        n: how many people.
        rng: random numbers.
    """
    body = _seated(mixture.sample(n, rng), params.seated, rng)
    body = _with_other_limbs(body, params.other_limbs, rng)
    pose = torch.from_numpy(np.concatenate([_roots(params, n, rng).as_rotvec(), body], axis=1)).float()
    betas = rng.normal(0, params.betas_std, (n, 10)).clip(-params.betas_limit, params.betas_limit)
    betas = torch.from_numpy(betas).float()
    low, high = np.log(params.distance_m.bounds)
    distance = torch.from_numpy(np.exp(rng.uniform(low, high, n))).float()

    joints = skeleton.joints(pose, betas)
    moved = joints - skeleton.root_joint(betas)[:, None]
    depth = (moved[..., 2:] + distance[:, None, None]).clamp(min=0.1)
    pixels = _in_crop(moved[..., :2] / depth)
    translation = estimate_translation(joints, pixels, torch.ones_like(pixels[..., 0]))
    return SimulatedPeople(BodyState(pose, betas, translation), joints, pixels)


def _seated(
    poses: Float[np.ndarray, "N 69"], share: float, rng: np.random.Generator
) -> Float[np.ndarray, "N 69"]:
    """Poses of which a share bends hips and knees as people do who sit, squat or kneel."""
    joints = poses.reshape(len(poses), -1, 3).copy()
    people = np.flatnonzero(rng.random(len(poses)) < share)
    hips, knees = rng.uniform(0.8, 2.0, len(people)), rng.uniform(0.3, 2.3, len(people))
    for side, outwards in zip(_SIDES, (1.0, -1.0), strict=True):
        noise = rng.standard_normal((2, len(people))) * 0.2
        turn, spread = rng.normal(0, 0.2, len(people)), outwards * rng.normal(0.15, 0.2, len(people))
        hip = np.stack([-(hips + noise[0]), turn, spread], axis=1)
        joints[people, SMPL24.index(f"{side}_hip") - 1] = hip
        joints[people, SMPL24.index(f"{side}_knee") - 1, 0] = (knees + noise[1]).clip(0, 2.6)
    return joints.reshape(poses.shape)


def _with_other_limbs(
    poses: Float[np.ndarray, "N 69"], share: float, rng: np.random.Generator
) -> Float[np.ndarray, "N 69"]:
    """Poses of which some limbs are those of other people in the batch, so that any limb meets any other."""
    joints = poses.reshape(len(poses), -1, 3)
    mixed = joints.copy()
    for limb in _LIMBS:
        other = rng.permutation(len(poses))
        people = np.flatnonzero(rng.random(len(poses)) < share)
        mixed[np.ix_(people, limb)] = joints[np.ix_(other[people], limb)]
    return mixed.reshape(poses.shape)


def _roots(params: LifterPeopleParams, n: int, rng: np.random.Generator) -> Rotation:
    """Root rotations in camera axes: leaning people who face anywhere, seen by a tilted, rolled camera."""
    lean = Rotation.from_euler("xz", rng.normal(0, params.lean_std_deg, (n, 2)), degrees=True)
    facing = _about("y", rng.uniform(-180, 180, n))
    # The body's axes are y up; the camera's y down, z away.
    upright = _about("x", 180 + rng.normal(0, params.elevation_std_deg, n))
    small = rng.normal(0, params.roll_std_deg, n)
    roll = np.where(rng.random(n) < params.any_roll, rng.uniform(-180, 180, n), small)
    return _about("z", roll) * upright * facing * lean


def _about(axis: str, angle_deg: Float[np.ndarray, " N"]) -> Rotation:
    return Rotation.from_euler(axis, angle_deg[:, None], degrees=True)


def _in_crop(image: Float[Tensor, "B 49 2"]) -> Float[Tensor, "B 49 2"]:
    """Points of the image plane in pixels of the square crop around them."""
    low, high = image.amin(1, keepdim=True), image.amax(1, keepdim=True)
    zoom = _FILL * CROP_PX / (high - low).amax(-1, keepdim=True)
    return (image - (low + high) / 2) * zoom + CENTER_PX


_MEAN_LOG_SCALE = math.log(2.2)  # 1 / (spread in metres of the joints of a standing person)
# Streams of random numbers: people to train on, held-out people.
_TRAINING, _HELD_OUT = 0, 1
_HIPS = slice(2, 4)
_JOINTS14 = [N_OPENPOSE + joint for joint in COMMON24_TO_J14]


class LifterBatch(NamedTuple):
    """Inputs and targets of one step."""

    inputs: Float[Tensor, "B 147"]
    """See `encode_keypoints`."""
    target: Lifted
    joints: Float[Tensor, "B 14 3"]
    """The protocols' 14 joints, metres, without the translation."""


class LifterTraining:
    """A lifter and its optimizer; `state_dict` has all that a resumed training needs."""

    def __init__(self, body: BodyFile, mixture: Mixture, params: LifterParams) -> None:
        """Initialize the network.

        Args:
            body: arrays of the neutral body.
            mixture: of body poses.
            params: of the training.
        """
        self.params = params
        self._skeleton, self._mixture = JointsOnly(body), mixture
        self._measured = JointsOnly(body, keep=_JOINTS14)
        generator = torch.Generator().manual_seed(params.seed)
        self.network = Lifter(params.network, _mean_output(mixture), generator)
        self._optimizer = torch.optim.Adam(self.network.parameters(), lr=params.learning_rate)
        self.n_done = 0
        """Number of steps done."""

    def steps(self) -> Iterator[range]:
        """Train from step `n_done` to the end; yields the number of each step as a range."""
        params, factor = self.params, math.pi / self.params.n_steps
        while self.n_done < params.n_steps:
            rate = params.learning_rate * 0.5 * (1 + math.cos(factor * self.n_done))
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            batch = self.batch(_TRAINING, self.n_done, params.batch_size)
            loss = lifter_loss(self.network(batch.inputs), batch, self._measured, params.loss)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            self.n_done += 1
            yield range(self.n_done - 1, self.n_done)

    @torch.no_grad()
    def batch(self, stream: int, number: int, n: int) -> LifterBatch:
        """The batch of a place (`number`) in a stream of random numbers."""
        rng = np.random.default_rng([self.params.seed, stream, number])
        people = sample_people(self._skeleton, self._mixture, self.params.people, n, rng)
        sampled = sample_keypoints(people.pixels.numpy(), self.params.keypoints, rng)
        keypoints = torch.from_numpy(sampled).float()
        frame = frame_of(keypoints)
        rotations = axis_angle_to_matrix(people.state.pose.unflatten(1, (24, 3)))
        target = Lifted(rotations, people.state.betas, encode_camera(people.state.translation, frame))
        return LifterBatch(encode_keypoints(keypoints, frame), target, people.joints[:, _JOINTS14])

    @torch.no_grad()
    def held_out_errors(self) -> dict[str, float]:
        """Mean errors over held-out people, mm: 14 joints, root-aligned at the middle of the hips."""
        batch = self.batch(_HELD_OUT, 0, self.params.n_held_out)
        found = self.network.eval()(batch.inputs)
        joints = self._measured.joints(found.rotations, found.betas).double().numpy()
        true = batch.joints.double().numpy()
        joints, true = (each - each[:, _HIPS].mean(1, keepdims=True) for each in (joints, true))
        direct = np.linalg.norm(joints - true, axis=-1)
        aligned = np.linalg.norm(procrustes_align(joints, true) - true, axis=-1)
        return {"mpjpe_mm": 1e3 * float(direct.mean()), "pa_mpjpe_mm": 1e3 * float(aligned.mean())}

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed training needs."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self.n_done,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from a state."""
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.n_done = state["step"]


def lifter_made_from(params: LifterParams, contents: Mapping[str, str], code: str) -> MadeFrom:
    """What the state of a lifter's training is made from.

    Args:
        params: of the training.
        contents: digests of the input files, by what they are.
        code: digest of the command's code.
    """
    past = named_values("lifter", params.model_dump(), leave_out=_IGNORED)
    why = "the learning rate of every step was planned for this number of steps"
    return MadeFrom(
        past=past | {f"content of {name}": digest for name, digest in contents.items()},
        rounding={"runtime.threads": torch.get_num_threads()},
        reasons={"lifter.n_steps": why},
        code=code,
    )


def lifter_loss(
    predicted: Lifted, batch: LifterBatch, skeleton: JointsOnly, weights: LifterLossParams
) -> Float[Tensor, ""]:
    """The weighted loss of a batch.

    Args:
        predicted: output of the network.
        batch: its targets.
        skeleton: makes the joints of `batch.joints`.
        weights: of the terms.
    """
    target, root = batch.target, skeleton.root_joint
    joints = skeleton.joints(predicted.rotations, predicted.betas) - root(predicted.betas)[:, None]
    target_joints = batch.joints - root(target.betas)[:, None]
    return (
        weights.rotation * (predicted.rotations - target.rotations).square().mean()
        + weights.joints * (joints - target_joints).norm(dim=-1).mean()
        + weights.shape * (predicted.betas - target.betas).square().mean()
        + weights.camera * (predicted.camera - target.camera).square().mean()
    )


def _mean_output(mixture: Mixture) -> Float[Tensor, " 157"]:
    """The mixture's mean pose, upright and facing the camera, in the middle of the crop."""
    body = torch.from_numpy(mixture.weights @ mixture.means)
    pose = torch.cat([body.new_tensor([math.pi, 0.0, 0.0]), body]).view(24, 3)
    six = matrix_to_rot6d(axis_angle_to_matrix(pose)).flatten()
    return torch.cat([six, six.new_zeros(10), six.new_tensor([_MEAN_LOG_SCALE, 0.0, 0.0])]).float()
