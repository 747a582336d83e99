"""Sections `body`, `prior`, `fitting`, `fit_initial` and `lifter`: the body and its fits."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator

from spinloop.params.loader import Count, NotNegative, Positive, Section, Share
from spinloop.params.mirror import Range

Engine = Literal["spinloop", "smplx"]


class BodyParams(Section):
    """Section `body`: the body, and the population from which the free body is built."""

    source: Literal["free", "smpl"]
    """`free` builds the body from Anny, `smpl` reads your SMPL files."""
    smpl_folder: str | None
    """With `smpl`: folder with the three SMPL files (or subfolders with them) and SPIN's regressors."""
    engine: Engine
    """Code that poses meshes: ours, or smplx as the reference."""
    seed: Annotated[int, Field(ge=0)]
    """Seed of the population."""
    n_bodies: Annotated[int, Field(ge=50, le=5000)]
    """Adults sampled of each sex for the mean and the shape directions."""
    n_rig_bodies: Annotated[int, Field(ge=50, le=5000)]
    """Bodies of each sex, of Anny's middle stature, to which the joint regressors are fitted."""
    n_held_out: Annotated[int, Field(ge=1, le=1000)]
    """Held-out bodies of each sex and kind on which the regressors are measured."""
    youngest_years: Annotated[float, Field(ge=18, le=110)]
    """Age of the youngest adult, years."""
    oldest_years: Annotated[float, Field(ge=18, le=110)]
    """Age of the oldest adult, years."""

    @field_validator("smpl_folder")
    @classmethod
    def _is_named_for_smpl(cls, folder: str | None, info: Any) -> str | None:
        if folder is None and info.data.get("source") == "smpl":
            raise ValueError("missing; name the folder of the SMPL files")
        return folder


class PosingParams(Section):
    """The key of section `body` for stages that only pose existing bodies."""

    model_config = ConfigDict(extra="ignore")

    engine: Engine
    """As in `BodyParams`, which checks the section's other keys."""


class PriorParams(Section):
    """Section `prior`: the mixture of body poses."""

    motion: list[str] | None
    """Folders or files of recorded motion; null takes the mixture that comes with the package."""
    n_components: Annotated[int, Field(ge=1, le=64)]
    """Gaussians in the mixture."""
    frames_per_clip: Annotated[int, Field(ge=1)]
    """Maximum of evenly spaced frames that are used of each clip; each is also used flipped."""
    floor_std_rad: Annotated[float, Field(gt=0, le=1)]
    """Added in quadrature to each angle's deviation: the error of converting recordings to SMPL's angles."""
    unseen_std_rad: Annotated[float, Field(gt=0, le=1)]
    """Deviation of the angles of joints that no recording has (hands, collars)."""
    seed: Annotated[int, Field(ge=0)]
    """Seed of the fit and of the choice of held-out clips."""


class StageWeights(Section):
    """Weights of the terms; each is squared in the objective."""

    pose: NotNegative
    """Of the mixture prior."""
    angle: NotNegative
    """Of the angle prior on elbows and knees."""
    shape: NotNegative
    """Of the squared shape coefficients."""


class FitStage(StageWeights):
    """One of several stages of a fit; each starts where the one before ended."""

    n_iterations: Count
    """Maximum of iterations."""
    anchor_weight: NotNegative = 0.0
    """Pull of the pose to the start of the stage, px² per rad² (see `fitting.anchor_weight`)."""


class MeanStartParams(Section):
    """The fit from the mean pose, after the original SMPLify."""

    n_camera_iterations: Count
    """With `camera: staged`: iterations on root rotation and translation, from the torso's four joints."""
    damping: Positive
    """Initial damping of every stage, relative to the curvature."""
    side_view_px: NotNegative
    """People whose shoulders are nearer to each other (pixels of the crop) are tried facing both ways."""
    n_stages_both_ways: Count
    """Number of first stages that are done both ways; the one with the lower objective is continued."""
    stages: Annotated[list[FitStage], Field(min_length=1)]
    """From strong to weak priors; the weights of the last are those of `fitting.weights`."""


