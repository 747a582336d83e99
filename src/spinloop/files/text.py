"""Text, JSON and YAML of files that nobody vouches for: strict UTF-8, bounded depth and size."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent

from spinloop.errors import UserError
from spinloop.files.gate import may_hold, reading

_MARKS = {b"\xef\xbb\xbf": "a byte order mark", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_HALF = re.compile(r"\\u[dD][89abAB]")
_MAX_YAML_BYTES, _MAX_YAML_DEPTH, _MAX_YAML_NODES = 1 << 20, 40, 100_000


def read_text(path: Path, fix: str) -> str:
    """The text of a file in UTF-8, unpacked if its name ends in `.gz`.

    Args:
        path: the file.
        fix: what the user should do if it is absent or damaged.

    Raises:
        UserError: the file is absent, in another encoding (line and byte are named), or unpacks to far more
            than its size allows.
    """
    with reading(path, "readable", fix):
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = _unpacked(path)
    mark = next((name for start, name in _MARKS.items() if content.startswith(start)), None)
    if mark:
        raise UserError(f"{path}: it begins with {mark}; save it as UTF-8 without a byte order mark")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}: line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from None


def _unpacked(path: Path) -> bytes:
    size = path.stat().st_size
    with gzip.open(path) as stream:
        content = bytearray()
        while chunk := stream.read(1 << 20):
            content += chunk
            if not may_hold(size, len(content)):
                raise ValueError("it unpacks to far more than its size allows")
    return bytes(content)


def read_json(path: Path, keep: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """Parse a JSON file.

    Args:
        path: the file.
        keep: given each object as it is parsed, returns what stands for it; lets a large file be read
            without the parts that are not needed.

    Raises:
        UserError: the file is absent, or is not JSON; the line and column of the fault are named.
    """
    text = read_text(path, "check the path")
    with reading(path, "valid JSON", "restore or remake the file"):
        try:
            value = json.loads(text, object_hook=keep)
        except ValueError as error:
            if "integer string" in str(error):
                raise ValueError("a number of thousands of digits") from None
            raise
        if "\\u0000" in text:
            raise ValueError("a word with the letter 0")
        if "\\u" in text and _HALF.search(text):
            # Half a pair of letters cannot be written, nor be in the name of a file.
            json.dumps(value, ensure_ascii=False).encode()
    return value


def read_yaml(path: Path, fix: str) -> Any:
    """Parse YAML 1.2, as DVC does (`5e-5` is a number).

    Args:
        path: the file, 1 MiB at most.
        fix: what the user should do if it is absent.

    Raises:
        UserError: the file is absent, is no plain YAML, or its aliases multiply it.
    """
    text = read_text(path, fix)
    with reading(path, "valid YAML", "fix it"):
        try:
            _check_yaml(text)
            return YAML(typ="safe").load(text)
        except MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else "?"
            raise UserError(f"{path}: line {line}: not valid YAML ({error.problem}); fix it") from None
        except YAMLError as error:
            raise ValueError(" ".join(str(error).split())) from None


def _check_yaml(text: str) -> None:
    """Count the values as if every alias were written out, before anything is built."""
    if len(text) > _MAX_YAML_BYTES:
        raise ValueError("more than 1 MiB")
    sizes: dict[str, int] = {}
    counts: list[int] = [0]
    anchors: list[str | None] = [None]
    for event in YAML(typ="safe").parse(text):
        if isinstance(event, AliasEvent):
            if event.anchor in anchors:
                raise ValueError("a value that holds itself")
            counts[-1] += sizes.get(str(event.anchor), 0)
        elif isinstance(event, ScalarEvent):
            counts[-1] += 1
            if event.anchor:
                sizes[str(event.anchor)] = 1
        elif isinstance(event, CollectionStartEvent):
            counts.append(1)
            anchors.append(event.anchor)
            if len(counts) > _MAX_YAML_DEPTH:
                raise ValueError("nested too deep")
        elif isinstance(event, CollectionEndEvent):
            count, anchor = counts.pop(), anchors.pop()
            counts[-1] += count
            if anchor:
                sizes[str(anchor)] = count
        if counts[-1] > _MAX_YAML_NODES:
            raise ValueError("its aliases multiply it")
