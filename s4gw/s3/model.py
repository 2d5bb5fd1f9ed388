"""Requests and responses of all operations, between HTTP's terms and boto3's.

`read_request` gives the dict that a boto3 caller passed, `write_response` takes the dict that it is to get back;
both are driven by the service model (`shapes`), so no operation is written by hand. Object bodies do not pass here.

Values are boto3's: ETags with their quotes where S3 sends quotes, times as aware datetimes (responses also take
integer milliseconds), lists and dicts; None means absent. A timestamp of a request that HTTP wants ignored when it
cannot be read (If-Modified-Since ...) is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from s4gw.s3.errors import (
    InvalidArgument,
    InvalidRequest,
    InvalidStorageClass,
    MalformedACLError,
    MalformedPolicy,
    MalformedXML,
    MissingRequestBodyError,
    S3Error,
)
from s4gw.s3.fast import FAST_WRITERS, WireResponse
from s4gw.s3.headers import METADATA_PREFIX, metadata_from
from s4gw.s3.scalars import INTEGER_MAX, READ, WRITE, parse_integer
from s4gw.s3.shapes import OPERATIONS, Kind, Location, Member, Message, input_of, output_of
from s4gw.s3.xml_read import read_document
from s4gw.s3.xml_write import escape, write_document

__all__ = ["WireResponse", "read_request", "write_response"]

QUERY_INTEGER_MAX: Final = 2**31 - 1
"""S3's own bound for max-keys and its like."""

_BAD_VALUE: Final[Mapping[str, type[S3Error]]] = MappingProxyType(
    {
        "x-amz-storage-class": InvalidStorageClass,
        "x-amz-checksum-algorithm": InvalidRequest,
        "x-amz-checksum-type": InvalidRequest,
        "x-amz-sdk-checksum-algorithm": InvalidRequest,
    }
)
"""Header -> error for a value that the model does not allow; InvalidArgument for the others."""

_MALFORMED: Final[Mapping[str, type[S3Error]]] = MappingProxyType(
    {"PutBucketAcl": MalformedACLError, "PutObjectAcl": MalformedACLError}
)
"""Operation -> error for a document that does not fit; MalformedXML for the others."""

_DOCUMENT_NEEDED: Final = frozenset({"CompleteMultipartUpload"})
"""Documents that the model calls optional and S3 answers MalformedXML without."""

_ITEMS_MAX: Final[Mapping[str, tuple[str, str, int]]] = MappingProxyType(
    {"DeleteObjects": ("Delete", "Objects", 1000), "CompleteMultipartUpload": ("MultipartUpload", "Parts", 10_000)}
)
"""Operation -> the list in its document that must have 1 to N items, by S3's published limits."""

_ANY_VALUE: Final = frozenset({"x-amz-checksum-mode", "x-amz-request-payer"})
"""Headers whose unknown values mean nothing rather than an error."""

ROOTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "CompleteMultipartUpload": "CompleteMultipartUploadResult",
        "CreateMultipartUpload": "InitiateMultipartUploadResult",
        "CreateSession": "CreateSessionResult",
        "DeleteObjects": "DeleteResult",
        "GetBucketAccelerateConfiguration": "AccelerateConfiguration",
        "GetBucketAcl": "AccessControlPolicy",
        "GetBucketCors": "CORSConfiguration",
        "GetBucketLifecycle": "LifecycleConfiguration",
        "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
        "GetBucketLogging": "BucketLoggingStatus",
        "GetBucketNotification": "NotificationConfiguration",
        "GetBucketNotificationConfiguration": "NotificationConfiguration",
        "GetBucketRequestPayment": "RequestPaymentConfiguration",
        "GetBucketTagging": "Tagging",
        "GetBucketVersioning": "VersioningConfiguration",
        "GetBucketWebsite": "WebsiteConfiguration",
        "GetObjectAcl": "AccessControlPolicy",
        "GetObjectAttributes": "GetObjectAttributesResponse",
        "GetObjectTagging": "Tagging",
        "ListBucketAnalyticsConfigurations": "ListBucketAnalyticsConfigurationResult",
        "ListBucketIntelligentTieringConfigurations": "ListBucketIntelligentTieringConfigurationsResult",
        "ListBucketInventoryConfigurations": "ListInventoryConfigurationsResult",
        "ListBucketMetricsConfigurations": "ListMetricsConfigurationsResult",
        "ListBuckets": "ListAllMyBucketsResult",
        "ListDirectoryBuckets": "ListAllMyDirectoryBucketsResult",
        "ListMultipartUploads": "ListMultipartUploadsResult",
        "ListObjectAnnotations": "ListObjectAnnotationsResult",
        "ListObjectVersions": "ListVersionsResult",
        "ListObjects": "ListBucketResult",
        "ListObjectsV2": "ListBucketResult",
        "ListParts": "ListPartsResult",
        "PutObjectAnnotation": "PutObjectAnnotationResult",
    }
)
"""Operation -> root element of its answer, where the whole output is the document. The model does not tell them.

Source: the Response Syntax of each operation's page in the S3 API reference.
"""