class FittingParams(Section):
    """The objective and the solver of a fit; shared by the offline fits and the loop."""

    solver: Literal["lm", "adam"]
    """`lm`: Levenberg-Marquardt; `adam`: the published procedure."""
    n_iterations: Count
    """Of `lm` from a given start; of each of the two stages of `adam`."""
    camera: Literal["free", "staged"]
    """`free`: translation fitted with the body; `staged`: on the torso first, then frozen (published)."""
    sigma_px: Positive
    """Scale of the Geman-McClure function: errors far above it stop counting."""
    weights: StageWeights
    """Weights of the objective."""
    depth_weight: NotNegative
    """Of the term that ties the translation's depth to its start, per metre; squared in the objective."""
    damping: Positive
    """Initial damping of `lm`, relative to the curvature."""
    tolerance: NotNegative
    """A step that lowers the objective by less than this share of it ends a sample's fit."""
    step_size: Positive
    """Of `adam`."""
    anchor: Literal["none", "fixed", "adaptive"]
    """Term that ties the pose to its start: none (published), one weight, or one per joint, measured."""
    anchor_weight: NotNegative
    """Of `fixed`, px² per rad² and joint; the inverse variance of the start if keypoints are off by 1 px."""
    anchor_noise_px: Positive
    """Of `adaptive`: deviation of the keypoints; a joint's weight is (this / deviation of its angles)²."""
    chunk_size: Count
    """People solved at once; larger chunks overflow the processor's cache."""
    mean_start: MeanStartParams
    """The fit from the mean pose."""

    @field_validator("mean_start")
    @classmethod
    def _ends_at_the_objective(cls, start: MeanStartParams, info: Any) -> MeanStartParams:
        """The reported objective is the one that the last stage minimises."""
        last = start.stages[-1].model_dump(exclude={"n_iterations", "anchor_weight"})
        if "weights" in info.data and last != (wanted := info.data["weights"].model_dump()):
            raise ValueError(f"the last of stages has {last}, fitting.weights is {wanted}; make them equal")
        return start


class FitParams(Section):
    """The fits of `spinloop fit`, whose keypoints come from a detector."""

    stages: Annotated[list[FitStage], Field(min_length=1)]
    """From the start to the fit. Anchors hold what a picture does not show, so priors may be weak."""

    def with_iterations(self, n_iterations: int) -> "FitParams":
        """The same with a number of iterations for each stage; 0 changes nothing."""
        update = {"n_iterations": n_iterations} if n_iterations else {}
        return FitParams(stages=[stage.model_copy(update=update) for stage in self.stages])

    @property
    def weights(self) -> StageWeights:
        """Those of the last stage, which the reported objective has."""
        last = self.stages[-1]
        return StageWeights(pose=last.pose, angle=last.angle, shape=last.shape)


class LiftedStartParams(Section):
    """The fit from 2D keypoints lifted to 3D."""

    n_iterations: Count
    """Of `lm`."""
    anchor_weight: NotNegative
    """Of the anchor at the lifted pose, px² per rad² (see `fitting.anchor_weight`); 0 for none."""


class FitInitialParams(Section):
    """The offline fits of a split."""

    start: Literal["mean", "lifted"]
    """Start of the fits that training begins with: the mean pose in stages, or 2D keypoints lifted to 3D."""
    lifted_start: LiftedStartParams
    """The fit from 2D keypoints lifted to 3D."""
    shards: Annotated[list[int], Field(min_length=1)]
    """Numbers of the parts of a split, from 0 on; parts are fitted side by side."""
    batch_size: Count
    """People that are read, fitted and stored at once."""
    min_joints: Count
    """Fewer fitted joints seen: `too_few_joints`."""
    max_reprojection: Positive
    """Robust reprojection (px², mean over the seen joints, weighted by squared confidence) above which a fit
    is `rejected_reprojection`."""
    max_beta: Positive
    """A shape coefficient beyond this makes a fit `shape_out_of_range`."""

    @field_validator("shards")
    @classmethod
    def _are_counted_from_zero(cls, shards: list[int]) -> list[int]:
        if shards != list(range(len(shards))):
            raise ValueError(f"expected 0, 1, 2, … without a gap, got {shards}")
        return shards


