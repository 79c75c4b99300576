"""Cached knowledge about a repository: which model folders are up to date, and the parsed m2g.yaml and model.yaml."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec

from m2g.core import safe_files
from m2g.core.cache import Cache, key
from m2g.core.config_types import Config, ModelIntent
from m2g.core.finding import Finding
from m2g.repository import config as configuration
from m2g.repository import layout
from m2g.repository.config import LoadedConfig
from m2g.repository.layout import model_yaml
from m2g.repository.model_folder import ModelFolder

_CONFIG = msgspec.msgpack.Decoder(Config)
_INTENT = msgspec.msgpack.Decoder(ModelIntent)


class KnownFolders:
    """Results of earlier runs: the folders that are exactly what render would write, and the parsed files.

    `fingerprint` is the digest of everything else that these depend on (`fingerprint.digest_inputs`).
    """

    def __init__(self, cache: Cache, fingerprint: bytes) -> None:
        self._cache = cache
        self._folders = key("rendered", fingerprint)
        self._files = key("written", fingerprint)

    def is_up_to_date(self, folder: ModelFolder) -> bool:
        """Whether the folder is known to be exactly what render would write."""
        return folder.digest in self.find_up_to_date([folder])

    def find_up_to_date(self, folders: Collection[ModelFolder]) -> frozenset[bytes]:
        """The digests of those folders that are known to be up to date."""
        keys = {self._key(folder.digest): folder.digest for folder in folders if folder.digest}
        return frozenset(keys[entry] for entry in self._cache.get_all(keys))

    def add_up_to_date(self, digest: bytes) -> None:
        """Record that the folder with this digest is up to date."""
        if digest:
            self._cache.put(self._key(digest), b"")

    def read_config(self, root: Path) -> LoadedConfig:
        """Like `config.load`, but a valid m2g.yaml is parsed again only if it changes."""
        content = safe_files.read(root, layout.CONFIG)
        entry = key(self._files, layout.CONFIG, content)
        known = self._cache.read(entry, _CONFIG)
        if known is not None:
            return LoadedConfig(config=known)
        loaded = configuration.parse(content)
        if loaded.config is not None and not loaded.findings:
            self._cache.put(entry, msgspec.msgpack.encode(loaded.config))
        return loaded

    def read_intent(self, root: Path, folder: ModelFolder) -> tuple[ModelIntent | None, list[Finding]]:
        """Like `config.read_intent`, but a valid model.yaml is parsed again only if it changes."""
        content = folder.files.get(model_yaml(folder.slug))
        if content is None:
            return configuration.read_intent(root, folder)
        entry = key(self._files, "model.yaml", content)
        known = self._cache.read(entry, _INTENT)
        if known is not None:
            return known, []
        intent, findings = configuration.read_intent(root, folder)
        if intent is not None:
            self._cache.put(entry, msgspec.msgpack.encode(intent))
        return intent, findings

    def _key(self, digest: bytes) -> bytes:
        return key(self._folders, digest)
