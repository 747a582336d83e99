"""Pickles of plain values, of SMPL (with stand-ins for chumpy and old scipy), and harmful ones."""

import json
import pickle
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from spinloop.errors import UserError
from spinloop.files.pickles import load_arrays, load_pickle


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
    loaded["poses"][0][:] = loaded["valid"][:] = 0  # arrays are nobody else's
    assert loaded["fortran"].flags.f_contiguous
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


@contextmanager
def _classes(*names):
    """Classes of the given dotted names, importable only inside the block."""
    made, modules = [], []
    for dotted in names:
        module, _, name = dotted.rpartition(".")
        parts = module.split(".")
        for count in range(1, len(parts) + 1):
            path = ".".join(parts[:count])
            if path not in sys.modules:
                sys.modules[path] = ModuleType(path)
                modules.append(path)
        made.append(type(name, (), {"__module__": module}))
        setattr(sys.modules[module], name, made[-1])
    try:
        yield made
    finally:
        for path in modules:
            del sys.modules[path]


def _instance(kind, **state):
    made = kind()
    made.__dict__.update(state)
    return made


def _dump(path, value, protocol):
    # Python 3 writes Python 2's names of its modules with protocols below 3.
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_chumpy_arrays_give_their_stored_value(tmp_path, protocol):
    value = np.random.default_rng(0).normal(size=(5, 3))
    with _classes("chumpy.ch.Ch") as (kind,):
        stored = _instance(kind, x=value, _dirty_vars=set(), _itr=None, dterms=("x",))
        path = _dump(tmp_path / "a.pkl", {"v_template": stored, "bs_style": "lbs"}, protocol)
    assert "chumpy" not in sys.modules
    loaded = load_arrays(path)
    np.testing.assert_array_equal(loaded["v_template"], value)
    assert loaded["bs_style"] == "lbs"


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
@pytest.mark.parametrize("is_wrapped", [True, False])
def test_a_selection_gives_the_chosen_entries(tmp_path, protocol, is_wrapped):
    value = np.random.default_rng(0).normal(size=(7, 3, 30))
    indices = np.arange(value.size).reshape(value.shape)[:, :, :10].ravel()
    with _classes("chumpy.ch.Ch", "chumpy.reordering.Select") as (kind, select):
        source = _instance(kind, x=value) if is_wrapped else value
        stored = _instance(select, a=source, idxs=indices, preferred_shape=(7, 3, 10), _dirty_vars={"a"})
        path = _dump(tmp_path / "a.pkl", {"shapedirs": stored}, protocol)
    np.testing.assert_array_equal(load_arrays(path)["shapedirs"], value[:, :, :10])


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("form", ["csc", "csr", "coo"])
@pytest.mark.parametrize("module", ["", "_"])
def test_sparse_matrices_come_back_dense_under_their_old_and_new_names(tmp_path, protocol, form, module):
    dense = np.random.default_rng(0).normal(size=(4, 9)) * (np.random.default_rng(1).random((4, 9)) < 0.3)
    matrix = sparse.csc_matrix(dense).asformat(form)
    state = {"_shape": (4, 9), "data": matrix.data, "maxprint": 50, "format": form}
    if form == "coo":
        state |= {"row": matrix.row, "col": matrix.col}
    else:
        state |= {"indices": matrix.indices, "indptr": matrix.indptr}
    real = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "scipy"}
    try:
        with _classes(f"scipy.sparse.{module}{form}.{form}_matrix") as (kind,):
            path = _dump(tmp_path / "a.pkl", {"J_regressor": _instance(kind, **state)}, protocol)
    finally:
        sys.modules.update(real)
    np.testing.assert_array_equal(load_arrays(path)["J_regressor"], dense)


@pytest.mark.parametrize("form", ["csc_matrix", "csr_matrix", "coo_matrix", "csc_array", "coo_array"])
def test_what_todays_scipy_pickles_comes_back(tmp_path, form):
    dense = np.eye(3, 6, k=2)
    path = _dump(tmp_path / "a.pkl", {"J_regressor": getattr(sparse, form)(dense)}, 2)
    np.testing.assert_array_equal(load_arrays(path)["J_regressor"], dense)


def test_python_2_names_of_builtins_are_known(tmp_path):
    # What Python 2 writes for {'a': Ch(x=array)} with protocol 0, bookkeeping included.
    text = (
        b"(dp1\nS'a'\np2\nccopy_reg\n_reconstructor\np3\n(cchumpy.ch\nCh\np4\nc__builtin__\nobject\np5\nNtp6\nRp7\n"
        b"(dp8\nS'_dirty_vars'\np9\nc__builtin__\nset\np10\n((lp11\ntp12\nRp13\nsS'x'\np14\n"
        b"cnumpy.core.multiarray\n_reconstruct\np15\n(cnumpy\nndarray\np16\n(I0\ntp17\nS'b'\np18\ntp19\nRp20\n"
        b"(I1\n(I2\ntp21\ncnumpy\ndtype\np22\n(S'f8'\np23\nI0\nI1\ntp24\nRp25\n"
        b"(I3\nS'<'\np26\nNNNI-1\nI-1\nI0\ntp27\nbI00\n"
        b"S'\\x00\\x00\\x00\\x00\\x00\\x00\\xf8?\\x00\\x00\\x00\\x00\\x00\\x00\\x04@'\np28\ntp29\nbsbs."
    )
    (tmp_path / "a.pkl").write_bytes(text)
    np.testing.assert_array_equal(load_arrays(tmp_path / "a.pkl")["a"], [1.5, 2.5])


