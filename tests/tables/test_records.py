import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spinloop.errors import UserError
from spinloop.tables.records import (
    RECORD,
    Record,
    column_array,
    iterate_records,
    load_records,
    make_id,
    save_records,
)
from spinloop.tables.schema import Layout
from spinloop.tables.table import ROWS_PER_GROUP, count_rows, save_table


def _full(make_record, number: int) -> Record:
    rng = np.random.default_rng(number)
    keypoints = np.concatenate([rng.uniform(0, 300, (24, 2)), np.ones((24, 1))], axis=1)
    keypoints[5] = 0
    joints = np.concatenate([rng.normal(0, 0.5, (24, 3)), np.ones((24, 1))], axis=1)
    return dataclasses.replace(
        make_record(number), keypoints=keypoints, joints_3d=joints, pose=rng.normal(size=72),
        betas=rng.normal(size=10), gender="female", sequence="walk", frame=number,
    )  # fmt: skip


def _bare(make_record, number: int) -> Record:
    return make_record(number)


def test_records_come_back_and_null_stays_null(tmp_path, make_record):
    records = [(_full if number % 2 else _bare)(make_record, number) for number in range(5)]
    path = tmp_path / "table.parquet"
    assert save_records(path, records) == 5
    for mine, theirs in zip(iterate_records(path), records, strict=True):
        for field in dataclasses.fields(Record):
            got, wanted = getattr(mine, field.name), getattr(theirs, field.name)
            if isinstance(wanted, np.ndarray):
                kind = RECORD[field.name].kind
                np.testing.assert_array_equal(got, wanted.astype(kind))
            else:
                assert got == wanted, field.name


def test_the_frame_has_arrays_in_shape_and_nan_where_nothing_is_annotated(tmp_path, make_record):
    path = tmp_path / "table.parquet"
    records = [_bare(make_record, 0), _full(make_record, 1)]
    save_records(path, records)
    frame = load_records(path)
    assert frame["keypoints"][0] is None
    assert frame["keypoints"][1].shape == (24, 3)
    assert frame["frame"].tolist()[1] == 1
    array = column_array(frame, "keypoints")
    assert np.isnan(array[0]).all()
    np.testing.assert_array_equal(array[1], records[1].keypoints.astype(np.float32))


def test_plain_pyarrow_reads_names_units_and_values(tmp_path, make_record):
    path = tmp_path / "table.parquet"
    save_records(path, [_full(make_record, 1), _bare(make_record, 2)])
    table = pq.read_table(path)
    field = table.schema.field("joints_3d")
    assert field.type == pa.list_(pa.field("element", pa.float32(), nullable=False), 96)
    assert field.metadata[b"unit"] == b"m, m, m, 1"
    assert field.metadata[b"shape"] == b"24x4"
    rows = table.to_pylist()
    np.testing.assert_allclose(rows[0]["center"], [160.0, 120.0])
    assert rows[1]["joints_3d"] is None


def test_many_row_groups_read_as_one_table(tmp_path, make_record):
    count = 2 * ROWS_PER_GROUP + 3
    path = tmp_path / "table.parquet"
    save_records(path, (make_record(number) for number in range(count)))
    assert pq.ParquetFile(path).num_row_groups == 3
    assert count_rows(path, "") == count
    assert [record.person for record in iterate_records(path)] == list(range(count))


def test_the_same_records_give_the_same_bytes(tmp_path, make_record):
    for name in "ab":
        save_records(tmp_path / name, [_full(make_record, number) for number in range(9)])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_duplicate_id_is_refused_and_leaves_no_file(tmp_path, make_record):
    path = tmp_path / "table.parquet"
    with pytest.raises(UserError, match=r"table\.parquet: id: 'tiny/images/a\.jpg#4' occurs twice"):
        save_records(path, [make_record(4), make_record(4)])
    assert list(tmp_path.iterdir()) == []


