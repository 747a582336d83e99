"""The built body: shapes, mesh, landmarks, joints, weights, parts, shape directions."""

import dataclasses

import numpy as np
import pytest
import smplx
import torch
import trimesh
from scipy.spatial import KDTree
from smplx.utils import Struct

from spinloop.body.files import load_body, save_body
from spinloop.body.model import BodyModel
from spinloop.body.pose import flip_pose
from spinloop.freebody.build import Sizes, build_free_bodies
from spinloop.freebody.report import figures
from spinloop.joints import EXTRA9, H36M17, SMPL24, SMPL24_FLIP, VERTEX_JOINTS

GENDERS = ("neutral", "female", "male")


@pytest.fixture(params=GENDERS)
def body(request, free_bodies):
    return free_bodies.files[request.param]


@pytest.fixture
def neutral(free_bodies):
    return free_bodies.files["neutral"]


@pytest.fixture
def joints(neutral):
    return dict(zip(SMPL24, neutral.J_regressor @ neutral.v_template, strict=True))


def _flipped(points):
    return points * np.array([-1.0, 1.0, 1.0], dtype=points.dtype)


def test_a_saved_body_passes_every_check_of_the_reader(body, tmp_path):
    save_body(tmp_path / "body.npz", body)
    read = load_body(tmp_path / "body.npz")
    assert read.v_template.shape == (6890, 3)
    assert read.f.shape == (13776, 3)
    assert read.gender == body.gender


def test_the_mesh_is_one_closed_sphere_with_its_faces_outwards(body):
    mesh = trimesh.Trimesh(body.v_template, body.f, process=False)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.euler_number == 2
    assert mesh.body_count == 1
    assert 0.04 < mesh.volume < 0.11


def test_no_triangle_is_degenerate(body):
    corners = body.v_template[body.f].astype(np.float64)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    assert area.min() > 1e-8


def test_the_body_is_symmetric(body):
    distance, other = KDTree(body.v_template).query(_flipped(body.v_template))
    assert distance.max() < 1e-6
    assert (other[other] == np.arange(6890)).all()
    assert np.abs(body.weights[other][:, SMPL24_FLIP] - body.weights).max() < 1e-6
    directions = np.moveaxis(body.shapedirs, -1, 1)
    assert np.abs(_flipped(directions[other]) - directions).max() < 1e-6


