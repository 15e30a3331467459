//! What a command is to work on: a name of the user's, or a cap from elsewhere. A cap may be a secret, also with a
//! letter wrong, so it is parsed here and not by the command line's parser, which repeats what it refuses.

use std::fmt;

use tarn_client::caps::{Cap, CapError, CapKind};
use zeroize::Zeroizing;

use crate::error::CommandError;
use crate::names::{FileName, NameError, looks_like_cap};

/// What was typed. Never printed by `Debug`.
#[derive(Clone)]
pub(crate) struct TargetText(Zeroizing<String>);

/// A file, by name or by cap.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// One of the user's names.
    Name(FileName),
    /// A cap.
    Cap(Box<Cap>),
}

impl TargetText {
    /// As somebody would have typed this cap.
    pub(crate) fn of(cap: &Cap) -> Self {
        Self(cap.to_text())
    }

    /// What was meant.
    pub(crate) fn parse(&self) -> Result<Target, CommandError> {
        if looks_like_cap(self.0.trim()) {
            let cap = self.0.parse();
            return cap.map(|cap| Target::Cap(Box::new(cap))).map_err(|error: CapError| {
                CommandError::usage(error).hint("copy the whole cap again")
            });
        }
        if is_cap_but_for_its_prefix(&self.0) {
            // Taken for a name it would be repeated in what is said of it, and all of the secret is in there.
            return Err(CommandError::usage("this is a cap whose first letters are wrong")
                .hint("copy the whole cap again"));
        }
        let name = self.0.parse();
        name.map(Target::Name).map_err(|error: NameError| CommandError::usage(error))
    }
}

/// Whether this is a cap with letters wrong before and in its separator only.
fn is_cap_but_for_its_prefix(text: &str) -> bool {
    let kinds = [CapKind::Write, CapKind::Read, CapKind::Verify];
    kinds.into_iter().map(|kind| kind.prefix()).any(|prefix| {
        let Some(rest) = text.trim().get(prefix.len() + 1..) else { return false };
        Zeroizing::new(format!("{prefix}1{}", rest.to_ascii_lowercase())).parse::<Cap>().is_ok()
    })
}

impl From<String> for TargetText {
    fn from(typed: String) -> Self {
        Self(Zeroizing::new(typed))
    }
}

impl fmt::Debug for TargetText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TargetText(…)")
    }
}

#[cfg(test)]
mod tests {
    use tarn_client::caps::WriteCap;

    use super::*;

    fn parse(text: &str) -> Result<Target, CommandError> {
        TargetText::from(text.to_owned()).parse()
    }

    #[test]
    fn a_cap_is_a_cap_and_all_else_is_a_name() {
        let cap = WriteCap::from_secret(Zeroizing::new([7; 32]));
        let text = cap.to_text();
        assert_eq!(parse(&text).unwrap(), Target::Cap(Box::new(Cap::Write(cap))));
        assert!(matches!(parse("report.pdf").unwrap(), Target::Name(_)));
        assert_eq!(parse("").unwrap_err().exit() as u8, 2);
    }

    #[test]
    fn a_mistyped_cap_is_refused_and_not_repeated() {
        let cap = WriteCap::from_secret(Zeroizing::new([7; 32])).to_text();
        let wrong = &cap[..cap.len() - 1];
        let error = parse(wrong).unwrap_err();
        assert_eq!(error.exit() as u8, 2);
        assert!(!error.to_string().contains(wrong));
        assert!(!format!("{:?}", TargetText::from(wrong.to_owned())).contains("tarnw1"));
    }

    #[test]
    fn a_cap_with_a_mistyped_prefix_is_not_taken_for_a_name() {
        let cap = WriteCap::from_secret(Zeroizing::new([7; 32])).to_text();
        for place in 0..6 {
            let mut wrong = cap.to_string();
            wrong.replace_range(place..=place, "q");
            let error = parse(&wrong).unwrap_err();
            assert_eq!(error.exit() as u8, 2);
            assert!(!error.to_string().contains(&wrong[6..]));
        }
        assert!(parse(&cap[6..]).is_ok(), "only a whole cap is told from a name");
    }
}
