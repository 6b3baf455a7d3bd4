from __future__ import annotations

import errno
import http.client
import json
import urllib.error
from email.message import Message
from typing import Any

import pytest

from dask_augment.dataset.quarantine import Quarantined, classify
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.schema import SchemaError
from dask_augment.dataset.sink import StagingGone


def caused(outer: Exception, inner: Exception) -> Exception:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "no space left"),
        OSError(errno.EIO, "input/output error"),
        OSError(errno.ESTALE, "stale file handle"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        TimeoutError(),
        OSError("[ERROR] Operation expired"),
        OSError("File did not open properly: [FATAL] Socket timeout"),
        caused(RuntimeError("part failed"), OSError(errno.EDQUOT, "quota")),
        OSError(errno.ENOTCONN, "Transport endpoint is not connected"),
        OSError("[ERROR] Server responded with an error: [3007] Unable to read /store/a.root; input/output error"),
        OSError("[ERROR] Server responded with an error: [3024] Server is overloaded"),
        OSError("File did not open properly: [FATAL] Redirect limit has been reached"),
        OSError("XRootD error: [ERROR] Internal error\nin file root://host//a.root"),
        OSError("[ERROR] Invalid session"),
        OSError("When reading key 'a' in bucket 'b': AWS Error SLOW_DOWN during GetObject operation: slow down"),
        OSError("AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 28, Timeout was reached"),
        OSError("502 Bad Gateway"),
        urllib.error.HTTPError("http://h/a", 503, "Unavailable", Message(), None),
        urllib.error.URLError("temporary failure in name resolution"),
        http.client.IncompleteRead(b"abc", 10),
    ],
)
def test_transient(error: Exception) -> None:
    assert classify(error) == "transient"


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "no such file"),
        PermissionError(errno.EACCES, "denied"),
        OSError("expected Chunk of length 100, received 60 bytes"),
        ValueError("not a ROOT file"),
        KeyError("Jet_pt"),
        SchemaError("column 'x'"),
        StagingGone("gone"),
        MemoryError(),
        ZeroDivisionError(),
        EOFError(),
        OSError("[ERROR] Server responded with an error: [3011] Unable to open file /store/a.root; no such file"),
        OSError("[ERROR] Server responded with an error: [3010] Permission denied"),
        OSError("[FATAL] Auth failed: No protocols left to try"),
        OSError("[ERROR] Invalid arguments"),
        OSError("AWS Error ACCESS_DENIED during HeadObject operation"),
        OSError("expected Chunk of length 100, received 60 bytes\nin file /data/network/connection.root"),
        OSError("expected Chunk of length 100, received 60 bytes\nin file root://socket.host//temporary/a.root"),
        OSError("Not a Parquet file: magic bytes not found"),
        urllib.error.HTTPError("http://h/a", 404, "Not Found", Message(), None),
        urllib.error.HTTPError("http://h/a", 403, "Forbidden: the connection is not allowed", Message(), None),
        RuntimeError("the connection of two jets timed out"),
        caused(RuntimeError("part failed"), FileNotFoundError(errno.ENOENT, "connection list not found")),
    ],
)
def test_permanent(error: Exception) -> None:
    assert classify(error) == "permanent"


def client_error(module: str, name: str, *bases: type, **said: Any) -> Exception:
    """An error of a storage client that may not be installed here, as its class and its members tell it apart."""
    kind = type(name, bases or (Exception,), {"__module__": module})
    error = kind(said.pop("text", ""))
    error.__dict__.update(said)
    return error


def answer(status: int) -> dict[str, Any]:
    return {"Error": {"Code": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}}


class Answered:
    status_code = 429


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (client_error("aiohttp.client_exceptions", "ServerDisconnectedError"), "transient"),
        (client_error("aiohttp.client_exceptions", "ClientPayloadError"), "transient"),
        (client_error("aiohttp.client_exceptions", "ClientResponseError", status=503), "transient"),
        (client_error("aiohttp.client_exceptions", "ClientResponseError", status=404), "permanent"),
        (client_error("aiohttp.client_exceptions", "InvalidURL", ValueError), "permanent"),
        (client_error("aiohttp.client_exceptions", "ClientConnectorCertificateError"), "permanent"),
        (client_error("botocore.exceptions", "EndpointConnectionError"), "transient"),
        (client_error("botocore.exceptions", "ClientError", response=answer(503)), "transient"),
        (client_error("botocore.exceptions", "ClientError", response=answer(403)), "permanent"),
        (client_error("botocore.exceptions", "ClientError", response={}), "permanent"),
        (client_error("botocore.exceptions", "NoCredentialsError"), "permanent"),
        (client_error("requests.exceptions", "HTTPError", OSError, response=Answered()), "transient"),
        (client_error("requests.exceptions", "ChunkedEncodingError", OSError), "transient"),
        (client_error("urllib3.exceptions", "MaxRetryError"), "transient"),
        (client_error("fsspec.exceptions", "FSTimeoutError", TimeoutError), "transient"),
        (client_error("gcsfs.retry", "HttpError", code="502"), "transient"),
        (client_error("somewhere", "ConnectFailed", status=503), "permanent"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_errors_of_storage_clients(error: Exception, kind: str) -> None:
    assert classify(error) == kind
    assert classify(caused(RuntimeError("part failed"), error)) == kind


def test_a_loop_of_causes_ends() -> None:
    one, other = ValueError(), KeyError()
    one.__cause__, other.__cause__ = other, one
    assert classify(one) == "permanent"


def test_json() -> None:
    entry = Quarantined.of(Part.of("tt", {"file": "a.root"}), OSError("x" * 5000), 1000)
    assert Quarantined.from_dict(json.loads(json.dumps(entry.to_dict()))) == entry
    assert entry.error.startswith("OSError: xxx")
    assert len(entry.error) == 2000
