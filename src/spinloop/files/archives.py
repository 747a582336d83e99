"""Zip archives, which npz files and PyTorch's files are, read within bounds that their size sets."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from spinloop.files.gate import may_hold

_LOCAL = struct.Struct("<4s22x2H")
_SIGNATURE = b"PK\x03\x04"
_IS_ENCRYPTED = 1


class Archive:
    """The members of an open archive; names that occur twice are refused."""

    def __init__(self, stream: io.BufferedIOBase, size: int, has_sums: bool = True) -> None:
        """Read the table of members.

        Args:
            stream: the archive.
            size: its bytes.
            has_sums: whether the members' check sums are compared; PyTorch's are not, as PyTorch does not.

        Raises:
            ValueError: a name occurs twice. Anything that `zipfile` raises: it is no archive.
        """
        self._stream, self._size, self._has_sums, self._read = stream, size, has_sums, 0
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
        self._members = {member.filename: member for member in members}
        if len(self._members) != len(members):
            raise ValueError("two members of one name")
        self.names = list(self._members)

    def read(self, name: str) -> np.ndarray:
        """The bytes of a member as uint8, in memory of their own.

        Raises:
            ValueError: the member is not where the table says, is damaged, or all that was read until now
                is more than an archive of this size may hold.
            KeyError: there is no such member.
        """
        member = self._members[name]
        count, packed = member.file_size, member.compress_size
        self._read += count
        if not may_hold(self._size, self._read) or packed > self._size:
            raise ValueError(f"its members claim {self._read} bytes or more")
        if member.flag_bits & _IS_ENCRYPTED:
            raise ValueError("encrypted")
        self._stream.seek(member.header_offset)
        signature, *lengths = _LOCAL.unpack(self._stream.read(_LOCAL.size))
        if signature != _SIGNATURE:
            raise ValueError(f"{name} is not where the archive says")
        self._stream.seek(sum(lengths), 1)
        if member.compress_type == zipfile.ZIP_STORED:
            data = np.empty(count, np.uint8)
            n_read = self._stream.readinto(data.data)
        elif member.compress_type == zipfile.ZIP_DEFLATED:
            unpacked = zlib.decompressobj(-zlib.MAX_WBITS).decompress(self._stream.read(packed), count or 1)
            n_read, data = len(unpacked), np.frombuffer(bytearray(unpacked), np.uint8)
        else:
            raise ValueError(f"{name} is packed by a method that is not read")
        if n_read != count or (self._has_sums and zlib.crc32(data.data) != member.CRC):
            raise ValueError(f"{name} is cut or damaged")
        return data


def is_archive(path: Path) -> bool:
    """Whether a file begins as zip archives do."""
    with path.open("rb") as stream:
        return stream.read(len(_SIGNATURE)) == _SIGNATURE
