//! Numbers in the page's words.

/// Up to four digits, without a tail of zeros.
pub(super) fn number(value: f32) -> String {
    let magnitude = value.abs();
    if value == 0.0 || (1e-3..1e6).contains(&magnitude) {
        let decimals = if magnitude >= 100.0 { 0 } else { 4 };
        let text = format!("{value:.decimals$}");
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        return text.replace('-', "\u{2212}");
    }
    format!("{value:.2e}").replace('-', "\u{2212}")
}

/// The largest of 1, 2, 5 times a power of ten that is at most `most`, which is positive.
pub(super) fn round_below(most: f64) -> f64 {
    let power = 10f64.powf(most.log10().floor());
    let factor = [5.0, 2.0].into_iter().find(|factor| factor * power <= most * 1.0001).unwrap_or(1.0);
    factor * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, 1.0, -160.0, 0.1234567, 3071.0, 1e-7].map(number),
            ["0", "1", "\u{2212}160", "0.1235", "3071", "1.00e\u{2212}7"]
        );
    }

    #[test]
    fn lengths_are_round() {
        assert_eq!([0.7, 1.0, 4.9, 50.0, 99.0].map(round_below), [0.5, 1.0, 2.0, 50.0, 50.0]);
    }
}
