"""Sections `sources`, `merge`, `validate`, `crops`: what is read, joined with detections, shown, packed."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, RootModel

from spinloop.params.loader import Section

Positive = Annotated[float, Field(gt=0)]


class _Source(Section):
    raw: str
    """Folder that holds the dataset in its own layout; `dvc.yaml` hands it to the stages."""
    box_factor: Positive
    """Side of the square box / longer side of what is boxed; 1.2 as published."""


class CocoSource(_Source):
    """COCO person keypoints."""

    reader: Literal["coco"]
    """The dataset's format."""
    subset: Literal["train2014", "val2014", "train2017", "val2017"]
    """Which of COCO's annotation files, `annotations/person_keypoints_<subset>.json`."""
    openpose: str | None
    """Folder of OpenPose's JSON files, or one JSON file of COCO's 17 joints; null without detections."""
    min_limb_joints: Annotated[int, Field(ge=1, le=12)]
    """Annotated joints of arms and legs that a person needs to be kept; 12 as published."""


class Pw3dSource(_Source):
    """3D Poses in the Wild."""

    reader: Literal["pw3d"]
    """The dataset's format."""
    subset: Literal["train", "validation", "test"]
    """Folder below `sequenceFiles/`."""


class PhotosSource(_Source):
    """Photographs with nothing but OpenPose's JSON files beside them."""

    reader: Literal["photos"]
    """The dataset's format."""
    min_limb_joints: Annotated[int, Field(ge=1, le=12)]
    """Detected joints of arms and legs that a person needs to be kept."""


class _JointRowsSource(_Source):
    openpose: str | None
    """Folder of OpenPose's JSON files, or one JSON file of COCO's 17 joints; null without detections."""
    min_limb_joints: Annotated[int, Field(ge=1, le=12)]
    """Annotated joints of arms and legs that a person needs to be kept."""


class LspSource(_JointRowsSource):
    """Leeds Sports Pose: the training half of the original images, or the test half."""

    reader: Literal["lsp"]
    """The dataset's format."""
    subset: Literal["train", "test"]
    """Images 1 to 1000, or 1001 to 2000."""
    masks: str | None
    """Folder of UPi-S1h below `raw` (a link will do), for masks and part masks; null for none."""


class LspetSource(_JointRowsSource):
    """Leeds Sports Pose extended, in high resolution."""

    reader: Literal["lspet"]
    """The dataset's format."""


class MpiiSource(_JointRowsSource):
    """MPII Human Pose, training set; `box_factor` serves only rows whose own box is empty."""

    reader: Literal["mpii"]
    """The dataset's format."""


AnySource = Annotated[
    CocoSource | LspSource | LspetSource | MpiiSource | PhotosSource | Pw3dSource,
    Field(discriminator="reader"),
]


class SourcesParams(RootModel[dict[str, AnySource]]):
    """One source per split; the split's key names it in every file and id."""

    model_config = ConfigDict(frozen=True, strict=True)


class MergeParams(Section):
    """Which detected person is the annotated one."""

    max_distance: Positive
    """Largest mean distance of joints that both see / side of the person's box."""
    min_common_joints: Annotated[int, Field(ge=1, le=12)]
    """Joints of arms and legs that detection and annotation must share to be compared."""


class ValidateParams(Section):
    """The page of people to look at."""

    n_people: Annotated[int, Field(ge=1)]
    """How many are drawn."""
    seed: Annotated[int, Field(ge=0)]
    """Decides who."""


class CropsParams(Section):
    """Packed images of people."""

    size_px: Annotated[int, Field(ge=16)]
    """Side of a person's box in the packed image."""
    margin: Annotated[float, Field(ge=1)]
    """Side of the packed region / side of the box: room for rotation (√2) and zooming out."""
    jpeg_quality: Annotated[int, Field(ge=1, le=100)]
    """JPEG quality of the packed image."""
