import cv2
import numpy as np
import pytest

from spinloop.errors import UserError
from spinloop.stages import extract_frames
from spinloop.tables.images import read_image
from spinloop.tables.records import Record, make_id, save_records


@pytest.fixture
def table(tmp_path):
    """Two frames of a video, one of them with two people, and a photograph."""
    writer = cv2.VideoWriter(str(tmp_path / "walk.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (64, 48))
    for number in range(1, 6):
        writer.write(np.full((48, 64, 3), 40 * number, dtype=np.uint8))
    writer.release()
    rows = [("walk.mp4/000002.jpg", 0), ("walk.mp4/000002.jpg", 1), ("walk.mp4/000005.jpg", 0), ("a.jpg", 0)]
    people = [
        Record(make_id("s", image, person), image, 48, 64, np.array([32.0, 24.0]), 0.2)
        for image, person in rows
    ]
    save_records(tmp_path / "table.parquet", people)
    return tmp_path


def test_frames_of_the_table_become_files_of_the_same_names(table, capsys):
    extract_frames.run(annotations=table / "table.parquet", raw=table, out=table / "frames")
    files = sorted(path.relative_to(table / "frames") for path in (table / "frames").rglob("*.jpg"))
    assert [str(path) for path in files] == ["walk.mp4/000002.jpg", "walk.mp4/000005.jpg"]
    for path in files:
        wanted, found = (read_image(root / path).astype(int) for root in (table, table / "frames"))
        assert np.abs(wanted - found).max() <= 2
    assert "2 of 3 kept; left out: 1 no frame of a video" in capsys.readouterr().err


def test_an_existing_folder_is_refused(table):
    with pytest.raises(UserError, match="exists; name a new folder"):
        extract_frames.run(annotations=table / "table.parquet", raw=table, out=table)


def test_a_frame_that_is_missing_leaves_no_folder(table):
    (table / "walk.mp4").unlink()
    with pytest.raises(UserError, match=r"walk\.mp4: no such video"):
        extract_frames.run(annotations=table / "table.parquet", raw=table, out=table / "frames")
    assert not (table / "frames").exists()
