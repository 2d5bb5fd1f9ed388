"""Errors about something that is not there (404). One class per S3 code."""

from __future__ import annotations

from s4gw.s3.errors.base import S3Error


class NoSuchAnnotation(S3Error):
    """S3 code ``NoSuchAnnotation``."""

    code = "NoSuchAnnotation"
    status = 404
    message = "The specified annotation does not exist."


class NoSuchBucket(S3Error):
    """S3 code ``NoSuchBucket``."""

    code = "NoSuchBucket"
    status = 404
    message = "The specified bucket does not exist"


class NoSuchBucketPolicy(S3Error):
    """S3 code ``NoSuchBucketPolicy``."""

    code = "NoSuchBucketPolicy"
    status = 404
    message = "The bucket policy does not exist"


class NoSuchCORSConfiguration(S3Error):
    """S3 code ``NoSuchCORSConfiguration``."""

    code = "NoSuchCORSConfiguration"
    status = 404
    message = "The CORS configuration does not exist"


class NoSuchConfiguration(S3Error):
    """S3 code ``NoSuchConfiguration``."""

    code = "NoSuchConfiguration"
    status = 404
    message = "The specified configuration does not exist."


class NoSuchKey(S3Error):
    """S3 code ``NoSuchKey``."""

    code = "NoSuchKey"
    status = 404
    message = "The specified key does not exist."


class NoSuchLifecycleConfiguration(S3Error):
    """S3 code ``NoSuchLifecycleConfiguration``."""

    code = "NoSuchLifecycleConfiguration"
    status = 404
    message = "The lifecycle configuration does not exist"


class NoSuchObjectLockConfiguration(S3Error):
    """S3 code ``NoSuchObjectLockConfiguration``."""

    code = "NoSuchObjectLockConfiguration"
    status = 404
    message = "The specified object does not have a ObjectLock configuration"


class NoSuchPublicAccessBlockConfiguration(S3Error):
    """S3 code ``NoSuchPublicAccessBlockConfiguration``."""

    code = "NoSuchPublicAccessBlockConfiguration"
    status = 404
    message = "The public access block configuration was not found"


class NoSuchTagSet(S3Error):
    """S3 code ``NoSuchTagSet``."""

    code = "NoSuchTagSet"
    status = 404
    message = "The TagSet does not exist"


class NoSuchUpload(S3Error):
    """S3 code ``NoSuchUpload``."""

    code = "NoSuchUpload"
    status = 404
    message = (
        "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have "
        "been aborted or completed."
    )


class NoSuchVersion(S3Error):
    """S3 code ``NoSuchVersion``."""

    code = "NoSuchVersion"
    status = 404
    message = "The specified version does not exist."


class NoSuchWebsiteConfiguration(S3Error):
    """S3 code ``NoSuchWebsiteConfiguration``."""

    code = "NoSuchWebsiteConfiguration"
    status = 404
    message = "The specified bucket does not have a website configuration"


class ObjectLockConfigurationNotFoundError(S3Error):
    """S3 code ``ObjectLockConfigurationNotFoundError``."""

    code = "ObjectLockConfigurationNotFoundError"
    status = 404
    message = "Object Lock configuration does not exist for this bucket"


class OwnershipControlsNotFoundError(S3Error):
    """S3 code ``OwnershipControlsNotFoundError``."""

    code = "OwnershipControlsNotFoundError"
    status = 404
    message = "The bucket ownership controls were not found"


class ReplicationConfigurationNotFoundError(S3Error):
    """S3 code ``ReplicationConfigurationNotFoundError``."""

    code = "ReplicationConfigurationNotFoundError"
    status = 404
    message = "The replication configuration was not found"


class ServerSideEncryptionConfigurationNotFoundError(S3Error):
    """S3 code ``ServerSideEncryptionConfigurationNotFoundError``."""

    code = "ServerSideEncryptionConfigurationNotFoundError"
    status = 404
    message = "The server side encryption configuration was not found"
