//! README.md and GUIDE.md held to the command: every line of it parses, every field and flag of a run is told.

use crate::Cli;
use crate::config::RunConfig;
use clap::{CommandFactory, Parser};
use gradus::reconstruct::{FieldError, Method, Settings};
use std::collections::BTreeSet;
use toml::Value;

fn page(name: &str) -> String {
    std::fs::read_to_string(format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The names in the first column of the table under a heading of GUIDE.md.
fn fields(heading: &str) -> BTreeSet<String> {
    let guide = page("GUIDE.md");
    let part = guide.split_once(&format!("### {heading}\n")).unwrap().1.split("\n#").next().unwrap();
    part.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('`').nth(1).unwrap().to_owned()).collect()
}

/// The words of a command line without its comment, as a shell has them.
fn words(line: &str) -> Vec<String> {
    let line = line.split(" #").next().unwrap_or_default();
    let quoted = line.split('"').enumerate();
    let parts = quoted.flat_map(|(k, part)| match k % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    parts.collect()
}

/// The command lines of a page: lines of code, and code within lines, that begin with the command and name what to do.
fn commands(text: &str) -> Vec<Vec<String>> {
    let unwrapped = text.replace('\n', " ");
    let within = unwrapped.split('`').skip(1).step_by(2).map(str::to_owned).filter(|code| code.contains(" --"));
    let lines = text.lines().filter_map(|line| line.strip_prefix("    ")).map(str::to_owned);
    let all = lines.chain(within).map(|line| words(&line));
    let of_cargo: Vec<String> = "cargo run --release --".split(' ').map(str::to_owned).collect();
    let all = all.map(|words| match words.strip_prefix(&of_cargo[..]) {
        Some(arguments) => [&["gradus".to_owned()], arguments].concat(),
        None => words,
    });
    all.filter(|words| words.len() > 1 && words[0] == "gradus").collect()
}

#[test]
fn command_lines_of_the_pages_parse() {
    for (name, at_least) in [("README.md", 5), ("GUIDE.md", 45), ("RESULTS.md", 5)] {
        let commands = commands(&page(name));
        assert!(commands.len() >= at_least, "{name}: only {} commands are understood", commands.len());
        for words in commands {
            // Stand-ins for values that stand in capitals.
            let values = [("METHOD", "tv"), ("COMMAND", "train"), ("K", "2")];
            let value = |word: &String| values.iter().find(|(name, _)| word == name).map(|(_, value)| *value);
            let given: Vec<String> = words.iter().map(|word| value(word).unwrap_or(word).to_owned()).collect();
            match Cli::try_parse_from(&given) {
                Err(error) if error.use_stderr() => panic!("{name}: `{}`: {error}", words.join(" ")),
                _ => {}
            }
        }
    }
}

#[test]
fn fields_of_a_run_are_those_of_the_guide() {
    let error = toml::from_str::<RunConfig>("no_such_field = 1").unwrap_err().to_string();
    let read = error.split_once(", expected").unwrap().1.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(fields("Fields of a run"), read);
}

#[test]
fn every_flag_that_sets_a_field_stands_in_the_guide() {
    let known = fields("Fields of `[reconstruction]`");
    let command = Cli::command();
    let reconstruct = command.find_subcommand("reconstruct").unwrap();
    let names =
        reconstruct.get_arguments().filter_map(|argument| argument.get_long()).map(|name| name.replace('-', "_"));
    let is_read = |name: &str| {
        let set = |method: &Method| Settings::from(*method).with(name, Value::Array(Vec::new()));
        Method::ALL.iter().any(|method| !matches!(set(method), Err(FieldError::Unknown(_) | FieldError::Moved { .. })))
    };
    let set: Vec<String> = names.filter(|name| is_read(name)).collect();
    assert!(set.len() >= 20, "{set:?}");
    assert_eq!(set.iter().filter(|name| !known.contains(*name)).collect::<Vec<_>>(), Vec::<&String>::new());
}
