"""Fits of a whole split, one batch at a time; a stopped run resumes.

Each finished batch is a file in a folder of state (`resume.State`), where the same command finds it. Parts of
a split are joined on disk, so that no more than one part is in memory.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.files.hdf5 import hdf5_output
from spinloop.fitting.objective import fitted_keypoints
from spinloop.fitting.smplify import Fitter, keep_better
from spinloop.geometry.crop import crop_keypoints
from spinloop.keypoints.merge import KEYPOINTS
from spinloop.params.fitting import FitInitialParams, FittingParams
from spinloop.progress import say
from spinloop.resume import MadeFrom, State, named_values
from spinloop.tables.fits import FIELDS, STATUSES, FitResult, FitStore, StoredFit
from spinloop.tables.table import iterate_table


class KeypointBatch(NamedTuple):
    """Keypoints of some people."""

    ids: list[str]
    keypoints: Float[Tensor, "B 49 3"]
    """Pixels of each person's 224 px crop, and confidence."""


def shard_rows(n_rows: int, shard: int, n_shards: int) -> range:
    """The rows of one of `n_shards` contiguous parts whose sizes differ by one at most."""
    return range(shard * n_rows // n_shards, (shard + 1) * n_rows // n_shards)


def keypoint_batches(path: Path, rows: range, batch_size: int) -> Iterator[KeypointBatch]:
    """Read part of a table of merged keypoints in batches.

    Args:
        path: `data/keypoints/<split>.parquet`.
        rows: which rows, one contiguous run.
        batch_size: people in a batch; the last one may be smaller.
    """
    waiting: list[dict[str, Any]] = []
    for number, row in enumerate(iterate_table(path, KEYPOINTS, "make it with `spinloop merge`")):
        if number in rows:
            waiting.append(row)
        if waiting and (len(waiting) == batch_size or number + 1 == rows.stop):
            yield _batch(waiting)
            waiting = []
        if number + 1 == rows.stop:
            return


def fit_batch(
    fitter: Fitter, batch: KeypointBatch, solve: Callable[[Tensor], FitResult], params: FitInitialParams
) -> FitStore:
    """Fits of one batch with their statuses; people with too few joints get none.

    Args:
        fitter: measures the errors.
        batch: the people.
        solve: keypoints to fits.
        params: limits of the statuses.
    """
    n = len(batch.ids)
    no_fits = StoredFit(
        BodyState(torch.zeros(n, 72), torch.zeros(n, 10), torch.zeros(n, 3)),
        torch.full((n,), torch.inf),
        torch.zeros(n, dtype=torch.bool),
    )
    result = solve(batch.keypoints)
    status = fit_status(result, batch.keypoints, params)
    best = keep_better(fitter, no_fits, result, batch.keypoints)
    is_enough = status != STATUSES.index("too_few_joints")
    store = FitStore(batch.ids, fitter.root_joint)
    store.put(batch.ids, None, best._replace(is_new=best.is_new & is_enough), "initial", 0, status)
    return store


def finished_batches(
    state: State, batches: Iterator[KeypointBatch], fit: Callable[[KeypointBatch], FitStore]
) -> Iterator[FitStore]:
    """Each batch's fits, made now or found in the state.

    Args:
        state: in use.
        batches: all batches, in the same order at every call.
        fit: makes the fits of a batch that is not there yet, or whose file is damaged.
    """
    for number, batch in enumerate(batches):
        part = state.folder / f"{number:06d}.h5"
        store = _stored_batch(state, part, batch)
        if store is None:
            store = fit(batch)
            store.save(part)
        yield store


def _stored_batch(state: State, part: Path, batch: KeypointBatch) -> FitStore | None:
    """The fits of a batch that are in the state; a damaged file is moved aside."""
    if not part.is_file():
        return None
    try:
        store = FitStore.open(part)
        if list(store.ids) == batch.ids:
            return store
        reason = "fits of other people"
    except UserError as error:
        reason = str(error).removeprefix(f"{part}: ")
    say(f"{part}: damaged ({reason}); fitted again; the file is now {state.set_part_aside(part)}")
    return None


def fits_made_from(
    fitting: FittingParams,
    rules: FitInitialParams,
    start: str,
    shard: int,
    contents: Mapping[str, str],
    code: str,
) -> MadeFrom:
    """What the state of the offline fits of one part of a split is made from.

    Args:
        fitting: section `fitting`.
        rules: section `fit_initial`.
        start: `mean` or `lifted`.
        shard: number of the part.
        contents: digests of the input files, by what they are.
        code: digest of the command's code.
    """
    # `fit_initial.start` says which of the fits training takes, not how they are made.
    ignored = {"fit_initial.start", *(() if start == "lifted" else ["fit_initial.lifted_start"])}
    values = named_values("fitting", fitting.model_dump())
    values |= named_values("fit_initial", rules.model_dump(), ignored)
    rounding = {"fitting.chunk_size": values.pop("fitting.chunk_size")}
    values |= {"--start": start, "--shard": shard}
    return MadeFrom(
        past=values | {f"content of {name}": digest for name, digest in contents.items()},
        rounding=rounding | {"runtime.threads": torch.get_num_threads()},
        code=code,
    )


def fit_status(
    result: FitResult, keypoints: Float[Tensor, "B 49 3"], params: FitInitialParams
) -> Int[Tensor, " B"]:
    """Status of each fit, as a position in `STATUSES`.

    Args:
        result: the fits.
        keypoints: what was fitted to.
        params: the limits.
    """
    status = torch.where(result.converged, STATUSES.index("converged"), STATUSES.index("max_iterations"))
    confidence = fitted_keypoints(keypoints)[..., 2].to(result.reprojection)
    n_seen = (confidence > 0).sum(-1)
    per_joint = result.reprojection.sum(-1) / confidence.square().sum(-1).clamp(min=1e-12)
    for name, applies in (
        ("rejected_reprojection", per_joint > params.max_reprojection),
        ("shape_out_of_range", (result.state.betas.abs() > params.max_beta).any(-1)),
        ("too_few_joints", n_seen < params.min_joints),
    ):
        status = torch.where(applies.to(status.device), STATUSES.index(name), status)
    return status


def count_statuses(status: Integer[np.ndarray, " N"]) -> Int[np.ndarray, " S"]:
    """How many people have each status, in the order of `STATUSES`."""
    return np.bincount(status, minlength=len(STATUSES))


def describe_statuses(counts: Int[np.ndarray, " S"]) -> str:
    """Counts of `count_statuses` as text, without zeros."""
    named = (f"{n} {name}" for n, name in zip(counts, STATUSES, strict=True) if n)
    return ", ".join(named) or "no one"


class JoinedParts(NamedTuple):
    """Counts of the people in joined parts."""

    n_people: int
    n_known: int
    """People with a fit."""
    status_counts: Int[np.ndarray, " S"]
    """See `count_statuses`."""


def part_files(places: Sequence[Path]) -> list[Path]:
    """Files as they are given; folders as the files in them, those named by a number first, by number.

    Raises:
        UserError: a folder holds no part.
    """
    files = []
    for place in places:
        found = sorted(place.glob("*.h5"), key=_by_number) if place.is_dir() else [place]
        if not found:
            raise UserError(f"{place}: no part (*.h5) there; make them with `spinloop fit_initial`")
        files += found
    return files


def join_parts(files: Sequence[Path], out: Path) -> JoinedParts:
    """Write one store with the people of all parts, in their order; atomically.

    Args:
        files: the parts.
        out: the store.

    Raises:
        UserError: a part is absent or faulty, or an id is in two parts.
    """
    n_people, n_known, counts = 0, 0, np.zeros(len(STATUSES), np.int64)
    part_of: dict[str, Path] = {}
    with hdf5_output(out) as file:
        ids = file.create_dataset("ids", (0,), maxshape=(None,), dtype=h5py.string_dtype())
        fields = {}
        for name, (dtype, shape, unit) in FIELDS.items():
            fields[name] = file.create_dataset(
                name, (0, *shape), maxshape=(None, *shape), dtype=dtype, chunks=(1024, *shape)
            )
            fields[name].attrs["unit"] = unit
        for path in files:
            part = FitStore.open(path)
            for id_ in part.ids:
                if part_of.setdefault(id_, path) != path:
                    raise UserError(f"{path}: {id_}: also in {part_of[id_]}; give every part once")
            first, n_people = n_people, n_people + len(part)
            n_known += int(part.is_known.sum())
            counts += count_statuses(part.array("status"))
            ids.resize(n_people, axis=0)
            ids[first:] = list(part.ids)
            for name, field in fields.items():
                field.resize(n_people, axis=0)
                field[first:] = part.array(name)
    return JoinedParts(n_people, n_known, counts)


def _batch(rows: list[dict[str, Any]]) -> KeypointBatch:
    keypoints = np.stack([row["keypoints"] for row in rows]).astype(np.float64)
    center, scale = np.stack([row["center"] for row in rows]), np.array([row["scale"] for row in rows])
    moved = crop_keypoints(keypoints, center.astype(np.float64), scale.astype(np.float64))
    return KeypointBatch([row["id"] for row in rows], torch.from_numpy(moved.astype(np.float32)))


def _by_number(path: Path) -> tuple[int, str]:
    return (int(path.stem), "") if path.stem.isdigit() else (1 << 62, path.name)
