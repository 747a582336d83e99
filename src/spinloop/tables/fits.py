"""Fits of a batch, and the dictionary of fits: the best fit so far of every person, by id.

The dictionary is in memory (about 360 bytes a person) and on disk one HDF5 file, written atomically. It
holds fits in the frame of the plain crop; `get` and `put` convert to and from the view of an augmented crop.
Several processes work on copies and merge them with `absorb`, which keeps the better fit of each person in
any order.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spinloop.body.pose import BodyState, CropView, from_view, to_view
from spinloop.errors import UserError, shape_fault
from spinloop.files.hdf5 import hdf5_output, open_hdf5


class FitResult(NamedTuple):
    """Fitted bodies; all numbers are finite."""

    state: BodyState
    joints: Float[Tensor, "B 49 3"]
    """Metres, without the translation."""
    reprojection: Float[Tensor, "B 49"]
    """Robust reprojection error, px² (see `fitting.objective`); fits are compared by its mean."""
    objective: Float[Tensor, " B"]
    """The objective, px²; it does not contain the anchor and the depth term."""
    iterations: Int[Tensor, " B"]
    """Steps tried, in all stages."""
    converged: Bool[Tensor, " B"]
    """Whether the solver stopped because a step gained less than the tolerance."""

    def overwrite(
        self, index: Int[Tensor, " N"], other: "FitResult", wins: Bool[Tensor, " N"]
    ) -> "FitResult":
        """The same fits, those at `index` replaced by rows of `other` where these are better.

        Args:
            index: positions of the people of `other`.
            other: other fits of the same people.
            wins: which of them are better.
        """
        where = index[wins]
        state = BodyState(
            *(old.index_copy(0, where, new[wins]) for old, new in zip(self.state, other.state, strict=True))
        )
        rest = (old.index_copy(0, where, new[wins]) for old, new in zip(self[1:], other[1:], strict=True))
        return FitResult(state, *rest)


def join_results(results: Sequence[FitResult]) -> FitResult:
    """The people of all results, in their order."""
    if len(results) == 1:
        return results[0]
    states = BodyState(*(torch.cat(rows) for rows in zip(*(r.state for r in results), strict=True)))
    return FitResult(states, *(torch.cat(rows) for rows in zip(*(r[1:] for r in results), strict=True)))


class StoredFit(NamedTuple):
    """The best fits of a batch so far, as the dictionary has them."""

    state: BodyState
    """Zeros where none is known."""
    error: Float[Tensor, " B"]
    """Mean over the 49 joints of the robust reprojection error, px²; infinite where no fit is known."""
    is_known: Bool[Tensor, " B"]


class BestFit(NamedTuple):
    """The better of the stored and the new fit of each person, as `fitting.smplify.keep_better` chooses."""

    state: BodyState
    """With the translation at which it was measured; zeros where there is no fit at all."""
    error: Float[Tensor, " B"]
    """As in `StoredFit`; both fits are measured with the translation that reprojects them best."""
    is_known: Bool[Tensor, " B"]
    is_new: Bool[Tensor, " B"]
    """Whether the new fit replaces the stored one."""


STATUSES = (
    "none",
    "converged",
    "max_iterations",
    "rejected_reprojection",
    "shape_out_of_range",
    "too_few_joints",
    "outside_crop",
)
"""The number that is stored is the position here; where several apply, the last one is stored."""

FAILURES = STATUSES[STATUSES.index("rejected_reprojection") :]
"""Statuses of fits that should not be used."""

ORIGINS = ("none", "initial", "loop")
"""Where a fit came from; the number that is stored is the position here."""

FIELDS: dict[str, tuple[type, tuple[int, ...], str]] = {
    "pose": (np.float32, (72,), "rad"),
    "betas": (np.float32, (10,), "standard deviations"),
    "translation": (np.float32, (3,), "m"),
    "error": (np.float32, (), "px^2"),
    "origin": (np.uint8, (), ", ".join(ORIGINS)),
    "step": (np.int64, (), "training step"),
    "status": (np.uint8, (), ", ".join(STATUSES)),
}
"""Arrays of a store: type, shape of a person's entry, unit."""
_FIX = "make it with `spinloop fit_initial` (a part) or `spinloop collect_fits` (a split)"


