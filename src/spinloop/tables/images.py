"""Images of a dataset, in files or in videos: their size without decoding, their pixels, JPEG.

An orientation tag (EXIF) is obeyed, by size and pixels, as detectors and OpenCV do: images are upright.
A path below a video file names one of its frames: `walk.mp4/000001.jpg` is the first. Nothing is extracted.
Frames are decoded one after the other, because seeking is not exact in every format; who reads forward
through a video decodes it once.
"""

import io
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps

from spinloop.errors import UserError, reason_of
from spinloop.files.gate import may_hold, require_file

# Of others Pillow runs programs, or they hold more than one picture.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_MISSING = "complete the download of the images"
# `_open` and `decode` compare a picture's size with its file's.
Image.MAX_IMAGE_PIXELS = None


class UnreadableImage(Exception):
    """An image file that is there but is no image, or is cut off; a person in it is left out and counted."""


def is_present(path: Path) -> bool:
    """Whether there is such an image, or a video that should hold such a frame."""
    frame = split_frame(path)
    return (frame[0] if frame else path).is_file()


def find_image(folder: Path, name: str) -> tuple[str, bool] | None:
    """The path below a folder of the image that a file of annotations names.

    Args:
        folder: the data set's.
        name: as the file has it. Of an absolute path of another machine the longest end that is there counts.

    Returns:
        The path, / between its parts, and whether only an end of the name was used; the name itself if
        nothing is there. None if the name leaves the folder.
    """
    name = name.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or not parts:
        return None
    if name.startswith("/") or re.match(r"^[A-Za-z]:/", name):
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        found = next((end for end in ends if is_present(folder / end)), None)
        return (found, True) if found else ("/".join(parts), False)
    return "/".join(parts), False


def read_size(path: Path) -> tuple[int, int]:
    """Height and width of the upright image, px, from the file's header.

    Raises:
        UserError: there is no such file.
        UnreadableImage: the header is not that of an image.
    """
    if frame := split_frame(path):
        video = open_video(frame[0])
        video.require(frame[1])
        return video.height, video.width
    with _open(path) as image:
        is_on_its_side = _orientation(image) in _ON_ITS_SIDE
        return (image.width, image.height) if is_on_its_side else (image.height, image.width)


def read_size_or_none(path: Path) -> tuple[int, int] | None:
    """Height and width as of `read_size`; None if the file is there but is no image.

    Raises:
        UserError: there is no such file.
    """
    try:
        return read_size(path)
    except UnreadableImage:
        return None


