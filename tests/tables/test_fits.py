"""The dictionary of fits: exact views, only better fits, nothing half-written."""

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinloop.body.joints_only import JointsOnly
from spinloop.body.pose import BodyState, CropView, from_view, to_view
from spinloop.errors import UserError
from spinloop.geometry.camera import project
from spinloop.geometry.crop import CENTER_PX, crop_affine, transform_points
from spinloop.tables.fits import STATUSES, BestFit, FitStore

IDS = [f"coco_train/{number}.jpg#0" for number in range(6)]


def _fits(n, error=1.0, seed=0, is_new=None):
    rng = np.random.default_rng(seed)
    parts = (rng.normal(0, 0.4, (n, 72)), rng.normal(0, 1, (n, 10)), rng.normal((0, 0, 50), 0.1, (n, 3)))
    state = BodyState(*(torch.tensor(part, dtype=torch.float32) for part in parts))
    everyone = torch.ones(n, dtype=torch.bool)
    chosen = everyone if is_new is None else torch.tensor(is_new)
    return BestFit(state, torch.full((n,), error), everyone, chosen)


def _root(betas):
    return torch.tensor([0.01, 0.2, 0.05]).expand(len(betas), 3) + 0.01 * betas[:, :3]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(-180, 180, width=32), min_size=4, max_size=4),
    st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_what_is_put_is_got_back_in_the_same_view(angles, mirrored):
    store, view = FitStore(IDS, _root), CropView(torch.tensor(angles), torch.tensor(mirrored))
    fits = _fits(4)
    store.put(IDS[:4], view, fits, "loop", 7)
    back = store.get(IDS[:4], view)
    torch.testing.assert_close(back.state.betas, fits.state.betas)
    torch.testing.assert_close(back.state.pose[:, 3:], fits.state.pose[:, 3:])
    # At 50 m a pixel is 1e-2 m wide; angles near 180 degrees lose the most digits.
    torch.testing.assert_close(back.state.pose[:, :3], fits.state.pose[:, :3], atol=2e-5, rtol=0)
    torch.testing.assert_close(back.state.translation, fits.state.translation, atol=2e-5, rtol=0)


def test_a_view_shows_the_body_where_the_rotated_crop_has_it(golden):
    skeleton = JointsOnly(golden.body)
    pose, betas = torch.tensor(golden.pose), torch.tensor(golden.betas)
    truth = BodyState(pose, betas.float(), torch.tensor([[0.05, -0.05, 45.0], [-0.1, 0.1, 50.0]]))
    rotation = torch.tensor([30.0, -75.0])
    view = CropView(rotation, torch.zeros(2, dtype=torch.bool))
    seen = to_view(truth, view, skeleton.root_joint(truth.betas))
    plain = project(skeleton.joints(pose, truth.betas), truth.translation).numpy()
    rotated = project(skeleton.joints(seen.pose, seen.betas), seen.translation).numpy()
    for sample in range(2):
        affine = crop_affine(np.full(2, CENTER_PX), 2 * CENTER_PX / 200, float(rotation[sample]))
        np.testing.assert_allclose(rotated[sample], transform_points(affine, plain[sample]), atol=2e-3)


def test_mirroring_a_place_mirrors_the_pixel_of_the_root():
    state = _fits(3).state
    root = torch.tensor([0.0, 0.2, 0.05]).expand(3, 3)
    view = CropView(torch.zeros(3), torch.ones(3, dtype=torch.bool))
    seen = to_view(state, view, root)
    plain, mirrored = project(root[:, None], state.translation), project(root[:, None], seen.translation)
    torch.testing.assert_close(mirrored[..., 0], 2 * CENTER_PX - plain[..., 0])
    torch.testing.assert_close(mirrored[..., 1], plain[..., 1])
    torch.testing.assert_close(from_view(seen, view, root).pose, state.pose)


def test_a_new_store_has_no_fits():
    fits = FitStore(IDS).get(IDS)
    assert not fits.is_known.any()
    assert torch.isinf(fits.error).all()
    assert (fits.state.pose == 0).all()


