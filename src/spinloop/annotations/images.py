"""Image files: their size without decoding, and their pixels with every fault noticed.

Pixels are taken as stored: an orientation tag is not obeyed, because annotations refer to the stored raster.
A path below a video file names one of its frames (`annotations.video`).
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from spinloop.annotations.video import DamagedVideo, open_video, split_frame
from spinloop.errors import UserError


class UnreadableImage(Exception):
    """An image file that is there but is no image, or is cut off; a person in it is left out and counted."""


def is_present(path: Path) -> bool:
    """Whether there is such an image, or a video that should hold such a frame."""
    frame = split_frame(path)
    return (frame[0] if frame else path).is_file()


def read_size(path: Path) -> tuple[int, int]:
    """Height and width, px, from the file's header.

    Raises:
        UserError: there is no such file.
        UnreadableImage: the header is not that of an image.
    """
    if frame := split_frame(path):
        video = open_video(frame[0])
        video.require(frame[1])
        return video.height, video.width
    with _open(path) as image:
        return image.height, image.width


def read_image(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """RGB pixels; a grey image has three equal channels.

    Raises:
        UserError: there is no such file.
        UnreadableImage: it cannot be decoded to its last row.
    """
    if frame := split_frame(path):
        try:
            return open_video(frame[0]).read(frame[1])
        except DamagedVideo as error:
            raise UnreadableImage(str(error)) from None
    with _open(path) as image:
        try:
            return np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError) as error:
            raise UnreadableImage(f"{path}: {error}") from None


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except FileNotFoundError:
        message = f"{path}: no such image, but the annotation lists it; complete the download of the images"
        raise UserError(message) from None
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise UnreadableImage(f"{path}: {error}") from None
