"""SPIN's camera: a pinhole of 5000 px focal length over a 224 px crop.

A network sees the person through a weak-perspective camera (s, tx, ty); the same camera as a translation of
the body is (tx, ty, 2f / (224 s)) metres. Crops of any pixel size are described in this one 224 px frame.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from spinloop.geometry.crop import CENTER_PX, CROP_PX, FOCAL_PX

# Neither a pixel nor a confidence; squares of such numbers would leave single precision.
_ABSURD = 1e6


def project(
    points: Float[Tensor, "*B N 3"],
    translation: Float[Tensor, "*B 3"],
    focal_px: float = FOCAL_PX,
    center_px: float = CENTER_PX,
) -> Float[Tensor, "*B N 2"]:
    """Pinhole projection of translated points.

    Solvers (`fitting.problems`) and the renderer (`rendering.raycast`) need the inverse depth as well, which
    rounds differently; they have their own.

    Args:
        points: metres, camera axes (x right, y down, z away).
        translation: metres, added to every point of its sample.
        focal_px: focal length, the same on both axes.
        center_px: principal point, the same on both axes.

    Returns:
        Pixels of the crop.
    """
    moved = points + translation.unsqueeze(-2)
    return focal_px * moved[..., :2] / moved[..., 2:] + center_px


def camera_to_translation(camera: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3"]:
    """Translation in metres of the weak-perspective camera (s, tx, ty)."""
    depth = 2 * FOCAL_PX / (CROP_PX * camera[..., 0] + 1e-9)
    return torch.stack([camera[..., 1], camera[..., 2], depth], dim=-1)


def translation_to_camera(translation: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3"]:
    """Weak-perspective camera (s, tx, ty) of a translation in metres."""
    scale = 2 * FOCAL_PX / (CROP_PX * translation[..., 2])
    return torch.stack([scale, translation[..., 0], translation[..., 1]], dim=-1)


def normalize_keypoints(pixels: Float[Tensor, "*B 2"]) -> Float[Tensor, "*B 2"]:
    """Crop pixels to [−1, 1]."""
    return 2 * pixels / CROP_PX - 1


def denormalize_keypoints(normalized: Float[Tensor, "*B 2"]) -> Float[Tensor, "*B 2"]:
    """[−1, 1] to crop pixels."""
    return (normalized + 1) * CENTER_PX


def usable_keypoints(keypoints: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3"]:
    """Keypoints (x, y, confidence), all zero where the confidence is not positive or a number not usable.

    A number is not usable if it is not finite or too large for a pixel or a confidence.
    """
    # NaN is not less than anything.
    known = (keypoints.abs() < _ABSURD).all(-1, keepdim=True) & (keypoints[..., 2:] > 0)
    return torch.where(known, keypoints, 0.0)


def estimate_translation(
    joints: Float[Tensor, "B J 3"],
    keypoints: Float[Tensor, "B J 2"],
    confidence: Float[Tensor, "B J"],
    focal_px: float = FOCAL_PX,
    center_px: float = CENTER_PX,
) -> Float[Tensor, "B 3"]:
    """Translation that best projects joints onto keypoints.

    Weighted linear least squares of the pinhole equations, one 3×3 system per sample, solved in float64.

    Args:
        joints: metres, camera axes.
        keypoints: pixels of the crop.
        confidence: weight of each joint's two equations, in [0, 1]; 0 leaves the joint out, whatever its
            coordinates hold.
        focal_px: focal length.
        center_px: principal point, the same on both axes.

    Returns:
        Metres. A sample with fewer than two weighted joints has no solution; it gets a translation at which
        the crop's height spans two metres.

    Source:
        SPIN's `estimate_translation`; the published code passes only joints 25–48 of the 49.
    """
    xyz, uv, weight = joints.double(), keypoints.double() - center_px, confidence.double()
    known = (weight > 0) & torch.isfinite(uv).all(-1) & torch.isfinite(xyz).all(-1)
    weight = torch.where(known, weight, 0.0)
    xyz = torch.where(known[..., None], xyz, 0.0)
    uv = torch.where(known[..., None], uv, 0.0)

    # Rows of A·t = b: f·tx − u·tz = u·Z − f·X, and the same in y.
    a_u = torch.stack([torch.full_like(weight, focal_px), torch.zeros_like(weight), -uv[..., 0]], -1)
    a_v = torch.stack([torch.zeros_like(weight), torch.full_like(weight, focal_px), -uv[..., 1]], -1)
    rows = torch.cat([a_u, a_v], dim=1)
    right = torch.cat([uv[..., i] * xyz[..., 2] - focal_px * xyz[..., i] for i in (0, 1)], dim=1)
    weights = weight.repeat(1, 2)

    normal = torch.einsum("bn,bni,bnj->bij", weights, rows, rows)
    moment = torch.einsum("bn,bni,bn->bi", weights, rows, right)
    solvable = known.sum(-1) >= 2
    identity = torch.eye(3, dtype=normal.dtype, device=normal.device).expand_as(normal)
    solution, info = torch.linalg.solve_ex(torch.where(solvable[:, None, None], normal, identity), moment)
    usable = solvable & (info == 0) & torch.isfinite(solution).all(-1) & (solution[:, 2] > 0)
    fallback = solution.new_tensor([0.0, 0.0, 2 * focal_px / CROP_PX])
    return torch.where(usable[:, None], solution, fallback).to(joints.dtype)
