"""SPIN's files of fits: joined by row, placed, measured, and written back."""

import cv2
import h5py
import numpy as np
import pytest
import torch

from spinloop.errors import UserError
from spinloop.fitting.results import OfficialFits, save_official_fits
from spinloop.geometry.camera import project
from spinloop.keypoints.merge import KEYPOINTS
from spinloop.stages import export_official_fits
from spinloop.tables.fits import FitStore
from spinloop.tables.records import Record, make_id, save_records
from spinloop.tables.table import save_table

IDS = [make_id("s", f"images/{number}.jpg", 0) for number in range(12)]


@pytest.fixture
def pixels(fitter, crowd):
    """People and exact keypoints of them."""
    people, keypoints = crowd
    exact = project(fitter.joints(people), people.translation)
    return people, torch.cat([exact, keypoints[..., 2:]], dim=-1)


def _array(people) -> np.ndarray:
    """What `static_fits/*_fits.npy` holds: pose in columns 0–71, shape in 72–81."""
    return np.concatenate([people.pose.numpy(), people.betas.numpy()], axis=1).astype(np.float64)


def test_a_static_fit_gets_the_camera_that_reprojects_it(pixels, fitter, tmp_path):
    people, keypoints = pixels
    np.save(tmp_path / "x_fits.npy", _array(people))
    fits = OfficialFits(tmp_path / "x_fits.npy", 12)
    rows = [7, 2, 5]
    result = fits.result(rows, fitter, keypoints[rows])
    torch.testing.assert_close(result.state.pose, people.pose[rows])
    torch.testing.assert_close(result.state.translation, people.translation[rows], atol=5e-3, rtol=0)
    assert result.reprojection.mean(-1).max() < 1e-2  # px²


def test_a_final_fit_says_itself_whether_it_is_valid(pixels, tmp_path):
    people, _ = pixels
    valid = np.arange(12) % 3 > 0
    arrays = {"pose": people.pose.numpy(), "betas": people.betas.numpy(), "valid_fit": valid}
    np.savez(tmp_path / "coco.npz", **arrays)
    assert OfficialFits(tmp_path / "coco.npz", 12).is_valid.tolist() == valid.tolist()
    multiview = {"pose": arrays["pose"], "shape": arrays["betas"], "has_smpl": valid.astype(np.float64)}
    np.savez(tmp_path / "mview.npz", **multiview)
    assert OfficialFits(tmp_path / "mview.npz", 12).is_valid.tolist() == valid.tolist()


def test_a_static_fit_of_zeros_is_none(pixels, tmp_path):
    fits = _array(pixels[0])
    fits[4] = 0
    np.save(tmp_path / "x_fits.npy", fits)
    assert np.flatnonzero(~OfficialFits(tmp_path / "x_fits.npy", 12).is_valid).tolist() == [4]


def _store(people) -> FitStore:
    store = FitStore(IDS[::-1][:11])  # in another order, and without the first person
    arrays = {name: array.numpy() for name, array in store.state_dict().items()}
    order = list(range(11, 0, -1))
    arrays |= {"pose": people.pose.numpy()[order], "betas": people.betas.numpy()[order]}
    arrays["origin"][:] = 1
    arrays["origin"][0] = 0  # the last person has no fit
    arrays["status"][:] = 1
    arrays["status"][1] = 3  # and the last but one a bad one
    store.load_state_dict(arrays)
    return store


def test_stores_are_written_row_by_row_in_the_order_of_the_annotations(pixels, tmp_path):
    people, _ = pixels
    store = _store(people)
    assert save_official_fits(tmp_path / "x_fits.npy", store, IDS) == 10
    assert save_official_fits(tmp_path / "x.npz", store, IDS) == 10
    static = np.load(tmp_path / "x_fits.npy")
    assert static.shape == (12, 82)
    np.testing.assert_array_equal(static[1:11], _array(people)[1:11])
    assert not static[[0, 11]].any()
    with np.load(tmp_path / "x.npz") as final:
        np.testing.assert_array_equal(final["pose"], static[:, :72])
        np.testing.assert_array_equal(final["betas"], static[:, 72:])
        assert np.flatnonzero(~final["valid_fit"]).tolist() == [0, 10, 11]


@pytest.mark.parametrize("name", ["x_fits.npy", "x.npz"])
def test_there_and_back_is_the_same_fit(pixels, name, tmp_path):
    save_official_fits(tmp_path / name, _store(pixels[0]), IDS)
    back = OfficialFits(tmp_path / name, 12)
    np.testing.assert_array_equal(back.pose[1:10], pixels[0].pose[1:10])
    np.testing.assert_array_equal(back.betas[1:10], pixels[0].betas[1:10])


