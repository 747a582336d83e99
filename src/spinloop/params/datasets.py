"""Sections `sources`, `merge`, `validate`, `crops`: what is read, joined with detections, shown, packed."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, RootModel

from spinloop.params.loader import Positive, Section


class _Source(Section):
    raw: str
    """Folder that holds the dataset in its own layout; `dvc.yaml` hands it to the stages."""
    box_factor: Positive
    """Side of the square box / longer side of what is boxed; 1.2 as published."""


class _DetectedSource(_Source):
    openpose: str | None
    """Folder of OpenPose's JSON files, or one JSON file of COCO's 17 joints; null where nothing is merged."""


class CocoSource(_DetectedSource):
    """COCO person keypoints."""

    reader: Literal["coco"]
    """The dataset's format."""
    subset: Literal["train2014", "val2014", "train2017", "val2017"]
    """Which of COCO's annotation files, `annotations/person_keypoints_<subset>.json`."""
    min_limb_joints: Annotated[int, Field(ge=1, le=12)]
    """Annotated joints of arms and legs that a person needs to be kept; 12 as published."""


class Pw3dSource(_Source):
    """3D Poses in the Wild."""

    reader: Literal["pw3d"]
    """The dataset's format."""
    subset: Literal["train", "validation", "test"]
    """Folder below `sequenceFiles/`."""


class _VideoSource(_DetectedSource):
    frames: Literal["video", "images"]
    """Where pictures come from: decoded from the videos, or image files that were extracted before."""
    missing_frames: Annotated[int, Field(ge=0)]
    """Annotated frames that a video may lack at its end; they are left out and counted."""
    skip: list[str]
    """Recordings left out because their files are known to be damaged."""


class H36mSource(_VideoSource):
    """Human3.6M: any subjects and cameras; a protocol is a choice of both."""

    reader: Literal["h36m"]
    """The dataset's format."""
    subjects: Annotated[list[str], Field(min_length=1)]
    """Folders such as S9, in this order."""
    cameras: Annotated[list[str], Field(min_length=1)]
    """Names such as 60457274."""
    every: Annotated[int, Field(ge=1)]
    """One frame in so many is kept, the first included; 5 as published."""
    has_2d: bool
    """Read `D2_Positions` too; training needs it, the protocols do not."""
    mosh: str | None
    """Folder of MoSh's SMPL parameters, relative to `raw` or absolute; null without."""


class MpiInf3dhpSource(_VideoSource):
    """MPI-INF-3DHP, training set."""

    reader: Literal["mpi_inf_3dhp"]
    """The dataset's format."""
    subjects: Annotated[list[str], Field(min_length=1)]
    """Folders such as S1, in this order; each has Seq1 and Seq2."""
    views: Annotated[list[Annotated[int, Field(ge=0, le=13)]], Field(min_length=1)]
    """Cameras by number."""
    every: Annotated[int, Field(ge=1)]
    """One in so many of the frames that show all joints is kept, counted over all videos; 10 as published."""
    fits: str | None
    """SPIN's multi-view fits (`mpi-inf-3dhp_mview_fits.npz`), relative to `raw` or absolute; null without."""


class MpiInf3dhpTestSource(_Source):
    """MPI-INF-3DHP, test set."""

    reader: Literal["mpi_inf_3dhp_test"]
    """The dataset's format."""
    sequences: Annotated[list[str], Field(min_length=1)]
    """Folders such as TS1, in this order."""
    skeleton: Literal["universal", "metric"]
    """3D joints at the size of the universal skeleton, as the protocol asks, or at the person's own."""


class PhotosSource(_Source):
    """Photographs with nothing but OpenPose's JSON files beside them."""

    reader: Literal["photos"]
    """The dataset's format."""
    min_limb_joints: Annotated[int, Field(ge=1, le=12)]
    """Detected joints of arms and legs that a person needs to be kept."""


class _JointRowsSource(_DetectedSource):
    min_limb_joints: Annotated[int, Field(ge=1, le=12)]
    """Annotated joints of arms and legs that a person needs to be kept."""


class LspSource(_JointRowsSource):
    """Leeds Sports Pose: the training half of the original images, or the test half."""

    reader: Literal["lsp"]
    """The dataset's format."""
    subset: Literal["train", "test"]
    """Images 1 to 1000, or 1001 to 2000."""
    masks: str | None
    """Folder of UPi-S1h below `raw`, for masks and part masks; null for none."""


class LspetSource(_JointRowsSource):
    """Leeds Sports Pose extended, in high resolution."""

    reader: Literal["lspet"]
    """The dataset's format."""


class MpiiSource(_JointRowsSource):
    """MPII Human Pose, training set; `box_factor` serves only rows whose own box is empty."""

    reader: Literal["mpii"]
    """The dataset's format."""


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
    """Section `raw`: name of a dataset → its folder, of which `list_raw` keeps a list."""

    model_config = ConfigDict(frozen=True, strict=True)


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
