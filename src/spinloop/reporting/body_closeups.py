"""Pictures of a body from near by: the named vertices, and joints bent as far as people bend them."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float

from spinloop.body.model import BodyModel
from spinloop.joints import SMPL24, VERTEX_JOINTS
from spinloop.reporting.body_pictures import Image, View, draw, label, tiled

# What is shown bent: name, turns in degrees by joint, joint in the middle, turn and tilt of the view, metres.
_BENDS: tuple[tuple[str, Mapping[str, tuple[int, int, int]], str, float, float, float], ...] = (
    ("elbow 90", {"left_elbow": (0, -90, 0)}, "left_elbow", 0, 90, 0.8),
    ("elbow 130", {"left_elbow": (0, -130, 0)}, "left_elbow", 0, 90, 0.8),
    ("knee 90, hip 90", {"left_knee": (90, 0, 0), "left_hip": (-90, 0, 0)}, "left_knee", 90, 0, 1.1),
    ("knee 120", {"left_knee": (120, 0, 0)}, "left_knee", 90, 0, 1.1),
    ("ankle 30", {"left_ankle": (30, 0, 0)}, "left_ankle", 90, 0, 0.6),
    ("arm down", {"left_shoulder": (0, 0, -75)}, "left_shoulder", 0, 0, 0.9),
    ("arm up", {"left_shoulder": (0, 0, 60), "left_collar": (0, 0, 20)}, "left_shoulder", 0, 0, 0.9),
    ("arm ahead", {"left_shoulder": (0, -90, 0)}, "left_shoulder", 30, 0, 0.9),
    ("wrist 60", {"left_wrist": (0, 0, -60)}, "left_wrist", 0, 0, 0.5),
    ("back 85", {"spine1": (30, 0, 0), "spine2": (30, 0, 0), "spine3": (25, 0, 0)}, "spine2", 90, 0, 1.6),
)


@torch.no_grad()
def landmarks_sheet(model: BodyModel, height_px: int) -> Image:
    """Head, left hand and left foot with the 21 vertices that SMPL's users know by number."""
    output = model(torch.zeros(1, 72), torch.zeros(1, 10))
    vertices = output.vertices[0].numpy()
    named = {name: vertices[number] for name, number in VERTEX_JOINTS.items()}
    head = output.joints24[0, SMPL24.index("head")].numpy() + np.array([0.0, 0.03, 0.02])
    hand = (output.joints24[0, SMPL24.index("left_wrist")].numpy() + named["left_middle"]) / 2
    foot = (named["left_heel"] + named["left_big_toe"]) / 2
    size = (height_px, height_px)
    views = (
        (View(0.0, head, 0.32, size), View(90.0, head, 0.32, size), View(35.0, head, 0.32, size)),
        (View(0.0, hand, 0.3, size, 90.0), View(0.0, hand, 0.3, size, -90.0), View(90.0, hand, 0.3, size)),
        (View(90.0, foot, 0.35, size), View(0.0, foot, 0.35, size, 20.0), View(180.0, foot, 0.35, size)),
    )
    points = np.stack(list(named.values()))
    return tiled(
        [[draw(vertices, model.faces.numpy(), view, joints=points) for view in row] for row in views]
    )


@torch.no_grad()
def bends_sheet(model: BodyModel, height_px: int, per_row: int) -> Image:
    """Elbow, knee, ankle, shoulder, wrist and back, bent, with SMPL's joints."""
    poses = torch.from_numpy(np.stack([_pose(turns) for _, turns, *_ in _BENDS])).float()
    output = model(poses, torch.zeros(len(poses), 10))
    tiles = []
    for row, (name, _, joint, turn, tilt, height_m) in enumerate(_BENDS):
        joints = output.joints24[row].numpy()
        view = View(turn, joints[SMPL24.index(joint)], height_m, (height_px, height_px), tilt)
        tiles.append(
            label(draw(output.vertices[row].numpy(), model.faces.numpy(), view, joints=joints), name)
        )
    return tiled([tiles[i : i + per_row] for i in range(0, len(tiles), per_row)])


def _pose(turns_deg: Mapping[str, tuple[int, int, int]]) -> Float[np.ndarray, " 72"]:
    pose = np.zeros((24, 3))
    for joint, turn in turns_deg.items():
        pose[SMPL24.index(joint)] = np.deg2rad(turn)
    return pose.ravel()
