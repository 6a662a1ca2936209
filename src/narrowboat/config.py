"""The only reader of the environment.

Covers: ``NARROWBOAT_*`` variables, caps that have names of their own, keys and addresses of remote engines and object
stores, where the home, the pack cache and unfinished outputs are.
Does not cover: parsing of what the values mean (``sizes``, ``cli/``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from narrowboat.errors import UsageError
from narrowboat.values import Caps

PREFIX = "NARROWBOAT_"
#: Variable -> what it caps, a field of :class:`narrowboat.values.Caps`. Without the prefix, since that is how they are
#: set where people transcribe already.
CAPS = {
    "MAX_FILE_SIZE_MB": "file_bytes",
    "MAX_CONCURRENT_DOWNLOADS": "downloads",
    "GLOBAL_TRANSCRIPTION_LIMIT": "transcriptions",
    "CHUNK_CONCURRENCY": "chunks",
    "GEMINI_API_CONCURRENCY": "gemini",
    "MAX_BATCH_SIZE": "batch",
}

#: Variable -> the option of ``narrowboat serve`` that it stands for where that is not set: what platforms set, and what
#: users of earlier services know.
SERVED = {"PORT": "port", "MAX_PENDING_JOBS": "max_queue", "MAX_VIDEO_SIZE_MB": "max_upload"}
_FITS = "as many run as fit the memory and the cores; --memory and --cores say less"
_STREAMS = "memory does not depend on the length of a source"
_FREED = "a step runs in a process of its own, whose memory the system takes back"
#: Variables of earlier services that do nothing here, and why.
NOT_NEEDED = {
    "CLEANUP_INTERVAL_SECONDS": "files go with their job; --keep says for how long outputs stay",
    "ENABLE_CONCURRENT_PROCESSING": _FITS,
    "ENABLE_MEMORY_EFFICIENT_PROCESSING": "there is no other way of working",
    "FORCE_GARBAGE_COLLECTION": _FREED,
    "MAX_API_RETRIES": "tries follow what the server says: see docs/engines.md",
    "MAX_CONCURRENT_PROCESSING": _FITS,
    "MAX_VIDEO_DURATION_SECONDS": _STREAMS,
    "MEMORY_CHECK_INTERVAL_MB": "memory is looked at up to 500 times a second, whatever is read",
    "SECTION_PROCESSING_DELAY_SECONDS": "sections wait for room, not for time",
    "WEB_CONCURRENCY": "one supervisor holds a home; its workers are processes already",
    "WORKER_TIMEOUT": "no request waits for work; --time-limit ends a step that takes too long",
}

#: Vendor of a remote engine -> the variables that its key may be in, the first that is set. Named as its client names
#: them. A key is read where it is sent, in a worker, and to tell whose quota it is; it is written down nowhere.
API_KEYS = {"gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"), "openai": ("OPENAI_API_KEY",)}
#: Vendor -> the variable of the address of another server than its own.
BASE_URLS = {"gemini": "GOOGLE_GEMINI_BASE_URL", "openai": "OPENAI_BASE_URL"}


def variable(option: str) -> str:
    """The variable of an option: ``--max-download`` or ``max_download`` -> ``NARROWBOAT_MAX_DOWNLOAD``."""
    return PREFIX + option.lstrip("-").replace("-", "_").upper()


def setting(option: str, environment: Mapping[str, str] | None = None) -> str | None:
    """The value of an option's variable; None when it is unset or empty."""
    return (os.environ if environment is None else environment).get(variable(option)) or None


def caps(environment: Mapping[str, str] | None = None) -> Caps:
    """The caps that are set; a variable that is unset or empty caps nothing.

    Raises:
        UsageError: one is no whole number above zero; names the variable.
    """
    found = {}
    for variable_name, field in CAPS.items():
        text = (os.environ if environment is None else environment).get(variable_name, "").strip()
        if not text:
            continue
        if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) == 0:
            raise UsageError(
                f"{variable_name}: {text!r} is no whole number above zero", hint="correct it, or unset it for no cap"
            )
        found[field] = int(text) << 20 if field == "file_bytes" else int(text)
    return Caps(**found)


