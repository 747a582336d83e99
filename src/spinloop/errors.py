"""The exception for mistakes that users can fix, and what libraries raise when a file is damaged."""

import pickle
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Sequence

DAMAGE = (
    AttributeError, EOFError, ImportError, LookupError, MemoryError, OSError, OverflowError, RuntimeError,
    TypeError, ValueError, pickle.UnpicklingError, struct.error, tokenize.TokenError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
"""What numpy, PyTorch, h5py, scipy, cdflib and pickle raise when bytes of a file are missing or wrong.

None of them promises a list. Catch it around the call that parses the file and nothing else.
"""


_MAX_MESSAGE = 1000


class UserError(Exception):
    """A mistake in a user's file, parameter or command.

    The message is one line that names the file, the key in it, and how to fix it. The command line prints it
    without a traceback and exits with status 2; every other exception is a bug and keeps its traceback.
    """

    def __init__(self, message: str) -> None:
        """Keep the beginning and the end of a message that quotes a whole file."""
        is_long = len(message) > _MAX_MESSAGE
        super().__init__(f"{message[:700]} … {message[-250:]}" if is_long else message)


def shape_fault(found: Sequence[int], wanted: Sequence[int | None], free: str = "frames") -> str | None:
    """What is wrong with an array's shape, for a message; None if nothing is.

    Args:
        found: the array's shape.
        wanted: what it must be; None for an axis of any length.
        free: what is counted along such an axis.
    """
    if len(found) == len(wanted) and all(
        want in (None, got) for want, got in zip(wanted, found, strict=True)
    ):
        return None
    expected = " × ".join(free if side is None else str(side) for side in wanted)
    return f"expected {expected}, found {' × '.join(map(str, found)) or 'a single value'}"


def reason_of(error: BaseException) -> str:
    """The first line of a library's error message, or the error's type if it has no message."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
