import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.transform import Rotation

from spinloop.joints import MODEL49
from spinloop.mirror.background import _CORNERS, BOX_FACES, Box
from spinloop.mirror.camera import look_at
from spinloop.mirror.people import Character, before_camera, stand
from spinloop.mirror.scene import (
    FINENESS,
    NOBODY,
    THING,
    Lens,
    Setting,
    draw,
    look_for_joints,
    sample_setting,
)
from spinloop.mirror.textures import Outfit, plain
from spinloop.params.loader import load_section
from spinloop.params.mirror import CocoParams
from spinloop.rendering.raycast import render
from spinloop.rendering.shading import Light

SIZE = (160, 128)
RED, GREEN, BLUE = np.eye(3)
UPRIGHT = Rotation.identity()
ARMS_DOWN = np.zeros(69)
ARMS_DOWN[[3 * 15 + 2, 3 * 16 + 2]] = [-1.2, 1.2]


def joint(name: str) -> int:
    return MODEL49.index(name)


@pytest.fixture(scope="module")
def someone() -> Character:
    outfit = Outfit(
        skin=np.array([0.8, 0.6, 0.5]), hair=np.array([0.1, 0.1, 0.1]), hair_cut_m=0.02,
        top=plain(RED), sleeve=0.97, is_dress=False, bottom=plain(BLUE), leg=0.97,
        shoes=np.array([0.2, 0.2, 0.2]), has_shoes=True, front=GREEN, zip=None,
    )  # fmt: skip
    return Character("neutral", np.zeros(10, dtype=np.float32), outfit)


@pytest.fixture(scope="module")
def camera():
    return look_at(np.array([0.0, 1.0, 3.0]), np.array([0.0, 0.85, 0.0]), 0.0, 200.0, SIZE)


@pytest.fixture(scope="module")
def setting(camera, repository) -> Setting:
    section = load_section(repository / "params.yaml", "mirror_coco", CocoParams)
    picture = section.picture.model_copy(update={"occluder": 0.0})
    place = sample_setting(np.random.default_rng(5), picture, camera, np.zeros(3))
    light = Light(np.array([0.0, 0.6, 0.8]), 0.5)
    return place._replace(lens=Lens(0.0, 1.0, 1.0, 0.0), light=light, tint=np.ones(3))


@pytest.fixture(scope="module")
def pictures(cast, someone, camera, setting):
    """Scene, picture and marks of somebody turned by an angle, with things in front."""

    def make(yaw: float = 0.0, things: tuple[Box, ...] = ()):
        root = Rotation.from_rotvec([0.0, yaw, 0.0])
        stances = [stand(cast, someone, root, ARMS_DOWN, np.zeros(2))]
        scene = setting._replace(things=things).scene(camera, stances)
        picture = draw(scene, cast, np.random.default_rng(0))
        return scene, picture, look_for_joints(scene.people[0], camera, picture)

    return make


def test_a_person_who_faces_the_camera_stands_upright_the_right_way_round(pictures):
    _, _, marks = pictures()
    x, y = marks.pixels.T
    assert y[joint("op_nose")] < y[joint("op_neck")] < y[joint("op_mid_hip")] < y[joint("op_left_ankle")]
    assert x[joint("op_left_shoulder")] > x[joint("op_right_shoulder")] + 10, (
        "a left shoulder is on our right"
    )
    assert marks.is_visible[joint("op_nose")]


def test_a_person_who_turns_away_hides_the_face_and_changes_sides(pictures):
    _, _, marks = pictures(np.pi)
    assert marks.pixels[joint("op_left_shoulder"), 0] < marks.pixels[joint("op_right_shoulder"), 0] - 10
    assert not marks.is_visible[joint("op_nose")]
    assert not marks.is_visible[joint("op_left_eye")]
    assert marks.is_visible[joint("op_left_heel")]


def test_the_far_hip_of_somebody_seen_from_the_side_is_hidden(pictures):
    _, _, marks = pictures(np.pi / 2)
    assert marks.is_visible[joint("op_right_knee")]
    assert not marks.is_visible[joint("op_left_shoulder")]


def test_a_thing_in_front_hides_the_joints_behind_it_and_owns_its_pixels(pictures):
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (0.0, 0.75) for z in (-0.05, 0.05)])
    box = Box(corners + np.array([0.0, 0.0, 1.0]), corners, plain(GREEN))
    _, picture, marks = pictures(things=(box,))
    for name in ("left_ankle", "right_ankle", "left_knee", "right_knee"):
        assert not marks.is_visible[joint(name)]
        column, row = marks.pixels[joint(name)].astype(int)
        assert picture.owner[row, column] == THING
    for name in ("left_shoulder", "right_shoulder", "nose"):
        assert marks.is_visible[joint(name)]


def test_the_owner_of_pixels_is_the_silhouette_of_the_person(pictures, cast):
    scene, picture, _ = pictures()
    person = scene.people[0]
    focal, center = scene.camera.focal_px, scene.camera.center_px
    mask = render(person.vertices, cast.files["neutral"].f, focal, center, SIZE).mask
    # The owner of a pixel is asked for a quarter of a pixel beside its middle.
    assert (mask != (picture.owner == 0)).mean() < 0.02
    assert (mask & (picture.owner == 0)).sum() > 0.93 * mask.sum()
    assert set(np.unique(picture.owner)) == {0, NOBODY}


def test_clothes_are_where_they_belong(pictures):
    _, picture, marks = pictures()

    def color_at(name: str, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
        column, row = (marks.pixels[joint(name)] + shift).astype(int)
        return picture.image[row, column].astype(float)

    assert color_at("left_elbow").argmax() == 0, "red sleeves"
    assert color_at("left_knee").argmax() == 2, "blue trousers"
    assert color_at("spine_h36m", (0, -4)).argmax() == 1, "a green print on the chest"
    _, behind, marks = pictures(np.pi)
    column, row = (marks.pixels[joint("spine_h36m")] + [0, -4]).astype(int)
    assert behind.image[row, column].argmax() == 0, "and none on the back"


def test_depth_is_finer_than_the_picture_and_ends_at_the_person(pictures):
    scene, picture, _ = pictures()
    assert picture.depth.shape == (SIZE[0] * FINENESS, SIZE[1] * FINENESS)
    seen = picture.depth[np.isfinite(picture.depth)]
    z = scene.people[0].vertices[:, 2]
    assert z.min() - 1e-5 <= seen.min()
    assert seen.max() <= z.max()


def test_the_person_is_the_same_in_world_and_camera_axes(cast, someone, camera):
    turned = Rotation.from_rotvec([0.1, 0.7, -0.05])
    stance = stand(cast, someone, turned, ARMS_DOWN, np.array([0.4, -0.6]))
    person = before_camera(stance, camera)
    output = cast.models["neutral"](torch.tensor(person.pose)[None], torch.tensor(someone.betas)[None])
    np.testing.assert_allclose(output.vertices[0].numpy() + person.translation, person.vertices, atol=1e-5)
    np.testing.assert_allclose(output.joints49[0].numpy() + person.translation, person.joints49, atol=1e-5)
    assert stance.vertices[:, 1].min() == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(stance.joints24[0, ::2], [0.4, -0.6], atol=1e-6)


def test_the_faces_of_a_box_look_outwards():
    box = trimesh.Trimesh(_CORNERS, BOX_FACES, process=False)
    assert box.is_watertight
    assert box.volume == pytest.approx(1.0)