def test_only_fits_that_are_new_are_kept():
    store = FitStore(IDS)
    store.put(IDS[:3], None, _fits(3, seed=1), "initial", 0)
    store.put(IDS[:3], None, _fits(3, 0.5, seed=2, is_new=[True, False, True]), "loop", 9)
    assert store.get(IDS[:3]).error.tolist() == [0.5, 1.0, 0.5]
    assert store.array("origin").tolist() == [2, 1, 2, 0, 0, 0]
    assert store.array("step").tolist() == [9, 0, 9, 0, 0, 0]
    torch.testing.assert_close(store.get(IDS[1:2]).state.pose, _fits(3, seed=1).state.pose[1:2])


def test_a_status_is_kept_of_people_without_a_fit():
    store, status = FitStore(IDS), torch.tensor([1, 5])
    store.put(IDS[:2], None, _fits(2, is_new=[True, False]), "initial", 0, status)
    assert [STATUSES[code] for code in store.array("status")[:2]] == ["converged", "too_few_joints"]
    assert store.is_known.tolist() == [True] + 5 * [False]


def test_a_store_is_the_same_after_saving_and_opening(tmp_path):
    store = FitStore(IDS)
    store.put(IDS[2:5], None, _fits(3), "initial", 0, torch.tensor([1, 2, 4]))
    store.save(tmp_path / "a.h5")
    again = FitStore.open(tmp_path / "a.h5")
    assert again.ids == store.ids
    for name, values in store.state_dict().items():
        assert torch.equal(again.state_dict()[name], values)
    again.save(tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    FitStore(IDS).save(path)
    before = path.read_bytes()
    store = FitStore(IDS)
    store.put(IDS[:3], None, _fits(3), "initial", 0)

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(h5py.Group, "create_dataset", full)
    with pytest.raises(OSError, match="No space"):
        store.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_absorbing_keeps_the_better_fit_whatever_the_order():
    first, second = FitStore(IDS), FitStore(IDS)
    first.put(IDS[:3], None, _fits(3, 2.0, seed=1), "loop", 1)
    second.put(IDS[1:4], None, _fits(3, 1.0, seed=2), "loop", 2)
    one, other = FitStore(IDS), FitStore(IDS)
    one.absorb(first), one.absorb(second)
    other.absorb(second), other.absorb(first)
    assert one.array("error").tolist() == [2.0, 1.0, 1.0, 1.0, np.inf, np.inf]
    assert all(torch.equal(one.state_dict()[name], other.state_dict()[name]) for name in one.state_dict())


def test_joined_parts_have_every_person_once():
    parts = [FitStore(IDS[:2]), FitStore(IDS[2:])]
    parts[1].put(IDS[3:4], None, _fits(1), "initial", 0)
    joined = FitStore.join(parts)
    assert joined.ids == tuple(IDS)
    assert joined.is_known.tolist() == [False, False, False, True, False, False]
    with pytest.raises(UserError, match="occurs twice"):
        FitStore.join([parts[0], parts[0]])


def test_state_dict_round_trips_and_is_a_copy():
    store = FitStore(IDS)
    store.put(IDS[:3], None, _fits(3), "loop", 3)
    state = store.state_dict()
    state["pose"][:] = 9
    assert (store.array("pose")[:3] != 9).all()
    with pytest.raises(UserError, match="pose"):
        FitStore(IDS[:2]).load_state_dict(store.state_dict())


def test_unknown_people_and_broken_files_are_named(tmp_path):
    with pytest.raises(UserError, match="unknown#1"):
        FitStore(IDS).get(["unknown#1"])
    (tmp_path / "no.h5").write_bytes(b"not a store")
    with pytest.raises(UserError, match=r"no\.h5: not a store"):
        FitStore.open(tmp_path / "no.h5")
    with h5py.File(tmp_path / "half.h5", "w") as file:
        file.create_dataset("ids", data=IDS, dtype=h5py.string_dtype())
    with pytest.raises(UserError, match="pose"):
        FitStore.open(tmp_path / "half.h5")
