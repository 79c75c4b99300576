"""The renderer of each serving backend."""

from __future__ import annotations

from m2g.rendering.kserve import objects as kserve
from m2g.rendering.objects import Renderer
from m2g.rendering.seldon import core_1, core_2
from m2g.serving.kserve import KSERVE
from m2g.serving.seldon import SELDON_CORE_1, SELDON_CORE_2

RENDERERS: dict[str, Renderer] = {
    KSERVE.name: Renderer(base=kserve.render_base, overlay=kserve.render_overlay, problems=kserve.find_problems),
    SELDON_CORE_1.name: Renderer(base=core_1.render_base, overlay=core_1.render_overlay),
    SELDON_CORE_2.name: Renderer(base=core_2.render_base, overlay=core_2.render_overlay),
}
"""Name of the backend → renderer."""
