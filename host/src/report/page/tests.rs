//! Tests of the page.
use super::*;
use crate::image::{GreyWindow, Image};
use crate::report::{Curve, Figure, Finding, Picture, PictureKind, Section, Status, Table};

const NASTY: &str = "</title><script src=\"https://example.org/x.js\">'&";

fn nasty_curve() -> Curve {
    let words = || NASTY.to_owned();
    Curve { name: words(), x_label: words(), y_label: words(), points: vec![(0.0, 1.0)], log_axis: false }
}

/// The page without what its makers have written: what is left comes from the report.
fn without_script(page: &str) -> String {
    page.replace(&format!("<script>{SCRIPT}</script>"), "")
}

fn nasty_report() -> Report {
    let image = Image { height: 8, width: 9, pixels: (0..72).map(|k| k as f32 / 72.0).collect() };
    let mut picture = Picture::new(NASTY, image.clone(), GreyWindow::new(0.0, 1.0)).compared_with(&image, 1.0);
    picture.unit = NASTY.into();
    let pair = vec![(NASTY.to_owned(), NASTY.to_owned())];
    Report {
        title: NASTY.into(),
        method: NASTY.into(),
        status: Status { text: NASTY.into(), reached_goal: true },
        highlights: pair.clone(),
        warnings: vec![NASTY.into()],
        findings: vec![Finding {
            title: NASTY.into(),
            words: NASTY.into(),
            rows: pair.clone(),
            curves: vec![nasty_curve()],
            ..Finding::default()
        }],
        tables: vec![Table {
            title: NASTY.into(),
            header: vec![NASTY.into(); 2],
            rows: vec![vec![NASTY.into(); 2]],
            note: NASTY.into(),
        }],
        figures: vec![Figure { caption: NASTY.into(), alt: NASTY.into(), png: vec![1, 2, 3], size: (4, 5) }],
        pictures: vec![picture],
        curves: vec![nasty_curve()],
        settings: vec![Section { title: NASTY.into(), rows: pair.clone() }],
        toml: NASTY.into(),
        versions: pair,
    }
}

#[test]
fn all_text_is_escaped() {
    let page = without_script(&nasty_report().to_html().unwrap());
    assert!(!page.contains("<script") && !page.contains("x.js\""), "{page}");
    assert!(page.matches("&lt;script src=&quot;https://example.org/x.js&quot;&gt;&#39;&amp;").count() >= 31);
    assert_eq!(page.matches("</title>").count(), 1);
}

#[test]
fn the_page_refers_to_nothing_outside() {
    let page = nasty_report().to_html().unwrap();
    let asks = ["fetch(", "XMLHttpRequest", "WebSocket", "EventSource", "sendBeacon", "import(", "Worker", "location"];
    for word in asks {
        assert!(!SCRIPT.contains(word), "{word}");
    }
    // The name of a language, which is no address.
    let page = page.replace("https://example.org", "").replace("http://www.w3.org/2000/svg", "");
    for reference in ["http:", "https:", "url(", "@import", "<iframe", "<object", "srcset"] {
        assert!(!page.contains(reference), "{reference}");
    }
    let sources = page.match_indices("src=").chain(page.match_indices("href="));
    for (at, attribute) in sources {
        let value = &page[at + attribute.len()..];
        assert!(value.starts_with("\"data:") || value.starts_with("&quot;"), "{}", &value[..40]);
    }
    assert!(page.contains("default-src 'none'"));
}

/// The hash lets this script run, and no other.
#[test]
fn the_policy_knows_the_script() {
    let page = nasty_report().to_html().unwrap();
    let (at, _) = page.match_indices("script-src 'sha256-").next().unwrap();
    let hash = &page[at..].split('-').nth(2).unwrap()[..44];
    let script = page.split("<script>").nth(1).unwrap().split("</script>").next().unwrap();
    let digest = <sha2::Sha256 as sha2::Digest>::digest(script);
    assert_eq!(hash, base64::Engine::encode(&base64::engine::general_purpose::STANDARD, digest));
    assert!(script.starts_with("(() => {\n\"use strict\";") && page.matches("unsafe").count() == 1);
    let no_pictures = Report { title: "no pictures".into(), ..Report::default() }.to_html().unwrap();
    assert!(!no_pictures.contains("<script"), "a script with nothing to do");
}

