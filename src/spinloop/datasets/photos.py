"""Photographs with a detector's files and no annotation → records that hold a box only.

Expected tree: images anywhere below the folder, each with OpenPose's file beside it (`a.jpg`,
`a_keypoints.json`), or the files of another detector in the folder. Merging with the same folder gives the
detected joints to the record they came from.
"""

from collections.abc import Iterator
from pathlib import Path

from spinloop.errors import UserError
from spinloop.keypoints.detections import count_limbs, open_detections
from spinloop.keypoints.joining import IMAGE_SUFFIXES, Named
from spinloop.params.datasets import PhotosSource
from spinloop.tables.images import read_size_or_none
from spinloop.tables.records import ReadCounts, Record, bounding_square, make_id

# Pictures that people have beside the photographs and that are not read.
_NOT_READ = {".avif", ".dng", ".gif", ".heic", ".heif", ".mov", ".mp4", ".avi"}
# Of so many joints beside the photograph, it is not the one that the detector saw.
_MOST = 0.5


def read_photos(
    raw: Path, split: str, source: PhotosSource, is_official: bool, counts: ReadCounts
) -> Iterator[Record]:
    """A record per detected person, by image name and place in OpenPose's file.

    Args:
        raw: folder of the photographs and detections.
        split: the split's key, first part of the ids.
        source: the rules.
        is_official: must be False: the published code has no such reader.
        counts: what is left out: images with `no_file`, `no_person` or `unreadable_image`; people with
            `too_few_limb_joints`, `empty_box` or `joints_outside_image` (most are: another photograph's).
            Notes pictures in formats that are not read (`file_not_read`), what of the detector's files was
            left out, and those that are of no image (`detections_for_nobody`).

    Raises:
        UserError: there is no image, or of the detector's files none can be used.
    """
    if is_official:
        raise UserError(
            "--compat official: the published code reads no photos without annotation; leave it out"
        )
    files = sorted(path for path in raw.rglob("*") if path.is_file())
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    for path in files:
        if path.suffix.lower() in _NOT_READ:
            counts.flag("file_not_read", path.relative_to(raw).as_posix())
    if not images:
        raise UserError(f"{raw}: no photographs (*.jpg, *.png) there; correct sources.{split}.raw")
    names = [path.relative_to(raw).as_posix() for path in images]
    detections = open_detections(raw).joined(map(Named, names))
    for path, image in zip(images, names, strict=True):
        people = detections.of(image)
        if people is None or not len(people):
            counts.leave_out("no_file" if people is None else "no_person", f"{split}/{image}")
            continue
        size = read_size_or_none(path)
        if size is None:
            counts.leave_out("unreadable_image", f"{split}/{image}")
            continue
        for person, joints in enumerate(people):
            name = make_id(split, image, person)
            seen = joints[joints[:, 2] > 0, :2]
            box = bounding_square(seen, source.box_factor) if len(seen) else None
            if count_limbs(joints) < source.min_limb_joints or box is None:
                counts.leave_out("empty_box" if box is None else "too_few_limb_joints", name)
                continue
            if (seen > size[::-1]).any(axis=1).mean() > _MOST:
                counts.leave_out("joints_outside_image", name)
                continue
            counts.keep()
            yield Record(name, image, *size, box.center, box.scale, person=person)
    detections.require_one(names[0])
    detections.note(counts)
