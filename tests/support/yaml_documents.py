"""YAML as people write it, in every style at once: documents for property tests, and which line belongs to what."""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from hypothesis import strategies as st

Path: TypeAlias = tuple[str | int, ...]
_KEYS = st.sampled_from(
    [
        *"a b c prod dev-1 x.y/z settings größe __proto__ http://x:1/y".split(),
        *("'on'", '"08"', "'a b'", '"t\\tab"', "'#no'", "'it''s'", '"1e3"', "&anchor word", "'{x}'", '""', "k" * 300),
    ]
)
_INLINE = st.sampled_from(
    [
        *"word 7 -1 1.5 1e3 0x1f true null ~ a#b a:b x,y größe https://x.org/y?z=1#f".split(),
        *(
            "'on'",
            '"y"',
            "two words",
            '"a # b"',
            "'it''s'",
            '"\\u00e9\\n"',
            "&mark 5",
            "''",
            "z" * 200,
            "a, b",
            "{}",
            "[]",
        ),
        *("{ }", "{a: 1}", "{a: 1, b: [x, {c: y}]}", "[ a , b ]", "[a, b,]", '{"q":1,r: , s}', "[[1], []]"),
    ]
)
_FLOW_SCALARS = st.sampled_from(["word", "7", "'on'", '"a, b"', "two words", "{a: 1, b: 2}", "[p, q]", "[]"])
_COMMENTS = st.sampled_from(["# note", "#", "# a: 1", "#! {x", "# größe"])
_TAILS = st.sampled_from(["", "", "", " # why", "   #", "  "])
_DEPTH = 3


class Written(msgspec.Struct, kw_only=True):
    """A document. `owners` has the path of what each line belongs to; lines between two fields are the mapping's."""

    content: bytes
    owners: list[Path]
    line_break: str

    def lines(self, path: Path) -> tuple[int, int]:
        """The first line of what is at `path`, or of what it lies in, and the one after the last."""
        numbers = [number for number, owner in enumerate(self.owners) if owner[: len(path)] == path]
        if not numbers and path:
            return self.lines(path[:-1])
        return (numbers[0], numbers[-1] + 1) if numbers else (0, 1)


@st.composite
def documents(draw: st.DrawFn) -> Written:
    """A mapping at the root, now and then an empty one."""
    writer = _Writer(draw)
    opening = draw(st.sampled_from([[], [], ["# head"], ["", "# yaml-language-server: x", ""], ["---"], ["--- # s"]]))
    for words in opening:
        writer.put(words, ())
    literal = False
    if draw(st.integers(0, 9)):
        literal = writer.mapping(0, (), 0)
    closings: list[list[str]] = [[], [], ["# tail"], ["", "# tail", ""]]
    if opening and opening[0].startswith("---"):
        closings += [["..."], ["...", "# after"]]
    closing = draw(st.sampled_from(closings))
    for words in closing:
        writer.put(words, ())
    line_break = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    text = line_break.join(line for line, _ in writer.found)
    if text and (draw(st.booleans()) or (literal and not closing)):
        text += line_break
    return Written(
        content=(draw(st.sampled_from(["", "", "", "\ufeff"])) + text).encode(),
        owners=[owner for _, owner in writer.found],
        line_break=line_break if line_break in text else "\n",
    )


