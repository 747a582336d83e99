"""OpenPose's files as people to fit, and the fits drawn on their photographs."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8

from spinloop.body.model import BodyModel
from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.files import atomic
from spinloop.fitting.offline import crop_keypoints
from spinloop.fitting.request import Request
from spinloop.geometry.crop import BOX_UNIT_PX, CROP_PX
from spinloop.keypoints.openpose import merge_joints, read_openpose
from spinloop.rendering.pictures import Color, Color8, draw_joints, overlay_in_box
from spinloop.tables.images import UnreadableImage, encode_jpeg, read_size, read_upright
from spinloop.tables.records import Box, bounding_square

_ENDING = "_keypoints.json"
_SUFFIXES = (".jpg", ".jpeg", ".png")
# As the preprocessing leaves room around a person.
_BOX_FACTOR = 1.2
_JOINT_COLOR: Color8 = (255, 220, 0)
_NOWHERE = Box(np.zeros(2), 1.0)


class Photographs(NamedTuple):
    """Detected people and where they are."""

    request: Request
    """Ids are `<file name without ending>#<place in the file>`."""
    images: list[Path | None]
    """Each person's photograph; None where there is no folder of them."""
    boxes: list[Box]
    """Each person's crop in the photograph."""


def read_photographs(openpose: Path, images: Path | None) -> Photographs:
    """Everybody in a folder of OpenPose's BODY_25 files, by file name and place in the file.

    Args:
        openpose: folder with `a_keypoints.json`, …, in any depth.
        images: folder with `a.jpg` (or `.jpeg`, `.png`), … at the same places.

    Raises:
        UserError: there is no such folder, no such file or nobody in any, a file is not OpenPose's, a
            photograph is missing or no image, or the detections plainly are not in its pixels.
    """
    for option, folder in (("--openpose", openpose), ("--images", images)):
        if folder is not None and not folder.is_dir():
            raise UserError(f"{option} {folder}: no such folder; correct the path")
    files = sorted(openpose.rglob(f"*{_ENDING}"))
    if not files:
        raise UserError(f"{openpose}: no *{_ENDING} there; run OpenPose with --write_json")
    ids: list[str] = []
    keypoints: list[np.ndarray] = []
    pictures: list[Path | None] = []
    boxes: list[Box] = []
    for file in files:
        name = file.relative_to(openpose).as_posix().removesuffix(_ENDING)
        picture = None if images is None else _find_image(images, name)
        people = read_openpose(file)
        for number, joints in enumerate(() if people is None else people):
            _check_pixels(file, number, joints, picture)
            box = bounding_square(joints[joints[:, 2] > 0, :2], _BOX_FACTOR) if joints.any() else None
            ids.append(f"{name}#{number}")
            pictures.append(picture)
            boxes.append(box or _NOWHERE)
            keypoints.append(merge_joints(None, joints if box else np.zeros_like(joints)))
    if not ids:
        raise UserError(f"{openpose}: {len(files)} files and nobody in any of them; nothing to fit")
    places = np.array([box.center for box in boxes]), np.array([box.scale for box in boxes])
    moved = crop_keypoints(np.stack(keypoints), *places)
    request = Request(ids, moved.astype(np.float32), None, np.zeros(len(ids), bool))
    return Photographs(request, pictures, boxes)


def draw_overlays(
    folder: Path, photographs: Photographs, model: BodyModel, state: BodyState, colors: Sequence[Color | None]
) -> int:
    """Draw the fitted bodies and the detected joints on each photograph, far people first.

    Args:
        folder: gets a JPEG of each photograph, named like it.
        photographs: who, where.
        model: the body that was fitted.
        state: the fits, on the CPU.
        colors: of each body; None draws the joints alone.

    Returns:
        How many pictures were written.
    """
    rows: dict[Path, list[int]] = {}
    for row, picture in enumerate(photographs.images):
        if picture is not None:
            rows.setdefault(picture, []).append(row)
    # The crop's camera sees a person as from a distance that shrinks with the crop.
    distance = [
        float(z) / box.scale for z, box in zip(state.translation[:, 2], photographs.boxes, strict=True)
    ]
    for picture, people in rows.items():
        canvas = _read(picture)
        for row in sorted(people, key=lambda row: -distance[row]):
            box, color = photographs.boxes[row], colors[row]
            if color is not None:
                with torch.no_grad():
                    body = model.vertices(state.pose[row, None], state.betas[row, None])[0]
                vertices = (body + state.translation[row]).numpy()
                side_px = BOX_UNIT_PX * box.scale
                canvas = overlay_in_box(
                    canvas, vertices, model.faces.numpy(), box.center, side_px, color=color
                )
            canvas = _with_joints(canvas, photographs.request.keypoints[row], box)
        name = photographs.request.ids[people[0]].rpartition("#")[0]
        with atomic(folder / f"{name}.jpg") as temporary:
            temporary.write_bytes(encode_jpeg(canvas))
    return len(rows)


def _find_image(images: Path, name: str) -> Path:
    place = images / name
    folder = sorted(place.parent.iterdir()) if place.parent.is_dir() else []
    for path in folder:
        if path.stem == place.name and path.suffix.lower() in _SUFFIXES:
            return path
    raise UserError(f"{place}.jpg: no such image (nor .jpeg, .png); leave --images out to fit without")


def _check_pixels(file: Path, number: int, joints: Float[np.ndarray, "25 3"], image: Path | None) -> None:
    """Refuse detections that plainly are not in pixels of their photograph."""
    seen = joints[joints[:, 2] > 0, :2]
    if not len(seen):
        return
    where = f"{file}: people[{number}]"
    if np.abs(seen).max() <= 2:
        raise UserError(f"{where}: all within ±2; run OpenPose with --keypoint_scale 0, which writes pixels")
    if image is None:
        return
    try:
        height, width = read_size(image)
    except UnreadableImage as error:
        raise UserError(f"{error}; replace the image or leave --images out") from None
    outside = [(seen > size).any(1).mean() for size in ((width, height), (height, width))]
    if min(outside) > 0.5:  # whichever way a tag turns the image
        size = f"({width} × {height} px)"
        raise UserError(
            f"{where}: most joints, up to {seen.max():.0f} px, lie outside {image.name} {size}; give the "
            "images that OpenPose saw"
        )


def _read(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """RGB; turned by the orientation tag, as OpenPose reads it."""
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
