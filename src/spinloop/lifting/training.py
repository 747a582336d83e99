"""What reaches the lifter of a person: keypoints with the noise, gaps and mistakes of files.

The people that the lifter learns from: drawn, posed, seen by a camera; nothing is rendered.

Training of the lifter: new people at every step, drawn from the seed and the step's number alone.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation
from torch import Tensor

from spinloop.body.files import BodyFile
from spinloop.body.joints_only import JointsOnly
from spinloop.body.pose import BodyState
from spinloop.geometry.camera import estimate_translation
from spinloop.geometry.crop import CENTER_PX, CROP_PX
from spinloop.geometry.procrustes import procrustes_align
from spinloop.geometry.rotations import axis_angle_to_matrix, matrix_to_rot6d
from spinloop.joints import (
    COCO17,
    COMMON24,
    COMMON24_TO_J14,
    FIT_IGNORED,
    LSP14,
    MODEL49,
    MODEL49_FLIP,
    N_OPENPOSE,
)
from spinloop.lifting.network import Lifted, Lifter, encode, encode_camera, own_frame
from spinloop.motion.mixture import Mixture
from spinloop.params.fitting import LifterKeypointsParams, LifterLossParams, LifterParams, LifterPeopleParams

# A quarter of a person that fills the crop.
_OUTLIER_PX = CROP_PX / 4
_IS_OPENPOSE = np.arange(len(MODEL49)) < N_OPENPOSE
_LIMB_WORDS = (
    ("left_shoulder", "left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow", "right_wrist"),
    ("left_knee", "left_ankle", "left_big_toe", "left_small_toe", "left_heel"),
    ("right_knee", "right_ankle", "right_big_toe", "right_small_toe", "right_heel"),
    ("nose", "eye", "ear", "head", "jaw"),
)
_LIMBS = np.array([[any(word in name for word in words) for name in MODEL49] for words in _LIMB_WORDS])
_ARMS, _LEGS = _LIMBS[0] | _LIMBS[1], _LIMBS[2] | _LIMBS[3] | np.array(["hip" in name for name in MODEL49])
# Which joints annotators give: LSP's, COCO's, or all.
_ANNOTATED = np.array(
    [[name in names for name in MODEL49] for names in (set(LSP14), set(COCO17), set(COMMON24))]
)


def detect(
    pixels: Float[Tensor, "B 49 2"], params: LifterKeypointsParams, rng: np.random.Generator
) -> Float[Tensor, "B 49 3"]:
    """Keypoints as a file holds them: pixels and confidence, zeros where there is none.

    Args:
        pixels: true places in the crop.
        params: what is lacking and wrong.
        rng: of the mistakes.
    """
    shape = pixels.shape[:2]
    spread = rng.uniform(*params.noise_px.bounds, (shape[0], 1)) * np.ones(shape)
    spread[:, list(FIT_IGNORED)] *= params.loose_noise
    is_outlier = rng.random(shape) < params.outlier
    spread[is_outlier] = _OUTLIER_PX
    error = rng.standard_normal((*shape, 2)) * spread[..., None]
    places = pixels.numpy() + error
    seen = _is_seen(places, params, rng)
    # A detector half knows when it is wrong; annotators are sure.
    score = rng.uniform(0.4, 0.95, shape) - rng.random(shape) * np.linalg.norm(error, axis=-1) / _OUTLIER_PX
    score = np.where(_IS_OPENPOSE, score.clip(0.05, 0.95), 1.0) * seen
    keypoints = np.concatenate([places * seen[..., None], score[..., None]], axis=-1)
    for group in (_ARMS, _LEGS):
        swapped = np.flatnonzero(rng.random(shape[0]) < params.swap)
        joints = np.flatnonzero(group & _IS_OPENPOSE)
        keypoints[np.ix_(swapped, joints)] = keypoints[np.ix_(swapped, np.array(MODEL49_FLIP)[joints])]
    return torch.from_numpy(keypoints).float()


def _is_seen(
    places: Float[np.ndarray, "B 49 2"], params: LifterKeypointsParams, rng: np.random.Generator
) -> Bool[np.ndarray, "B 49"]:
    n = len(places)
    kind = rng.random(n)
    has_openpose = kind >= params.only_annotated
    has_annotated = (kind < params.only_annotated) | (kind >= params.only_annotated + params.only_openpose)
    annotated = _ANNOTATED[rng.integers(len(_ANNOTATED), size=n)] & has_annotated[:, None]
    seen = np.where(_IS_OPENPOSE, has_openpose[:, None], annotated)
    seen &= rng.random(seen.shape) >= rng.uniform(0, params.miss, (n, 1))
    lost = rng.random((n, len(_LIMBS))) < params.lost_limb
    seen &= ~(lost[:, :, None] & _LIMBS).any(1)
    return seen & ~_cut_off(places, params.cut_off, rng)


def _cut_off(
    places: Float[np.ndarray, "B 49 2"], share: float, rng: np.random.Generator
) -> Bool[np.ndarray, "B 49"]:
    """Keypoints beyond the image's border, which cuts some people: mostly from below, as photographs do."""
    n = len(places)
    angle = np.where(rng.random(n) < 0.6, np.pi / 2, rng.integers(4, size=n) * np.pi / 2)
    along = places[..., 0] * np.cos(angle)[:, None] + places[..., 1] * np.sin(angle)[:, None]
    low, high = along.min(1, keepdims=True), along.max(1, keepdims=True)
    border = low + rng.uniform(0.35, 0.9, (n, 1)) * (high - low)
    return (rng.random(n) < share)[:, None] & (along > border)


