"""The cap on how many releases one run may remove."""

from __future__ import annotations

from collections.abc import Collection

from m2g.core.errors import InputError
from m2g.repository.layout import Key
from m2g.repository.state import Repository


def check_removals(state: Repository, gone: Collection[Key], *, empty: bool, cap: int | None) -> None:
    """Raise InputError if a run would remove too many releases.

    A wrong tracking URI, an empty registry or deleted records must not empty the clusters. `gone` are the releases to
    remove; `cap` is how many the run may remove (None: see m2g.yaml); `empty` means that the registry has no models.
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
            hint=f"if you want that, add --allow-removals {len(gone)}; otherwise check registry.uri and models in "
            "m2g.yaml, the aliases in MLflow, and that no release record was deleted (removals in m2g.yaml is the cap)",
        )
