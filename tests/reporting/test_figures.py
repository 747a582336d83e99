"""Choosing people, and bodies on their crops."""

import cv2
import numpy as np
import pytest
import torch

from spinloop.body.files import BodyFile
from spinloop.body.model import BodyModel
from spinloop.geometry.camera import project
from spinloop.joints import SMPL_PARENTS
from spinloop.reporting.figures import BodyColumn, at_quantiles, quantile_name
from spinloop.tables.images import encode_jpeg


@pytest.fixture(scope="module")
def ball():
    """A body that is a ball of 0.4 m about its origin."""
    grid = np.meshgrid(np.linspace(0, np.pi, 13), np.linspace(0, 2 * np.pi, 25), indexing="xy")
    up, around = (angles.ravel() for angles in grid)
    points = 0.4 * np.stack([np.sin(up) * np.cos(around), np.cos(up), np.sin(up) * np.sin(around)], -1)
    corner = (np.arange(24)[:, None] * 13 + np.arange(12)).ravel()
    faces = np.stack([corner, corner + 1, corner + 14, corner, corner + 14, corner + 13], -1).reshape(-1, 3)
    n = len(points)

    def means(rows: int) -> np.ndarray:
        return np.full((rows, n), 1 / n, np.float32)

    weights = np.zeros((n, 24), np.float32)
    weights[:, 0] = 1.0
    return BodyModel(
        BodyFile(
            v_template=points.astype(np.float32),
            shapedirs=np.zeros((n, 3, 10), np.float32),
            posedirs=np.zeros((n, 3, 207), np.float32),
            J_regressor=means(24),
            weights=weights,
            kintree_table=np.array([SMPL_PARENTS, range(24)]),
            f=faces.astype(np.int32),
            J_regressor_extra=means(9),
            J_regressor_h36m=means(17),
            part_labels=np.ones(len(faces), np.uint8),
            gender="neutral",
        )
    )


def test_ranks_are_of_the_sorted_numbers_and_ties_go_by_id():
    values = np.array([5.0, np.nan, 1.0, 5.0, 3.0])
    assert at_quantiles(values, list("edcba"), [0.0, 0.5, 1.0]) == [(0.0, 2), (0.5, 3), (1.0, 0)]
    assert at_quantiles(values, list("abcde"), [0.0, 0.5, 1.0]) == [(0.0, 2), (0.5, 0), (1.0, 3)]


def test_nobody_is_chosen_twice_and_nobody_without_a_number():
    assert at_quantiles(np.array([1.0]), ["a"], [0.0, 0.5, 1.0]) == [(0.0, 0)]
    assert at_quantiles(np.array([np.nan]), ["a"], [0.0]) == []


def test_ranks_have_names():
    names = [quantile_name(quantile, "best", "worst") for quantile in (0.0, 0.1, 0.5, 1.0)]
    assert names == ["best", "10 % quantile", "median", "worst"]


@pytest.mark.parametrize("size", [112, 224, 300])
def test_the_body_is_where_the_crops_camera_sees_it(size, ball):
    image = np.zeros((size, size, 3), np.uint8)
    translation = np.array([0.3, -0.2, 40.0], np.float32)
    column = BodyColumn("fit", np.zeros((1, 72)), np.zeros((1, 10)), translation[None], np.zeros(1))
    picture = column.tile(image, ball, 0).image
    rows, columns = np.nonzero(picture.sum(-1))
    middle = project(torch.zeros(1, 1, 3), torch.from_numpy(translation)[None])[0, 0] * size / 224
    assert [columns.mean() + 0.5, rows.mean() + 0.5] == pytest.approx(middle.tolist(), abs=0.5)
    assert len(rows) == pytest.approx(np.pi * (5000 * 0.4 / 40 * size / 224) ** 2, rel=0.03)


def test_jpeg_keeps_the_picture():
    image = np.full((32, 32, 3), (200, 30, 60), np.uint8)
    again = cv2.imdecode(np.frombuffer(encode_jpeg(image), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert again is not None
    assert np.abs(again.astype(int) - image).max() < 8
