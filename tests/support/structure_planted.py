"""Planted violations of each kind next to valid code, and the expected findings of structure.py."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

# Files in every row in addition to its own.
ALWAYS = """
-- net/mod.rs
mod a;
mod b;
-- net/io.rs
pub enum Role { Http(Http), Stream(Slot), Agent { slot: Slot }, Push }
-- api/route.rs
pub enum Route<'h> { Create, Push, Source(Option<Uuid>, &'h str), Other { a: u8 } }
"""

TWO = ["a.rs", "b.rs"]

# A name, files, a figure, and the expected places.
ROWS: list[tuple[str, str, str, list[str]]] = [
    (
        "imports both ways",
        """
-- net/a.rs
use super::b::B;
struct A;
-- net/b.rs
use super::a::A;
struct B;
""",
        "cycle",
        TWO,
    ),
    (
        "an import one way",
        """
-- net/a.rs
use super::b::B;
struct A;
-- net/b.rs
struct B;
""",
        "cycle",
        [],
    ),
    (
        "from the root of the crate, in braces, under another name",
        """
-- net/a.rs
use crate::{
    net::{b::{B as C}},
};
fn f() {}
-- net/b.rs
use crate::net::a::f;
struct B;
""",
        "cycle",
        TWO,
    ),
    (
        "paths in the code",
        """
-- net/a.rs
fn a() { super::b::b(); }
-- net/b.rs
use super::a;
fn b() { a::a(); }
""",
        "cycle",
        TWO,
    ),
    (
        "through a re-export, whose file is not in the cycle",
        """
-- net/a.rs
use super::x::{B, K};
fn a() {}
-- net/x/mod.rs
mod b;
pub use b::B;
pub const K: u8 = 1;
-- net/x/b.rs
use super::super::a::a;
struct B;
""",
        "cycle",
        ["a.rs", "x/b.rs"],
    ),
    (
        "methods of one object",
        """
-- net/a.rs
struct R;
impl R {
    fn one(&mut self) { self.two(1) }
}
-- net/b.rs
use super::a::R;
impl R {
    fn two(&mut self, n: u8) {}
}
""",
        "cycle",
        TWO,
    ),
    (
        "the method of a field, of a name that others have too",
        """
-- net/a.rs
pub struct A { inner: Option<Box<super::b::B>> }
impl A {
    fn end(&self) { if let Some(it) = &self.inner { it.end(); } }
}
-- net/c.rs
impl super::b::B {
    fn end(&self) { super::a::f() }
}
-- net/b.rs
struct B(super::a::A);
""",
        "cycle",
        ["a.rs", "b.rs", "c.rs"],
    ),
    (
        "calls alone: through a field, a pattern, a closure, an index, and what is returned",
        """
-- net/types.rs
pub struct A { next: Option<Box<B>> }
pub enum B { One(C), Two { first: C } }
pub struct C(Vec<D>);
pub struct D { all: [E; 2] }
pub struct E;
pub struct F;
-- net/a.rs
impl super::types::A {
    fn end(&self) { if let Some(it) = self.next.as_deref() { it.end() } }
}
-- net/b.rs
use super::types::B;
impl B {
    fn end(&self) { match self { Self::One(one) => {} B::Two { first: two } => two.end() } }
}
-- net/c.rs
use super::types::C;
impl C {
    fn end(&self) { self.0.iter().all(|one| one.end()); }
}
-- net/d.rs
use super::types::{D, F};
impl D {
    fn end(&self) { let Self { all, .. } = self; all[1].end(); }
}
impl F {
    fn end(&self) {}
}
-- net/e.rs
use super::types::{A, E};
impl E {
    fn back(&self) -> io::Result<&A, Error> { made(1) }
    fn end(&self) { self.back()?.end() }
}
""",
        "cycle",
        ["a.rs", "b.rs", "c.rs", "d.rs", "e.rs"],
    ),
    (
        "what a variant holds, and a name that one file alone defines",
        """
-- net/types.rs
pub enum A { One(B), Two }
pub struct B;
-- net/a.rs
impl super::types::A {
    fn end(&self) { if let Self::One(it) = self { it.end() } }
    fn only_here(&self) {}
}
-- net/b.rs
impl super::types::B {
    fn end(&self) { unknown().only_here() }
}
""",
        "cycle",
        TWO,
    ),
    (
        "methods of types from elsewhere",
        """
-- net/a.rs
struct A(Vec<super::b::B>);
impl A {
    fn pace(&self) -> usize { self.0.len() }
}
-- net/b.rs
use other::Clock;
struct B;
impl B {
    fn b(&self, clock: &Clock) { clock.pace() }
}
""",
        "cycle",
        [],
    ),
    (
        "a name of the standard library, and one that another room defines, of types that are not plain",
        """
