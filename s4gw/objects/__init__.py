"""What the gateway is for: originals in, fewer stored bytes in the backend, the same originals out."""

from s4gw.objects.dictionaries import OBJECT_BYTES_MAX, Dictionaries, dictionary_choice
from s4gw.objects.digests import DEFAULT_ALGORITHM, PLAIN, DigestPlan, Expected
from s4gw.objects.errors import DamagedObject, ObjectsError
from s4gw.objects.hints import Hints
from s4gw.objects.multipart import Completion
from s4gw.objects.receive import Source
from s4gw.objects.service import FRAME_BYTES, Objects, Written, copied_meta

__all__ = [
    "DEFAULT_ALGORITHM",
    "FRAME_BYTES",
    "OBJECT_BYTES_MAX",
    "PLAIN",
    "Completion",
    "DamagedObject",
    "Dictionaries",
    "DigestPlan",
    "Expected",
    "Hints",
    "Objects",
    "ObjectsError",
    "Source",
    "Written",
    "copied_meta",
    "dictionary_choice",
]
