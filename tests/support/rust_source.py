"""Parses Rust sources as far as structure.py needs it: names, imports, functions and types, from their text.

The sources are formatted by rustfmt and accepted by the compiler, which is relied on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LITERAL = re.compile(
    r"""//[^\n]*|/\*.*?\*/"""
    r"""|(?<!\w)b?r(\#*)".*?"\1|(?<!\w)b?"(?:\\.|[^"\\])*"|(?<!\w)b?'(?:\\[^']+|\\'|[^\\'])'""",
    re.S,
)
TEST = re.compile(r"#\[cfg\((?:all\()?test\b[^\]]*\]")
USE = re.compile(r"^[ \t]*(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);", re.M)
ITEM = re.compile(r"\b(?:struct|enum|union|trait|type|fn|const|static|macro_rules!)\s+(\w+)")
IMPL = re.compile(r"^[ \t]*impl\b", re.M)
FUNCTION = re.compile(r"\bfn\s+(\w+)\s*(?=[<(])")
STRUCT = re.compile(r"\bstruct\s+(\w+)[^;{(]*(?=[{(])")
WRAPPER = re.compile(r"\s*(?:&\s*(?:'\w+\s*)?|mut\s+|dyn\s+|impl\s+|(?:Box|Arc|Rc)\s*<(.*)>\s*$)", re.S)
CONTAINER = re.compile(r"\[(.*?)(?:;[^;]*)?\]$|([\w:]+)\s*<(.*)>$", re.S)
PAIRS = {"(": ")", "[": "]", "{": "}", "<": ">"}


def spaces(text: str) -> str:
    """White space of the same length."""
    return re.sub(r"[^\n]", " ", text)


def blanked(text: str) -> str:
    """Only the code: comments, the contents of literals, and test items become white space."""

    def blank(match: re.Match[str]) -> str:
        if match[0].startswith("/"):
            return spaces(match[0])
        return '"' + spaces(match[0][1:-1]) + '"'

    code = LITERAL.sub(blank, text)
    while test := TEST.search(code):
        first = re.compile(r"[{;]").search(code, test.end())
        assert first, "an attribute belongs to an item"
        last = close(code, first.start()) if first[0] == "{" else first.start()
        code = code[: test.start()] + spaces(code[test.start() : last + 1]) + code[last + 1 :]
    return code


def is_angle_closed(text: str, place: int) -> bool:
    """Whether this `>` closes a `<`, and is not part of an arrow."""
    return text[place] == ">" and text[place - 1] not in "-="


def close(code: str, at: int) -> int:
    """The position of the closing bracket for the one at this position."""
    begin, end, depth = code[at], PAIRS[code[at]], 0
    for place in range(at, len(code)):
        if code[place] == begin:
            depth += 1
        elif code[place] == end and (end != ">" or is_angle_closed(code, place)):
            depth -= 1
            if depth == 0:
                return place
    raise ValueError(f"unclosed bracket: {code[at : at + 60]!r}")


def parts(text: str) -> list[str]:
    """The parts between the commas that are outside all brackets."""
    found, depth, start = [], 0, 0
    for place, char in enumerate(text):
        if char in "([{<":
            depth += 1
        elif char in ")]}" or is_angle_closed(text, place):
            depth -= 1
        elif char == "," and depth == 0:
            found.append(text[start:place])
            start = place + 1
    return [part.strip() for part in [*found, text[start:]] if part.strip()]


def top_level(code: str) -> str:
    """The text outside all braces."""
    kept, depth = [], 0
    for char in code:
        depth -= char == "}"
        kept.append(char if depth == 0 else " ")
        depth += char == "{"
    return "".join(kept)


def imports(tree: str) -> Iterator[tuple[list[str], str]]:
    """The paths of a `use`, each with its local name."""
    head, brace, rest = tree.strip().partition("{")
    if not brace:
        path, _, name = head.partition(" as ")
        segments = [segment.strip() for segment in path.split("::")]
        yield segments, name.strip() or segments[-1]
        return
    prefix = [segment.strip() for segment in head.split("::")[:-1]]
    for part in parts(rest[: rest.rindex("}")]):
        for inner, name in imports(part):
            if inner == ["self"]:
                yield prefix, prefix[-1] if name == "self" else name
            else:
                yield prefix + inner, name


