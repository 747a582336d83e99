"""Order of vertices and faces."""

import numpy as np
import pytest

from spinloop.freebody.surface import number_faces, number_vertices


def test_numbering_puts_landmarks_at_their_ids_and_the_left_side_first():
    is_right = np.array([True, False, True, False, False, True])
    order = number_vertices(is_right, {1: 5, 4: 1})
    assert order.tolist() == [3, 5, 4, 0, 1, 2]


def test_two_landmarks_on_one_vertex_are_refused():
    with pytest.raises(ValueError, match="same vertex"):
        number_vertices(np.zeros(4, dtype=bool), {0: 1, 2: 1})


def test_renumbered_faces_keep_their_orientation():
    faces = np.array([[0, 1, 2], [2, 1, 3]])
    order = np.array([3, 2, 1, 0])
    assert number_faces(faces, order).tolist() == [[0, 1, 2], [1, 3, 2]]
