//! The first lines of docs: noun phrases and imperatives.

use crate::source::Source;

/// Words that begin half a question. A list of items with such lines has to be translated before it can be read.
const WORDS: [&str; 8] = ["What", "How", "Whether", "Where", "Why", "With which", "Who", "Which"];

/// Docs that open with one of these.
#[must_use]
pub fn half_questions(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside = false;
    for (at, line) in source.text.lines().enumerate() {
        let doc = line.trim_start().strip_prefix("///").or_else(|| line.trim_start().strip_prefix("//!"));
        if let (Some(doc), false) = (doc, inside) {
            let opens = |word: &&&str| doc.trim_start().strip_prefix(**word).is_some_and(|rest| rest.starts_with(' '));
            if let Some(word) = WORDS.iter().find(opens) {
                found.push(format!("{}:{}: a doc that opens with {word}", source.path, at + 1));
            }
        }
        inside = doc.is_some();
    }
    found
}

/// Modules that users of a library see and whose docs are a single sentence.
#[must_use]
pub fn bare_modules(root: &Source, sources: &[Source]) -> Vec<String> {
    let folder = root.path.trim_end_matches("lib.rs");
    let public = root.text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let is_bare = |name: &&str| {
        let files = [format!("{folder}{name}.rs"), format!("{folder}{name}/mod.rs")];
        let file = sources.iter().find(|source| files.contains(&source.path));
        file.is_none_or(|file| file.text.lines().take_while(|line| line.starts_with("//!")).count() <= 2)
    };
    public.filter(is_bare).map(|name| format!("{folder}{name}: a module with no paragraph on it")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_counts() {
        let found = |text: &str| half_questions(&Source { path: "a.rs".into(), text: text.into() });
        assert_eq!(found("/// What it is.\nfn f() {}"), ["a.rs:1: a doc that opens with What"]);
        assert_eq!(found("//! A thing.\n//! What it is.\n/// Whatever.\n"), Vec::<String>::new());
        assert_eq!(found("x;\n    /// With which it is.\n").len(), 1);
    }
    #[test]
    fn public_modules_have_paragraphs() {
        let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        let root = source("a/src/lib.rs", "pub mod b;\npub mod c;\nmod d;\n");
        let rest = [source("a/src/b.rs", "//! B.\n//!\n//! More.\n"), source("a/src/c/mod.rs", "//! C.\n")];
        assert_eq!(bare_modules(&root, &rest), ["a/src/c: a module with no paragraph on it"]);
    }
}
