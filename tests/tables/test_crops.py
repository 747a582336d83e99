import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import cv2
import h5py
import numpy as np
import pytest

from spinloop.errors import UserError
from spinloop.geometry.crop import crop_affine, crop_from_packed, warp
from spinloop.params.datasets import CropsParams
from spinloop.tables.crops import CropReader, pack_crop, pack_crops
from spinloop.tables.images import read_image
from spinloop.tables.records import ReadCounts


def _dots(folder, name: str, places: list[tuple[int, int]]) -> None:
    """A grey image with white discs around the middles of pixels."""
    image = np.full((240, 320, 3), 60, np.uint8)
    for place in places:
        cv2.circle(image, place, 5, (255, 255, 255), -1, cv2.LINE_AA)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / name), image)


def _spot(image: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Center of brightness around a place, px, pixel middles at halves."""
    x, y = np.round(near).astype(int)
    window = image[y - 9 : y + 9, x - 9 : x + 9, 1].astype(float)
    weight = np.clip(window - 100, 0, None)
    rows, columns = np.mgrid[y - 9 : y + 9, x - 9 : x + 9] + 0.5
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


def _packed(tmp_path, make_record, params, count=5):
    rng = np.random.default_rng(0)
    records = []
    for number in range(count):
        image = f"images/{number // 2}.png"
        center = rng.uniform([100, 80], [220, 160])
        records.append(make_record(number, image, center=center, scale=rng.uniform(0.3, 0.9)))
        _dots(tmp_path, image, [(160, 120), (130, 100)])
    counts = ReadCounts()
    pack_crops(tmp_path / "crops.h5", records, tmp_path, params, counts)
    return records, counts


def test_affine_takes_points_of_the_original_to_the_packed_image(tmp_path, make_record, crops_params):
    _packed(tmp_path, make_record, crops_params)
    reader = CropReader(tmp_path / "crops.h5")
    checked = 0
    for index in range(len(reader)):
        image, affine = reader.image(index)
        for place in ((160.5, 120.5), (130.5, 100.5)):
            there = affine @ [*place, 1.0]
            if (there > 10).all() and (there < 86).all():
                assert np.abs(_spot(image, there) - there).max() < 0.25
                checked += 1
    assert checked >= 5


def test_the_box_is_size_px_wide_and_the_center_in_the_middle(tmp_path, make_record, crops_params):
    records, _ = _packed(tmp_path, make_record, crops_params)
    reader = CropReader(tmp_path / "crops.h5")
    assert reader.ids == [record.id for record in records]
    assert reader.size_px == 64
    for index, record in enumerate(records):
        image, affine = reader.image(index)
        assert image.shape == (96, 96, 3)
        np.testing.assert_allclose(affine @ [*record.center, 1.0], [48.0, 48.0])
        corner = record.center - record.scale * 100
        np.testing.assert_allclose(affine @ [*corner, 1.0], [16.0, 16.0])


def test_pixels_come_back_in_rgb(tmp_path, make_record, crops_params):
    image = np.zeros((240, 320, 3), np.uint8)
    image[..., 0] = 200
    data, _ = pack_crop(image, np.array([160.0, 120.0]), 0.5, crops_params)
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded[48, 48, 2] > 180  # OpenCV's third channel is red
    assert decoded[48, 48, 0] < 20


def test_crops_without_loss_are_the_pixels_of_the_region(tmp_path, make_record, crops_params):
    """The box of 64 px is packed at its own size, at whole pixels: nothing is resampled."""
    (tmp_path / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "images/a.png"), pixels)
    record = make_record(1, "images/a.png", center=np.array([150.0, 110.0]), scale=0.32)
    for is_lossless in (True, False):
        pack_crops(tmp_path / "crops.h5", [record], tmp_path, crops_params, ReadCounts(), is_lossless)
        reader = CropReader(tmp_path / "crops.h5")
        assert reader.is_lossless == is_lossless
        difference = np.abs(reader.image(0)[0][..., ::-1].astype(int) - pixels[62:158, 102:198])
        assert difference.any() != is_lossless


def test_a_network_of_the_boxes_size_sees_what_the_original_would_give(tmp_path, make_record, write_jpeg):
    """With the paper's crops, a test image is not resampled twice."""
    write_jpeg(tmp_path / "images/a.jpg", 480, 640)
    params = CropsParams(size_px=224, margin=1.77, jpeg_quality=92)
    record = make_record(1, "images/a.jpg", center=np.array([301.7, 233.2]), scale=0.93)
    pack_crops(tmp_path / "crops.h5", [record], tmp_path, params, ReadCounts(), is_lossless=True)
    packed, packed_affine = CropReader(tmp_path / "crops.h5").image(0)
    wanted = crop_affine(record.center, record.scale, size_px=224.0)
    seen = crop_from_packed(packed, packed_affine, wanted, 224).astype(int)
    direct = warp(read_image(tmp_path / "images/a.jpg"), wanted, 224)
    # OpenCV places pixels to 1/32.
    assert np.abs(seen - direct).mean() < 0.1
    assert np.array_equal(seen, packed[87:-87, 87:-87])


def test_an_unreadable_or_truncated_image_is_counted_and_left_out(
    tmp_path, make_record, crops_params, write_jpeg
):
    write_jpeg(tmp_path / "good.jpg", 240, 320)
    data = (tmp_path / "good.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) * 2 // 3])
    (tmp_path / "text.jpg").write_bytes(b"no image")
    names = ["cut.jpg", "cut.jpg", "good.jpg", "text.jpg"]
    records = [make_record(number, name) for number, name in enumerate(names)]
    counts = ReadCounts()
    pack_crops(tmp_path / "crops.h5", records, tmp_path, crops_params, counts)
    assert CropReader(tmp_path / "crops.h5").ids == [records[2].id]
    assert counts.stats()["left_out"] == {"unreadable_image": 3}


def test_an_absent_image_stops_with_the_cure_and_leaves_no_file(tmp_path, make_record, crops_params):
    with pytest.raises(UserError, match=r"images/a\.jpg: no such image, but the annotation lists it"):
        pack_crops(tmp_path / "out" / "crops.h5", [make_record(1)], tmp_path, crops_params, ReadCounts())
    assert list((tmp_path / "out").iterdir()) == []


def test_no_readable_image_at_all_is_an_error(tmp_path, make_record, crops_params):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="0 of 1 kept; left out: 1 unreadable image"):
        pack_crops(tmp_path / "crops.h5", [make_record(1)], tmp_path, crops_params, ReadCounts())


def test_the_same_people_give_the_same_bytes(tmp_path, make_record, crops_params):
    _packed(tmp_path, make_record, crops_params)
    first = (tmp_path / "crops.h5").read_bytes()
    _packed(tmp_path, make_record, crops_params)
    assert (tmp_path / "crops.h5").read_bytes() == first


def test_forked_processes_read_what_one_reads(tmp_path, make_record, crops_params):
    _packed(tmp_path, make_record, crops_params, count=12)
    reader = CropReader(tmp_path / "crops.h5")
    alone = [reader.image(index)[0] for index in range(12)]
    order = np.random.default_rng(0).integers(0, 12, 60)
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("fork")) as pool:
        jobs = [pool.submit(reader.image, int(index)) for index in order]
        for index, job in zip(order, jobs, strict=True):
            np.testing.assert_array_equal(job.result(timeout=20)[0], alone[index])
    np.testing.assert_array_equal(reader.image(0)[0], alone[0])