class FitStore:
    """The dictionary of fits of a split."""

    def __init__(self, ids: Sequence[str], root_joint: Callable[[Tensor], Tensor] | None = None) -> None:
        """A store without fits.

        Args:
            ids: one per person.
            root_joint: root joint by shape, metres (`Fitter.root_joint`), about which a view rotates the
                body; without it the root joint is taken to be the origin.

        Raises:
            UserError: an id occurs twice.
        """
        self.ids = tuple(ids)
        self._index = {id_: row for row, id_ in enumerate(self.ids)}
        if len(self._index) != len(self.ids):
            twice = next(id_ for row, id_ in enumerate(self.ids) if self._index[id_] != row)
            raise UserError(f"fits: {twice}: this id occurs twice; ids must be unique")
        self._root_joint = root_joint
        self._arrays = {
            name: np.zeros((len(self.ids), *shape), dtype) for name, (dtype, shape, _) in FIELDS.items()
        }
        self._arrays["error"][:] = np.inf

    @classmethod
    def open(cls, path: Path, root_joint: Callable[[Tensor], Tensor] | None = None) -> "FitStore":
        """Read a store.

        Args:
            path: HDF5 file.
            root_joint: as in the constructor.

        Raises:
            UserError: the file is absent, is not HDF5, or lacks a field.
        """
        with open_hdf5(path, "a store of fits", _FIX) as file:
            arrays = {name: file.numbers(name) for name in FIELDS}
            store = cls(file.words("ids"), root_joint)
        for name, array in arrays.items():
            store.check(f"{path}: {name}", name, array)
        store.load_state_dict(arrays)
        return store

    def check(self, where: str, name: str, array: np.ndarray) -> None:
        """Refuse what no fit can be.

        Raises:
            UserError: another shape, or a number that names nothing; `where` begins the line.
        """
        fault = shape_fault(array.shape, self._arrays[name].shape, "people")
        if fault is None and name in BodyState._fields and not np.isfinite(array).all():
            fault = "not all numbers are finite"
        if fault is None and name == "error" and not (array >= 0).all():
            fault = "an error below 0, or that is no number"
        limits = {"origin": len(ORIGINS), "status": len(STATUSES), "step": 2**31}
        limit = limits.get(name, 0)
        if fault is None and limit and not ((array >= 0) & (array < limit)).all():
            fault = f"numbers outside [0, {limit})"
        if fault:
            raise UserError(f"{where}: {fault}; {_FIX}")

    @classmethod
    def join(cls, parts: Sequence["FitStore"]) -> "FitStore":
        """One store with the people of all parts, in their order.

        Raises:
            UserError: an id is in two parts.
        """
        store = cls([id_ for part in parts for id_ in part.ids])
        if parts:
            fields = {name: [part._arrays[name] for part in parts] for name in FIELDS}
            store.load_state_dict({name: np.concatenate(arrays) for name, arrays in fields.items()})
        return store

    def __len__(self) -> int:
        return len(self.ids)

    def save(self, path: Path) -> None:
        """Write the store, atomically; the same fits give the same bytes."""
        with hdf5_output(path) as file:
            file.create_dataset("ids", data=list(self.ids), dtype=h5py.string_dtype())
            for name, (_, _, unit) in FIELDS.items():
                file.create_dataset(name, data=self._arrays[name]).attrs["unit"] = unit

    def get(self, ids: Sequence[str], view: CropView | None = None) -> StoredFit:
        """The fits of some people in the view of a crop.

        Args:
            ids: of the people.
            view: the crop's view; the plain crop if not given.

        Raises:
            UserError: an id is not in the store.
        """
        rows = self._rows(ids)
        state = BodyState(*(torch.from_numpy(self._arrays[name][rows]) for name in BodyState._fields))
        is_known = torch.from_numpy(self._arrays["origin"][rows] > 0)
        if view is not None:
            state = to_view(state, view, self._root(state)).where(is_known, state)
        return StoredFit(state, torch.from_numpy(self._arrays["error"][rows]), is_known)

    def put(
        self,
        ids: Sequence[str],
        view: CropView | None,
        fits: BestFit,
        origin: str,
        step: int,
        status: Int[Tensor, " B"] | None = None,
    ) -> None:
        """Store the fits that are new (`fits.is_new`); other people keep theirs.

        Args:
            ids: of the people.
            view: in which the fits are given; the plain crop if not given.
            fits: what `keep_better` chose.
            origin: one of `ORIGINS`.
            step: training step; 0 before training.
            status: positions in `STATUSES`, stored for all these people, also where the fit is not new.

        Raises:
            UserError: an id is not in the store.
        """
        chosen = fits.is_new.cpu().numpy()
        rows = self._rows(ids)[chosen]
        state = BodyState(*(part.detach().cpu().float() for part in fits.state))
        if view is not None:
            view = CropView(view.rotation_deg.cpu(), view.is_flipped.cpu())
            state = from_view(state, view, self._root(state))
        for name, part in zip(BodyState._fields, state, strict=True):
            self._arrays[name][rows] = part.numpy()[chosen]
        self._arrays["error"][rows] = fits.error.detach().cpu().numpy()[chosen]
        self._arrays["origin"][rows] = ORIGINS.index(origin)
        self._arrays["step"][rows] = step
        if status is not None:
            self._arrays["status"][self._rows(ids)] = status.cpu().numpy()

    def absorb(self, other: "FitStore") -> None:
        """Take the fit of each person of `other` whose error is strictly lower, or who has no fit here.

        Raises:
            UserError: `other` has an id that this store lacks.
        """
        rows = self._rows(other.ids)
        better = other.is_known & ~(self._arrays["error"][rows] <= other._arrays["error"])
        for name, array in self._arrays.items():
            array[rows[better]] = other._arrays[name][better]

    @property
    def is_known(self) -> Bool[np.ndarray, " N"]:
        """Who has a fit."""
        return self._arrays["origin"] > 0

    def array(self, name: str) -> np.ndarray:
        """A copy of one of `FIELDS`, in the order of `ids`."""
        return self._arrays[name].copy()

    def mean_error(self) -> float:
        """Mean reprojection error of the people who have a fit, px²; NaN if there are none."""
        known = self.is_known
        return float(self._arrays["error"][known].mean()) if known.any() else float("nan")

    def state_dict(self) -> dict[str, Tensor]:
        """All fields, for a checkpoint."""
        return {name: torch.from_numpy(array.copy()) for name, array in self._arrays.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore all fields.

        Raises:
            UserError: a field is missing or of the wrong shape.
        """
        for name, own in self._arrays.items():
            if name not in state or np.shape(state[name]) != own.shape:
                raise UserError(f"fits: {name}: expected an array of shape {own.shape}; {_FIX}")
        for name, (dtype, _, _) in FIELDS.items():
            self._arrays[name] = np.array(state[name], dtype=dtype)

    def _rows(self, ids: Sequence[str]) -> Int[np.ndarray, " B"]:
        try:
            return np.array([self._index[id_] for id_ in ids], dtype=np.int64)
        except KeyError as error:
            raise UserError(f"fits: {error.args[0]}: no such person; {_FIX}") from None

    def _root(self, state: BodyState) -> Tensor:
        if self._root_joint is None:
            return torch.zeros_like(state.translation)
        return self._root_joint(state.betas).to(state.translation)
