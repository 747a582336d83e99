import pickle
import pickletools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from spinloop.mirror.pw3d import dumps_python2
from spinloop.pickles import load_pickle

NUMBERS = st_numpy.arrays(
    st.sampled_from([np.dtype("<f8"), np.dtype("<i8"), np.dtype("<f4"), np.dtype("<i4")]),
    st_numpy.array_shapes(min_dims=1, max_dims=3),
    elements=st.integers(-1000, 1000),
)
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300)


@given(arrays=st.lists(NUMBERS), text=TEXT, number=st.integers(-(2**31), 2**31 - 1))
def test_what_is_pickled_comes_back(arrays, text, number):
    back = pickle.loads(dumps_python2({"arrays": arrays, "text": text, "n": number}), encoding="latin1")
    assert (back["text"], back["n"]) == (text, number)
    assert len(back["arrays"]) == len(arrays)
    for found, given_array in zip(back["arrays"], arrays, strict=True):
        np.testing.assert_array_equal(found, given_array)
        assert found.dtype == given_array.dtype


def test_a_column_ordered_array_comes_back():
    array = np.arange(12.0).reshape(3, 4).T
    np.testing.assert_array_equal(pickle.loads(dumps_python2([array]), encoding="latin1")[0], array)


def test_only_byte_strings_and_old_names_are_written():
    content = dumps_python2({"sequence": "square_walking_00", "poses": [np.zeros((2, 72))]})
    codes = [(code.name, argument) for code, argument, _ in pickletools.genops(content)]
    assert codes[0] == ("PROTO", 2)
    assert not {name for name, _ in codes} & {"BINUNICODE", "SHORT_BINBYTES", "BINBYTES"}
    names = {argument for name, argument in codes if name == "GLOBAL"}
    assert names == {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}


def test_the_safe_reader_accepts_it(tmp_path):
    path = tmp_path / "sequence.pkl"
    path.write_bytes(dumps_python2({"poses": [np.ones((3, 72))], "genders": ["m"]}))
    content = load_pickle(path, "")
    assert content["genders"] == ["m"]
    assert content["poses"][0].sum() == 216


def test_other_things_are_refused():
    with pytest.raises(TypeError):
        dumps_python2({"x": 1.5})
