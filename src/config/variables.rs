//! The table of variables, and the did-you-mean for unknown names.

use crate::model::alike::closest_above;

/// One variable of the configuration. Its default is in the settings of the room that obeys it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variable {
    /// Its name in the environment and in the file.
    pub name: &'static str,
    /// Whether its value is never shown.
    pub secret: bool,
}

const fn plain(name: &'static str) -> Variable {
    Variable { name, secret: false }
}

const fn secret(name: &'static str) -> Variable {
    Variable { name, secret: true }
}

/// Every variable, in the order of the example file.
pub(crate) const VARIABLES: &[Variable] = &[
    plain("VMMANAGER_HOST"),
    plain("VMMANAGER_USERNAME"),
    secret("VMMANAGER_PASSWORD"),
    secret("VMMANAGER_TOKEN"),
    plain("VMMANAGER_PATH_PREFIX"),
    plain("VMMANAGER_ALLOW_HTTP"),
    plain("VERIFY_SSL"),
    plain("VMMANAGER_CA_FILE"),
    secret("VMMANAGER_PROXY"),
    plain("BALANCE_INTERVAL"),
    plain("WATCH_INTERVAL"),
    plain("BALANCE_MODE"),
    plain("AUTOPILOT"),
    plain("BALANCE_WINDOW"),
    plain("TIMEZONE"),
    plain("BALANCE_STRATEGY"),
    plain("DRY_RUN"),
    plain("CLUSTER_IDS"),
    plain("MAX_MIGRATIONS_PER_CYCLE"),
    plain("MAX_PARALLEL_MIGRATIONS"),
    plain("MIGRATION_TIMEOUT"),
    plain("MIGRATION_COOLDOWN"),
    plain("FAILURE_COOLDOWN"),
    plain("CPU_OVERLOAD_THRESHOLD"),
    plain("CPU_TARGET_THRESHOLD"),
    plain("LOAD_OVERLOAD_THRESHOLD"),
    plain("LOAD_TARGET_THRESHOLD"),
    plain("MEMORY_OVERLOAD_THRESHOLD"),
    plain("MEMORY_TARGET_THRESHOLD"),
    plain("RELIEF_MARGIN"),
    plain("SOFT_TARGETS"),
    plain("RELIEF_WORTH"),
    plain("RELIEF_AHEAD"),
    plain("EXCLUDE_SOURCE_NODES"),
    plain("EXCLUDE_TARGET_NODES"),
    plain("NODE_MEMORY_RESERVE"),
    plain("RESPECT_BALANCER_MODE"),
    plain("MIGRATE_TO_NEWER_KERNEL"),
    plain("MIGRATE_HOST_PASSTHROUGH"),
    plain("ANTI_AFFINITY"),
    plain("PIN_VMS"),
    plain("SSH_ENABLED"),
    plain("SSH_USERNAME"),
    plain("SSH_PRIVATE_KEY_PATH"),
    secret("SSH_PRIVATE_KEY_PASSPHRASE"),
    secret("SSH_PASSWORD"),
    plain("SSH_TIMEOUT"),
    plain("SSH_HOSTS_MAPPING"),
    plain("SSH_KNOWN_HOSTS"),
    plain("SSH_HOST_KEY_CHECK"),
    secret("TELEGRAM_BOT_TOKEN"),
    plain("TELEGRAM_CHAT_ID"),
    plain("TELEGRAM_API_URL"),
    secret("TELEGRAM_PROXY"),
    plain("TELEGRAM_ADMIN_IDS"),
    plain("TELEGRAM_OPERATOR_IDS"),
    plain("TELEGRAM_VIEWER_IDS"),
    plain("TELEGRAM_APPROVALS"),
    plain("PROPOSAL_TTL"),
    plain("ALERT_REMIND"),
    plain("QUIET_HOURS"),
    plain("DIGEST"),
    plain("BOARD"),
    plain("DATA_DIR"),
    plain("HISTORY_DAYS"),
    plain("HTTP_LISTEN"),
    plain("LOG_LEVEL"),
    plain("LOG_FORMAT"),
    plain("VM_BALANCER_LANG"),
];

/// The variables of the Python tool 2.0.1.
const PYTHON: [&str; 24] = [
    "VMMANAGER_HOST",
    "VMMANAGER_USERNAME",
    "VMMANAGER_PASSWORD",
    "BALANCE_INTERVAL",
    "CLUSTER_IDS",
    "MAX_MIGRATIONS_PER_CYCLE",
    "MIGRATION_TIMEOUT",
    "CPU_OVERLOAD_THRESHOLD",
    "MEMORY_OVERLOAD_THRESHOLD",
    "CPU_TARGET_THRESHOLD",
    "MEMORY_TARGET_THRESHOLD",
    "EXCLUDE_SOURCE_NODES",
    "EXCLUDE_TARGET_NODES",
    "LOG_LEVEL",
    "VERIFY_SSL",
    "SSH_ENABLED",
    "SSH_USERNAME",
    "SSH_PRIVATE_KEY_PATH",
    "SSH_PASSWORD",
    "SSH_TIMEOUT",
    "SSH_HOSTS_MAPPING",
    "TELEGRAM_BOT_TOKEN",
    "TELEGRAM_CHAT_ID",
    "VM_BALANCER_LANG",
];

