//! What became of several files, counted: the line at their end, and the error if not all were published.

use std::time::Duration;

use crate::error::{CommandError, Exit};
use crate::output::{Size, Span};

/// Names at most so many failed files.
const NAMED_MAX: usize = 10;

/// The counts so far.
#[derive(Debug)]
pub(super) struct Tally {
    files: usize,
    published: usize,
    /// Of those, how many an earlier try had published.
    repeated: usize,
    bytes: u64,
    not_begun: usize,
    /// As they are shown.
    failed: Vec<String>,
    /// The highest exit code so far.
    worst: Exit,
}

impl Tally {
    /// Nothing has become of so many files yet.
    pub(super) const fn of(files: usize) -> Self {
        Self {
            files,
            published: 0,
            repeated: 0,
            bytes: 0,
            not_begun: 0,
            failed: Vec::new(),
            worst: Exit::Done,
        }
    }

    /// One of so many bytes was published.
    pub(super) fn published(&mut self, bytes: u64, repeated: bool) {
        self.published += 1;
        self.repeated += usize::from(repeated);
        self.bytes += bytes;
    }

    /// One was not.
    pub(super) fn failed(&mut self, file: String, exit: Exit) {
        self.failed.push(file);
        self.raise(exit);
    }

    /// The turn of one did not come.
    pub(super) fn not_begun(&mut self) {
        self.not_begun += 1;
        self.raise(Exit::Failed);
    }

    /// Something else went wrong, for which the command must not end with less than this.
    pub(super) fn raise(&mut self, exit: Exit) {
        self.worst = self.worst.max(exit);
    }

    /// The last line for people.
    pub(super) fn summary(&self, elapsed: Duration) -> String {
        let (files, size) = (files(self.published), Size(self.bytes));
        let mut summary = format!("published {files}, {size} in {}", Span(elapsed));
        for (count, what) in [
            (self.repeated, "of them as an earlier try had done"),
            (self.failed.len(), "failed"),
            (self.not_begun, "not begun"),
        ] {
            if count > 0 {
                summary += &format!("; {count} {what}");
            }
        }
        summary
    }

    /// The error that ends the command, unless all went well.
    pub(super) fn ended(&self) -> Result<(), CommandError> {
        if self.worst == Exit::Done {
            return Ok(());
        }
        let mut named: Vec<String> = self.failed.iter().take(NAMED_MAX).cloned().collect();
        let more = self.failed.len() - named.len();
        let counted = [(more, "more failed"), (self.not_begun, "not begun")];
        named.extend(
            counted.iter().filter(|c| c.0 > 0).map(|(count, what)| format!("{count} {what}")),
        );
        let lost = self.failed.len() + self.not_begun;
        let (of, verb) = (files(self.files), if lost == 1 { "was" } else { "were" });
        let sentence = format!("{lost} of {of} {verb} not published: {}", named.join(", "));
        Err(CommandError::ended(sentence, self.worst))
    }
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_went_well_is_one_line_and_no_error() {
        let mut tally = Tally::of(2);
        tally.published(1 << 20, false);
        tally.published(1 << 20, true);
        assert_eq!(
            tally.summary(Duration::from_millis(840)),
            "published 2 files, 2.00 MiB in 840 ms; 1 of them as an earlier try had done"
        );
        assert!(tally.ended().is_ok());
        assert!(Tally::of(0).ended().is_ok());
    }

    #[test]
    fn what_failed_is_named_and_the_highest_exit_code_counts() {
        let mut tally = Tally::of(5);
        tally.published(3, false);
        tally.failed("a".to_owned(), Exit::Unavailable);
        tally.failed("b".to_owned(), Exit::Failed);
        tally.not_begun();
        assert_eq!(
            tally.summary(Duration::from_secs(2)),
            "published 1 file, 3 B in 2.0 s; 2 failed; 1 not begun"
        );
        let error = tally.ended().unwrap_err();
        assert_eq!(error.sentence(), "3 of 5 files were not published: a, b, 1 not begun");
        assert_eq!(error.exit(), Exit::Unavailable);
    }

    #[test]
    fn of_many_that_failed_ten_are_named() {
        let mut tally = Tally::of(12);
        (0..12).for_each(|file| tally.failed(format!("f{file}"), Exit::Failed));
        let error = tally.ended().unwrap_err();
        assert!(error.sentence().ends_with("f8, f9, 2 more failed"), "{}", error.sentence());
    }
}
