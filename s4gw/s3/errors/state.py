"""Errors about what is there already, or is in another state than the request wants. One class per S3 code."""

from __future__ import annotations

from s4gw.s3.errors.base import S3Error


class BucketAlreadyExists(S3Error):
    """S3 code ``BucketAlreadyExists``."""

    code = "BucketAlreadyExists"
    status = 409
    message = (
        "The requested bucket name is not available. The bucket namespace is shared by all users of the "
        "system. Please select a different name and try again."
    )


class BucketAlreadyOwnedByYou(S3Error):
    """S3 code ``BucketAlreadyOwnedByYou``."""

    code = "BucketAlreadyOwnedByYou"
    status = 409
    message = "Your previous request to create the named bucket succeeded and you already own it."


class BucketNotEmpty(S3Error):
    """S3 code ``BucketNotEmpty``."""

    code = "BucketNotEmpty"
    status = 409
    message = "The bucket you tried to delete is not empty"


class ConditionalRequestConflict(S3Error):
    """S3 code ``ConditionalRequestConflict``."""

    code = "ConditionalRequestConflict"
    status = 409
    message = "A conflicting operation occurred during the request. Please try again."


class EncryptionTypeMismatch(S3Error):
    """S3 code ``EncryptionTypeMismatch``."""

    code = "EncryptionTypeMismatch"
    status = 400
    message = "The existing object was created with a different encryption type."


class InvalidBucketState(S3Error):
    """S3 code ``InvalidBucketState``."""

    code = "InvalidBucketState"
    status = 409
    message = "The request is not valid with the current state of the bucket."


class InvalidObjectState(S3Error):
    """S3 code ``InvalidObjectState``."""

    code = "InvalidObjectState"
    status = 403
    message = "The operation is not valid for the current state of the object."


class ObjectAlreadyInActiveTierError(S3Error):
    """S3 code ``ObjectAlreadyInActiveTierError``."""

    code = "ObjectAlreadyInActiveTierError"
    status = 403
    message = "This action is not allowed against this storage tier."


class ObjectNotInActiveTierError(S3Error):
    """S3 code ``ObjectNotInActiveTierError``."""

    code = "ObjectNotInActiveTierError"
    status = 403
    message = "The source object of the copy is not in the active tier."


class OperationAborted(S3Error):
    """S3 code ``OperationAborted``."""

    code = "OperationAborted"
    status = 409
    message = "A conflicting conditional operation is currently in progress against this resource. Please try again."


class PreconditionFailed(S3Error):
    """S3 code ``PreconditionFailed``."""

    code = "PreconditionFailed"
    status = 412
    message = "At least one of the pre-conditions you specified did not hold"


class QuotaExceeded(S3Error):
    """Not a code of S3's, which has no quotas; the one that Ceph answers with."""

    code = "QuotaExceeded"
    status = 403
    message = "The bucket's quota would be exceeded."


class RenameSourceConditionFailed(S3Error):
    """S3 code ``RenameSourceConditionFailed``."""

    code = "RenameSourceConditionFailed"
    status = 412
    message = "At least one of the source pre-conditions you specified did not hold"


class RestoreAlreadyInProgress(S3Error):
    """S3 code ``RestoreAlreadyInProgress``."""

    code = "RestoreAlreadyInProgress"
    status = 409
    message = "Object restore is already in progress."