/// Variables about the place where the program runs. The image, the unit and a move from the Python tool set them, so
/// they do not tell whether anybody has thought about who decides.
const SURROUNDINGS: [&str; 11] = [
    "VMMANAGER_ALLOW_HTTP",
    "VMMANAGER_CA_FILE",
    "VMMANAGER_PROXY",
    "SSH_KNOWN_HOSTS",
    "SSH_HOST_KEY_CHECK",
    "TELEGRAM_API_URL",
    "TELEGRAM_PROXY",
    "DATA_DIR",
    "HTTP_LISTEN",
    "LOG_FORMAT",
    "TIMEZONE",
];

impl Variable {
    /// Tells whether a configuration of the Python tool 2.0.1 may hold it after a move to this program.
    pub(super) fn fits_python(&self) -> bool {
        PYTHON.contains(&self.name) || SURROUNDINGS.contains(&self.name)
    }
}

/// Names that begin so are meant for this program, wherever they stand.
const OUR_PREFIXES: [&str; 4] = ["VMMANAGER_", "BALANCE_", "SSH_", "TELEGRAM_"];

/// A name in our file with one of these words in it is meant for this program.
const WORDS: [&str; 14] = [
    "AFFINITY",
    "BALANCER",
    "CLUSTER",
    "CLUSTERS",
    "COOLDOWN",
    "EXCLUDE",
    "MIGRATE",
    "MIGRATION",
    "MIGRATIONS",
    "OVERLOAD",
    "PROPOSAL",
    "THRESHOLD",
    "VMMANAGER",
    "VMS",
];

/// OpenSSH's own names in the environment of a login or of a hook.
const OPENSSH: [&str; 11] = [
    "SSH_AUTH_SOCK",
    "SSH_AGENT_PID",
    "SSH_CONNECTION",
    "SSH_CLIENT",
    "SSH_TTY",
    "SSH_ASKPASS",
    "SSH_ASKPASS_REQUIRE",
    "SSH_ORIGINAL_COMMAND",
    "SSH_USER_AUTH",
    "SSH_AGENT_LAUNCHER",
    "SSH_SK_PROVIDER",
];

/// A name this similar to a known one counts as a typing error (Jaro-Winkler, 1 is equal).
const ALIKE_MIN: f64 = 0.88;

/// A name without one of our prefixes must be more similar, because other programs may use the same file.
const STRAY_ALIKE_MIN: f64 = 0.95;

/// Returns the variable of that name.
#[must_use]
pub(super) fn find(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|variable| variable.name == name)
}

/// Where a name was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    File,
    Environment,
}

/// An unknown name that is probably meant for this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    pub name: String,
    pub meant: Option<&'static str>,
}

/// Checks a name. Returns `None` where it is known, or clearly belongs to another program.
#[must_use]
pub(super) fn judge(name: &str, place: Place) -> Option<Unknown> {
    let foreign = place == Place::Environment && OPENSSH.contains(&name);
    if find(name).is_some() || foreign {
        return None;
    }
    let names = || VARIABLES.iter().map(|variable| (variable.name, variable.name));
    let unknown = |least| Unknown { name: name.to_owned(), meant: closest_above(least, name, names()) };
    if OUR_PREFIXES.iter().any(|prefix| name.to_ascii_uppercase().starts_with(prefix)) {
        return Some(unknown(ALIKE_MIN));
    }
    let ours = |word: &str| WORDS.contains(&word);
    if place == Place::File && name.to_ascii_uppercase().split('_').any(ours) {
        return Some(unknown(ALIKE_MIN));
    }
    // Other names in the environment are not ours. In our own file a similar name is a typing error.
    match place {
        Place::Environment => None,
        Place::File => Some(unknown(STRAY_ALIKE_MIN)).filter(|stray| stray.meant.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_recognised() {
        assert_eq!(meant("VMMANAGER_PASWORD"), Some("VMMANAGER_PASSWORD"));
        assert_eq!(meant("TELEGRAM_CHAT"), Some("TELEGRAM_CHAT_ID"));
        assert_eq!(meant("CLUSTER_ID"), Some("CLUSTER_IDS"));
        assert_eq!(meant("balance_interval"), Some("BALANCE_INTERVAL"));
    }

    #[test]
    fn an_unknown_name_of_ours_is_named_even_where_nothing_is_like_it() {
        let unknown = judge("SSH_QUX", Place::File);
        assert_eq!(unknown, Some(Unknown { name: "SSH_QUX".into(), meant: None }));
    }

    #[test]
    fn a_name_with_one_of_our_words_is_recognised_in_our_file() {
        for (name, expected) in
            [("EXCLUDE_NODES", "EXCLUDE_SOURCE_NODES"), ("MAX_MIGRATIONS", "MAX_MIGRATIONS_PER_CYCLE")]
        {
            assert_eq!(meant(name), Some(expected), "{name}");
        }
        assert!(judge("OVERLOAD", Place::File).is_some());
        assert_eq!(judge("MAX_MIGRATIONS", Place::Environment), None);
    }

    #[test]
    fn openssh_keeps_its_names_in_the_environment_only() {
        assert_eq!(judge("SSH_AUTH_SOCK", Place::Environment), None);
        assert!(judge("SSH_AUTH_SOCK", Place::File).is_some());
    }

    #[test]
    fn other_programs_may_share_the_file_and_the_environment() {
        for place in [Place::File, Place::Environment] {
            assert_eq!(judge("COMPOSE_PROJECT_NAME", place), None);
            assert_eq!(judge("PATH", place), None);
        }
    }

    #[test]
    fn no_name_is_in_the_table_twice() {
        let mut names: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), VARIABLES.len());
    }

    fn meant(name: &str) -> Option<&'static str> {
        judge(name, Place::File).and_then(|unknown| unknown.meant)
    }
}
