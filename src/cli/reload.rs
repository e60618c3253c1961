//! SIGHUP: which variables have changed, and which of them count without a restart.

use crate::config::{Sources, Tuned, VARIABLES};

/// The names of variables whose values differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// They differ from what was read the last time, and count at once.
    pub(super) at_once: Vec<&'static str>,
    /// They differ from what was read at the start, and count after a restart.
    pub(super) at_restart: Vec<&'static str>,
}

/// Compares what was read now with what was read at the start and the last time.
pub(super) fn changes(started: &Sources, before: &Sources, now: &Sources) -> Changes {
    let differs = |name: &str, other: &Sources| now.lookup(name) != other.lookup(name);
    let names = || VARIABLES.iter().map(|variable| variable.name);
    let is_live = |name: &str| name == "LOG_LEVEL" || Tuned::holds(name);
    Changes {
        at_once: names().filter(|name| is_live(name) && differs(name, before)).collect(),
        at_restart: names().filter(|name| !is_live(name) && differs(name, started)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read_env_file;

    #[test]
    fn what_counts_at_once_is_named_once_and_what_needs_a_restart_until_there_was_one() {
        let read =
            |text: &str| Sources { file: read_env_file(text).unwrap_or_default(), ..Sources::default() };
        let started = read("LOG_LEVEL=INFO\nVMMANAGER_PASSWORD=a\n");
        let first = read("LOG_LEVEL=DEBUG\nVMMANAGER_PASSWORD=b\nPIN_VMS=db-1\n");
        let both = Changes { at_once: vec!["LOG_LEVEL", "PIN_VMS"], at_restart: vec!["VMMANAGER_PASSWORD"] };
        let sorted = |mut changes: Changes| {
            changes.at_once.sort_unstable();
            changes
        };
        assert_eq!(sorted(changes(&started, &started, &first)), both);
        let again = Changes { at_once: Vec::new(), ..both };
        assert_eq!(changes(&started, &first, &first), again);
        assert_eq!(changes(&started, &started, &started), Changes::default());
    }
}
