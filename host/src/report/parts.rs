//! The parts of a page: text, tables, charts and figures, each in its place in the outline.
use super::escape::escape;
use super::{Curve, Figure, Finding, Report, Section, Table, Tone};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A part with its heading; nothing where there is no content.
pub(super) fn section(title: &str, class: &str, content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    format!("<section>\n<h2>{title}</h2>\n<div class=\"{class}\">\n{content}</div>\n</section>\n")
}

/// A part that is folded up until it is asked for.
pub(super) fn folded(title: &str, class: &str, content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    format!(
        "<section>\n<details>\n<summary><h2>{title}</h2></summary>\n<div class=\"{class}\">\n{content}</div>\n\
         </details>\n</section>\n"
    )
}

pub(super) fn status(report: &Report) -> String {
    if report.status.text.is_empty() {
        return String::new();
    }
    let tone = if report.status.reached_goal { Tone::Good } else { Tone::Warning };
    let (class, mark) = (class(tone), mark(tone));
    format!("<p class=\"status {class}\">{mark}{}</p>", escape(&report.status.text))
}

fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Warning => "attention",
        Tone::Plain => "plain",
    }
}

/// The tone for those who do not see colours.
fn mark(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "<span aria-hidden=\"true\">\u{2713}</span> ",
        Tone::Warning => "<span aria-hidden=\"true\">!</span> ",
        Tone::Plain => "",
    }
}

pub(super) fn highlights(rows: &[(String, String)]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let pair =
        |(name, value): &(String, String)| format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(value));
    format!("<dl class=\"highlights\">\n{}</dl>\n", rows.iter().map(pair).collect::<String>())
}

pub(super) fn warnings(warnings: &[String]) -> String {
    if warnings.is_empty() {
        return String::new();
    }
    let items: String = warnings.iter().map(|warning| format!("<li>{}</li>\n", escape(warning))).collect();
    format!("<aside class=\"warnings\" aria-label=\"Warnings\">\n<h2>Warnings</h2>\n<ul>\n{items}</ul>\n</aside>\n")
}

/// A statement, its numbers folded up.
pub(super) fn finding(finding: &Finding) -> String {
    let curves: String = finding.curves.iter().map(chart).collect();
    let numbers = if finding.rows.is_empty() { String::new() } else { rows_table("", &finding.rows) };
    let numbers = match (numbers + &curves).as_str() {
        "" => String::new(),
        numbers => format!("<details>\n<summary>Numbers</summary>\n{numbers}</details>\n"),
    };
    format!(
        "<article class=\"finding {}\">\n<h3>{}{}</h3>\n<p>{}</p>\n{numbers}</article>\n",
        class(finding.tone),
        mark(finding.tone),
        escape(&finding.title),
        escape(&finding.words),
    )
}

pub(super) fn chart(curve: &Curve) -> String {
    format!("<figure>\n<figcaption><strong>{}</strong></figcaption>\n{}\n</figure>\n", escape(&curve.name), curve.svg())
}

/// A table of settings.
pub(super) fn table(section: &Section) -> String {
    rows_table(&format!("<caption>{}</caption>\n", escape(&section.title)), &section.rows)
}

fn rows_table(caption: &str, rows: &[(String, String)]) -> String {
    let row = |(name, value): &(String, String)| {
        format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escape(name), escape(value))
    };
    let rows: String = rows.iter().map(row).collect();
    format!("<table>\n{caption}<tbody>\n{rows}</tbody>\n</table>\n")
}

/// A figure in colour, with its own axes.
pub(super) fn panel(figure: &Figure) -> String {
    format!(
        "<figure>\n<img alt=\"{}\" width=\"{}\" height=\"{}\" src=\"data:image/png;base64,{}\">\n<figcaption>{}\
         </figcaption>\n</figure>\n",
        escape(&figure.alt),
        figure.size.0,
        figure.size.1,
        BASE64.encode(&figure.png),
        escape(&figure.caption),
    )
}

/// Results in rows and columns.
pub(super) fn results(table: &Table) -> String {
    let head: String = table.header.iter().map(|name| format!("<th scope=\"col\">{}</th>", escape(name))).collect();
    let row = |cells: &Vec<String>| {
        let (name, values) = cells.split_first().map_or(("", &[][..]), |(name, values)| (name.as_str(), values));
        let values: String = values.iter().map(|value| format!("<td>{}</td>", escape(value))).collect();
        format!("<tr><th scope=\"row\">{}</th>{values}</tr>\n", escape(name))
    };
    let rows: String = table.rows.iter().map(row).collect();
    let note =
        if table.note.is_empty() { String::new() } else { format!("<p class=\"note\">{}</p>\n", escape(&table.note)) };
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\">\n<table>\n\
         <caption>{title}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n{note}",
        title = escape(&table.title)
    )
}

/// The run's description as text.
pub(super) fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<pre><code>{}</code></pre>\n", escape(text)) }
}
