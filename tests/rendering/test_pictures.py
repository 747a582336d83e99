import numpy as np
import pytest

from spinloop.rendering.pictures import (
    contact_sheet,
    draw_joints,
    label,
    overlay,
    overlay_in_box,
    overlay_on_crop,
    shaded,
)

CAMERA = (90.0, (32.0, 24.0))


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(7).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def test_overlay_changes_only_what_the_mesh_covers(sphere, photo):
    vertices, faces = sphere((0.0, 0.0, 2.0), 0.4)
    drawn = overlay(photo, vertices, faces, *CAMERA)
    _, coverage = shaded(vertices, faces, *CAMERA, (48, 64))
    np.testing.assert_array_equal(drawn[coverage == 0], photo[coverage == 0])
    assert (drawn[coverage == 1] != photo[coverage == 1]).any(1).mean() > 0.95


def test_opaque_overlay_hides_the_photo_and_transparent_one_shows_it(sphere, photo):
    vertices, faces = sphere((0.0, 0.0, 2.0), 0.4)
    np.testing.assert_array_equal(overlay(photo, vertices, faces, *CAMERA, alpha=0.0), photo)
    inside = shaded(vertices, faces, *CAMERA, (48, 64))[1] == 1
    on_black = overlay(np.zeros_like(photo), vertices, faces, *CAMERA, alpha=1.0)
    on_photo = overlay(photo, vertices, faces, *CAMERA, alpha=1.0)
    np.testing.assert_array_equal(on_black[inside], on_photo[inside])


def test_a_body_in_its_box_is_the_same_in_the_photograph_and_in_the_crop(sphere):
    vertices, faces = sphere((0.3, -0.2, 40.0), 0.4, 4)
    photograph = np.random.default_rng(1).integers(0, 256, (200, 260, 3), dtype=np.uint8)
    crop = photograph[40:152, 60:172]
    drawn = overlay_in_box(photograph, vertices, faces, np.array([116.0, 96.0]), 112.0)
    np.testing.assert_array_equal(drawn[40:152, 60:172], overlay_on_crop(crop, vertices, faces))
    assert (drawn[40:152, 60:172] != crop).any()
    drawn[40:152, 60:172] = crop
    np.testing.assert_array_equal(drawn, photograph)


def test_a_box_beyond_the_picture_leaves_it_as_it_is(sphere, photo):
    vertices, faces = sphere((0.0, 0.0, 40.0), 0.4, 2)
    for center in ((-200.0, 20.0), (30.0, 300.0)):
        drawn = overlay_in_box(photo, vertices, faces, np.array(center), 60.0)
        np.testing.assert_array_equal(drawn, photo)


def test_a_joint_has_its_color_at_its_pixel_and_a_black_rim(photo):
    drawn = draw_joints(photo, np.array([[20.5, 10.5], [50.9, 40.1]]), 3, [(255, 0, 0), (0, 255, 0)])
    assert tuple(drawn[10, 20]) == (255, 0, 0)
    assert tuple(drawn[40, 50]) == (0, 255, 0)
    assert drawn[10, 24].max() < 60
    far = np.hypot(*(np.mgrid[:48, :64] - np.array([[[10]], [[20]]]))) > 8
    far &= np.hypot(*(np.mgrid[:48, :64] - np.array([[[40]], [[50]]]))) > 8
    np.testing.assert_array_equal(drawn[far], photo[far])


def test_a_joint_far_outside_the_picture_is_left_out(photo):
    np.testing.assert_array_equal(draw_joints(photo, np.array([[1e12, -1e12]]), 3, [(255, 0, 0)]), photo)


def test_a_label_is_dark_on_white_and_light_on_black():
    for ground, darkest, brightest in ((255, 0, 254), (0, 1, 255)):
        picture = label(np.full((40, 120, 3), ground, np.uint8), "step 3")
        assert ((picture >= darkest) & (picture <= brightest)).any()
        assert (picture[30:] == ground).all()


def test_a_sheet_keeps_its_pictures_with_white_between_them():
    pictures = [[np.full((4, 5, 3), 10 * row + column, np.uint8) for column in range(3)] for row in range(2)]
    sheet = contact_sheet(pictures, gap_px=2)
    assert sheet.shape == (2 * 4 + 2, 3 * 5 + 2 * 2, 3)
    np.testing.assert_array_equal(sheet[6:, 14:], pictures[1][2])
    assert (sheet[4:6] == 255).all()
    assert (sheet[:, 5:7] == 255).all()
    assert contact_sheet(pictures).shape == (8, 15, 3)


def test_pictures_are_copies(sphere, photo):
    before = photo.copy()
    label(photo, "a")
    draw_joints(photo, np.array([[20.0, 10.0]]), 3, [(255, 0, 0)])
    overlay_in_box(photo, *sphere((0.0, 0.0, 40.0), 0.4, 2), np.array([32.0, 24.0]), 40.0)
    np.testing.assert_array_equal(photo, before)