def test_the_body_stands_in_the_t_pose(joints):
    for side, sign in (("left", 1.0), ("right", -1.0)):
        arm = np.stack([joints[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist", "hand")])
        assert np.ptp(arm[:, 1]) < 0.02
        assert np.ptp(arm[:, 2]) < 0.02
        assert (np.diff(sign * arm[:, 0]) > 0.05).all()
        leg = joints[f"{side}_ankle"] - joints[f"{side}_hip"]
        assert np.degrees(np.arccos(-leg[1] / np.linalg.norm(leg))) < 4.0
        foot = joints[f"{side}_foot"] - joints[f"{side}_ankle"]
        assert foot[2] > 0.08
    assert joints["head"][1] > joints["neck"][1] > joints["spine3"][1] > joints["pelvis"][1]


def test_weights_are_at_most_four_and_sum_to_one(body):
    assert (body.weights > 0).sum(axis=1).max() <= 4
    assert np.abs(body.weights.sum(axis=1) - 1).max() < 1e-6
    assert body.weights.min() >= 0
    assert (body.weights > 0.3).any(axis=0).all()


def test_regressors_are_non_negative_and_sum_to_one(body):
    for rows in (body.J_regressor, body.J_regressor_extra, body.J_regressor_h36m):
        assert rows.min() >= 0
        assert np.abs(rows.sum(axis=1) - 1).max() < 1e-6


def test_the_knee_lies_inside_the_knee(free_bodies):
    for body in free_bodies.files.values():
        joints = dict(zip(SMPL24, body.J_regressor @ body.v_template, strict=True))
        thigh = np.linalg.norm(joints["left_knee"] - joints["left_hip"])
        shank = np.linalg.norm(joints["left_ankle"] - joints["left_knee"])
        # Thigh 0.245 and shank 0.246 of stature (Drillis and Contini 1966).
        assert 0.9 < thigh / shank < 1.1


def test_landmarks_lie_where_their_names_say(neutral, joints):
    points = {name: neutral.v_template[vertex] for name, vertex in VERTEX_JOINTS.items()}
    assert abs(points["nose"][0]) < 1e-6
    assert points["nose"][2] == pytest.approx(
        neutral.v_template[neutral.v_template[:, 1] > 0.45, 2].max(), abs=5e-3
    )
    assert points["left_eye"][1] > points["nose"][1]
    assert 0.02 < points["left_eye"][0] < 0.05
    assert points["left_ear"][0] > points["left_eye"][0]
    assert points["left_ear"][2] < points["left_eye"][2] - 0.04
    sole = neutral.v_template[:, 1].min()
    for toe in ("left_big_toe", "left_small_toe"):
        assert points[toe][2] > joints["left_foot"][2]
        assert points[toe][1] < sole + 0.05
    assert points["left_small_toe"][0] > points["left_big_toe"][0] + 0.02
    assert points["left_heel"][2] < joints["left_ankle"][2]
    assert points["left_heel"][1] < sole + 0.06
    fingers = [points[f"left_{name}"] for name in ("index", "middle", "ring", "pinky")]
    assert (np.diff([finger[2] for finger in fingers]) < 0).all()
    assert points["left_thumb"][2] > fingers[0][2]
    assert points["left_middle"][0] == pytest.approx(neutral.v_template[:, 0].max(), abs=0.01)
    for name, point in points.items():
        if name.startswith("left_"):
            np.testing.assert_allclose(_flipped(point), points[name.replace("left", "right")], atol=1e-6)


def test_named_joints_of_other_data_sets_are_in_order(neutral, joints):
    h36m = dict(zip(H36M17, neutral.J_regressor_h36m @ neutral.v_template, strict=True))
    extra = dict(zip(EXTRA9, neutral.J_regressor_extra @ neutral.v_template, strict=True))
    heights = [
        h36m[name][1] for name in ("left_ankle", "left_knee", "pelvis", "spine", "neck", "jaw", "head")
    ]
    assert (np.diff(heights) > 0).all()
    head_top = neutral.v_template[:, 1].max()
    assert extra["extra_head_top_lsp"][1] == pytest.approx(head_top, abs=1e-6)
    assert extra["extra_neck_lsp"][1] > extra["extra_thorax_mpii"][1] > extra["extra_spine_h36m"][1]
    # The annotated hips lie lower than SMPL's hip joints.
    assert extra["extra_left_hip"][1] < joints["left_hip"][1]
    assert extra["extra_left_hip"][0] > 0 > extra["extra_right_hip"][0]
    np.testing.assert_allclose(extra["extra_pelvis_mpii"], h36m["pelvis"], atol=1e-6)


def test_parts_are_six_connected_regions_on_their_sides(neutral):
    center = neutral.v_template[neutral.f].mean(axis=1)
    for label in range(1, 7):
        chosen = neutral.part_labels == label
        mesh = trimesh.Trimesh(neutral.v_template, neutral.f[chosen], process=False)
        pieces = trimesh.graph.connected_components(mesh.face_adjacency, nodes=np.arange(chosen.sum()))
        assert len(pieces) == 1, label
    for left, right in ((1, 2), (4, 5)):
        assert (center[neutral.part_labels == left, 0] > 0).all()
        assert (center[neutral.part_labels == right, 0] < 0).all()
        assert (neutral.part_labels == left).sum() == (neutral.part_labels == right).sum()
    assert center[neutral.part_labels == 3, 1].min() > center[neutral.part_labels == 6, 1].mean()


def test_smplx_reads_the_body_and_poses_it_alike(body):
    arrays = {name: np.array(getattr(body, name)) for name in body.__dataclass_fields__}
    theirs = smplx.SMPL(model_path="", data_struct=Struct(**arrays), batch_size=2, num_betas=10)
    generator = torch.Generator().manual_seed(0)
    pose, betas = 0.4 * torch.randn(2, 72, generator=generator), torch.randn(2, 10, generator=generator)
    expected = theirs(betas=betas, body_pose=pose[:, 3:], global_orient=pose[:, :3])
    found = BodyModel(body)(pose, betas)
    # Single precision over metres.
    assert (found.vertices - expected.vertices).abs().max() < 1e-5
    assert (found.joints24 - expected.joints[:, :24]).abs().max() < 1e-5


def test_first_shape_direction_makes_taller_and_the_others_larger(body):
    moved = body.v_template + np.moveaxis(body.shapedirs, -1, 0).astype(np.float64)
    stature = np.ptp(moved[0, :, 1]) - np.ptp(body.v_template[:, 1])
    assert stature > 0.03
    if body.gender == "neutral":
        volumes = [trimesh.Trimesh(vertices, body.f, process=False).volume for vertices in moved[1:]]
        middle = trimesh.Trimesh(body.v_template, body.f, process=False).volume
        # Beyond the first few the gain is small beside its curvature.
        assert min(volumes[:3]) > middle


def test_betas_mean_the_same_in_every_gender(free_bodies):
    flat = {name: file.shapedirs.reshape(-1, 10) for name, file in free_bodies.files.items()}
    for gender in ("female", "male"):
        lengths = np.linalg.norm(flat[gender], axis=0) * np.linalg.norm(flat["neutral"], axis=0)
        cosine = (flat[gender] * flat["neutral"]).sum(axis=0) / lengths
        assert (cosine > 0).all()
        assert cosine[0] > 0.9


def test_a_flipped_pose_gives_the_flipped_mesh(body):
    other = torch.from_numpy(KDTree(body.v_template).query(_flipped(body.v_template))[1])
    generator = torch.Generator().manual_seed(1)
    pose, betas = 0.5 * torch.randn(2, 72, generator=generator), torch.randn(2, 10, generator=generator)
    model = BodyModel(body)
    flipped = model.vertices(pose, betas) * torch.tensor([-1.0, 1.0, 1.0])
    assert (model.vertices(flip_pose(pose), betas) - flipped[:, other]).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("joint", "rotation", "loss_left"),
    [
        ("left_knee", (2.0, 0.0, 0.0), 0.75),
        ("left_elbow", (0.0, -2.0, 0.0), 0.95),
        ("right_elbow", (1.2, 0.0, 0.0), 0.75),
    ],
)
def test_bent_limbs_keep_more_of_their_volume_than_plain_skinning_does(neutral, joint, rotation, loss_left):
    plain = dataclasses.replace(neutral, posedirs=np.zeros_like(neutral.posedirs))
    pose = torch.zeros(1, 72)
    pose[0, 3 * SMPL24.index(joint) :][:3] = torch.tensor(rotation)
    rest, collapsed, kept = (
        trimesh.Trimesh(
            BodyModel(body).vertices(at, torch.zeros(1, 10))[0].numpy(), body.f, process=False
        ).volume
        for body, at in ((neutral, torch.zeros(1, 72)), (plain, pose), (neutral, pose))
    )
    assert abs(kept - rest) < loss_left * abs(collapsed - rest)
    assert collapsed < kept < rest + 0.2 * (rest - collapsed)


@pytest.mark.slow
def test_the_same_seed_builds_the_same_bodies(free_source, free_bodies, free_figures):
    again = build_free_bodies(free_source, Sizes(32, 24, 10), (18.0, 80.0), np.random.default_rng(0))
    for gender, body in free_bodies.files.items():
        for name in body.__dataclass_fields__:
            np.testing.assert_array_equal(
                getattr(body, name), getattr(again.files[gender], name), err_msg=name
            )
    assert figures(again) == free_figures
