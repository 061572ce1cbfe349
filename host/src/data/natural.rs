//! The order of file names that people mean: numbers in them count as numbers.
use std::cmp::Ordering;
use std::iter::Peekable;
use std::path::Path;
use std::str::Chars;

/// A run of digits, or of anything else, of a name.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    /// Its digits without leading zeros, by their number first.
    Number(usize, String),
    Text(String),
}

/// `proj_2` before `proj_10`; names that differ in leading zeros only as text.
pub(crate) fn natural_order(a: &Path, b: &Path) -> Ordering {
    let [of_a, of_b] = [a, b].map(pieces);
    of_a.cmp(&of_b).then_with(|| a.cmp(b))
}

fn pieces(path: &Path) -> Vec<Piece> {
    let name = path.to_string_lossy();
    let mut left = name.chars().peekable();
    let mut pieces = Vec::new();
    while let Some(first) = left.peek() {
        let is_number = first.is_ascii_digit();
        let run = run(&mut left, is_number);
        pieces.push(if is_number {
            let digits = run.trim_start_matches('0').to_owned();
            Piece::Number(digits.len(), digits)
        } else {
            Piece::Text(run)
        });
    }
    pieces
}

fn run(left: &mut Peekable<Chars<'_>>, is_number: bool) -> String {
    std::iter::from_fn(|| left.next_if(|c| c.is_ascii_digit() == is_number)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count() {
        let right = ["a", "p_0.tif", "p_02.tif", "p_2.tif", "p_10.tif", "p_10_b.tif", "p_100.tif", "q1"].map(Path::new);
        let mut names = right;
        names.reverse();
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, right);
        let long = ["x_99999999999999999999999", "x_100000000000000000000000"].map(Path::new);
        assert_eq!(natural_order(long[0], long[1]), Ordering::Less);
    }
}
