//! The report's HTML.
use super::escape::escape;
use super::{Curve, Figure, Picture, Report, ReportError, Section, Table};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

const STYLE: &str = include_str!("style.css");

/// Widest picture that the style's figures show whole, and what stands around it.
const SMALL: usize = 326;
const FRAME: usize = 26;

/// The whole page. The policy in its head forbids every request, whatever the text in the page may be.
pub(super) fn html(report: &Report) -> Result<String, ReportError> {
    let title = escape(&report.title);
    let pictures: String = report.pictures.iter().map(figure).collect::<Result<_, _>>()?;
    let curves: String = report.curves.iter().map(chart).collect();
    let settings: String = report.settings.iter().map(table).collect();
    let versions: Vec<String> = report.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    Ok(format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{STYLE}</style>
</head>
<body>
<main>
<header>
<h1>{title}</h1>
<p class="method">{method}</p>
{status}
{highlights}</header>
{warnings}{tables}{figures}{pictures}{curves}{settings}{toml}</main>
<footer>{versions}</footer>
</body>
</html>
"#,
        method = escape(&report.method),
        status = status(report),
        highlights = highlights(&report.highlights),
        warnings = warnings(&report.warnings),
        tables = section("Results", "results", &report.tables.iter().map(results).collect::<String>()),
        figures = section("Figures", "panels", &report.figures.iter().map(panel).collect::<String>()),
        pictures = section("Pictures", "pictures", &pictures),
        curves = section("Course of the descent", "curves", &curves),
        settings = section("Settings", "settings", &settings),
        toml = run_description(&report.toml),
        versions = escape(&versions.join(" \u{b7} ")),
    ))
}

fn section(title: &str, class: &str, content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    format!("<section>\n<h2>{title}</h2>\n<div class=\"{class}\">\n{content}</div>\n</section>\n")
}

fn status(report: &Report) -> String {
    if report.status.text.is_empty() {
        return String::new();
    }
    let (class, mark) = if report.status.reached_goal { ("good", '\u{2713}') } else { ("attention", '!') };
    format!("<p class=\"status {class}\"><span aria-hidden=\"true\">{mark}</span> {}</p>", escape(&report.status.text))
}

fn highlights(rows: &[(String, String)]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let pair =
        |(name, value): &(String, String)| format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(value));
    format!("<dl class=\"highlights\">\n{}</dl>\n", rows.iter().map(pair).collect::<String>())
}

fn warnings(warnings: &[String]) -> String {
    if warnings.is_empty() {
        return String::new();
    }
    let items: String = warnings.iter().map(|warning| format!("<li>{}</li>\n", escape(warning))).collect();
    format!("<aside class=\"warnings\" aria-label=\"Warnings\">\n<ul>\n{items}</ul>\n</aside>\n")
}

fn figure(picture: &Picture) -> Result<String, ReportError> {
    let unit = if picture.unit.is_empty() { String::new() } else { format!(" {}", picture.unit) };
    let window = format!("black {}, white {}{unit}", number(picture.window.lo), number(picture.window.hi));
    let psnr =
        picture.psnr_db.map(|db| if db.is_finite() { format!("PSNR {db:.2} dB") } else { "PSNR \u{221e}".into() });
    let ssim = picture.ssim.map(|ssim| format!("SSIM {ssim:.3}"));
    let merits: Vec<String> = psnr.into_iter().chain(ssim).collect();
    let in_spans = match merits.as_slice() {
        [] => String::new(),
        merits => format!("<p class=\"merits\"><span>{}</span></p>", merits.join("</span> <span>")),
    };
    let caption = escape(&picture.caption);
    let size = format!("{} by {} pixels", picture.image.height, picture.image.width);
    let (shown, times) = picture.shown();
    let by_means = if times > 1 { format!("; shown by means of {times} by {times} pixels") } else { String::new() };
    let window = format!("{window}{by_means}");
    // Fewer pixels on the screen than in the picture would leave out lines of one pixel.
    let large = if shown.width > SMALL {
        format!(" class=\"large\" style=\"width:{}px\"", shown.width + FRAME)
    } else {
        String::new()
    };
    let merits_in_words = merits.iter().map(|merit| format!(", {merit}")).collect::<String>();
    Ok(format!(
        "<figure{large}>\n<img alt=\"{caption}, {size}, {window}{merits_in_words}\" width=\"{}\" height=\"{}\" \
         src=\"data:image/png;base64,{}\">\n<figcaption><strong>{caption}</strong>{}<small>{window}</small>\
         </figcaption>\n</figure>\n",
        shown.width,
        shown.height,
        BASE64.encode(picture.png()?),
        in_spans,
        window = escape(&window),
    ))
}

/// Up to four digits, without a tail of zeros.
fn number(value: f32) -> String {
    let magnitude = value.abs();
    if value == 0.0 || (1e-3..1e6).contains(&magnitude) {
        let decimals = if magnitude >= 100.0 { 0 } else { 4 };
        let text = format!("{value:.decimals$}");
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        return text.replace('-', "\u{2212}");
    }
    format!("{value:.2e}").replace('-', "\u{2212}")
}

fn chart(curve: &Curve) -> String {
    format!("<figure>\n<figcaption><strong>{}</strong></figcaption>\n{}\n</figure>\n", escape(&curve.name), curve.svg())
}

fn table(section: &Section) -> String {
    let row = |(name, value): &(String, String)| {
        format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escape(name), escape(value))
    };
    let rows: String = section.rows.iter().map(row).collect();
    format!("<table>\n<caption>{}</caption>\n<tbody>\n{rows}</tbody>\n</table>\n", escape(&section.title))
}

/// A figure in colour, with its own axes.
fn panel(figure: &Figure) -> String {
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
fn results(table: &Table) -> String {
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
        "<div class=\"scroll\">\n<table>\n<caption>{}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\
         </tbody>\n</table>\n</div>\n{note}",
        escape(&table.title)
    )
}

fn run_description(toml: &str) -> String {
    if toml.is_empty() {
        return String::new();
    }
    format!(
        "<section>\n<details>\n<summary>Run description (TOML)</summary>\n<pre><code>{}</code></pre>\n\
         </details>\n</section>\n",
        escape(toml)
    )
}

#[cfg(test)]
mod tests;
