"""The sentences of the report."""

from collections.abc import Mapping, Sequence
from typing import Any

from spinloop.reporting.results import Setting, Split
from spinloop.reporting.verdict import Change, change_in_words

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
