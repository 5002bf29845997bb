//! Formats sizes, speeds and durations, and escapes untrusted text for a terminal.
//!
//! Each type is a `Display` that writes directly to its target, without an intermediate string.

use std::fmt::{self, Display, Formatter, Write};
use std::time::Duration;

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A number of bytes: `812 B`, `4.0 KiB`, `12.3 MiB`, `1.95 GiB`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size(pub(crate) u64);

impl Display for Size {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut shift = 10;
        for (at, name) in UNITS.iter().enumerate() {
            let last = at + 1 == UNITS.len();
            let per_unit = if at < 2 { 10 } else { 100 };
            let rounded = ((u128::from(self.0) * per_unit) + (1 << (shift - 1))) >> shift;
            if rounded < 1024 * per_unit || last {
                let (whole, part) = (rounded / per_unit, rounded % per_unit);
                let digits = if at < 2 { 1 } else { 2 };
                return write!(f, "{whole}.{part:0digits$} {name}");
            }
            shift += 10;
        }
        Ok(())
    }
}

/// Bytes over a duration, as a speed: `9.9 MiB/s`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speed(pub(crate) u64, pub(crate) Duration);

impl Speed {
    /// Bytes per second. A duration below one microsecond counts as one.
    pub(crate) fn per_second(self) -> u64 {
        let micros = self.1.as_micros().max(1);
        u64::try_from(u128::from(self.0) * 1_000_000 / micros).unwrap_or(u64::MAX)
    }
}

impl Display for Speed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", Size(self.per_second()))
    }
}

/// A duration: `0.4 ms`, `850 ms`, `1.24 s`, `12.3 s`, `2 m 03 s`, `1 h 02 m`, `3 d 04 h`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span(pub(crate) Duration);

impl Display for Span {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (tenths_ms, millis) = (self.rounded(100), self.rounded(1_000));
        let (hundredths, tenths) = (self.rounded(10_000), self.rounded(100_000));
        let (seconds, minutes) = (self.rounded(1_000_000), self.rounded(60_000_000));
        if tenths_ms < 100 {
            write!(f, "{}.{} ms", tenths_ms / 10, tenths_ms % 10)
        } else if millis < 1_000 {
            write!(f, "{millis} ms")
        } else if hundredths < 1_000 {
            write!(f, "{}.{:02} s", hundredths / 100, hundredths % 100)
        } else if tenths < 600 {
            write!(f, "{}.{} s", tenths / 10, tenths % 10)
        } else if seconds < 3_600 {
            write!(f, "{} m {:02} s", seconds / 60, seconds % 60)
        } else if minutes < 24 * 60 {
            write!(f, "{} h {:02} m", minutes / 60, minutes % 60)
        } else {
            let hours = self.rounded(3_600_000_000);
            write!(f, "{} d {:02} h", hours / 24, hours % 24)
        }
    }
}

impl Span {
    /// The duration in units of `unit` microseconds, rounded.
    fn rounded(self, unit: u128) -> u128 {
        (self.0.as_micros() + unit / 2) / unit
    }
}

/// Untrusted text from a list, a server or a file system. It is escaped so that it cannot control a terminal, begin a
/// new line, or change the order of its characters on the screen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Safe<T>(pub(crate) T);

impl<T: Display> Display for Safe<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

