"""Errors about a request that S3 cannot read or will not follow. One class per S3 code."""

from __future__ import annotations

from s4gw.s3.errors.base import S3Error


class AccessControlListNotSupported(S3Error):
    """S3 code ``AccessControlListNotSupported``."""

    code = "AccessControlListNotSupported"
    status = 400
    message = "The bucket does not allow ACLs"


class BadRequest(S3Error):
    """S3 code ``BadRequest``."""

    code = "BadRequest"
    status = 400
    message = "An error occurred when parsing the HTTP request."


class IdempotencyParameterMismatch(S3Error):
    """S3 code ``IdempotencyParameterMismatch``."""

    code = "IdempotencyParameterMismatch"
    status = 400
    message = "The parameters of this request differ from those of the request with the same client token."


class IllegalLocationConstraintException(S3Error):
    """S3 code ``IllegalLocationConstraintException``."""

    code = "IllegalLocationConstraintException"
    status = 400
    message = "The specified location constraint is not valid."


class IllegalVersioningConfigurationException(S3Error):
    """S3 code ``IllegalVersioningConfigurationException``."""

    code = "IllegalVersioningConfigurationException"
    status = 400
    message = "The versioning configuration specified in the request is invalid."


class InvalidAnnotationName(S3Error):
    """S3 code ``InvalidAnnotationName``."""

    code = "InvalidAnnotationName"
    status = 400
    message = "The annotation name is not valid."


class InvalidArgument(S3Error):
    """S3 code ``InvalidArgument``."""

    code = "InvalidArgument"
    status = 400
    message = "Invalid Argument"


class InvalidBucketName(S3Error):
    """S3 code ``InvalidBucketName``."""

    code = "InvalidBucketName"
    status = 400
    message = "The specified bucket is not valid."


class InvalidEncryptionAlgorithmError(S3Error):
    """S3 code ``InvalidEncryptionAlgorithmError``."""

    code = "InvalidEncryptionAlgorithmError"
    status = 400
    message = "The encryption request that you specified is not valid."


class InvalidLocationConstraint(S3Error):
    """S3 code ``InvalidLocationConstraint``."""

    code = "InvalidLocationConstraint"
    status = 400
    message = "The specified location constraint is not valid."


class InvalidPrefix(S3Error):
    """S3 code ``InvalidPrefix``."""

    code = "InvalidPrefix"
    status = 400
    message = "The prefix is not valid."


class InvalidRedirectLocation(S3Error):
    """S3 code ``InvalidRedirectLocation``."""

    code = "InvalidRedirectLocation"
    status = 400
    message = "The website redirect location must be non-empty and start with a slash, http:// or https://."


class InvalidRetentionPeriod(S3Error):
    """S3 code ``InvalidRetentionPeriod``."""

    code = "InvalidRetentionPeriod"
    status = 400
    message = "The retention period specified in the request is not valid."


class InvalidRequest(S3Error):
    """S3 code ``InvalidRequest``."""

    code = "InvalidRequest"
    status = 400
    message = "Invalid Request"


class InvalidStorageClass(S3Error):
    """S3 code ``InvalidStorageClass``."""

    code = "InvalidStorageClass"
    status = 400
    message = "The storage class you specified is not valid"


class InvalidTag(S3Error):
    """S3 code ``InvalidTag``."""

    code = "InvalidTag"
    status = 400
    message = "The tag provided was not a valid tag."


class InvalidTargetBucketForLogging(S3Error):
    """S3 code ``InvalidTargetBucketForLogging``."""

    code = "InvalidTargetBucketForLogging"
    status = 400
    message = (
        "The target bucket for logging does not exist, is not owned by you, or does not have the appropriate grants."
    )


class InvalidURI(S3Error):
    """S3 code ``InvalidURI``."""

    code = "InvalidURI"
    status = 400
    message = "Couldn't parse the specified URI."


class InvalidWriteOffset(S3Error):
    """S3 code ``InvalidWriteOffset``."""

    code = "InvalidWriteOffset"
    status = 400
    message = "The write offset does not equal the size of the existing object."


class MalformedACLError(S3Error):
    """S3 code ``MalformedACLError``."""

    code = "MalformedACLError"
    status = 400
    message = "The XML you provided was not well-formed or did not validate against our published schema"


class MalformedPOSTRequest(S3Error):
    """S3 code ``MalformedPOSTRequest``."""

    code = "MalformedPOSTRequest"
    status = 400
    message = "The body of your POST request is not well-formed multipart/form-data."


class MalformedPolicy(S3Error):
    """S3 code ``MalformedPolicy``."""

    code = "MalformedPolicy"
    status = 400
    message = "This policy contains invalid Json"


class MalformedXML(S3Error):
    """S3 code ``MalformedXML``."""

    code = "MalformedXML"
    status = 400
    message = "The XML you provided was not well-formed or did not validate against our published schema"


class UnresolvableGrantByEmailAddress(S3Error):
    """S3 code ``UnresolvableGrantByEmailAddress``."""

    code = "UnresolvableGrantByEmailAddress"
    status = 400
    message = "The email address you provided does not match any account on record."


class UnsupportedMediaType(S3Error):
    """S3 code ``UnsupportedMediaType``."""

    code = "UnsupportedMediaType"
    status = 415
    message = "The media type of the request is not supported."


class UserKeyMustBeSpecified(S3Error):
    """S3 code ``UserKeyMustBeSpecified``."""

    code = "UserKeyMustBeSpecified"
    status = 400
    message = (
        "The bucket POST must contain the specified field name. If it is specified, check the order of the fields."
    )
