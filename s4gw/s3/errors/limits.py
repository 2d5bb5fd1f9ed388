"""Errors about a body, its framing, its digests and the limits on it. One class per S3 code."""

from __future__ import annotations

from s4gw.s3.errors.base import S3Error


class AnnotationLimitExceeded(S3Error):
    """S3 code ``AnnotationLimitExceeded``."""

    code = "AnnotationLimitExceeded"
    status = 400
    message = "The object has as many annotations as are allowed."


class AnnotationNameTooLong(S3Error):
    """S3 code ``AnnotationNameTooLong``."""

    code = "AnnotationNameTooLong"
    status = 400
    message = "The annotation name is too long."


class BadDigest(S3Error):
    """S3 code ``BadDigest``."""

    code = "BadDigest"
    status = 400
    message = "The Content-MD5 or checksum value that you specified did not match what the server received."


class ContentRangeNotSatisfiable(S3Error):
    """S3 code ``ContentRangeNotSatisfiable``."""

    code = "ContentRangeNotSatisfiable"
    status = 416
    message = "The requested range is not satisfiable"


class EntityTooLarge(S3Error):
    """S3 code ``EntityTooLarge``."""

    code = "EntityTooLarge"
    status = 400
    message = "Your proposed upload exceeds the maximum allowed size"


class EntityTooSmall(S3Error):
    """S3 code ``EntityTooSmall``."""

    code = "EntityTooSmall"
    status = 400
    message = "Your proposed upload is smaller than the minimum allowed size"


class IncompleteBody(S3Error):
    """S3 code ``IncompleteBody``."""

    code = "IncompleteBody"
    status = 400
    message = "You did not provide the number of bytes specified by the Content-Length HTTP header"


class InvalidChunkSizeError(S3Error):
    """S3 code ``InvalidChunkSizeError``."""

    code = "InvalidChunkSizeError"
    status = 403
    message = "Only the last chunk is allowed to have a size less than 8192 bytes"


class InvalidDigest(S3Error):
    """S3 code ``InvalidDigest``."""

    code = "InvalidDigest"
    status = 400
    message = "The Content-MD5 or checksum value that you specified is not valid."


class InvalidPart(S3Error):
    """S3 code ``InvalidPart``."""

    code = "InvalidPart"
    status = 400
    message = (
        "One or more of the specified parts could not be found. The part may not have been uploaded, or the "
        "specified entity tag may not match the part's entity tag."
    )


class InvalidPartNumber(S3Error):
    """S3 code ``InvalidPartNumber``."""

    code = "InvalidPartNumber"
    status = 416
    message = "The requested partnumber is not satisfiable"


class InvalidPartOrder(S3Error):
    """S3 code ``InvalidPartOrder``."""

    code = "InvalidPartOrder"
    status = 400
    message = "The list of parts was not in ascending order. Parts must be ordered by part number."


class InvalidRange(S3Error):
    """S3 code ``InvalidRange``."""

    code = "InvalidRange"
    status = 416
    message = "The requested range is not satisfiable"


class KeyTooLongError(S3Error):
    """S3 code ``KeyTooLongError``."""

    code = "KeyTooLongError"
    status = 400
    message = "Your key is too long"


class MalformedTrailerError(S3Error):
    """S3 code ``MalformedTrailerError``."""

    code = "MalformedTrailerError"
    status = 400
    message = "The request contained trailing data that was not well-formed or did not conform to our published schema."


class MaxMessageLengthExceeded(S3Error):
    """S3 code ``MaxMessageLengthExceeded``."""

    code = "MaxMessageLengthExceeded"
    status = 400
    message = "Your request was too big."


class MaxPostPreDataLengthExceededError(S3Error):
    """S3 code ``MaxPostPreDataLengthExceededError``."""

    code = "MaxPostPreDataLengthExceededError"
    status = 400
    message = "Your POST request fields preceding the upload file were too large."


class MetadataTooLarge(S3Error):
    """S3 code ``MetadataTooLarge``."""

    code = "MetadataTooLarge"
    status = 400
    message = "Your metadata headers exceed the maximum allowed metadata size"


class MissingContentLength(S3Error):
    """S3 code ``MissingContentLength``."""

    code = "MissingContentLength"
    status = 411
    message = "You must provide the Content-Length HTTP header."


class MissingRequestBodyError(S3Error):
    """S3 code ``MissingRequestBodyError``."""

    code = "MissingRequestBodyError"
    status = 400
    message = "Request Body is empty"


class RequestHeaderSectionTooLarge(S3Error):
    """S3 code ``RequestHeaderSectionTooLarge``."""

    code = "RequestHeaderSectionTooLarge"
    status = 400
    message = "Your request header section exceeds the maximum allowed size."


class RequestTimeout(S3Error):
    """S3 code ``RequestTimeout``."""

    code = "RequestTimeout"
    status = 400
    message = "Your socket connection to the server was not read from or written to within the timeout period."


class TooManyBuckets(S3Error):
    """S3 code ``TooManyBuckets``."""

    code = "TooManyBuckets"
    status = 400
    message = "You have attempted to create more buckets than allowed"


class TooManyParts(S3Error):
    """S3 code ``TooManyParts``."""

    code = "TooManyParts"
    status = 400
    message = "The object has as many parts as are allowed."


class UnexpectedContent(S3Error):
    """S3 code ``UnexpectedContent``."""

    code = "UnexpectedContent"
    status = 400
    message = "This request contains unsupported content."


class XAmzContentSHA256Mismatch(S3Error):
    """S3 code ``XAmzContentSHA256Mismatch``."""

    code = "XAmzContentSHA256Mismatch"
    status = 400
    message = "The provided 'x-amz-content-sha256' header does not match what was computed."
