"""The schemas of every kind that m2g writes, scaffolds or checks."""

from __future__ import annotations

from m2g.core.schema_errors import Violation
from m2g.validation.schemas.catalogue import Catalogue
from m2g.validation.schemas.kubernetes import KUBERNETES

__all__ = ["KUBERNETES", "Catalogue", "Violation"]
