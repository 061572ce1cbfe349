//! Which file of a crate names what another one defines.
//!
//! A module is a file (inline modules belong to the file around them). A path is followed through modules and through
//! what they import or re-export, to the file where it ends; so that a `mod.rs` that only re-exports is seen through.
//! What only tests see is left out: a test may look anywhere.

use crate::paths::{Import, paths};
use crate::source::Source;
use std::collections::{BTreeSet, HashMap};

/// A crate: its name in paths of others, and the file at its root.
pub type Root<'a> = (&'a str, &'a str);

/// One file names what another defines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    /// The file that names.
    pub from: String,
    /// The file that defines.
    pub to: String,
    /// Whether it does so to hand it on, and for nothing else.
    pub hands_on: bool,
}

#[derive(Debug)]
struct Module {
    file: String,
    parent: Option<usize>,
    root: usize,
    children: HashMap<String, usize>,
    imports: Vec<Import>,
    names: Vec<Vec<String>>,
    /// Names of what the file defines.
    items: BTreeSet<String>,
}

/// The modules of crates.
#[derive(Debug)]
pub struct Modules {
    modules: Vec<Module>,
    roots: HashMap<String, usize>,
}

/// Where a path ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// At the module itself.
    Module(usize),
    /// At what a module defines.
    Item(usize),
}

