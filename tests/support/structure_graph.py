"""The dependencies between the files of a folder: imports, paths and method calls. structure.py has the rules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from rust_source import (
    FUNCTION,
    IMPL,
    File,
    Function,
    Owner,
    Type,
    all_fields,
    close,
    fields,
    parts,
    sources,
)

# Names that do not identify the type of a method.
STD_NAMES = frozenset(
    """
    accept all and and_then any append as_bytes as_deref as_deref_mut as_fd as_mut as_raw_fd as_ref as_slice
    as_str borrow borrow_mut capacity chain checked_add checked_sub clear clone cloned cmp collect contains
    contains_key copied count default deref deref_mut drain drop elapsed end ends_with entry enumerate eq
    expect extend extend_from_slice filter filter_map find find_map finish first first_mut flat_map flatten
    flush fmt fold for_each from get get_mut get_or_insert_with hash index index_mut insert inspect into
    into_inner into_iter is_empty is_err is_none is_none_or is_ok is_some is_some_and iter iter_mut join keys
    kind last last_mut len lines load lock map map_err map_or map_or_else max min name new next nth ok ok_or
    ok_or_else or or_default or_else or_insert parse partition path poll pop pop_back pop_front position push
    push_back push_front push_str read recv register remove replace reserve resize retain rev saturating_add
    saturating_sub send set shutdown skip sort sort_by_key split split_at split_off start starts_with store
    strip_prefix sum swap take then then_some to_owned to_string to_vec trim truncate try_from try_into unwrap
    unwrap_or unwrap_or_default unwrap_or_else values values_mut wait wake write write_all zip
    """.split()
)
# For a container, these return its contents; for anything else, a value of the same type.
YIELDS = frozenset(
    """
    as_deref as_deref_mut as_mut as_ref borrow borrow_mut clone cloned copied drain expect filter first
    first_mut flatten get get_mut get_or_insert_with insert into_iter iter iter_mut last last_mut next nth
    ok_or ok_or_else or_default or_insert pop pop_back pop_front remove replace rev take try_remove unwrap
    unwrap_or_default unwrap_or_else values values_mut
    """.split()
)
# These return the result of a closure.
MAKES = frozenset("and_then collect filter_map find_map flat_map fold map map_or map_or_else or_else".split())
NAME = r"[A-Za-z_]\w*"
PATH = re.compile(rf"(?<![\w:'])(?:(?<!\.)|(?<=\.\.)){NAME}(?:::{NAME})*")
CALL = re.compile(rf"\.\s*({NAME})(?:::<[^()]*>)?\s*\(")
STEP = re.compile(rf"\s*(?:(\?)|\.\s*({NAME}|\d+)(?:::<[^()]*>)?\s*(\()?)|(\[)")
MUT = r"(?:ref\s+)?(?:mut\s+)?"
# `let a: A =`, `let Some(a) =`, `for a in`
BINDING = re.compile(
    rf"\blet\s+(?:(Some|Ok|Err)\()?{MUT}([a-z_]\w*)\)?\s*(?::\s*([^=;]+?))?\s*=\s*|\b(for)\s+({NAME})\s+in\s+"
)
# `Path::Variant(a) =>`
PAYLOAD = re.compile(
    rf"\b((?:\w+::)*[A-Z]\w*)::([A-Z]\w*)\(\s*{MUT}([a-z_]\w*)\s*\)\)*\s*(?:=>|=[^=]|\||if\b)"
)
# `Path { a, b: c, .. } =`
FIELDS = re.compile(r"\b((?:\w+::)*[A-Z]\w*)\s*\{([^{}]*)\}\)*\s*(?:=>|=[^=]|\||if\b)")
CLOSURE = re.compile(rf"\s*(?:move\s*)?\|&?{MUT}([a-z_]\w*)\|")


class Structure:
    """The files of a folder, and their dependencies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = sources(folder)
        self.modules = {file.module: file for file in self.files}
        others = (path for path in folder.parent.rglob("*.rs") if folder not in path.parents)
        self.foreign = {name for path in others for name in re.findall(r"\bfn (\w+)", path.read_text())}
        self.fields: dict[tuple[Owner, str], Type] = {}
        self.outputs: dict[Owner, Type] = {}  # the result of indexing
        self.methods: dict[tuple[Owner, str], Function] = {}
        self.named: dict[str, list[Function]] = {}  # methods by name
        self.plain: dict[Owner, Function] = {}  # functions outside of any `impl`
        self.inherent: dict[Owner, set[str]] = {}  # the files with methods of a type
        self.edges: dict[str, dict[str, str]] = {file.name: {} for file in self.files}
        functions = [function for file in self.files for function in self.functions(file)]
        for file in self.files:
            self.read_fields(file)
        for file in self.files:
            self.add_paths(file)
        for function in functions:
            Calls(self, function).add()

    def resolve(self, file: File, path: list[str], steps: int = 0) -> Owner | File | None:
        """The item or module of the folder that a path names in a file, if it names one."""
        first, rest = path[0], path[1:]
        found: Owner | File | None = None
        if steps > 20:
            return None
        if first == "crate":
            found, rest = (self.modules.get(()) if rest[:1] == [self.folder.name] else None), rest[1:]
        elif first == "super":
            found = self.modules.get(file.module[:-1]) if file.module else None
        elif first == "self":
            found = file
        elif (*file.module, first) in self.modules:
            found = self.modules[(*file.module, first)]
        elif first in file.items:
            found = (file, first)
        elif first in file.known and file.known[first] != path[:1]:
            found = self.resolve(file, file.known[first], steps + 1)
        else:
            for module in [self.resolve(file, glob, steps + 1) for glob in file.globs]:
                if isinstance(module, File) and module is not file and found is None:
                    found = self.resolve(module, [first], steps + 1)
        return self.resolve(found, rest, steps + 1) if isinstance(found, File) and rest else found

    def owner(self, written: Type | None) -> Owner | None:
        """The written type, if the folder defines it."""
        if written is None or written.plain() == "Self":
            return written.owner if written else None
        path = re.match(rf"{NAME}(?:::{NAME})*", written.plain())
        found = self.resolve(written.file, path[0].split("::")) if path else None
        return found if isinstance(found, tuple) else None

    def functions(self, file: File) -> Iterator[Function]:
        """Adds the functions of a file by their owner."""
        code, blocks = file.code, list(self.impls(file))
        for match in FUNCTION.finditer(code):
            at = match.end() if code[match.end()] == "(" else code.index("(", close(code, match.end()))
            end = close(code, at)
            body = re.compile(r"[{;]").search(code, end)
            if body is None or body[0] == ";":
                continue
            around = (block[2:] for block in blocks if block[0] < at < block[1])
            owner, is_inherent = next(around, (None, False))
            returns = re.split(r"\bwhere\b", code[end + 1 : body.start()])[0].replace("->", "")
            text = code[body.start() : close(code, body.start()) + 1]
            its = Type(returns, file, owner)
            function = Function(file, match[1], owner, code[at + 1 : end], its, text)
            if owner is None:
                self.plain[(file, function.name)] = function
            else:
                self.methods.setdefault((owner, function.name), function)
                self.named.setdefault(function.name, []).append(function)
            if owner and is_inherent:
                self.inherent.setdefault(owner, set()).add(file.name)
            yield function

    def impls(self, file: File) -> Iterator[tuple[int, int, Owner | None, bool]]:
        """The `impl` blocks: their range, their type, and whether they are inherent."""
        for match in IMPL.finditer(file.code):
            start = file.code.index("{", match.end())
            end = close(file.code, start)
            header = file.code[match.end() : start].strip()
            header = header[close(header, 0) + 1 :] if header.startswith("<") else header
            trait, of, name = re.split(r"\bwhere\b", header)[0].rpartition(" for ")
            owner = self.owner(Type(name, file))
            output = re.compile(r"\btype Output = ([^;]+);").search(file.code, start, end)
            if owner and output and "Index" in trait:
                self.outputs[owner] = Type(output[1], file, owner)
            yield start, end, owner, not of

    def read_fields(self, file: File) -> None:
        for name, field, written in all_fields(file.code):
            self.fields[((file, name), field)] = Type(written, file, (file, name))

    def add_edge(self, file: File, target: File, why: str) -> None:
        if file is not target:
            self.edges[file.name].setdefault(target.name, why)

    def add_paths(self, file: File) -> None:
        """Adds the edges of imports, and of paths in the code."""
        inline = [match[0].split("::") for match in PATH.finditer(file.code)]
        for path in file.used + [path for path in inline if len(path) > 1]:
            found = self.resolve(file, path[:-1] if path[-1] == "*" else path)
            if isinstance(found, File) and path[-1] == "*":
                self.add_edge(file, found, "::".join(path))
            elif isinstance(found, tuple):
                self.add_edge(file, found[0], "::".join(path))
                if method := self.methods.get((found, path[-1])):
                    self.add_edge(file, method.file, "::".join(path))

    def cycle(self) -> list[str]:
        """The largest set of files in which each reaches every other."""
        reached = {}
        for start in self.edges:
            seen, stack = {start}, [start]
            while stack:
                new = self.edges[stack.pop()].keys() - seen
                seen |= new
                stack.extend(new)
            reached[start] = seen
        circles = ([other for other in reached[one] if one in reached[other]] for one in reached)
        largest = max(circles, key=len, default=[])
        return sorted(largest) if len(largest) > 1 else []

    def spread(self, most: int) -> list[str]:
        """Types whose methods are in more files than this."""
        wide = [(name, sorted(files)) for (_, name), files in self.inherent.items() if len(files) > most]
        return [f"{name}, in {len(files)} files: {', '.join(files)}" for name, files in wide]


