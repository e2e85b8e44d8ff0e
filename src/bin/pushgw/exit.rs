//! Exit codes and errors of a command.

use super::view::Foreign;
use amp_push_gateway::aws::causes;
use amp_push_gateway::config::SettingsErrors;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) struct CommandError {
    cause: Box<dyn Error + Send + Sync>,
    pub(crate) exit_code: u8,
    /// One for each wrong setting; any other line break is foreign.
    has_lines: bool,
}

impl CommandError {
    /// Something that the command needs failed.
    pub(crate) fn failed(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), exit_code: 1, has_lines: false }
    }

    /// Wrong usage or settings.
    pub(crate) fn usage(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), exit_code: 2, has_lines: false }
    }

    pub(crate) fn settings(errors: &SettingsErrors) -> Self {
        Self { has_lines: true, ..Self::usage(format!("wrong settings:\n{errors}")) }
    }

    pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self::usage(format!("{} cannot be read: {error}", path.display()))
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = causes(&*self.cause);
        if self.has_lines { f.write_str(&text) } else { write!(f, "{}", Foreign(text)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_push_gateway::gateway::{KeptError, TickError};
    use amp_push_gateway::store::StoreError;

    /// It does not say its cause.
    #[derive(Debug)]
    struct Silent;

    impl fmt::Display for Silent {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("silent")
        }
    }

    impl Error for Silent {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&fmt::Error)
        }
    }

    #[test]
    fn says_each_cause_once_whether_or_not_the_error_says_it_itself() {
        let error = KeptError::Typed { shard: 0, error: TickError::Store(StoreError::Timeout) };
        let expected = "the typed series of shard 0: the table did not answer in time";
        assert_eq!(CommandError::failed(error).to_string(), expected);
        assert_eq!(CommandError::failed(Silent).to_string(), format!("silent: {}", fmt::Error));
    }
}
