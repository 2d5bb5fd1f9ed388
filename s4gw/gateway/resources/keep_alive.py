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

from s4gw.s3.errors import SlowDown
from s4gw.s3.xml_write import DECLARATION

GRACE_S: Final = 0.5
"""Quick results and errors keep their own status; clients want a first byte within a second."""
INTERVAL_S: Final = 5.0
"""Between blanks: far below the shortest read time-outs in use (10 s and up)."""

UNDER_WAY_MAX: Final = 64
"""Pieces of work in one process, those included whose client has left: eight times its request threads."""

T = TypeVar("T")


def begun(work: Callable[[], T], slots: threading.Semaphore) -> Future[T]:
    """Do *work* in a thread of its own, and wait `GRACE_S` for it.

    Args:
        work: To do.
        slots: One is taken while it lasts; `UNDER_WAY_MAX` of them are shared by all requests.

    Returns: its outcome, perhaps still to come.
    Raises: SlowDown, when no slot is free.
    """
    # SECURITY: clients that leave and ask again must not pile threads up
    if not slots.acquire(blocking=False):
        raise SlowDown
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - whoever asks for the outcome gets it
            outcome.set_exception(error)
        finally:
            slots.release()

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
