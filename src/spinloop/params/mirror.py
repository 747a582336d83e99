"""Sections `mirror_<dataset>`: how much is rendered, and how imperfect it is.

Sections `mirror_h36m` and `mirror_mpi_inf_3dhp`: datasets of a laboratory with calibrated cameras.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from spinloop.params.loader import Section


class Range(Section):
    """Bounds that a value is drawn between, evenly."""

    low: float
    """Lower bound."""
    high: float
    """Upper bound."""

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) must not lie above high ({self.high})")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """(low, high)."""
        return self.low, self.high


class PeopleParams(Section):
    """Bodies and how they stand."""

    betas_std: float = Field(ge=0)
    """Standard deviation of the shape coefficients, in units of the body's own standard deviations."""
    betas_limit: float = Field(gt=0)
    """Shape coefficients are clipped to this size."""
    facing_std_deg: float = Field(ge=0)
    """Spread of the directions of those who face the camera."""
    any_direction: float = Field(ge=0, le=1)
    """Share of people who look in any direction whatever."""
    tilt_std_deg: float = Field(ge=0)
    """Spread of the lean of the whole body from upright, about both horizontal axes."""


class CameraParams(Section):
    """Cameras: real perspective, at a person's distance."""

    field_of_view_deg: Range
    """Angle along the picture's longer side."""
    fill: Range
    """Share of the picture's height that a standing person of 1.7 m takes up."""
    height_m: Range
    """Height of the camera over the floor."""
    roll_std_deg: float = Field(ge=0)
    """Spread of the camera's turn about its axis."""
    off_center: float = Field(ge=0)
    """Spread of the aim beside the person's middle, as a share of the picture."""
    cut_off: float = Field(ge=0, le=1)
    """Share of pictures whose aim is so far off that the border cuts the person."""


class PictureParams(Section):
    """What a lens, a sensor and a file format do to a picture."""

    long_side_px: int = Field(ge=32)
    """Longer side of a picture."""
    short_side_px: int = Field(ge=32)
    """Shorter side; pictures are upright or lying."""
    occluder: float = Field(ge=0, le=1)
    """Share of pictures with a thing in front of the people; half as many have two."""
    occluder_m: Range
    """Sides of such a thing at the person's distance."""
    blur_px: Range
    """Standard deviation of the blur."""
    noise: Range
    """Standard deviation of the sensor's noise, in [0, 1] of full brightness."""
    jpeg_quality: Range
    """Quality of the JPEG file, 1–100."""


class DetectorParams(Section):
    """OpenPose's imperfections. `size` is the square root of the person's area on the picture."""

    noise: float = Field(ge=0)
    """Error of a seen joint, in units of its spread among human annotators, which grows with size."""
    hidden_noise: float = Field(ge=0)
    """The same for a joint that is hidden."""
    miss: float = Field(ge=0, le=1)
    """Chance that a seen joint is not reported (score 0)."""
    hidden_miss: float = Field(ge=0, le=1)
    """Chance that a hidden joint is not reported."""
    outlier: float = Field(ge=0, le=1)
    """Chance that a reported joint is thrown off by about a quarter of the size."""
    swap: float = Field(ge=0, le=1)
    """Chance, each for arms and for legs, that left and right are exchanged."""
    person_miss: float = Field(ge=0, le=1)
    """Chance that a person is not found at all."""
    false_person: float = Field(ge=0, le=1)
    """Chance of a person where there is none."""


class PhotosParams(Section):
    """What all mirrors of single photographs have."""

    seed: int = Field(ge=0)
    """Seed of everything that is drawn."""
    n_images: int = Field(ge=1)
    """Pictures."""
    second_person: float = Field(ge=0, le=1)
    """Share of pictures with two people."""
    annotation_noise: float = Field(ge=0)
    """Error of an annotated joint, in units of its spread among COCO's human annotators."""
    people: PeopleParams
    """Bodies and how they stand."""
    camera: CameraParams
    """Cameras."""
    picture: PictureParams
    """Picture quality and occluders."""
    detector: DetectorParams
    """The OpenPose files beside the pictures."""


class CocoParams(PhotosParams):
    """Section `mirror_coco`."""

    subset: Literal["train2014", "val2014", "train2017", "val2017"]
    """Which of COCO's subsets it stands for: decides the names of files, and the split's, `coco_train` or
    `coco_val`."""
    crowd: float = Field(ge=0, le=1)
    """Share of pictures with a crowd in the background: one annotation (`iscrowd`) for all of it."""
    crowd_people: int = Field(ge=2)
    """People of a crowd."""
    least_keypoints_px: int = Field(ge=0)
    """Whoever shows fewer pixels than this has a box and an outline, but no annotated joint."""
    hidden_not_annotated: float = Field(ge=0, le=1)
    """Chance that a hidden joint is left out by the annotator (visibility 0 instead of 1)."""


class LspParams(PhotosParams):
    """Section `mirror_lsp`; `n_images` are for training. One person of each picture is annotated."""

    n_test_images: int = Field(ge=1, le=1000)
    """Pictures for testing, with masks."""
    seam_px: int = Field(ge=0)
    """Width of the seam between two parts that the part mask leaves open (255)."""

    @model_validator(mode="after")
    def _fits(self) -> "LspParams":
        if self.n_images > 1000:
            raise ValueError(f"n_images ({self.n_images}) must not exceed LSP's 1000 for training")
        return self


