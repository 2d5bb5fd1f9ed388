"""The routing table: which operation a request asks for. Derived from botocore's service model.

A row is chosen by method, scope (service, bucket or key), at most one *sub-resource* of the query (``?acl``,
``?uploads``), and the parameters and headers that the model requires. Query parameters that S3 does not know are
ignored, as S3 does. What S3 does know is never ignored: a sub-resource under a method that has no operation for it
is refused, so that ``DELETE /b/k?acl`` cannot delete an object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl

from s4gw.s3.errors import InvalidArgument, MethodNotAllowed, PreconditionFailed
from s4gw.s3.shapes import OPERATIONS, required_names, takes_body


class Scope(StrEnum):
    """What the path names."""

    SERVICE = "service"
    BUCKET = "bucket"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Operation:
    """One S3 operation, under S3's own name."""

    name: str
    scope: Scope
    has_body: bool = False
    """The request may carry a body that means something."""
    streams: bool = False
    """The body is an object's bytes rather than a document."""
    checksum_required: bool = False
    """S3 wants a Content-MD5 or checksum of the request's document."""
    hot: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One way to ask for an operation, beside its method, scope and sub-resource."""

    operation: Operation
    query: tuple[tuple[str, str], ...] = ()
    """Parameters that must be there; with a value, exactly that one."""
    header: tuple[str, str] | None = None
    """Header that must be there, and what its value starts with (lower case)."""

    def fits(self, query: Mapping[str, str], headers: Mapping[str, str]) -> bool:
        """Tell whether a request with this *query* and these *headers* (lower-case names) is meant."""
        for name, value in self.query:
            if name not in query or (value and query[name] != value):
                return False
        if self.header is None:
            return True
        name, start = self.header
        return name in headers and headers[name].lower().startswith(start)


HOT: Final = frozenset({"PutObject", "GetObject", "HeadObject", "UploadPart", "ListObjectsV2"})

UNROUTED: Final = frozenset(
    {
        "ListDirectoryBuckets",  # shares GET / with ListBuckets; directory buckets have endpoints of their own
        "GetBucketLifecycle",  # the deprecated twins answer at the same place as their successors
        "PutBucketLifecycle",
        "GetBucketNotification",
        "PutBucketNotification",
    }
)

_CHOOSING_HEADERS: Final = frozenset({"x-amz-copy-source", "x-amz-request-route"})

PREFLIGHT: Final = Operation("Preflight", Scope.BUCKET)
"""A browser's CORS question (OPTIONS); not in the service model."""

POST_OBJECT: Final = Operation("PostObject", Scope.BUCKET, has_body=True, streams=True)
"""Upload by HTML form; not in the service model."""

_Key = tuple[str, Scope, str]
_FORM_PLACE: Final[_Key] = ("POST", Scope.BUCKET, "")


def _rows() -> Iterable[tuple[_Key, Row]]:
    for name, entry in OPERATIONS.items():
        if name in UNROUTED:
            continue
        path, _, fixed = entry["http"]["requestUri"].partition("?")
        scope = Scope.KEY if "{Key" in path else Scope.SERVICE if path == "/" else Scope.BUCKET
        pairs = parse_qsl(fixed, keep_blank_values=True)
        marker = next((n for n, value in pairs if not value), "")
        has_body, streams = takes_body(name)
        operation = Operation(
            name,
            scope,
            has_body=has_body,
            streams=streams,
            checksum_required=bool(entry.get("httpChecksum", {}).get("requestChecksumRequired")),
            hot=name in HOT,
        )
        wanted = ((wire, "") for wire in required_names(name, "querystring"))
        header = _CHOOSING_HEADERS.intersection(required_names(name, "header"))
        yield (
            (entry["http"]["method"], scope, marker),
            Row(
                operation,
                query=(*(pair for pair in pairs if pair[1]), *wanted),
                header=(next(iter(header)), "") if header else None,
            ),
        )
    yield _FORM_PLACE, Row(POST_OBJECT, header=("content-type", "multipart/form-data"))


