"""SPIN's own files of fits, `static_fits/*_fits.npy` and `spin_fits/*.npz`, read and written.

Their rows are those of `dataset_extras/*.npz`; they hold pose and shape, no camera and no error. A fit that
is read gets the translation that reprojects it best, and is measured as our own fits are.
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.files import atomic, read_npy, read_npz
from spinloop.fitting.smplify import Fitter
from spinloop.tables.fits import STATUSES, FitResult, FitStore

_CURE = "download SPIN's static_fits or spin_fits again"
_N_POSE, _N_BETAS = 72, 10
_USABLE = [STATUSES.index(name) for name in ("converged", "max_iterations")]


class OfficialFits:
    """Poses and shapes by row of the annotations."""

    def __init__(self, path: Path, n_people: int) -> None:
        """Read `<dataset>_fits.npy` (N, 82), or an npz with `pose`, `betas` or `shape`, and `valid_fit`.

        Args:
            path: the file.
            n_people: number of rows of the annotations.

        Raises:
            UserError: the file is absent, damaged, or of another shape or number of people.
        """
        pose, betas, is_valid = _read_npy(path) if path.suffix == ".npy" else _read_npz(path)
        if len(pose) != n_people:
            found = f"expected {n_people} people as in the annotations, found {len(pose)}"
            raise UserError(f"{path}: {found}; give the annotations that the fits were made for")
        self.pose = torch.from_numpy(np.nan_to_num(pose).astype(np.float32))
        self.betas = torch.from_numpy(np.nan_to_num(betas).astype(np.float32))
        self.is_valid = is_valid & np.isfinite(pose).all(1) & np.isfinite(betas).all(1)

    def result(self, rows: list[int], fitter: Fitter, keypoints: Float[Tensor, "B 49 3"]) -> FitResult:
        """The fits of some rows as if they had just been made.

        Args:
            rows: of the people.
            fitter: places and measures the fits.
            keypoints: of these people, pixels of the 224 px crop, and confidence.
        """
        unplaced = BodyState(self.pose[rows], self.betas[rows], torch.zeros(len(rows), 3))
        state = fitter.place(unplaced, keypoints)
        terms = fitter.terms(state, keypoints)
        steps = torch.zeros(len(rows), dtype=torch.long)
        return FitResult(state, fitter.joints(state), terms.reprojection, terms.total, steps, steps == 0)


def save_official_fits(path: Path, store: FitStore, ids: list[str]) -> int:
    """Write fits row by row as SPIN's code reads them; returns how many people have one.

    Args:
        path: `*.npy` (N, 82), as of static fits, or `*.npz` with `pose`, `betas`, `valid_fit`, as of final
            fits; a person without a fit has zeros.
        store: the fits.
        ids: of the rows; people who are not in the store have no fit.
    """
    place = {name: row for row, name in enumerate(store.ids)}
    rows = np.array([place.get(name, -1) for name in ids], dtype=np.int64)
    is_known = (rows >= 0) & store.is_known[rows]
    pose = np.where(is_known[:, None], store.array("pose")[rows], 0.0).astype(np.float64)
    betas = np.where(is_known[:, None], store.array("betas")[rows], 0.0).astype(np.float64)
    is_valid = is_known & np.isin(store.array("status")[rows], _USABLE)
    with atomic(path) as temporary, temporary.open("wb") as stream:
        if path.suffix == ".npy":
            np.save(stream, np.concatenate([pose, betas], axis=1), allow_pickle=False)
        else:
            np.savez(stream, allow_pickle=False, pose=pose, betas=betas, valid_fit=is_valid)
    return int(is_known.sum())


Arrays = tuple[Float[np.ndarray, "N 72"], Float[np.ndarray, "N 10"], Bool[np.ndarray, " N"]]


def _read_npy(path: Path) -> Arrays:
    fits = read_npy(path, _CURE)
    width = _N_POSE + _N_BETAS
    if fits.ndim != 2 or fits.shape[1] != width:
        raise UserError(f"{path}: expected people × {width}, found {fits.shape}; {_CURE}")
    pose, betas = fits[:, :_N_POSE].astype(np.float64), fits[:, _N_POSE:].astype(np.float64)
    return pose, betas, np.any(pose != 0, axis=1)


def _read_npz(path: Path) -> Arrays:
    arrays = read_npz(path, _CURE)
    shape = "betas" if "betas" in arrays else "shape"
    for key, width in (("pose", _N_POSE), (shape, _N_BETAS)):
        found = arrays[key].shape if key in arrays else "none"
        if key not in arrays or arrays[key].shape != (len(arrays[key]), width):
            raise UserError(f"{path}: {key}: expected people × {width}, found {found}; {_CURE}")
    pose, betas = arrays["pose"].astype(np.float64), arrays[shape].astype(np.float64)
    flag = next((key for key in ("valid_fit", "has_smpl") if key in arrays), None)
    is_valid = np.any(pose != 0, axis=1) if flag is None else arrays[flag]
    if len(betas) != len(pose) or is_valid.size != len(pose):
        raise UserError(f"{path}: pose, {shape} and validity are of different lengths; {_CURE}")
    return pose, betas, np.greater(is_valid.reshape(-1), 0)
