"""docs/reference/rules.md from the rules themselves: `python docs/_generate_rules.py`, with --check only compared."""

from __future__ import annotations

import sys
from pathlib import Path

from m2g.commands import explain
from m2g.report import rules

PAGE = Path(__file__).parent / "reference/rules.md"


def main() -> int:
    """Write the page, or compare it."""
    text = rules.markdown(explain.pages())
    if "--check" in sys.argv:
        return 0 if PAGE.is_file() and PAGE.read_text() == text else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
