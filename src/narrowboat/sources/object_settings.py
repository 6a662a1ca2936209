"""How an object store is opened: where it is, and what lets us in.

Covers: the variables and files of each cloud, as its own commands read them, and addresses of emulators. What the
store's library reads by itself is left to it: keys in variables, identities of containers and machines.
Does not cover: reading objects (``objects``). Loads in workers only: credentials are read where they are used, and
never leave.
"""

from __future__ import annotations

import configparser
import contextlib
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from obstore.store import AzureStore, GCSStore, S3Store

from narrowboat.config import store_variable
from narrowboat.sources.object_names import ObjectName

_ADDRESS = re.compile(
    r"https?://[A-Za-z0-9._-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?|https?://\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?/?"
)


def opened(name: ObjectName, *, connect_s: float, stall_s: float, within_s: float) -> Any:
    """The store of an object; nothing is asked of it yet.

    Args:
        connect_s, stall_s: seconds to connect, and without a byte.
        within_s: seconds for one request, its body included.

    Raises:
        ValueError: an address is none. BaseError: of obstore, when something is missing.
    """
    kind, settings = {"s3": (S3Store, _s3), "gs": (GCSStore, _gs), "az": (AzureStore, _az)}[name.scheme]
    given = settings()
    address = given.get("endpoint") or given.get("base_url") or ""
    if address and not _ADDRESS.fullmatch(address):
        raise ValueError("the address of the store is none")  # the library would die of it
    plain = address.startswith("http://") or bool(given.get("use_emulator"))
    return kind(
        name.bucket,
        **given,
        client_options={
            "allow_http": plain,  # where somebody has written it down so
            "connect_timeout": timedelta(seconds=connect_s),
            "read_timeout": timedelta(seconds=stall_s),
            "timeout": timedelta(seconds=max(0.1, within_s)),
            "user_agent": "narrowboat",
        },
        retry_config={"max_retries": 0},  # tries are ours
    )


def _s3() -> dict[str, Any]:
    given: dict[str, Any] = {}
    endpoint = store_variable("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    if not store_variable("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        profile = _profile()
        endpoint = endpoint or profile.pop("endpoint", None)
        given = profile
    if region := store_variable("AWS_REGION", "AWS_DEFAULT_REGION"):
        given["region"] = region
    return given | ({"endpoint": endpoint} if endpoint else {})


def _profile() -> dict[str, str]:
    """The keys, region and endpoint of the profile that AWS_PROFILE names, from the files of AWS's commands."""
    profile = store_variable("AWS_PROFILE") or "default"
    files = {
        store_variable("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials": profile,
        store_variable("AWS_CONFIG_FILE") or "~/.aws/config": profile if profile == "default" else f"profile {profile}",
    }
    names = {
        "aws_access_key_id": "access_key_id",
        "aws_secret_access_key": "secret_access_key",
        "aws_session_token": "session_token",
        "region": "region",
        "endpoint_url": "endpoint",
    }
    found: dict[str, str] = {}
    for path, section in files.items():
        reader = configparser.RawConfigParser(strict=False)
        with contextlib.suppress(configparser.Error, OSError, ValueError):
            reader.read(Path(path).expanduser(), "utf-8")
        if reader.has_section(section):
            own = dict(reader.items(section))
            found = {ours: own[its] for its, ours in names.items() if its in own} | found
    if "secret_access_key" in found:
        return found
    return {key: found[key] for key in ("region", "endpoint") if key in found}


def _gs() -> dict[str, Any]:
    emulator = store_variable("STORAGE_EMULATOR_HOST")
    if emulator is None:
        return {}
    return {"base_url": emulator if "://" in emulator else f"http://{emulator}", "skip_signature": True}


def _az() -> dict[str, Any]:
    """The names of the library, of Azure's commands, and the connection string that Azure's page hands out."""
    string = store_variable("AZURE_STORAGE_CONNECTION_STRING") or ""
    said = dict(part.split("=", 1) for part in string.split(";") if "=" in part)
    if said.get("UseDevelopmentStorage", "").lower() == "true":
        return {"use_emulator": True}
    account = said.get("AccountName") or store_variable("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME")
    endpoint = said.get("BlobEndpoint") or store_variable("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")
    if endpoint is None and account and "EndpointSuffix" in said:
        endpoint = f"https://{account}.blob.{said['EndpointSuffix']}"
    given = {
        "account_name": account,
        "account_key": said.get("AccountKey") or store_variable("AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"),
        "sas_key": said.get("SharedAccessSignature") or store_variable("AZURE_STORAGE_SAS_TOKEN"),
        "endpoint": endpoint,
    }
    return {key: value for key, value in given.items() if value}
