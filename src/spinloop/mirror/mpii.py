"""A mirror of MPII Human Pose as the stacked hourglass networks read it: a row of `train.h5` per person."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from spinloop.datasets.mpii import MPII16
from spinloop.files.hdf5 import hdf5_output
from spinloop.geometry.crop import BOX_UNIT_PX
from spinloop.mirror.job import MirrorJob, truth_row
from spinloop.mirror.people import CameraPerson
from spinloop.mirror.photographs import (
    LEAST_AREA_PX,
    RenderedPhotograph,
    annotate_joints,
    render_photographs,
    write_openpose,
)
from spinloop.mirror.scene import ProjectedJoints, save_jpeg
from spinloop.params.mirror import MpiiParams
from spinloop.tables.records import make_id

_SPLIT = "mpii_train"
_STREAM = 14  # second entry of every seed; every mirror has its own
_ORDER = 2
# That project moved MPII's own box down by 15 px of its unit, and enlarged it.
_DOWN_PX, _ENLARGED = 15.0, 1.25


class MpiiPerson(NamedTuple):
    """A person's row of `train.h5` and of the truth."""

    image: str
    center: Float[np.ndarray, " 2"]
    scale: float
    joints: Float[np.ndarray, "16 2"]
    truth: dict[str, Any]
    """Without the id, which has the number of the row."""


def write_mpii(job: MirrorJob[MpiiParams], root: Path, openpose: Path) -> list[dict[str, Any]]:
    """Render the mirror; the rows of `train.h5` are shuffled, as their order has no meaning in the original.

    Args:
        job: the section `mirror_mpii`, the neutral body, the distribution of poses.
        root: folder of the mirror; `images/` is made in it.
        openpose: folder of OpenPose's files; likewise.

    Returns:
        The rows of the truth.
    """
    params, folders = job.params, (root / "images", openpose / "images")
    pictures = render_photographs(job, _STREAM, range(params.n_images), folders, _save_picture)
    people = [person for picture in pictures for person in picture]
    order = np.random.default_rng([params.seed, _STREAM, _ORDER]).permutation(len(people))
    rows = [people[index] for index in order]
    with hdf5_output(root / "train.h5") as file:
        file["imgname"] = np.array([row.image.encode() for row in rows])
        file["center"] = np.stack([row.center for row in rows])
        file["scale"] = np.array([row.scale for row in rows])
        file["part"] = np.stack([row.joints for row in rows])
    return [
        row.truth | {"id": make_id(_SPLIT, f"images/{row.image}", number)} for number, row in enumerate(rows)
    ]


def _save_picture(
    photograph: RenderedPhotograph, params: MpiiParams, images: Path, openpose: Path
) -> list[MpiiPerson]:
    name = f"{7 * (photograph.number + 1):09d}"
    save_jpeg(images / f"{name}.jpg", photograph.picture.image, params.picture, photograph.rng)
    write_openpose(openpose / f"{name}_keypoints.json", photograph, params)
    return [
        _annotate(params, photograph, f"{name}.jpg", person, joints)
        for number, (person, joints) in enumerate(
            zip(photograph.scene.people, photograph.joints, strict=True)
        )
        if (photograph.picture.owner == number).sum() >= LEAST_AREA_PX
    ]


def _annotate(
    params: MpiiParams,
    photograph: RenderedPhotograph,
    image: str,
    person: CameraPerson,
    joints: ProjectedJoints,
) -> MpiiPerson:
    camera = photograph.scene.camera
    places, is_known = annotate_joints(photograph, joints, MPII16, params)
    is_known &= (places > 0).all(1)
    outline = camera.project(person.vertices)
    low, high = outline.min(0), outline.max(0)
    scale = float((high - low)[1]) / BOX_UNIT_PX
    center = (low + high) / 2 + [0.0, _DOWN_PX * scale]
    known = np.where(is_known[:, None], places, 0.0)
    return MpiiPerson(image, center, _ENLARGED * scale, known, truth_row(image, person, camera))
