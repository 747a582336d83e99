"""Hostile pickles, written operation by operation, and a program that has them read one after the other.

Run as a program it limits its memory, switches the fault handler on, reads every gadget with every reader of
pickles, and prints one line of JSON: what was said about each, seconds and the peak of memory.
"""

import faulthandler
import json
import pickle
import resource
import struct
import sys
import time
from pathlib import Path


def named(module, name):
    return f"c{module}\n{name}\n".encode()


def text(word):
    data = word.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def raw(data):
    return b"C" + bytes([len(data)]) + data


def tup(*parts):
    return b"(" + b"".join(parts) + b"t"


def num(value):
    return b"I%d\n" % value


NONE, TRUE, FALSE = b"N", b"\x88", b"\x89"
DTYPE, NDARRAY = named("numpy", "dtype"), named("numpy", "ndarray")
REBUILD = named("numpy.core.multiarray", "_reconstruct")
SCALAR = named("numpy.core.multiarray", "scalar")
BUFFER = named("numpy._core.numeric", "_frombuffer")
ENCODE = named("_codecs", "encode")
CHUMPY = named("chumpy.ch", "Ch")
SELECT = named("chumpy.reordering", "Select")


def dtype(code, order="<", flags=0, fields=(NONE, NONE, NONE), size=-1, more=b""):
    state = tup(num(3), text(order), *fields, num(size), num(-1), num(flags), more)
    return DTYPE + tup(text(code), FALSE, TRUE) + b"R" + state + b"b"


EMPTY = REBUILD + tup(NDARRAY, tup(num(0)), raw(b"b")) + b"R"


def array(shape, kind, data, fortran=FALSE, start=EMPTY):
    return start + tup(num(1), shape, kind, fortran, data) + b"b"


def made(kind, **state):
    return kind + b")\x81}(" + b"".join(text(key) + value for key, value in state.items()) + b"ub"


def sparse(form="csc", **state):
    return made(named(f"scipy.sparse.{form}", f"{form}_matrix"), **state)


EIGHT = raw(b"A" * 8)
REFERENCE = dtype("O8", "|", 0)
F8 = dtype("f8")
ONE = array(tup(num(1)), F8, raw(b"\0" * 8))
INDEX = array(tup(num(1)), dtype("i8"), raw(struct.pack("<q", 5)))
ONE_BY_ONE = tup(num(1), num(1))
POINTER = array(tup(num(2)), dtype("i8"), raw(struct.pack("<qq", 0, 1)))

FUNCTIONS = [
    ("os", "system"), ("posix", "system"), ("nt", "system"), ("subprocess", "Popen"), ("builtins", "eval"),
    ("builtins", "exec"), ("builtins", "getattr"), ("__builtin__", "file"), ("builtins", "open"),
    ("builtins", "__import__"), ("numpy", "load"), ("numpy", "fromfile"), ("numpy", "memmap"),
    ("numpy.core.multiarray", "fromfile"), ("numpy.core.multiarray", "_vec_string"),
    ("numpy.testing._private.utils", "runstring"), ("scipy.io", "loadmat"), ("torch", "load"),
    ("torch.hub", "load"), ("torch.storage", "_load_from_bytes"), ("codecs", "decode"),
    ("types", "FunctionType"), ("types", "CodeType"), ("operator", "attrgetter"), ("functools", "partial"),
    ("copyreg", "__newobj__"), ("pickle", "loads"), ("_pickle", "loads"), ("ctypes", "CDLL"),
    ("marshal", "loads"), ("importlib", "import_module"), ("pathlib", "PosixPath"), ("shutil", "rmtree"),
    ("pydoc", "pipepager"), ("timeit", "timeit"), ("runpy", "run_path"), ("pty", "spawn"),
    ("numpy", "ndarray.tofile"), ("numpy", "dtype.__class__"), ("_codecs", "encode.__self__"),
    ("chumpy.ch", "Ch.__init__"), ("spinloop.pickles", "load_pickle"), ("numpy.ma.core", "_mareconstruct"),
    ("numpy", "object_"), ("numpy.core.records", "recarray"),
]  # fmt: skip


