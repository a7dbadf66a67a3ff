"""Bytes on their way in that may be many: in memory as long as they are few, then in a file without a name.

Used for listings, which have no pages: a million ids are one answer of tens of megabytes. Made by client.py, filled by transport.py,
read by listing.py as often as wanted.
"""

import os
import tempfile
import weakref

MEMORY_BYTES = 256 * 1024


class Spool:
    """Appended to, and read in any part. OSError when the file cannot take more; it is gone with the object."""

    def __init__(self) -> None:
        self._memory: bytearray | None = bytearray()
        self._file = -1
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def extend(self, data: bytes | bytearray) -> None:
        """Append."""
        self._size += len(data)
        if self._memory is not None:
            self._memory += data
            if len(self._memory) <= MEMORY_BYTES:
                return
            data, self._memory = self._memory, None
            self._file = _unnamed()
            weakref.finalize(self, os.close, self._file)
        while data:
            data = data[os.write(self._file, data) :]

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` on; b"" at the end."""
        if self._memory is not None:
            return bytes(self._memory[offset : offset + size])
        return os.pread(self._file, size, offset)


def _unnamed() -> int:
    with tempfile.TemporaryFile(prefix="email-processor-", buffering=0) as file:
        return os.dup(file.fileno())
