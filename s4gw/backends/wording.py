"""What S3 says to whom a lock or a missing second factor turns away, for every backend that enforces them itself."""

from __future__ import annotations

from typing import Final

LOCKED_MESSAGE: Final = "Access Denied because object protected by object lock."
NO_LOCK_MESSAGE: Final = "Bucket is missing Object Lock Configuration"
MFA_MESSAGE: Final = "Mfa Authentication must be used for this request"
