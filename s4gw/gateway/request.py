"""The request as the S3 layers see it: what the client sent, not what a web framework made of it.

Bucket, key and query come from the target *as sent*, never from the decoded and normalised path of WSGI: keys may
hold ``//``, ``..``, ``%2F`` and trailing slashes. Headers come from the list that the HTTP parser read (names with
``_`` included), never from the environment, where ``a-b`` and ``a_b`` are one.

Attributes appear in the order of the middleware: address first (`address`), then identity, then bucket. Reading one
that its middleware has not set yet is an `AttributeError`, which is a fault of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import falcon
import msgspec

from s4gw.auth import headers_in_query
from s4gw.gateway.body import Body, open_body
from s4gw.s3 import headers, names, operation, uri

if TYPE_CHECKING:
    from s4gw.auth import Identity, Principal
    from s4gw.backends.base import BucketInfo, StoredObject
    from s4gw.bucketconfig.encryption import Encryption
    from s4gw.gateway.services import Services
    from s4gw.s3.operation import Operation

RAW_REQUEST: Final = "s4gw.request"
"""Environment key under which the worker hands over the HTTP parser's own request."""

_NO_QUERY: Final[Mapping[str, str]] = MappingProxyType({})

UNKNOWN_OPERATION: Final = "Unknown"
"""In logs and metrics: a request that asks for nothing S3 knows."""


class Facts(msgspec.Struct):
    """What a responder tells the log and the metrics about its request; all of it optional."""

    codec: str = "-"
    """Metadata name of the codec that most of the bytes went through."""
    original_bytes: int = 0
    """Bytes of object data before compression that this request stored."""
    stored_bytes: int = 0
    """Bytes that they take in the store."""
    bytes_in: int = 0
    """Body bytes taken from the client, decoded; counted by the body itself."""
    bytes_out: int = 0
    """Body bytes sent to the client."""
    error: str = ""
    """S3 code of the error that was answered."""


class Place(msgspec.Struct, frozen=True):
    """What an action is done to; an empty key means the bucket."""

    bucket: str
    key: str
    version_id: str | None


