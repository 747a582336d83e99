import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest

from spinloop.errors import UserError
from spinloop.pickles import load_pickle


class _Runs:
    """Pickles to a call of a function of the standard library."""

    def __init__(self, function, *arguments) -> None:
        self._call = (function, arguments)

    def __reduce__(self):
        return self._call


def _write(folder: Path, value: object, protocol: int = 2) -> Path:
    path = folder / "file.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_plain_values_and_arrays_come_back(tmp_path, protocol):
    rng = np.random.default_rng(0)
    value = {
        "poses": [rng.normal(size=(4, 72)), rng.normal(size=(3, 5)).astype(np.float32)],
        "valid": np.array([True, False]),
        "fortran": np.asfortranarray(rng.normal(size=(3, 4))),
        "objects": np.array(["a", None, 3], dtype=object),
        "number": np.float64(1.5),
        "words": ("downtown_walk_00", b"\xff"),
    }
    loaded = load_pickle(_write(tmp_path, value, protocol), "get it again")
    assert loaded.keys() == value.keys()
    for mine, theirs in zip(loaded["poses"], value["poses"], strict=True):
        np.testing.assert_array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype
    for key in ("valid", "fortran", "objects", "number"):
        np.testing.assert_array_equal(loaded[key], value[key])
    assert loaded["words"] == value["words"]


def test_a_pickle_of_python_2_is_read(tmp_path):
    # pickle.dumps({"betas": np.arange(3.)}, 2) of Python 2.7 with numpy 1.16, as 3DPW's files are written.
    body = np.arange(3.0).tobytes().decode("latin1").encode("latin1")
    data = (
        b"\x80\x02}q\x00U\x05betasq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03"
        b"K\x00\x85q\x04U\x01bq\x05\x87q\x06Rq\x07(K\x01K\x03\x85q\x08cnumpy\ndtype\nq\tU\x02f8q\n"
        b"K\x00K\x01\x87q\x0bRq\x0c(K\x03U\x01<q\rNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0eb\x89"
        b"U" + bytes([len(body)]) + body + b"q\x0ftq\x10bs."
    )
    path = tmp_path / "file.pkl"
    path.write_bytes(data)
    np.testing.assert_array_equal(load_pickle(path, "get it again")["betas"], [0.0, 1.0, 2.0])


@pytest.mark.parametrize("function", [subprocess.getoutput, eval, print])
def test_a_pickle_that_calls_a_function_is_refused_by_name(tmp_path, function):
    mark = tmp_path / "ran"
    value = {"poses": _Runs(function, f"open({str(mark)!r}, 'w')")}
    with pytest.raises(UserError, match=rf"file\.pkl: the pickle asks for \S*\.{function.__name__}"):
        load_pickle(_write(tmp_path, value), "get it again")
    assert not mark.exists()


def test_a_pickle_cannot_change_what_it_may_call(tmp_path):
    path = tmp_path / "file.pkl"
    path.write_bytes(b"\x80\x02c_codecs\nencode\n(N}U\x05_callcnumpy\nndarray\nstb.")
    with pytest.raises(UserError, match="sets the state of a function"):
        load_pickle(path, "get it again")


def test_every_truncation_is_one_clear_line(tmp_path):
    data = pickle.dumps({"poses": [np.arange(12.0).reshape(3, 4)], "sequence": "a"}, protocol=2)
    path = tmp_path / "file.pkl"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(
            UserError, match=r"file\.pkl: not a readable pickle \(.+\); get it again"
        ) as caught:
            load_pickle(path, "get it again")
        assert "\n" not in str(caught.value)


def test_an_absent_file_names_the_cure(tmp_path):
    with pytest.raises(UserError, match="no such file; get it again"):
        load_pickle(tmp_path / "file.pkl", "get it again")


def test_a_caller_may_allow_more_names(tmp_path):
    path = _write(tmp_path, _Runs(print, 3))
    known = {(module, "print"): lambda number: number + 1 for module in ("__builtin__", "builtins")}
    assert load_pickle(path, "get it again", known) == 4
