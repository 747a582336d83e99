"""Sentences that say what the numbers say, and no more.

The sentences of the report.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from spinloop.reporting.results import Setting, Split

Word = Literal["better", "worse", "not measurably different"]
# Metrics of which more is better; of errors less is.
_MORE_IS_BETTER = ("percent", "f1")


@dataclass(frozen=True)
class Change:
    """A paired difference: a metric of the second minus that of the first over the same people."""

    mean: float
    low: float
    high: float
    n: int
    metric: str = "pa_mpjpe_mm"
    """Name of the metric, which says its unit."""

    @property
    def word(self) -> Word:
        """What the second is; an interval that holds zero says nothing."""
        if self.low <= 0 <= self.high:
            return "not measurably different"
        is_more = self.mean > 0
        return "better" if is_more == self.metric.endswith(_MORE_IS_BETTER) else "worse"

    @property
    def text(self) -> str:
        """The difference with its sign and unit."""
        return f"{signed(self.mean)} mm" if self.metric.endswith("_mm") else f"F1 {signed(self.mean, 3)}"


def compare_on(
    first: str, second: str, images: str, found: Sequence[tuple[str, Change]], confidence: float
) -> tuple[str, ...]:
    """How two trainings compare on several test splits, in one sentence; none where nothing was compared.

    Args:
        first: what the second is compared with, as a noun phrase.
        second: what is judged, as a noun phrase.
        images: what they were measured on, as a noun phrase.
        found: name of the split and the change there.
        confidence: of the intervals, in (0, 1).
    """
    if not found:
        return ()
    words: dict[Word, str] = {
        "better": "better",
        "worse": "worse",
        "not measurably different": "no measurable difference",
    }
    groups = {
        said: [f"{name} ({change.text})" for name, change in found if change.word == word]
        for word, said in words.items()
    }
    parts = [f"{said} on {listed(names)}" for said, names in groups.items() if names]
    kinds = {"PA-MPJPE" if change.metric.endswith("_mm") else "F1 of parts" for _, change in found}
    metrics = " and ".join(sorted(kinds, reverse=True))
    start = f"{second[0].upper()}{second[1:]} against {first}, {metrics} on {images}"
    return (f"{start} ({percent(confidence)} intervals): {'; '.join(parts)}.",)


def change_in_words(change: Change, confidence: float) -> str:
    """A change of an error with its interval, e.g. `6.4 mm better (95 % interval −7.2 to −5.6 mm, n = 9)`."""
    interval = f"{percent(confidence)} interval {signed(change.low)} to {signed(change.high)} mm"
    if change.word == "not measurably different":
        said = f"no measurable difference ({signed(change.mean)} mm, "
    else:
        said = f"{abs(change.mean):.1f} mm {change.word} ("
    return f"{said}{interval}, n = {change.n:,})"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def percent(share: float) -> str:
    """A share as whole percent; the space does not break."""
    return f"{100 * share:.0f}\u00a0%"


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign; zero has none."""
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text[1:] if not float(text[1:]) else text


METRICS = (
    "PA-MPJPE: mean distance of 14 joints after the best similarity (scale, turn, shift) of each person; "
    "MPJPE: the same with only the pelvis brought together; PVE: mean distance of all vertices of the mesh "
    "with the pelvis brought together. Less is better."
)
FREE_BODY = (
    "The bodies in this report are made from Anny (code Apache-2.0, data CC0) and posed after CMU motion "
    "capture, which is free to use; nothing here is SMPL or comes from a licensed dataset. The images are "
    "rendered."
)
LICENSED = (
    "Real SMPL files and the datasets of the paper have licences of their own, most of them for research "
    "only; whoever runs this pipeline on them must hold those licences, and results made with them fall "
    "under them."
)
LINEAGE = (
    "Every table says from which protocol and hashes it was made. A stage cannot know the commit that will "
    "hold its output; the commit is the one whose `dvc.lock` names these hashes, with the code, parameters "
    "and data behind each (`git log -1 dvc.lock` beside this report). Files of raw data are listed in "
    "`data/manifests`."
)
STEP = (
    "The network proposes a body; the fit starts there and is drawn to the 2D joints; in training the better "
    "of this fit and the stored one then teaches the network. Shown on test images, where no fit was ever "
    "stored, for people at ranks of the change of PA-MPJPE from network to fit."
)
MIRRORED = (
    "All numbers marked mirror (†) are of rendered people and were computed by this run; numbers marked "
    "published were printed by others about real people and are shown for orientation only."
)


def dictionary_sentence(settings: Sequence[Setting], train: Split) -> str:
    """How the dictionaries at the end of training in the loop compare with the fits they began with."""
    parts = []
    for setting in settings:
        if setting.loop and train.key in setting.fits:
            fits, name = setting.fits[train.key], "change_pa_mpjpe_mm"
            change = Change(fits[name], fits[f"{name}_low"], fits[f"{name}_high"], fits["n_compared"])
            said = change_in_words(change, fits["confidence"])
            parts.append(f"{said} after {fits['steps']:,} steps of {setting.phrase}")
    start = f"Best fits of training images ({train.label}) against those they began with, PA-MPJPE"
    return f"{start}: {'; '.join(parts)}." if parts else ""


def settings_in_words(settings: Sequence[Setting]) -> list[str]:
    """What each training does, one sentence each."""
    fits = {
        False: "the offline fits teach the network from the first step to the last",
        True: "in every step a fit starts at the network's estimate and is kept where it is better",
    }
    depth = {
        False: "annotated 3D is not used",
        True: "annotated 3D joints and bodies teach the network where an image has them",
    }
    return [
        f"{each.label[0].upper()}{each.label[1:]}: {fits[each.loop]}; {depth[each.use_3d]}."
        for each in settings
    ]


def recipe(network: Mapping[str, Any], train: Mapping[str, Any]) -> str:
    """What the trainings have in common, in a sentence.

    Args:
        network: section `network` of the parameters.
        train: section `train` of the parameters.
    """
    return (
        f"All trainings share the network ({network['backbone']}, width {network['width']}, images of "
        f"{network['image_px']} px), its initial weights, the order and variation of the images and "
        f"{train['n_steps']:,} steps of {train['batch_size']} images; they differ in what is said below. "
        "The paper's network is a ResNet-50 on 224 px, trained much longer on the six real datasets."
    )
