"""People that a user gives to `spinloop fit` as a detector's files, with or without the photographs."""

from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from spinloop.errors import UserError
from spinloop.fitting.user_keypoints import PeopleToFit, Photograph, read_keypoint_file
from spinloop.geometry.crop import crop_keypoints
from spinloop.keypoints.detected_people import Key
from spinloop.keypoints.detections import open_detections
from spinloop.keypoints.joining import IMAGE_SUFFIXES, Named, join_images
from spinloop.keypoints.merge import merge_joints
from spinloop.tables.images import UnreadableImage, read_size
from spinloop.tables.records import Box, bounding_square

# As the preprocessing leaves room around a person.
_BOX_FACTOR = 1.2
_EMPTY_BOX = Box(np.zeros(2), 1.0)


def read_people(
    keypoints: Path | None, detections: Path | None, images: Path | None, layout: str = "auto"
) -> PeopleToFit:
    """Read people from one of the two sources of the command line.

    Raises:
        UserError: none or both are given; also see `read_keypoint_file` and `read_detected_people`.
    """
    if keypoints is not None and detections is None and images is None:
        return read_keypoint_file(keypoints, layout)
    if detections is None or keypoints is not None:
        raise UserError("fit: give --keypoints FILE, or --openpose DIR --images DIR; change the call")
    return read_detected_people(detections, images, layout)


class _Images(NamedTuple):
    """The photographs of the detections, as far as they are there."""

    of_key: dict[Key, tuple[Path, int, int]]
    """Path, height and width (px)."""
    first_fault: str | None
    n_faults: int


def read_detected_people(detections: Path, images: Path | None, layout: str = "auto") -> PeopleToFit:
    """Everyone whom a detector found, by image and place in the image's list.

    Args:
        detections: a detector's folder or file (`keypoints.detections`).
        images: folder of the photographs, in any depth; None to go without.
        layout: the word of the joint set; `auto` recognises it.

    Returns:
        People with ids `<image without ending>#<place in its list>`. Of most joints beside the photograph
        (`is_outside`): it is not the one that the detector saw.

    Raises:
        UserError: there is no such folder or file, nothing in it can be used, nobody was found, no photograph
            is there or can be read, or most people are outside theirs.
    """
    for option, path in (("--openpose", detections), ("--images", images)):
        if path is not None and not path.is_dir() and not (option == "--openpose" and path.is_file()):
            raise UserError(f"{option} {path}: no such folder; correct the path")
    found = open_detections(detections, layout)
    if not found.keys:
        raise UserError(
            found.faults.first or f"{detections}: no detections there; run OpenPose with --write_json"
        )
    photographs = None if images is None else _join(detections, images, found.keys)
    ids: list[str] = []
    joints: list[np.ndarray] = []
    shown: list[Photograph | None] = []
    boxes: list[Box] = []
    is_outside: list[bool] = []
    first_outside: str | None = None
    for one in found:
        image = photographs.of_key.get(one.key) if photographs else None
        for number, person in enumerate(one.people):
            box = bounding_square(person[person[:, 2] > 0, :2], _BOX_FACTOR) if person.any() else None
            ids.append(f"{_name(one.key)}#{number}")
            boxes.append(box or _EMPTY_BOX)
            shown.append(None if image is None else Photograph(image[0], boxes[-1]))
            joints.append(merge_joints(None, person if box else np.zeros_like(person)))
            fault = _outside_fault(person, image)
            is_outside.append(fault is not None)
            if fault is not None and first_outside is None:
                first_outside = f"{one.file}: {_name(one.key)}: people[{number}]: {fault}"
    found.require_any()
    if not ids:
        words = f"{len(found.keys)} images without any person; there is nothing to fit"
        raise UserError(found.faults.first or f"{detections}: {words}")
    if photographs and photographs.first_fault and not any(shown):
        raise UserError(photographs.first_fault)
    n_seen = sum(person.any() for person in joints)
    if first_outside and sum(is_outside) >= 0.5 * n_seen:
        raise UserError(first_outside)
    centers, scales = np.array([box.center for box in boxes]), np.array([box.scale for box in boxes])
    moved = crop_keypoints(np.stack(joints), centers, scales).astype(np.float32)
    about = found.describe()
    if photographs and photographs.n_faults:
        about += f"; {photographs.n_faults} images without their photograph: {photographs.first_fault}"
    return PeopleToFit(_unique(ids), moved, None, np.array(is_outside), shown, about)


def _join(detections: Path, images: Path, keys: list[Key]) -> _Images:
    names = [
        path.relative_to(images).as_posix()
        for path in sorted(images.rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]
    image_of = {key: image for image, key in join_images(detections, keys, map(Named, names)).key_of.items()}
    of_key: dict[Key, tuple[Path, int, int]] = {}
    faults: list[str] = []
    for key in keys:
        if key not in image_of:
            cure = "leave --images out to fit without"
            faults.append(f"{images / _name(key)}.jpg: no such image (nor another ending); {cure}")
            continue
        path = images / image_of[key]
        try:
            of_key[key] = (path, *read_size(path))
        except UnreadableImage as error:
            faults.append(f"{error}; replace the image or leave --images out")
    return _Images(of_key, faults[0] if faults else None, len(faults))


def _name(key: Key) -> str:
    """A key without ending, for ids."""
    if key.name is None:
        return str(key.number)
    path = PurePosixPath(key.name.replace("\\", "/"))
    return (path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path).as_posix()


def _unique(ids: list[str]) -> list[str]:
    """Ids, with a number behind those that were there before: `a.jpg` and `a.png` are both `a`."""
    seen: dict[str, int] = {}
    names = []
    for name in ids:
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}~{seen[name]}")
    return names


def _outside_fault(joints: Float[np.ndarray, "25 3"], image: tuple[Path, int, int] | None) -> str | None:
    """Why detections cannot be in pixels of their photograph."""
    seen = joints[joints[:, 2] > 0, :2]
    if image is None or not len(seen):
        return None
    path, height, width = image
    if not (seen > (width, height)).any(1).mean() > 0.5:
        return None
    size = f"({width} × {height} px)"
    return (
        f"most joints, up to {seen.max():.0f} px, lie outside {path.name} {size}; give the images that the "
        "detector saw"
    )
