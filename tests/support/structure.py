#!/usr/bin/env python3
"""Measures the event loop's folder. Exits with 1 when a figure exceeds its limit.

structure.py [--verbose | --json] [FOLDER]    FOLDER: src/relay by default
structure.py --self-test                      measures planted violations, to check this script

Comments, strings and test code (`#[cfg(test)]`, `tests.rs`, `tests/`) are not read. The figures:

cycle    Files of the largest cycle, in which each file reaches every other. A -> B if A
         - imports, or names by a path, an item that B defines. `super::`, `self::`, `crate::`, names of
           modules and re-exports are followed to the defining file. `mod x;` and `pub use` alone are not
           edges, so a `mod.rs` that only declares and re-exports is not in a cycle;
         - calls a method (`.name(` or `Type::name(`) that B defines in an `impl`. The receiver's type
           follows from `self`, parameters, fields, patterns, `let`, closures and return types, through
           references, boxes, Option, Result, collections and indexing. A method of a type from outside the
           folder is not an edge. If the type is unknown, the name decides, provided that only one file
           of the crate defines it, and that it is not a common name in the standard library.
spread   Types with inherent methods in more than 3 files.
silent   `let ... else` whose block is only `return`, `return` of a trivial value (TRIVIAL), `continue` or
         `break`. A block that logs, asserts or acts is not silent. `if let`, `match`, `?` and `map_or`
         are not counted.
role     Matches in the folder on the connection's role (`Role`, else `Phase`) whose patterns name at least
         3/4 of the variants.
route    The same for `Route` of src/api/route.rs, in all of src/.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from structure_graph import Structure  # noqa: E402
from rust_source import File, close, matches, sources, variants  # noqa: E402

LIMITS = {"cycle": 4, "spread": 0, "silent": 30, "role": 4, "route": 2}
FILES_PER_TYPE = 3
SHARE_OF_VARIANTS = 0.75

VALUE = r"None|0|false|true|\(\)|(?:\w+::)*(?:new|default)\(\)"
TRIVIAL = rf"(?:{VALUE}|(?:Ok|Some)\((?:{VALUE})\))"
SILENT = re.compile(rf"(?:return(?:\s+{TRIVIAL})?|(?:continue|break)(?:\s+'\w+)?)\s*;?")
# Only `let ... else` has an `else` that follows no `}`.
LET_ELSE = re.compile(r"(?<![}\s])\s+else\s*(?=\{)")


def silent(files: list[File]) -> list[str]:
    """`let ... else` blocks that return without logging."""
    return [
        file.line(match.end())
        for file in files
        for match in LET_ELSE.finditer(file.code)
        if SILENT.fullmatch(file.code[match.end() + 1 : close(file.code, match.end())].strip())
    ]


def exhaustive(files: list[File], enum: str, names: list[str]) -> list[str]:
    """Matches whose patterns name (nearly) all variants of an enum."""
    found = []
    for file in files:
        own = re.finditer(rf"^impl\b[^{{]*\b{enum}\b[^{{]*(?={{)", file.code, re.M)
        impls = [range(block.end(), close(file.code, block.end())) for block in own]
        imported = [path[-2:-1] for path in file.known.values()] + [glob[-1:] for glob in file.globs]
        for place, patterns in matches(file.code):
            prefixes = [rf"\b{enum}::"]
            if any(place in block for block in impls):
                prefixes.append(r"\bSelf::")
            if [enum] in imported:
                prefixes.append(r"(?<![:\w])")
            named = re.compile(rf"(?:{'|'.join(prefixes)})(\w+)").findall(" | ".join(patterns))
            if len(set(named) & set(names)) >= SHARE_OF_VARIANTS * len(names):
                found.append(file.line(place))
    return found


def defined(files: list[File], enum: str) -> list[str]:
    """The variants of an enum defined in one of these files; none if there is no definition."""
    return next((list(found) for file in files if (found := variants(file.code, enum))), [])


def measured(folder: Path) -> tuple[dict[str, list[str]], Structure]:
    """The places for each figure, and the graph of the files."""
    structure, everywhere = Structure(folder), sources(folder.parent)
    role = "Role" if defined(structure.files, "Role") else "Phase"
    roles = defined(structure.files, role)
    routes = defined([file for file in everywhere if file.name == "api/route.rs"], "Route")
    if not roles or not routes:
        sys.exit("structure.py: found no enum Role or Phase in the folder, or no enum Route in api/route.rs")
    found = {
        "cycle": structure.cycle(),
        "spread": structure.spread(FILES_PER_TYPE),
        "silent": silent(structure.files),
        "role": exhaustive(structure.files, role, roles),
        "route": exhaustive(everywhere, "Route", routes),
    }
    return found, structure


def report(found: dict[str, list[str]], structure: Structure, verbose: bool) -> None:
    """Prints the figures, and always the places of the cycle and of spread types."""
    for name, places in found.items():
        verdict = "" if len(places) <= LIMITS[name] else "  EXCEEDED"
        print(f"{name:8}{len(places):4}  (limit {LIMITS[name]}){verdict}")
        for place in places if verbose or name in ("cycle", "spread") else ():
            print(f"    {place}")
            for target in found["cycle"] if verbose and name == "cycle" else ():
                if why := structure.edges[place].get(target):
                    print(f"        {target}: {why}")


def main() -> int:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter, usage=argparse.SUPPRESS)
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, help="the event loop's folder")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--verbose", action="store_true", help="print each place, and the edges of the cycle"
    )
    parser.add_argument("--self-test", action="store_true", help="measure planted violations")
    arguments = parser.parse_args()
    if arguments.self_test:
        import structure_planted

        return structure_planted.failures(lambda folder: measured(folder)[0])
    root = Path(__file__).resolve().parents[2] / "src"
    default = root / "relay"
    found, structure = measured((arguments.folder or default).resolve())
    if arguments.json:
        figures = {
            name: {"count": len(places), "limit": LIMITS[name], "places": places}
            for name, places in found.items()
        }
        print(json.dumps(figures, indent=2))
    else:
        report(found, structure, arguments.verbose)
    return int(any(len(places) > LIMITS[name] for name, places in found.items()))


if __name__ == "__main__":
    sys.exit(main())
