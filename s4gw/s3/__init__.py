"""The S3 wire protocol without a socket: routing, documents, headers, framing and errors, as data and pure functions.

Everything about operations and shapes comes from the service model that botocore ships. Outsiders import from here,
and errors from `s4gw.s3.errors`.
"""

from __future__ import annotations

from s4gw.s3 import errors
from s4gw.s3.checksums import (
    Declared,
    check_digest,
    declared,
    from_trailer,
    parse_algorithm,
)
from s4gw.s3.chunked import AwsChunkedDecoder, Event, HttpChunkedDecoder
from s4gw.s3.conditions import bare_etag, check_copy_source, check_read, quoted
from s4gw.s3.errors import S3Error
from s4gw.s3.fast import WireResponse
from s4gw.s3.form import Fields, FileData, FormReader, Signal
from s4gw.s3.headers import (
    RESPONSE_OVERRIDES,
    SYSTEM_HEADERS,
    check_metadata_size,
    metadata_from,
    overrides_from,
    system_from,
    without_aws_chunked,
)
from s4gw.s3.model import read_request, write_response
from s4gw.s3.multipart import (
    COMPOSITE,
    FULL_OBJECT,
    PART_BYTES_MAX,
    PART_BYTES_MIN,
    PARTS_MAX,
    check_object_checksum,
    check_part_number,
    choose_checksum_type,
    choose_parts,
    multipart_etag,
    object_checksum,
)
from s4gw.s3.names import check_bucket_name, check_key
from s4gw.s3.operation import ROUTED, Operation, Scope, match
from s4gw.s3.range import ByteRange, parse_copy_range, parse_range
from s4gw.s3.scalars import as_datetime, http_date, iso8601, parse_http_date, parse_iso8601
from s4gw.s3.uri import CopySource, bucket_from_host, parse_copy_source, split_path, split_query, split_target
from s4gw.s3.xml_write import error_document, escape

__all__ = [
    "COMPOSITE",
    "FULL_OBJECT",
    "PARTS_MAX",
    "PART_BYTES_MAX",
    "PART_BYTES_MIN",
    "RESPONSE_OVERRIDES",
    "ROUTED",
    "SYSTEM_HEADERS",
    "AwsChunkedDecoder",
    "ByteRange",
    "CopySource",
    "Declared",
    "Event",
    "Fields",
    "FileData",
    "FormReader",
    "HttpChunkedDecoder",
    "Operation",
    "S3Error",
    "Scope",
    "Signal",
    "WireResponse",
    "as_datetime",
    "bare_etag",
    "bucket_from_host",
    "check_bucket_name",
    "check_copy_source",
    "check_digest",
    "check_key",
    "check_metadata_size",
    "check_object_checksum",
    "check_part_number",
    "check_read",
    "choose_checksum_type",
    "choose_parts",
    "declared",
    "error_document",
    "errors",
    "escape",
    "from_trailer",
    "http_date",
    "iso8601",
    "match",
    "metadata_from",
    "multipart_etag",
    "object_checksum",
    "overrides_from",
    "parse_algorithm",
    "parse_copy_range",
    "parse_copy_source",
    "parse_http_date",
    "parse_iso8601",
    "parse_range",
    "quoted",
    "read_request",
    "split_path",
    "split_query",
    "split_target",
    "system_from",
    "without_aws_chunked",
    "write_response",
]
