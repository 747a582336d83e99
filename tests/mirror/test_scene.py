import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from spinloop.joints import MODEL49
from spinloop.mirror.background import Occluder
from spinloop.mirror.camera import look_at
from spinloop.mirror.people import Identity, PersonState, place_person, to_camera_axes
from spinloop.mirror.scene import (
    BACKGROUND,
    OCCLUDER,
    SUPERSAMPLING,
    Environment,
    Sensor,
    project_joints,
    render_scene,
    sample_environment,
)
from spinloop.mirror.textures import Outfit, plain
from spinloop.params.loader import load_section
from spinloop.params.mirror import CocoParams
from spinloop.rendering.pictures import Light
from spinloop.rendering.raycast import render

SIZE = (160, 128)
RED, GREEN, BLUE = np.eye(3)
UPRIGHT = Rotation.identity()
ARMS_DOWN = np.zeros(69)
ARMS_DOWN[[3 * 15 + 2, 3 * 16 + 2]] = [-1.2, 1.2]


def joint(name: str) -> int:
    return MODEL49.index(name)


@pytest.fixture(scope="module")
def identity() -> Identity:
    outfit = Outfit(
        skin=np.array([0.8, 0.6, 0.5]), hair=np.array([0.1, 0.1, 0.1]), hair_cut_m=0.02,
        top=plain(RED), sleeve=0.97, is_dress=False, bottom=plain(BLUE), leg=0.97,
        shoes=np.array([0.2, 0.2, 0.2]), has_shoes=True, front=GREEN, zip=None,
    )  # fmt: skip
    return Identity("neutral", np.zeros(10, dtype=np.float32), outfit)


@pytest.fixture(scope="module")
def camera():
    return look_at(np.array([0.0, 1.0, 3.0]), np.array([0.0, 0.85, 0.0]), 0.0, 200.0, SIZE)


@pytest.fixture(scope="module")
def environment(camera, repository) -> Environment:
    section = load_section(repository / "params.yaml", "mirror_coco", CocoParams)
    picture = section.picture.model_copy(update={"occluder": 0.0})
    place = sample_environment(np.random.default_rng(5), picture, camera, np.zeros(3))
    light = Light(np.array([0.0, 0.6, 0.8]), 0.5)
    return place._replace(sensor=Sensor(0.0, 1.0, 1.0, 0.0), light=light, tint=np.ones(3))


@pytest.fixture(scope="module")
def pictures(bodies, identity, camera, environment):
    """Scene, picture and joints of a person rotated by an angle, with occluders in front."""

    def make(yaw: float = 0.0, occluders: tuple[Occluder, ...] = ()):
        root = Rotation.from_rotvec([0.0, yaw, 0.0])
        people = [place_person(bodies, identity, PersonState(root, ARMS_DOWN, np.zeros(2)))]
        scene = environment._replace(occluders=occluders).scene(camera, people)
        picture = render_scene(scene, bodies, np.random.default_rng(0))
        return scene, picture, project_joints(scene.people[0], camera, picture)

    return make


def test_a_person_who_faces_the_camera_stands_upright_the_right_way_round(pictures):
    _, _, joints = pictures()
    x, y = joints.pixels.T
    assert y[joint("op_nose")] < y[joint("op_neck")] < y[joint("op_mid_hip")] < y[joint("op_left_ankle")]
    assert x[joint("op_left_shoulder")] > x[joint("op_right_shoulder")] + 10, (
        "a left shoulder is on our right"
    )
    assert joints.is_visible[joint("op_nose")]


def test_a_person_seen_from_behind_hides_the_face_and_changes_sides(pictures):
    _, _, joints = pictures(np.pi)
    assert joints.pixels[joint("op_left_shoulder"), 0] < joints.pixels[joint("op_right_shoulder"), 0] - 10
    assert not joints.is_visible[joint("op_nose")]
    assert not joints.is_visible[joint("op_left_eye")]
    assert joints.is_visible[joint("op_left_heel")]


def test_the_far_hip_of_a_person_seen_from_the_side_is_hidden(pictures):
    _, _, joints = pictures(np.pi / 2)
    assert joints.is_visible[joint("op_right_knee")]
    assert not joints.is_visible[joint("op_left_shoulder")]


def test_an_occluder_hides_the_joints_behind_it_and_owns_its_pixels(pictures):
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (0.0, 0.75) for z in (-0.05, 0.05)])
    occluder = Occluder(corners + np.array([0.0, 0.0, 1.0]), corners, plain(GREEN))
    _, picture, joints = pictures(occluders=(occluder,))
    for name in ("left_ankle", "right_ankle", "left_knee", "right_knee"):
        assert not joints.is_visible[joint(name)]
        column, row = joints.pixels[joint(name)].astype(int)
        assert picture.owner[row, column] == OCCLUDER
    for name in ("left_shoulder", "right_shoulder", "nose"):
        assert joints.is_visible[joint(name)]


def test_the_owner_of_pixels_is_the_silhouette_of_the_person(pictures, bodies):
    scene, picture, _ = pictures()
    person = scene.people[0]
    focal, center = scene.camera.focal_px, scene.camera.center_px
    mask = render(person.vertices, bodies.files["neutral"].f, focal, center, SIZE).mask
    # The owner of a pixel is taken a quarter of a pixel beside its middle.
    assert (mask != (picture.owner == 0)).mean() < 0.02
    assert (mask & (picture.owner == 0)).sum() > 0.93 * mask.sum()
    assert set(np.unique(picture.owner)) == {0, BACKGROUND}


def test_clothes_are_where_they_belong(pictures):
    _, picture, joints = pictures()

    def color_at(name: str, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
        column, row = (joints.pixels[joint(name)] + shift).astype(int)
        return picture.image[row, column].astype(float)

    assert color_at("left_elbow").argmax() == 0, "red sleeves"
    assert color_at("left_knee").argmax() == 2, "blue trousers"
    assert color_at("spine_h36m", (0, -4)).argmax() == 1, "a green print on the chest"
    _, behind, joints = pictures(np.pi)
    column, row = (joints.pixels[joint("spine_h36m")] + [0, -4]).astype(int)
    assert behind.image[row, column].argmax() == 0, "and none on the back"


def test_depth_is_finer_than_the_picture_and_ends_at_the_person(pictures):
    scene, picture, _ = pictures()
    assert picture.depth.shape == (SIZE[0] * SUPERSAMPLING, SIZE[1] * SUPERSAMPLING)
    seen = picture.depth[np.isfinite(picture.depth)]
    z = scene.people[0].vertices[:, 2]
    assert z.min() - 1e-5 <= seen.min()
    assert seen.max() <= z.max()


def test_the_person_is_the_same_in_world_and_camera_axes(bodies, identity, camera):
    root = Rotation.from_rotvec([0.1, 0.7, -0.05])
    world = place_person(bodies, identity, PersonState(root, ARMS_DOWN, np.array([0.4, -0.6])))
    person = to_camera_axes(world, camera)
    output = bodies.models["neutral"](torch.tensor(person.pose)[None], torch.tensor(identity.betas)[None])
    np.testing.assert_allclose(output.vertices[0].numpy() + person.translation, person.vertices, atol=1e-5)
    np.testing.assert_allclose(output.joints49[0].numpy() + person.translation, person.joints49, atol=1e-5)
    assert world.vertices[:, 1].min() == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(world.joints24[0, ::2], [0.4, -0.6], atol=1e-6)
