"""Pictures of a body, with a box for a body."""

import numpy as np
import pytest
import trimesh

from spinloop.reporting.body_pictures import BodyView, render_view, to_camera
from spinloop.reporting.gallery import picture_page


@pytest.fixture
def box():
    mesh = trimesh.creation.box(extents=(0.4, 1.6, 0.2))
    return np.array(mesh.vertices), np.array(mesh.faces)


def _view(azimuth_deg):
    return BodyView(azimuth_deg, np.zeros(3), 2.0, (200, 100))


@pytest.mark.parametrize(("azimuth", "width"), [(0.0, 40), (90.0, 20), (180.0, 40)])
def test_a_box_is_rendered_to_scale(box, azimuth, width):
    covered = (render_view(*box, _view(azimuth)) < 250).any(axis=2)
    # 100 px a metre; a pixel for rounding and one for the nearer face's perspective.
    assert covered.any(axis=0).sum() == pytest.approx(width, abs=2)
    assert covered.any(axis=1).sum() == pytest.approx(160, abs=2)


def test_the_left_side_is_on_the_right_of_a_front_view_and_faces_the_camera_in_a_left_one():
    left_hand = np.array([[0.5, 0.2, 0.0]])
    front, side = (to_camera(left_hand, _view(azimuth))[0] for azimuth in (0.0, 90.0))
    np.testing.assert_allclose(front, [0.5, -0.2, 20.0])
    np.testing.assert_allclose(side, [0.0, -0.2, 19.5], atol=1e-12)


def test_from_above_the_front_is_below_and_the_head_nearer():
    above = BodyView(0.0, np.zeros(3), 2.0, (200, 100), elevation_deg=90.0)
    nose, head_top = to_camera(np.array([[0.0, 0.5, 0.1], [0.0, 0.7, 0.0]]), above)
    np.testing.assert_allclose(nose, [0.0, 0.1, 19.5], atol=1e-12)
    np.testing.assert_allclose(head_top, [0.0, 0.0, 19.3], atol=1e-12)


def test_joints_are_marked_where_they_are(box):
    marked = render_view(*box, _view(0.0), joints=np.array([[0.1, 0.5, 0.0]]))
    assert tuple(marked[50, 60]) == (204, 0, 51)


def test_faces_take_their_colors(box):
    colors = np.zeros((len(box[1]), 3))
    colors[:, 1] = 1.0
    image = render_view(*box, _view(0.0), face_colors=colors)
    assert image[100, 50, 1] > 50
    assert image[100, 50, 0] == image[100, 50, 2] == 0


def test_the_page_holds_its_pictures():
    text = picture_page("Body", [("Rest", "data:image/jpeg;base64,AAAA")])
    assert text.count("<img") == 1
    assert 'src="data:image/jpeg;base64,AAAA"' in text
