"""What `spinloop fit` writes: the fits as an npz file, and photographs with the fitted bodies."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Integer, UInt8

from spinloop.body.model import BodyModel
from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.files import atomic
from spinloop.fitting.user_keypoints import START_WIDTHS, PeopleToFit
from spinloop.geometry.crop import BOX_UNIT_PX, CROP_PX
from spinloop.rendering.pictures import SKY_BLUE, Color, Color8, draw_joints, overlay_in_box
from spinloop.tables.fits import STATUSES, FitResult
from spinloop.tables.images import UnreadableImage, encode_jpeg, read_upright
from spinloop.tables.records import Box

_ORANGE: Color = (0.95, 0.45, 0.2)
_JOINT_COLOR: Color8 = (255, 220, 0)
# Good fits, then those that should not be used; for other statuses only the joints are shown.
_COLORS = {
    "converged": SKY_BLUE,
    "max_iterations": SKY_BLUE,
    "rejected_reprojection": _ORANGE,
    "shape_out_of_range": _ORANGE,
}


def save_fits(
    path: Path, ids: Sequence[str], result: FitResult, status: Integer[np.ndarray, " N"], seconds: float
) -> None:
    """Write the fits, atomically.

    Args:
        path: npz with `ids`, `pose`, `betas`, `cam_t`, `joints`, `reprojection`, `objective`, `status`,
            `iterations` and `seconds`.
        ids: of the people.
        result: their fits.
        status: positions in `STATUSES`.
        seconds: of the solver, without loading.
    """
    arrays = {key: part.cpu().numpy() for key, part in zip(START_WIDTHS, result.state, strict=True)}
    for key in ("joints", "reprojection", "objective", "iterations"):
        arrays[key] = getattr(result, key).cpu().numpy()
    arrays["ids"] = np.array(ids)
    arrays["status"] = np.array([STATUSES[code] for code in status])
    arrays["seconds"] = np.array(seconds)
    with atomic(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def save_overlays(
    folder: Path, people: PeopleToFit, model: BodyModel, state: BodyState, status: Integer[np.ndarray, " N"]
) -> int:
    """Write each photograph with the fitted bodies and the detected joints, far people first.

    Args:
        folder: gets a JPEG of each photograph, named like it.
        people: their keypoints and photographs.
        model: the body that was fitted.
        state: the fits, on the CPU.
        status: positions in `STATUSES`; they decide the color of a body, and whether it is shown.

    Returns:
        How many pictures were written.
    """
    rows: dict[Path, list[tuple[int, Box]]] = {}
    for row, photograph in enumerate(people.photographs):
        if photograph is not None:
            rows.setdefault(photograph.path, []).append((row, photograph.box))
    for path, shown in rows.items():
        image = _read(path)
        # The crop's camera sees a person as from a distance that shrinks with the crop.
        for row, box in sorted(shown, key=lambda each: -float(state.translation[each[0], 2]) / each[1].scale):
            color = _COLORS.get(STATUSES[status[row]])
            if color is not None:
                with torch.no_grad():
                    body = model.vertices(state.pose[row, None], state.betas[row, None])[0]
                vertices, side_px = (body + state.translation[row]).numpy(), BOX_UNIT_PX * box.scale
                image = overlay_in_box(image, vertices, model.faces.numpy(), box.center, side_px, color=color)
            image = _with_joints(image, people.keypoints[row], box)
        name = people.ids[shown[0][0]].rpartition("#")[0]
        with atomic(folder / f"{name}.jpg") as temporary:
            temporary.write_bytes(encode_jpeg(image))
    return len(rows)


def _read(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """RGB, upright by the orientation tag, as OpenPose reads it."""
    try:
        return read_upright(path)
    except UnreadableImage as error:
        raise UserError(f"{error}; replace it or leave --images out") from None


def _with_joints(
    image: UInt8[np.ndarray, "H W 3"], keypoints: Float[np.ndarray, "49 3"], box: Box
) -> UInt8[np.ndarray, "H W 3"]:
    """The photograph with the detected joints, which are given in pixels of the crop."""
    zoom = BOX_UNIT_PX * box.scale / CROP_PX
    pixels = box.center + zoom * (keypoints[keypoints[:, 2] > 0, :2] - CROP_PX / 2)
    return draw_joints(image, pixels, max(2, round(1.2 * zoom)), [_JOINT_COLOR] * len(pixels))
