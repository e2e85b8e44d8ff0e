//! How a verb ends.

use amp_push_gateway::config::SettingsErrors;
use std::fmt;
use std::io;
use std::path::Path;

/// What a script is told by the exit code when the verb did its work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// 0.
    Good,
    /// 1: something was refused or failed.
    Bad,
}

/// Why a verb could not do its work.
#[derive(Debug)]
pub(crate) enum Fault {
    /// 1: something it needs failed.
    Failed(String),
    /// 2: it was asked for in a way that cannot work.
    Usage(String),
}

// === impl Fault ===

impl Fault {
    pub(crate) fn settings(errors: &SettingsErrors) -> Self {
        Self::Usage(format!("wrong settings:\n{errors}"))
    }

    pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self::Usage(format!("{} cannot be read: {error}", path.display()))
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Failed(text) | Self::Usage(text)) = self;
        f.write_str(text)
    }
}