# Share of the crop's side that a person takes up, as `box_factor: 1.2` leaves it.
_FILL = 1 / 1.2


class Seen(NamedTuple):
    """People as a camera sees them."""

    state: BodyState
    """The translation is that of the crop's 5000 px camera, which comes nearest to the real one."""
    joints: Float[Tensor, "B 49 3"]
    """Metres, without the translation."""
    pixels: Float[Tensor, "B 49 2"]
    """Where the real camera sees the joints, pixels of the crop."""


def draw_people(
    skeleton: JointsOnly, mixture: Mixture, params: LifterPeopleParams, n: int, rng: np.random.Generator
) -> Seen:
    """Random people before random cameras.

    A camera stands at a person's distance, so that near hands are large; it looks at the person's root, as
    the crop's own camera does.

    Args:
        skeleton: the 49 joints of the body.
        mixture: of body poses.
        params: who is seen, from where.
        n: how many.
        rng: of everything.
    """
    body = mixture.sample(n, rng)
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
    return Seen(BodyState(pose, betas, translation), joints, pixels)


def _roots(params: LifterPeopleParams, n: int, rng: np.random.Generator) -> Rotation:
    """Roots in camera axes: leaning people that face anywhere, seen by a tilted, rolled camera."""
    lean = Rotation.from_euler("xz", rng.normal(0, params.lean_std_deg, (n, 2)), degrees=True)
    facing = _about("y", rng.uniform(-180, 180, n))
    # The body's axes are y up; the camera's y down, z away.
    upright = _about("x", 180 + rng.normal(0, params.elevation_std_deg, n))
    turn = rng.normal(0, params.roll_std_deg, n)
    roll = np.where(rng.random(n) < params.any_roll, rng.uniform(-180, 180, n), turn)
    return _about("z", roll) * upright * facing * lean


def _about(axis: str, angle_deg: Float[np.ndarray, " N"]) -> Rotation:
    return Rotation.from_euler(axis, angle_deg[:, None], degrees=True)


def _in_crop(image: Float[Tensor, "B 49 2"]) -> Float[Tensor, "B 49 2"]:
    """Points of the image plane in pixels of the square crop around them."""
    low, high = image.amin(1, keepdim=True), image.amax(1, keepdim=True)
    zoom = _FILL * CROP_PX / (high - low).amax(-1, keepdim=True)
    return (image - (low + high) / 2) * zoom + CENTER_PX


_MEAN_LOG_SCALE = math.log(2.2)  # 1 / (spread in metres of the joints of a standing person)
# Streams of random numbers: people to learn from, people to be measured on.
_TRAINING, _HELD_OUT = 0, 1
_HIPS = slice(2, 4)
_JOINTS14 = [N_OPENPOSE + joint for joint in COMMON24_TO_J14]


class Lesson(NamedTuple):
    """People of one step."""

    inputs: Float[Tensor, "B 147"]
    truth: Lifted
    joints: Float[Tensor, "B 14 3"]
    """Of the person's limbs, neck and head (`joints.PROTOCOL14`), metres, without the translation."""


