"""Files of fits: what `spinloop fit` writes, and SPIN's own files.

`spinloop fit` writes an npz file and photographs with the fitted bodies. SPIN's `static_fits/*_fits.npy` and
`spin_fits/*.npz` are read and written; their rows are those of `dataset_extras/*.npz`, and they hold pose and
shape, no camera and no error. A fit that is read from them gets the translation that reprojects it best, and
is measured as our own fits are.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer, UInt8
from torch import Tensor

from spinloop.body.model import BodyModel
from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.files import atomic, output, read_npy, read_npz
from spinloop.fitting.smplify import Fitter
from spinloop.fitting.user_keypoints import START_WIDTHS, PeopleToFit
from spinloop.geometry.crop import BOX_UNIT_PX, CROP_PX
from spinloop.rendering.pictures import SKY_BLUE, Color, Color8, draw_joints, overlay_in_box
from spinloop.tables.fits import STATUSES, FitResult, FitStore
from spinloop.tables.images import UnreadableImage, encode_jpeg, read_image
from spinloop.tables.records import Box

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
    with output(path) as stream:
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


_ORANGE: Color = (0.95, 0.45, 0.2)
_JOINT_COLOR: Color8 = (255, 220, 0)
# Good fits, then those that should not be used; for other statuses only the joints are shown.
_COLORS = {
    "converged": SKY_BLUE,
    "max_iterations": SKY_BLUE,
    "rejected_reprojection": _ORANGE,
    "shape_out_of_range": _ORANGE,
}


def save_fits(
    path: Path, ids: Sequence[str], result: FitResult, status: Integer[np.ndarray, " N"], seconds: float
) -> None:
    """Write the fits, atomically.

    Args:
        path: npz with `ids`, `pose`, `betas`, `cam_t`, `joints`, `reprojection`, `objective`, `status`,
            `iterations` and `seconds`.
        ids: of the people.
        result: their fits.
        status: positions in `STATUSES`.
        seconds: of the solver, without loading.
    """
    arrays = {key: part.cpu().numpy() for key, part in zip(START_WIDTHS, result.state, strict=True)}
    for key in ("joints", "reprojection", "objective", "iterations"):
        arrays[key] = getattr(result, key).cpu().numpy()
    arrays["ids"] = np.array(ids)
    arrays["status"] = np.array([STATUSES[code] for code in status])
    arrays["seconds"] = np.array(seconds)
    with output(path) as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def save_overlays(
    folder: Path, people: PeopleToFit, model: BodyModel, state: BodyState, status: Integer[np.ndarray, " N"]
) -> int:
    """Write each photograph with the fitted bodies and the detected joints, far people first.

    Args:
        folder: gets a JPEG of each photograph, named like it.
        people: their keypoints and photographs.
        model: the body that was fitted.
        state: the fits, on the CPU.
        status: positions in `STATUSES`; they decide the color of a body, and whether it is shown.

    Returns:
        How many pictures were written.
    """
    rows: dict[Path, list[tuple[int, Box]]] = {}
    for row, photograph in enumerate(people.photographs):
        if photograph is not None:
            rows.setdefault(photograph.path, []).append((row, photograph.box))
    for path, shown in rows.items():
        image = _read(path)
        # The crop's camera sees a person as from a distance that shrinks with the crop.
        for row, box in sorted(shown, key=lambda each: -float(state.translation[each[0], 2]) / each[1].scale):
            color = _COLORS.get(STATUSES[status[row]])
            if color is not None:
                with torch.no_grad():
                    body = model.vertices(state.pose[row, None], state.betas[row, None])[0]
                vertices, side_px = (body + state.translation[row]).numpy(), BOX_UNIT_PX * box.scale
                image = overlay_in_box(image, vertices, model.faces.numpy(), box.center, side_px, color=color)
            image = _with_joints(image, people.keypoints[row], box)
        name = people.ids[shown[0][0]].rpartition("#")[0]
        with atomic(folder / f"{name}.jpg") as temporary:
            temporary.write_bytes(encode_jpeg(image))
    return len(rows)


def _read(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    try:
        return read_image(path)
    except UnreadableImage as error:
        raise UserError(f"{error}; replace it or leave --images out") from None


def _with_joints(
    image: UInt8[np.ndarray, "H W 3"], keypoints: Float[np.ndarray, "49 3"], box: Box
) -> UInt8[np.ndarray, "H W 3"]:
    """The photograph with the detected joints, which are given in pixels of the crop."""
    zoom = BOX_UNIT_PX * box.scale / CROP_PX
    pixels = box.center + zoom * (keypoints[keypoints[:, 2] > 0, :2] - CROP_PX / 2)
    return draw_joints(image, pixels, max(2, round(1.2 * zoom)), [_JOINT_COLOR] * len(pixels))