impl Modules {
    /// Those of the crates at `roots`, from the files of a repository.
    #[must_use]
    pub fn new(sources: &[Source], roots: &[Root<'_>]) -> Self {
        let files = sources.iter().map(|source| (source.path.as_str(), source)).collect();
        let mut found = Self { modules: Vec::new(), roots: HashMap::new() };
        for (name, file) in roots {
            let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
            let root = found.modules.len();
            if found.add(&files, file, folder, None, root) {
                found.roots.insert((*name).to_owned(), root);
            }
        }
        found
    }

    /// Adds the module of a file, and those in the `folder` of its children; false where there is no such file.
    fn add(
        &mut self,
        files: &HashMap<&str, &Source>,
        file: &str,
        folder: &str,
        parent: Option<usize>,
        root: usize,
    ) -> bool {
        let Some(source) = files.get(file) else { return false };
        let code = source.code();
        let (imports, names) = paths(&code.text);
        let at = self.modules.len();
        let after = |keywords: &[&str]| {
            let pairs = names.windows(2).filter(|pair| keywords.contains(&pair[0][0].as_str()));
            pairs.map(|pair| pair[1][0].clone()).collect::<BTreeSet<String>>()
        };
        let children = after(&["mod"]);
        let items = after(&["struct", "enum", "union", "trait", "type", "fn", "const", "static"]);
        let file = file.to_owned();
        self.modules.push(Module { file, parent, root, children: HashMap::new(), imports, names, items });
        for child in children {
            let inner = format!("{folder}/{child}");
            let index = self.modules.len();
            if self.add(files, &format!("{inner}.rs"), &inner, Some(at), root)
                || self.add(files, &format!("{inner}/mod.rs"), &inner, Some(at), root)
            {
                self.modules[at].children.insert(child, index);
            }
        }
        true
    }

    /// All arrows between files.
    #[must_use]
    pub fn arrows(&self) -> BTreeSet<Arrow> {
        let mut arrows = BTreeSet::new();
        for (at, module) in self.modules.iter().enumerate() {
            let used: BTreeSet<&str> = module.names.iter().map(|path| path[0].as_str()).collect();
            let imports = module.imports.iter().filter(|import| import.name != "*");
            let imports = imports.map(|import| (&import.path, import.public && !used.contains(import.name.as_str())));
            for (path, hands_on) in imports.chain(module.names.iter().map(|path| (path, false))) {
                if let Some(End::Item(to)) = self.follow(at, path, 0) {
                    let (from, to) = (module.file.clone(), self.modules[to].file.clone());
                    if from != to {
                        arrows.insert(Arrow { from, to, hands_on });
                    }
                }
            }
        }
        arrows
    }

    /// Follows a path that stands in the module `from`.
    fn follow(&self, from: usize, path: &[String], depth: usize) -> Option<End> {
        /// More than any chain of re-exports; ends circles among them.
        const DEPTH: usize = 16;
        let mut rest = path.iter();
        let mut end = match rest.next()?.as_str() {
            "crate" | "$crate" => End::Module(self.modules[from].root),
            "self" => End::Module(from),
            "super" => End::Module(self.modules[from].parent?),
            name => self.inside(from, name, depth).or_else(|| self.roots.get(name).map(|&root| End::Module(root)))?,
        };
        for name in rest {
            let End::Module(at) = end else { break };
            end = match name.as_str() {
                "super" => End::Module(self.modules[at].parent?),
                _ if depth > DEPTH => End::Item(at),
                name => self.inside(at, name, depth).unwrap_or(End::Item(at)),
            };
        }
        Some(end)
    }

    /// A name that is known to be a child of a module, or imported there.
    fn inside(&self, at: usize, name: &str, depth: usize) -> Option<End> {
        let module = &self.modules[at];
        if let Some(&child) = module.children.get(name) {
            return Some(End::Module(child));
        }
        // `use a::b;` for the crate `a` in a module that imports `a` would lead to itself.
        let named = module.imports.iter().find(|import| import.name == name && import.path[0] != name);
        if let Some(import) = named {
            return self.follow(at, &import.path, depth + 1);
        }
        let everything = module.imports.iter().filter(|import| import.name == "*");
        everything.filter(|_| depth < 16).find_map(|import| match self.follow(at, &import.path, depth + 1)? {
            End::Module(of) if self.modules[of].items.contains(name) => Some(End::Item(of)),
            End::Module(of) if of != at => self.inside(of, name, depth + 1),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrows(files: &[(&str, &str)]) -> Vec<String> {
        let source = |&(path, text): &(&str, &str)| Source { path: format!("src/{path}"), text: text.into() };
        let sources: Vec<Source> = files.iter().map(source).collect();
        let found = Modules::new(&sources, &[("it", "src/lib.rs"), ("the_command", "src/cli/main.rs")]).arrows();
        let shown = found.iter().filter(|arrow| !arrow.hands_on);
        shown.map(|arrow| format!("{} > {}", arrow.from, arrow.to).replace("src/", "").replace(".rs", "")).collect()
    }

    #[test]
    fn paths_of_every_kind_are_followed() {
        let root = ("lib.rs", "mod a; mod b;");
        for text in [
            "use crate::b::B;",
            "use super::b::{self, B};",
            "use super::b; fn f() -> b::B {}",
            "fn f(b: &crate::b::B) {}",
            "use crate::b as c; type D = c::B;",
            "use crate::b::*; type D = B;",
        ] {
            let found = arrows(&[root, ("a.rs", text), ("b.rs", "pub struct B;")]);
            assert_eq!(found, ["a > b"], "{text}");
        }
    }

    #[test]
    fn re_exports_are_seen_through_and_items_beside_them_are_not() {
        let found = arrows(&[
            ("lib.rs", "mod a; pub mod b;"),
            ("a.rs", "use crate::b::{C, D};"),
            ("b/mod.rs", "mod c; pub use c::C; pub struct D;"),
            ("b/c.rs", "use super::D; pub struct C;"),
            ("cli/main.rs", "use it::b::C;"),
        ]);
        assert_eq!(found, ["a > b/c", "a > b/mod", "b/c > b/mod", "cli/main > b/c"]);
    }

    #[test]
    fn a_file_that_uses_what_it_hands_on_depends_on_it() {
        let root = ("lib.rs", "mod a; pub use a::A;");
        assert_eq!(arrows(&[root, ("a.rs", "pub struct A;")]), Vec::<String>::new());
        assert_eq!(arrows(&[("lib.rs", "mod a; pub use a::A; type B = A;"), ("a.rs", "pub struct A;")]), ["lib > a"]);
    }

    #[test]
    fn tests_may_look_anywhere() {
        let tests = "#[cfg(test)] mod tests { use crate::b::B; } #[cfg(test)] mod more;";
        assert_eq!(arrows(&[("lib.rs", "mod a; mod b;"), ("a.rs", tests), ("b.rs", "")]), Vec::<String>::new());
    }
}