class LifterTraining:
    """A lifter on its way; everything that goes on is in `state_dict`."""

    def __init__(self, body: BodyFile, mixture: Mixture, params: LifterParams) -> None:
        """Draw the network.

        Args:
            body: arrays of the neutral body.
            mixture: of body poses.
            params: of the training.
        """
        self.params = params
        self._skeleton, self._mixture = JointsOnly(body), mixture
        self._measured = JointsOnly(body, keep=_JOINTS14)
        generator = torch.Generator().manual_seed(params.seed)
        self.network = Lifter(params.network, _mean_answer(mixture), generator)
        self._optimizer = torch.optim.Adam(self.network.parameters(), lr=params.learning_rate)
        self.n_done = 0
        """Steps that are done."""

    def steps(self) -> Iterator[range]:
        """Train to the end, from wherever it is; yields after each step the number of it."""
        params, factor = self.params, math.pi / self.params.n_steps
        while self.n_done < params.n_steps:
            rate = params.learning_rate * 0.5 * (1 + math.cos(factor * self.n_done))
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            lesson = self.lesson(_TRAINING, self.n_done, params.batch_size)
            loss = loss_of(self.network(lesson.inputs), lesson, self._measured, params.loss)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            self.n_done += 1
            yield range(self.n_done - 1, self.n_done)

    @torch.no_grad()
    def lesson(self, stream: int, number: int, n: int) -> Lesson:
        """People that belong to one stream of random numbers and one place in it."""
        rng = np.random.default_rng([self.params.seed, stream, number])
        people = draw_people(self._skeleton, self._mixture, self.params.people, n, rng)
        keypoints = detect(people.pixels, self.params.keypoints, rng)
        frame = own_frame(keypoints)
        rotations = axis_angle_to_matrix(people.state.pose.unflatten(1, (24, 3)))
        truth = Lifted(rotations, people.state.betas, encode_camera(people.state.translation, frame))
        return Lesson(encode(keypoints, frame), truth, people.joints[:, _JOINTS14])

    @torch.no_grad()
    def held_out_errors(self) -> dict[str, float]:
        """Mean errors over people that no step has seen: 14 joints, seen from the middle of the hips; mm."""
        lesson = self.lesson(_HELD_OUT, 0, self.params.n_held_out)
        found = self.network.eval()(lesson.inputs)
        joints = self._measured.joints(found.rotations, found.betas).double().numpy()
        true = lesson.joints.double().numpy()
        joints, true = (each - each[:, _HIPS].mean(1, keepdims=True) for each in (joints, true))
        direct = np.linalg.norm(joints - true, axis=-1)
        aligned = np.linalg.norm(procrustes_align(joints, true) - true, axis=-1)
        return {"mpjpe_mm": 1e3 * float(direct.mean()), "pa_mpjpe_mm": 1e3 * float(aligned.mean())}

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self.n_done,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.n_done = state["step"]


def loss_of(
    found: Lifted, lesson: Lesson, skeleton: JointsOnly, weights: LifterLossParams
) -> Float[Tensor, ""]:
    """The weighted loss of a batch.

    Args:
        found: what the network says.
        lesson: what is true.
        skeleton: the joints of `lesson.joints`.
        weights: of the parts.
    """
    truth, root = lesson.truth, skeleton.root_joint
    joints = skeleton.joints(found.rotations, found.betas) - root(found.betas)[:, None]
    wanted = lesson.joints - root(truth.betas)[:, None]
    return (
        weights.rotation * (found.rotations - truth.rotations).square().mean()
        + weights.joints * (joints - wanted).norm(dim=-1).mean()
        + weights.shape * (found.betas - truth.betas).square().mean()
        + weights.camera * (found.camera - truth.camera).square().mean()
    )


def _mean_answer(mixture: Mixture) -> Float[Tensor, " 157"]:
    body = torch.from_numpy(mixture.weights @ mixture.means)
    pose = torch.cat([body.new_tensor([math.pi, 0.0, 0.0]), body]).view(24, 3)
    six = matrix_to_rot6d(axis_angle_to_matrix(pose)).flatten()
    return torch.cat([six, six.new_zeros(10), six.new_tensor([_MEAN_LOG_SCALE, 0.0, 0.0])]).float()
