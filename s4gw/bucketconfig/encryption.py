"""How an object is to be encrypted at rest: every write asks here, and gets one answer of its kind.

The question is what the bucket says by default and what the request's headers say. The answer today: not at all on the
gateway's own store, where anything that asks for more is refused, since it would be stored in clear; in front of an
upstream, as the upstream is told. The gateway asks in `gateway.middleware.encryption`, and no upload is described
without the answer, so what comes to encrypt has its place here.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from s4gw.s3.errors import InvalidArgument, InvalidEncryptionAlgorithmError, InvalidRequest
from s4gw.s3.errors import NotImplemented as S3NotImplemented

CONFIG: Final = "encryption"
"""Name of the sub-resource that holds a bucket's default."""
ALGORITHM: Final = "x-amz-server-side-encryption"
ALGORITHMS: Final = frozenset({"AES256", "aws:kms", "aws:kms:dsse"})

_CUSTOMER: Final = frozenset(f"{ALGORITHM}-customer-{name}" for name in ("algorithm", "key", "key-md5"))
_SOURCE: Final = frozenset(name.replace("x-amz-", "x-amz-copy-source-") for name in _CUSTOMER)
_MANAGED: Final = frozenset(
    {ALGORITHM, *(f"{ALGORITHM}-{name}" for name in ("aws-kms-key-id", "context", "bucket-key-enabled"))}
)
_ALL: Final = _CUSTOMER | _SOURCE | _MANAGED
_DECIDING: Final = frozenset({"PutObject", "CopyObject", "CreateMultipartUpload"})
"""Operations that say how an object is encrypted. Those with parts of it may only repeat a customer's key."""


@dataclass(frozen=True, slots=True)
class Encryption:
    """The answer."""

    told: dict[str, str] = field(default_factory=dict)
    """Headers that the upstream is given; empty where the gateway itself is the store."""


CLEAR: Final = Encryption()
"""Bytes are stored as compression leaves them."""


def of_store(operation: str, default: bytes | None, sent: Mapping[str, str]) -> Encryption:
    """Answer for an object of the gateway's own store.

    Args:
        operation: In S3's spelling; a form is a PutObject.
        default: The bucket's configuration, as stored; None for none.
        sent: Headers, or a form's fields; names are lower-case.

    Raises: NotImplemented, for what would not happen; InvalidArgument, InvalidEncryptionAlgorithmError,
        InvalidRequest, for what S3 itself refuses.
    """
    if default is None and _ALL.isdisjoint(sent):
        return CLEAR
    for name in _asked(sent):
        _check(operation, name, sent[name])
        if name == ALGORITHM and sent[name] not in ALGORITHMS:
            raise InvalidEncryptionAlgorithmError(ArgumentName=name, ArgumentValue=sent[name])
        raise S3NotImplemented("Server-side encryption is not implemented yet", Header=name)
    raise S3NotImplemented("The bucket's default encryption was set by a version that has it; this one does not")


def of_upstream(operation: str, sent: Mapping[str, str]) -> Encryption:
    """Answer for an object that an upstream keeps: what it can encrypt is its matter.

    Raises: NotImplemented, for keys of the client's own: the upstream could not read its copies of parts, nor this
        gateway the index of the object, without being given the key each time. InvalidArgument, InvalidRequest.
    """
    if _ALL.isdisjoint(sent):
        return CLEAR
    for name in _asked(sent):
        _check(operation, name, sent[name])
        if name in _CUSTOMER:
            raise S3NotImplemented("Encryption with customer-provided keys is not implemented in front of an upstream")
    return Encryption({name: sent[name] for name in _asked(sent)})


def check_read(sent: Mapping[str, str]) -> None:
    """Refuse what asks for an encrypted object: none here has a customer's key, and reads say nothing of others.

    Raises: InvalidRequest, InvalidArgument.
    """
    if _ALL.isdisjoint(sent):
        return
    for name in _asked(sent):
        if name not in _MANAGED:
            raise InvalidRequest("The encryption parameters are not applicable to this object.")
        raise _unsupported(name, sent[name])


def _asked(sent: Mapping[str, str]) -> Iterator[str]:
    """The headers of *sent* that are about encryption, always in the same order."""
    return (name for name in sorted(_ALL) if name in sent)


def _check(operation: str, name: str, value: str) -> None:
    """Refuse what does not belong to *operation*."""
    if name in _SOURCE:
        raise InvalidRequest("The encryption parameters are not applicable to this object.")
    if name in _MANAGED and operation not in _DECIDING:
        raise _unsupported(name, value)


def _unsupported(name: str, value: str) -> InvalidArgument:
    return InvalidArgument(
        f"{name} header is not supported for this operation.", ArgumentName=name, ArgumentValue=value
    )
