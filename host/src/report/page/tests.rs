//! Tests of the page.
use super::*;
use crate::image::{GreyWindow, Image};
use crate::report::Status;

const NASTY: &str = "</title><script src=\"https://example.org/x.js\">'&";

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
        tables: vec![Table {
            title: NASTY.into(),
            header: vec![NASTY.into(); 2],
            rows: vec![vec![NASTY.into(); 2]],
            note: NASTY.into(),
        }],
        figures: vec![Figure { caption: NASTY.into(), alt: NASTY.into(), png: vec![1, 2, 3], size: (4, 5) }],
        pictures: vec![picture],
        curves: vec![Curve { name: NASTY.into(), y_label: NASTY.into(), points: vec![(0.0, 1.0)], log_axis: false }],
        settings: vec![Section { title: NASTY.into(), rows: pair.clone() }],
        toml: NASTY.into(),
        versions: pair,
    }
}

#[test]
fn all_text_is_escaped() {
    let page = nasty_report().to_html().unwrap();
    assert!(!page.contains("<script") && !page.contains("x.js\""), "{page}");
    assert!(page.matches("&lt;script src=&quot;https://example.org/x.js&quot;&gt;&#39;&amp;").count() >= 22);
    assert_eq!(page.matches("</title>").count(), 1);
}

#[test]
fn the_page_refers_to_nothing_outside() {
    let page = nasty_report().to_html().unwrap().replace("https://example.org", "");
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

/// Of pictures that are shown with fewer pixels than they have, lines of one pixel are lost.
#[test]
fn large_pictures_are_shown_pixel_by_pixel() {
    let picture = |width: usize| {
        let image = Image { height: 4, width, pixels: (0..4 * width).map(|k| (k % 2) as f32).collect() };
        Picture::new("lines", image, GreyWindow::new(0.0, 1.0))
    };
    let page = Report { pictures: vec![picture(300), picture(512)], ..Report::default() }.to_html().unwrap();
    assert!(
        page.contains("<figure class=\"large\" style=\"width:538px\">\n<img alt=\"lines, 4 by 512 pixels"),
        "{page}"
    );
    assert_eq!(page.matches("class=\"large\"").count(), 1);
    assert!(page.contains("figure.large { flex: none;"), "the style does not know large figures");
}

#[test]
fn every_picture_and_chart_has_words() {
    let page = nasty_report().to_html().unwrap();
    assert_eq!(page.matches("<img alt=\"").count(), 2);
    assert!(page.contains("8 by 9 pixels, black 0, white 1"));
    assert!(page.contains("white 1 &lt;/title") && page.contains(", PSNR \u{221e}, SSIM 1.000\""));
    assert!(page.contains("<span>PSNR \u{221e}</span> <span>SSIM 1.000</span>"));
    assert_eq!(page.matches("role=\"img\" aria-label=\"").count(), 1);
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

#[test]
fn window_ends_are_short() {
    assert_eq!(
        [0.0, 1.0, -160.0, 0.1234567, 3071.0, 1e-7].map(number),
        ["0", "1", "\u{2212}160", "0.1235", "3071", "1.00e\u{2212}7"]
    );
}
