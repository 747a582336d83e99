"""The lineage of the report's inputs."""

from spinloop.datasets.raw_files import Summary
from spinloop.reporting.inputs import lineage_table


def test_lineage_names_raw_data_by_their_lists():
    rows = lineage_table([], ["pw3d@1"], {}, {"coco": Summary(3, 6, "0123456789abcdef")}).rows
    assert rows[1].cells == ("raw data", "coco: 3 files, 6 bytes", "0123456789abcdef")


def test_lineage_names_content_not_place(tmp_path):
    first, second = tmp_path / "a.bin", tmp_path / "b.bin"
    first.write_bytes(b"spinloop")
    second.write_bytes(b"spinloop")
    rows = lineage_table([second, first, first], ["pw3d@1"], {"train": {"b": 1, "a": 2}}, {}).rows
    again = lineage_table([first], ["pw3d@1"], {"train": {"a": 2, "b": 1}}, {}).rows
    assert rows[1].cells == again[1].cells
    assert [row.cells[1] for row in rows[2:]] == [first.as_posix(), second.as_posix()]
    assert rows[2].cells[2] == rows[3].cells[2] == "d24bee6cf3e1a532"
