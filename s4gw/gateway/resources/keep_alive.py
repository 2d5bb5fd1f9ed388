"""An answer that begins before its result is known, as S3 begins that of a long CompleteMultipartUpload.

Work that ends within `GRACE_S` is answered as usual, errors with their status. Longer work is answered 200 at once;
white space then keeps clients and proxies waiting, and the document of the result, or of the error, ends the answer.
The work goes on when the client does not wait for it, so that a retry finds it done.

Source: S3 API reference, CompleteMultipartUpload: "a 200 OK response can contain either a success or an error".
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import Final, TypeVar

from s4gw.s3.xml_write import DECLARATION

GRACE_S: Final = 0.5
"""Quick results and errors keep their own status; clients want a first byte within a second."""
INTERVAL_S: Final = 5.0
"""Between blanks: far below the shortest read time-outs in use (10 s and up)."""

T = TypeVar("T")


def begun(work: Callable[[], T]) -> Future[T]:
    """Do *work* in a thread of its own, and wait `GRACE_S` for it. Returns: its outcome, perhaps still to come."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - whoever asks for the outcome gets it
            outcome.set_exception(error)

    context = contextvars.copy_context()  # log lines of the work name the request
    threading.Thread(target=context.run, args=(run,), name="complete").start()
    wait([outcome], GRACE_S)
    return outcome


def kept_alive(outcome: Future[T], document: Callable[[Future[T]], bytes]) -> Iterator[bytes]:
    """Give the body of an answer whose result is not there yet.

    Args:
        outcome: To wait for.
        document: Called when it is there; gives the XML document that ends the answer.
    """
    declaration = DECLARATION.encode()
    yield declaration
    while not wait([outcome], INTERVAL_S).done:
        yield b" "
    yield document(outcome).removeprefix(declaration)
