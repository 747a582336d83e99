"""A run from its files, and the files that it leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spinloop.body.engine import make_body_model
from spinloop.body.files import load_body
from spinloop.body.joints_only import JointsOnly
from spinloop.errors import UserError
from spinloop.fitting.smplify import Fitter
from spinloop.fitting.store import FitStore
from spinloop.motion.mixture import Mixture, load_mixture
from spinloop.params.body import PosingParams
from spinloop.params.fitting import FittingParams
from spinloop.params.training import NetworkParams, SettingParams, TrainParams, WatchParams
from spinloop.regression.hmr import Hmr
from spinloop.regression.mean import load_mean, mean_from_prior
from spinloop.regression.weights import load_imagenet, load_start
from spinloop.training.anchor import Anchor
from spinloop.training.checkpoint import Checkpoint, fingerprint
from spinloop.training.data import Look, Split
from spinloop.training.history import History
from spinloop.training.load import load_split
from spinloop.training.loader import Batches
from spinloop.training.loop import Run, snapshot_steps, weights_stream
from spinloop.training.machine import Machine
from spinloop.training.mixture import SampleStream, split_shares
from spinloop.training.processes import Processes
from spinloop.training.snapshots import collect_snapshots
from spinloop.training.step import Apparatus
from spinloop.training.watch import Watch


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
    start: Path | None
    """A trained network of the same sizes to start from, in place of `mean` and `backbone`."""

    def files(self) -> list[Path]:
        """All of them."""
        named = (self.body, self.prior, self.mean, self.backbone, self.start)
        single = [path for path in named if path is not None]
        return [*single, *self.keypoints, *self.crops, *self.fits, *self.annotations]


@dataclass(frozen=True)
class Sections:
    """Parameters that a run is made from."""

    network: NetworkParams
    train: TrainParams
    setting: SettingParams
    fitting: FittingParams
    watch: WatchParams
    body: PosingParams


@dataclass(frozen=True)
class Folders:
    """Where a run keeps what is not an output."""

    state: Path
    """Its checkpoint."""
    watch: Path
    """Sheets and logs for people."""


def prepare_run(inputs: Inputs, sections: Sections, folders: Folders, processes: Processes) -> Run:
    """Read everything; nothing is trained yet.

    Args:
        inputs: files.
        sections: parameters.
        folders: for the run's state and for people.
        processes: that train together.

    Raises:
        UserError: a file is absent, damaged or of another split, the mixture does not fit the splits, or the
            batch cannot be divided among the processes.
    """
    train = sections.train
    splits = _splits(inputs, sections)
    lengths = {name: len(split.ids) for name, split in splits.items()}
    samples = SampleStream(lengths, split_shares(train.mixture, lengths), train.batch_size, train.seed)
    processes.share(train.batch_size)
    body, prior = load_body(inputs.body), load_mixture(inputs.prior)
    fitter = Fitter(body, prior, sections.fitting, processes.device)
    store = _store(inputs, splits, fitter)
    network = _network(inputs, sections, prior)
    mesh = make_body_model(body, sections.body.engine).to(processes.device)
    parts = (sections.network, sections.setting, sections.fitting, sections.body)
    values = [part.model_dump() for part in parts]
    values.append(train.model_dump(exclude={"workers"}))
    look = Look(sections.network.image_px, sections.network.compat)
    return Run(
        apparatus=Apparatus(
            network=network,
            joints=JointsOnly(body).to(processes.device),
            mesh=mesh if train.weights.mesh > 0 else None,
            fitter=fitter,
            store=store,
            anchor=Anchor(sections.fitting, train.max_fit_error, processes),
            machine=Machine(network, train, processes),
        ),
        batches=Batches(splits, samples, train.augmentation, look, processes),
        setting=sections.setting,
        params=train,
        checkpoint=Checkpoint(folders.state, fingerprint(values, inputs.files())),
        history=History(train.history_every),
        watch=Watch(folders.watch, sections.watch, make_body_model(body, sections.body.engine)),
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


def _splits(inputs: Inputs, sections: Sections) -> dict[str, Split]:
    """The training splits by name."""
    counts = [len(inputs.keypoints), len(inputs.crops), len(inputs.fits)]
    if inputs.annotations:
        counts.append(len(inputs.annotations))
    if len(set(counts)) > 1:
        raise UserError("train: --keypoints, --crops, --fits, --annotations: give each once for every split")
    known = inputs.annotations if sections.setting.use_3d and inputs.annotations else [None] * counts[0]
    pairs = zip(inputs.keypoints, inputs.crops, known, strict=True)
    splits: dict[str, Split] = {}
    for keypoints, crops, annotations in pairs:
        name, split = load_split(keypoints, crops, annotations, sections.train.min_joints)
        if name in splits:
            raise UserError(f"{keypoints}: rows of {name}, which another file has; give each split once")
        splits[name] = split
    return splits


def _store(inputs: Inputs, splits: Mapping[str, Split], fitter: Fitter) -> FitStore:
    """The dictionary of fits of all splits."""
    parts = [FitStore.open(path) for path in inputs.fits]
    for path, part, split in zip(inputs.fits, parts, splits.values(), strict=True):
        with_fits = set(part.ids)
        absent = next((key for key in split.ids if key not in with_fits), None)
        if absent is not None:
            raise UserError(f"{path}: ids: {absent!r} is missing; give the fits of the same split")
    fits = FitStore.join(parts)
    store = FitStore(fits.ids, fitter.root_joint)
    store.load_state_dict(fits.state_dict())
    return store


def _network(inputs: Inputs, sections: Sections, prior: Mixture) -> Hmr:
    if inputs.start is not None:
        return load_start(inputs.start, sections.network)
    mean = load_mean(inputs.mean) if inputs.mean else mean_from_prior(prior.means, prior.weights)
    network = Hmr(sections.network, mean, weights_stream(sections.train.seed))
    if inputs.backbone is not None:
        load_imagenet(network, inputs.backbone)
    return network
