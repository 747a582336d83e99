"""Sections `raw`, `sources`, `merge`, `validate` and `crops`: datasets and what is made of them."""

import math
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, RootModel

from spinloop.params.loader import Positive, Section


class _Source(Section):
    raw: str
    """Folder of the dataset, in the layout in which it is distributed."""
    box_factor: Positive
    """Side of the square box relative to the longer side of the person; 1.2 as published."""
    lossless: bool = False
    """Pack the crops without loss (PNG), as test splits need it; false packs JPEG, a fifth of the size."""


class _DetectedSource(_Source):
    openpose: str | None
    """Folder of OpenPose's JSON files, or one JSON file of COCO's 17 joints; null for none."""


class CocoSource(_DetectedSource):
    """COCO person keypoints."""

    reader: Literal["coco"]
    """Format of the dataset."""
    subset: Literal["train2014", "val2014", "train2017", "val2017"]
    """COCO's annotation file, `annotations/person_keypoints_<subset>.json`."""
    min_limb_joints: Annotated[int, Field(ge=1, le=12)]
    """Annotated joints of arms and legs that a person needs to be kept; 12 as published."""


class Pw3dSource(_Source):
    """3D Poses in the Wild."""

    reader: Literal["pw3d"]
    """Format of the dataset."""
    subset: Literal["train", "validation", "test"]
    """Folder below `sequenceFiles/`."""


class _VideoSource(_DetectedSource):
    frames: Literal["video", "images"]
    """Source of the pictures: the videos, or image files that were extracted before."""
    missing_frames: Annotated[int, Field(ge=0)]
    """Number of annotated frames that a video may lack at its end; they are left out and counted."""
    skip: list[str]
    """Recordings to leave out, because their files are known to be damaged."""


class H36mSource(_VideoSource):
    """Human3.6M: any subjects and cameras; a protocol is a choice of both."""

    reader: Literal["h36m"]
    """Format of the dataset."""
    subjects: Annotated[list[str], Field(min_length=1)]
    """Folders such as S9, in this order."""
    cameras: Annotated[list[str], Field(min_length=1)]
    """Names such as 60457274."""
    every: Annotated[int, Field(ge=1)]
    """Step from one kept frame to the next, beginning with the first; 5 as published."""
    has_2d: bool
    """Read `D2_Positions` too; training needs it, the protocols do not."""
    mosh: str | None
    """Folder of MoSh's SMPL parameters, relative to `raw` or absolute; null without."""


class MpiInf3dhpSource(_VideoSource):
    """MPI-INF-3DHP, training set."""

    reader: Literal["mpi_inf_3dhp"]
    """Format of the dataset."""
    subjects: Annotated[list[str], Field(min_length=1)]
    """Folders such as S1, in this order; each has Seq1 and Seq2."""
    views: Annotated[list[Annotated[int, Field(ge=0, le=13)]], Field(min_length=1)]
    """Cameras by number."""
    every: Annotated[int, Field(ge=1)]
    """Step between kept frames, among those that show all joints, over all videos; 10 as published."""
    fits: str | None
    """SPIN's multi-view fits (`mpi-inf-3dhp_mview_fits.npz`), relative to `raw` or absolute; null without."""


class MpiInf3dhpTestSource(_Source):
    """MPI-INF-3DHP, test set."""

    reader: Literal["mpi_inf_3dhp_test"]
    """Format of the dataset."""
    sequences: Annotated[list[str], Field(min_length=1)]
    """Folders such as TS1, in this order."""
    skeleton: Literal["universal", "metric"]
    """Size of the 3D joints: of the universal skeleton, as in the protocol, or of the person."""


class PhotosSource(_Source):
    """Photographs with OpenPose's JSON files and no annotations."""

    reader: Literal["photos"]
    """Format of the dataset."""
    min_limb_joints: Annotated[int, Field(ge=1, le=12)]
    """Detected joints of arms and legs that a person needs to be kept."""


class _JointsSource(_DetectedSource):
    min_limb_joints: Annotated[int, Field(ge=1, le=12)]
    """Annotated joints of arms and legs that a person needs to be kept."""


class LspSource(_JointsSource):
    """Leeds Sports Pose: the training half of the original images, or the test half."""

    reader: Literal["lsp"]
    """Format of the dataset."""
    subset: Literal["train", "test"]
    """Images 1 to 1000, or 1001 to 2000."""
    masks: str | None
    """Folder of UPi-S1h below `raw`, for masks and part masks; null for none."""


class LspetSource(_JointsSource):
    """Leeds Sports Pose extended, in high resolution."""

    reader: Literal["lspet"]
    """Format of the dataset."""


class MpiiSource(_JointsSource):
    """MPII Human Pose, training set; `box_factor` is used only for rows whose own box is empty."""

    reader: Literal["mpii"]
    """Format of the dataset."""


AnySource = Annotated[
    CocoSource
    | H36mSource
    | LspSource
    | LspetSource
    | MpiInf3dhpSource
    | MpiInf3dhpTestSource
    | MpiiSource
    | PhotosSource
    | Pw3dSource,
    Field(discriminator="reader"),
]


class RawParams(RootModel[dict[Annotated[str, Field(pattern=r"^\w+$")], str]]):
    """Section `raw`: name of a dataset → its folder, whose files `list_raw` lists."""

    model_config = ConfigDict(frozen=True, strict=True)


class SourcesParams(RootModel[dict[str, AnySource]]):
    """Section `sources`: name of a split → its dataset; the name stands in all its files and ids."""

    model_config = ConfigDict(frozen=True, strict=True)


class MergeParams(Section):
    """Matching of detected and annotated people (section `merge`)."""

    max_distance: Positive
    """Largest mean distance of common joints, relative to the side of the person's box."""
    min_common_joints: Annotated[int, Field(ge=1, le=12)]
    """Joints of arms and legs that detection and annotation must share to be compared."""


class ValidateParams(Section):
    """The page of random people (section `validate`)."""

    n_people: Annotated[int, Field(ge=1)]
    """Number of people."""
    seed: Annotated[int, Field(ge=0)]
    """Seed of their choice."""


class CropsParams(Section):
    """Packed images of people (section `crops`)."""

    size_px: Annotated[int, Field(ge=16)]
    """Side of a person's box in the packed image."""
    margin: Annotated[float, Field(ge=1)]
    """Side of the packed region relative to the box: room for rotation and zooming out."""
    jpeg_quality: Annotated[int, Field(ge=1, le=100)]
    """JPEG quality of the packed image."""

    @property
    def side_px(self) -> int:
        """Side of the packed image: the box with as many whole pixels on each side as the margin needs.

        So a network of the box's size sees packed pixels themselves.
        """
        return self.size_px + 2 * math.ceil(self.size_px * (self.margin - 1) / 2)