def gadgets():
    """Name → bytes of a pickle; none of them describes an array or plain values."""
    found = {}
    for module, name in FUNCTIONS:
        call = b"\x80\x02" + named(module, name) + tup(text("touch ran")) + b"R."
        found[f"call {module}.{name}"] = call
        on_stack = b"\x80\x04}" + text("a") + text(module) + text(name) + b"\x93" + tup(text("touch ran"))
        found[f"call of the stack {module}.{name}"] = on_stack + b"\x81s."
        found[f"instance {module}.{name}"] = b"(" + text("touch ran") + f"i{module}\n{name}\n.".encode()
    values = {
        "references behind flags of numbers": SCALAR + tup(REFERENCE, EIGHT) + b"R",
        "an array of such references": array(tup(num(1)), REFERENCE, EIGHT),
        "numbers with flags of references": array(tup(num(1)), dtype("i8", flags=63), b"]" + num(5) + b"a"),
        "references, bytes in place of a list": array(tup(num(1)), dtype("O8", "|", 63), EIGHT),
        "references, wrong count": array(tup(num(2)), dtype("O8", "|", 63), b"]" + num(5) + b"a"),
        "references in two axes": array(ONE_BY_ONE, dtype("O8", "|", 63), b"]" + num(5) + b"a"),
        "a scalar of references": SCALAR + tup(dtype("O8", "|", 63), EIGHT) + b"R",
        "fields": array(tup(num(1)), dtype("V8", "|", 0, (NONE, tup(text("a")), b"}")), EIGHT),
        "fields of numbers": array(tup(num(1)), dtype("f8", "<", 0, (NONE, tup(text("a")), b"}")), EIGHT),
        "a type in the type": array(
            tup(num(1)), dtype("f8", "<", 0, (tup(F8, tup(num(9))), NONE, NONE)), EIGHT
        ),
        "a void": array(tup(num(1)), dtype("V8", "|"), EIGHT),
        "a date": array(tup(num(1)), dtype("M8", "<", 0, more=b"}"), EIGHT),
        "a size other than the code's": array(tup(num(1)), dtype("f8", size=1 << 40), EIGHT),
        "text of another size": array(tup(num(1)), dtype("S8", "|", size=1 << 30), EIGHT),
        "a code of several types": array(tup(num(1)), dtype("f8,O8"), EIGHT),
        "a code that repeats": array(tup(num(1)), dtype("1000000000f8"), EIGHT),
        "a code of an object": array(tup(num(1)), DTYPE + tup(NDARRAY, FALSE, TRUE) + b"R", EIGHT),
        "an order that is none": array(tup(num(1)), dtype("f8", "?"), EIGHT),
        "two states": array(tup(num(1)), F8 + tup(num(3)) + b"b", EIGHT),
        "a type alone": F8,
        "the class of arrays": NDARRAY,
        "the class of types called": DTYPE + tup(text("f8")) + b"R",
        "an array called": NDARRAY + tup(tup(num(1 << 30))) + b"R",
        "an array of another class": array(
            tup(num(1)), F8, EIGHT, start=REBUILD + tup(DTYPE, tup(num(0)), raw(b"b")) + b"R"
        ),
        "no state": REBUILD + tup(NDARRAY, tup(num(1 << 40)), raw(b"b")) + b"R",
        "a negative side": array(tup(num(-1)), F8, EIGHT),
        "a side beyond all memory": array(tup(num(10**30)), F8, EIGHT),
        "sides whose product is small again": array(tup(num(1 << 32), num(1 << 32)), F8, EIGHT),
        "sides that are truths": array(tup(TRUE), F8, EIGHT),
        "sides that are words": array(tup(text("1")), F8, EIGHT),
        "sides that are a number": array(num(1), F8, EIGHT),
        "entries without bytes": array(tup(num(1 << 39)), dtype("S0", "|"), raw(b"")),
        "fewer bytes than entries": array(tup(num(1000)), F8, EIGHT),
        "numbers in place of bytes": array(tup(num(1)), F8, num(8)),
        "truths other than 0 and 1": array(tup(num(2)), dtype("b1", "|"), raw(b"\x07\x01")),
        "letters beyond Unicode": array(tup(num(1)), dtype("U2"), raw(b"\xff" * 8)),
        "a scalar of too few bytes": SCALAR + tup(F8, raw(b"A")) + b"R",
        "a scalar of a number": SCALAR + tup(F8, num(1)) + b"R",
        "a scalar without a type": SCALAR + tup(text("O"), EIGHT) + b"R",
        "a buffer larger than its bytes": BUFFER + tup(EIGHT, F8, tup(num(1 << 33)), text("C")) + b"R",
        "a buffer of references": BUFFER + tup(EIGHT, REFERENCE, tup(num(1)), text("C")) + b"R",
        "another codec": ENCODE + tup(text("aa"), text("hex")) + b"R",
        "a codec for a number": ENCODE + tup(num(3), text("latin1")) + b"R",
        "letters beyond the codec": ENCODE + tup(text("δ"), text("latin1")) + b"R",
        "state of a list": b"]}b",
        "state of a dictionary": b"}}b",
        "state of a word": text("a") + b"}b",
        "state of a function": ENCODE + b"}" + text("_call") + NDARRAY + b"sb",
        "state of a class": CHUMPY + b"}" + text("array") + NONE + b"sb",
        "slots of a class": NDARRAY + tup(NONE, b"}" + text("__class__") + NONE + b"s") + b"b",
        "a call of a list": b"]" + tup() + b"R",
        "a call of a word": text("a") + tup() + b"\x81",
        "arguments that are a list": ENCODE + b"]R",
        "arguments by name": CHUMPY + b")}" + text("x") + num(1) + b"s\x92",
        "a key that is a list": b"}]Ns",
        "a key whose hash takes for ever": b"})" + b"2\x86" * 60 + b"Ns",
        "appending to a word": text("a") + b"Na",
        "appending to an array": ONE + b"Na",
        "setting a key of a list": b"]" + text("a") + b"Ns",
        "a persistent name": b"Pos.system\n",
        "a persistent object": text("a") + b"Q",
        "an extension": b"\x82\x01",
        "a buffer out of the file": b"\x97\x98",
        "a protocol to come": b"\x80\xc8N",
        "a memo of billions": ENCODE + b"r\xff\xff\xff\x7f0j\xff\xff\xff\x7f",
        "an entry of the memo that is absent": b"h\x07",
        "an entry of the memo below zero": b"Np-5\n",
        "a mark in the memo": b"(q\x00h\x00",
        "bytes without end": b"B\xff\xff\xff\x7fa",
        "bytes beyond all memory": b"\x8e" + struct.pack("<Q", 1 << 62) + b"a",
        "a buffer beyond all memory": b"\x96" + struct.pack("<Q", 1 << 62) + b"a",
        "a word beyond all memory": b"\x8d" + struct.pack("<Q", 1 << 62) + b"a",
        "a word of negative length": b"T\xff\xff\xff\xffa",
        "a number of 2³¹ bytes": b"\x8b\xff\xff\xff\x7fa",
        "a number of negative length": b"\x8b\xff\xff\xff\xffa",
        "a number of 5,000 digits": b"L" + b"9" * 5000 + b"L\n",
        "a number of 4,000 bytes": b"\x8b" + struct.pack("<i", 4000) + b"\x7f" * 4000,
        "half of a pair of letters": b"X\x03\x00\x00\x00\xed\xa0\x80",
        "laughs, a billion": b"]" + b"".join(b"q%c]" % i + b"(" + b"h%c" % i * 10 + b"e" for i in range(30)),
        "laughs in tuples": b")" + b"2\x86" * 60,
        "a list in itself": b"]q\x00h\x00a",
        "a dictionary in itself": b"}q\x00" + text("a") + b"h\x00s",
        "a hundred thousand lists": b"]" * 100_000 + b"a" * 99_999,
        "a hundred thousand tuples": b")" + b"\x85" * 100_000,
        "twenty thousand arrays, each in the next": ONE
        + (b"q\x000" + CHUMPY + b")\x81}" + text("x") + b"h\x00sb") * 20_000,
        "a body in itself": CHUMPY + b")\x81q\x00}" + text("x") + b"h\x00sb",
        "a selection of itself": SELECT + b")\x81q\x00}(" + text("a") + b"h\x00" + text("idxs") + INDEX + b"ub",
        "a selection outside": made(SELECT, a=ONE, idxs=INDEX),
        "a selection that is cut": made(SELECT, a=ONE, idxs=POINTER, preferred_shape=tup(num(7))),
        "an array that is a word": made(CHUMPY, x=text("a")),
        "an array without a state": CHUMPY + b")\x81",
        "a state that is a list": CHUMPY + b")\x81]b",
        "an object of no class": named("copy_reg", "_reconstructor")
        + tup(NDARRAY, named("__builtin__", "object"), NONE) + b"R",
        "an object of a state": named("copy_reg", "_reconstructor")
        + tup(CHUMPY, named("__builtin__", "object"), tup()) + b"R",
        "a matrix with indices outside": sparse(_shape=ONE_BY_ONE, data=ONE, indices=INDEX, indptr=POINTER),
        "a matrix of 10¹⁴ entries": sparse(
            _shape=tup(num(10**7), num(10**7)), data=ONE, indices=INDEX, indptr=POINTER
        ),
        "a list of entries outside": sparse("coo", _shape=tup(num(2), num(2)), data=ONE, row=INDEX, col=INDEX),
        "a matrix with fractions as indices": sparse(
            _shape=ONE_BY_ONE, data=ONE, indices=ONE, indptr=POINTER
        ),
        "a matrix of words": sparse(_shape=ONE_BY_ONE, data=text("a"), indices=INDEX, indptr=POINTER),
        "a matrix without a shape": sparse(data=ONE, indices=INDEX, indptr=POINTER),
    }  # fmt: skip
    for name, value in values.items():
        found[name] = value + b"."
        found[f"{name}, under a key"] = b"}" + text("v_template") + value + b"s."
    found["nothing"] = b""
    found["an end without a value"] = b"."
    found["two values"] = b"NN."
    found["an end without a sequence"] = b"Nt."
    # A mapping that is a plain pickle, cut in the middle of an array.
    found["cut"] = pickle.dumps({"a": list(range(999))}, 2)[:-9]
    return found


def main(folder: Path) -> None:
    faulthandler.enable()
    from spinloop.errors import UserError
    from spinloop.files.pickles import load_arrays, load_pickle

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    limit = 3 << 30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    said, slowest = {}, 0.0
    for number, (name, data) in enumerate(gadgets().items()):
        path = folder / f"{number}.pkl"
        path.write_bytes(data)
        print(name, file=sys.stderr, flush=True)
        for read in (load_arrays, lambda path: load_pickle(path, "get it again")):
            start = time.monotonic()
            try:
                outcome = f"read {str(read(path))[:60]}"
            except UserError as error:
                outcome = str(error)
            slowest = max(slowest, time.monotonic() - start)
            said.setdefault(name, []).append(outcome)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    print(json.dumps({"said": said, "seconds": slowest, "grown_kb": grown}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
