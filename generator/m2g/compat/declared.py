"""What KServe's own ClusterServingRuntimes declare, by KServe version, and how KServe selects one of them.

Source: kserve config/runtimes/, pkg/apis/serving/v1beta1/predictor_model.go and the predictor's reconciler.
"""

from __future__ import annotations

import msgspec

from m2g.core.manifest import Manifest
from m2g.core.model import Value


class SupportedFormat(Value, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """One entry of `supportedModelFormats`."""

    name: str
    version: str = ""
    auto_select: bool = False
    priority: int | None = None


class Declaration(Value, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """The part of a ServingRuntime's spec that KServe selects by. No protocol means every protocol."""

    supported_model_formats: tuple[SupportedFormat, ...] = ()
    protocol_versions: tuple[str, ...] = ()
    disabled: bool = False

    def supports_format(self, name: str, version: str, *, named: bool) -> bool:
        """Whether it serves a format: by exact text. A runtime that the model does not name must be auto-selected."""
        return any(
            one.name == name and version in ("", one.version) and (named or one.auto_select)
            for one in self.supported_model_formats
        )

    def supports_protocol(self, protocol: str) -> bool:
        """Whether it speaks a protocol."""
        return not self.protocol_versions or protocol in self.protocol_versions


def read_declaration(runtime: Manifest) -> Declaration | None:
    """What a ServingRuntime declares; None if its spec has another form, which the schema reports."""
    try:
        return msgspec.convert(runtime.get("spec"), Declaration)
    except msgspec.ValidationError:
        return None
