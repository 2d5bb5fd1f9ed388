"""Uploads by HTML form: a multipart/form-data body, parsed as it arrives.

A `FormReader` gives the fields that stand before the file in one event, then the file's bytes in pieces, then the
end; what follows the file is skipped, as S3 does. Any split of the input gives the same fields and file. Buffered are
at most `PRE_DATA_BYTES_MAX` before the file, then one delimiter's length.

Source: RFC 7578; S3 API reference, "POST Object".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from s4gw.s3.errors import InvalidArgument, MalformedPOSTRequest, MaxPostPreDataLengthExceededError

Buffer = bytes | bytearray | memoryview

PRE_DATA_BYTES_MAX: Final = 20 * 1024
"""Of all fields before the file with their headers. Source: S3's POST Object page."""
FIELDS_MAX: Final = 256
BOUNDARY_BYTES_MAX: Final = 256
"""RFC 2046 allows 70; some clients take more."""
FILENAME: Final = "${filename}"

_BOUNDARY: Final = re.compile(r"(?:^|;)\s*boundary\s*=\s*(?:\"([^\"]+)\"|([^\s;\"]+))", re.IGNORECASE)
_PARAMETER: Final = re.compile(rb";\s*([A-Za-z0-9*]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;\"]*))")
_ESCAPED: Final = re.compile(r"\\([\"\\])")


@dataclass(frozen=True, slots=True)
class Fields:
    """All fields before the file: lower-case name -> value; the first of a name wins.

    ``${filename}`` is already replaced.
    """

    values: Mapping[str, str]
    filename: str
    """Last component of the file's name on the client; "" when it gave none."""


@dataclass(frozen=True, slots=True)
class FileData:
    """Next bytes of the file, never empty."""

    data: bytes


class Signal(Enum):
    """Events without content."""

    NEED_DATA = auto()
    END = auto()


FormEvent = Fields | FileData | Signal


class _State(Enum):
    PREAMBLE = auto()
    AFTER_DELIMITER = auto()
    HEADERS = auto()
    VALUE = auto()
    FILE = auto()
    END = auto()


class FormReader:
    """Parser of one form.

    Args:
        content_type: The request's Content-Type, which names the boundary.

    Raises: MalformedPOSTRequest, when it is not multipart/form-data with a boundary.
    """

    def __init__(self, content_type: str) -> None:
        kind, _, parameters = content_type.partition(";")
        found = _BOUNDARY.search(";" + parameters)
        boundary = (found[1] or found[2] or "") if found else ""
        if kind.strip().lower() != "multipart/form-data" or not 1 <= len(boundary) <= BOUNDARY_BYTES_MAX:
            raise MalformedPOSTRequest
        try:
            self._delimiter = b"\r\n--" + boundary.encode("latin-1")
        except UnicodeEncodeError as broken:
            raise MalformedPOSTRequest from broken
        self._buffer = bytearray(b"\r\n")  # so that a delimiter on the first line looks like the others
        self._state = _State.PREAMBLE
        self._fields: dict[str, str] = {}
        self._name = ""
        self._pre_data_bytes = 0

    def feed(self, data: Buffer) -> None:
        """Take the next bytes of the body; ask `next_event` until it needs data before feeding again."""
        if self._state is not _State.END:
            self._buffer += data

    def next_event(self) -> FormEvent:
        """Give the next event.

        Raises: MalformedPOSTRequest; MaxPostPreDataLengthExceededError; InvalidArgument for a form without a file.
        """
        while True:
            if self._state is _State.END:
                self._buffer.clear()
                return Signal.END
            if self._state is _State.FILE:
                return self._file()
            before = len(self._buffer)
            event = self._step()
            self._pre_data_bytes += before - len(self._buffer)
            # what waits in the buffer counts too, unless it has just turned out to be the file
            waiting = 0 if isinstance(event, Fields) else len(self._buffer)
            if event is not None and self._pre_data_bytes + waiting > PRE_DATA_BYTES_MAX:
                raise MaxPostPreDataLengthExceededError
            if event is not None:
                return event

    def end_of_input(self) -> None:
        """Note that the body has no more bytes. Raises: MalformedPOSTRequest when the form is not complete."""
        if self._state is not _State.END:
            raise MalformedPOSTRequest

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _step(self) -> FormEvent | None:
        """Do one step before the file; None when there is something else to do at once."""
        if self._state is _State.AFTER_DELIMITER:
            return self._after_delimiter()
        mark = b"\r\n\r\n" if self._state is _State.HEADERS else self._delimiter
        found = self._buffer.find(mark)
        if found < 0:
            return Signal.NEED_DATA
        content = self._take(found + len(mark))[:found]
        if self._state is _State.HEADERS:
            return self._headers(content)
        if self._state is _State.VALUE:
            self._add_field(content)
        self._state = _State.AFTER_DELIMITER
        return None

    def _after_delimiter(self) -> FormEvent | None:
        if len(self._buffer) < 2:  # noqa: PLR2004 - CRLF or the two hyphens of the last delimiter
            return Signal.NEED_DATA
        follows = self._take(2)
        if follows == b"--":
            raise InvalidArgument(
                "POST requires exactly one file upload per request.", ArgumentName="file", ArgumentValue="0"
            )
        if follows != b"\r\n":
            raise MalformedPOSTRequest
        self._buffer[:0] = b"\r\n"  # so that a part without headers ends them, too
        self._pre_data_bytes -= 2
        self._state = _State.HEADERS
        return None

    def _headers(self, block: bytes) -> FormEvent | None:
        disposition = b""
        for line in block.split(b"\r\n"):
            name, colon, value = line.partition(b":")
            if line and not colon:
                raise MalformedPOSTRequest
            if name.strip().lower() == b"content-disposition":
                disposition = value
        parameters = {
            name.lower(): _ESCAPED.sub(r"\1", _text(quoted or bare))
            for name, quoted, bare in _PARAMETER.findall(disposition)
        }
        if not disposition.strip().lower().startswith(b"form-data") or not parameters.get(b"name"):
            raise MalformedPOSTRequest
        self._name = parameters[b"name"].lower()
        if self._name != "file":
            self._state = _State.VALUE
            return None
        filename = parameters.get(b"filename", "").replace("\\", "/").rpartition("/")[2]
        self._state = _State.FILE
        values = {name: value.replace(FILENAME, filename) for name, value in self._fields.items()}
        return Fields(MappingProxyType(values), filename)

    def _add_field(self, content: bytes) -> None:
        if len(self._fields) >= FIELDS_MAX:
            raise MaxPostPreDataLengthExceededError
        self._fields.setdefault(self._name, _text(content))

    def _file(self) -> FormEvent:
        found = self._buffer.find(self._delimiter)
        if found > 0:
            return FileData(self._take(found))
        if found == 0:
            self._state = _State.END
            return Signal.END
        sure = len(self._buffer) - len(self._delimiter) + 1  # the rest may be the start of a delimiter
        return FileData(self._take(sure)) if sure > 0 else Signal.NEED_DATA


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as broken:
        raise MalformedPOSTRequest from broken