class File:
    """One source file, which is one module: its code, and the names it defines and imports."""

    def __init__(self, name: str, module: tuple[str, ...], text: str) -> None:
        self.name, self.module = name, module
        code = blanked(text)
        self.code = USE.sub(lambda match: spaces(match[0]), code)
        self.items = set(ITEM.findall(top_level(self.code)))
        self.known: dict[str, list[str]] = {}
        self.globs: list[list[str]] = []
        # The names used in this file: a re-export is not a use.
        self.used: list[list[str]] = []
        for exported, tree in USE.findall(code):
            for path, name in imports(tree):
                if name == "*":
                    self.globs.append(path[:-1])
                else:
                    self.known[name] = path
                if not exported or re.search(rf"\b{re.escape(name)}\b", self.code):
                    self.used.append(path)

    def line(self, place: int) -> str:
        """The position as `file:line`."""
        return f"{self.name}:{self.code.count(chr(10), 0, place) + 1}"


def sources(folder: Path) -> list[File]:
    """The source files below a folder, without tests."""
    files = []
    for path in sorted(folder.rglob("*.rs")):
        relative = path.relative_to(folder)
        if path.name == "tests.rs" or "tests" in relative.parts[:-1]:
            continue
        module = relative.with_suffix("").parts
        module = module[:-1] if module[-1] in ("mod", "lib") else module
        files.append(File(relative.as_posix(), module, path.read_text()))
    return files


Owner = tuple[File, str]  # a type of the folder: the file that defines it, and its name


@dataclass
class Type:
    """A type as written in a file, where `Self` is `owner`."""

    text: str
    file: File
    owner: Owner | None = None

    def plain(self) -> str:
        """The type without references and boxes."""
        text = self.text.strip()
        while match := WRAPPER.match(text):
            text = match[1] or text[match.end() :]
        return text.strip()

    def within(self) -> Type | None:
        """`T` of `Option<T>`, `Result<T, E>`, `Slab<T>`, `HashMap<K, T>`, `[T; N]`."""
        match = CONTAINER.match(self.plain())
        if not match:
            return None
        arguments = [part for part in parts(match[1] or match[3] or "") if not part.startswith("'")]
        is_first = (match[2] or "").endswith("Result")
        chosen = arguments[:1] if is_first else arguments[-1:]
        return Type(chosen[0], self.file, self.owner) if chosen else None


@dataclass
class Function:
    """A function with a body."""

    file: File
    name: str
    owner: Owner | None
    parameters: str
    returns: Type
    body: str


def fields(text: str) -> Iterator[tuple[str, str]]:
    """The fields in `{a: A, b: B}` or `(A, B)`, each with its type."""
    for number, part in enumerate(parts(text[1:-1])):
        part = re.sub(r"^pub(?:\([^)]*\))?\s+", "", part)
        name, _, written = part.partition(":") if text[0] == "{" else (str(number), "", part)
        yield name.strip(), written.strip()


def variants(code: str, name: str) -> dict[str, str]:
    """The variants of an enum, each with the text of its fields; none if it is not defined here."""
    match = re.search(rf"\benum\s+{name}\b[^{{;]*(?={{)", code)
    if match is None:
        return {}
    inside = without_attributes(code[match.end() + 1 : close(code, match.end())])
    split = (re.match(r"(\w+)\s*(.*)", part, re.S) for part in parts(inside))
    return {part[1]: part[2] for part in split if part}


def all_fields(code: str) -> Iterator[tuple[str, str, str]]:
    """The fields of a file: type, field, and the field's type; those of a variant are `Variant.field`."""
    for match in STRUCT.finditer(code):
        text = without_attributes(code[match.end() : close(code, match.end()) + 1])
        for field, written in fields(text):
            yield match[1], field, written
    for name in re.findall(r"\benum\s+(\w+)", code):
        for variant, text in variants(code, name).items():
            for field, written in fields(text):
                yield name, f"{variant}.{field}", written


def without_attributes(code: str) -> str:
    return re.sub(r"#\[[^\]]*\]", "", code)


def matches(code: str) -> Iterator[tuple[int, list[str]]]:
    """Every `match`: its position, and the patterns of its arms, without guards."""
    for keyword in re.finditer(r"\bmatch\s", code):
        at = outside(code, keyword.end(), "{")
        end, patterns = close(code, at), []
        at += 1
        while at < end and code[at:end].strip():
            arrow = outside(code, at, "=>")
            patterns.append(re.split(r"\sif\s", code[at:arrow])[0])
            at = arrow + 2
            at += len(code[at:end]) - len(code[at:end].lstrip())
            if code[at] == "{":
                at = close(code, at) + 1
                at += len(re.compile(r"\s*,?").match(code, at)[0])  # type: ignore[index]
            else:
                at = min(outside(code, at, ",", end) + 1, end)
        yield keyword.start(), patterns


def outside(code: str, at: int, sign: str, end: int | None = None) -> int:
    """The first position from here on of this character outside all brackets, or the end."""
    end = len(code) if end is None else end
    while at < end and not code.startswith(sign, at):
        at = close(code, at) + 1 if code[at] in "([{" else at + 1
    return at
