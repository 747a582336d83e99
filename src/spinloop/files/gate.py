"""The gate for files that nobody vouches for: what a path may be, what a file may claim, one line for faults.

Every reader of a user's file opens it inside `reading`. No reader catches exceptions of the library that it
uses, because no library promises which ones a damaged file raises.
"""

import errno
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spinloop.errors import UserError, reason_of

# Of the disk or the user's rights, not of what is in the file: to remake the file would not help.
_DISK_ERRORS = {errno.EACCES, errno.EIO, errno.ENOTCONN, errno.EPERM, errno.ESTALE, errno.ETIMEDOUT}
_CLAIM_SLACK, _CLAIM_RATIO = 1 << 27, 100


def require_file(path: Path, fix: str) -> Path:
    """Return `path` if it is a regular file.

    Args:
        path: the file that is needed.
        fix: what the user should do, e.g. "run `spinloop prepare_body` first".

    Raises:
        UserError: there is no such file, or it is a folder, a pipe, a device, or a loop of links.
    """
    kind = _kind_of(path)
    if kind is None:
        raise UserError(f"{path}: no such file; {fix}")
    if kind != "a file":
        raise UserError(f"{path}: {kind}, not a file; {fix}")
    return path


def require_folder(path: Path, fix: str) -> Path:
    """Return `path` if it is a folder.

    Raises:
        UserError: there is no such folder, or it is something else.
    """
    kind = _kind_of(path)
    if kind is None:
        raise UserError(f"{path}: no such folder; {fix}")
    if kind != "a folder":
        raise UserError(f"{path}: {kind}, not a folder; {fix}")
    return path


def _kind_of(path: Path) -> str | None:
    """What lies at a path, links followed; None if there is nothing."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "a loop of links"
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            return None
        raise
    except ValueError:  # a byte that no name can have
        return None
    kinds = {
        stat.S_IFREG: "a file",
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
    }
    return kinds.get(stat.S_IFMT(mode), "a device")


@contextmanager
def reading(path: Path, kind: str, fix: str) -> Iterator[None]:
    """Report that a file is absent or damaged as one line; the block parses the file and does nothing else.

    Args:
        path: the file.
        kind: what it should be: "a file of predictions", "a readable npz".
        fix: what the user should do.

    Raises:
        UserError: there is no such file, or the block raises anything. Errors of the disk keep their own
            type.
    """
    require_file(path, fix)
    with parsing(str(path), kind, fix):
        yield


@contextmanager
def parsing(where: str, kind: str, fix: str) -> Iterator[None]:
    """As `reading`, for a part of a file that is open, or for bytes out of one.

    Args:
        where: file and key.
        kind: what it should be.
        fix: what the user should do.

    Raises:
        UserError: the block raises anything but an error of the disk.
    """
    try:
        yield
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"{where}: not {kind} (it claims more than this machine's memory); {fix}") from None
    except RecursionError:
        raise UserError(f"{where}: not {kind} (nested too deep); {fix}") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            raise
        raise UserError(f"{where}: not {kind} ({reason_of(error)}); {fix}") from None


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """End a block of Python that follows what a file says in circles.

    Only in the main thread of a process; elsewhere nothing is limited.

    Raises:
        TimeoutError: the block took longer.
    """

    def stop(*_: object) -> None:
        raise TimeoutError("what it says leads in circles")

    if threading.current_thread() is not threading.main_thread() or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def may_hold(size: int, claimed: int) -> bool:
    """Whether a file may hold so many bytes of content, packed or not.

    Args:
        size: bytes of the file.
        claimed: bytes of content that it announces.
    """
    return 0 <= claimed <= _CLAIM_SLACK + _CLAIM_RATIO * size
