"""Sections `mirror_<dataset>`: size of the rendered datasets, their scenes, and their imperfections."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from spinloop.params.loader import Section


class Range(Section):
    """Bounds of a value that is sampled uniformly."""

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
    """Shapes of people, and how they stand."""

    betas_std: float = Field(ge=0)
    """Standard deviation of the shape coefficients, in units of the body's own standard deviations."""
    betas_limit: float = Field(gt=0)
    """Shape coefficients are clipped to this absolute value."""
    facing_std_deg: float = Field(ge=0)
    """Standard deviation of the yaw of people who face the camera."""
    any_direction: float = Field(ge=0, le=1)
    """Share of people who face a direction sampled uniformly."""
    tilt_std_deg: float = Field(ge=0)
    """Standard deviation of the lean of the whole body, about both horizontal axes."""


class CameraParams(Section):
    """Cameras, with full perspective."""

    field_of_view_deg: Range
    """Angle along the picture's longer side."""
    fill: Range
    """Height of a standing person of 1.7 m as a share of the picture's height."""
    height_m: Range
    """Height of the camera above the floor."""
    roll_std_deg: float = Field(ge=0)
    """Standard deviation of the rotation about the optical axis."""
    off_center: float = Field(ge=0)
    """Standard deviation of the aim about the person's middle, as a share of the picture."""
    cut_off: float = Field(ge=0, le=1)
    """Share of pictures aimed so that the border cuts the person off."""


class PictureParams(Section):
    """Size, occluders, lens, sensor and file format of pictures."""

    long_side_px: int = Field(ge=32)
    """Longer side of a picture."""
    short_side_px: int = Field(ge=32)
    """Shorter side; pictures are in portrait or landscape format."""
    occluder: float = Field(ge=0, le=1)
    """Share of pictures with an occluder in front of the people; half as many have two."""
    occluder_m: Range
    """Width and height of an occluder at the person's distance."""
    blur_px: Range
    """Standard deviation of the blur."""
    noise: Range
    """Standard deviation of the sensor's noise, in [0, 1] of full brightness."""
    jpeg_quality: Range
    """Quality of the JPEG file, 1–100."""


class DetectorParams(Section):
    """Errors of OpenPose. `size` is the square root of the person's area on the picture."""

    noise: float = Field(ge=0)
    """Error of a visible joint, in units of its spread among human annotators, which grows with size."""
    hidden_noise: float = Field(ge=0)
    """The same for a hidden joint."""
    miss: float = Field(ge=0, le=1)
    """Probability that a visible joint is not reported (score 0)."""
    hidden_miss: float = Field(ge=0, le=1)
    """Probability that a hidden joint is not reported."""
    outlier: float = Field(ge=0, le=1)
    """Probability that a reported joint is off by about a quarter of the size."""
    swap: float = Field(ge=0, le=1)
    """Probability, for arms and for legs separately, that left and right are exchanged."""
    person_miss: float = Field(ge=0, le=1)
    """Probability that a person is not found."""
    false_person: float = Field(ge=0, le=1)
    """Probability of a detection where there is no person."""


class PhotosParams(Section):
    """Parameters of all mirrors of single photographs."""

    seed: int = Field(ge=0)
    """Seed of all random numbers."""
    n_images: int = Field(ge=1)
    """Number of pictures."""
    second_person: float = Field(ge=0, le=1)
    """Share of pictures with two people."""
    annotation_noise: float = Field(ge=0)
    """Error of an annotated joint, in units of its spread among COCO's human annotators."""
    people: PeopleParams
    """Shapes of people, and how they stand."""
    camera: CameraParams
    """Cameras."""
    picture: PictureParams
    """Size, occluders and quality of the pictures."""
    detector: DetectorParams
    """OpenPose's files of the pictures."""


class CocoParams(PhotosParams):
    """Section `mirror_coco`."""

    subset: Literal["train2014", "val2014", "train2017", "val2017"]
    """COCO's subset; it decides the names of the files and of the split (`coco_train` or `coco_val`)."""
    crowd: float = Field(ge=0, le=1)
    """Share of pictures with a crowd in the background, which has one annotation (`iscrowd`)."""
    crowd_people: int = Field(ge=2)
    """People in a crowd."""
    least_keypoints_px: int = Field(ge=0)
    """People who show fewer pixels than this have a box and an outline, but no annotated joint."""
    hidden_not_annotated: float = Field(ge=0, le=1)
    """Probability that a hidden joint is not annotated (visibility 0 instead of 1)."""


class LspParams(PhotosParams):
    """Section `mirror_lsp`; `n_images` are training pictures. One person in each picture is annotated."""

    n_test_images: int = Field(ge=1, le=1000)
    """Number of test pictures, which have masks."""
    seam_px: int = Field(ge=0)
    """Width of the seam between two parts that is not labeled in the part mask (255)."""

    @model_validator(mode="after")
    def _fits(self) -> "LspParams":
        if self.n_images > 1000:
            raise ValueError(f"n_images ({self.n_images}) must not exceed LSP's 1000 for training")
        return self


