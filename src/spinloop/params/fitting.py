"""Sections `fitting` and `fit_initial`: how a body is fitted to keypoints, and how a data set is."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from spinloop.params.loader import Count, NotNegative, Positive, Section


class StageWeights(Section):
    """Weights of the terms; each is squared in the objective."""

    pose: NotNegative
    """Of the mixture prior."""
    angle: NotNegative
    """Of the penalty on elbows and knees that bend the wrong way."""
    shape: NotNegative
    """Of the squared shape coefficients."""


class MeanStage(StageWeights):
    """One stage of the fit from the mean pose."""

    n_iterations: Count
    """Iterations at most."""


class MeanStartParams(Section):
    """The fit from the mean pose, after the original SMPLify."""

    n_camera_iterations: Count
    """Of `camera: staged`: iterations on root and translation alone, from the torso's four joints."""
    damping: Positive
    """First damping of every stage, relative to the curvature."""
    side_view_px: NotNegative
    """Shoulders nearer to each other than this (pixels of the crop) are tried facing both ways."""
    n_stages_both_ways: Count
    """So many of the first stages (or all) are done both ways; then the lower objective goes on alone."""
    stages: Annotated[list[MeanStage], Field(min_length=1)]
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
    """Geman-McClure scale: errors far above it stop counting."""
    weights: StageWeights
    """Weights of the objective."""
    depth_weight: NotNegative
    """Holds the depth of the translation at its start, per metre; squared in the objective."""
    damping: Positive
    """First damping of `lm`, relative to the curvature."""
    tolerance: NotNegative
    """A step that lowers the objective by less than this share of it ends a sample's fit."""
    step_size: Positive
    """Of `adam`."""
    anchor: Literal["none", "fixed", "adaptive"]
    """Pull of the pose to its start: none (published), one weight, or one per joint by its quality."""
    anchor_weight: NotNegative
    """Of `fixed`, px² per rad² and joint; the inverse variance of the start if keypoints are off by 1 px."""
    anchor_noise_px: Positive
    """Of `adaptive`: the keypoints' noise; the weight of a joint is (noise / its deviation in radians)²."""
    chunk_size: Count
    """People solved side by side; larger chunks overflow the processor's cache."""
    mean_start: MeanStartParams
    """The fit from the mean pose."""

    @field_validator("mean_start")
    @classmethod
    def _ends_at_the_objective(cls, start: MeanStartParams, info: Any) -> MeanStartParams:
        """What a fit ends with is what its reported objective measures."""
        last = start.stages[-1].model_dump(exclude={"n_iterations"})
        if "weights" in info.data and last != (wanted := info.data["weights"].model_dump()):
            raise ValueError(f"the last of stages has {last}, fitting.weights is {wanted}; make them equal")
        return start


class LiftedStartParams(Section):
    """The fit from 2D lifted to 3D."""

    n_iterations: Count
    """Of `lm`."""
    anchor_weight: NotNegative
    """Holds the pose at what was lifted, px² per rad² (see `fitting.anchor_weight`); 0 lets it go."""


class FitInitialParams(Section):
    """The offline fits of a split."""

    start: Literal["mean", "lifted"]
    """Whose fits training begins with: from the mean pose in stages, or from 2D lifted to 3D."""
    lifted_start: LiftedStartParams
    """The fit from 2D lifted to 3D."""
    shards: Annotated[list[int], Field(min_length=1)]
    """Numbers of the parts that a split is cut into, from 0 on; they are fitted side by side."""
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
