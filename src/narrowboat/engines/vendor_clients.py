"""The client of a vendor, and what it raises as errors of ours. Loads in workers only.

Covers: one client for each key and server, made by one thread; that nothing a client raises gets out as it is.
Does not cover: what the errors mean (``refusals``), how each vendor says them (``gemini``, ``openai_compatible``).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from narrowboat.engines.refusals import failure
from narrowboat.engines.remote import RemoteModel, address_of, key_of
from narrowboat.errors import NarrowboatError

_Client = TypeVar("_Client")
_making = threading.Lock()  # a client that two calls made at once would be there twice, with its connections


@contextlib.contextmanager
def explained(
    model: RemoteModel,
    made: Callable[[str, str], _Client],
    own: str,
    refused: Callable[[Exception, str], Exception | None],
) -> Iterator[_Client]:
    """The client; what it raises inside becomes an error of ours.

    Args:
        made: the client for a key and the address of a server; cached by who gives it.
        own: the address of the vendor's own server.
        refused: what a refusal of the server becomes, given the key; None for what is none.
    """
    key = key_of(model)
    with _making:
        client = made(key, address_of(model) or own)
    try:
        yield client
    except (NarrowboatError, MemoryError):
        raise
    except Exception as error:
        raise refused(error, key) or failure(model, error, key) from None
