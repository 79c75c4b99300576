"""How many releases one run may remove."""

from __future__ import annotations

from collections.abc import Collection

from m2g.core.errors import InputError
from m2g.repository.layout import Key
from m2g.repository.state import Repository


def refuse_mass_removal(state: Repository, gone: Collection[Key], *, empty: bool, cap: int | None) -> None:
    """A cap on removals: a wrong tracking URI, a wiped registry or lost records must not empty the clusters.

    `gone` are the releases that would be removed; `cap` is how many may be (None: as m2g.yaml says); `empty` says that
    the registry has no model at all. Raises InputError.
    """
    fleet = len(set(state.records) | set(gone))
    if cap is None:
        rule = state.config.removals
        cap = 0 if empty else max(rule.max_count, fleet * rule.max_percent // 100)
    if len(gone) > cap:
        names = ", ".join(f"{slug} ({environment})" for slug, environment in sorted(gone)[:10])
        more = f" and {len(gone) - 10} more" if len(gone) > 10 else ""
        raise InputError(
            f"this run would remove {len(gone)} of {fleet} releases: {names}{more}",
            hint=f"if that is meant: --allow-removals {len(gone)}; else check registry.uri, aliases and models in "
            "m2g.yaml, and that no record was deleted (the cap is removals in m2g.yaml)",
        )