def _table() -> Mapping[_Key, tuple[Row, ...]]:
    table: dict[_Key, list[Row]] = {}
    for key, row in _rows():
        table.setdefault(key, []).append(row)
    # the row that asks for most comes first, and a parameter weighs more than a header
    order = {key: sorted(rows, key=lambda r: (-len(r.query), r.header is None)) for key, rows in table.items()}
    return MappingProxyType({key: tuple(rows) for key, rows in order.items()})


TABLE: Final = _table()
"""(method, scope, sub-resource or "") -> rows, the most demanding first."""

ROUTED: Final[Mapping[str, Operation]] = MappingProxyType(
    {row.operation.name: row.operation for rows in TABLE.values() for row in rows} | {PREFLIGHT.name: PREFLIGHT}
)
"""Every operation that `match` may give, by name."""

SUBRESOURCES: Final = frozenset(marker for _, _, marker in TABLE if marker)

_TELLING: Final[Mapping[_Key, frozenset[str]]] = MappingProxyType(
    {key: frozenset(n for row in rows for n, value in row.query if not value) for key, rows in TABLE.items()}
)


_PLAIN: Final[Mapping[tuple[str, Scope], Operation]] = MappingProxyType(
    {
        (method, scope): row.operation
        for (method, scope, marker), rows in TABLE.items()
        for row in rows
        if not marker and not row.query and row.header is None
    }
)
"""PERF: what a request without query asks for, unless one of `_CHOOSING_HEADERS` makes it something else."""


def match(method: str, *, bucket: bool, key: bool, query: Mapping[str, str], headers: Mapping[str, str]) -> Operation:
    """Find the operation that a request asks for.

    Args:
        method: As sent, upper case.
        bucket: The request names a bucket, in its path or host.
        key: It names a key as well.
        query: Decoded parameters.
        headers: Lower-case names.

    Raises: MethodNotAllowed; InvalidArgument for parameters that contradict each other or are missing;
        PreconditionFailed for a POST on a bucket that is no form.
    """
    scope = Scope.KEY if key else Scope.BUCKET if bucket else Scope.SERVICE
    if not query and _CHOOSING_HEADERS.isdisjoint(headers) and (method, scope) in _PLAIN:
        return _PLAIN[method, scope]
    marker = ""
    if query:
        markers = SUBRESOURCES & query.keys()
        if markers:
            if len(markers) > 1:
                names = ", ".join(sorted(markers))
                raise InvalidArgument(f"Conflicting query string parameters: {names}", ArgumentName=names)
            (marker,) = markers
    place = (method, scope, marker)
    rows = TABLE.get(place)
    if rows is None:
        if method == "OPTIONS" and bucket:
            return PREFLIGHT
        raise _not_allowed(method, scope, marker)
    for row in rows:
        if row.fits(query, headers):
            if not row.query and query and not _TELLING[place].isdisjoint(query):
                break  # an uploadId without its partNumber must not become a PutObject
            return row.operation
    missing = sorted(_TELLING[place] - query.keys())
    if missing and (marker or len(missing) < len(_TELLING[place])):
        raise InvalidArgument(f"Missing required parameter: {', '.join(missing)}", ArgumentName=missing[0])
    if place == _FORM_PLACE:
        raise PreconditionFailed(Condition="Bucket POST must be of the enclosure-type multipart/form-data")
    raise _not_allowed(method, scope, marker)


def _not_allowed(method: str, scope: Scope, marker: str) -> MethodNotAllowed:
    """RFC 9110, section 15.5.6: such an answer has to say which methods there are."""
    allowed = sorted({other for other, *place in TABLE if place == [scope, marker]} - {method})
    return MethodNotAllowed(
        headers={"Allow": ", ".join(allowed)}, Method=method, ResourceType=marker.upper() or scope.name
    )