class S3Request(falcon.Request):
    """One S3 request.

    Attributes:
        services: The worker's services; set with the address.
        request_id: Sixteen hexadecimal digits, also in ``x-amz-request-id``.
        started: When it was taken up, on the monotonic clock; 0 for a probe.
        operation: What is asked for.
        bucket: Name of the bucket, or "" for the service.
        key: Key of the object as decoded UTF-8, or "".
        query: Decoded parameters; of a repeated name the first value counts.
        identity: Who asks, from authentication.
        encryption: How what is written is to be encrypted; set for operations that write objects.
        bucket_info: The bucket, loaded by authorization; None if there is none of that name.
        looked_up: Objects that were looked up for this request; None where there is none.
        facts: For the log and the metrics.
        body_opened: The body if anybody asked for it.
        lock_document: What an operation about object locks says, if it has been read.
        raw_target_text: The target of the request line, or what comes closest to it where a server does not keep it.
        raw_path: Path as sent, without the authority of an absolute target.
        raw_query: Query string as sent, without the question mark.
        raw_headers: (lower-case name, value) in the order sent; bytes above 127 as Latin-1.
        header_map: Lower-case name -> value; repeated headers joined by commas; with those that a presigned URL brings.
    """

    services: Services
    operation: Operation
    query: Mapping[str, str]
    identity: Identity
    encryption: Encryption
    # What stays so until somebody finds out. PERF: not set for each request.
    request_id = ""
    started = 0.0
    bucket = ""
    key = ""
    bucket_info: BucketInfo | None = None
    body_opened: Body | None = None
    lock_document: Mapping[str, Any] | None = None

    def __init__(self, env: dict[str, Any], options: falcon.RequestOptions | None = None) -> None:
        # PERF: Falcon's own looks at path, query and media types in the environment, which nobody here asks for.
        del options
        self.env = env
        self.method = env["REQUEST_METHOD"]
        self.looked_up: dict[Place, StoredObject | None] = {}
        self.facts = Facts()
        self.raw_target_text: str = env.get("RAW_URI") or _target_of(env)
        path, _, query = self.raw_target_text.partition("?")
        if not path.startswith("/") and "://" in path:
            # RFC 9112, section 3.2.2: a server must accept the absolute form.
            path = "/" + path.partition("://")[2].partition("/")[2]
        self.raw_path, self.raw_query = path, query
        parsed = env.get(RAW_REQUEST)
        self.raw_headers: Sequence[tuple[str, str]] = _headers_of(env) if parsed is None else parsed.lower
        self.header_map: Mapping[str, str] = headers.joined(self.raw_headers) if parsed is None else parsed.fields

    # -- as sent ---------------------------------------------------------------------------------------------------
    @property
    def secure(self) -> bool:
        """The request came over TLS, here or at a trusted proxy."""
        return bool(self.env["wsgi.url_scheme"] == "https")

    @property
    def ours(self) -> bool:
        """It came through our own worker, which sends any bytes-like block; other servers take `bytes` alone."""
        return RAW_REQUEST in self.env

    # -- what it means ---------------------------------------------------------------------------------------------
    def virtual_bucket(self, domains: Sequence[str]) -> str | None:
        """The bucket that the host names under one of *domains*, or None."""
        return uri.bucket_from_host(self.header_map.get("host", ""), domains) if domains else None

    def address(self, services: Services) -> None:
        """Find bucket, key, query and operation.

        Raises: InvalidURI, KeyTooLongError, MethodNotAllowed, NotImplemented_ and what else the target deserves.
        """
        self.services = services
        if self.raw_target_text.startswith("/"):
            path = uri.decode(self.raw_path)
            self.query = uri.split_query(self.raw_query) if self.raw_query else _NO_QUERY
        else:
            path, self.query = uri.split_target(self.raw_target_text)
        if self.query and (brought := headers_in_query(self.query)):
            self.header_map = {**brought, **self.header_map}
        sent = self.header_map
        virtual = self.virtual_bucket(services.settings.domains)
        if virtual is None:
            self.bucket, self.key = uri.split_path(path)
        else:
            self.bucket, self.key = virtual, path[1:]
        if self.key:
            names.check_key(self.key)
        self.operation = operation.match(
            self.method, bucket=bool(self.bucket), key=bool(self.key), query=self.query, headers=sent
        )

    @property
    def principal(self) -> Principal:
        """Who asks."""
        return self.identity.principal

    @property
    def operation_name(self) -> str:
        """Name of the operation for logs, also when the address was never found."""
        try:
            return self.operation.name
        except AttributeError:
            return UNKNOWN_OPERATION

    @property
    def access_key(self) -> str:
        """Access key id for logs; empty for anonymous requests and those that failed to authenticate."""
        try:
            return self.identity.principal.access_key
        except AttributeError:
            return ""

    @property
    def body(self) -> Body:
        """The body, decoded and checked; opened on first use, which is after authentication."""
        if self.body_opened is None:
            required = self.operation.streams and self.method == "PUT"
            self.body_opened = open_body(self.env, self.header_map, self.identity.payload, required=required)
        return self.body_opened

    def authorize(self, operation_name: str, bucket: str, key: str, version_id: str | None = None) -> None:
        """Decide on something beside the request's own target: a copy's source, one key of DeleteObjects.

        Raises: AccessDenied, NoSuchBucket.
        """
        self.services.authorizer.authorize(self, operation_name, bucket, key, version_id)


def _target_of(env: Mapping[str, Any]) -> str:
    """The target from a WSGI environment, for servers that do not keep it."""
    path = quote(env["PATH_INFO"].encode("latin-1"), safe="/~")
    query: str = env.get("QUERY_STRING", "")
    return f"{path}?{query}" if query else path


def _headers_of(env: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Headers from a WSGI environment, for servers that keep no list of their own."""
    headers = [(name[5:].replace("_", "-").lower(), str(env[name])) for name in env if name.startswith("HTTP_")]
    found = [(name, str(env[name])) for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if env.get(name)]
    headers.extend((name.replace("_", "-").lower(), value) for name, value in found)
    return headers