def test_the_stage_takes_the_order_of_the_table(pixels, tmp_path):
    _store(pixels[0]).save(tmp_path / "fits.h5")
    box = {"center": np.array([50.0, 50.0]), "scale": 0.4}
    records = [Record(name, name[2:-2], 100, 100, **box) for name in IDS]
    save_records(tmp_path / "a.parquet", records)
    places = {"fits": tmp_path / "fits.h5", "annotations": tmp_path / "a.parquet"}
    export_official_fits.run(out=tmp_path / "x_fits.npy", **places)
    np.testing.assert_array_equal(np.load(tmp_path / "x_fits.npy")[1:11], _array(pixels[0])[1:11])
    with pytest.raises(UserError, match=r"x\.pkl: expected \*\.npy \(static fits\) or \*\.npz"):
        export_official_fits.run(out=tmp_path / "x.pkl", **places)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((12, 72)), r"expected people × 82, found \(12, 72\)"),
        (np.zeros((11, 82)), "expected 12 people as in the annotations, found 11"),
        (np.array([{}], dtype=object), "not a readable npy"),
    ],
)
def test_a_file_of_other_fits_is_one_line_with_the_cure(tmp_path, content, message):
    np.save(tmp_path / "x_fits.npy", content, allow_pickle=True)
    with pytest.raises(UserError, match=message) as caught:
        OfficialFits(tmp_path / "x_fits.npy", 12)
    assert "\n" not in str(caught.value)


def test_absent_truncated_and_incomplete_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"x_fits\.npy: no such file; download SPIN's static_fits"):
        OfficialFits(tmp_path / "x_fits.npy", 12)
    np.save(tmp_path / "x_fits.npy", np.ones((12, 82)))
    (tmp_path / "x_fits.npy").write_bytes((tmp_path / "x_fits.npy").read_bytes()[:-50])
    with pytest.raises(UserError, match=r"x_fits\.npy: not a readable npy"):
        OfficialFits(tmp_path / "x_fits.npy", 12)
    np.savez(tmp_path / "x.npz", pose=np.ones((12, 72)))
    with pytest.raises(UserError, match=r"x\.npz: shape: expected people × 10, found none"):
        OfficialFits(tmp_path / "x.npz", 12)


def test_the_import_keeps_fits_by_id(pixels, golden, prior, params, tmp_path, monkeypatch):
    """The whole stage on the golden body: people without a valid fit have none in the store."""
    from spinloop.stages import import_official_fits as stage

    people, keypoints = pixels
    images = [name[2:-2] for name in IDS]
    for image in images:
        (tmp_path / image).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / image), np.zeros((224, 224, 3), np.uint8))
    scale, center = np.full(12, 224 / 200), np.full((12, 2), 112.0)
    part = np.zeros((12, 24, 3))
    np.savez(tmp_path / "extras.npz", imgname=np.array(images), center=center, scale=scale, part=part)
    rows = []
    for row in (3, 1, 6):
        joints = keypoints[row].double().numpy() * (keypoints[row][:, 2:] > 0).numpy()
        entry = {"id": IDS[row], "center": center[row], "scale": scale[row], "keypoints": joints}
        rows.append(entry | {"provenance": "matched"})
    save_table(tmp_path / "k.parquet", KEYPOINTS, rows)
    fits = _array(people)
    fits[6] = 0
    np.save(tmp_path / "x_fits.npy", fits)
    monkeypatch.setattr("spinloop.body.files.load_body", lambda _: golden.body)
    monkeypatch.setattr("spinloop.motion.mixture.load_mixture", lambda _: prior)
    stage.run(
        file=tmp_path / "x_fits.npy", extras=tmp_path / "extras.npz", split="s", body=tmp_path / "b.npz",
        keypoints=tmp_path / "k.parquet", prior=tmp_path / "p.npz", out=tmp_path / "fits.h5",
    )  # fmt: skip
    with h5py.File(tmp_path / "fits.h5") as file:
        assert [name.decode() for name in file["ids"]] == [IDS[3], IDS[1], IDS[6]]
        assert file["origin"][()].tolist() == [1, 1, 0]
        np.testing.assert_allclose(file["pose"][0], fits[3, :72], rtol=1e-6)
        np.testing.assert_allclose(file["translation"][1], people.translation[1], atol=5e-3)