fn square(n: usize) -> Picture {
    let image = Image { height: n, width: n, pixels: (0..n * n).map(|k| (k % 97) as f32).collect() };
    Picture::new("square", image, GreyWindow::new(0.0, 96.0))
}

#[test]
fn the_values_are_in_the_page() {
    let map = Picture { kind: PictureKind::Map, unit: "HU".into(), pixel_mm: Some(0.5), ..square(98) };
    let page = Report { pictures: vec![map], ..Report::default() }.to_html().unwrap();
    for attribute in
        ["kind=\"map", "height=\"98", "width=\"98", "block=\"1", "rows=\"98", "pixel-mm=\"0.5", "unit=\"HU"]
    {
        assert!(page.contains(&format!("data-{attribute}\"")), "{attribute}");
    }
    let pixels = page.split("data-pixels=\"").nth(1).unwrap().split('"').next().unwrap();
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, pixels).unwrap();
    assert_eq!(bytes.len(), 98 * 98 * 3 / 2);
    // The second pixel: 1 of 0 to 96.
    assert_eq!(u16::from_le_bytes([bytes[1], bytes[2]]) >> 4, (4094.0_f64 / 96.0).round() as u16);
    // 49 mm across: a third of that is 17.15.
    assert!(page.contains("<span class=\"scale\" style=\"width:20.408%\"><b>10 mm</b></span>"), "no scale bar");
}

/// As many pictures as a run has at most, with values that do not compress.
#[test]
fn pages_are_bounded() {
    let pictures = |n: usize| vec![square(n); 9];
    let page = Report { pictures: pictures(256), ..Report::default() }.to_html().unwrap();
    assert!(page.len() < 2_000_000, "{}", page.len());
    let page = Report { pictures: vec![square(2500)], ..Report::default() }.to_html().unwrap();
    assert!(page.contains("shown by means of 3 by 3 pixels") && page.len() < 4_000_000, "{}", page.len());
}

#[test]
fn every_picture_and_chart_has_words() {
    let page = nasty_report().to_html().unwrap();
    assert_eq!(without_script(&page).matches("<img alt=\"").count(), 2);
    assert!(page.contains("8 by 9 pixels, black 0, white 1"));
    assert!(page.contains("white 1 &lt;/title") && page.contains(", PSNR \u{221e}, SSIM 1.000\""));
    assert!(page.contains("<span>PSNR \u{221e}</span> <span>SSIM 1.000</span>"));
    let undefined = Picture { psnr_db: Some(f64::NAN), ssim: Some(f64::NAN), ..square(4) };
    let without = Report { pictures: vec![undefined], ..Report::default() }.to_html().unwrap();
    assert!(!without.contains("class=\"merits\"") && !without_script(&without).contains("NaN"));
    assert_eq!(page.matches("role=\"img\" aria-label=\"").count(), 2);
}

#[test]
fn empty_parts_leave_nothing() {
    let page = Report { title: "empty".into(), ..Report::default() }.to_html().unwrap();
    for part in ["<section", "<aside", "class=\"status", "<dl"] {
        assert!(!page.contains(part), "{part}");
    }
    let no_pixels = Picture::new("nothing", Image::zeros(0, 0), GreyWindow::new(0.0, 1.0));
    let report = Report { pictures: vec![no_pixels], ..Report::default() };
    assert!(matches!(report.to_html(), Err(ReportError::Picture { .. })));
}

#[test]
fn the_page_is_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    nasty_report().write(&path).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().ends_with("</html>\n"));
    assert!(nasty_report().write(folder.path().join("none/report.html")).is_err());
}
