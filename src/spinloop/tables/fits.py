"""One fit of each person of a batch: as it is found, kept and compared.

The dictionary of fits: the best fit so far of every image, by id.

It lives in memory (about 360 bytes a person) and on disk as one HDF5 file, written atomically. Fits are
kept as the plain crop shows them; `get` and `put` translate to and from the view of an augmented crop.
Several processes work on copies and join them with `absorb`, which keeps the better fit of each person
whatever the order.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spinloop.body.pose import BodyState, View, from_view, to_view
from spinloop.errors import UserError
from spinloop.files import atomic, reading


class FitResult(NamedTuple):
    """Fitted bodies; all numbers are finite."""

    state: BodyState
    joints: Float[Tensor, "B 49 3"]
    """Metres, without the translation."""
    reprojection: Float[Tensor, "B 49"]
    """Robust reprojection error, px² (see `fitting.energy`); fits are compared by its mean."""
    objective: Float[Tensor, " B"]
    """All terms of the objective, without anchor and depth term."""
    iterations: Int[Tensor, " B"]
    """Steps tried, all stages together."""
    converged: Bool[Tensor, " B"]
    """Whether the solver stopped because a step gained next to nothing."""

    def overwrite(
        self, index: Int[Tensor, " N"], other: "FitResult", wins: Bool[Tensor, " N"]
    ) -> "FitResult":
        """The same fits, those at `index` replaced by rows of `other` where these win.

        Args:
            index: positions of the people of `other`.
            other: other fits of theirs.
            wins: which of them are better.
        """
        where = index[wins]
        state = BodyState(
            *(old.index_copy(0, where, new[wins]) for old, new in zip(self.state, other.state, strict=True))
        )
        rest = (old.index_copy(0, where, new[wins]) for old, new in zip(self[1:], other[1:], strict=True))
        return FitResult(state, *rest)


def join_results(results: Sequence[FitResult]) -> FitResult:
    """Everybody of all results, in their order."""
    if len(results) == 1:
        return results[0]
    states = BodyState(*(torch.cat(rows) for rows in zip(*(r.state for r in results), strict=True)))
    return FitResult(states, *(torch.cat(rows) for rows in zip(*(r[1:] for r in results), strict=True)))


class Fit(NamedTuple):
    """The best fits known so far."""

    state: BodyState
    """Zeros where none is known."""
    error: Float[Tensor, " B"]
    """Mean over the 49 joints of the robust reprojection error, px²; infinite where no fit is known."""
    is_known: Bool[Tensor, " B"]


class Better(NamedTuple):
    """The better of a known and a new fit, per person."""

    state: BodyState
    """With the translation at which it was measured; zeros where there is no fit at all."""
    error: Float[Tensor, " B"]
    """As in `Fit`, both measured with the same treatment of the camera."""
    is_known: Bool[Tensor, " B"]
    is_new: Bool[Tensor, " B"]
    """Whether the new fit replaces the known one."""


STATUSES = (
    "none",
    "converged",
    "max_iterations",
    "rejected_reprojection",
    "shape_out_of_range",
    "too_few_joints",
    "outside_crop",
)
"""The number that is stored is the position here; later ones win where several apply."""

FAILURES = STATUSES[STATUSES.index("rejected_reprojection") :]
"""Statuses of fits that should not be used as they are."""

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
_CURE = "make it with `spinloop fit_initial` (a part) or `spinloop collect_fits` (a split)"


class FitStore:
    """Best fits of a split."""

    def __init__(self, ids: Sequence[str], root_joint: Callable[[Tensor], Tensor] | None = None) -> None:
        """A store in which nobody has a fit.

        Args:
            ids: one per person.
            root_joint: place of the root joint by shape (`Fitter.root_joint`), which views need to keep the
                translation right; without it the root joint is taken to be the origin.

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
        with reading(path, "a store of fits", _CURE), h5py.File(path, "r") as file:
            arrays = {name: np.asarray(file[name]) for name in ("ids", *FIELDS)}
        store = cls([id_.decode() for id_ in arrays.pop("ids")], root_joint)
        store.load_state_dict(arrays)
        return store

    @classmethod
    def join(cls, parts: Sequence["FitStore"]) -> "FitStore":
        """One store with everybody of all parts, in their order.

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
        with atomic(path) as temporary, h5py.File(temporary, "w") as file:
            file.create_dataset("ids", data=list(self.ids), dtype=h5py.string_dtype())
            for name, (_, _, unit) in FIELDS.items():
                file.create_dataset(name, data=self._arrays[name]).attrs["unit"] = unit

    def get(self, ids: Sequence[str], view: View | None = None) -> Fit:
        """The fits of some people, as a view shows them.

        Args:
            ids: who.
            view: the crop's view; the plain crop if not given.

        Raises:
            UserError: an id is not in the store.
        """
        rows = self._rows(ids)
        state = BodyState(*(torch.from_numpy(self._arrays[name][rows]) for name in BodyState._fields))
        is_known = torch.from_numpy(self._arrays["origin"][rows] > 0)
        if view is not None:
            state = to_view(state, view, self._root(state)).where(is_known, state)
        return Fit(state, torch.from_numpy(self._arrays["error"][rows]), is_known)

    def put(
        self,
        ids: Sequence[str],
        view: View | None,
        fits: Better,
        origin: str,
        step: int,
        status: Int[Tensor, " B"] | None = None,
    ) -> None:
        """Keep the fits that are new (`fits.is_new`); the others stay as they are.

        Args:
            ids: who.
            view: in which the fits are given; the plain crop if not given.
            fits: what `keep_better` chose.
            origin: one of `ORIGINS`.
            step: training step; 0 before training.
            status: positions in `STATUSES`, of all these people, also of those whose fit is not new.

        Raises:
            UserError: an id is not in the store.
        """
        chosen = fits.is_new.cpu().numpy()
        rows = self._rows(ids)[chosen]
        state = BodyState(*(part.detach().cpu().float() for part in fits.state))
        if view is not None:
            view = View(view.rotation_deg.cpu(), view.is_mirrored.cpu())
            state = from_view(state, view, self._root(state))
        for name, part in zip(BodyState._fields, state, strict=True):
            self._arrays[name][rows] = part.numpy()[chosen]
        self._arrays["error"][rows] = fits.error.detach().cpu().numpy()[chosen]
        self._arrays["origin"][rows] = ORIGINS.index(origin)
        self._arrays["step"][rows] = step
        if status is not None:
            self._arrays["status"][self._rows(ids)] = status.cpu().numpy()

    def absorb(self, other: "FitStore") -> None:
        """Take each person of `other` whose fit has a strictly lower error, or who has none here.

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
        """A copy of one field of all people, in the order of `ids`: see the file's fields."""
        return self._arrays[name].copy()

    def mean_error(self) -> float:
        """Mean reprojection error of the people who have a fit, px²; NaN if nobody has."""
        known = self.is_known
        return float(self._arrays["error"][known].mean()) if known.any() else float("nan")

    def state_dict(self) -> dict[str, Tensor]:
        """All fields, for a checkpoint."""
        return {name: torch.from_numpy(array.copy()) for name, array in self._arrays.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take all fields over.

        Raises:
            UserError: a field is missing or of the wrong shape.
        """
        for name, own in self._arrays.items():
            if name not in state or np.shape(state[name]) != own.shape:
                raise UserError(f"fits: {name}: expected an array of shape {own.shape}; {_CURE}")
        for name, (dtype, _, _) in FIELDS.items():
            self._arrays[name] = np.array(state[name], dtype=dtype)

    def _rows(self, ids: Sequence[str]) -> Int[np.ndarray, " B"]:
        try:
            return np.array([self._index[id_] for id_ in ids], dtype=np.int64)
        except KeyError as error:
            raise UserError(f"fits: {error.args[0]}: no such person; {_CURE}") from None

    def _root(self, state: BodyState) -> Tensor:
        if self._root_joint is None:
            return torch.zeros_like(state.translation)
        return self._root_joint(state.betas).to(state.translation)
