"""Writing files whole, and reading those that nobody vouches for (`files.gate`)."""

from spinloop.files.arrays import read_npy, read_npz
from spinloop.files.gate import parsing, reading, require_file, require_folder
from spinloop.files.text import read_json, read_text, read_yaml
from spinloop.files.weights import read_weights
from spinloop.files.writing import (
    atomic,
    output,
    sha256_of,
    sha256_of_files,
    write_json,
)

__all__ = [
    "atomic",
    "output",
    "parsing",
    "read_json",
    "read_npy",
    "read_npz",
    "read_text",
    "read_weights",
    "read_yaml",
    "reading",
    "require_file",
    "require_folder",
    "sha256_of",
    "sha256_of_files",
    "write_json",
]
