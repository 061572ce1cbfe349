//! One picture in the page: seen without a script, and with its values for the script.
use super::escape::escape;
use super::number::{number, round_below};
use super::pixels::Pixels;
use super::{Picture, PictureKind, ReportError};
use crate::data::png_file::encode8;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// Longest scale bar, as a share of the picture's width.
const LONGEST_BAR: f64 = 0.35;

/// The part of a page with the figures of its pictures; the script finds it by its class, and adds the controls.
pub(super) fn section(figures: &str) -> String {
    if figures.is_empty() {
        return String::new();
    }
    format!("<section class=\"seen\">\n<h2>Pictures</h2>\n<div class=\"pictures\">\n{figures}</div>\n</section>\n")
}

/// The figure of a picture. Its data attributes are what `script/pixels.js` reads.
pub(super) fn figure(picture: &Picture) -> Result<String, ReportError> {
    let pixels = Pixels::of(&picture.image, picture.size);
    let problem = |cause| ReportError::Picture { caption: picture.caption.clone(), cause };
    let png = encode8(&pixels.shown, picture.window).map_err(problem)?;
    let (height, width) = (pixels.shown.height, pixels.shown.width);
    Ok(format!(
        "<figure class=\"view {kind}\" {data}>\n<div class=\"screen\"><img alt=\"{alt}\" width=\"{width}\" \
         height=\"{height}\" src=\"data:image/png;base64,{png}\">{scale}</div>\n<figcaption>\
         <strong>{caption}</strong>{merits}\n{ramp}{pooled}</figcaption>\n</figure>\n",
        kind = kind(picture.kind),
        data = data(picture, &pixels),
        alt = escape(&alt(picture, &pixels)),
        png = BASE64.encode(png),
        scale = scale_bar(picture),
        caption = escape(&picture.caption),
        merits = merits_in_spans(picture),
        ramp = ramp(picture),
        pooled = small(&pooled(&pixels)),
    ))
}

fn kind(kind: PictureKind) -> &'static str {
    match kind {
        PictureKind::Image => "image",
        PictureKind::Map => "map",
        PictureKind::Sinogram => "sinogram",
    }
}

fn data(picture: &Picture, pixels: &Pixels<'_>) -> String {
    let pixel_mm = picture.pixel_mm.map_or_else(String::new, |mm| format!(" data-pixel-mm=\"{mm}\""));
    format!(
        "data-kind=\"{}\" data-height=\"{}\" data-width=\"{}\" data-block=\"{}\" data-rows=\"{}\" \
         data-columns=\"{}\"{pixel_mm} data-unit=\"{}\" data-black=\"{}\" data-white=\"{}\" data-intercept=\"{}\" \
         data-slope=\"{}\" data-pixels=\"{}\"",
        kind(picture.kind),
        pixels.shown.height,
        pixels.shown.width,
        pixels.block,
        picture.size.0,
        picture.size.1,
        escape(&picture.unit),
        picture.window.lo,
        picture.window.hi,
        pixels.intercept,
        pixels.slope,
        BASE64.encode(pixels.bytes()),
    )
}

/// The picture in words.
fn alt(picture: &Picture, pixels: &Pixels<'_>) -> String {
    let size = format!("{} by {} pixels", picture.size.0, picture.size.1);
    let (lo, hi) = (number(picture.window.lo), number(picture.window.hi));
    let merits: String = merits(picture).iter().map(|merit| format!(", {merit}")).collect();
    let pooled = pooled(pixels);
    let pooled = if pooled.is_empty() { pooled } else { format!(", {pooled}") };
    format!("{}, {size}, black {lo}, white {hi}{}{pooled}{merits}", picture.caption, unit(picture))
}

fn unit(picture: &Picture) -> String {
    if picture.unit.is_empty() { String::new() } else { format!(" {}", picture.unit) }
}

fn pooled(pixels: &Pixels<'_>) -> String {
    let n = pixels.block;
    if n > 1 { format!("shown by means of {n} by {n} pixels") } else { String::new() }
}

fn small(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<small>{}</small>", escape(text)) }
}

fn merits(picture: &Picture) -> Vec<String> {
    let db = |db: f64| if db.is_finite() { format!("PSNR {db:.2} dB") } else { "PSNR \u{221e}".into() };
    // What is not defined, as the SSIM of a picture smaller than its window, stays out.
    let defined = |merit: Option<f64>| merit.filter(|merit| !merit.is_nan());
    let ssim = defined(picture.ssim).map(|ssim| format!("SSIM {ssim:.3}"));
    defined(picture.psnr_db).map(db).into_iter().chain(ssim).collect()
}

fn merits_in_spans(picture: &Picture) -> String {
    match merits(picture).as_slice() {
        [] => String::new(),
        merits => format!("<p class=\"merits\"><span>{}</span></p>", merits.join("</span> <span>")),
    }
}

/// The colours' meaning: from black to white.
fn ramp(picture: &Picture) -> String {
    format!(
        "<div class=\"ramp\"><span>{}</span><i></i><span>{}{}</span></div>",
        number(picture.window.lo),
        number(picture.window.hi),
        escape(&unit(picture))
    )
}

/// A bar of a round length, as wide as that is in the picture.
fn scale_bar(picture: &Picture) -> String {
    let Some(across) = picture.pixel_mm.map(|mm| mm * picture.size.1 as f64).filter(|mm| *mm > 0.0) else {
        return String::new();
    };
    let bar = round_below(LONGEST_BAR * across);
    let percent = 100.0 * bar / across;
    format!("<span class=\"scale\" style=\"width:{percent:.3}%\"><b>{} mm</b></span>", number(bar as f32))
}