class _Writer:
    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self.found: list[tuple[str, Path]] = []
        self._kept: Path | None = None

    def put(self, line: str, owner: Path) -> None:
        """Empty lines after a text with `+` are its own."""
        if line:
            self._kept = None
        self.found.append((line, owner if self._kept is None else self._kept))

    def mapping(self, indent: int, path: Path, depth: int) -> bool:
        """Says whether the last line is one of a block of text."""
        literal = False
        keys = self._draw(st.lists(_KEYS, min_size=1, max_size=3, unique=True))
        for number, key in enumerate(keys):
            if number or not path:
                self._between(indent, path)
            below = (*path, _read(key))
            literal = self._value(f"{' ' * indent}{key}:", indent, below, depth)
        return literal

    def _sequence(self, indent: int, path: Path, depth: int) -> bool:
        literal = False
        for number in range(self._draw(st.integers(1, 3))):
            if number:
                self._between(indent, path)
            below = (*path, number)
            gap = self._draw(st.sampled_from([" ", " ", "   "]))
            if depth < _DEPTH and self._draw(st.integers(0, 2)) == 0:  # `- a: 1`
                start, column = len(self.found), indent + 1 + len(gap)
                literal = self.mapping(column, below, depth + 1)
                line, owner = self.found[start]
                self.found[start] = (f"{' ' * indent}-{gap}{line[column:]}", owner)
            else:
                literal = self._value(f"{' ' * indent}-", indent, below, depth)
        return literal

    def _between(self, indent: int, path: Path) -> None:
        for kind in self._draw(st.lists(st.sampled_from(["", "#"]), max_size=2)):
            self.put(" " * indent + self._draw(_COMMENTS) if kind else "", path)

    def _value(self, head: str, indent: int, path: Path, depth: int) -> bool:
        kinds = ["inline", "inline", "none", "below", "literal", "lines", "quoted"]
        if depth < _DEPTH:
            kinds += ["mapping", "mapping", "sequence"]
        kind = self._draw(st.sampled_from(kinds))
        tail = self._draw(_TAILS)
        if kind == "literal":
            return self._literal(head, indent, path)
        if kind in ("mapping", "sequence"):
            self.put(head + tail, path)
            for _ in range(self._draw(st.integers(0, 1))):
                self.put(" " * (indent + 1) + self._draw(_COMMENTS), path)
            least = 0 if kind == "sequence" and head[-1] == ":" else 1
            inner = indent + self._draw(st.integers(least, 4))
            literal = (self.mapping if kind == "mapping" else self._sequence)(inner, path, depth + 1)
        else:
            literal = False
            self._simple(kind, head, tail, indent, path)
        if not literal and self._draw(st.integers(0, 4)) == 0:
            self.put(" " * (indent + self._draw(st.integers(1, 6))) + self._draw(_COMMENTS), path)
        return literal

    def _simple(self, kind: str, head: str, tail: str, indent: int, path: Path) -> None:
        inner = " " * (indent + self._draw(st.integers(1, 4)))
        match kind:
            case "none":
                self.put(head + tail, path)
            case "inline":
                gap = self._draw(st.sampled_from([" ", " ", "    "]))
                self.put(f"{head}{gap}{self._draw(_INLINE)}{tail}", path)
            case "below":
                self.put(head + tail, path)
                self.put(f"{inner}{self._draw(_INLINE)}", path)
            case "quoted":
                for line in (f'{head} "one', "", f'{inner}two"{tail}'):
                    self.put(line, path)
            case _:
                self._flow_lines(head, tail, indent, path)

    def _flow_lines(self, head: str, tail: str, indent: int, path: Path) -> None:
        """A mapping or a list in flow style, one field a line."""
        keyed = self._draw(st.booleans())
        count = self._draw(st.integers(0, 3))
        inner = " " * (indent + self._draw(st.integers(1, 4)))
        self.put(f"{head} {'{' if keyed else '['}{tail}", path)
        for number in range(count):
            comma = "," if number + 1 < count or self._draw(st.booleans()) else ""
            value = self._draw(_FLOW_SCALARS)
            self.put(f"{inner}{f'f{number}: ' if keyed else ''}{value}{comma}{self._draw(_TAILS)}", path)
        self.put(f"{inner[:-1] or ' '}{'}' if keyed else ']'}{self._draw(_TAILS)}", path)

    def _literal(self, head: str, indent: int, path: Path) -> bool:
        header = self._draw(st.sampled_from(["|", "|-", "|+", ">", ">-", "| # why"]))
        self.put(f"{head} {header}", path)
        inner = " " * (indent + self._draw(st.integers(1, 4)))
        for words in self._draw(st.sampled_from([["x"], ["x", "", "  y # no comment"], ["- a: 1", "b"]])):
            self.put(inner + words if words else "", path)
        self._kept = path if header == "|+" else None
        return True


def _read(key: str) -> str:
    """The key that these characters stand for."""
    plain = key.removeprefix("&anchor ")
    if plain[0] == "'":
        return plain[1:-1].replace("''", "'")
    return plain[1:-1].replace("\\t", "\t") if plain[0] == '"' else plain
