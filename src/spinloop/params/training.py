"""Sections `network`, `train`, `settings` and `watch`: the regressor and its trainings."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, RootModel, field_validator

from spinloop.params.loader import Count, NotNegative, Positive, Section, Share

_PROBABILITY_TOLERANCE = 1e-6


class NetworkParams(Section):
    """The regressor: a ResNet and an iterative head (section `network`)."""

    backbone: Literal["resnet18", "resnet34", "resnet50"]
    """ResNet, by torchvision's name."""
    width: Annotated[int, Field(ge=8)]
    """Channels after the first convolution; 64 in the published network, less makes every layer narrower.
    Below 8, PyTorch 2.13's convolutions in channels-last memory write outside their arrays (CPU)."""
    head_width: Count
    """Units of the head's two layers; 1024 in the published network."""
    image_px: Annotated[int, Field(ge=32, le=2048)]
    """Side of the network's square input image."""
    n_iterations: Annotated[int, Field(gt=0, le=100)]
    """Iterations of the head."""
    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Dropout rate of the head in training, also of the estimates that start the fits."""
    compat: Literal["none", "official"]
    """`official`: stretch contrast of crops and round keypoints to whole pixels, as SPIN's weights expect."""


class LossWeights(Section):
    """Weight of each loss term (section `train.weights`)."""

    keypoints_2d: NotNegative
    """Squared distance of projected joints to keypoints, in units of half the crop."""
    openpose: NotNegative
    """Factor of OpenPose's joints within `keypoints_2d`; 0, as published: they are used in fits only."""
    keypoints_3d: NotNegative
    """Squared distance of 3D joints relative to the middle of the hips, m²."""
    pose: NotNegative
    """Squared difference of rotation matrices to the target's."""
    shape: NotNegative
    """Squared difference of shape coefficients to the target's."""
    mesh: NotNegative
    """Absolute difference of vertices to the target's, metres; 0 skips the mesh, which is much faster."""
    camera: NotNegative
    """Keeps the camera's scale s positive: exp(−20 s)."""
    total: Positive
    """Factor of the whole sum."""


class AugmentationParams(Section):
    """Augmentation of training images (section `train.augmentation`)."""

    flip_probability: Share
    """Probability of a left-right flip."""
    channel_noise: Annotated[float, Field(ge=0, lt=1)]
    """Each color channel is multiplied by a factor from 1 − this to 1 + this."""
    rotation_deg: NotNegative
    """Standard deviation of the in-plane rotation; clipped at twice this."""
    upright_probability: Share
    """Probability that the image is not rotated."""
    scale: Annotated[float, Field(ge=0, lt=1)]
    """Relative standard deviation of the box's size; clipped at this."""


class MixtureGroup(Section):
    """Training splits that share one probability in proportion to their sizes (section `train.mixture`)."""

    splits: Annotated[list[str], Field(min_length=1)]
    """Names of the splits; the ids of their rows begin with them."""
    probability: Share
    """Probability that a sample comes from this group; the groups' probabilities sum to one."""


class InitialWeights(Section):
    """Files of initial weights; null for none (section `train.initial`). DVC does not track them."""

    network: str | None
    """Trained network of the same sizes, from `spinloop train` or `spinloop import-checkpoint`."""
    backbone: str | None
    """torchvision's ImageNet weights of the backbone; null: random weights."""
    mean: str | None
    """SPIN's `smpl_mean_params.npz`; null: the mean of the pose prior."""

    def files(self) -> dict[str, Path]:
        """The files that are read, by key; with a whole network the others are not used."""
        keys = ("backbone", "mean") if self.network is None else ("network",)
        return {key: Path(name) for key in keys if (name := getattr(self, key)) is not None}


class TrainParams(Section):
    """Training of the network, the same in every setting (section `train`)."""

    seed: Annotated[int, Field(ge=0)]
    """Seed of the weights, the order of the samples, their augmentation and dropout."""
    n_steps: Count
    """Number of gradient steps."""
    batch_size: Count
    """Samples per step, of all processes together."""
    learning_rate: Positive
    """Highest learning rate of Adam."""
    schedule: Literal["constant", "cosine"]
    """`constant`, as published; `cosine` falls to zero at the last step."""
    gradient_clip: Positive | None
    """Largest gradient norm (over all weights); null, as published, does not clip."""
    initial: InitialWeights
    """Initial weights of the network."""
    mixture: list[MixtureGroup]
    """Training splits and their probabilities."""
    augmentation: AugmentationParams
    """Augmentation of the images."""
    weights: LossWeights
    """Weights of the loss terms."""
    max_fit_error: Positive
    """A best fit is used as a target only if its mean robust reprojection error is below this (px²)."""
    max_beta: Positive
    """Where a shape coefficient of the best fit exceeds ± this, the target is the mean shape."""
    min_joints: Count
    """People with fewer visible joints (of those that a fit uses) are left out."""
    history_every: Count
    """Steps averaged in one row of the training curve."""
    snapshot_every: Count
    """Steps between two snapshots of the dictionary of fits, for comparison with the truth."""
    checkpoint_every: Count
    """Steps between two checkpoints."""
    device: Literal["cpu", "cuda"]
    """Device of network and fits; the dictionary of fits stays in main memory."""
    precision: Literal["float32", "bfloat16", "float16"]
    """Precision of the network's activations (autocast); fits, losses and weights are float32."""
    compile: bool
    """Compile the backbone with `torch.compile`: slow start, then faster; last bits of results differ."""
    workers: Annotated[int, Field(ge=0)]
    """Processes per training process that prepare batches ahead; no result depends on them."""

    @property
    def splits(self) -> list[str]:
        """The splits of the mixture, in order."""
        return _split_names(self.mixture)

    @field_validator("mixture")
    @classmethod
    def _adds_up(cls, mixture: list[MixtureGroup]) -> list[MixtureGroup]:
        total = sum(group.probability for group in mixture)
        if abs(total - 1) > _PROBABILITY_TOLERANCE:
            raise ValueError(f"the probabilities sum to {total:g}; make them sum to 1")
        names = _split_names(mixture)
        twice = next((split for split in names if names.count(split) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice} is named twice; name each split once")
        return mixture


def _split_names(mixture: list[MixtureGroup]) -> list[str]:
    return [split for group in mixture for split in group.splits]


class SettingParams(Section):
    """One of the trainings that are compared (section `settings.<name>`)."""

    loop: bool
    """Fit from the network's estimate in every step and keep the better fit; false: static fits."""
    use_3d: bool
    """Use annotated 3D joints and bodies where a row has them; false: the paper's unpaired training."""


class SettingsParams(RootModel[Annotated[dict[str, SettingParams], Field(min_length=1)]]):
    """Section `settings`: the trainings by name."""

    model_config = ConfigDict(frozen=True, strict=True)


class MonitorParams(Section):
    """Pictures and logs of a running training (section `watch`); no result depends on them."""

    sheet_every: Annotated[int, Field(ge=0)]
    """Steps between two contact sheets (image, network, fit); 0: none."""
    sheet_people: Count
    """People on a sheet."""
    tensorboard: bool
    """Write the training curve for TensorBoard."""
    dvclive: bool
    """Write the training curve in DVCLive's format."""
