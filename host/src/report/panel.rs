//! A quantity over the plane in colours, with axes, isolines and paths.
use super::canvas::{Align, Canvas, Colour, INK, WHITE};
use super::chart::Axis;
use super::{Figure, ReportError};

const WIDTH: usize = 640;
const HEIGHT: usize = 560;
const LEFT: usize = 76;
const TOP: usize = 44;
const SIDE_X: usize = 450;
const SIDE_Y: usize = 450;
/// Left edge and width of the colour bar.
const BAR: (usize, usize) = (LEFT + SIDE_X + 24, 18);
const PATH: Colour = [226, 62, 40];
const ISOLINE: Colour = [205, 205, 205];

/// Viridis (Smith, van der Walt 2015) at nine equal steps.
const COLOURS: [Colour; 9] = [
    [68, 1, 84],
    [71, 44, 122],
    [59, 81, 139],
    [44, 113, 142],
    [33, 144, 141],
    [39, 173, 129],
    [92, 200, 99],
    [170, 220, 50],
    [253, 231, 37],
];

/// One axis of a [`Panel`].
#[derive(Debug, Clone)]
pub struct PanelAxis {
    /// Quantity and unit.
    pub label: String,
    /// Value at the left or lower edge.
    pub from: f64,
    /// Value at the right or upper edge.
    pub to: f64,
    /// True if equal ratios are equally far apart.
    pub log: bool,
}

/// Points joined by lines, in values of the axes.
pub type Path = Vec<(f64, f64)>;

/// A quantity between 0 and 1 over two others.
#[derive(Debug, Clone)]
pub struct Panel {
    /// Heading.
    pub title: String,
    /// The quantity that the colours show.
    pub quantity: String,
    /// Horizontal axis.
    pub x: PanelAxis,
    /// Vertical axis.
    pub y: PanelAxis,
    /// Number of columns of `values`.
    pub n_columns: usize,
    /// `[row][column]`, row 0 at the lower edge: the cells fill the panel evenly.
    pub values: Vec<f64>,
    /// Lines in grey.
    pub isolines: Vec<Path>,
    /// Paths in red, from a ring to a dot.
    pub paths: Vec<Path>,
}

/// The colour of a value between 0 and 1.
fn colour(value: f64) -> Colour {
    let at = value.clamp(0.0, 1.0) * (COLOURS.len() - 1) as f64;
    let k = (at as usize).min(COLOURS.len() - 2);
    let share = at - k as f64;
    std::array::from_fn(|c| {
        (f64::from(COLOURS[k][c]) * (1.0 - share) + f64::from(COLOURS[k + 1][c]) * share).round() as u8
    })
}

impl PanelAxis {
    fn placed(&self, from: usize, to: usize) -> Axis {
        Axis::over([self.from, self.to].into_iter(), self.log, (from as f64, to as f64), 0.0)
    }

    /// Positions and labels in ASCII.
    fn ticks(&self, axis: &Axis) -> Vec<(f64, String)> {
        let plain = |(value, label): (f64, String)| {
            let text = if self.log { value.to_string() } else { label.replace('\u{2212}', "-") };
            (axis.place(value), text)
        };
        axis.ticks().into_iter().map(plain).collect()
    }
}

impl Panel {
    /// The panel as a figure of 640 x 560 pixels.
    ///
    /// # Errors
    /// [`ReportError::Picture`], where a picture cannot be encoded.
    pub fn figure(&self) -> Result<Figure, ReportError> {
        let mut canvas = Canvas::new(WIDTH, HEIGHT);
        let (x, y) = (self.x.placed(LEFT, LEFT + SIDE_X), self.y.placed(TOP + SIDE_Y, TOP));
        self.draw_cells(&mut canvas);
        for line in &self.isolines {
            draw_path(&mut canvas, line, &x, &y, 1.0, ISOLINE);
        }
        for path in &self.paths {
            draw_path(&mut canvas, path, &x, &y, 4.0, WHITE);
            draw_path(&mut canvas, path, &x, &y, 2.2, PATH);
            if let (Some(first), Some(last)) = (path.first(), path.last()) {
                let place = |point: &(f64, f64)| (x.place(point.0), y.place(point.1));
                canvas.dot(place(first), 6.0, WHITE);
                canvas.dot(place(first), 3.5, PATH);
                canvas.dot(place(first), 2.0, WHITE);
                canvas.dot(place(last), 6.5, WHITE);
                canvas.dot(place(last), 5.0, PATH);
            }
        }
        self.draw_frame(&mut canvas, &x, &y);
        draw_bar(&mut canvas, &self.quantity);
        canvas.heading(&self.title, (LEFT as f64, 26.0));
        let axes = format!("{} from {} to {}, {}", self.x.label, self.x.from, self.x.to, self.y.label);
        Ok(Figure {
            caption: self.title.clone(),
            alt: format!("{}: {} in colours; {axes} from {} to {}", self.title, self.quantity, self.y.from, self.y.to),
            png: canvas.png(&self.title)?,
            size: (WIDTH as u32, HEIGHT as u32),
        })
    }

    fn draw_cells(&self, canvas: &mut Canvas) {
        let n_rows = self.values.len() / self.n_columns.max(1);
        for row in 0..SIDE_Y {
            for column in 0..SIDE_X {
                let cell = (SIDE_Y - 1 - row) * n_rows / SIDE_Y * self.n_columns + column * self.n_columns / SIDE_X;
                if let Some(value) = self.values.get(cell) {
                    canvas.set(LEFT + column, TOP + row, colour(*value));
                }
            }
        }
    }