class LspetParams(PhotosParams):
    """Section `mirror_lspet`. One person in each picture is annotated."""

    hidden_not_annotated: float = Field(ge=0, le=1)
    """Probability that a hidden joint is not annotated (position and flag 0)."""
    swap: float = Field(ge=0, le=1)
    """Share of people whose left and right joints are exchanged."""


class MpiiParams(PhotosParams):
    """Section `mirror_mpii`."""

    hidden_not_annotated: float = Field(ge=0, le=1)
    """Probability that a hidden joint is not annotated (position 0)."""


class Pw3dParams(Section):
    """Section `mirror_pw3d`."""

    subset: Literal["train", "validation", "test"]
    """3DPW's subset; it decides the folder and the name of the split (`pw3d_<subset>`)."""
    seed: int = Field(ge=0)
    """Seed of all random numbers."""
    n_sequences: int = Field(ge=1)
    """Number of videos."""
    n_frames: int = Field(ge=2)
    """Frames of each video."""
    frames_per_pose: int = Field(ge=1)
    """Frames from one pose of the mixture to the next; those between are interpolated."""
    second_person: float = Field(ge=0, le=1)
    """Share of videos with two people."""
    invalid_camera: float = Field(ge=0, le=1)
    """Share of frames whose camera pose is marked as not valid."""
    people: PeopleParams
    """Shapes of people, and how they stand."""
    camera: CameraParams
    """Cameras."""
    picture: PictureParams
    """Size, occluders and quality of the pictures."""
    detector: DetectorParams
    """The detections in `poses2d`."""


class LabParams(Section):
    """A ring of static cameras around one person."""

    side_px: Annotated[int, Field(ge=32, multiple_of=2)]
    """Height and width of a video; even, as video formats require."""
    field_of_view_deg: Range
    """Angle along the picture's side."""
    distance_m: Range
    """From the middle of the laboratory to a camera."""
    height_m: Range
    """Height of a camera above the floor."""
    radius_m: float = Field(ge=0)
    """Largest distance of the person from the middle."""
    blur_px: Range
    """Standard deviation of a lens's blur."""
    noise: Range
    """Standard deviation of a sensor's noise, in [0, 1] of full brightness."""


class StepsParams(Section):
    """Motion in steps, so that not every frame of a video has to be rendered."""

    frames_per_step: int = Field(ge=1)
    """Frames that show the same picture."""
    steps_per_pose: int = Field(ge=1)
    """Steps from one pose of the mixture to the next; those between are interpolated."""


class H36mParams(Section):
    """Section `mirror_h36m`."""

    seed: int = Field(ge=0)
    """Seed of all random numbers."""
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
    """Sides of a person's box / those of the outline; the original's boxes are larger than the person."""
    mosh_missing: float = Field(ge=0, le=1)
    """Share of the training actions without SMPL parameters."""
    people: PeopleParams
    """Shapes of people, and how they stand."""
    lab: LabParams
    """The four cameras."""
    detector: DetectorParams
    """OpenPose's files of the training frames."""


class MpiTrainParams(Section):
    """The training part of MPI-INF-3DHP's mirror."""

    subjects: Annotated[list[str], Field(min_length=1)]
    """Folders of the subjects; each has two sequences."""
    views: Annotated[list[Annotated[int, Field(ge=0, le=13)]], Field(min_length=1)]
    """Cameras whose videos are rendered; all 14 are annotated."""
    n_frames: int = Field(ge=2)
    """Frames of a video; one in ten is used."""
    steps: StepsParams
    """How people move."""
    fitted: float = Field(ge=0, le=1)
    """Share of frames with SMPL parameters."""
    lab: LabParams
    """The cameras."""
    detector: DetectorParams
    """OpenPose's files of the frames that are used."""


class MpiTestParams(Section):
    """The test part of MPI-INF-3DHP's mirror: six sequences."""

    n_frames: int = Field(ge=2)
    """Frames of each video."""
    frames_per_pose: int = Field(ge=1)
    """Frames from one pose of the mixture to the next."""
    not_valid: float = Field(ge=0, le=1)
    """Share of frames that the dataset marks as not valid."""
    camera: CameraParams
    """Cameras."""
    picture: PictureParams
    """Size, occluders and quality; the pictures of TS1 to TS4 are square, with the shorter side."""


class MpiInf3dhpParams(Section):
    """Section `mirror_mpi_inf_3dhp`."""

    seed: int = Field(ge=0)
    """Seed of all random numbers."""
    people: PeopleParams
    """Shapes of people, and how they stand."""
    train: MpiTrainParams
    """The subjects S1 to S8, recorded from all around."""
    test: MpiTestParams
    """The sequences TS1 to TS6."""
