import cv2
import numpy as np
import pytest
from PIL import Image

from spinloop.errors import UserError
from spinloop.tables.images import (
    UnreadableImage,
    frame_name,
    is_present,
    open_video,
    read_image,
    read_size,
    split_frame,
)


def test_size_is_height_then_width(tmp_path, write_jpeg):
    write_jpeg(tmp_path / "a.jpg", 30, 50)
    assert read_size(tmp_path / "a.jpg") == (30, 50)
    assert read_image(tmp_path / "a.jpg").shape == (30, 50, 3)


@pytest.mark.parametrize("tag", range(1, 9))
def test_an_orientation_tag_is_obeyed_by_size_and_pixels_as_opencv_does(tmp_path, write_jpeg, tag):
    write_jpeg(tmp_path / "a.png", 30, 50)
    exif = Image.Exif()
    exif[0x0112] = tag
    with Image.open(tmp_path / "a.png") as image:
        image.save(tmp_path / "turned.jpg", exif=exif, quality=100, subsampling=0)
    expected = cv2.imread(str(tmp_path / "turned.jpg"))[..., ::-1]
    found = read_image(tmp_path / "turned.jpg")
    assert read_size(tmp_path / "turned.jpg") == found.shape[:2] == expected.shape[:2]
    assert np.abs(found.astype(int) - expected).max() <= 3


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    Image.fromarray(np.full((4, 6, 3), 128, np.uint8)).convert(mode, palette=Image.Palette.ADAPTIVE).save(
        path
    )
    image = read_image(path)
    assert image.shape == (4, 6, 3)
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - 128).max() <= 2


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_truncated_image_is_noticed_wherever_it_ends(tmp_path, write_jpeg, suffix):
    whole = tmp_path / f"a{suffix}"
    write_jpeg(whole, 64, 64)
    data = whole.read_bytes()
    for share in (0.0, 0.01, 0.3, 0.7, 0.97):
        whole.write_bytes(data[: int(share * len(data))])
        with pytest.raises(UnreadableImage):
            read_image(whole)


def test_an_absent_image_is_the_users_to_mend(tmp_path):
    for read in (read_size, read_image):
        with pytest.raises(UserError, match=r"a\.jpg: no such image, .*; complete the download"):
            read(tmp_path / "a.jpg")


def grey_of(image) -> float:
    return float(np.median(image))


@pytest.fixture(params=["walk.avi", "walk.mp4"])
def video(request, tmp_path, write_video):
    """Twelve frames; the brightness of each is 20 times its number from 1."""
    path = tmp_path / request.param
    write_video(path, [np.full((48, 64, 3), 20 * number, dtype=np.uint8) for number in range(1, 13)])
    return path


def test_a_path_below_a_video_is_one_of_its_frames(video):
    assert frame_name(str(video), 0) == f"{video}/000001.jpg"
    assert split_frame(video / "000007.jpg") == (video, 6)
    assert read_size(video / "000007.jpg") == (48, 64)
    assert grey_of(read_image(video / "000007.jpg")) == pytest.approx(140, abs=4)


@pytest.mark.parametrize("order", [range(1, 13), [1, 6, 11], [12, 1, 12], [5, 5, 4, 6]])
def test_frames_are_exact_in_any_order(video, order):
    for number in order:
        shown = grey_of(read_image(video / f"{number:06d}.jpg"))
        assert shown == pytest.approx(20 * number, abs=4)


def test_colors_are_red_green_blue(tmp_path, write_video):
    red = np.zeros((48, 64, 3), dtype=np.uint8)
    red[..., 0] = 200
    write_video(tmp_path / "red.avi", [red])
    seen = read_image(tmp_path / "red.avi" / "000001.jpg").mean((0, 1))
    assert seen[0] > 180
    assert seen[1:].max() < 40


def test_extracted_frames_in_a_folder_of_that_name_are_images(tmp_path, write_jpeg):
    write_jpeg(tmp_path / "walk.mp4" / "000001.jpg", 30, 40)
    assert split_frame(tmp_path / "walk.mp4" / "000001.jpg") is None
    assert read_size(tmp_path / "walk.mp4" / "000001.jpg") == (30, 40)


def test_presence_is_that_of_the_video(video):
    assert is_present(video / "000003.jpg")
    assert not is_present(video.with_name("other.mp4") / "000003.jpg")


def test_a_frame_after_the_end_is_one_line(video):
    for read in (read_size, read_image):
        with pytest.raises(UserError, match=r"walk\.\w+: 12 frames, but frame 13 is wanted; download"):
            read(video / "000013.jpg")


def test_an_absent_video_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"none\.mp4: no such video; complete the download"):
        read_image(tmp_path / "none.mp4" / "000001.jpg")


@pytest.mark.parametrize("length", [0, 40, 300])
def test_what_is_no_video_is_one_line_and_the_rest_is_silent(video, length, capfd):
    video.write_bytes(video.read_bytes()[:length])
    with pytest.raises(UserError, match=r"walk\.\w+: damaged or not a video; download"):
        read_image(video / "000001.jpg")
    assert capfd.readouterr() == ("", "")


def test_a_video_that_was_replaced_is_opened_again(video, write_video):
    assert open_video(video).n_frames == 12
    write_video(video, [np.zeros((32, 32, 3), dtype=np.uint8)] * 3)
    assert (open_video(video).n_frames, open_video(video).height) == (3, 32)


def test_a_frame_that_cannot_be_decoded_is_an_unreadable_image(tmp_path, write_video):
    path = tmp_path / "cut.avi"
    noise = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), dtype=np.uint8)
    write_video(path, list(noise))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 30000] = bytes(30000)
    path.write_bytes(data)
    assert open_video(path).n_frames == 40
    with pytest.raises(UnreadableImage, match=r"cut\.avi: frame \d+ cannot be decoded"):
        read_image(path / "000040.jpg")


def test_reading_forward_decodes_each_frame_once(video, monkeypatch):
    opened = []
    real = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda *words: opened.append(words) or real(*words))
    for number in range(1, 13):
        read_image(video / f"{number:06d}.jpg")
    assert len(opened) == 1
