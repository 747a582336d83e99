import numpy as np
import pytest
from PIL import Image

from spinloop.errors import UserError
from spinloop.tables.images import UnreadableImage, read_image, read_size


def test_size_is_height_then_width(tmp_path, write_jpeg):
    write_jpeg(tmp_path / "a.jpg", 30, 50)
    assert read_size(tmp_path / "a.jpg") == (30, 50)
    assert read_image(tmp_path / "a.jpg").shape == (30, 50, 3)


def test_pixels_are_taken_as_stored_whatever_the_orientation_tag_says(tmp_path, write_jpeg):
    write_jpeg(tmp_path / "a.jpg", 30, 50)
    with Image.open(tmp_path / "a.jpg") as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(tmp_path / "turned.jpg", exif=exif)
    assert read_size(tmp_path / "turned.jpg") == (30, 50)
    assert read_image(tmp_path / "turned.jpg").shape == (30, 50, 3)


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
