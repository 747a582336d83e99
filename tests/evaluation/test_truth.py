"""Truth by id."""

import numpy as np
import pytest
import torch

from spinloop.errors import UserError
from spinloop.evaluation.truth import batches, gendered_vertices, load_body_files, load_truth, rows_of
from spinloop.tables.records import Record, save_records


def _record(name, rng, **more):
    body = {"pose": rng.normal(size=72), "betas": rng.normal(size=10), "gender": "male"}
    return Record(
        id=name, image="a.jpg", image_height=9, image_width=9, center=np.ones(2), scale=1.0, **(body | more)
    )


def test_annotated_bodies_are_read_from_a_record_table(tmp_path, rng):
    records = [_record("a#0", rng), _record("b#0", rng, gender=None)]
    save_records(tmp_path / "t.parquet", records)
    truth = load_truth(tmp_path / "t.parquet")
    assert truth.ids == ["a#0", "b#0"]
    assert truth.genders == ["male", None]
    np.testing.assert_allclose(truth.pose, np.array([record.pose for record in records]), rtol=1e-6)
    assert truth.take([1]).ids == ["b#0"]


def test_a_person_without_a_body_is_refused(tmp_path, rng):
    save_records(tmp_path / "t.parquet", [_record("a#0", rng), _record("b#0", rng, pose=None)])
    with pytest.raises(UserError, match=r"t\.parquet: b#0: pose is not annotated; use"):
        load_truth(tmp_path / "t.parquet")


def test_rows_are_found_by_id(tmp_path):
    assert rows_of(["x", "y", "z"], ["z", "x"], tmp_path).tolist() == [2, 0]
    with pytest.raises(UserError, match=r"q: no such id \(2 missing\)"):
        rows_of(["x", "y"], ["x", "q", "r"], tmp_path)


def test_batches_cover_every_row_once():
    assert [list(range(10))[part] for part in batches(10, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert list(batches(0, 4)) == []


def test_each_person_stands_on_the_body_of_its_gender(bodies, truth):
    pose, betas = (torch.from_numpy(array).float() for array in (truth.pose, truth.betas))
    vertices = gendered_vertices(bodies, pose, betas, truth.genders)
    for index, gender in enumerate(truth.genders):
        alone = bodies[gender or "neutral"].vertices(pose[index : index + 1], betas[index : index + 1])[0]
        torch.testing.assert_close(vertices[index], alone, atol=1e-6, rtol=0)


def test_bodies_given_under_the_wrong_gender_are_refused(body_files, tmp_path, monkeypatch):
    monkeypatch.setattr("spinloop.evaluation.truth.load_body", lambda path: body_files[path.name])
    assert set(load_body_files(*(tmp_path / name for name in ("neutral", "female", "male")))) == set(
        body_files
    )
    with pytest.raises(UserError, match="expected female, found male; correct --body-female"):
        load_body_files(*(tmp_path / name for name in ("neutral", "male", "female")))