    fn draw_frame(&self, canvas: &mut Canvas, x: &Axis, y: &Axis) {
        let (left, right, top, bottom) = (LEFT as f64, (LEFT + SIDE_X) as f64, TOP as f64, (TOP + SIDE_Y) as f64);
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        corners.windows(2).for_each(|pair| canvas.line(pair[0], pair[1], 1.0, INK));
        for (at, label) in self.x.ticks(x) {
            canvas.line((at, bottom), (at, bottom + 5.0), 1.0, INK);
            canvas.text(&label, (at, bottom + 20.0), Align::Center);
        }
        for (at, label) in self.y.ticks(y) {
            canvas.line((left - 5.0, at), (left, at), 1.0, INK);
            canvas.text(&label, (left - 9.0, at + 4.0), Align::Right);
        }
        canvas.text(&self.x.label, ((left + right) / 2.0, bottom + 44.0), Align::Center);
        canvas.vertical_text(&self.y.label, (16.0, (top + bottom) / 2.0));
    }
}

fn draw_path(canvas: &mut Canvas, path: &Path, x: &Axis, y: &Axis, width: f64, colour: Colour) {
    let place = |point: &(f64, f64)| (x.place(point.0), y.place(point.1));
    let frame = |(px, py): (f64, f64)| {
        (px.clamp(LEFT as f64, (LEFT + SIDE_X) as f64), py.clamp(TOP as f64, (TOP + SIDE_Y) as f64))
    };
    path.windows(2).for_each(|pair| canvas.line(frame(place(&pair[0])), frame(place(&pair[1])), width, colour));
}

fn draw_bar(canvas: &mut Canvas, quantity: &str) {
    for row in 0..SIDE_Y {
        let colour = colour((SIDE_Y - 1 - row) as f64 / (SIDE_Y - 1) as f64);
        (0..BAR.1).for_each(|column| canvas.set(BAR.0 + column, TOP + row, colour));
    }
    for k in 0..=5 {
        let y = TOP as f64 + SIDE_Y as f64 * (1.0 - f64::from(k) / 5.0);
        canvas.text(&format!("{:.1}", f64::from(k) / 5.0), ((BAR.0 + BAR.1 + 6) as f64, y + 4.0), Align::Left);
    }
    canvas.vertical_text(quantity, ((WIDTH - 14) as f64, (TOP + SIDE_Y / 2) as f64));
}

/// Lines on which a function over a square grid equals `level`, by marching squares: one straight piece for each cell
/// side pair. `values` is `[row][column]` with `n` columns; grid point (row, column) is at `at(row, column)`.
#[must_use]
pub fn isolines(values: &[f64], n: usize, level: f64, at: impl Fn(f64, f64) -> (f64, f64)) -> Vec<Path> {
    let mut lines = Vec::new();
    for row in 0..(values.len() / n.max(1)).saturating_sub(1) {
        for column in 0..n.saturating_sub(1) {
            let corner = |r: usize, c: usize| values[(row + r) * n + column + c] - level;
            let mut ends = Vec::with_capacity(4);
            // Sides in order around the cell, so that neighbours in the list are joined.
            for [(r, c), (s, d)] in [[(0, 0), (0, 1)], [(0, 1), (1, 1)], [(1, 1), (1, 0)], [(1, 0), (0, 0)]] {
                let (a, b) = (corner(r, c), corner(s, d));
                if (a < 0.0) != (b < 0.0) {
                    let share = a / (a - b);
                    let between = |from: usize, to: usize| from as f64 + share * (to as f64 - from as f64);
                    ends.push(at(row as f64 + between(r, s), column as f64 + between(c, d)));
                }
            }
            lines.extend(ends.chunks_exact(2).map(<[_]>::to_vec));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::png_file::decode;

    fn axis(from: f64, to: f64, log: bool) -> PanelAxis {
        PanelAxis { label: "axis (unit)".into(), from, to, log }
    }

    #[test]
    fn isolines_of_a_cone_are_circles() {
        let n = 81;
        let radius = |k: usize| ((k / n) as f64 - 40.0).hypot((k % n) as f64 - 40.0);
        let values: Vec<f64> = (0..n * n).map(radius).collect();
        let lines = isolines(&values, n, 20.0, |row, column| (column - 40.0, row - 40.0));
        assert!(lines.iter().flatten().all(|(x, y)| (x.hypot(*y) - 20.0).abs() < 0.02));
        let length: f64 = lines.iter().map(|l| (l[1].0 - l[0].0).hypot(l[1].1 - l[0].1)).sum();
        assert!((length / (40.0 * std::f64::consts::PI) - 1.0).abs() < 0.01, "{length}");
    }

    #[test]
    fn colours_begin_and_end_like_viridis() {
        assert_eq!((colour(-1.0), colour(0.5), colour(2.0)), (COLOURS[0], COLOURS[4], COLOURS[8]));
    }

    #[test]
    fn a_panel_is_a_png_that_says_what_it_shows_whatever_is_in_it() {
        for (values, n_columns) in [(vec![0.0, 1.0, f64::NAN, 0.5], 2), (Vec::new(), 0), (vec![0.5], 1)] {
            let panel = Panel {
                title: "Title".into(),
                quantity: "rate".into(),
                x: axis(0.0, 1300.0, false),
                y: axis(0.01, 10.0, true),
                n_columns,
                values,
                isolines: vec![vec![(-50.0, 0.1), (2000.0, 5.0)]],
                paths: vec![vec![(10.0, 0.1), (1000.0, 5.0)]],
            };
            let figure = panel.figure().unwrap();
            assert!(figure.alt.contains("axis (unit) from 0.01 to 10"), "{}", figure.alt);
            // The decoder of grey pictures refuses colour, after it has read the size.
            assert!(decode(&figure.png).is_err() && figure.png.starts_with(b"\x89PNG"));
        }
    }
}