-- net/a.rs
struct A(super::b::B);
impl A {
    fn len(&self) {}
    fn begin(&self) {}
}
-- net/b.rs
struct B;
fn b() { unknown().len(); unknown().begin() }
-- http/x.rs
impl X {
    fn begin(&self) {}
}
""",
        "cycle",
        [],
    ),
    (
        "comments, strings and tests",
        """
-- net/a.rs
use super::b::B;
struct A;
-- net/b.rs
// super::a::A
struct B;
const C: &str = "super::a::A \\" super::a::A", '"', r#"super::a::A"#;
#[cfg(test)]
mod tests {
    use crate::net::a::A;
}
-- net/b/tests.rs
use crate::net::a::A;
use super::super::b::B;
""",
        "cycle",
        [],
    ),
    (
        "a type in four files",
        """
-- net/a.rs
struct R;
impl R { fn a() {} }
-- net/b.rs
impl super::a::R { fn b() {} }
-- net/c.rs
use super::a::R;
impl R { fn c() {} }
-- net/d.rs
use super::a;
impl a::R { fn d() {} }
""",
        "spread",
        ["R, in 4 files: a.rs, b.rs, c.rs, d.rs"],
    ),
    (
        "a type in three files, with a trait in a fourth",
        """
-- net/a.rs
struct R;
impl R { fn a() {} }
-- net/b.rs
impl super::a::R { fn b() {} }
-- net/c.rs
use super::a::R;
impl R { fn c() {} }
-- net/d.rs
impl Drop for super::a::R { fn drop(&mut self) {} }
-- net/e.rs
struct R;
impl R { fn another_of_this_name() {} }
""",
        "spread",
        [],
    ),
    (
        "silent look-ups",
        """
-- net/a.rs
fn a() {
    let Some(x) = f() else { return };
    let Ok(x) = f() else {
        return 0;
    };
    let A::B(x) = f() else { continue 'all };
    let Some(x) = f(A { b }) else { return Ok(()) };
    let Some(x) = f() else { break; /* "why" */ };
    let Some(x) = f() else { return Vec::new() };
}
""",
        "silent",
        [f"a.rs:{line}" for line in (2, 3, 6, 7, 8, 9)],
    ),
    (
        "look-ups that say something, and other branches",
        """
-- net/a.rs
fn a() {
    let Some(x) = f() else { panic!() };
    let Some(x) = f() else { debug_assert!(false); return };
    let Some(x) = f() else { return Err(E) };
    if x { 1 } else { return }
    let y = if x { 1 } else { return };
    // let Some(x) = f() else { return };
}
#[cfg(test)]
mod tests {
    fn t() { let Some(x) = f() else { return }; }
}
""",
        "silent",
        [],
    ),
    (
        "matches on the role",
        """
-- net/a.rs
fn a() {
    match conn.role {
        Role::Http(_) => {}
        Role::Stream(_) | Role::Agent { .. } => match x { Role::Push => 1 },
    }
    match (a, role) {
        (_, io::Role::Http(Http::Head)) => f(|x| { x }),
        (_, Role::Stream(_)) if x == Role::Push => 2,
    }
}
-- net/b.rs
impl Role {
    fn name(self) { match self { Self::Http(_) | Self::Stream(_) | Self::Push => 1 } }
}
-- net/c.rs
use super::io::Role::{self, Agent, Http, Push};
fn c() { match r { Http(_) => 1, Push | Agent { .. } => 2 } }
""",
        "role",
        ["a.rs:2", "b.rs:2", "c.rs:2"],
    ),
    (
        "matches on the route, in other rooms too",
        """
-- net/a.rs
fn a() { match route { Route::Create | Route::Push => {} Route::Source(..) => made() } }
-- ops/m.rs
fn m() { match route { Route::Push => made(Route::Create, Route::Source(None, x)) } }
-- api/tests.rs
fn t() { match route { Route::Create | Route::Push | Route::Source(..) => {} } }
""",
        "route",
        ["net/a.rs:1"],
    ),
]


def plant(text: str, root: Path) -> None:
    """Writes the files of a row."""
    _, *files = re.split(r"^-- (\S+)\n", text, flags=re.M)
    for name, content in zip(files[::2], files[1::2], strict=True):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def failures(measured: Callable[[Path], dict[str, list[str]]]) -> int:
    """Measures each row, prints the unexpected results, and returns their number."""
    wrong = 0
    for name, files, figure, expected in ROWS:
        with tempfile.TemporaryDirectory() as root:
            plant(ALWAYS + files, Path(root))
            found = measured(Path(root, "net").resolve())[figure]
        if found != expected:
            wrong += 1
            print(f"{name}: {figure} is {found}, not {expected}", file=sys.stderr)
    print(f"{len(ROWS) - wrong} of {len(ROWS)} measured right")
    return wrong