def api_key(vendor: str, environment: Mapping[str, str] | None = None) -> str | None:
    """The key for a vendor's remote engines; None when there is none. Never show it."""
    found = os.environ if environment is None else environment
    return next((key for name in API_KEYS[vendor] if (key := found.get(name, "").strip())), None)


def base_url(vendor: str, environment: Mapping[str, str] | None = None) -> str | None:
    """The address of another server that speaks a vendor's protocol; None when none is set."""
    return (os.environ if environment is None else environment).get(BASE_URLS[vendor], "").strip() or None


def store_variable(*names: str) -> str | None:
    """The first that is set of the variables that a cloud's own commands read; None when none is. It may be a key: it
    is read in the worker that needs it."""
    return next((value for name in names if (value := os.environ.get(name, "").strip())), None)


def proxy_for(url: str) -> str | None:
    """The proxy that ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` name for an address; it may hold a
    password. None for none."""
    from urllib.request import getproxies, proxy_bypass  # 4 MiB: only for who asks a remote engine

    parts = urlsplit(url)
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    return None if found is None or proxy_bypass(parts.netloc) else found


def webhook_secret(environment: Mapping[str, str] | None = None) -> str | None:
    """What notices are signed with: ``NARROWBOAT_WEBHOOK_SECRET``. Never show it."""
    return (os.environ if environment is None else environment).get(f"{PREFIX}WEBHOOK_SECRET", "").strip() or None


def storage_headers(url: str, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Headers that go with a request for ``url``: those of ``NARROWBOAT_STORAGE_HEADERS`` (``Name: value``, with ``;``
    between), when the address begins as ``NARROWBOAT_STORAGE_URL`` does. Read where they are sent; never show them.
    """
    found = os.environ if environment is None else environment
    begins = found.get(f"{PREFIX}STORAGE_URL", "").partition("{id}")[0]
    if not re.match(r"https?://[^/]+/", begins) or not url.startswith(begins):
        return {}
    pairs = [part.partition(":") for part in found.get(f"{PREFIX}STORAGE_HEADERS", "").split(";") if ":" in part]
    return {name.strip(): value.strip() for name, _, value in pairs}


def served(environment: Mapping[str, str] | None = None) -> dict[str, int]:
    """What the variables of :data:`SERVED` say, by option; a size in bytes.

    Raises:
        UsageError: one is no whole number above zero; names the variable.
    """
    found = {}
    for variable_name, option in SERVED.items():
        text = (os.environ if environment is None else environment).get(variable_name, "").strip()
        if not text:
            continue
        if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) == 0:
            raise UsageError(f"{variable_name}: {text!r} is no whole number above zero", hint="correct it, or unset it")
        found[option] = int(text) << 20 if option == "max_upload" else int(text)
    return found


def not_needed(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of :data:`NOT_NEEDED` that are set, and why they do nothing."""
    found = os.environ if environment is None else environment
    return {name: why for name, why in NOT_NEEDED.items() if found.get(name, "").strip()}


def service_keys(environment: Mapping[str, str] | None = None) -> list[str]:
    """Keys of the service that the environment names: ``NARROWBOAT_KEYS``, with commas between. Never show them."""
    text = (os.environ if environment is None else environment).get(f"{PREFIX}KEYS", "")
    return [key.strip() for key in text.split(",") if key.strip()]


def default_home() -> Path:
    """Where journal, scratch and default outputs are: ``NARROWBOAT_HOME``, else ``~/.narrowboat``."""
    return Path(setting("home") or Path.home() / ".narrowboat")


def default_cache() -> Path:
    """Where packs are kept: ``NARROWBOAT_CACHE``, else or ``narrowboat`` in the XDG cache folder."""
    own = setting("cache")
    if own is not None:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "narrowboat"


def pack_folder(name: str, cache: Path | None = None) -> Path:
    """Where the pack ``name`` is once it is fetched; a folder that exists is complete."""
    return (cache or default_cache()) / "packs" / name


def part_path(path: Path) -> Path:
    """Where an output is written before it is renamed to ``path``: beside it, hidden."""
    return path.with_name(f".{path.name}.part")
