"""The renderer of each serving backend."""

from __future__ import annotations

from m2g.rendering.kserve import objects as kserve
from m2g.rendering.objects import Renderer
from m2g.serving.kserve import KSERVE

RENDERERS: dict[str, Renderer] = {KSERVE.name: Renderer(base=kserve.render_base, overlay=kserve.render_overlay)}
"""Name of the backend → renderer."""
