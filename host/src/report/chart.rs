//! Curves as inline SVG: axes with round ticks, and a label that follows the pointer, all without a script.
use super::escape::escape;
use std::fmt::Write;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
/// Room for the vertical axis' label, which lies: what stands upright is read by nobody.
const TOP: f64 = 30.0;
const BOTTOM: f64 = 40.0;
/// More columns than a screen shows of one chart: each keeps its lowest and highest point.
const COLUMNS: usize = 600;
/// Points that answer to the pointer.
const HOVER_POINTS: usize = 120;
/// So few points are marked one by one.
const FEW: usize = 30;
/// An axis has at most about this many gaps between ticks.
const TICKS: f64 = 6.0;

/// A quantity over something that is counted, as iterations, views or bins.
#[derive(Debug, Clone, Default)]
pub struct Curve {
    /// Heading.
    pub name: String,
    /// The horizontal axis: what is counted, in the singular.
    pub x_label: String,
    /// Quantity and unit on the vertical axis.
    pub y_label: String,
    /// Logarithmic vertical axis; values that are not positive leave gaps.
    pub log_axis: bool,
    /// (count, value); values that are not finite leave gaps.
    pub points: Vec<(f64, f64)>,
}

/// Maps a range of values to a range of positions.
pub(super) struct Axis {
    lo: f64,
    hi: f64,
    log: bool,
    from: f64,
    to: f64,
}

impl Axis {
    /// An axis over `values`, widened where they are all the same; `margin` is the share left free at both ends.
    pub(super) fn over(values: impl Iterator<Item = f64>, log: bool, span: (f64, f64), margin: f64) -> Self {
        let scaled = values.map(|v| if log { v.log10() } else { v });
        let (lo, hi) = scaled.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
        let (lo, hi) = if lo <= hi { (lo, hi) } else { (0.0, 1.0) };
        let spread = hi - lo;
        let least = 1e-9 * lo.abs().max(hi.abs());
        let widen = if spread > least { margin * spread } else { (0.05 * hi.abs()).max(0.5) };
        Self { lo: lo - widen, hi: hi + widen, log, from: span.0, to: span.1 }
    }

    pub(super) fn place(&self, value: f64) -> f64 {
        let scaled = if self.log { value.log10() } else { value };
        self.from + (scaled - self.lo) / (self.hi - self.lo) * (self.to - self.from)
    }

    /// Round values inside the axis, with their labels.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let decades = self.hi - self.lo;
        if self.log && decades >= 1.5 {
            let every = (decades / TICKS).ceil().max(1.0);
            let first = (self.lo / every).ceil() as i32;
            let last = (self.hi / every).floor() as i32;
            return decades_in(first, last, every as i32);
        }
        let (lo, hi) = if self.log { (10f64.powf(self.lo), 10f64.powf(self.hi)) } else { (self.lo, self.hi) };
        let step = round_step((hi - lo) / TICKS);
        let values = ((lo / step).ceil() as i64..=(hi / step).floor() as i64).map(|k| k as f64 * step);
        values.map(|value| (value, label(value, step))).collect()
    }
}

/// The smallest of 1, 2, 5 times a power of ten that is at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= step * 0.999).unwrap_or(10.0);
    (factor * power).max(f64::MIN_POSITIVE)
}

/// A tick's value with the decimals that its step needs.
fn label(value: f64, step: f64) -> String {
    let size = value.abs().max(step);
    if !(1e-3..1e5).contains(&size) {
        return short(value);
    }
    let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    minus(format!("{value:.decimals$}"))
}

/// A whole value without decimals; a large one as it is.
fn whole(value: f64, text: String) -> String {
    if value.abs() < 1e5 { minus(format!("{value:.0}")) } else { text }
}

/// A value for a label: four digits.
fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let exponent = value.abs().log10().floor() as i32;
    if (-3..5).contains(&exponent) {
        let decimals = (3 - exponent).max(0) as usize;
        return minus(format!("{value:.decimals$}"));
    }
    let mantissa = format!("{:.2}", value / 10f64.powi(exponent));
    let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
    minus(format!("{mantissa}\u{b7}{}", power_of_ten(exponent)))
}

/// Every `every`-th power of ten that is a number.
fn decades_in(first: i32, last: i32, every: i32) -> Vec<(f64, String)> {
    let decades = (first..=last).map(|k| k * every).map(|k| (10f64.powi(k), power_of_ten(k)));
    decades.filter(|(value, _)| value.is_finite() && *value > 0.0).collect()
}

fn power_of_ten(exponent: i32) -> String {
    let superscript = |c: char| match c {
        '-' => '\u{207b}',
        '1' => '\u{b9}',
        '2' => '\u{b2}',
        '3' => '\u{b3}',
        digit => char::from_u32(0x2070 + digit.to_digit(10).unwrap_or(0)).unwrap_or(digit),
    };
    format!("10{}", exponent.to_string().chars().map(superscript).collect::<String>())
}

fn minus(number: String) -> String {
    number.replace('-', "\u{2212}")
}

