"""Silhouettes and part labels of a mesh.

Label maps of a person in the original image, from the network's camera of the 224 px crop.

The crop is a window of the image, enlarged by 224 / side: in pixels of the image the same camera has the
focal length 5000 · side / 224 and its principal point at the middle of the box, so the body can be drawn at
the image's own resolution at once. The published code draws at 224 px and enlarges the result by the nearest
pixel; both are here.
"""

import numpy as np
from jaxtyping import Bool, Float, Int, Num, UInt8
from PIL import Image

from spinloop.geometry.crop import BOX_UNIT_PX, CENTER_PX, CROP_PX, FOCAL_PX
from spinloop.rendering.raycast import Buffers, render

BACKGROUND = 0


def silhouette(buffers: Buffers) -> Bool[np.ndarray, "H W"]:
    """True on the mesh."""
    return buffers.mask


def part_labels(buffers: Buffers, face_labels: UInt8[np.ndarray, " F"]) -> UInt8[np.ndarray, "H W"]:
    """The label of the face that each pixel sees; 0 beside the mesh.

    Args:
        buffers: what the pixels see.
        face_labels: one label per face, from 1 up.
    """
    labels = np.where(buffers.mask, face_labels[buffers.face_index], BACKGROUND)
    return labels.astype(np.uint8)


def contour(mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Pixels of the mask with a direct neighbor outside it; beyond the image is outside."""
    inner = np.pad(mask, 1)
    core = inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    return mask & ~core


# Beyond this depth the published renderer draws nothing.
_PUBLISHED_FAR_M = 100.0


def draw_labels(
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


def draw_labels_as_published(
    vertices: Num[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    face_labels: UInt8[np.ndarray, " F"],
    center: Float[np.ndarray, " 2"],
    scale: float,
    size: tuple[int, int],
) -> UInt8[np.ndarray, "H W"]:
    """Part labels drawn at 224 px and brought back by the nearest pixel; arguments as in `draw_labels`.

    Source:
        SPIN's `eval.py` (`PartRenderer`, `uncrop`): nothing is drawn beyond 100 m.
    """
    side = int(CROP_PX)
    buffers = render(vertices, faces, FOCAL_PX, (CENTER_PX, CENTER_PX), (side, side))
    labels = part_labels(buffers, face_labels)
    return uncrop_nearest(np.where(buffers.depth <= _PUBLISHED_FAR_M, labels, 0), center, scale, size)


def uncrop_nearest(
    crop: UInt8[np.ndarray, "S S"], center: Float[np.ndarray, " 2"], scale: float, size: tuple[int, int]
) -> UInt8[np.ndarray, "H W"]:
    """Paste a crop into an empty image; corners are cut to whole pixels as the published code does.

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
