"""MPI-INF-3DHP, training set → records.

Expected tree, as distributed: `S1/Seq1/annot.mat` (28 joints of every frame for each of 14 cameras:
`annot2` px, `annot3` mm in camera axes) and `S1/Seq1/imageSequence/video_0.avi`, or the frames that were
extracted from it, `S1/Seq1/imageFrames/video_0/frame_000001.jpg`. A picture's number, not its place in a
listing, names its frame. Bodies come from SPIN's fits to all views at once, `mpi-inf-3dhp_mview_fits.npz` of
its static fits.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from spinloop.datasets.matlab import read_cells
from spinloop.errors import UserError
from spinloop.files import read_npz
from spinloop.joints import JointSet
from spinloop.params.datasets import MpiInf3dhpSource
from spinloop.tables.images import frame_name, open_video, read_size_or_none
from spinloop.tables.records import (
    ReadCounts,
    Record,
    bounding_square,
    common_joints,
    finite_rows,
    make_id,
    root_relative_joints,
)

SEQUENCES = ("Seq1", "Seq2")
N_CAMERAS, N_JOINTS = 14, 28
# The 17 joints of the 28 that are used, and which of the 24 each is: the dataset's head is the 24's jaw, its
# top of the head the 24's head, as published.
MPI28_PLACES: dict[str, int] = {
    "pelvis_mpii": 4, "left_hip": 18, "left_knee": 19, "left_ankle": 20, "right_hip": 23, "right_knee": 24,
    "right_ankle": 25, "spine_h36m": 3, "neck_lsp": 5, "jaw_h36m": 6, "head_h36m": 7, "left_shoulder": 9,
    "left_elbow": 10, "left_wrist": 11, "right_shoulder": 14, "right_elbow": 15, "right_wrist": 16,
}  # fmt: skip
_NAMES: JointSet = tuple(MPI28_PLACES)
_ROWS = list(MPI28_PLACES.values())
_EVERY_JOINT = np.ones(len(_NAMES), dtype=bool)
_FIX = "download MPI-INF-3DHP's training set there, or correct sources.<split>"
_FIX_FITS = "get SPIN's static fits again, or set sources.<split>.fits to null"
_FIX_ROWS = "they belong to other frames; give a file with imgname, or set sources.<split>.fits to null"
_FITS_SHAPES = {"pose": (72,), "shape": (10,), "has_smpl": ()}


class MpiRecording(NamedTuple):
    """One subject's sequence, recorded by one camera."""

    subject: str
    sequence: str
    view: int

    @property
    def title(self) -> str:
        """Subject and sequence: what all cameras recorded at the same time."""
        return f"{self.subject}/{self.sequence}"

    @property
    def video(self) -> str:
        """Path of the video, relative to the dataset's folder."""
        return f"{self.title}/imageSequence/video_{self.view}.avi"

    @property
    def folder(self) -> str:
        """Folder of extracted frames, relative to the dataset's folder."""
        return f"{self.title}/imageFrames/video_{self.view}"

    def extracted(self, index: int) -> str:
        """Path of an extracted 0-based frame, as the published preprocessing names it."""
        return f"{self.folder}/frame_{index + 1:06d}.jpg"


