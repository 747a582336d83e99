"""One training from its files to its outputs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from spinloop.body.files import load_body
from spinloop.body.joints_only import JointsOnly
from spinloop.body.model import make_body_model
from spinloop.errors import UserError
from spinloop.files import atomic, read_json, require_file, sha256_of
from spinloop.fitting.smplify import Fitter
from spinloop.motion.mixture import Mixture, load_mixture
from spinloop.params.fitting import FittingParams, PosingParams
from spinloop.params.loader import parse_section
from spinloop.params.training import MonitorParams, NetworkParams, SettingParams, TrainParams
from spinloop.progress import Throughput, rate, say
from spinloop.regression.hmr import Hmr, load_mean, mean_from_prior
from spinloop.regression.weights import load_imagenet, load_initial_network, save_network
from spinloop.tables.fits import ORIGINS, FitStore
from spinloop.training.batches import BatchLoader
from spinloop.training.checkpoint import TrainingCheckpoint, training_made_from
from spinloop.training.data import MixtureSampler, Split, SplitFiles, load_split, split_shares
from spinloop.training.distributed import ProcessGroup, TrainableNetwork, join_process_group
from spinloop.training.loop import TrainingRun, snapshot_steps, train, weights_generator
from spinloop.training.monitor import History, Monitor
from spinloop.training.step import AnchorWeights, TrainingContext


@dataclass(frozen=True)
class TrainingFiles:
    """Input files of a training; a folder holds a file for every split of the mixture."""

    body: Path
    prior: Path
    keypoints: Path
    """Folder of merged keypoints."""
    crops: Path
    """Folder of packed crops."""
    fits: Path
    """Folder of initial fits."""
    annotations: Path | None
    """Folder of record tables; None: train without 3D annotations."""
    listed: Path | None = None
    """Folder of digests of `list_training`, by which DVC sees crops and annotations; None: not compared."""

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

    def all(self, splits: Sequence[str]) -> dict[str, Path]:
        """All files that a training on these splits reads, by what they are."""
        paths: dict[str, Path | None] = {"body": self.body, "prior": self.prior}
        for split in splits:
            own = {**self.of_split(split)._asdict(), "fits": self.fits_of(split)}
            paths |= {f"{kind} of {split}": path for kind, path in own.items()}
        return {name: path for name, path in paths.items() if path is not None}


@dataclass(frozen=True)
class TrainingSections:
    """Sections of the parameters that a training reads."""

    network: NetworkParams
    train: TrainParams
    setting: SettingParams
    fitting: FittingParams
    monitor: MonitorParams
    body: PosingParams

    @classmethod
    def parse(cls, values: Mapping[str, Any], setting: str, source: Path) -> "TrainingSections":
        """Parse the sections of one setting.

        Args:
            values: a whole parameter file.
            setting: a key of the section `settings`.
            source: where the values come from, for messages.

        Raises:
            UserError: a section is missing or wrong.
        """
        return cls(
            network=parse_section(values, "network", NetworkParams, source),
            train=parse_section(values, "train", TrainParams, source),
            setting=parse_section(values, f"settings.{setting}", SettingParams, source),
            fitting=parse_section(values, "fitting", FittingParams, source),
            monitor=parse_section(values, "watch", MonitorParams, source),
            body=parse_section(values, "body", PosingParams, source),
        )


def train_setting(
    name: str,
    files: TrainingFiles,
    sections: TrainingSections,
    *,
    network_out: Path,
    fits_out: Path,
    snapshots_out: Path,
    history_out: Path,
    state: Path,
    monitor: Path,
    code: str,
    keep_state: bool,
) -> None:
    """Train one setting and write its outputs; a run that was stopped resumes.

    Args:
        name: name of the setting, for messages.
        files: input files.
        sections: parameters.
        network_out: the trained network.
        fits_out: folder; gets the final fits of every split.
        snapshots_out: folder; gets the snapshots of every split.
        history_out: the training curve (CSV).
        state: folder of the checkpoint.
        monitor: folder of contact sheets and logs.
        code: digest of the command's code.
        keep_state: keep the state of the finished training, if more steps (`n_steps`) can continue it.

    Raises:
        UserError: a file is absent or faulty, a loss is not finite, or the state is of another run.
    """
    n_steps = sections.train.n_steps
    with join_process_group(sections.train.device) as processes:
        run = prepare_run(name, files, sections, state, monitor, processes, code)
        with run.checkpoint.in_use() if processes.is_first else nullcontext():
            _train_with_progress(run, f"train {name}")
            if processes.is_first:
                save_fits(run, files, fits_out, snapshots_out)
                run.history.write(history_out, n_steps)
                save_network(network_out, run.context.network.module, sections.network)
                run.checkpoint.finish(keep=keep_state and sections.train.schedule == "constant")
        if processes.is_first:
            share = (run.context.store.array("origin") == ORIGINS.index("loop")).mean()
            say(f"train {name}: {n_steps} steps; {share:.0%} of the fits came from the loop")


def prepare_run(
    name: str,
    files: TrainingFiles,
    sections: TrainingSections,
    state: Path,
    monitor: Path,
    processes: ProcessGroup,
    code: str,
) -> TrainingRun:
    """Read all files and build everything; nothing is trained yet.

    Args:
        name: name of the setting.
        files: input files.
        sections: parameters.
        state: folder of the checkpoint.
        monitor: folder of contact sheets and logs.
        processes: the processes that train together.
        code: digest of the command's code.

    Raises:
        UserError: a file is absent, damaged or of another split, or the batch cannot be divided among the
            processes.
    """
    params = sections.train
    if not sections.setting.use_3d:
        files = replace(files, annotations=None)
    elif files.annotations is None:
        raise UserError("train: --annotations: missing, and the setting says use_3d: true; give the folder")
    initial = params.initial.files()
    for key, path in initial.items():
        require_file(path, f"correct or empty train.initial.{key} in params.yaml")
    contents = {kind: sha256_of(path) for kind, path in files.all(params.splits).items() if path.is_file()}
    _require_listed(files, params.splits, contents)
    image_px = sections.network.image_px
    splits = {name: load_split(name, files.of_split(name), params, image_px) for name in params.splits}
    lengths = {name: len(split.ids) for name, split in splits.items()}
    sampler = MixtureSampler(lengths, split_shares(params.mixture, lengths), params.batch_size, params.seed)
    processes.share(params.batch_size)
    body, prior = load_body(files.body), load_mixture(files.prior)
    fitter = Fitter(body, prior, sections.fitting, processes.device)
    store = _load_store(files, splits, fitter)
    network = _initial_network(sections, prior)
    mesh = make_body_model(body, sections.body.engine).to(processes.device)
    context = TrainingContext(
        params=params,
        setting=sections.setting,
        network=TrainableNetwork(network, params, processes),
        joints=JointsOnly(body).to(processes.device),
        mesh=mesh if params.weights.mesh > 0 else None,
        fitter=fitter,
        store=store,
        anchor=AnchorWeights(sections.fitting, params.max_fit_error, processes),
    )
    others = {f"settings.{name}": sections.setting, "network": sections.network}
    others |= {"fitting": sections.fitting, "body": sections.body}
    made_from = training_made_from(
        {key: section.model_dump() for key, section in others.items()},
        params,
        contents | {f"train.initial.{key}": sha256_of(path) for key, path in initial.items()},
        processes.size,
        code,
    )
    return TrainingRun(
        context=context,
        loader=BatchLoader(splits, sampler, params.augmentation, sections.network, processes),
        checkpoint=TrainingCheckpoint(state, made_from, f"train {name}"),
        history=History(params.history_every),
        monitor=Monitor(monitor, sections.monitor, make_body_model(body, sections.body.engine)),
    )


def _require_listed(files: TrainingFiles, splits: Sequence[str], contents: Mapping[str, str]) -> None:
    """Refuse crops and annotations that DVC does not see, since a change of them would make nothing stale."""
    if files.listed is None:
        return
    for split in splits:
        path = files.listed / f"{split}.json"
        fix = f"name {split} in dvc.yaml (vars.training, merge), or take it out of train.mixture"
        digests = read_json(require_file(path, fix))
        for kind in ("crops", "annotations"):
            read = contents.get(f"{kind} of {split}")
            if read is not None and read != digests.get(kind):
                raise UserError(f"{path}: {kind}: not those of {split} that are there; run `dvc repro`")


def save_fits(run: TrainingRun, files: TrainingFiles, fits_out: Path, snapshots_out: Path) -> None:
    """Write the final dictionary and the snapshots, one file for every split.

    Args:
        run: finished.
        files: its input files; the initial fits say who belongs to which split.
        fits_out: folder.
        snapshots_out: folder.
    """
    store, wanted = run.context.store, snapshot_steps(run.context.params)
    steps = run.checkpoint.snapshots_taken(wanted)
    if missing := sorted(set(wanted) - set(steps)):
        listed = ", ".join(map(str, missing))
        say(f"{snapshots_out}: none after step {listed}, when train.snapshot_every was another")
    row_of = {key: row for row, key in enumerate(store.ids)}
    with atomic(fits_out) as fits, atomic(snapshots_out) as snapshots:
        for split in run.loader.splits:
            part = FitStore(FitStore.open(files.fits_of(split)).ids)
            rows = np.array([row_of[key] for key in part.ids])
            part.load_state_dict({name: values[rows] for name, values in store.state_dict().items()})
            part.save(fits / f"{split}.h5")
            run.checkpoint.collect_snapshots(steps, part.ids, rows, snapshots / f"{split}.h5")


def _train_with_progress(run: TrainingRun, description: str) -> None:
    params, history = run.context.params, run.history
    steps = train(run)
    n_resumed = len(next(steps))
    if run.context.processes.is_first:
        if n_resumed:
            say(f"{description}: resumes after step {n_resumed}")
        throughput = Throughput(
            "images", params.batch_size, n_resumed, lambda: _describe_fits(history.latest)
        )
        steps = rate(steps, description, params.n_steps, throughput)
    for _step in steps:
        pass


def _describe_fits(latest: Mapping[str, float]) -> str:
    return f"{latest['accepted']:.0%} of fits accepted, {latest['stored_error']:.3g} px² stored"


def _load_store(files: TrainingFiles, splits: Mapping[str, Split], fitter: Fitter) -> FitStore:
    """The initial dictionary of all splits."""
    parts: list[FitStore] = []
    for name, split in splits.items():
        part = FitStore.open(files.fits_of(name))
        fitted = set(part.ids)
        absent = next((key for key in split.ids if key not in fitted), None)
        if absent is not None:
            path = files.fits_of(name)
            raise UserError(f"{path}: ids: {absent!r} is missing; give the fits of the same split")
        parts.append(part)
    joined = FitStore.join(parts)
    store = FitStore(joined.ids, fitter.root_joint)
    store.load_state_dict(joined.state_dict())
    return store


def _initial_network(sections: TrainingSections, prior: Mixture) -> Hmr:
    files = sections.train.initial.files()
    if "network" in files:
        with _error_names("network"):
            return load_initial_network(files["network"], sections.network)
    mean = mean_from_prior(prior.means, prior.weights)
    if "mean" in files:
        with _error_names("mean"):
            mean = load_mean(files["mean"])
    network = Hmr(sections.network, mean, weights_generator(sections.train.seed))
    if "backbone" in files:
        with _error_names("backbone"):
            load_imagenet(network, files["backbone"])
    return network


@contextmanager
def _error_names(key: str) -> Iterator[None]:
    """Prefix an error with the key of `train.initial` that names the file."""
    try:
        yield
    except UserError as error:
        raise UserError(f"train.initial.{key}: {error}") from None
