"""The exception for mistakes that users can fix, and what libraries raise when a file is damaged."""

import pickle
import struct
import tokenize
import zipfile
import zlib

DAMAGE = (
    AttributeError, EOFError, ImportError, LookupError, MemoryError, OSError, OverflowError, RuntimeError,
    TypeError, ValueError, pickle.UnpicklingError, struct.error, tokenize.TokenError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
"""What numpy, PyTorch, h5py, scipy, cdflib and pickle raise when bytes of a file are missing or wrong.

None of them promises a list. Catch it around the call that parses the file and nothing else.
"""


class UserError(Exception):
    """A mistake in a user's file, parameter or command.

    The message is one line that names the file, the key in it, and how to fix it. The command line prints it
    without a traceback and exits with status 2; every other exception is a bug and keeps its traceback.
    """


def reason_of(error: BaseException) -> str:
    """The first line of a library's error message, or the error's type if it has no message."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
