//! The command's one error type: a sentence for people, what to do about it, and the exit code. Does not print
//! itself; `main` does, once.

use std::fmt;
use std::path::Path;

/// How the process ends, DESIGN §7.2. Clap's own errors are usage errors too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// It was done after all.
    Done = 0,
    /// Anything that is none of the others; nothing was changed.
    Failed = 1,
    /// The command line, a configuration file or a name is wrong.
    Usage = 2,
    /// Another writer came first; nothing was changed.
    Conflict = 3,
    /// Too few servers answered; nothing was changed.
    Unavailable = 4,
    /// A publish stopped half way.
    Unsettled = 5,
}

/// Why the command ends without doing what it was asked.
#[derive(Debug)]
pub(crate) struct CommandError {
    sentence: String,
    hint: Option<String>,
    exit: Exit,
}

impl CommandError {
    /// It could not be done.
    pub(crate) fn failed(sentence: impl fmt::Display) -> Self {
        Self { sentence: sentence.to_string(), hint: None, exit: Exit::Failed }
    }

    /// It ended otherwise than was asked.
    pub(crate) const fn ended(sentence: String, exit: Exit) -> Self {
        Self { sentence, hint: None, exit }
    }

    /// It was asked for in a way that cannot be meant.
    pub(crate) fn usage(sentence: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, ..Self::failed(sentence) }
    }

    /// A file or folder could not be used: `doing` is what was being done to it.
    pub(crate) fn file(doing: &str, path: &Path, source: &std::io::Error) -> Self {
        Self::failed(format_args!("cannot {doing} {}: {source}", path.display()))
    }

    /// Says what the reader may do about it.
    pub(crate) fn hint(self, hint: impl fmt::Display) -> Self {
        Self { hint: Some(hint.to_string()), ..self }
    }

    /// Says what it is about, unless it does already.
    pub(crate) fn about(self, what: &str) -> Self {
        if self.sentence.contains(what) {
            return self;
        }
        Self { sentence: format!("{what}: {}", self.sentence), ..self }
    }

    /// What went wrong, without the hint.
    pub(crate) fn sentence(&self) -> &str {
        &self.sentence
    }

    /// The exit code.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tarn: {}", self.sentence)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// An error and all that caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !line.contains(&words) {
            line = format!("{line}: {words}");
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_a_sentence_and_a_hint() {
        let error = CommandError::usage("no file is called x").hint("tarn ls");
        assert_eq!(error.to_string(), "tarn: no file is called x\n  hint: tarn ls");
        assert_eq!(error.exit() as u8, 2);
    }
}
