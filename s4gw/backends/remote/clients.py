"""What one process asks the upstream with: boto3's client, made when first needed, and the short way.

A boto3 client takes 80 ms to make. The short way needs its credentials and certificates only, which a session has.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, cast
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore import exceptions as boto_errors
from botocore.config import Config
from botocore.httpsession import get_cert_path
from botocore.utils import parse_timestamp

from s4gw.backends.remote.config import UpstreamSettings, signs_payload
from s4gw.backends.remote.lean import Lean, LeanKeys, goes_direct
from s4gw.backends.remote.wire import Pool
from s4gw.s3.errors import InternalError

_UNSIGNED: Final = {"payload_signing_enabled": False}


class Clients:
    """Made in the process that uses them; its threads share them.

    Args:
        settings: Where and how.
        prepare: Gets each new boto3 client, which then does everything.

    Raises: InternalError, when AWS's configuration files cannot be used.
    """

    def __init__(self, settings: UpstreamSettings, prepare: Callable[[Any], None] | None) -> None:
        self._settings = settings
        self._prepare = prepare
        self._lock = threading.Lock()
        self._client: Any = None
        self.lean: Lean | None = None
        try:
            self._session = _session()
            if settings.lean and prepare is None and goes_direct(settings.endpoint_url):
                self.lean = make_lean(settings, self._session)
        except (boto_errors.BotoCoreError, OSError) as error:
            raise InternalError from error

    def boto3(self) -> Any:
        """boto3's client. Raises: InternalError, when the settings make none."""
        if self._client is None:
            with self._lock:
                if self._client is None:
                    self._client = self._make()
        return self._client

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
        if self.lean is not None:
            self.lean.pool.close()

    def _make(self) -> Any:
        settings = self._settings
        config = Config(
            region_name=settings.region,
            max_pool_connections=settings.connections,
            connect_timeout=settings.connect_timeout_s,
            read_timeout=settings.read_timeout_s,
            retries={"total_max_attempts": settings.attempts, "mode": settings.retries},
            tcp_keepalive=True,
            # Bodies carry checksums of their own (each frame's); a second one costs the upstream and us a pass.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": settings.addressing} | ({} if signs_payload(settings) else _UNSIGNED),
            user_agent_appid="s4gw",
        )
        try:
            client = self._session.client(
                "s3", endpoint_url=settings.endpoint_url, verify=settings.verify, config=config
            )
        except (boto_errors.BotoCoreError, ValueError) as error:
            raise InternalError from error
        if self._prepare is not None:
            self._prepare(client)
        return client


def _session() -> Any:
    """A session of boto3. PERF: its own way of reading times takes half of what a listing page of 1000 keys takes."""
    core = botocore.session.get_session()
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=read_time)
    return boto3.session.Session(botocore_session=core)


def read_time(text: str) -> datetime:
    """The moment that *text* names: S3's ISO 8601 in UTC at once, whatever else there is as boto3 reads it."""
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        moment = None
    if moment is None or moment.tzinfo is None:
        return cast("datetime", parse_timestamp(text))
    return moment


def make_lean(settings: UpstreamSettings, session: Any) -> Lean:
    """The short way, with the credentials and the certificates that boto3 would use."""
    endpoint = urlsplit(settings.endpoint_url)
    context = None
    if endpoint.scheme == "https":
        verify = settings.verify
        if verify is True:
            verify = session._session.get_config_variable("ca_bundle") or True  # noqa: SLF001 - has no public way
        context = ssl.create_default_context(cafile=get_cert_path(verify) if verify else None)
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
    pool = Pool(
        endpoint,
        connections=settings.connections,
        connect_timeout_s=settings.connect_timeout_s,
        read_timeout_s=settings.read_timeout_s,
        context=context,
    )
    credentials = session.get_credentials()

    def keys() -> LeanKeys | None:
        try:
            frozen = None if credentials is None else credentials.get_frozen_credentials()
        except boto_errors.BotoCoreError:
            return None  # boto3 says what is wrong with them
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            return None
        return LeanKeys(frozen.access_key, frozen.secret_key, frozen.token)

    return Lean(
        settings.endpoint_url,
        pool,
        region=settings.region,
        virtual=settings.addressing == "virtual",
        sign_payload=signs_payload(settings),
        keys=keys,
    )
