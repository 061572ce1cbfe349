//! The report's HTML.
use super::escape::escape;
use super::script::{SCRIPT, policy};
use super::{Report, ReportError, parts, view};

const STYLE: &str = include_str!("style.css");

/// The whole page. The policy in its head forbids every request, whatever the text in the page may be.
pub(super) fn html(report: &Report) -> Result<String, ReportError> {
    let title = escape(&report.title);
    let versions: Vec<String> = report.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    Ok(format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{STYLE}</style>
</head>
<body>
<main>
{header}{main}</main>
<footer>{versions}</footer>
{script}</body>
</html>
"#,
        policy = policy(),
        header = header(report, &title),
        main = main(report)?,
        versions = escape(&versions.join(" \u{b7} ")),
        script = if report.pictures.is_empty() { String::new() } else { format!("<script>{SCRIPT}</script>\n") },
    ))
}

/// Title, the words to read first, and the few numbers to see first.
fn header(report: &Report, title: &str) -> String {
    format!(
        "<header>\n<h1>{title}</h1>\n<p class=\"method\">{}</p>\n{}\n{}</header>\n",
        escape(&report.method),
        parts::status(report),
        parts::highlights(&report.highlights)
    )
}

/// The body: first the warnings, then the pictures, then what they rest on.
fn main(report: &Report) -> Result<String, ReportError> {
    let pictures: String = report.pictures.iter().map(view::figure).collect::<Result<_, _>>()?;
    let of = |parts: &mut dyn Iterator<Item = String>| parts.collect::<String>();
    Ok([
        parts::warnings(&report.warnings),
        view::section(&pictures),
        parts::section("What to believe", "findings", &of(&mut report.findings.iter().map(parts::finding))),
        parts::section("Results", "results", &of(&mut report.tables.iter().map(parts::results))),
        parts::section("Figures", "panels", &of(&mut report.figures.iter().map(parts::panel))),
        parts::section("Course of the descent", "curves", &of(&mut report.curves.iter().map(parts::chart))),
        parts::folded("Settings", "settings", &of(&mut report.settings.iter().map(parts::table))),
        parts::folded("Run description (TOML)", "code", &parts::code(&report.toml)),
    ]
    .concat())
}

#[cfg(test)]
mod tests;