class Calls:
    """The calls in one function, and the owners of the called methods.

    A type that is not known is `None`; one that is not of the folder has no owner.
    """

    def __init__(self, structure: Structure, function: Function) -> None:
        self.structure, self.function = structure, function
        self.variables: dict[str, Type] = {}
        for part in parts(function.parameters):
            name, _, written = re.sub(r"^mut\s+", "", part).partition(":")
            name = "self" if re.search(r"\bself\s*$", name) else name.strip()
            self.variables[name] = self.written(written or "Self")

    def written(self, text: str) -> Type:
        return Type(text, self.function.file, self.function.owner)

    def add(self) -> None:
        """Adds the edges of all calls."""
        body = self.function.body
        self.bind_patterns()
        for match in BINDING.finditer(body):
            pattern, name, annotation, loop, item = match.groups()
            value = self.written(annotation) if annotation else self.follow(match.end(), None)
            if value and (pattern or loop) and not self.structure.owner(value):
                value = value.within()
            if value:
                self.variables[name or item] = value
        known: set[int] = set()
        for match in PATH.finditer(body):
            self.follow(match.start(), known)
        for match in CALL.finditer(body):
            if match.start(1) not in known:
                self.call(None, match[1])

    def bind_patterns(self) -> None:
        """Records the types of bindings in patterns."""
        for path, variant, name in PAYLOAD.findall(self.function.body):
            self.bind(path, f"{variant}.0", name)
        for path, names in FIELDS.findall(self.function.body):
            for part in parts(names):
                field, _, name = re.sub(rf"^{MUT}", "", part).partition(":")
                name = re.sub(rf"^\s*{MUT}", "", name) or field
                self.bind(path, field, name)
                before, _, last = path.rpartition("::")
                self.bind(before, f"{last}.{field}", name)

    def bind(self, path: str, field: str, name: str) -> None:
        owner = self.structure.owner(self.written(path)) if path else None
        its = self.structure.fields.get((owner, field)) if owner else None
        if its:
            self.variables[name] = its

    def follow(self, at: int, known: set[int] | None) -> Type | None:
        """The type of the expression that starts here; adds its calls, and records them in `known`."""
        body = self.function.body
        at += len(re.compile(r"(?:[\s&*]|mut\s)*").match(body, at)[0])  # type: ignore[index]
        root = PATH.match(body, at)
        if root is None:
            return None
        value, at = self.variables.get(root[0]), root.end()
        if value is None and body.startswith("(", at):
            value = self.returned(root[0].split("::"), at)
            at = close(body, at) + 1
        while step := STEP.match(body, at):
            question, name, call, index = step.groups()
            owner = self.structure.owner(value)
            at = close(body, step.end() - 1) + 1 if call or index else step.end()
            if question:
                value = value if owner or value is None else value.within() or value
            elif index:
                value = self.structure.outputs.get(owner) if owner else value and (value.within() or value)
            elif call:
                self.bind_closure(value, step.end())
                value = self.call(value, name)
                if known is not None:
                    known.add(step.start(2))
            elif owner:
                value = self.structure.fields.get((owner, name))
            elif value and value.plain().startswith("("):
                its = dict(fields(value.plain())).get(name)
                value = Type(its, value.file, value.owner) if its else None
        return value

    def bind_closure(self, value: Type | None, at: int) -> None:
        """Records the type of `|a|` at the call of a container's method."""
        closure = CLOSURE.match(self.function.body, at)
        if closure and value:
            its = value if self.structure.owner(value) else value.within()
            if its:
                self.variables.setdefault(closure[1], its)

    def returned(self, path: list[str], at: int) -> Type | None:
        """What `function()`, `module::function()`, `Type::function()` or `Self::function()` returns."""
        if path[-2:] in (["mem", "take"], ["mem", "replace"]):
            return self.follow(at + 1, None)
        is_own = path[0] == "Self"
        found = self.function.owner if is_own else self.structure.resolve(self.function.file, path)
        if not isinstance(found, tuple):
            is_foreign = len(path) > 1 or path[0] in self.function.file.known
            return self.written("_") if is_foreign else None
        function = self.structure.methods.get((found, path[-1])) or self.structure.plain.get(found)
        if function and is_own:
            self.structure.add_edge(self.function.file, function.file, "::".join(path))
        is_made = function is None and path[-1][0].isupper()
        return function.returns if function else Type("Self", found[0], found) if is_made else None

    def call(self, value: Type | None, name: str) -> Type | None:
        """Adds the edge of a method call, if its owner is known; returns its type."""
        owner = self.structure.owner(value)
        if owner:
            method = self.structure.methods.get((owner, name))
        else:
            is_telling = value is None and name not in STD_NAMES and name not in self.structure.foreign
            candidates = self.structure.named.get(name, []) if is_telling else []
            method = candidates[0] if len({one.file for one in candidates}) == 1 else None
        if method:
            self.structure.add_edge(self.function.file, method.file, f".{name}()")
            return method.returns
        if name in YIELDS and value:
            return value if owner else value.within() or value
        return None if owner or name in MAKES else value
