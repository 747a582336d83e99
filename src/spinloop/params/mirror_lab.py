"""Sections `mirror_h36m` and `mirror_mpi_inf_3dhp`: datasets of a laboratory with calibrated cameras."""

from typing import Annotated

from pydantic import Field

from spinloop.params.loader import Section
from spinloop.params.mirror import CameraParams, DetectorParams, PeopleParams, PictureParams, Range


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
