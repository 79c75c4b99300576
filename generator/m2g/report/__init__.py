"""Outcomes become text, JSON, Markdown or GitHub annotations; the only formatter."""
