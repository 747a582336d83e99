"""What became of a person's fit.

Fits of a whole split, a batch at a time, that can be stopped and go on where they were.

Each finished batch is a file of its own in a folder of state, named after everything that decides the fits;
the same command finds them there. Nothing but one batch is held in memory until the batches are joined.

Parts of a split's fits, joined on disk; no more than one part is in memory.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.files import atomic
from spinloop.fitting.objective import fitted_keypoints
from spinloop.fitting.smplify import Fitter, keep_better
from spinloop.geometry.crop import BOX_UNIT_PX, CENTER_PX, CROP_PX
from spinloop.keypoints.merge import KEYPOINTS
from spinloop.params.fitting import FitInitialParams
from spinloop.tables.fits import FIELDS, STATUSES, BestFit, FitResult, FitStore, StoredFit
from spinloop.tables.table import iterate_table


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
    trust = fitted_keypoints(keypoints)[..., 2].to(result.reprojection)
    seen = (trust > 0).sum(-1)
    per_joint = result.reprojection.sum(-1) / trust.square().sum(-1).clamp(min=1e-12)
    for name, applies in (
        ("rejected_reprojection", per_joint > params.max_reprojection),
        ("shape_out_of_range", (result.state.betas.abs() > params.max_beta).any(-1)),
        ("too_few_joints", seen < params.min_joints),
    ):
        status = torch.where(applies.to(status.device), STATUSES.index(name), status)
    return status


def count_statuses(status: Integer[Tensor, " B"]) -> str:
    """How many people have each status, in words."""
    return name_statuses(torch.bincount(status.cpu().long(), minlength=len(STATUSES)).tolist())


def name_statuses(counts: Iterable[int]) -> str:
    """Counts in the order of `STATUSES`, in words; those that nobody has are left out."""
    named = (f"{n} {name}" for n, name in zip(counts, STATUSES, strict=True) if n)
    return ", ".join(named) or "nobody"


class KeypointBatch(NamedTuple):
    """Keypoints of some people."""

    ids: list[str]
    keypoints: Float[Tensor, "B 49 3"]
    """Pixels of each person's crop, and confidence."""


def keypoint_batches(path: Path, rows: range, batch_size: int) -> Iterator[KeypointBatch]:
    """Read part of a table of merged keypoints in batches.

    Args:
        path: `data/keypoints/<split>.parquet`.
        rows: which rows, one contiguous run.
        batch_size: people in a batch; the last one may be smaller.
    """
    held: list[dict[str, Any]] = []
    for number, row in enumerate(iterate_table(path, KEYPOINTS, "make it with `spinloop merge`")):
        if number in rows:
            held.append(row)
        if held and (len(held) == batch_size or number + 1 == rows.stop):
            yield _batch(held)
            held = []
        if number + 1 == rows.stop:
            return


def shard_rows(n_rows: int, shard: int, n_shards: int) -> range:
    """The rows of one of `n_shards` contiguous parts whose sizes differ by one at most."""
    return range(shard * n_rows // n_shards, (shard + 1) * n_rows // n_shards)


def crop_keypoints(
    keypoints: Float[np.ndarray, "N J 3"], center: Float[np.ndarray, "N 2"], scale: Float[np.ndarray, " N"]
) -> Float[np.ndarray, "N J 3"]:
    """Keypoints of the original image in pixels of each person's 224 px crop; confidences are kept.

    Args:
        keypoints: px of the original image, confidence.
        center: middle of the box, px of the original image.
        scale: side of the box / 200 px.
    """
    zoom = CROP_PX / (BOX_UNIT_PX * scale)
    moved = (keypoints[..., :2] - center[:, None]) * zoom[:, None, None] + CENTER_PX
    return np.concatenate([moved, keypoints[..., 2:]], axis=-1)


def fit_batch(
    fitter: Fitter, batch: KeypointBatch, solve: Callable[[Tensor], FitResult], params: FitInitialParams
) -> FitStore:
    """Fits of one batch with their statuses; people with too few joints get none.

    Args:
        fitter: measures the errors.
        batch: who.
        solve: keypoints to fits.
        params: the limits.
    """
    n = len(batch.ids)
    nobody = StoredFit(
        BodyState(torch.zeros(n, 72), torch.zeros(n, 10), torch.zeros(n, 3)),
        torch.full((n,), torch.inf),
        torch.zeros(n, dtype=torch.bool),
    )
    result = solve(batch.keypoints)
    status = fit_status(result, batch.keypoints, params)
    better: BestFit = keep_better(fitter, nobody, result, batch.keypoints)
    enough = status != STATUSES.index("too_few_joints")
    store = FitStore(batch.ids, fitter.root_joint)
    store.put(batch.ids, None, better._replace(is_new=better.is_new & enough), "initial", 0, status)
    return store


def finished_batches(
    folder: Path, batches: Iterator[KeypointBatch], fit: Callable[[KeypointBatch], FitStore]
) -> Iterator[FitStore]:
    """Each batch's fits, made now or found in the folder.

    Args:
        folder: of the state; files in it are trusted (it is named by `files.fingerprint`).
        batches: all batches, in the same order at every call.
        fit: makes what is not there yet.
    """
    for number, batch in enumerate(batches):
        part = folder / f"{number:06d}.h5"
        if not part.is_file():
            fit(batch).save(part)
        yield FitStore.open(part)


def _batch(rows: list[dict[str, Any]]) -> KeypointBatch:
    keypoints = np.stack([row["keypoints"] for row in rows]).astype(np.float64)
    center, scale = np.stack([row["center"] for row in rows]), np.array([row["scale"] for row in rows])
    moved = crop_keypoints(keypoints, center.astype(np.float64), scale.astype(np.float64))
    return KeypointBatch([row["id"] for row in rows], torch.from_numpy(moved.astype(np.float32)))


class Joined:
    """What became of everybody in joined parts."""

    def __init__(self) -> None:
        """Nobody yet."""
        self.n_people = 0
        self.n_known = 0
        self.statuses: Int[np.ndarray, " S"] = np.zeros(len(STATUSES), np.int64)

    def add(self, part: FitStore) -> None:
        """Count the people of a part."""
        self.n_people += len(part)
        self.n_known += int(part.is_known.sum())
        self.statuses += np.bincount(part.array("status"), minlength=len(STATUSES))


def part_files(places: Sequence[Path]) -> list[Path]:
    """Files as they are given, folders as the files in them: those named by numbers by number, others after.

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


def join_parts(files: Sequence[Path], out: Path) -> Joined:
    """Write one store with everybody of all parts, in their order; atomically.

    Args:
        files: the parts.
        out: the store.

    Raises:
        UserError: a part is absent or faulty, or an id is in two parts.
    """
    joined, where = Joined(), {}
    with atomic(out) as temporary, h5py.File(temporary, "w") as file:
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
                if where.setdefault(id_, path) != path:
                    raise UserError(f"{path}: {id_}: also in {where[id_]}; give every part once")
            first = joined.n_people
            joined.add(part)
            ids.resize(joined.n_people, axis=0)
            ids[first:] = list(part.ids)
            for name, field in fields.items():
                field.resize(joined.n_people, axis=0)
                field[first:] = part.array(name)
    return joined


def _by_number(path: Path) -> tuple[int, str]:
    return (int(path.stem), "") if path.stem.isdigit() else (1 << 62, path.name)
