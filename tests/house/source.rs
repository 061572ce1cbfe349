//! Rust text without what is no code: comments, strings, and what only tests see.

/// A source file.
#[derive(Debug, Clone)]
pub struct Source {
    /// Where it lies, from the root of the repository.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// What a text holds once tests are taken out.
#[derive(Debug)]
pub struct Code {
    /// The text; comments, strings and what only tests see are spaces.
    pub text: String,
    /// Modules that only tests see, in files of their own.
    pub test_modules: Vec<String>,
    /// Lines that only tests see.
    pub test_lines: usize,
}

impl Source {
    /// Its code.
    #[must_use]
    pub fn code(&self) -> Code {
        let mut text = blank(&self.text);
        let (mut test_modules, mut test_lines) = (Vec::new(), 0);
        while let Some(start) = ["#[cfg(test)]", "#[cfg(all(test"].iter().filter_map(|a| text.find(a)).min() {
            let end = end_of_item(&text, start);
            let item: Vec<&str> = text[start..end].trim_end_matches(';').split_whitespace().collect();
            if let [.., "mod", name] = item[..] {
                test_modules.push(name.to_owned());
            }
            test_lines += text[start..end].matches('\n').count() + 1;
            let spaces: String = text[start..end].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
            text.replace_range(start..end, &spaces);
        }
        Code { text, test_modules, test_lines }
    }
}

impl Code {
    /// Names of functions, and how many lines each has from its name to its end.
    #[must_use]
    pub fn functions(&self) -> Vec<(String, usize)> {
        let text = &self.text;
        let keyword = |&at: &usize| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let starts = text.match_indices("fn ").map(|(at, _)| at).filter(keyword);
        let function = |at: usize| {
            let name = text[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            (name, text[at..end_of_item(text, at)].lines().count())
        };
        starts.map(function).filter(|(name, _): &(String, _)| !name.is_empty()).collect()
    }
}

/// Past the end of the item whose attributes begin at `start`: its semicolon, or its last brace.
fn end_of_item(text: &str, start: usize) -> usize {
    let (mut braces, mut brackets) = (0, 0);
    for (at, byte) in text.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets -= 1,
            b'{' => braces += 1,
            b'}' if braces <= 1 => return at + 1 + usize::from(text[at + 1..].starts_with(';')),
            b'}' => braces -= 1,
            b';' if braces == 0 && brackets == 0 => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The text with comments, strings and characters as spaces, byte for byte (what is not ASCII becomes spaces, too).
fn blank(text: &str) -> String {
    let mut left = text;
    let mut out = String::with_capacity(text.len());
    let mut after_word = false;
    while let Some(first) = left.chars().next() {
        let length = match first {
            '/' if left.starts_with("//") => left.find('\n').unwrap_or(left.len()),
            '/' if left.starts_with("/*") => left.find("*/").map_or(left.len(), |end| end + 2),
            '"' => quoted(left),
            'r' if !after_word && raw_hashes(left).is_some() => raw(left),
            '\'' => character(left),
            _ => 0,
        };
        after_word = length == 0 && (first.is_alphanumeric() || first == '_');
        if length == 0 && first.is_ascii() {
            out.push(first);
            left = &left[1..];
        } else {
            let skipped = length.max(first.len_utf8());
            out.extend(left[..skipped].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
            left = &left[skipped..];
        }
    }
    out
}

/// Length of a string literal with its quotes.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Number of `#` of a raw string that begins here.
fn raw_hashes(text: &str) -> Option<usize> {
    let hashes = text[1..].bytes().take_while(|&byte| byte == b'#').count();
    text[1 + hashes..].starts_with('"').then_some(hashes)
}

fn raw(text: &str) -> usize {
    let hashes = raw_hashes(text).unwrap_or(0);
    let end = format!("\"{}", "#".repeat(hashes));
    text[hashes + 2..].find(&end).map_or(text.len(), |at| hashes + 2 + at + end.len())
}

/// Length of a character literal; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let from = at + escaped.len_utf8();
            text[from..].find('\'').map_or(0, |end| from + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Code {
        Source { path: "a.rs".into(), text: text.into() }.code()
    }

    #[test]
    fn only_code_is_left() {
        let text = "a // use b;\n/* c */ d \"e \\\" f\" r#\"g \" h\"# 'i' '\\'' &'j k";
        let words: Vec<String> = code(text).text.split_whitespace().map(str::to_owned).collect();
        assert_eq!(words, ["a", "d", "&'j", "k"]);
    }

    #[test]
    fn functions_are_measured() {
        let text =
            "fn a<T>(b: [T; 2]) -> fn(T) {\n  c { 1 };\n}\ntrait D {\n  fn e(&self)\n    -> f;\n}\n// fn g\nmy_fn (h)";
        let expected = [("a".to_owned(), 3), ("e".to_owned(), 2)];
        assert_eq!(code(text).functions(), expected);
        assert_eq!(code("#[cfg(test)]\nfn a() {\n}\n").functions(), []);
    }

    #[test]
    fn what_tests_see_is_taken_out_and_counted() {
        let found = code("a;\n#[cfg(test)]\nmod tests {\n  fn b() { c([0; 2]) }\n}\nd;\n#[cfg(test)]\nmod e;\n");
        assert_eq!(found.text.split_whitespace().collect::<Vec<_>>(), ["a;", "d;"]);
        assert_eq!(found.test_modules, ["e"]);
        assert_eq!(found.test_lines, 6);
        assert_eq!(code("#[cfg(test)]\nuse a::{b, c};\nd").text.trim(), "d");
    }
}