class LifterNetworkParams(Section):
    """Sizes of the network."""

    width: Count
    """Units of every layer."""
    n_blocks: Count
    """Residual blocks of two layers each."""


class LifterPeopleParams(Section):
    """Bodies, their orientations and their cameras."""

    seated: Share
    """Share of people with hips and knees bent as those who sit, squat or kneel have them."""
    other_limbs: Share
    """Chance, each for both arms, both legs and the head, that a person has those of another pose."""
    betas_std: NotNegative
    """Standard deviation of the shape coefficients, in units of the body's own standard deviations."""
    betas_limit: Positive
    """Shape coefficients are clipped to this size."""
    lean_std_deg: NotNegative
    """Deviation of the lean of the whole body from upright; people face every direction."""
    elevation_std_deg: NotNegative
    """Deviation of the angle at which the camera looks down or up at a person."""
    roll_std_deg: NotNegative
    """Deviation of the camera's rotation about its axis."""
    any_roll: Share
    """Share of people at any rotation in the image, like those who lie or hang."""
    distance_m: Range
    """Distance of the camera from the person; its logarithm is uniform."""


class LifterKeypointsParams(Section):
    """Noise, gaps and mistakes of keypoint files."""

    noise_px: Range
    """Deviation of a person's keypoints, pixels of the 224 px crop."""
    loose_noise: Positive
    """Factor of the noise for joints that a fit leaves out, since SMPL has them elsewhere."""
    outlier: Share
    """Share of keypoints with an error of a quarter of the person."""
    swap: Share
    """Chance, each for arms and for legs, that OpenPose exchanges left and right."""
    uneven_noise: Share
    """Share of people whose noise differs by joint, as COCO's annotators do: hips are worse than eyes."""
    only_openpose: Share
    """Share of people without annotated joints."""
    midpoints: Share
    """Share of people whose detector finds neither neck, middle of the hips nor small toes: the first two are
    midpoints of shoulders and of hips."""
    no_feet: Share
    """Share of people whose detector, in addition, finds no toes and heels, as those for COCO."""
    only_annotated: Share
    """Share of people without detections."""
    miss: Share
    """Largest share of a person's keypoints that are missing; uniform from 0 to this."""
    lost_limb: Share
    """Chance, each for both arms, both legs and the head, that all of it is missing."""
    cut_off: Share
    """Share of people cut off by the border of the image: all keypoints beyond a line are missing."""


class LifterLossParams(Section):
    """Weights of the loss."""

    rotation: NotNegative
    """Of the mean squared difference of rotation matrices."""
    joints: NotNegative
    """Of the mean distance of the root-aligned joints, metres."""
    shape: NotNegative
    """Of the mean squared difference of shape coefficients."""
    camera: NotNegative
    """Of the mean squared difference of the camera's three numbers."""


class LifterParams(Section):
    """The lifter's training."""

    seed: Annotated[int, Field(ge=0)]
    """Seed of the network's weights and of the people."""
    n_steps: Count
    """Training steps, each with new people."""
    batch_size: Count
    """People in a step."""
    learning_rate: Positive
    """At the first step; it falls to zero by a cosine."""
    checkpoint_every: Count
    """Steps between two checkpoints."""
    n_held_out: Count
    """Held-out people on which the finished network is measured."""
    stored_as: Literal["float32", "float16"]
    """Type of the weights in the network's file."""
    network: LifterNetworkParams
    """Sizes of the network."""
    people: LifterPeopleParams
    """The simulated people."""
    keypoints: LifterKeypointsParams
    """The simulated keypoints."""
    loss: LifterLossParams
    """Weights of the loss."""