def read_mpi_inf_3dhp(
    raw: Path, split: str, source: MpiInf3dhpSource, is_official: bool, counts: ReadCounts
) -> Iterator[Record]:
    """Records by subject, sequence, camera and frame.

    Args:
        raw: the dataset's folder.
        split: the split's key, first part of the ids.
        source: subjects, cameras, frames.
        is_official: changes nothing: the published order of frames is that of an unsorted listing.
        counts: what is left out: `joint_outside`, `not_finite`, `thinned_out` (not one in `every`),
            `video_ended`, `not_extracted`, `unreadable_image`; flags `no_smpl_parameters`.

    Raises:
        UserError: a file is absent, damaged or not the dataset's, a video is shorter than its annotation, or
            the fits are not those of these people.
    """
    fits = None if source.fits is None else MultiviewFits(raw / source.fits)
    n_whole = 0
    for recording, joints, pixels in _recordings(raw, source):
        pictures = _Pictures(raw, split, recording, source, len(joints))
        is_finite = finite_rows(joints, pixels)
        is_inside = np.all((pixels >= 0) & (pixels < pictures.size[::-1]), axis=(1, 2))
        title = recording.title
        for index in range(len(joints)):
            image = pictures.image(index)
            name = make_id(split, image, 0)
            fault = pictures.fault(index)
            if fault is None and not (is_finite[index] and is_inside[index]):
                fault = "joint_outside" if is_finite[index] else "not_finite"
            if fault is not None:
                counts.leave_out(fault, name)
                continue
            row, rest = divmod(n_whole, source.every)
            n_whole += 1
            if rest or read_size_or_none(raw / image) is None:
                counts.leave_out("thinned_out" if rest else "unreadable_image", name)
                continue
            body = {} if fits is None else fits.body(row, recording.extracted(index))
            if fits is not None and not body:
                counts.flag("no_smpl_parameters", name)
            box = bounding_square(pixels[index], source.box_factor)
            if box is None:
                raise UserError(f"{name}: all joints stand in one place; {_FIX}")
            counts.keep()
            yield Record(
                name, image, *pictures.size, box.center, box.scale,
                keypoints=common_joints(pixels[index], _EVERY_JOINT, _NAMES),
                joints_3d=root_relative_joints(joints[index] / 1000, _NAMES, "pelvis_mpii"),
                sequence=title, frame=index, person=0, **body,
            )  # fmt: skip
    if fits is not None:
        fits.require_rows(-(-n_whole // source.every))


def _recordings(
    raw: Path, source: MpiInf3dhpSource
) -> Iterator[tuple[MpiRecording, Float[np.ndarray, "F 17 3"], Float[np.ndarray, "F 17 2"]]]:
    """Recordings with their joints in mm (camera axes) and px; one sequence in memory at a time."""
    for subject in source.subjects:
        for sequence in SEQUENCES:
            if f"{subject}/{sequence}" in source.skip:
                continue
            path = raw / subject / sequence / "annot.mat"
            widths = {"annot3": N_JOINTS * 3, "annot2": N_JOINTS * 2}
            cells = read_cells(path, widths, N_CAMERAS, _FIX)
            for view in source.views:
                joints, pixels = cells["annot3"][view], cells["annot2"][view]
                if len(joints) != len(pixels):
                    found = f"expected {len(joints)} frames, found {len(pixels)}"
                    raise UserError(f"{path}: annot2[{view}]: {found}; {_FIX}")
                shaped = joints.reshape(-1, N_JOINTS, 3)[:, _ROWS], pixels.reshape(-1, N_JOINTS, 2)[:, _ROWS]
                yield MpiRecording(subject, sequence, view), *shaped


class _Pictures:
    """The pictures of one take, all of one size."""

    size: tuple[int, int]
    """Height and width, px."""

    def __init__(
        self, raw: Path, split: str, recording: MpiRecording, source: MpiInf3dhpSource, n_annotated: int
    ) -> None:
        self._recording, self._is_video = recording, source.frames == "video"
        self._frames = range(n_annotated)
        if not self._is_video:
            self._frames = _extracted(raw / recording.folder, n_annotated)
            self.size = _first_size(raw, [recording.extracted(index) for index in self._frames])
            return
        video = open_video(raw / recording.video)
        self._frames, self.size = range(video.n_frames), (video.height, video.width)
        if n_annotated > video.n_frames + source.missing_frames:
            rules = f"sources.{split}"
            raise UserError(
                f"{video.path}: {video.n_frames} frames, but {n_annotated} are annotated; download the video "
                f"again, raise {rules}.missing_frames, or list '{recording.title}' in {rules}.skip"
            )

    def image(self, index: int) -> str:
        """Path of a 0-based frame's picture, relative to the dataset's folder."""
        return (
            frame_name(self._recording.video, index) if self._is_video else self._recording.extracted(index)
        )

    def fault(self, index: int) -> str | None:
        """Why a frame has no picture."""
        if index in self._frames:
            return None
        return "video_ended" if self._is_video else "not_extracted"


def _extracted(folder: Path, n_annotated: int) -> set[int]:
    """The 0-based frames that were extracted, by the numbers in their names."""
    frames = set[int]()
    for path in folder.glob("*.jpg"):
        number = re.fullmatch(r"frame_(\d{6})", path.stem)
        if number is None or not 1 <= int(number[1]) <= n_annotated:
            raise UserError(f"{path}: expected frame_000001.jpg to frame_{n_annotated:06d}.jpg; remove it")
        frames.add(int(number[1]) - 1)
    if not frames:
        raise UserError(
            f"{folder}: no extracted frames (frame_*.jpg) there; extract them, or read the videos"
        )
    return frames


def _first_size(raw: Path, images: list[str]) -> tuple[int, int]:
    for image in sorted(images):
        size = read_size_or_none(raw / image)
        if size is not None:
            return size
    raise UserError(
        f"{raw / images[0]}: neither this image nor any beside it can be read; extract them again"
    )


class MultiviewFits:
    """Bodies by the image's name where the file has names (`imgname`), otherwise by the row."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            UserError: it is absent, damaged or of another shape.
        """
        self._path = path
        arrays = read_npz(path, _FIX_FITS)
        n_rows = len(arrays.get("pose", ()))
        for key, shape in _FITS_SHAPES.items():
            found = arrays[key].shape if key in arrays else "nothing"
            if found != (n_rows, *shape):
                expected = (n_rows, *shape)
                raise UserError(f"{path}: {key}: expected shape {expected}, found {found}; {_FIX_FITS}")
        self._pose, self._betas, self._has = (arrays[key] for key in _FITS_SHAPES)
        names = arrays.get("imgname")
        self._rows = None if names is None else {str(name): row for row, name in enumerate(names)}

    def body(self, row: int, image: str) -> dict[str, Any]:
        """`pose`, `betas` and `gender` of a record; empty where there is no fit.

        Args:
            row: how many people of the split come before.
            image: name of the extracted frame.

        Raises:
            UserError: the file has fewer rows.
        """
        place = row if self._rows is None else self._rows.get(image)
        if place is None or (place < len(self._has) and not self._has[place]):
            return {}
        if place >= len(self._has):
            raise UserError(f"{self._path}: {len(self._has)} rows, but there are more people; {_FIX_ROWS}")
        return {"pose": self._pose[place], "betas": self._betas[place], "gender": "neutral"}

    def require_rows(self, n_people: int) -> None:
        """Check that the rows were those of these people.

        Raises:
            UserError: rows are told apart by their number only, and that differs.
        """
        if self._rows is None and len(self._has) != n_people:
            raise UserError(f"{self._path}: {len(self._has)} rows, but {n_people} people; {_FIX_ROWS}")
