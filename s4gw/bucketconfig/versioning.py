"""The versioning configuration of a bucket.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketVersioning.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from s4gw.s3.errors import IllegalVersioningConfigurationException, MalformedXML

VersioningState = Literal["Enabled", "Suspended"]


def parse_versioning(document: Mapping[str, Any]) -> tuple[VersioningState, str | None]:
    """Read a boto3-shaped VersioningConfiguration.

    Returns: the state, and what MFA delete is to be ("Enabled", "Disabled"), None when it is not spoken of.
    Raises: IllegalVersioningConfigurationException (no state), MalformedXML.
    """
    mfa_delete = document.get("MFADelete")
    if mfa_delete not in (None, "Enabled", "Disabled"):
        raise MalformedXML
    status = document.get("Status")
    if status is None:
        raise IllegalVersioningConfigurationException("The Versioning element must be specified")
    if status == "Enabled":
        return "Enabled", mfa_delete
    if status == "Suspended":
        return "Suspended", mfa_delete
    raise MalformedXML
