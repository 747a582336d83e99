"""Part labels of a mesh, and of a person in the original image as the camera of the 224 px crop sees them.

The crop is a window of the image, scaled by 224 / side: in pixels of the image the same camera has the focal
length 5000 · side / 224 and its principal point at the middle of the box, so the body can be rendered at the
image's own resolution. The published code renders at 224 px and scales the result by the nearest pixel; both
are here.
"""

import numpy as np
from jaxtyping import Float, Int, Num, UInt8
from PIL import Image

from spinloop.geometry.crop import BOX_UNIT_PX, CENTER_PX, CROP_PX, FOCAL_PX
from spinloop.rendering.raycast import Buffers, render


def part_labels(buffers: Buffers, face_labels: UInt8[np.ndarray, " F"]) -> UInt8[np.ndarray, "H W"]:
    """The label of the face that each pixel shows; 0 beside the mesh.

    Args:
        buffers: result of `raycast.render`.
        face_labels: one label per face, from 1 up.
    """
    labels = np.where(buffers.mask, face_labels[buffers.face_index], 0)
    return labels.astype(np.uint8)


# The published renderer leaves out what is further away.
_PUBLISHED_FAR_M = 100.0


def render_labels(
    vertices: Num[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    face_labels: UInt8[np.ndarray, " F"],
    center: Float[np.ndarray, " 2"],
    scale: float,
    size: tuple[int, int],
) -> UInt8[np.ndarray, "H W"]:
    """Part labels at the image's own resolution; 0 beside the person.

    Args:
        vertices: metres, axes of the crop's camera, the translation added.
        faces: corner indices.
        face_labels: one label per face, from 1 up.
        center: middle of the person's box, px of the image.
        scale: side of the box / 200 px.
        size: height and width of the image.
    """
    focal_px = FOCAL_PX * BOX_UNIT_PX * scale / CROP_PX
    return part_labels(render(vertices, faces, focal_px, center, size), face_labels)


def render_labels_as_published(
    vertices: Num[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    face_labels: UInt8[np.ndarray, " F"],
    center: Float[np.ndarray, " 2"],
    scale: float,
    size: tuple[int, int],
) -> UInt8[np.ndarray, "H W"]:
    """Part labels rendered at 224 px and resized by the nearest pixel; arguments as in `render_labels`.

    Source:
        SPIN's `eval.py` (`PartRenderer`, `uncrop`); nothing beyond 100 m is rendered.
    """
    side = int(CROP_PX)
    buffers = render(vertices, faces, FOCAL_PX, (CENTER_PX, CENTER_PX), (side, side))
    labels = part_labels(buffers, face_labels)
    return uncrop_nearest(np.where(buffers.depth <= _PUBLISHED_FAR_M, labels, 0), center, scale, size)


def uncrop_nearest(
    crop: UInt8[np.ndarray, "S S"], center: Float[np.ndarray, " 2"], scale: float, size: tuple[int, int]
) -> UInt8[np.ndarray, "H W"]:
    """Paste a crop into an empty image; corners are truncated to whole pixels, as in the published code.

    Args:
        crop: the crop's pixels.
        center: middle of the box, px of the image.
        scale: side of the box / 200 px.
        size: height and width of the image.

    Source:
        SPIN's `utils/imutils.py` (`uncrop`), scipy 1.0's `imresize` being Pillow's.
    """
    half = BOX_UNIT_PX * scale / 2
    left, top = (int(value) for value in np.trunc(np.asarray(center) - half))
    right, bottom = (int(value) for value in np.trunc(np.asarray(center) + half))
    image = np.zeros(size, np.uint8)
    if right <= left or bottom <= top:
        return image
    window = np.asarray(Image.fromarray(crop).resize((right - left, bottom - top), Image.Resampling.NEAREST))
    rows = slice(max(top, 0), min(bottom, size[0]))
    columns = slice(max(left, 0), min(right, size[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        image[rows, columns] = window[rows.start - top : rows.stop - top, columns.start - left :][
            :, : columns.stop - columns.start
        ]
    return image
