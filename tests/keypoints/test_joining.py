"""Which image a detector's key means; what may mean two is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinloop.errors import UserError
from spinloop.keypoints.detected_people import Key
from spinloop.keypoints.joining import Named, join_images

FILE = Path("d.json")


def _join(keys, images):
    named = [Named(*image) if isinstance(image, tuple) else Named(image) for image in images]
    return join_images(FILE, [Key(*key) if isinstance(key, tuple) else Key(key) for key in keys], named)


def _pairs(joined):
    return {image: key.name or key.number for image, key in joined.key_of.items()}


@pytest.mark.parametrize(
    ("key", "how"),
    [
        ("train/seqA/a.x.jpg", "path"),
        ("seqA/a.x.jpg", "end_of_path"),
        ("a.x.jpg", "end_of_path"),
        ("/data/me/coco/train/seqA/a.x.jpg", "end_of_path"),
        ("C:\\data\\coco\\train\\seqA\\a.x.jpg", "end_of_path"),
        ("./train/seqA/a.x.jpg", "path"),
        ("train/seqA/a.x.png", "name_without_ending"),
        ("a.x", "name_without_ending"),
        ("train/seqA/a.x", "path"),
    ],
)
def test_a_name_means_the_image_whose_path_it_ends_or_that_ends_it(key, how):
    joined = _join([key], ["train/seqA/a.x.jpg", "train/seqA/b.jpg", "train/seqB/c.jpg"])
    assert _pairs(joined) == {"train/seqA/a.x.jpg": key}
    assert joined.by == {how: 1}
    assert joined.strangers == []


@pytest.mark.parametrize("key", ["val/a.jpg", "/data/val/a.jpg", "aa.jpg", "a.x.jpg", "seqA", "A.jpg"])
def test_a_name_in_another_folder_or_of_another_image_is_nobodys(key):
    joined = _join([key, "b.jpg"], ["train/a.jpg", "train/b.jpg"])
    assert _pairs(joined) == {"train/b.jpg": "b.jpg"}
    assert joined.strangers == [Key(key)]


def test_what_may_mean_two_is_refused():
    for keys, images, message in (
        (
            ["1.jpg"],
            ["seqA/1.jpg", "seqB/1.jpg"],
            r"d\.json: 1\.jpg: of seqA/1\.jpg or of seqB/1\.jpg\? name each",
        ),
        (["1"], ["1.jpg", "1.png"], r"1: of 1\.jpg or of 1\.png\?"),
        (["1.jpg"], ["1.jpg", "x/1.jpg"], r"1\.jpg: of 1\.jpg or of x/1\.jpg\?"),
        (["x/1.jpg", "y/1.jpg"], ["1.jpg"], r"x/1\.jpg and y/1\.jpg both name 1\.jpg"),
        ([(None, 3)], ["a_3.jpg", "b_03.jpg"], r"image_id 3: of a_3\.jpg or of b_03\.jpg\?"),
    ):
        with pytest.raises(UserError, match=message):
            _join(keys, images)


def test_keys_that_are_paths_are_exact_where_others_have_folders():
    """A detector that found nobody in x/1.jpg does not list it; 1.jpg is then the one without a folder."""
    assert _pairs(_join(["1.jpg", "x/2.jpg"], ["1.jpg", "x/1.jpg", "x/2.jpg"])) == {
        "1.jpg": "1.jpg",
        "x/2.jpg": "x/2.jpg",
    }


def test_the_longer_of_two_names_has_the_image_and_the_other_is_nobodys():
    joined = _join(["b/x", "x"], ["a/b/x.jpg"])
    assert _pairs(joined) == {"a/b/x.jpg": "b/x"}
    assert joined.strangers == [Key("x")]


def test_a_number_is_the_annotation_files_id_where_it_gives_one():
    images = [("cam_0003.jpg", "1"), ("cam_0001.jpg", "2"), ("cam_0002.jpg", "3")]
    joined = _join([(None, 1), (None, 2), (None, 3), (None, 9)], images)
    assert _pairs(joined) == {"cam_0003.jpg": 1, "cam_0001.jpg": 2, "cam_0002.jpg": 3}
    assert joined.by == {"id": 3}
    assert joined.strangers == [Key(None, 9)]
    assert _pairs(_join(["17", "x4"], [("a.jpg", "17"), ("b.jpg", "x4")])) == {"a.jpg": "17", "b.jpg": "x4"}


def test_without_ids_a_number_is_the_one_that_ends_the_name():
    images = ["val/000000000785.jpg", "val/COCO_val2014_000000000040.jpg"]
    joined = _join([(None, 785), (None, 40), (None, 7)], images)
    assert _pairs(joined) == {images[0]: 785, images[1]: 40}
    assert joined.by == {"number_in_name": 2}
    assert joined.strangers == [Key(None, 7)]
    # Ids that are of no key at all say nothing: Ultralytics takes the number from the name.
    assert _join([(None, 785)], [(images[0], "5001")]).by == {"number_in_name": 1}


def test_numbers_that_are_rather_those_of_names_than_ids_are_refused():
    images = [(f"f_{n + 10}.jpg", str(n)) for n in range(20)]
    with pytest.raises(
        UserError, match=r"image_id: 3 of 10 numbers are ids .*, 10 end a file name, so they may"
    ):
        _join([(None, n) for n in range(17, 27)], images)


PARTS = st.sampled_from(["a", "b", "1", "02", "x.y"])
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)


@given(images=st.sets(PATHS, min_size=1, max_size=8), data=st.data())
def test_full_paths_join_their_images_whatever_their_order_and_ending(images, data):
    """Permute and rename: keys in any order, with another ending or none, below any folder."""
    names = sorted(images)
    kept = data.draw(st.sets(st.sampled_from(names), min_size=1))
    order = data.draw(st.permutations(sorted(kept)))
    ending = data.draw(st.sampled_from([".jpg", ".png", ""]))
    joined = _join(
        [f"{name}{ending}" for name in order] + ["deep/er/name"], [f"{name}.jpg" for name in names]
    )
    assert _pairs(joined) == {f"{name}.jpg": f"{name}{ending}" for name in kept}
    assert joined.strangers == [Key("deep/er/name")]
    rooted = [f"/home/me/set/{name}.jpg" for name in order]
    try:
        found = _pairs(_join(rooted, [f"{name}.jpg" for name in names]))
    except UserError:
        # A path that ends with two images' is refused, never guessed.
        assert any(one != other and one.endswith(f"/{other}") for one in names for other in names)
    else:
        assert found == {f"{name}.jpg": f"/home/me/set/{name}.jpg" for name in kept}