def read_image(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """RGB pixels of the upright image; a grey image has three equal channels.

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
        is_turned = _orientation(image) not in (None, 1)
        return np.asarray((ImageOps.exif_transpose(image) if is_turned else image).convert("RGB"))


def decode(data: UInt8[np.ndarray, " bytes"], where: str, mode: int) -> UInt8[np.ndarray, "H W ..."]:
    """Pixels of the bytes of an image file, as OpenCV decodes them.

    Args:
        data: the file.
        where: file and key, for the message.
        mode: one of OpenCV's `IMREAD_…`.

    Raises:
        UnreadableImage: it cannot be decoded, or claims far more pixels than its bytes may hold.
    """
    with _unreadable(where):
        with Image.open(io.BytesIO(data.tobytes()), formats=_FORMATS) as header:
            _check_size(header, len(data))
        pixels = cv2.imdecode(data, mode)
        if pixels is None:
            raise ValueError("not an image")
        return pixels


def encode_jpeg(image: UInt8[np.ndarray, "H W 3"], quality: int = 95) -> bytes:
    """A JPEG file of RGB pixels.

    Args:
        image: the pixels.
        quality: 1–100; OpenCV's own if not given.
    """
    is_encoded, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not is_encoded:
        raise RuntimeError("OpenCV could not encode a JPEG image")
    return data.tobytes()


def encode_png(image: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """PNG bytes of an RGB image, which keep every pixel; the same image gives the same bytes."""
    is_encoded, data = cv2.imencode(".png", image[..., ::-1])
    if not is_encoded:
        raise RuntimeError("OpenCV could not encode a PNG image")
    return data.tobytes()


# Values of the tag that exchange height and width.
_ON_ITS_SIDE = (5, 6, 7, 8)


def _orientation(image: Image.Image) -> int | None:
    """The orientation tag; None if there is none, or it cannot be read."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a damaged tag turns nothing
        return None


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    """An image file; whatever goes wrong in the block makes it an unreadable one."""
    if not path.exists():
        raise UserError(f"{path}: no such image, but the annotation lists it; {_MISSING}")
    require_file(path, _MISSING)
    with _unreadable(str(path)), Image.open(path, formats=_FORMATS) as image:
        _check_size(image, path.stat().st_size)
        yield image


@contextmanager
def _unreadable(where: str) -> Iterator[None]:
    """Pillow's and OpenCV's errors, of whatever kind, as `UnreadableImage`; their warnings say nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except PermissionError:
        raise
    except Exception as error:
        raise UnreadableImage(f"{where}: {reason_of(error).replace(f'{where}: ', '')}") from None


def _check_size(image: Image.Image, n_bytes: int) -> None:
    if not may_hold(n_bytes, 3 * image.width * image.height):
        raise ValueError(f"{image.width} × {image.height} px in {n_bytes} bytes")


# FFmpeg would print about a damaged file, which a user error says in one line. OpenCV reads this variable
# once, when it first opens or writes a video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
SUFFIXES = (".avi", ".mp4")
_FIX = "download the video again"


class DamagedVideo(Exception):
    """A frame that the video's header announces cannot be decoded."""


def frame_name(video: str, index: int) -> str:
    """Path of a frame.

    Args:
        video: path of the video, / between its parts.
        index: 0-based; the name counts from 1, as extracted frames usually do.
    """
    return f"{video}/{index + 1:06d}.jpg"


def split_frame(path: Path) -> tuple[Path, int] | None:
    """The video and the 0-based frame that a path names; None if it names no frame of a video file."""
    video = path.parent
    if video.suffix.lower() not in SUFFIXES or not path.stem.isdecimal() or video.is_dir():
        return None
    return video, int(path.stem) - 1


class Video:
    """An open video; reading an earlier frame than the last starts again from the first."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            UserError: there is no such file, or it is no video.
        """
        if not path.exists():
            raise UserError(f"{path}: no such video; complete the download of the videos")
        _check_container(require_file(path, _FIX))
        self.path = path
        self._capture = _capture(path)
        self._next = 0
        size = cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH
        self.height, self.width = (int(self._capture.get(key)) for key in size)
        self.n_frames = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        """As the header says."""
        is_sane = may_hold(path.stat().st_size, 3 * self.height * self.width)
        if min(self.height, self.width, self.n_frames) < 1 or not is_sane:
            raise UserError(f"{path}: damaged or not a video; {_FIX}")

    def require(self, index: int) -> None:
        """Check that the video has a frame.

        Raises:
            UserError: it is too short.
        """
        if index >= self.n_frames:
            raise UserError(f"{self.path}: {self.n_frames} frames, but frame {index + 1} is wanted; {_FIX}")

    def read(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        """RGB pixels of a frame.

        Raises:
            UserError: the video has no such frame.
            DamagedVideo: it should have, but cannot be decoded.
        """
        self.require(index)
        if index < self._next:
            self._capture, self._next = _capture(self.path), 0
        while self._next < index:
            self._step(self._capture.grab())
        is_decoded, image = self._capture.read()
        self._step(is_decoded and image is not None and image.ndim == 3)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def _step(self, is_decoded: bool) -> None:
        self._next += 1
        if not is_decoded:
            raise DamagedVideo(f"{self.path}: frame {self._next} cannot be decoded")


def open_video(path: Path) -> Video:
    """The video, kept open for the frames that follow.

    Raises:
        UserError: there is no such file, or it is no video.
    """
    if not path.is_file():
        return Video(path)
    state = path.stat()
    return _kept_open(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1)
def _kept_open(path: Path, changed: int, size: int) -> Video:
    """One video at a time; time and size tell a file that was replaced from the one that is open."""
    return Video(path)


def _check_container(path: Path) -> None:
    """Refuse what only has a video's name: FFmpeg also reads lists of other files, on other machines too."""
    with path.open("rb") as stream:
        start = stream.read(12)
    is_avi = start[:4] == b"RIFF" and start[8:] == b"AVI "
    if not is_avi and start[4:8] not in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"):
        raise UserError(f"{path}: damaged or not a video; {_FIX}")


def _capture(path: Path) -> cv2.VideoCapture:
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    finally:
        cv2.utils.logging.setLogLevel(level)
