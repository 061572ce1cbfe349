//! A picture in colour to draw on: rectangles, smooth lines, dots and text in a bitmap font.
use super::ReportError;
use crate::data::png_file::encode_rgb;
use embedded_graphics::mono_font::ascii::{FONT_9X15, FONT_9X18_BOLD};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::{DrawTarget, Drawable, OriginDimensions, Pixel, Point, RgbColor, Size};
use embedded_graphics::text::{Alignment, Text};
use std::convert::Infallible;

/// Red, green, blue.
pub(super) type Colour = [u8; 3];

pub(super) const WHITE: Colour = [255; 3];
pub(super) const INK: Colour = [27, 31, 39];

/// Place of text relative to its position.
pub(super) use embedded_graphics::text::Alignment as Align;

/// A picture: x to the right, y down, in pixels.
#[derive(Debug, Clone)]
pub(super) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<Colour>,
}

impl Canvas {
    /// A white picture.
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![WHITE; width * height] }
    }

    /// Lays `colour` over a pixel; `opacity` from 0 to 1. Nothing outside the picture.
    fn blend(&mut self, x: i64, y: i64, colour: Colour, opacity: f64) {
        let inside = |at: i64, size: usize| usize::try_from(at).ok().filter(|at| *at < size);
        if let (Some(x), Some(y)) = (inside(x, self.width), inside(y, self.height)) {
            let pixel = &mut self.pixels[y * self.width + x];
            for (old, new) in pixel.iter_mut().zip(colour) {
                *old = (f64::from(*old) + opacity * (f64::from(new) - f64::from(*old))).round() as u8;
            }
        }
    }

    pub(super) fn set(&mut self, x: usize, y: usize, colour: Colour) {
        self.blend(x as i64, y as i64, colour, 1.0);
    }

    /// A line of this width with round ends, its edge smoothed over a pixel.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), width: f64, colour: Colour) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let square = dx * dx + dy * dy;
        let reach = 0.5 * width + 1.0;
        let span = |a: f64, b: f64| (a.min(b) - reach).floor() as i64..=(a.max(b) + reach).ceil() as i64;
        for y in span(from.1, to.1) {
            for x in span(from.0, to.0) {
                let (px, py) = (x as f64 + 0.5 - from.0, y as f64 + 0.5 - from.1);
                let along = if square > 0.0 { ((px * dx + py * dy) / square).clamp(0.0, 1.0) } else { 0.0 };
                let distance = (px - along * dx).hypot(py - along * dy);
                let opacity = (0.5 * width + 0.5 - distance).clamp(0.0, 1.0);
                if opacity > 0.0 {
                    self.blend(x, y, colour, opacity);
                }
            }
        }
    }

    /// A filled disc.
    pub(super) fn dot(&mut self, centre: (f64, f64), radius: f64, colour: Colour) {
        self.line(centre, centre, 2.0 * radius, colour);
    }

    /// Text with its baseline at `y`.
    pub(super) fn text(&mut self, text: &str, (x, y): (f64, f64), align: Align) {
        self.draw(text, (x, y), align, &FONT_9X15);
    }

    /// A heading with its baseline at `y`.
    pub(super) fn heading(&mut self, text: &str, (x, y): (f64, f64)) {
        self.draw(text, (x, y), Align::Left, &FONT_9X18_BOLD);
    }

    fn draw(&mut self, text: &str, (x, y): (f64, f64), align: Alignment, font: &MonoFont<'_>) {
        let style = MonoTextStyle::new(font, Rgb888::new(INK[0], INK[1], INK[2]));
        // Drawing on a canvas cannot fail.
        let _ = Text::with_alignment(text, Point::new(x as i32, y as i32), style, align).draw(self);
    }

    /// Text from bottom to top, its middle at (x, y).
    pub(super) fn vertical_text(&mut self, text: &str, (x, y): (f64, f64)) {
        let (length, height) = (9 * text.chars().count() + 2, 16);
        let mut lying = Self::new(length, height);
        lying.text(text, (1.0, 12.0), Align::Left);
        let (left, bottom) = (x as i64 - height as i64 / 2, y as i64 + length as i64 / 2);
        for (k, colour) in lying.pixels.iter().enumerate().filter(|(_, colour)| **colour != WHITE) {
            self.blend(left + (k / length) as i64, bottom - (k % length) as i64, *colour, 1.0);
        }
    }

    /// The picture as a PNG.
    pub(super) fn png(&self, caption: &str) -> Result<Vec<u8>, ReportError> {
        encode_rgb(self.width, self.height, self.pixels.as_flattened())
            .map_err(|cause| ReportError::Picture { caption: caption.to_owned(), cause })
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width as u32, self.height as u32)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(at, colour) in pixels {
            self.blend(at.x.into(), at.y.into(), [colour.r(), colour.g(), colour.b()], 1.0);
        }
        Ok(())
    }
}
