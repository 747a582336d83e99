"""The mirrors of LSP, LSPET and MPII, read back from the formats' descriptions with scipy, h5py and cv2."""

import json
from types import SimpleNamespace

import cv2
import h5py
import numpy as np
import pytest
import torch
import trimesh
from ruamel.yaml import YAML
from scipy.io import loadmat

from spinloop.body.model import BodyModel
from spinloop.datasets import read_source
from spinloop.mirror.job import load_truth
from spinloop.params.datasets import SourcesParams
from spinloop.params.loader import load_section
from spinloop.stages import mirror_lsp, mirror_lspet, mirror_mpii
from spinloop.tables.records import ReadCounts

# The first fourteen of the 24, and MPII's 16, by their places in the 49.
LSP_IN_49 = [25 + place for place in range(14)]
MPII_IN_49 = [25 + place for place in (0, 1, 2, 3, 4, 5, 14, 15, 12, 13, 6, 7, 8, 9, 10, 11)]
EXACT = {"annotation_noise": 0.0, "second_person": 0.4}


@pytest.fixture(scope="module")
def render(repository, body_files, mixture_file, tmp_path_factory):
    """Run a mirror's stage with changed parameters; returns the paths of its outputs."""

    def run(stage, name: str, **changes) -> SimpleNamespace:
        root = tmp_path_factory.mktemp(name)
        yaml = YAML(typ="safe", pure=True)
        values = yaml.load((repository / "params.yaml").read_text())
        values[f"mirror_{name}"] |= changes
        with (root / "params.yaml").open("w") as stream:
            yaml.dump(values, stream)
        places = {"out": root / "out", "openpose": root / "openpose", "truth": root / "truth.parquet"}
        if name == "lsp":
            places |= {"test_out": root / "test", "test_truth": root / "test_truth.parquet"}
        stage.run(body=body_files["neutral"], mixture=mixture_file, params=root / "params.yaml", **places)
        return SimpleNamespace(**places, sources=load_section(root / "params.yaml", "sources", SourcesParams))

    return run


def _picture(repository, occluder: float) -> dict:
    values = YAML(typ="safe", pure=True).load((repository / "params.yaml").read_text())
    return values["mirror_lsp"]["picture"] | {"occluder": occluder}


@pytest.fixture(scope="module")
def lsp(render, repository) -> SimpleNamespace:
    """An occluder in every picture."""
    picture = _picture(repository, 1.0)
    return render(mirror_lsp, "lsp", n_images=5, n_test_images=6, picture=picture, **EXACT)


@pytest.fixture(scope="module")
def lspet(render) -> SimpleNamespace:
    return render(mirror_lspet, "lspet", n_images=7, hidden_not_annotated=0.5, swap=0.0, **EXACT)


@pytest.fixture(scope="module")
def mpii(render) -> SimpleNamespace:
    return render(mirror_mpii, "mpii", n_images=7, hidden_not_annotated=0.5, **EXACT)


def _vertices_and_joints(truth, body):
    """In camera axes, metres."""
    pose, betas = (torch.tensor(np.stack(truth[name]), dtype=torch.float32) for name in ("pose", "betas"))
    made = BodyModel(body)(pose, betas)
    shift = np.stack(truth["translation"])[:, None]
    return made.vertices.double().numpy() + shift, made.joints49.double().numpy() + shift


def _pixels(truth, body) -> dict[str, np.ndarray]:
    """True pixels of the 49 joints of each id."""
    _, joints = _vertices_and_joints(truth, body)
    camera = np.stack(truth["camera"])
    pixels = camera[:, None, :1] * joints[..., :2] / joints[..., 2:] + camera[:, None, 1:]
    return dict(zip(truth["id"], pixels, strict=True))


def _records(split: str, mirror, raw) -> dict:
    source = mirror.sources.root[split].model_copy(update={"min_limb_joints": 1})
    return {one.id: one for one in read_source(source.reader, raw, split, source, False, ReadCounts())}


def _assert_truth(records, pixels, count: int) -> None:
    """Every joint that a record has lies where it truly is."""
    assert set(records) == set(pixels)
    n_compared = 0
    for key, record in records.items():
        seen = record.keypoints[:, 2] > 0
        gaps = np.linalg.norm(record.keypoints[seen, :2] - pixels[key][25:][seen], axis=1)
        assert gaps.max() < 0.5, key  # px
        n_compared += int(seen.sum())
    assert n_compared > count


