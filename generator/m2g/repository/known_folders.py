"""What earlier runs found out of a repository's models and of what people wrote."""

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
    """What earlier runs found out: folders that are exactly what render gives, and what m2g.yaml and model.yaml say."""

    def __init__(self, cache: Cache, salt: bytes) -> None:
        self._cache = cache
        self._salt = key("rendered", salt)
        self._written = key("written", salt)

    def is_up_to_date(self, folder: ModelFolder) -> bool:
        """Whether the folder is known to be exactly what render gives."""
        return folder.digest in self.find_up_to_date([folder])

    def find_up_to_date(self, some: Collection[ModelFolder]) -> frozenset[bytes]:
        """The digests of those of these folders that are known to be what render gives."""
        keys = {self._key(folder.digest): folder.digest for folder in some if folder.digest}
        return frozenset(keys[found] for found in self._cache.get_all(keys))

    def add_up_to_date(self, digest: bytes) -> None:
        """The folder with this digest is exactly what render gives."""
        if digest:
            self._cache.put(self._key(digest), b"")

    def read_config(self, root: Path) -> LoadedConfig:
        """As `config.load`; a good m2g.yaml is not parsed again while its bytes are the same."""
        content = safe_files.read(root, layout.CONFIG)
        place = key(self._written, layout.CONFIG, content)
        known = self._cache.read(place, _CONFIG)
        if known is not None:
            return LoadedConfig(config=known)
        loaded = configuration.parse(content)
        if loaded.config is not None and not loaded.findings:
            self._cache.put(place, msgspec.msgpack.encode(loaded.config))
        return loaded

    def read_intent(self, root: Path, folder: ModelFolder) -> tuple[ModelIntent | None, list[Finding]]:
        """As `config.intent_of`; a good model.yaml is not parsed again while its bytes are the same."""
        content = folder.files.get(model_yaml(folder.slug))
        if content is None:
            return configuration.read_intent(root, folder)
        place = key(self._written, "model.yaml", content)
        known = self._cache.read(place, _INTENT)
        if known is not None:
            return known, []
        intent, wrong = configuration.read_intent(root, folder)
        if intent is not None:
            self._cache.put(place, msgspec.msgpack.encode(intent))
        return intent, wrong

    def _key(self, digest: bytes) -> bytes:
        return key(self._salt, digest)