class LspetParams(PhotosParams):
    """Section `mirror_lspet`. One person of each picture is annotated."""

    hidden_not_annotated: float = Field(ge=0, le=1)
    """Chance that a hidden joint is not annotated (place and flag 0)."""
    swap: float = Field(ge=0, le=1)
    """Share of people whose left and right the annotator exchanged."""


class MpiiParams(PhotosParams):
    """Section `mirror_mpii`."""

    hidden_not_annotated: float = Field(ge=0, le=1)
    """Chance that a hidden joint is not annotated (place 0)."""


class Pw3dParams(Section):
    """Section `mirror_pw3d`."""

    subset: Literal["train", "validation", "test"]
    """Which of 3DPW's subsets it stands for: its folder, and the split's name, `pw3d_<subset>`."""
    seed: int = Field(ge=0)
    """Seed of everything that is drawn."""
    n_sequences: int = Field(ge=1)
    """Videos."""
    n_frames: int = Field(ge=2)
    """Frames of each."""
    frames_per_pose: int = Field(ge=1)
    """Frames between two poses of the mixture; the frames between them are interpolated."""
    second_person: float = Field(ge=0, le=1)
    """Share of videos with two people."""
    invalid_camera: float = Field(ge=0, le=1)
    """Share of frames whose camera pose is marked as not valid."""
    people: PeopleParams
    """Bodies and how they stand."""
    camera: CameraParams
    """Cameras."""
    picture: PictureParams
    """Picture quality and occluders."""
    detector: DetectorParams
    """The detections in `poses2d`."""


class LabParams(Section):
    """A ring of cameras that never move, around a place where one person acts."""

    side_px: Annotated[int, Field(ge=32, multiple_of=2)]
    """Height and width of a video; even, as video formats want it."""
    field_of_view_deg: Range
    """Angle along the picture's side."""
    distance_m: Range
    """From the middle of the place to a camera."""
    height_m: Range
    """Height of a camera over the floor."""
    radius_m: float = Field(ge=0)
    """How far people move from the middle."""
    blur_px: Range
    """Standard deviation of a lens's blur."""
    noise: Range
    """Standard deviation of a sensor's noise, in [0, 1] of full brightness."""


class StepsParams(Section):
    """People move in steps, so that a picture need not be drawn for every frame of a video."""

    frames_per_step: int = Field(ge=1)
    """Frames that show the same moment."""
    steps_per_pose: int = Field(ge=1)
    """Steps between two poses of the mixture; those between are interpolated."""


class H36mParams(Section):
    """Section `mirror_h36m`."""

    seed: int = Field(ge=0)
    """Seed of everything that is drawn."""
    train_subjects: Annotated[list[str], Field(min_length=1)]
    """Folders of the training subjects."""
    test_subjects: Annotated[list[str], Field(min_length=1)]
    """Folders of the test subjects."""
    train_actions: int = Field(ge=1)
    """Actions of each training subject."""
    test_actions: int = Field(ge=1)
    """Actions of each test subject."""
    n_frames: int = Field(ge=2)
    """Frames of a video; one in five is used."""
    steps: StepsParams
    """How people move."""
    box_room: float = Field(ge=1)
    """Sides of a person's box / those of the person's outline; the boxes of the original are roomy."""
    mosh_missing: float = Field(ge=0, le=1)
    """Share of the training actions for which there are no SMPL parameters."""
    people: PeopleParams
    """Bodies and how they stand."""
    lab: LabParams
    """The four cameras."""
    detector: DetectorParams
    """The OpenPose files of the training frames."""


class MpiTrainParams(Section):
    """The training part of MPI-INF-3DHP's mirror."""

    subjects: Annotated[list[str], Field(min_length=1)]
    """Folders of the subjects; each has two sequences."""
    views: Annotated[list[Annotated[int, Field(ge=0, le=13)]], Field(min_length=1)]
    """Cameras whose videos are drawn; all 14 are annotated."""
    n_frames: int = Field(ge=2)
    """Frames of a video; one in ten is used."""
    steps: StepsParams
    """How people move."""
    fitted: float = Field(ge=0, le=1)
    """Share of frames for which there are SMPL parameters."""
    lab: LabParams
    """The cameras."""
    detector: DetectorParams
    """The OpenPose files of the frames that are used."""


class MpiTestParams(Section):
    """The test part of MPI-INF-3DHP's mirror: six sequences."""

    n_frames: int = Field(ge=2)
    """Frames of each."""
    frames_per_pose: int = Field(ge=1)
    """Frames between two poses of the mixture."""
    not_valid: float = Field(ge=0, le=1)
    """Share of frames that the dataset marks as not valid."""
    camera: CameraParams
    """Cameras."""
    picture: PictureParams
    """Picture quality and occluders; the pictures of TS1 to TS4 are square, with the shorter side."""


class MpiInf3dhpParams(Section):
    """Section `mirror_mpi_inf_3dhp`."""

    seed: int = Field(ge=0)
    """Seed of everything that is drawn."""
    people: PeopleParams
    """Bodies and how they stand."""
    train: MpiTrainParams
    """S1 and others, filmed from all around."""
    test: MpiTestParams
    """TS1 to TS6."""