def test_lsp_has_its_joints_in_three_rows_of_fourteen_columns_per_image(lsp, mannequin):
    joints = loadmat(lsp.out / "joints.mat")["joints"]
    assert joints.shape == (3, 14, 5)
    pixels = _pixels(load_truth(lsp.truth), mannequin)
    for number in range(5):
        expected = pixels[f"lsp_train/images/im{number + 1:04d}.jpg#0"][LSP_IN_49]
        np.testing.assert_allclose(joints[:2, :, number].T, expected, atol=1e-3)
        assert set(joints[2, :, number]) <= {0, 1}
    assert {path.name for path in (lsp.out / "images").iterdir()} == {f"im000{n}.jpg" for n in range(1, 6)}


def test_the_test_images_begin_at_1001(lsp, mannequin):
    joints = loadmat(lsp.test_out / "joints.mat")["joints"]
    assert joints.shape == (3, 14, 1006)
    assert not joints[:, :, :1000].any()
    pixels = _pixels(load_truth(lsp.test_truth), mannequin)
    for number in range(1001, 1007):
        expected = pixels[f"lsp_test/images/im{number}.jpg#0"][LSP_IN_49]
        np.testing.assert_allclose(joints[:2, :, number - 1].T, expected, atol=1e-3)


def test_lspet_has_its_joints_in_fourteen_rows_of_three_columns_per_image(lspet, mannequin):
    joints = loadmat(lspet.out / "joints.mat")["joints"]
    assert joints.shape == (14, 3, 7)
    names = sorted(path.name for path in lspet.out.glob("*.png"))
    assert names == [f"im{n:05d}.png" for n in range(1, 8)]
    pixels = _pixels(load_truth(lspet.truth), mannequin)
    for number, name in enumerate(names):
        known = joints[:, 2, number] > 0
        expected = pixels[f"lspet_train/{name}#0"][LSP_IN_49]
        np.testing.assert_allclose(joints[known, :2, number], expected[known], atol=1e-3)
        assert not joints[~known, :, number].any()
    assert 0 < (joints[:, 2] == 0).sum() < joints[:, 2].size


def test_a_swap_exchanges_left_and_right_joints(render, lspet):
    swapped = render(mirror_lspet, "lspet", n_images=2, hidden_not_annotated=0.5, swap=1.0, **EXACT)
    one, other = (loadmat(mirror.out / "joints.mat")["joints"] for mirror in (lspet, swapped))
    # Right and left in turn from the ankles to the wrists; neck and head have no side.
    mirrored = [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13]
    np.testing.assert_array_equal(other, one[mirrored][..., :2])


def test_mpii_has_a_row_for_every_person_with_the_hourglass_box(mpii, mannequin):
    truth = load_truth(mpii.truth)
    pixels = _pixels(truth, mannequin)
    vertices, _ = _vertices_and_joints(truth, mannequin)
    with h5py.File(mpii.out / "train.h5") as file:
        names, part = file["imgname"][()], file["part"][()]
        center, scale = file["center"][()], file["scale"][()]
    assert part.shape == (len(truth), 16, 2)
    assert len(set(names)) < len(names), "two people in a picture"
    for row, name in enumerate(names):
        key = f"mpii_train/images/{name.decode()}#{row}"
        known = (part[row] > 0).all(1)
        np.testing.assert_allclose(part[row, known], pixels[key][MPII_IN_49][known], atol=1e-3)
        assert not part[row, ~known].any()
        index = list(truth["id"]).index(key)
        focal, *middle = truth["camera"][index]
        outline = focal * vertices[index, :, :2] / vertices[index, :, 2:] + middle
        low, high = outline.min(0), outline.max(0)
        height = high[1] - low[1]
        assert scale[row] == pytest.approx(1.25 * height / 200, rel=1e-3)
        expected = (low + high) / 2 + [0, 15 * height / 200]
        np.testing.assert_allclose(center[row], expected, atol=0.05)


def test_the_readers_find_the_truth_of_every_mirror(lsp, lspet, mpii, mannequin):
    for split, mirror, raw, truth, count in (
        ("lsp_train", lsp, lsp.out, lsp.truth, 60),
        ("lsp_test", lsp, lsp.test_out, lsp.test_truth, 70),
        ("lspet_train", lspet, lspet.out, lspet.truth, 60),
        ("mpii_train", mpii, mpii.out, mpii.truth, 80),
    ):
        _assert_truth(_records(split, mirror, raw), _pixels(load_truth(truth), mannequin), count)