@pytest.mark.parametrize(
    ("harm", "name"),
    [
        (_Runs(exec, "raise SystemExit"), "exec"),
        (_Runs(eval, "1"), "eval"),
        (_Runs(print, "hello"), "print"),
        (_Runs(getattr, {}, "clear"), "getattr"),
        (_Runs(__import__, "os"), "__import__"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_runs_code_is_refused_by_name(tmp_path, capsys, harm, name, protocol):
    path = _dump(tmp_path / "a.pkl", {"v_template": harm}, protocol)
    with pytest.raises(UserError, match=name) as caught:
        load_arrays(path)
    assert "refused" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_other_classes_of_chumpy_are_refused_by_name(tmp_path):
    with _classes("chumpy.ch.Ch", "chumpy.linalg.Svd") as (_, other):
        path = _dump(tmp_path / "a.pkl", {"v_template": _instance(other, x=np.zeros(3))}, 2)
    with pytest.raises(UserError, match=r"chumpy\.linalg\.Svd"):
        load_arrays(path)


@pytest.mark.parametrize(
    ("names", "build"),
    [
        (("chumpy.ch.Ch",), lambda ch: _instance(ch)),
        (("chumpy.ch.Ch",), lambda ch: _instance(ch, x="text")),
        (("chumpy.ch.Ch",), lambda ch: _instance(ch, x=np.array([None, "a"]))),
        (("chumpy.reordering.Select",), lambda s: _instance(s, a=np.zeros(3), idxs=np.array([5]))),
        (("chumpy.reordering.Select",), lambda s: _instance(s, a=_instance(s), idxs=np.array([0]))),
        (
            ("chumpy.reordering.Select",),
            lambda s: _instance(s, a=np.zeros(3), idxs=np.array([0]), preferred_shape=(7,)),
        ),
    ],
)
def test_a_stored_array_that_is_none_names_its_key(tmp_path, names, build):
    with _classes(*names) as kinds:
        path = _dump(tmp_path / "a.pkl", {"v_template": build(*kinds)}, 2)
    with pytest.raises(UserError, match="v_template: not a stored array"):
        load_arrays(path)


def test_a_sparse_matrix_with_indices_out_of_range_is_refused(tmp_path):
    matrix = sparse.csc_matrix(np.eye(3))
    matrix.indices = matrix.indices + 5
    path = _dump(tmp_path / "a.pkl", {"J_regressor": matrix}, 2)
    with pytest.raises(UserError, match="J_regressor: not a stored array"):
        load_arrays(path)


def test_something_else_than_a_dictionary_is_refused(tmp_path):
    with pytest.raises(UserError, match="expected a dictionary of arrays, found list"):
        load_arrays(_dump(tmp_path / "a.pkl", [1, 2], 2))


GADGETS = Path(__file__).parent / "hostile" / "gadgets.py"


def test_no_gadget_gets_further_than_a_line(tmp_path):
    """340 pickles, in a process with the fault handler, little memory, and no mercy for a crash."""
    command = [sys.executable, "-X", "faulthandler", str(GADGETS), str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert len(result["said"]) > 300
    for name, lines in result["said"].items():
        for line in lines:
            assert line.startswith(str(tmp_path)), (name, line)
            assert "\n" not in line
            assert len(line) < 500, (name, line)
    assert {path.suffix for path in tmp_path.iterdir()} == {".pkl"}
    assert result["grown_kb"] < 200_000


@pytest.mark.parametrize("kind", ["<f8", ">f4", "<i2", ">u8", "?", "<c16", "S7", "<U3", ">U3", "<f2"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_arrays_of_every_type_come_back_in_the_machines_byte_order(tmp_path, kind, protocol):
    value = np.arange(60).reshape(3, 4, 5).astype(kind)
    scalar = value[1, 2, 3]
    array, number, empty = load_pickle(_write(tmp_path, (value, scalar, value[:0]), protocol), "get it again")
    np.testing.assert_array_equal(array, value)
    assert array.dtype == value.dtype.newbyteorder("=")
    assert number == scalar
    assert empty.shape == (0, 4, 5)


def test_one_array_under_two_keys_is_one_array_and_shared_bytes_are_two(tmp_path):
    one = np.arange(3000.0)
    loaded = load_pickle(_write(tmp_path, {"a": one, "b": [one]}, 2), "get it again")
    assert loaded["a"] is loaded["b"][0]
    data = pickle.dumps((one, one.reshape(50, 60)), 5)
    (tmp_path / "file.pkl").write_bytes(data)
    first, second = load_pickle(tmp_path / "file.pkl", "get it again")
    first[0] = 7
    assert second[0, 0] == 0


@given(cut=st.floats(0, 0.999), protocol=st.sampled_from([0, 2, 4]))
@settings(max_examples=40, deadline=None)
def test_a_truncated_pickle_is_one_line_wherever_it_ends(tmp_path_factory, cut, protocol):
    content = pickle.dumps(
        {"v_template": np.arange(30.0), "J": sparse.csc_matrix(np.eye(3))}, protocol=protocol
    )
    path = tmp_path_factory.mktemp("cut") / "a.pkl"
    path.write_bytes(content[: int(cut * len(content))])
    with pytest.raises(UserError) as caught:
        load_arrays(path)
    assert "\n" not in str(caught.value)


@given(content=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_end_in_one_line_or_a_dictionary(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz.pkl"
    path.write_bytes(content)
    try:
        line = str(sorted(load_arrays(path)))
    except UserError as error:
        line = str(error)
    assert "\n" not in line
