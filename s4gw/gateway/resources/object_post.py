"""PostObject: upload by an HTML form.

The form is authentication and policy at once: its fields carry a signed policy document that says what may be
uploaded. The file streams like any other body; every field stands before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from s4gw.auth import post_policy
from s4gw.bucketconfig import tagging
from s4gw.gateway.middleware import encryption
from s4gw.gateway.resources.base import Resource, quoted
from s4gw.gateway.resources.multipart import location
from s4gw.gateway.resources.object_put import OBJECT_BYTES_MAX, note, written_headers
from s4gw.gateway.resources.upload_request import digest_plan, meta_of
from s4gw.s3 import headers, model, names, xml_write
from s4gw.s3.errors import EntityTooLarge, EntityTooSmall, UserKeyMustBeSpecified
from s4gw.s3.form import Fields, FileData, FormReader, Signal

if TYPE_CHECKING:
    import falcon

    from s4gw.gateway.body import Body
    from s4gw.gateway.request import S3Request

READ_BYTES: Final = 64 * 1024
STATUS_CREATED: Final = 201
STATUSES: Final = {"200": 200, "201": STATUS_CREATED, "204": 204}
RENAMED: Final = {"acl": "x-amz-acl"}


class FormFile:
    """The file of a form, as a body to be stored.

    Args:
        body: The request's body.
        reader: The form's parser, which has given its fields.
        smallest: Least size that the policy allows, in bytes.
        largest: Greatest size that the policy or S3 allows, in bytes.
    """

    length: int | None = None  # a form says how long it is, not how long its file is

    def __init__(self, body: Body, reader: FormReader, smallest: int, largest: int) -> None:
        self._body = body
        self._reader = reader
        self._smallest = smallest
        self._largest = largest
        self._size = 0
        self._rest = memoryview(b"")
        self._ended = False

    @property
    def trailers(self) -> Mapping[str, str]:
        """Forms have no trailing headers."""
        return {}

    def readinto(self, view: memoryview, /) -> int:
        """Fill *view* as far as the file reaches. Raises: EntityTooLarge, EntityTooSmall, MalformedPOSTRequest."""
        filled = 0
        while filled < len(view) and self._more():
            count = min(len(self._rest), len(view) - filled)
            view[filled : filled + count] = self._rest[:count]
            self._rest = self._rest[count:]
            filled += count
        return filled

    def _more(self) -> bool:
        """Whether file bytes are at hand, after getting some if need be."""
        while not self._rest:
            if self._ended:
                return False
            event = self._reader.next_event()
            if isinstance(event, FileData):
                self._rest = memoryview(event.data)
                self._size += len(event.data)
                if self._size > self._largest:
                    raise EntityTooLarge(ProposedSize=str(self._size), MaxSizeAllowed=str(self._largest))
            elif event is Signal.END:
                self._ended = True
                if self._size < self._smallest:
                    raise EntityTooSmall(ProposedSize=str(self._size), MinSizeAllowed=str(self._smallest))
            else:
                feed(self._body, self._reader)
        return True


def feed(body: Body, reader: FormReader) -> None:
    """Give *reader* the next bytes of *body*. Raises: MalformedPOSTRequest at its end."""
    buffer = bytearray(READ_BYTES)
    count = body.readinto(memoryview(buffer))
    if not count:
        reader.end_of_input()
    reader.feed(memoryview(buffer)[:count])


class PostObject(Resource):
    """Store the file of a form."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Identity, permission and policy come from the fields, before a byte of the file is taken."""
        reader = FormReader(req.header_map.get("content-type", ""))
        while not isinstance(event := reader.next_event(), Fields):
            feed(req.body, reader)
        fields, now = event.values, self.services.clock()
        key = fields.get("key")
        if not key:
            raise UserKeyMustBeSpecified
        names.check_key(key)
        req.identity = post_policy.authenticate_form(
            fields,
            self.services.credentials,
            now=now,
            bucket=req.bucket,
            sigv2=self.services.settings.sigv2_links,
        )
        sent = headers.from_form({RENAMED.get(name, name): value for name, value in fields.items()})
        if "tagging" in sent:
            del sent["tagging"]
            sent["x-amz-tagging"] = _tagging_header(fields["tagging"])
        self.services.authorizer.authorize(req, "PutObject", req.bucket, key, headers=sent)
        req.encryption = encryption.decide(req, "PutObject", sent)
        policy = post_policy.form_policy(fields)
        smallest, largest = (policy and policy.size_range) or (0, OBJECT_BYTES_MAX)
        req.key = key
        written = self.objects.put(
            req.bucket,
            key,
            FormFile(req.body, reader, smallest, min(largest, OBJECT_BYTES_MAX)),
            meta=meta_of(req, sent),
            plan=digest_plan(req, fields=sent),
        )
        note(req, written)
        for name, value in written_headers(req, written).items():
            resp.set_header(name, value)
        resp.set_header("Location", location(req))
        _answer(req, resp, fields, quoted(written.object.etag))


def _tagging_header(document: str) -> str:
    """The tags of a form's XML field, spelled as a header. Raises: MalformedXML, InvalidTag."""
    parsed = model.read_request("PutObjectTagging", bucket="-", key="-", query={}, headers={}, body=document.encode())
    tags = tagging.parse_tag_set(parsed["Tagging"]["TagSet"], limit=tagging.OBJECT_TAGS_MAX)
    return tagging.format_header(tags)


def _answer(req: S3Request, resp: falcon.Response, fields: Mapping[str, str], etag: str) -> None:
    """What the form asks to see: a redirect, a document or nothing."""
    target = fields.get("success_action_redirect") or fields.get("redirect")
    if target and (found := _redirect(target, req, etag)):
        resp.status = 303
        resp.set_header("Location", found)
        return
    resp.status = STATUSES.get(fields.get("success_action_status", ""), 204)
    if resp.status_code == STATUS_CREATED:
        values = {"Location": location(req), "Bucket": req.bucket, "Key": req.key, "ETag": etag}
        elements = "".join(f"<{name}>{xml_write.escape(value)}</{name}>" for name, value in values.items())
        resp.content_type = "application/xml"
        resp.data = f'<?xml version="1.0" encoding="UTF-8"?>\n<PostResponse>{elements}</PostResponse>'.encode()


def _redirect(target: str, req: S3Request, etag: str) -> str | None:
    """Where to send the browser; None for what is no URL, which S3 takes for no wish at all.

    Source: S3's developer guide, "POST object", success_action_redirect.
    """
    try:
        parts = urlsplit(target)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc or not target.isprintable():
        return None
    found = f"bucket={quote(req.bucket)}&key={quote(req.key, safe='')}&etag={quote(etag, safe='')}"
    return f"{target}{'&' if parts.query else '?'}{found}"
