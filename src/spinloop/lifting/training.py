"""Training of the lifter: new people at every step, drawn from the seed and the step's number alone."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spinloop.body.joints_only import JointsOnly
from spinloop.body.moments import BodyArrays
from spinloop.geometry.procrustes import align
from spinloop.geometry.rotations import axis_angle_to_matrix, matrix_to_rot6d
from spinloop.joints import COMMON24_TO_J14, N_OPENPOSE
from spinloop.lifting.detector import detect
from spinloop.lifting.frame import encode, encode_camera, own_frame
from spinloop.lifting.network import Lifted, Lifter
from spinloop.lifting.people import draw_people
from spinloop.motion.mixture import Mixture
from spinloop.params.lifting import LifterLossParams, LifterParams

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

    def __init__(self, body: BodyArrays, mixture: Mixture, params: LifterParams) -> None:
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
        aligned = np.linalg.norm(align(joints, true) - true, axis=-1)
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