def read_request(  # noqa: PLR0913 - one argument per part of a request
    operation: str,
    *,
    bucket: str,
    key: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    body: bytes = b"",
) -> dict[str, Any]:
    """Read a request as the parameters that a boto3 caller gave.

    Args:
        operation: S3's name of it, as `operation.match` found it.
        bucket: Decoded; "" when the request names none.
        key: Likewise.
        query: Decoded parameters.
        headers: Lower-case names.
        body: The document; nothing for operations whose body is an object.

    Raises: MalformedXML, MalformedACLError, MalformedPolicy, MissingRequestBodyError, InvalidArgument,
        InvalidRequest, InvalidStorageClass, MetadataTooLarge.
    """
    message = input_of(operation)
    params: dict[str, Any] = {}
    if "Bucket" in message.uri:
        params["Bucket"] = bucket
    if "Key" in message.uri:
        params["Key"] = key
    for name, text in query.items():
        member = message.query.get(name)
        if member is not None:
            _read_parameter(params, member, text)
    known = message.headers
    for name, text in headers.items():
        member = known.get(name)
        if member is not None:
            _read_parameter(params, member, text)
    if message.metadata is not None:
        metadata = metadata_from(headers)
        if metadata:
            params[message.metadata.name] = metadata
    for member in message.required:
        if member.name not in params:
            raise InvalidRequest(f"Missing required header for this request: {member.wire}")
    if message.payload is not None or message.shape.body:
        _read_body(params, operation, message, body)
    return params


def _read_parameter(params: dict[str, Any], member: Member, text: str) -> None:
    shape = member.shape
    kind = shape.kind
    if kind is Kind.STRING and not shape.choices:
        if not text and member.wire == "versionId":
            raise InvalidArgument("Version id cannot be the empty string", ArgumentName="versionId", ArgumentValue="")
        params[member.name] = text
        return
    try:
        if kind is Kind.LIST:
            assert shape.item is not None
            item = shape.item.shape
            params[member.name] = [READ[item.kind](item, one.strip()) for one in text.split(",")]
        elif kind is Kind.INTEGER:
            if text:
                maximum = shape.maximum or (QUERY_INTEGER_MAX if member.location is Location.QUERY else INTEGER_MAX)
                params[member.name] = parse_integer(text, shape.minimum, maximum)
        else:
            params[member.name] = READ[kind](shape, text)
    except ValueError as wrong:
        _refuse_parameter(member, text, wrong)


def _refuse_parameter(member: Member, text: str, wrong: ValueError) -> None:
    wire = member.wire.lower()
    ignored = wire in _ANY_VALUE or (not text and member.location is Location.QUERY)
    if ignored or (member.shape.kind is Kind.TIMESTAMP and not wire.startswith("x-amz-object-lock")):
        return
    error = _BAD_VALUE.get(wire, InvalidArgument)
    reason = str(wrong) if member.shape.kind is Kind.INTEGER else "is not valid"
    raise error(f"The value of {member.wire} {reason}.", ArgumentName=member.wire, ArgumentValue=text[:256]) from wrong


def _read_body(params: dict[str, Any], operation: str, message: Message, body: bytes) -> None:
    payload = message.payload
    if payload is not None and (payload.streaming or payload.shape.kind is Kind.BLOB):
        return
    if not body:
        if operation in _DOCUMENT_NEEDED:
            raise MalformedXML
        if message.payload_required:
            raise MissingRequestBodyError
        return
    if payload is not None and payload.shape.kind is Kind.STRING:
        try:
            params[payload.name] = body.decode()
        except UnicodeDecodeError as broken:
            raise MalformedPolicy from broken
        return
    try:
        values = read_document(body, message.root, payload.shape if payload else message.shape)
    except MalformedXML as wrong:
        error = _MALFORMED.get(operation)
        if error is None:
            raise
        raise error from wrong
    if payload is None:
        params.update(values)
    else:
        params[payload.name] = values
    limited = _ITEMS_MAX.get(operation)
    if limited is not None:
        name, items, items_max = limited
        if not 1 <= len(params[name].get(items, ())) <= items_max:
            raise MalformedXML


def write_response(operation: str, result: Mapping[str, Any]) -> WireResponse:
    """Write the answer of *operation* from a boto3-shaped *result*.

    A streaming body is the caller's to send; the status is 206 when the result has a ContentRange. Keys are not
    url-encoded here: that is done by whoever knows the request's ``encoding-type``.
    """
    fast = FAST_WRITERS.get(operation)
    written = fast(operation, result) if fast is not None else None
    return write_by_model(operation, result) if written is None else written


def write_by_model(operation: str, result: Mapping[str, Any]) -> WireResponse:
    """Write an answer with nothing but the model; what the fast writers are held equal to."""
    status: int = OPERATIONS[operation]["http"].get("responseCode", 200)
    message = output_of(operation)
    if message is None:
        return WireResponse(status, [], b"")
    if result.get("ContentRange") is not None:
        status = 206
    headers = []
    known = message.header_members
    for name, value in result.items():
        member = known.get(name)
        if member is None or value is None:
            continue
        shape = member.shape
        headers.append((member.wire, value if shape.kind is Kind.STRING else WRITE[shape.kind](shape, value)))
    if message.metadata is not None:
        metadata: Mapping[str, str] = result.get(message.metadata.name) or {}
        headers += [(METADATA_PREFIX + name, value) for name, value in metadata.items()]
    payload = message.payload
    if payload is None:
        if not message.shape.body:
            return WireResponse(status, headers, b"")
        body = _whole_document(operation, message, result)
    elif payload.streaming or payload.shape.kind is Kind.BLOB:
        return WireResponse(status, headers, b"")
    elif payload.shape.kind is Kind.STRING:
        body = str(result.get(payload.name, "")).encode()
        return WireResponse(status, [*headers, ("Content-Type", "application/json")], body)
    else:
        body = write_document(message.root, payload.shape, result.get(payload.name) or {})
    return WireResponse(status, [*headers, ("Content-Type", "application/xml")], body)


def _whole_document(operation: str, message: Message, result: Mapping[str, Any]) -> bytes:
    if operation == "GetBucketLocation":  # the one answer whose root is itself the value
        location = result.get("LocationConstraint") or ""
        document = write_document("LocationConstraint", message.shape, {})
        return document.replace(b"></", b">" + escape(location).encode() + b"</")
    return write_document(ROOTS[operation], message.shape, result)
