# SPDX-License-Identifier: MIT
"""A file that has only `read`, of which bytes can be put back, and the next whole chunk in it found.

Imports the standard library and the format's own modules.
"""

from __future__ import annotations

import re
from typing import BinaryIO

from .chunks import ANCILLARY, FRAMING, KNOWN, checked_payload, read_chunk_header
from .errors import FormatError

PIECE = 1 << 20  # bytes asked for at once: a length that lies takes no memory
HEAD = FRAMING - 4  # bytes of a chunk before its payload
SCAN = 1 << 16  # bytes searched at once: of a stream that is being written no more must be there
SIGN = 5  # bytes by which a beginning is told: type and flags
ENDLESS = 1 << 62
_BEGINNING = re.compile(f"(?:{'|'.join(KNOWN)})\x01|(?:{'|'.join(ANCILLARY)})\x00".encode())


class PutBackFile:
    """Reads `file` front to back; `offset` is that of the next byte. Raises OSError."""

    def __init__(self, file: BinaryIO) -> None:
        self.offset = 0
        self._file = file
        self._again, self._at = b"", 0  # bytes to be given again, from `_at` on
        self._to_spare = 1 << 26  # bytes of CRC for beginnings that may be none

    def take(self, length: int) -> bytes:
        """Up to `length` bytes; fewer only at the end."""
        pieces = [self._again[self._at : self._at + length]]
        left = length - len(pieces[0])
        self._at += len(pieces[0])
        if left:
            self._again, self._at = b"", 0
        while left and (piece := self._file.read(min(left, PIECE))):
            pieces.append(piece)
            left -= len(piece)
            self._to_spare += 16 * len(piece)
        self.offset += length - left
        return b"".join(pieces)

    def put_back(self, data: bytes) -> None:
        """Give `data`, the last bytes taken, again."""
        if len(data) <= self._at:
            self._at -= len(data)
        else:
            self._again, self._at = data + self._again[self._at :], 0
        self.offset -= len(data)

    def is_beginning(self) -> bool:
        """Whether the next bytes are what a chunk of a known type begins with, or the end."""
        sign = self.take(SIGN)
        self.put_back(sign)
        return not sign or _BEGINNING.match(sign) is not None

    def find_chunk(self, longest: int) -> bool:
        """Pass over bytes up to a whole chunk of a known type, of at most `longest` bytes of payload; False if none.

        Memory: two such chunks.
        """
        while data := self.take(SCAN):
            data += self.take(HEAD - 1)
            lengths = ((found.start(), data[found.end() : found.start() + HEAD]) for found in _BEGINNING.finditer(data))
            most = min(longest, self._to_spare)
            place = next((place for place, length in lengths if int.from_bytes(length, "little") <= most), SCAN)
            self.put_back(data[place:])
            if place < SCAN and self._is_chunk(longest):
                return True
            if place < SCAN:
                self.take(1)
        return False

    def _is_chunk(self, longest: int) -> bool:
        """Whether a whole chunk is next."""
        body = self.take(HEAD)
        try:
            chunk = read_chunk_header(body, self.offset - len(body), ENDLESS)
            if chunk.payload_length <= min(longest, self._to_spare):
                self._to_spare -= chunk.length
                body += self.take(chunk.length - HEAD)
                checked_payload(chunk, body)
                return True
        except FormatError:
            pass
        finally:
            self.put_back(body)
        return False