def test_openpose_has_a_file_for_every_training_image(lsp, lspet, mpii):
    for mirror, folder, pattern in (
        (lsp, "images", "*.jpg"),
        (lspet, "", "*.png"),
        (mpii, "images", "*.jpg"),
    ):
        images = {path.stem for path in (mirror.out / folder).glob(pattern)}
        found = {path.name.removesuffix("_keypoints.json") for path in (mirror.openpose / folder).iterdir()}
        assert found == images
        people = [
            len(json.loads(path.read_text())["people"]) for path in (mirror.openpose / folder).iterdir()
        ]
        assert sum(people) > 0


def _traced(truth, body, row: int, size) -> np.ndarray:
    """Parts by a ray through the middle of every pixel, traced by trimesh."""
    vertices, _ = _vertices_and_joints(truth, body)
    mesh = trimesh.Trimesh(vertices[row], body.f, process=False)
    focal, *middle = truth["camera"][row]
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    rays = np.stack([(columns - middle[0]) / focal, (rows - middle[1]) / focal, np.ones(size)], axis=-1)
    faces = mesh.ray.intersects_first(np.zeros((rays.size // 3, 3)), rays.reshape(-1, 3))
    return np.where(faces >= 0, body.part_labels[faces], 0).reshape(size)


@pytest.fixture(scope="module")
def alone(render, repository) -> SimpleNamespace:
    """Test pictures of one person without occluders."""
    changes = {"n_images": 1, "n_test_images": 2, "second_person": 0.0}
    return render(mirror_lsp, "lsp", picture=_picture(repository, 0.0), **changes)


def test_masks_show_the_body_and_part_masks_its_parts_as_rays_find_them(alone, mannequin):
    truth = load_truth(alone.test_truth)
    for row, key in enumerate(truth["id"]):
        stem = alone.test_out / "upi-s1h" / "data" / "lsp" / key.split("/")[-1].removesuffix(".jpg#0")
        mask = cv2.imread(f"{stem}_segmentation.png", cv2.IMREAD_UNCHANGED)
        parts = cv2.imread(f"{stem}_part_segmentation.png", cv2.IMREAD_UNCHANGED)
        image = cv2.imread(str(alone.test_out / "images" / key.split("/")[-1].removesuffix("#0")))
        assert mask.shape == parts.shape == image.shape[:2]
        assert (mask.dtype, set(np.unique(mask))) == (np.uint8, {0, 255})
        expected = _traced(truth, mannequin, row, mask.shape)
        assert (mask > 0).sum() > 500
        # Outlines may differ where a ray grazes an edge.
        assert ((mask > 0) != (expected > 0)).mean() < 5e-4
        inside = (parts != 255) & (expected > 0) & (mask > 0)
        assert (parts[inside] == expected[inside]).mean() > 0.998
        assert {1, 2, 3, 4, 5, 6} >= set(np.unique(parts[inside])) >= {3, 6}


def test_seams_between_parts_are_left_open_and_nothing_else(alone):
    for path in sorted((alone.test_out / "upi-s1h" / "data" / "lsp").glob("*part_segmentation.png")):
        parts = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        mask = cv2.imread(str(path).replace("_part", ""), cv2.IMREAD_UNCHANGED)
        assert ((parts > 0) == (mask > 0)).all()
        assert 0 < (parts == 255).sum() < 0.2 * (mask > 0).sum()
        labels = np.where(parts == 255, 0, parts)
        for one, other in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
            assert (one == other)[(one > 0) & (other > 0)].all(), "two parts touch"


def test_occluders_and_other_people_cut_holes_into_the_mask(lsp, mannequin):
    truth = load_truth(lsp.test_truth)
    shares = []
    for row, key in enumerate(truth["id"]):
        stem = lsp.test_out / "upi-s1h" / "data" / "lsp" / key.split("/")[-1].removesuffix(".jpg#0")
        mask = cv2.imread(f"{stem}_segmentation.png", cv2.IMREAD_UNCHANGED) > 0
        whole = _traced(truth, mannequin, row, mask.shape) > 0
        assert (mask & ~whole).mean() < 5e-4
        shares.append((mask & whole).sum() / whole.sum())
    assert 0 < min(shares) < 0.9


def test_the_same_seed_gives_the_same_bytes(render, mpii, lspet):
    again = render(mirror_mpii, "mpii", n_images=7, hidden_not_annotated=0.5, **EXACT)
    assert (again.out / "train.h5").read_bytes() == (mpii.out / "train.h5").read_bytes()
    few = render(mirror_lspet, "lspet", n_images=2, hidden_not_annotated=0.5, swap=0.0, **EXACT)
    for name in ("im00001.png", "im00002.png"):
        assert (few.out / name).read_bytes() == (lspet.out / name).read_bytes()
    assert b"Created on" not in (few.out / "joints.mat").read_bytes()
