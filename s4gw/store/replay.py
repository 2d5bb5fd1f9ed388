"""Applying a journal record again: at the start after a power cut, and when the index is made anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from s4gw.store.committer import apply_one, decode_operation
from s4gw.store.errors import RecordDamaged, Refused
from s4gw.store.ops import Complete, Journal, Operation, Put, PutPart
from s4gw.store.tables import Tables
from s4gw.store.volume import Extent


def apply_journal(tables: Tables, journal: Journal, read: Callable[[Extent], bytes], inline_bytes: int) -> int:
    """Apply the operations of one batch in the running transaction.

    Args:
        tables: Of the index that is being brought up.
        journal: The batch.
        read: Payload of an extent; raises RecordDamaged.
        inline_bytes: Bodies up to this size stand in the index as well.

    Returns: how many operations no longer made sense, which is 0 unless the batch before is missing.
    """
    refused = 0
    tables.replaying = True
    tables.now_ms = journal.now_ms
    for entry in journal.entries:
        operation = decode_operation(entry.operation)
        tables.last_seq = entry.seq - 1
        try:
            apply_one(tables, operation, _inline(operation, read, inline_bytes))
        except Refused:
            refused += 1
    tables.last_seq = journal.last_seq
    tables.remove_dead()
    return refused


def new_extents(operation: Operation) -> Sequence[Extent]:
    """The extents that came with *operation*."""
    if isinstance(operation, Put | PutPart):
        return operation.extents
    return operation.tail if isinstance(operation, Complete) else ()


def _inline(operation: Operation, read: Callable[[Extent], bytes], inline_bytes: int) -> bytes | None:
    """The bytes that were inline when the operation was first applied."""
    if isinstance(operation, PutPart) or (isinstance(operation, Complete) and (operation.parts or not operation.tail)):
        return None
    extents = new_extents(operation)
    if not isinstance(operation, Put | Complete) or sum(extent.size for extent in extents) > inline_bytes:
        return None
    try:
        return b"".join(map(read, extents))
    except RecordDamaged:
        return None  # reading the object will say so; or it is gone later on
