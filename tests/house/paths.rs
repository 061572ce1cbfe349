//! Paths that a text of Rust names: its imports, and those in its code.

/// An import of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// What is imported.
    pub path: Vec<String>,
    /// The name it gets here; `*` for all.
    pub name: String,
    /// Whether others may import it from here.
    pub public: bool,
}

/// The imports of a text without comments, and the paths in the rest of it (single names, too).
#[must_use]
pub fn paths(code: &str) -> (Vec<Import>, Vec<Vec<String>>) {
    let mut imports = Vec::new();
    let mut rest = String::with_capacity(code.len());
    let mut left = code;
    while let Some(at) = find_use(left) {
        let end = left[at..].find(';').map_or(left.len(), |end| at + end);
        let before = left[..at].rsplit([';', '{', '}', ']']).next();
        let public = before.is_some_and(|before| before.trim_start().starts_with("pub"));
        tree(&left[at + "use".len()..end], &[], public, &mut imports);
        rest.push_str(&left[..at]);
        left = &left[end..];
    }
    rest.push_str(left);
    (imports, names(&rest))
}

/// Where the next `use` of an item is; `use<..>` of a type is none.
fn find_use(text: &str) -> Option<usize> {
    text.match_indices("use").map(|(at, _)| at).find(|&at| {
        let before = text[..at].chars().next_back();
        let after = text[at + 3..].chars().next();
        !before.is_some_and(is_of_name) && after.is_some_and(char::is_whitespace)
    })
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$'
}

/// The imports of a tree such as `a::{b, c as d, e::{self, *}}`.
fn tree(text: &str, prefix: &[String], public: bool, out: &mut Vec<Import>) {
    let text = text.trim();
    if let Some((head, group)) = text.split_once('{') {
        let inner = group.trim_end().strip_suffix('}').unwrap_or(group);
        let prefix = [prefix, &segments(head)].concat();
        for part in split(inner) {
            tree(part, &prefix, public, out);
        }
        return;
    }
    let (path, alias) = text.split_once(" as ").map_or((text, None), |(path, alias)| (path, Some(alias.trim())));
    let mut path = [prefix, &segments(path)].concat();
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let Some(last) = path.last().cloned() else { return };
    let name = alias.map_or_else(|| last.clone(), str::to_owned);
    if last == "*" {
        path.pop();
    }
    out.push(Import { path, name, public });
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// The parts between commas that are in no braces.
fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut from, mut parts) = (0, 0, Vec::new());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

/// All paths `a::b::c` of a text, single names among them.
fn names(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut left = text;
    while let Some(start) = left.find(is_of_name) {
        left = &left[start..];
        let mut path = Vec::new();
        loop {
            let end = left.find(|c| !is_of_name(c)).unwrap_or(left.len());
            path.push(left[..end].to_owned());
            left = &left[end..];
            match left.strip_prefix("::") {
                Some(next) if next.starts_with(is_of_name) => left = next,
                _ => break,
            }
        }
        found.push(path);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_of_imports_come_apart() {
        let (imports, rest) = paths("pub(crate) use a::{b, c as d, e::{self, *}}; use super::f; g::h(i)");
        let shown: Vec<String> = imports
            .iter()
            .map(|i| format!("{}={}{}", i.name, i.path.join("."), if i.public { "!" } else { "" }))
            .collect();
        assert_eq!(shown, ["b=a.b!", "d=a.c!", "e=a.e!", "*=a.e!", "f=super.f"]);
        assert!(rest.contains(&vec!["g".into(), "h".into()]) && rest.contains(&vec!["i".into()]));
    }

    #[test]
    fn a_capture_is_no_import() {
        let (imports, _) = paths("fn a() -> impl B + use<'_> {} let because = reuse;");
        assert_eq!(imports, []);
    }
}
