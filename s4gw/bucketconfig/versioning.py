"""The versioning configuration of a bucket.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketVersioning.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from s4gw.s3.errors import IllegalVersioningConfigurationException, MalformedXML
from s4gw.s3.errors import NotImplemented as S3NotImplemented

VersioningState = Literal["Enabled", "Suspended"]


def parse_versioning(document: Mapping[str, Any]) -> VersioningState:
    """Read a boto3-shaped VersioningConfiguration.

    Raises: IllegalVersioningConfigurationException (no state), MalformedXML, NotImplemented (MFA delete, which
        would promise a protection that is not there).
    """
    if document.get("MFADelete") == "Enabled":
        raise S3NotImplemented("MFA delete is not implemented.")
    status = document.get("Status")
    if status is None:
        raise IllegalVersioningConfigurationException("The Versioning element must be specified")
    if status == "Enabled":
        return "Enabled"
    if status == "Suspended":
        return "Suspended"
    raise MalformedXML