def test_a_reader_travels_closed_and_opens_again(tmp_path, make_record, crops_params):
    _packed(tmp_path, make_record, crops_params)
    with CropReader(tmp_path / "crops.h5") as reader:
        image, _ = reader.image(3)
        again, _ = pickle.loads(pickle.dumps(reader)).image(3)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(image, reader.image(3)[0])


def test_files_that_are_no_crops_are_named(tmp_path, make_record, crops_params):
    path = tmp_path / "crops.h5"
    with pytest.raises(UserError, match=r"crops\.h5: no such file; make it with `spinloop pack_crops`"):
        CropReader(path)
    path.write_bytes(b"text")
    with pytest.raises(UserError, match=r"crops\.h5: not a file of packed crops"):
        CropReader(path)
    with h5py.File(path, "w") as file:
        file["ids"] = ["a"]
    with pytest.raises(UserError, match=r"crops\.h5: affine: missing"):
        CropReader(path)


def test_masks_are_kept_at_the_originals_resolution(tmp_path, make_record, crops_params):
    _dots(tmp_path, "images/0.png", [(160, 120)])
    mask = np.random.default_rng(0).integers(0, 7, (240, 320)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    records = [
        make_record(0, "images/0.png"),
        make_record(1, "images/0.png", mask="mask.png", parts="mask.png"),
    ]
    pack_crops(tmp_path / "crops.h5", records, tmp_path, crops_params, ReadCounts())
    with CropReader(tmp_path / "crops.h5") as reader:
        assert reader.mask(0, "mask") is None
        for name in ("mask", "parts"):
            kept = reader.mask(1, name)
            assert kept is not None
            np.testing.assert_array_equal(kept, mask)
    records[1] = make_record(1, "images/0.png", mask="absent.png")
    with pytest.raises(UserError, match=r"absent\.png: no such file; restore it"):
        pack_crops(tmp_path / "crops.h5", records, tmp_path, crops_params, ReadCounts())
