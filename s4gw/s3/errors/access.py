"""Errors about who asks and whether they may. One class per S3 code."""

from __future__ import annotations

from s4gw.s3.errors.base import S3Error


class AccessDenied(S3Error):
    """S3 code ``AccessDenied``."""

    code = "AccessDenied"
    status = 403
    message = "Access Denied"


class AccessForbidden(S3Error):
    """S3 code ``AccessForbidden``: no CORS rule allows what a browser asked for."""

    code = "AccessForbidden"
    status = 403
    message = (
        "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request "
        "method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the "
        "resource's CORS spec."
    )


class AccountProblem(S3Error):
    """S3 code ``AccountProblem``."""

    code = "AccountProblem"
    status = 403
    message = "There is a problem with your account that prevents the operation from completing successfully."


class AuthorizationHeaderMalformed(S3Error):
    """S3 code ``AuthorizationHeaderMalformed``."""

    code = "AuthorizationHeaderMalformed"
    status = 400
    message = "The authorization header is malformed."


class AuthorizationQueryParametersError(S3Error):
    """S3 code ``AuthorizationQueryParametersError``."""

    code = "AuthorizationQueryParametersError"
    status = 400
    message = "Error parsing the authorization query parameters."


class ExpiredToken(S3Error):
    """S3 code ``ExpiredToken``."""

    code = "ExpiredToken"
    status = 400
    message = "The provided token has expired."


class InvalidAccessKeyId(S3Error):
    """S3 code ``InvalidAccessKeyId``."""

    code = "InvalidAccessKeyId"
    status = 403
    message = "The AWS Access Key Id you provided does not exist in our records."


class InvalidBucketAclWithObjectOwnership(S3Error):
    """S3 code ``InvalidBucketAclWithObjectOwnership``."""

    code = "InvalidBucketAclWithObjectOwnership"
    status = 400
    message = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"


class InvalidPolicyDocument(S3Error):
    """S3 code ``InvalidPolicyDocument``."""

    code = "InvalidPolicyDocument"
    status = 400
    message = "The content of the form does not meet the conditions specified in the policy document."


class InvalidSecurity(S3Error):
    """S3 code ``InvalidSecurity``."""

    code = "InvalidSecurity"
    status = 403
    message = "The provided security credentials are not valid."


class InvalidToken(S3Error):
    """S3 code ``InvalidToken``."""

    code = "InvalidToken"
    status = 400
    message = "The provided token is malformed or otherwise invalid."


class MissingAuthenticationToken(S3Error):
    """S3 code ``MissingAuthenticationToken``."""

    code = "MissingAuthenticationToken"
    status = 403
    message = "The request was not signed."


class MissingSecurityHeader(S3Error):
    """S3 code ``MissingSecurityHeader``."""

    code = "MissingSecurityHeader"
    status = 400
    message = "Your request was missing a required header"


class RequestTimeTooSkewed(S3Error):
    """S3 code ``RequestTimeTooSkewed``."""

    code = "RequestTimeTooSkewed"
    status = 403
    message = "The difference between the request time and the current time is too large."


class SignatureDoesNotMatch(S3Error):
    """S3 code ``SignatureDoesNotMatch``."""

    code = "SignatureDoesNotMatch"
    status = 403
    message = (
        "The request signature we calculated does not match the signature you provided. Check your key and "
        "signing method."
    )


class UnauthorizedAccess(S3Error):
    """S3 code ``UnauthorizedAccess``."""

    code = "UnauthorizedAccess"
    status = 403
    message = "You are not authorized to perform this operation"


class UnsupportedSignature(S3Error):
    """S3 code ``UnsupportedSignature``."""

    code = "UnsupportedSignature"
    status = 400
    message = (
        "The provided request is signed with an unsupported STS Token version or the signature version is not "
        "supported."
    )
