import numpy as np
import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from spinloop.geometry.rotations import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    matrix_to_rot6d,
    rot6d_to_matrix,
    rotation_about_z,
)

vectors = arrays(np.float64, (3, 3), elements=st.floats(-3, 3))


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


# The numbers below are those of SPIN's own functions.
def test_six_numbers_equal_the_reference():
    matrix = rot6d_to_matrix(tensor([1, 0.2, -0.3, 0.8, 0.5, 0.1]))
    expected = [
        [0.863868, 0.231800, -0.447214],
        [-0.259161, 0.965834, 0],
        [0.431934, 0.115900, 0.894427],
    ]
    np.testing.assert_allclose(matrix, expected, atol=1e-6)


def test_six_numbers_are_interleaved_as_in_the_reference():
    matrix = rot6d_to_matrix(tensor([0.0, 1, 2, 3, 4, 5]))
    expected = [
        [0, 0.912871, -0.408248],
        [0.447214, 0.365148, 0.816497],
        [0.894427, -0.182575, -0.408248],
    ]
    np.testing.assert_allclose(matrix, expected, atol=1e-6)


def test_axis_angle_equals_the_reference():
    expected = [
        [0.607266, -0.793203, -0.045356],
        [0.737758, 0.584164, -0.338328],
        [0.294858, 0.171993, 0.939935],
    ]
    np.testing.assert_allclose(axis_angle_to_matrix(tensor([0.3, -0.2, 0.9])), expected, atol=1e-6)


@given(vector=vectors)
@settings(max_examples=50, deadline=None)
def test_axis_angle_equals_scipy(vector):
    expected = Rotation.from_rotvec(vector).as_matrix()
    np.testing.assert_allclose(axis_angle_to_matrix(torch.tensor(vector)), expected, atol=1e-12)


@given(vector=vectors)
@settings(max_examples=50, deadline=None)
def test_axis_angle_and_back_is_the_same_rotation(vector):
    matrix = axis_angle_to_matrix(torch.tensor(vector))
    back = matrix_to_axis_angle(matrix)
    assert back.norm(dim=-1).max() <= np.pi + 1e-9
    np.testing.assert_allclose(axis_angle_to_matrix(back), matrix, atol=1e-7)


@given(vector=vectors)
@settings(max_examples=50, deadline=None)
def test_six_numbers_and_back_is_identity(vector):
    matrix = axis_angle_to_matrix(torch.tensor(vector))
    np.testing.assert_allclose(rot6d_to_matrix(matrix_to_rot6d(matrix)), matrix, atol=1e-12)


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, -1, 0), (0.6, 0.0, 0.8), (-0.36, 0.48, 0.8)])
def test_half_a_turn_comes_back(axis):
    matrix = axis_angle_to_matrix(np.pi * tensor(axis))
    back = matrix_to_axis_angle(matrix)
    np.testing.assert_allclose(back.norm(), np.pi, atol=1e-6)
    np.testing.assert_allclose(axis_angle_to_matrix(back), matrix, atol=1e-6)


def test_no_rotation_comes_back_as_zero():
    assert torch.equal(matrix_to_axis_angle(torch.eye(3)[None]), torch.zeros(1, 3))


def test_matrices_of_any_six_numbers_are_rotations():
    six = torch.randn(20, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrix = rot6d_to_matrix(six)
    np.testing.assert_allclose(matrix @ matrix.mT, torch.eye(3).expand(20, 3, 3), atol=1e-12)
    np.testing.assert_allclose(torch.linalg.det(matrix), 1, atol=1e-12)


@pytest.mark.parametrize("vector", [(0, 0, 0), (1e-9, 0, 0), (0.4, -0.2, 1.0), (3.14, 0, 0)])
def test_gradient_of_axis_angle_is_right(vector):
    assert torch.autograd.gradcheck(axis_angle_to_matrix, tensor(vector).requires_grad_())


def test_gradient_of_six_numbers_is_right():
    six = tensor([1, 0.2, -0.3, 0.8, 0.5, 0.1]).requires_grad_()
    assert torch.autograd.gradcheck(rot6d_to_matrix, six)


def test_a_quarter_turn_about_z_takes_x_to_y():
    turned = rotation_about_z(tensor(np.pi / 2)) @ tensor([1, 0, 0])
    np.testing.assert_allclose(turned, [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("length", [0.0, 1e-8, 1e-4, 9.9e-4, 1.1e-3, 0.1, 1.5, 3.0, 3.1415])
def test_both_ways_equal_roma_at_any_angle(dtype, length):
    axes = torch.nn.functional.normalize(
        torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    )
    precision = torch.finfo(dtype).eps
    matrix = axis_angle_to_matrix(axes * length)
    exact = axis_angle_to_matrix(axes.double() * length)
    assert (matrix - exact).abs().max() < 10 * precision
    assert (matrix - roma.rotvec_to_rotmat(axes * length)).abs().max() < 10 * precision
    back = matrix_to_axis_angle(matrix)
    assert (back - roma.rotmat_to_rotvec(matrix)).abs().max() < 2e3 * precision
    assert (back - axes * length).abs().max() < 2e3 * precision


@pytest.mark.parametrize("vector", [(1e-9, 0, 0), (0.4, -0.2, 1.0), (0.0, 2.9, 0.3), (2.0, 2.0, 1.0)])
def test_gradient_of_the_way_back_is_right(vector):
    def there_and_back(v):
        return matrix_to_axis_angle(axis_angle_to_matrix(v))

    assert torch.autograd.gradcheck(there_and_back, tensor(vector).requires_grad_())


def test_arguments_are_left_as_they_were():
    vector, six = torch.ones(2, 3), torch.arange(12.0).reshape(2, 6)
    copies = vector.clone(), six.clone()
    matrix_to_axis_angle(axis_angle_to_matrix(vector))
    rot6d_to_matrix(six)
    assert torch.equal(vector, copies[0])
    assert torch.equal(six, copies[1])
