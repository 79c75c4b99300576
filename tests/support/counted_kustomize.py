"""A kustomize that counts how often it is started."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


def counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kustomize that leaves a line for each time it is started."""
    log, wrapper = folder / "log", folder / "kustomize"
    log.write_text("")
    wrapper.write_text(f'#!/bin/sh\necho >> {log}\nexec {shutil.which("kustomize")} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("M2G_KUSTOMIZE", str(wrapper))
    return log