def _keypoints(change) -> np.ndarray:
    keypoints = np.ones((24, 3))
    change(keypoints)
    return keypoints


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": 0.0}, r"scale: 0 is below 0\.001 200 px"),
        ({"center": np.zeros(3)}, r"center: expected shape \(2,\), found \(3,\)"),
        ({"image_width": None}, "image_width: null, but every row needs it"),
        ({"image_width": 3.5}, r"image_width: expected a whole number, found 3\.5"),
        ({"gender": "f"}, "gender: expected one of female, male, neutral, found 'f'"),
        ({"sequence": ""}, "sequence: expected a word"),
        ({"pose": np.full(72, np.nan)}, "pose: not finite"),
        ({"pose": "zero"}, "pose: expected numbers, found str"),
        ({"joints_3d": np.full((24, 4), 1.0) * [900, 1, 1, 1]}, "joints_3d: 900 is above 5 m"),
        ({"keypoints": _keypoints(lambda k: k.__setitem__((3, 2), 1.5))}, r"a confidence outside \[0, 1\]"),
        ({"keypoints": _keypoints(lambda k: k.__setitem__((3, 2), 0))}, "of confidence 0 has coordinates"),
    ],
)
def test_a_row_that_breaks_the_layout_is_named(tmp_path, make_record, change, message):
    path = tmp_path / "table.parquet"
    with pytest.raises(UserError, match=message) as caught:
        save_table(path, RECORD, [make_record(7).row(), {**make_record(8).row(), **change}])
    assert str(caught.value).startswith(f"{path}: tiny/images/a.jpg#8: ")
    assert not path.exists()


def _in_millimetres(table: pa.Table) -> pa.Table:
    schema = table.schema
    place = schema.get_field_index("scale")
    field = schema.field(place)
    return pa.Table.from_arrays(
        table.columns, schema=schema.set(place, field.with_metadata({**field.metadata, b"unit": b"mm"}))
    )


def _with_scale(table: pa.Table, values: pa.Array) -> pa.Table:
    place = table.schema.get_field_index("scale")
    return table.set_column(place, table.schema.field(place).with_type(values.type), values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop_columns(["scale"]), "scale: column missing"),
        (lambda table: table.append_column("more", pa.array([1])), "more: unknown column"),
        (
            lambda table: _with_scale(table, pa.array([1], pa.int64())),
            r"scale: expected double of shape \(\) in 200 px, found int64",
        ),
        (_in_millimetres, "scale: expected double .* in 200 px, found double .* in mm"),
        (lambda table: pa.concat_tables([table, table]), r"'tiny/images/a\.jpg#1' occurs twice"),
        (lambda table: _with_scale(table, pa.array([-1.0])), "scale: -1 is below"),
    ],
)
def test_a_file_that_breaks_the_layout_is_refused_on_load(tmp_path, make_record, change, message):
    path = tmp_path / "table.parquet"
    save_records(path, [make_record(1)])
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(UserError, match=message):
        load_records(path)


def test_a_table_of_another_layout_is_told_by_the_layouts_names(tmp_path, make_record):
    path = tmp_path / "table.parquet"
    rows = [{name: make_record(1).row()[name] for name in ("id", "center", "scale")}]
    save_table(path, Layout("truth@1", tuple(RECORD[name] for name in ("id", "center", "scale"))), rows)
    message = (
        "a table of layout truth@1, expected record@2; .*, which writes data/annotations/<split>.parquet"
    )
    with pytest.raises(UserError, match=message):
        load_records(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_one_line_with_the_cure(tmp_path, make_record, share):
    path = tmp_path / "table.parquet"
    save_records(path, [_full(make_record, 1)])
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(
        UserError, match=r"not a readable Parquet file \(.+\); make it with `spinloop preprocess`"
    ):
        load_records(path)


def test_damaged_bytes_inside_are_noticed(tmp_path, make_record):
    path = tmp_path / "table.parquet"
    save_records(path, [_full(make_record, number) for number in range(50)])
    data = bytearray(path.read_bytes())
    middle = pq.ParquetFile(path).metadata.row_group(0).column(6).data_page_offset
    data[middle + 40 : middle + 80] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(
        UserError, match=r"not a readable Parquet file \(.*\); make it with `spinloop preprocess`"
    ):
        load_records(path)


def test_an_absent_file_names_the_cure(tmp_path):
    with pytest.raises(UserError, match=r"none\.parquet: no such file; make it with `spinloop preprocess`"):
        load_records(tmp_path / "none.parquet")


def test_ids_name_split_image_and_person():
    assert make_id("coco_train", "train2014/a.jpg", 12) == "coco_train/train2014/a.jpg#12"


def test_arguments_are_untouched(tmp_path, make_record):
    record = _full(make_record, 3)
    before = json.dumps(
        {name: value.tolist() for name, value in record.row().items() if isinstance(value, np.ndarray)}
    )
    save_records(tmp_path / "table.parquet", [record])
    after = json.dumps(
        {name: value.tolist() for name, value in record.row().items() if isinstance(value, np.ndarray)}
    )
    assert before == after
