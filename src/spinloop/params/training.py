"""Sections `network`, `train`, `settings` and `watch`: the regressor, how it learns, what is compared."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, RootModel, field_validator

from spinloop.params.loader import Count, NotNegative, Positive, Section, Share

_PROBABILITY_TOLERANCE = 1e-6


class NetworkParams(Section):
    """The regressor: a ResNet and an iterative head."""

    backbone: Literal["resnet18", "resnet34", "resnet50"]
    """Blocks of the network, as torchvision names them."""
    width: Annotated[int, Field(ge=8)]
    """Channels after the first convolution; 64 is the published network, less makes every layer narrower.
    Below 8, PyTorch 2.13's convolutions in channels-last memory write outside their arrays (CPU)."""
    head_width: Count
    """Units of the head's two layers; 1024 in the published network."""
    image_px: Annotated[int, Field(ge=32)]
    """Side of the square image that the network sees."""
    n_iterations: Count
    """Times that the head corrects its estimate."""
    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Share of the head's units silenced in training, also in the estimates that start the fits."""
    compat: Literal["none", "official"]
    """`official`: crops stretched in contrast, keypoints of whole pixels: what SPIN's weights have seen."""


class LossWeights(Section):
    """Weight of each loss term."""

    keypoints_2d: NotNegative
    """Annotated joints projected, squared, in units of half the crop."""
    openpose: NotNegative
    """Factor of OpenPose's joints within `keypoints_2d`; 0 leaves them to the fits, as published."""
    keypoints_3d: NotNegative
    """Annotated 3D joints from the middle of the hips, squared, in metres."""
    pose: NotNegative
    """Entries of the rotation matrices against the target's, squared."""
    shape: NotNegative
    """Shape coefficients against the target's, squared."""
    mesh: NotNegative
    """Vertices against the target's, absolute, in metres; 0 leaves the mesh out, which is much faster."""
    camera: NotNegative
    """Keeps the camera's scale s positive: exp(−20 s)."""
    total: Positive
    """Factor of the whole sum."""


class AugmentationParams(Section):
    """How a training image is varied."""

    flip_probability: Share
    """Chance of a mirrored image."""
    channel_noise: Annotated[float, Field(ge=0, lt=1)]
    """Each color channel is multiplied by a number from 1 ∓ this."""
    rotation_deg: NotNegative
    """Standard deviation of the turn in the image plane; cut off at twice this."""
    upright_probability: Share
    """Chance that the image is not turned at all."""
    scale: Annotated[float, Field(ge=0, lt=1)]
    """Standard deviation of the box's size, relative; cut off at this."""


class MixtureGroup(Section):
    """Training splits that share one probability in proportion to their sizes."""

    splits: Annotated[list[str], Field(min_length=1)]
    """Names of the splits, as they begin the ids of their rows."""
    probability: Share
    """Chance that a sample comes from this group; the groups' chances sum to one."""


class InitialWeights(Section):
    """Files from which the network's weights come; null where there is none. DVC does not watch them."""

    network: str | None
    """A trained network of the same sizes, from `spinloop train` or `spinloop import-checkpoint`."""
    backbone: str | None
    """torchvision's ImageNet weights of the backbone; null leaves random ones."""
    mean: str | None
    """SPIN's `smpl_mean_params.npz`; null takes the mean of the prior."""

    def files(self) -> dict[str, Path]:
        """Those that are read, by key: a whole network leaves no use for the others."""
        keys = ("backbone", "mean") if self.network is None else ("network",)
        return {key: Path(name) for key in keys if (name := getattr(self, key)) is not None}


class TrainParams(Section):
    """How the network learns; the same for every setting."""

    seed: Annotated[int, Field(ge=0)]
    """Of the weights, the order of the samples, their augmentation and dropout."""
    n_steps: Count
    """Gradient steps."""
    batch_size: Count
    """Samples of a step."""
    learning_rate: Positive
    """Of Adam, at its highest."""
    schedule: Literal["constant", "cosine"]
    """`constant` is the published training; `cosine` falls to zero at the last step."""
    gradient_clip: Positive | None
    """Longest gradient (2-norm over all weights); null does not clip, as published."""
    initial: InitialWeights
    """What the network begins with."""
    mixture: list[MixtureGroup]
    """From where the samples come."""
    augmentation: AugmentationParams
    """Variation of the images."""
    weights: LossWeights
    """Weights of the loss terms."""
    max_fit_error: Positive
    """A best fit whose mean robust reprojection error is not below this (px²) supervises nothing."""
    max_beta: Positive
    """A best fit with a shape coefficient beyond ± this teaches the mean shape instead of its own."""
    min_joints: Count
    """People of whom fewer joints are seen (of those that a fit counts) are left out."""
    history_every: Count
    """Steps averaged in one row of the history."""
    snapshot_every: Count
    """Steps between two copies of the dictionary of fits, kept for comparison with the truth."""
    checkpoint_every: Count
    """Steps between two checkpoints."""
    device: Literal["cpu", "cuda"]
    """Where the network and the fits are computed; the dictionary of fits stays in main memory."""
    precision: Literal["float32", "bfloat16", "float16"]
    """Of the network's activations (autocast); the fits, the losses and the weights are always float32."""
    compile: bool
    """Compile the backbone with `torch.compile`: slow to start, faster afterwards, last bits differ."""
    workers: Annotated[int, Field(ge=0)]
    """Processes that prepare batches ahead, of each training process; no result depends on them."""

    @property
    def splits(self) -> list[str]:
        """The splits of the mixture, in its order."""
        return _named(self.mixture)

    @field_validator("mixture")
    @classmethod
    def _adds_up(cls, mixture: list[MixtureGroup]) -> list[MixtureGroup]:
        total = sum(group.probability for group in mixture)
        if abs(total - 1) > _PROBABILITY_TOLERANCE:
            raise ValueError(f"the probabilities sum to {total:g}; make them sum to 1")
        named = _named(mixture)
        twice = next((split for split in named if named.count(split) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice} is named twice; name each split once")
        return mixture


def _named(mixture: list[MixtureGroup]) -> list[str]:
    return [split for group in mixture for split in group.splits]


class SettingParams(Section):
    """One of the trainings that are compared."""

    loop: bool
    """Fit from the network's estimate in every step and keep the better fit; false keeps the static fits."""
    use_3d: bool
    """Use annotated 3D joints and bodies where a row has them; false is the paper's unpaired training."""


class SettingsParams(RootModel[Annotated[dict[str, SettingParams], Field(min_length=1)]]):
    """Section `settings`: name → the training."""

    model_config = ConfigDict(frozen=True, strict=True)


class WatchParams(Section):
    """What a person can look at while a network trains; nothing that is learned depends on it."""

    sheet_every: Annotated[int, Field(ge=0)]
    """Steps between two sheets of images with network and fit side by side; 0 draws none."""
    sheet_people: Count
    """Rows of a sheet."""
    tensorboard: bool
    """Write the training curve for TensorBoard, too."""
    dvclive: bool
    """Write it in DVCLive's format, too."""
