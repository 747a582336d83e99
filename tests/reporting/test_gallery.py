"""The page of people to look at."""

import re

import cv2
import numpy as np
import pytest

from spinloop.errors import UserError
from spinloop.joints import COMMON24
from spinloop.reporting.gallery import annotation_page, draw_annotation, draw_parts, sample_records
from spinloop.stages import validate
from spinloop.tables.records import Record, save_records

PARAMS = "validate: {n_people: 3, seed: 0}\n"


def _record(number: int, **more) -> Record:
    keypoints = np.zeros((24, 3))
    for row, name in enumerate(COMMON24[:14]):
        keypoints[row] = [60 + 30 * ("left" in name) - 30 * ("right" in name), 20 + 8 * row, 1]
    fields = {"center": np.array([60.0, 80.0]), "scale": 0.8, "keypoints": keypoints}
    return Record(f"s/{number}.png#0", f"{number}.png", 160, 120, **{**fields, **more})


@pytest.fixture
def raw(tmp_path):
    for number in range(8):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((160, 120, 3), 20 * number, np.uint8))
    cv2.imwrite(str(tmp_path / "parts.png"), np.repeat([[0, 1, 2, 3, 4, 255]], 160, 0).repeat(20, 1))
    return tmp_path


def test_people_are_sampled_uniformly_and_keep_their_order():
    records = [_record(number) for number in range(8)]
    counts = np.zeros(8)
    for seed in range(400):
        chosen = [int(record.image[0]) for record in sample_records(iter(records), 3, seed)]
        assert chosen == sorted(set(chosen))
        counts[chosen] += 1
    assert counts.sum() == 1200
    # Binomial: 150 ± 4 × 9.7.
    assert 111 < counts.min() <= counts.max() < 189
    assert len(sample_records(iter(records[:2]), 3, 0)) == 2


def test_a_joint_is_drawn_where_it_is_in_the_color_of_its_side():
    record = _record(0)
    tile = draw_annotation(np.zeros((160, 120, 3), np.uint8), record).astype(int)
    zoom = 480 / (1.3 * 160)
    for name, side in (("left_ankle", (255, 190, 60)), ("right_wrist", (90, 220, 255))):
        place = record.keypoints[COMMON24.index(name), :2]
        x, y = ((place - record.center) * zoom + 240).astype(int)
        assert np.abs(tile[y, x] - side).max() < 8


def test_a_joint_that_is_not_annotated_is_not_drawn():
    blank = np.zeros((160, 120, 3), np.uint8)
    without = _record(0).keypoints.copy()
    without[3:] = 0
    some = draw_annotation(blank, _record(0, keypoints=without))
    none = draw_annotation(blank, _record(0, keypoints=None))
    everything = draw_annotation(blank, _record(0))
    assert (none > 0).sum() < (some > 0).sum() < (everything > 0).sum()


def test_part_labels_have_six_colors_and_white(raw):
    parts = cv2.imread(str(raw / "parts.png"), cv2.IMREAD_UNCHANGED)
    drawn = draw_parts(parts, np.zeros((160, 120, 3), np.uint8), _record(0))
    assert len({tuple(color) for color in drawn[240, 130:350:2]}) >= 6


def test_the_page_needs_no_other_file_and_names_every_person(raw):
    records = [_record(0), _record(1, parts="parts.png"), _record(2, keypoints=None)]
    page = annotation_page("mine", records, raw)
    assert page.count("data:image/jpeg;base64,") == 3
    assert not re.search(r'(src|href)="(?!data:)', page)
    for record in records:
        assert f"{record.id}: 120 × 160 px, box 160 px" in page
    assert "a box only" in page


def test_the_stage_writes_the_page_and_asks_for_the_images(raw, tmp_path):
    save_records(tmp_path / "t.parquet", [_record(number) for number in range(8)])
    (tmp_path / "params.yaml").write_text(PARAMS)
    places = {"table": tmp_path / "t.parquet", "out": tmp_path / "o.json", "page": tmp_path / "p.html"}
    validate.run(**places, raw=raw, params=tmp_path / "params.yaml")
    first = places["page"].read_bytes()
    assert first.count(b"data:image/jpeg") == 3
    validate.run(**places, raw=raw, params=tmp_path / "params.yaml")
    assert places["page"].read_bytes() == first
    with pytest.raises(UserError, match="--page: the images are needed; give --raw"):
        validate.run(**places)
