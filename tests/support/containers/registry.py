"""A registry for images on loopback (crane), and what lies in it: manifests, configurations and the bytes of layers."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tests.support.apiserver.server import until
from tests.support.machine import seconds
from tests.support.paths import ROOT
from tests.support.programs import address, folder, running

ASSETS = ROOT / ".tools/images"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_PIECE = 1 << 20


class Config(msgspec.Struct, frozen=True):
    """How an image says that its container starts."""

    user: str
    env: dict[str, str]
    command: list[str]
    folder: str


class Registry:
    """`host` is the part of an image's name before its first slash."""

    def __init__(self, client: httpx.Client, host: str) -> None:
        self.host = host
        self._client = client

    def config(self, name: str, digest: str) -> Config:
        """What the configuration of an image says. `name` has no host."""
        manifest = self._manifest(name, digest)
        said: dict[str, Any] = self._client.get(f"/v2/{name}/blobs/{manifest['config']['digest']}").json()["config"]
        env = dict(one.split("=", 1) for one in said.get("Env", []))
        command = [*(said.get("Entrypoint") or []), *(said.get("Cmd") or [])]
        return Config(said.get("User", ""), env, command, said.get("WorkingDir") or "/")

    def layers(self, name: str, digest: str) -> list[str]:
        """The digests of an image's layers."""
        return [str(layer["digest"]) for layer in self._manifest(name, digest)["layers"]]

    def find(self, name: str, digest: str, words: Sequence[str]) -> list[str]:
        """Which words are anywhere in an image: in its manifest, its configuration, or the files of any layer."""
        wanted = [word.encode() for word in words]
        found = set()
        for content in self._contents(name, digest):
            before = b""
            for piece in content:
                seen = before + piece
                found |= {word for word in wanted if word in seen}
                before = seen[-max(map(len, wanted)) :]
        return sorted(word.decode() for word in found)

    def _contents(self, name: str, digest: str) -> Iterator[Iterator[bytes]]:
        manifest = self._manifest(name, digest)
        yield self._client.get(f"/v2/{name}/manifests/{digest}", headers={"Accept": _MANIFEST}).iter_bytes()
        yield self._client.get(f"/v2/{name}/blobs/{manifest['config']['digest']}").iter_bytes()
        for layer in manifest["layers"]:
            yield self._stream(f"/v2/{name}/blobs/{layer['digest']}", packed=layer["mediaType"].endswith("gzip"))

    def _stream(self, path: str, *, packed: bool) -> Iterator[bytes]:
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        with self._client.stream("GET", path) as answer:
            for piece in answer.raise_for_status().iter_raw(_PIECE):
                yield unpacker.decompress(piece) if packed else piece

    def _manifest(self, name: str, digest: str) -> dict[str, Any]:
        answer = self._client.get(f"/v2/{name}/manifests/{digest}", headers={"Accept": _MANIFEST}).raise_for_status()
        manifest: dict[str, Any] = answer.json()
        known = (".tar", ".tar+gzip")
        assert all(layer["mediaType"].endswith(known) for layer in manifest["layers"]), manifest
        return manifest


@contextlib.contextmanager
def registry() -> Iterator[Registry]:
    """An empty registry. It and its content are gone afterwards."""
    host = address()
    with folder("registry") as place, contextlib.ExitStack() as stack:
        disk = Path(place) / "blobs"
        disk.mkdir()
        command = [str(ASSETS / "crane"), "registry", "serve", "--address", host, "--disk", str(disk)]
        stack.enter_context(running("registry", command))
        timeout = seconds(60)
        client = stack.enter_context(httpx.Client(base_url=f"http://{host}", timeout=timeout, trust_env=False))
        until(lambda: _answers(client), "the registry to answer", 30)
        yield Registry(client, host)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/v2/").is_success
    except httpx.TransportError:
        return False