impl Curve {
    fn shows(&self, value: f64) -> bool {
        value.is_finite() && (!self.log_axis || value > 0.0)
    }

    /// The chart; also its summary in words for readers who do not see it.
    pub(super) fn svg(&self) -> String {
        let shown: Vec<(f64, f64)> =
            self.points.iter().copied().filter(|&(x, y)| x.is_finite() && self.shows(y)).collect();
        // Also where there are no values: charts of one run have one axis.
        let counted = self.points.iter().map(|p| p.0).filter(|x| x.is_finite());
        let x_axis = Axis::over(counted, false, (LEFT, WIDTH - RIGHT - 6.0), 0.0);
        let y_axis = Axis::over(shown.iter().map(|p| p.1), self.log_axis, (HEIGHT - BOTTOM, TOP), 0.05);
        let mut svg = format!(
            r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{}">"#,
            escape(&self.in_words(&shown))
        );
        self.draw_axes(&mut svg, &x_axis, &y_axis);
        if shown.is_empty() {
            let (x, y) = (WIDTH / 2.0, HEIGHT / 2.0);
            svg += &format!(r#"<text class="label" x="{x}" y="{y}" text-anchor="middle">no values</text>"#);
        } else {
            svg += &format!(r#"<path class="line" d="{}"/>"#, self.path(&x_axis, &y_axis));
            if shown.len() <= FEW {
                mark(&mut svg, &shown, &x_axis, &y_axis);
            }
            hover_points(&mut svg, &shown, &x_axis, &y_axis);
        }
        svg + "</svg>"
    }

    fn in_words(&self, shown: &[(f64, f64)]) -> String {
        match (shown.first(), shown.last()) {
            (Some(first), Some(last)) => {
                let (from, to) = (short(first.1), short(last.1));
                format!("{}, {} {} to {}: from {from} to {to}", self.name, self.x_label, first.0, last.0)
            }
            _ => format!("{}: no values", self.name),
        }
    }

    fn draw_axes(&self, svg: &mut String, x_axis: &Axis, y_axis: &Axis) {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        let counts = self.points.iter().all(|p| p.1.fract() == 0.0);
        let is_shown = |value: f64| !counts || value.fract() == 0.0;
        for (value, text) in y_axis.ticks().into_iter().filter(|(value, _)| is_shown(*value)) {
            let y = y_axis.place(value);
            let text = if counts { whole(value, text) } else { text };
            *svg += &format!(
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/><text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" \
                 text-anchor=\"end\">{text}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        for (value, _) in x_axis.ticks().into_iter().filter(|(value, _)| value.fract() == 0.0) {
            let x = x_axis.place(value);
            *svg += &format!(
                "<path class=\"grid\" d=\"M{x:.1} {bottom}v4\"/><text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" \
                 text-anchor=\"middle\">{value}</text>",
                bottom + 17.0
            );
        }
        *svg += &format!(
            "<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/><text class=\"label\" x=\"{right}\" \
             y=\"{:.1}\" text-anchor=\"end\">{}</text><text class=\"label\" x=\"0\" y=\"14\">{}</text>",
            HEIGHT - 6.0,
            escape(&self.x_label),
            escape(&self.y_label)
        );
    }

    /// Lines through the points, broken where a value cannot be shown.
    fn path(&self, x_axis: &Axis, y_axis: &Axis) -> String {
        let mut path = String::new();
        let mut pen_down = false;
        for (x, y) in thinned(&self.points) {
            if !(x.is_finite() && self.shows(y)) {
                pen_down = false;
                continue;
            }
            let command = if pen_down { 'L' } else { 'M' };
            // Writing to a string cannot fail. A lone point becomes a dot by its round line end.
            let _ = write!(path, "{command}{:.1} {:.1}", x_axis.place(x), y_axis.place(y));
            if !pen_down {
                path.push_str("h0");
            }
            pen_down = true;
        }
        path
    }
}

/// A dot on each point.
fn mark(svg: &mut String, shown: &[(f64, f64)], x_axis: &Axis, y_axis: &Axis) {
    for (x, y) in shown {
        let (x, y) = (x_axis.place(*x), y_axis.place(*y));
        // Writing to a string cannot fail.
        let _ = write!(svg, "<circle class=\"mark\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>");
    }
}

/// At most two points for each of `COLUMNS` groups of neighbours: the lowest and the highest, so that spikes stay.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= 2 * COLUMNS {
        return points.to_vec();
    }
    let group = points.len().div_ceil(COLUMNS);
    let extremes = |group: &[(f64, f64)]| {
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let ends = [group.iter().min_by(by_value), group.iter().max_by(by_value)];
        let mut ends: Vec<(f64, f64)> = ends.into_iter().flatten().copied().collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        ends
    };
    points.chunks(group).flat_map(extremes).collect()
}

/// Invisible bands that show point and value while the pointer is over them.
fn hover_points(svg: &mut String, shown: &[(f64, f64)], x_axis: &Axis, y_axis: &Axis) {
    let every = shown.len().div_ceil(HOVER_POINTS);
    let band = ((x_axis.to - x_axis.from) * every as f64 / shown.len() as f64).max(2.0);
    for (x, y) in shown.iter().step_by(every) {
        let (px, py) = (x_axis.place(*x), y_axis.place(*y));
        // The label leans inwards and keeps clear of the upper edge.
        let anchor = if px > WIDTH / 2.0 { "end" } else { "start" };
        let (tx, ty) = (if px > WIDTH / 2.0 { px - 8.0 } else { px + 8.0 }, (py - 9.0).max(TOP + 9.0));
        *svg += &format!(
            "<g class=\"point\"><rect x=\"{:.1}\" y=\"{TOP}\" width=\"{band:.1}\" height=\"{:.1}\"/><circle \
             cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"4\"/><text x=\"{tx:.1}\" y=\"{ty:.1}\" text-anchor=\"{anchor}\">{x}: \
             {}</text></g>",
            px - band / 2.0,
            HEIGHT - BOTTOM - TOP,
            short(*y)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(log_axis: bool, values: &[f64]) -> Curve {
        let points = values.iter().enumerate().map(|(k, &v)| (k as f64, v)).collect();
        Curve { name: "PSNR".into(), x_label: "iteration".into(), y_label: "dB".into(), log_axis, points }
    }

    fn tick_labels(lo: f64, hi: f64, log: bool) -> Vec<String> {
        let axis = Axis::over([lo, hi].into_iter(), log, (0.0, 1.0), 0.0);
        axis.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(tick_labels(0.0, 300.0, false), ["0", "50", "100", "150", "200", "250", "300"]);
        assert_eq!(tick_labels(-1.0, 1.0, false), ["\u{2212}1.0", "\u{2212}0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(
            tick_labels(1e-3, 1e1, true),
            ["10\u{207b}\u{b3}", "10\u{207b}\u{b2}", "10\u{207b}\u{b9}", "10\u{2070}", "10\u{b9}"]
        );
        assert_eq!(tick_labels(1.9, 6.1, true), ["2", "3", "4", "5", "6"]);
    }

    #[test]
    fn values_that_cannot_be_shown_leave_gaps() {
        let path = |c: &Curve| {
            let x = Axis::over([0.0, 4.0].into_iter(), false, (0.0, 1.0), 0.0);
            let y = Axis::over([1.0, 2.0].into_iter(), c.log_axis, (0.0, 1.0), 0.0);
            c.path(&x, &y).matches('M').count()
        };
        assert_eq!(path(&curve(false, &[1.0, 2.0, f64::NAN, 1.0, f64::INFINITY])), 2);
        assert_eq!(path(&curve(true, &[1.0, 0.0, 2.0, -1.0, 1.0])), 3);
        assert_eq!(path(&curve(false, &[1.0, 0.0, 2.0, -1.0, 1.0])), 1);
    }

    /// The texts of ticks, lines of the grid and labels left out.
    fn ticks_of(svg: &str) -> Vec<&str> {
        let texts = svg.split("<text class=\"tick\"").skip(1);
        texts.filter_map(|text| text.split('>').nth(1)?.split('<').next()).collect()
    }

    #[test]
    fn what_is_counted_has_whole_ticks() {
        let ticks = |values: &[f64]| curve(false, values).svg();
        for values in [&[0.0, 1.0][..], &[3.0, 4.0, 3.0], &[0.0, 0.0], &[0.0, 7000.0]] {
            let svg = ticks(values);
            let ticks = ticks_of(&svg);
            assert!(!ticks.is_empty() && ticks.iter().all(|tick| tick.parse::<u32>().is_ok()), "{values:?} {ticks:?}");
        }
        let svg = ticks(&[0.5, 1.0]);
        assert!(ticks_of(&svg).contains(&"0.6"), "{:?}", ticks_of(&svg));
    }

    #[test]
    fn odd_curves_make_finite_charts() {
        for values in [&[][..], &[5.0], &[3.0; 4], &[0.0; 3], &[f64::NAN], &[1e300, -1e300], &[1e-300, 2e-300], &[1e20]]
        {
            for log_axis in [false, true] {
                let svg = curve(log_axis, values).svg();
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{values:?} {svg}");
                assert!(svg.len() < 20_000, "{}", svg.len());
            }
        }
    }

    #[test]
    fn long_curves_are_thinned_and_keep_their_spikes() {
        let mut values = vec![1.0; 100_000];
        values[54_321] = 9.0;
        let curve = curve(false, &values);
        let thin = thinned(&curve.points);
        assert!(thin.len() <= 2 * COLUMNS && thin.iter().any(|p| p.1 == 9.0), "{}", thin.len());
        assert!(curve.svg().len() < 100_000);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, 33.217_9, -0.5, 1.5e-7, 123_456.0].map(short),
            ["0", "33.22", "\u{2212}0.5000", "1.5\u{b7}10\u{207b}\u{2077}", "1.23\u{b7}10\u{2075}"]
        );
    }
}
