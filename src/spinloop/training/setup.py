"""A run from its files, and the files that it leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from spinloop.body.engine import make_body_model
from spinloop.body.files import load_body
from spinloop.body.joints_only import JointsOnly
from spinloop.errors import UserError
from spinloop.fitting.smplify import Fitter
from spinloop.fitting.store import FitStore
from spinloop.motion.mixture import Mixture, load_mixture
from spinloop.params.body import PosingParams
from spinloop.params.fitting import FittingParams
from spinloop.params.training import NetworkParams, SettingParams, TrainParams
from spinloop.regression.hmr import Hmr
from spinloop.regression.mean import load_mean, mean_from_prior
from spinloop.regression.weights import load_imagenet
from spinloop.training.checkpoint import Checkpoint, fingerprint
from spinloop.training.history import History
from spinloop.training.load import load_split
from spinloop.training.loop import Run, snapshot_steps, weights_stream
from spinloop.training.mixture import SampleStream, split_shares
from spinloop.training.snapshots import collect_snapshots
from spinloop.training.step import Apparatus


@dataclass(frozen=True)
class Inputs:
    """Files that a run is made from; lists have one entry per training split, in the same order."""

    body: Path
    prior: Path
    keypoints: Sequence[Path]
    crops: Sequence[Path]
    fits: Sequence[Path]
    annotations: Sequence[Path]
    """Empty, or one per split."""
    mean: Path | None
    """SPIN's mean parameters; derived from the prior if None."""
    backbone: Path | None
    """torchvision's ImageNet weights; random ones if None."""

    def files(self) -> list[Path]:
        """All of them."""
        single = [path for path in (self.body, self.prior, self.mean, self.backbone) if path is not None]
        return [*single, *self.keypoints, *self.crops, *self.fits, *self.annotations]


@dataclass(frozen=True)
class Sections:
    """Parameters that a run is made from."""

    network: NetworkParams
    train: TrainParams
    setting: SettingParams
    fitting: FittingParams
    body: PosingParams


def prepare_run(inputs: Inputs, sections: Sections, state: Path) -> Run:
    """Read everything; nothing is trained yet.

    Args:
        inputs: files.
        sections: parameters.
        state: folder of the run's checkpoint.

    Raises:
        UserError: a file is absent, damaged or of another split, or the mixture does not fit the splits.
    """
    train, counts = sections.train, [len(inputs.keypoints), len(inputs.crops), len(inputs.fits)]
    if inputs.annotations:
        counts.append(len(inputs.annotations))
    if len(set(counts)) > 1:
        raise UserError("train: --keypoints, --crops, --fits, --annotations: give each once for every split")
    known = inputs.annotations if sections.setting.use_3d and inputs.annotations else [None] * counts[0]
    pairs = zip(inputs.keypoints, inputs.crops, known, strict=True)
    splits = dict(load_split(*paths, train.min_joints) for paths in pairs)
    lengths = {name: len(split.ids) for name, split in splits.items()}
    body, prior = load_body(inputs.body), load_mixture(inputs.prior)
    fitter = Fitter(body, prior, sections.fitting)
    fits = FitStore.join([FitStore.open(path) for path in inputs.fits])
    store = FitStore(fits.ids, fitter.root_joint)
    store.load_state_dict(fits.state_dict())
    with_fits = set(store.ids)
    for path, split in zip(inputs.fits, splits.values(), strict=True):
        absent = next((key for key in split.ids if key not in with_fits), None)
        if absent is not None:
            raise UserError(f"{path}: ids: {absent!r} is missing; give the fits of the same split")
    parts = (sections.network, train, sections.setting, sections.fitting, sections.body)
    values = [part.model_dump() for part in parts]
    return Run(
        apparatus=Apparatus(
            network=_network(inputs, sections, prior),
            joints=JointsOnly(body),
            mesh=make_body_model(body, sections.body.engine) if train.weights.mesh > 0 else None,
            fitter=fitter,
            store=store,
        ),
        splits=splits,
        samples=SampleStream(lengths, split_shares(train.mixture, lengths), train.batch_size, train.seed),
        image_px=sections.network.image_px,
        setting=sections.setting,
        params=train,
        checkpoint=Checkpoint(state, fingerprint(values, inputs.files())),
        history=History(train.history_every),
    )


def save_fits(run: Run, inputs: Inputs, fits_out: Sequence[Path], snapshots_out: Sequence[Path]) -> None:
    """Write each split's dictionary at the end, and the copies that were made on the way.

    Args:
        run: finished.
        inputs: what it was made from; their fits say which people are of which split.
        fits_out: one file per split.
        snapshots_out: one file per split.
    """
    store = run.apparatus.store
    row_of = {key: row for row, key in enumerate(store.ids)}
    for source, fits, snapshots in zip(inputs.fits, fits_out, snapshots_out, strict=True):
        part = FitStore(FitStore.open(source).ids)
        rows = np.array([row_of[key] for key in part.ids])
        part.load_state_dict({name: values[rows] for name, values in store.state_dict().items()})
        part.save(fits)
        folder, steps = run.checkpoint.folder / "snapshots", snapshot_steps(run.params)
        collect_snapshots(folder, steps, part.ids, rows, snapshots)


def _network(inputs: Inputs, sections: Sections, prior: Mixture) -> Hmr:
    mean = load_mean(inputs.mean) if inputs.mean else mean_from_prior(prior.means, prior.weights)
    network = Hmr(sections.network, mean, weights_stream(sections.train.seed))
    if inputs.backbone is not None:
        load_imagenet(network, inputs.backbone)
    return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
