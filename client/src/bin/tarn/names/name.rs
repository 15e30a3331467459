//! A file's name among the user's names. Never mistaken for a cap or for "-".

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// Longest name, in bytes.
const NAME_LENGTH_MAX: usize = 255;
/// How caps begin; no name does.
const CAP_PREFIXES: [&str; 3] = ["tarnw1", "tarnr1", "tarnv1"];

/// What a user calls a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileName(String);

/// Why text is not a [`FileName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    /// No letters, or too many.
    #[error("a name has 1 to {NAME_LENGTH_MAX} bytes")]
    Length,
    /// Line breaks and the like.
    #[error("a name has no control characters")]
    Control,
    /// It would be taken for a cap.
    #[error("a name does not begin like a cap (tarnw1, tarnr1, tarnv1)")]
    LooksLikeCap,
    /// It means standard input.
    #[error("\"-\" means standard input and cannot be a name")]
    Dash,
}

impl FileName {
    /// The default name of what is published from a path: its last part, with what no name may have replaced.
    pub(crate) fn of_path(path: &Path) -> Self {
        let last = path.file_name().unwrap_or(path.as_os_str());
        let mut name: String = last
            .to_string_lossy()
            .chars()
            .map(|letter| if letter.is_control() { '_' } else { letter })
            .collect();
        truncate(&mut name, NAME_LENGTH_MAX);
        match name.parse() {
            Ok(name) => name,
            Err(_) => {
                name.insert(0, '_');
                truncate(&mut name, NAME_LENGTH_MAX);
                Self(name)
            }
        }
    }

    /// The name with a number behind it, still within the limit.
    pub(super) fn numbered(&self, number: u64) -> Self {
        let suffix = format!("-{number}");
        let mut name = self.0.clone();
        truncate(&mut name, NAME_LENGTH_MAX - suffix.len());
        Self(name + &suffix)
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether text begins as caps do, in either case.
pub(crate) fn looks_like_cap(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    CAP_PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
}

fn truncate(text: &mut String, length_max: usize) {
    let mut end = length_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

impl FromStr for FileName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > NAME_LENGTH_MAX {
            return Err(NameError::Length);
        }
        if text.chars().any(char::is_control) {
            return Err(NameError::Control);
        }
        if looks_like_cap(text) {
            return Err(NameError::LooksLikeCap);
        }
        if text == "-" {
            return Err(NameError::Dash);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_mistaken_is_no_name() {
        let parse = |text: &str| text.parse::<FileName>();
        assert_eq!(parse(""), Err(NameError::Length));
        assert_eq!(parse(&"x".repeat(256)), Err(NameError::Length));
        assert_eq!(parse("a\nb"), Err(NameError::Control));
        assert_eq!(parse("TARNW1qqq"), Err(NameError::LooksLikeCap));
        assert_eq!(parse("-"), Err(NameError::Dash));
        assert_eq!(parse("Übersicht 2.pdf").unwrap().as_str(), "Übersicht 2.pdf");
    }

    #[test]
    fn every_path_has_a_default_name() {
        let of = |path: &str| FileName::of_path(Path::new(path)).0;
        assert_eq!(of("/home/a/report.pdf"), "report.pdf");
        assert_eq!(of("/home/a/x\ny"), "x_y");
        assert_eq!(of("/home/a/tarnw1x"), "_tarnw1x");
        assert_eq!(of("/home/a/-"), "_-");
        assert_eq!(of("/"), "/");
    }

    #[test]
    fn a_numbered_name_stays_within_the_limit_and_is_a_name() {
        let long = FileName("ü".repeat(127));
        let numbered = long.numbered(12);
        assert!(numbered.as_str().ends_with("ü-12"));
        assert_eq!(numbered.as_str().parse(), Ok(numbered.clone()));
    }
}
