"""Section `lifter`: the network that lifts 2D keypoints to 3D, and the people that it learns from."""

from typing import Annotated

from pydantic import Field

from spinloop.params.loader import Count, NotNegative, Positive, Section, Share
from spinloop.params.mirror import Range


class LifterNetworkParams(Section):
    """Sizes of the network."""

    width: Count
    """Units of every layer."""
    n_blocks: Count
    """Residual blocks of two layers each."""


class LifterPeopleParams(Section):
    """Bodies, how they stand, and the cameras that see them."""

    betas_std: NotNegative
    """Standard deviation of the shape coefficients, in units of the body's own standard deviations."""
    betas_limit: Positive
    """Shape coefficients are clipped to this size."""
    lean_std_deg: NotNegative
    """Spread of the lean of the whole body from upright; people face every direction."""
    elevation_std_deg: NotNegative
    """Spread of the angle from which the camera looks down or up at a person."""
    roll_std_deg: NotNegative
    """Spread of the camera's turn about its axis."""
    any_roll: Share
    """Share of people at any turn in the image, as those who lie or hang."""
    distance_m: Range
    """Distance of the camera from the person; its logarithm is drawn evenly."""


class LifterKeypointsParams(Section):
    """What keypoint files lack and get wrong."""

    noise_px: Range
    """Deviation of a person's keypoints, pixels of the 224 px crop."""
    loose_noise: Positive
    """How many times as far off the joints are that a fit leaves out; SMPL has them elsewhere."""
    outlier: Share
    """Share of keypoints that are thrown off by a quarter of the person."""
    swap: Share
    """Chance, each for arms and for legs, that OpenPose exchanges left and right."""
    only_openpose: Share
    """Share of people without annotated joints."""
    only_annotated: Share
    """Share of people without detections."""
    miss: Share
    """A person's keypoints are missing at a rate drawn evenly from 0 to this."""
    lost_limb: Share
    """Chance, each for both arms, both legs and the head, that all of it is missing."""
    cut_off: Share
    """Share of people whom the border of the image cuts: all keypoints beyond a line are missing."""


class LifterLossParams(Section):
    """Weights of the loss."""

    rotation: NotNegative
    """Of the mean squared difference of rotation matrices."""
    joints: NotNegative
    """Of the mean distance of the joints, metres, seen from the pelvis."""
    shape: NotNegative
    """Of the mean squared difference of shape coefficients."""
    camera: NotNegative
    """Of the mean squared difference of the camera's three numbers."""


class LifterParams(Section):
    """The lifter's training."""

    seed: Annotated[int, Field(ge=0)]
    """Of weights and people."""
    n_steps: Count
    """Training steps; every one sees new people."""
    batch_size: Count
    """People in a step."""
    learning_rate: Positive
    """At the first step; it falls to zero by a cosine."""
    checkpoint_every: Count
    """Steps between two saved states."""
    n_held_out: Count
    """People that the finished network is measured on."""
    network: LifterNetworkParams
    """Sizes."""
    people: LifterPeopleParams
    """Who is seen, from where."""
    keypoints: LifterKeypointsParams
    """How well."""
    loss: LifterLossParams
    """What is learnt."""
