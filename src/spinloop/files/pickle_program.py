"""Running the program that a pickle is, without calling or importing anything that it names.

A pickle builds a value with a stack, a memo and about sixty operations. Here the operations make plain values
and the records of this module: a `Name` where the pickle names a function or class, a `Made` where it calls
one or sets a state, a `Stored` for PyTorch's storages, a `Blob` for long bytes. They do nothing and are not
hashed. What they mean is decided afterwards, by who knows which values to expect.

No operation takes more bytes than are left in the file.
"""

import codecs
import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_LONG = 1024
"""Bytes from which on they become a `Blob`."""
_MAX_NUMBER_BYTES = 64
_MAX_LINE = 1 << 28
_MAX_OPERATIONS = 20_000_000


class PickleFault(ValueError):
    """Why a pickle is not read."""


class UnknownName(PickleFault):
    """The pickle names something that it may not."""


@dataclass(slots=True, eq=False, frozen=True)
class Name:
    """A function or class, by name only."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Made:
    """What a function or class would have been called with, and the state that was then set."""

    maker: Any
    arguments: Any
    state: Any = None
    items: list[tuple[Any, Any]] = field(default_factory=list)
    """Keys and values that were set (of an `OrderedDict`)."""


@dataclass(slots=True, eq=False, frozen=True)
class Stored:
    """Something that lies outside the pickle, by what the pickle calls it."""

    identity: Any


@dataclass(slots=True, eq=False)
class Blob:
    """Long bytes, or a long word of Python 2, as an array that nobody else holds."""

    data: np.ndarray
    is_text: bool
    is_taken: bool = False
    """Whether an array lies on the memory already."""


def run_program(
    stream: io.BufferedIOBase, size: int, is_known: Callable[[str, str], bool]
) -> tuple[Any, list[Any]]:
    """Run one pickle.

    Args:
        stream: stands at the first byte of the pickle, afterwards behind its last one.
        size: bytes of the whole file.
        is_known: whether the pickle may name this module and name.

    Returns:
        What it built, and the identities of all `Stored`. Words of Python 2 are decoded as Latin-1.

    Raises:
        UnknownName: it names something else.
        PickleFault: it ends too early, is none, or does what no pickle of plain values does.
    """
    machine = _Machine(stream, size, is_known)
    try:
        return machine.run(), [stored.identity for stored in machine.stored]
    except (IndexError, KeyError):
        raise PickleFault("an operation lacks what it works on") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise error if isinstance(error, PickleFault) else PickleFault(str(error)) from None


_MARK = object()
"""Stands on the stack where a sequence begins."""


class _Machine:
    def __init__(self, stream: io.BufferedIOBase, size: int, is_known: Callable[[str, str], bool]) -> None:
        self.stream, self.size, self.is_known = stream, size, is_known
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.stored: list[Stored] = []

    def run(self) -> Any:
        read, operations = self.stream.read, _OPERATIONS
        for _ in range(_MAX_OPERATIONS):
            code = read(1)
            if code == b".":
                if len(self.stack) != 1:
                    raise PickleFault("it ends with several values, or none")
                return self.pop()
            operation = operations.get(code)
            if operation is None:
                raise PickleFault(
                    f"{code!r} is no operation of a plain pickle" if code else "it ends too early"
                )
            operation(self)
        raise PickleFault(f"more than {_MAX_OPERATIONS} values")

    def take(self, count: int) -> bytes:
        is_there = count <= _LONG or count <= self.size - self.stream.tell()
        data = self.stream.read(count) if is_there else b""
        if len(data) != count:
            raise PickleFault("it ends too early")
        return data

    def line(self) -> bytes:
        data = self.stream.readline(_MAX_LINE)
        if not data.endswith(b"\n"):
            raise PickleFault("it ends too early")
        return data[:-1]

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise PickleFault("an operation lacks what it works on")
        return value

    def store(self, identity: Any) -> None:
        self.stored.append(Stored(identity))
        self.push(self.stored[-1])

    def since_mark(self) -> list[Any]:
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is _MARK:
                values = self.stack[index + 1 :]
                del self.stack[index:]
                return values
        raise PickleFault("a sequence has no beginning")

    def long_bytes(self, form: str, is_text: bool = False) -> None:
        count = self.number(form)
        if count < 0:
            raise PickleFault("a negative length")
        if count < _LONG:
            data = self.take(count)
            self.push(data.decode("latin1") if is_text else data)
            return
        is_there = count <= self.size - self.stream.tell()
        array = np.empty(count if is_there else 0, np.uint8)
        if self.stream.readinto(array.data) != count:
            raise PickleFault("it ends too early")
        self.push(Blob(array, is_text))

    def word(self, form: str) -> None:
        count = self.number(form)
        self.push(self.take(count).decode("utf-8"))

    def quoted(self) -> None:
        text = self.line().strip()
        if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b'"', b"'"):
            raise PickleFault("a word without quotation marks")
        self.push(codecs.escape_decode(text[1:-1])[0].decode("latin1"))  # pyright: ignore

    def decimal(self) -> None:
        text = self.line()
        self.push(text == b"01" if text in (b"00", b"01") else _whole(text))

    def binary_number(self, form: str) -> None:
        count = self.number(form)
        if not 0 <= count <= _MAX_NUMBER_BYTES:
            raise PickleFault("a number of too many digits")
        self.push(int.from_bytes(self.take(count), "little", signed=True))

    def named(self, module: Any, name: Any) -> Name:
        if not isinstance(module, str) or not isinstance(name, str):
            raise PickleFault("a name that is no word")
        if not self.is_known(module, name):
            raise UnknownName(f"{module}.{name}"[:200])
        return Name(module, name)

    def name_of_lines(self) -> Name:
        return self.named(self.line().decode("utf-8"), self.line().decode("utf-8"))

    def name_of_stack(self) -> Name:
        name, module = self.pop(), self.pop()
        return self.named(module, name)

    def object(self) -> None:
        kind, *arguments = self.since_mark()
        self.push(_made(kind, tuple(arguments)))

    def reduce(self) -> None:
        arguments, maker = self.pop(), self.pop()
        self.push(_made(maker, arguments))

    def new_with_keywords(self) -> None:
        keywords, arguments, maker = self.pop(), self.pop(), self.pop()
        if keywords:
            raise PickleFault("an object with keywords")
        self.push(_made(maker, arguments))

    def build(self) -> None:
        state, target = self.pop(), self.stack[-1]
        if not isinstance(target, Made):
            raise PickleFault("it sets the state of something that it did not make")
        if target.state is not None:
            raise PickleFault("it sets a state twice")
        target.state = state

    def append(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise PickleFault("it appends to something that is no list")
        target.extend(values)

    def set_items(self, values: list[Any]) -> None:
        target, pairs = self.stack[-1], list(zip(values[::2], values[1::2], strict=True))
        if isinstance(target, Made):
            target.items.extend((_key(key), value) for key, value in pairs)
        elif type(target) is dict:
            target.update((_key(key), value) for key, value in pairs)
        else:
            raise PickleFault("it sets a key of something that is no dictionary")

    def dictionary(self) -> None:
        values = self.since_mark()
        self.push({})
        self.set_items(values)

    def tuple_of(self, count: int) -> None:
        self.push(tuple([self.pop() for _ in range(count)][::-1]))

    def put(self, index: int) -> None:
        if self.stack[-1] is _MARK or index < 0:
            raise PickleFault("a faulty entry of the memo")
        self.memo[index] = self.stack[-1]


def _made(maker: Any, arguments: Any) -> Made:
    if not isinstance(maker, Name) or not isinstance(arguments, tuple):
        raise PickleFault("it calls something that is no function")
    return Made(maker, arguments)


def _key(key: Any) -> Any:
    """A key whose hash is quick and cannot be chosen to collide with many others."""
    if isinstance(key, str | bytes) or key is None or (isinstance(key, int) and abs(key) < 2**31):
        return key
    raise PickleFault("a key of a dictionary that is neither a word nor a short number")


def _whole(text: bytes) -> int:
    if len(text) > 2 * _MAX_NUMBER_BYTES:
        raise PickleFault("a number of too many digits")
    return int(text)


_OPERATIONS: dict[bytes, Callable[[_Machine], object]] = {
    b"\x80": lambda m: _check_protocol(m.number("<B")),
    b"\x95": lambda m: m.number("<Q"),  # frames only say how much to read ahead
    b"(": lambda m: m.push(_MARK),
    b"0": lambda m: m.stack.pop(),
    b"1": _Machine.since_mark,
    b"2": lambda m: m.stack.append(m.stack[-1]),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": _Machine.decimal,
    b"L": lambda m: m.push(_whole(m.line().rstrip(b"L"))),
    b"J": lambda m: m.push(m.number("<i")),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"\x8a": lambda m: m.binary_number("<B"),
    b"\x8b": lambda m: m.binary_number("<i"),
    b"F": lambda m: m.push(float(m.line())),
    b"G": lambda m: m.push(m.number(">d")),
    b"S": _Machine.quoted,
    b"T": lambda m: m.long_bytes("<i", is_text=True),
    b"U": lambda m: m.long_bytes("<B", is_text=True),
    b"B": lambda m: m.long_bytes("<I"),
    b"C": lambda m: m.long_bytes("<B"),
    b"\x8e": lambda m: m.long_bytes("<Q"),
    b"\x96": lambda m: m.long_bytes("<Q"),
    b"V": lambda m: m.push(m.line().decode("raw-unicode-escape")),
    b"X": lambda m: m.word("<I"),
    b"\x8c": lambda m: m.word("<B"),
    b"\x8d": lambda m: m.word("<Q"),
    b"c": lambda m: m.push(m.name_of_lines()),
    b"\x93": lambda m: m.push(m.name_of_stack()),
    b"i": lambda m: m.push(Made(m.name_of_lines(), tuple(m.since_mark()))),
    b"o": _Machine.object,
    b"R": _Machine.reduce,
    b"\x81": _Machine.reduce,
    b"\x92": _Machine.new_with_keywords,
    b"b": _Machine.build,
    b"P": lambda m: m.store(m.line().decode("ascii")),
    b"Q": lambda m: m.store(m.pop()),
    b"]": lambda m: m.push([]),
    b"l": lambda m: m.push(m.since_mark()),
    b"a": lambda m: m.append([m.pop()]),
    b"e": lambda m: m.append(m.since_mark()),
    b")": lambda m: m.push(()),
    b"t": lambda m: m.push(tuple(m.since_mark())),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"}": lambda m: m.push({}),
    b"d": _Machine.dictionary,
    b"s": lambda m: m.set_items([m.pop(), m.pop()][::-1]),
    b"u": lambda m: m.set_items(m.since_mark()),
    b"\x8f": lambda m: m.push([]),  # the elements of a set, in the order of the file
    b"\x90": lambda m: m.append(m.since_mark()),
    b"\x91": lambda m: m.push(m.since_mark()),
    b"p": lambda m: m.put(_whole(m.line())),
    b"q": lambda m: m.put(m.number("<B")),
    b"r": lambda m: m.put(m.number("<I")),
    b"\x94": lambda m: m.put(len(m.memo)),
    b"g": lambda m: m.push(m.memo[_whole(m.line())]),
    b"h": lambda m: m.push(m.memo[m.number("<B")]),
    b"j": lambda m: m.push(m.memo[m.number("<I")]),
}


def _check_protocol(number: int) -> None:
    if number > 5:
        raise PickleFault(f"protocol {number}, which no Python writes")