/// Escapes unsafe characters as in a Rust string literal.
struct Escaping<'a, 'f>(&'a mut Formatter<'f>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, unsafe_char)) = rest.char_indices().find(|(_, c)| !is_safe(*c)) {
            self.0.write_str(&rest[..at])?;
            match unsafe_char {
                '\n' | '\r' | '\t' => write!(self.0, "{}", unsafe_char.escape_default())?,
                _ => write!(self.0, "\\u{{{:x}}}", u32::from(unsafe_char))?,
            }
            rest = &rest[at + unsafe_char.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

/// False for control characters (C0, DEL, C1) and Unicode's invisible format characters: bidirectional marks,
/// embeddings, overrides and isolates, joiners, line and paragraph separators, variation selectors, tags.
fn is_safe(c: char) -> bool {
    match c {
        ' '..='~' => true,
        _ if c.is_control() => false,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' => false,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => false,
        '\u{fe00}'..='\u{fe0f}' | '\u{fff0}'..='\u{fffb}' => false,
        '\u{e0000}'..='\u{e0fff}' => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(bytes: u64) -> String {
        Size(bytes).to_string()
    }

    fn span(micros: u64) -> String {
        Span(Duration::from_micros(micros)).to_string()
    }

    #[test]
    fn sizes_have_the_unit_that_suits_them() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(812), "812 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(4096), "4.0 KiB");
        assert_eq!(size(12_897_484), "12.3 MiB");
        assert_eq!(size(2_093_796_557), "1.95 GiB");
        assert_eq!(size(u64::MAX), "16.00 EiB");
    }

    #[test]
    fn a_size_that_rounds_up_to_the_next_unit_is_written_in_it() {
        assert_eq!(size((1 << 20) - 1), "1.0 MiB");
        assert_eq!(size((1 << 30) - 1), "1.00 GiB");
        assert_eq!(size(1_023 << 10), "1023.0 KiB");
    }

    #[test]
    fn spans_have_the_unit_that_suits_them() {
        assert_eq!(span(0), "0.0 ms");
        assert_eq!(span(360), "0.4 ms");
        assert_eq!(span(850_000), "850 ms");
        assert_eq!(span(1_240_000), "1.24 s");
        assert_eq!(span(12_345_000), "12.3 s");
        assert_eq!(span(123_000_000), "2 m 03 s");
        assert_eq!(span(3_720_000_000), "1 h 02 m");
        assert_eq!(span(273_600_000_000), "3 d 04 h");
    }

    #[test]
    fn a_span_that_rounds_up_to_the_next_unit_is_written_in_it() {
        assert_eq!(span(9_960), "10 ms");
        assert_eq!(span(999_600), "1.00 s");
        assert_eq!(span(9_996_000), "10.0 s");
        assert_eq!(span(59_960_000), "1 m 00 s");
        assert_eq!(span(3_599_700_000), "1 h 00 m");
        assert_eq!(span(86_399_000_000), "1 d 00 h");
    }

    #[test]
    fn speeds_are_sizes_a_second() {
        let speed = |bytes, millis| Speed(bytes, Duration::from_millis(millis)).to_string();
        assert_eq!(speed(12_897_484, 1_240), "9.9 MiB/s");
        assert_eq!(speed(0, 0), "0 B/s");
        assert_eq!(speed(u64::MAX, 0), "16.00 EiB/s");
    }

    #[test]
    fn plain_text_passes_unchanged() {
        for text in [
            "",
            "https://h/a?b=c%20d#e",
            "naïve/日本語/файл.tar.gz",
            r"C:\dir",
        ] {
            assert_eq!(Safe(text).to_string(), text);
        }
    }

    #[test]
    fn nothing_a_server_sends_drives_the_terminal() {
        assert_eq!(Safe("a\x1b[2Jb\x07").to_string(), r"a\u{1b}[2Jb\u{7}");
        assert_eq!(Safe("x\r\n\tfail  404").to_string(), r"x\r\n\tfail  404");
        assert_eq!(Safe("\u{9b}31m\u{7f}").to_string(), r"\u{9b}31m\u{7f}");
        assert_eq!(Safe("gpj\u{202e}exe").to_string(), r"gpj\u{202e}exe");
        assert_eq!(
            Safe("\u{2066}\u{200d}\u{2028}").to_string(),
            r"\u{2066}\u{200d}\u{2028}"
        );
    }

    #[test]
    fn no_character_that_is_written_is_a_control_or_bidi_character() {
        let all = (0..=0x10_ffff)
            .filter_map(char::from_u32)
            .collect::<String>();
        let written = Safe(all).to_string();
        assert!(
            !written
                .chars()
                .any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c))
        );
    }

    #[test]
    fn whatever_can_be_displayed_can_be_made_safe() {
        let path = std::path::Path::new("a\nb");
        assert_eq!(Safe(path.display()).to_string(), r"a\nb");
        assert_eq!(Safe(format_args!("{}{}", "\0", 1)).to_string(), r"\u{0}1");
    }
}
