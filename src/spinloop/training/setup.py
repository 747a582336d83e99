"""A run from its files, and the files that it leaves."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spinloop.body.files import load_body
from spinloop.body.joints_only import JointsOnly
from spinloop.body.model import make_body_model
from spinloop.errors import UserError
from spinloop.files import atomic, fingerprint, require_file
from spinloop.fitting.smplify import Fitter
from spinloop.motion.mixture import Mixture, load_mixture
from spinloop.params.fitting import FittingParams, PosingParams
from spinloop.params.training import NetworkParams, SettingParams, TrainParams, WatchParams
from spinloop.regression.hmr import Hmr, load_mean, mean_from_prior
from spinloop.regression.weights import load_imagenet, load_start
from spinloop.tables.fits import FitStore
from spinloop.training.checkpoint import Checkpoint, collect_snapshots
from spinloop.training.data import Look, Split, SplitFiles, load_split
from spinloop.training.distributed import Machine, Processes
from spinloop.training.loop import Batches, Run, snapshot_steps, weights_stream
from spinloop.training.mixture import SampleStream, split_shares
from spinloop.training.monitor import History, Watch
from spinloop.training.step import Anchor, Apparatus


@dataclass(frozen=True)
class Inputs:
    """Files that a run is made from; a folder holds a file for every split of the mixture."""

    body: Path
    prior: Path
    keypoints: Path
    """Folder of merged keypoints."""
    crops: Path
    """Folder of packed crops."""
    fits: Path
    """Folder of initial fits."""
    annotations: Path | None
    """Folder of record tables; None leaves 3D annotations out."""

    def of_split(self, split: str) -> SplitFiles:
        """The files of one split."""
        return SplitFiles(
            keypoints=self.keypoints / f"{split}.parquet",
            crops=self.crops / f"{split}.h5",
            annotations=None if self.annotations is None else self.annotations / f"{split}.parquet",
        )

    def fits_of(self, split: str) -> Path:
        """The initial fits of one split."""
        return self.fits / f"{split}.h5"

    def files(self, splits: Sequence[str]) -> list[Path]:
        """All that a run of these splits reads."""
        named: list[Path | None] = [self.body, self.prior]
        for split in splits:
            named += [*self.of_split(split), self.fits_of(split)]
        return [path for path in named if path is not None]


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
        UserError: a file is absent, damaged or of another split, or the batch cannot be divided among the
            processes.
    """
    train = sections.train
    if not sections.setting.use_3d:
        inputs = replace(inputs, annotations=None)
    elif inputs.annotations is None:
        raise UserError("train: --annotations: missing, and the setting says use_3d: true; give the folder")
    initial = train.initial.files()
    for key, path in initial.items():
        require_file(path, f"correct or empty train.initial.{key} in params.yaml")
    splits = _splits(inputs, train)
    lengths = {name: len(split.ids) for name, split in splits.items()}
    samples = SampleStream(lengths, split_shares(train.mixture, lengths), train.batch_size, train.seed)
    processes.share(train.batch_size)
    body, prior = load_body(inputs.body), load_mixture(inputs.prior)
    fitter = Fitter(body, prior, sections.fitting, processes.device)
    store = _store(inputs, splits, fitter)
    network = _network(sections, prior)
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
        checkpoint=Checkpoint(
            folders.state, fingerprint(values, [*inputs.files(list(splits)), *initial.values()])
        ),
        history=History(train.history_every),
        watch=Watch(folders.watch, sections.watch, make_body_model(body, sections.body.engine)),
    )


def save_fits(run: Run, inputs: Inputs, fits_out: Path, snapshots_out: Path) -> None:
    """Write each split's dictionary at the end, and the copies that were made on the way.

    Args:
        run: finished.
        inputs: what it was made from; their fits say which people are of which split.
        fits_out: folder; gets a file for every split.
        snapshots_out: folder; gets a file for every split.
    """
    store, steps = run.apparatus.store, snapshot_steps(run.params)
    row_of = {key: row for row, key in enumerate(store.ids)}
    with atomic(fits_out) as fits, atomic(snapshots_out) as snapshots:
        for split in run.batches.splits:
            part = FitStore(FitStore.open(inputs.fits_of(split)).ids)
            rows = np.array([row_of[key] for key in part.ids])
            part.load_state_dict({name: values[rows] for name, values in store.state_dict().items()})
            part.save(fits / f"{split}.h5")
            copies = run.checkpoint.folder / "snapshots"
            collect_snapshots(copies, steps, part.ids, rows, snapshots / f"{split}.h5")


def _splits(inputs: Inputs, train: TrainParams) -> dict[str, Split]:
    """The training splits by name, in the order of the mixture."""
    return {name: load_split(name, inputs.of_split(name), train.min_joints) for name in train.splits}


def _store(inputs: Inputs, splits: Mapping[str, Split], fitter: Fitter) -> FitStore:
    """The dictionary of fits of all splits."""
    parts: list[FitStore] = []
    for name, split in splits.items():
        part = FitStore.open(inputs.fits_of(name))
        with_fits = set(part.ids)
        absent = next((key for key in split.ids if key not in with_fits), None)
        if absent is not None:
            path = inputs.fits_of(name)
            raise UserError(f"{path}: ids: {absent!r} is missing; give the fits of the same split")
        parts.append(part)
    fits = FitStore.join(parts)
    store = FitStore(fits.ids, fitter.root_joint)
    store.load_state_dict(fits.state_dict())
    return store


def _network(sections: Sections, prior: Mixture) -> Hmr:
    files = sections.train.initial.files()
    if "network" in files:
        with _named("network"):
            return load_start(files["network"], sections.network)
    mean = mean_from_prior(prior.means, prior.weights)
    if "mean" in files:
        with _named("mean"):
            mean = load_mean(files["mean"])
    network = Hmr(sections.network, mean, weights_stream(sections.train.seed))
    if "backbone" in files:
        with _named("backbone"):
            load_imagenet(network, files["backbone"])
    return network


@contextmanager
def _named(key: str) -> Iterator[None]:
    """Put the key that names a file before what is wrong with it: a run reads many files."""
    try:
        yield
    except UserError as error:
        raise UserError(f"train.initial.{key}: {error}") from None
