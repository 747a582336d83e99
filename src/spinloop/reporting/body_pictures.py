"""Pictures of a body model: rest pose, parts, shape coefficients, poses, landmarks and bent joints."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from spinloop.body.files import BodyFile
from spinloop.body.model import BodyModel
from spinloop.joints import N_OPENPOSE, SMPL24, VERTEX_JOINTS
from spinloop.rendering.pictures import Color8, contact_sheet, draw_joints, label, shade
from spinloop.rendering.raycast import Buffers, project_points, render

# A distant camera with a long lens: rays are nearly parallel.
_DISTANCE_M = 20.0
# Rays per pixel along each axis, for smooth outlines.
_RAYS = 2
_MARGIN = 1.06
_SKIN = np.array([0.80, 0.72, 0.66])
_PART_COLORS = np.array(
    [
        [0.90, 0.62, 0.00], [0.34, 0.71, 0.91], [0.00, 0.62, 0.45],
        [0.94, 0.89, 0.26], [0.00, 0.45, 0.70], [0.80, 0.47, 0.65],
    ]
)  # fmt: skip
_JOINT_COLOR: Color8 = (204, 0, 51)

Image = UInt8[np.ndarray, "H W 3"]


class BodyView(NamedTuple):
    """The camera of a picture of a body."""

    azimuth_deg: float
    """0 shows the front of the body, 90 its left side, 180 its back."""
    middle: Float[np.ndarray, " 3"]
    """The point in the middle of the picture, metres, body frame."""
    height_m: float
    """Height of the picture, at that point."""
    size: tuple[int, int]
    """Height and width, pixels."""
    elevation_deg: float = 0.0
    """90 looks straight down, with the front of the body at the bottom of the picture at azimuth 0."""


@torch.no_grad()
def rest_sheet(model: BodyModel, height_px: int) -> Image:
    """The rest pose from the front, side and back, with SMPL's 24 joints (top) and the 24 annotated ones."""
    output = model(torch.zeros(1, 72), torch.zeros(1, 10))
    vertices = output.vertices[0].numpy()
    wide, narrow = (height_px, height_px), (height_px, height_px // 2)
    rows = [
        [
            render_view(vertices, model.faces.numpy(), _whole(vertices, azimuth, size), joints=points)
            for azimuth, size in ((0.0, wide), (90.0, narrow), (180.0, wide))
        ]
        for points in (output.joints24[0].numpy(), output.joints49[0, N_OPENPOSE:].numpy())
    ]
    return contact_sheet(rows)


def parts_sheet(body: BodyFile, height_px: int) -> Image:
    """The six parts from the front and back, each in its color."""
    colors = _PART_COLORS[body.part_labels - 1]
    views = [_whole(body.v_template, azimuth, (height_px, height_px)) for azimuth in (0.0, 180.0)]
    return contact_sheet([[render_view(body.v_template, body.f, view, colors) for view in views]])


@torch.no_grad()
def shapes_sheet(model: BodyModel, height_px: int) -> Image:
    """One row per shape coefficient: −2, 0 and +2 standard deviations, front and side, all to one scale."""
    rows = []
    for index in range(10):
        tiles = []
        for value in (-2.0, 0.0, 2.0):
            betas = torch.zeros(1, 10)
            betas[0, index] = value
            vertices = model.vertices(torch.zeros(1, 72), betas)[0].numpy()
            for azimuth, width in ((0.0, height_px), (90.0, height_px // 2)):
                view = BodyView(azimuth, np.array([0.0, -0.15, 0.0]), 2.1, (height_px, width))
                tiles.append(render_view(vertices, model.faces.numpy(), view))
            amount = f"{value:+.0f}" if value else "0"
            tiles[-2] = label(tiles[-2], f"beta {index + 1} = {amount}")
        rows.append(tiles)
    return contact_sheet(rows)


@torch.no_grad()
def poses_sheet(
    model: BodyModel,
    poses: Float[np.ndarray, "N 69"],
    height_px: int,
    per_row: int,
    names: Sequence[str] = (),
) -> Image:
    """The mean body in each pose, upright, at an azimuth of 30°.

    Args:
        model: the body.
        poses: axis-angle, radians; N is a multiple of `per_row`.
        height_px: of a tile.
        per_row: tiles in a row.
        names: of the poses, written on the tiles; none if empty.
    """
    upright = torch.cat([torch.zeros(len(poses), 3), torch.from_numpy(poses).float()], dim=1)
    bodies = model.vertices(upright, torch.zeros(len(poses), 10)).numpy()
    size = (height_px, 4 * height_px // 5)
    tiles = [render_view(vertices, model.faces.numpy(), _whole(vertices, 30.0, size)) for vertices in bodies]
    tiles = [label(tile, name) for tile, name in zip(tiles, names, strict=True)] if names else tiles
    return contact_sheet([tiles[i : i + per_row] for i in range(0, len(tiles), per_row)])


def render_view(
    vertices: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    view: BodyView,
    face_colors: Float[np.ndarray, "F 3"] | None = None,
    joints: Float[np.ndarray, "J 3"] | None = None,
) -> Image:
    """Render one picture of a body on white.

    Args:
        vertices: metres, body frame (y up).
        faces: counter-clockwise seen from outside, closed.
        view: the camera.
        face_colors: RGB in [0, 1] of each face; skin if not given.
        joints: points to mark, visible through the body.
    """
    focal_px = view.size[0] * _DISTANCE_M / view.height_m
    center_px = np.array([view.size[1] / 2, view.size[0] / 2])
    points = to_camera(vertices, view)
    fine = (_RAYS * view.size[0], _RAYS * view.size[1])
    buffers = render(points, faces, _RAYS * focal_px, tuple(_RAYS * center_px), fine, is_closed=True)
    painted = _paint(buffers, shade(points, faces, buffers), face_colors)
    image = cv2.resize(painted, view.size[::-1], interpolation=cv2.INTER_AREA)
    if joints is None:
        return image
    pixels = project_points(to_camera(joints, view), focal_px, center_px)
    return draw_joints(image, pixels, max(view.size[0] // 150, 2), [_JOINT_COLOR] * len(pixels))


def to_camera(points: Float[np.ndarray, "N 3"], view: BodyView) -> Float[np.ndarray, "N 3"]:
    """Points in the axes of the camera of a view: x right, y down, z away, metres."""
    azimuth, elevation = np.deg2rad(view.azimuth_deg), np.deg2rad(view.elevation_deg)
    x, y, z = (points - view.middle).T
    right = np.cos(azimuth) * x - np.sin(azimuth) * z
    ahead = np.sin(azimuth) * x + np.cos(azimuth) * z
    up = np.cos(elevation) * y - np.sin(elevation) * ahead
    towards = np.sin(elevation) * y + np.cos(elevation) * ahead
    return np.stack([right, -up, _DISTANCE_M - towards], axis=1)


def _paint(
    buffers: Buffers, brightness: Float[np.ndarray, "H W"], face_colors: Float[np.ndarray, "F 3"] | None
) -> Image:
    image = np.ones((*brightness.shape, 3))
    color = _SKIN if face_colors is None else face_colors[buffers.face_index[buffers.mask]]
    image[buffers.mask] = brightness[buffers.mask][:, None] * color
    return np.rint(255 * image).astype(np.uint8)


def _whole(vertices: Float[np.ndarray, "V 3"], azimuth_deg: float, size: tuple[int, int]) -> BodyView:
    """A view that just contains the body."""
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    view = BodyView(azimuth_deg, (low + high) / 2, 1.0, size)
    width, height = np.ptp(to_camera(vertices, view)[:, :2], axis=0)
    return view._replace(height_m=_MARGIN * float(max(height, width * size[0] / size[1])))


# Name, rotation vectors of joints in degrees, joint in the middle, azimuth, elevation, height in metres.
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
    """Head, left hand and left foot with the 21 vertices that SMPL's keypoints are."""
    output = model(torch.zeros(1, 72), torch.zeros(1, 10))
    vertices = output.vertices[0].numpy()
    named = {name: vertices[number] for name, number in VERTEX_JOINTS.items()}
    head = output.joints24[0, SMPL24.index("head")].numpy() + np.array([0.0, 0.03, 0.02])
    hand = (output.joints24[0, SMPL24.index("left_wrist")].numpy() + named["left_middle"]) / 2
    foot = (named["left_heel"] + named["left_big_toe"]) / 2
    size = (height_px, height_px)
    views = (
        (BodyView(0.0, head, 0.32, size), BodyView(90.0, head, 0.32, size), BodyView(35.0, head, 0.32, size)),
        (
            BodyView(0.0, hand, 0.3, size, 90.0),
            BodyView(0.0, hand, 0.3, size, -90.0),
            BodyView(90.0, hand, 0.3, size),
        ),
        (
            BodyView(90.0, foot, 0.35, size),
            BodyView(0.0, foot, 0.35, size, 20.0),
            BodyView(180.0, foot, 0.35, size),
        ),
    )
    points = np.stack(list(named.values()))
    return contact_sheet(
        [[render_view(vertices, model.faces.numpy(), view, joints=points) for view in row] for row in views]
    )


@torch.no_grad()
def bends_sheet(model: BodyModel, height_px: int, per_row: int) -> Image:
    """Bent elbow, knee, ankle, shoulder, wrist and back, with SMPL's joints."""
    poses = torch.from_numpy(np.stack([_pose(rotations) for _, rotations, *_ in _BENDS])).float()
    output = model(poses, torch.zeros(len(poses), 10))
    tiles = []
    for row, (name, _, joint, azimuth, elevation, height_m) in enumerate(_BENDS):
        joints = output.joints24[row].numpy()
        view = BodyView(azimuth, joints[SMPL24.index(joint)], height_m, (height_px, height_px), elevation)
        tiles.append(
            label(render_view(output.vertices[row].numpy(), model.faces.numpy(), view, joints=joints), name)
        )
    return contact_sheet([tiles[i : i + per_row] for i in range(0, len(tiles), per_row)])


def _pose(rotations_deg: Mapping[str, tuple[int, int, int]]) -> Float[np.ndarray, " 72"]:
    pose = np.zeros((24, 3))
    for joint, rotation in rotations_deg.items():
        pose[SMPL24.index(joint)] = np.deg2rad(rotation)
    return pose.ravel()
