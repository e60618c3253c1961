//! Which host keys the monitor trusts: those of the known_hosts files, and those that `accept-new` learned.
//!
//! russh's own helper ignores markers and so would accept a revoked key. The check here follows OpenSSH's rules.
//! Knows nothing of connections.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::{
    Algorithm, HashAlg, PublicKey,
    ssh_key::{known_hosts::HostPatterns, public::KeyData},
};
use sha1::Sha1;
use tempfile::NamedTempFile;
use wildmatch::WildMatch;

use super::{HostKeyCheck, KnownLine, Settings, SshFailure, settings::Target};
use crate::model::ssh::{HostKeyDoubt, UnreadableHosts};

/// What the known hosts say about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is this host's key.
    Yes,
    /// Nothing is known of this host.
    No,
    /// The host has other keys; their fingerprints.
    Changed { expected: Vec<String> },
    /// The key must never be accepted again.
    Revoked,
}

/// Writes a key as people compare it: kind and SHA-256 fingerprint, as `ssh-keygen -l` prints it.
pub(super) fn fingerprint(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

/// The entries of known_hosts files.
#[derive(Debug, Default)]
pub(super) struct KnownHosts(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    hosts: HostPatterns,
    key: KeyData,
    revoked: bool,
    file: Arc<KnownFile>,
    /// From 1.
    line: usize,
}

#[derive(Debug)]
pub(super) struct KnownFile {
    path: PathBuf,
    /// Written by this program; else by the operator.
    learned: bool,
}

impl KnownHosts {
    /// Reads every line that can be understood and skips the others.
    pub(super) fn parse(text: &str, file: KnownFile) -> Self {
        let file = Arc::new(file);
        let entry = |(line, text)| Entry::parse(text, &file, line);
        Self((1..).zip(text.lines()).filter_map(entry).collect())
    }

    /// Tells what is known of a key that a host presented.
    pub(super) fn verdict(&self, target: &Target, key: &PublicKey) -> Known {
        let presented = key.key_data();
        if self.is_revoked(target, presented) {
            return Known::Revoked;
        }
        let known: Vec<&KeyData> = self.keys_of(&target.known_as()).collect();
        if known.contains(&presented) || known.is_empty() && self.matches_without_port(target, presented) {
            return Known::Yes;
        }
        if known.is_empty() {
            return Known::No;
        }
        Known::Changed {
            expected: known.into_iter().map(|key| fingerprint(&PublicKey::from(key.clone()))).collect(),
        }
    }

    /// Puts the kinds of key that are known for a host first, so that a host with several keys shows a known one.
    pub(super) fn order_of_kinds(&self, target: &Target, all: &[Algorithm]) -> Vec<Algorithm> {
        let mut known: Vec<&KeyData> = self.keys_of(&target.known_as()).collect();
        if known.is_empty() {
            known = target.known_without_port().map(|host| self.keys_of(&host).collect()).unwrap_or_default();
        }
        let is_known = |wanted: &&Algorithm| known.iter().any(|key| same_kind(&key.algorithm(), wanted));
        let (mut first, rest): (Vec<_>, Vec<_>) = all.iter().partition(is_known);
        first.extend(rest);
        first.into_iter().cloned().collect()
    }

    /// Returns the lines with the known keys of a host.
    fn lines_of(&self, target: &Target) -> Vec<KnownLine> {
        let name = target.known_as();
        let of_host = |entry: &&Entry| !entry.revoked && matches(&entry.hosts, &name);
        self.0.iter().filter(of_host).map(|entry| entry.at(&name)).collect()
    }

    /// Returns where a key is revoked.
    fn lines_revoking(&self, target: &Target, key: &KeyData) -> Vec<KnownLine> {
        let name = target.known_as();
        self.revoking(target, key).map(|entry| entry.at(&name)).collect()
    }

    fn is_revoked(&self, target: &Target, key: &KeyData) -> bool {
        self.revoking(target, key).next().is_some()
    }

    /// A revocation counts for the host with and without its port, to be on the safe side.
    fn revoking<'a>(&'a self, target: &Target, key: &'a KeyData) -> impl Iterator<Item = &'a Entry> {
        let names = [Some(target.known_as()), target.known_without_port()];
        self.0
            .iter()
            .filter(move |entry| entry.revoked && entry.key == *key)
            .filter(move |entry| names.iter().flatten().any(|name| matches(&entry.hosts, name)))
    }

    /// OpenSSH accepts the key of a host entry without port for any port, but never calls it changed.
    fn matches_without_port(&self, target: &Target, key: &KeyData) -> bool {
        target.known_without_port().is_some_and(|host| self.keys_of(&host).any(|known| known == key))
    }

    fn keys_of<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a KeyData> {
        self.0
            .iter()
            .filter(move |entry| !entry.revoked && matches(&entry.hosts, name))
            .map(|entry| &entry.key)
    }

    fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl Entry {
    /// `None` for comments, certificate authorities (no host's own key), unknown markers and broken lines.
    fn parse(text: &str, file: &Arc<KnownFile>, line: usize) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let mut first = words.next().filter(|word| !word.starts_with('#'))?;
        let revoked = first == "@revoked";
        if revoked {
            first = words.next()?;
        } else if first.starts_with('@') {
            return None;
        }
        let (kind, base64) = (words.next()?, words.next()?);
        let key = PublicKey::from_openssh(&format!("{kind} {base64}"));
        if key.is_err() && revoked {
            tracing::warn!("a @revoked line of the known hosts holds no key that can be read: {kind}");
        }
        let (hosts, key) = (first.parse().ok()?, key.ok()?.key_data().clone());
        Some(Self { hosts, key, revoked, file: Arc::clone(file), line })
    }

    fn at(&self, host: &str) -> KnownLine {
        let KnownFile { path, learned } = self.file.as_ref();
        KnownLine { file: path.clone(), line: self.line, host: host.into(), learned: *learned }
    }
}

fn matches(hosts: &HostPatterns, name: &str) -> bool {
    match hosts {
        HostPatterns::HashedName { salt, hash } => Hmac::<Sha1>::new_from_slice(salt)
            .is_ok_and(|hmac| hmac.chain_update(name).verify_slice(hash).is_ok()),
        HostPatterns::Patterns(patterns) => {
            let mut found = false;
            for pattern in patterns {
                match pattern.strip_prefix('!') {
                    Some(negated) if wildcard(negated, name) => return false,
                    Some(_) => {}
                    None => found |= wildcard(pattern, name),
                }
            }
            found
        }
    }
}

/// `*` is any text, `?` any one character, case does not matter.
fn wildcard(pattern: &str, name: &str) -> bool {
    WildMatch::new_case_insensitive(pattern).matches(name)
}

/// An RSA key signs under several names; the key is the same.
fn same_kind(one: &Algorithm, other: &Algorithm) -> bool {
    one == other || matches!((one, other), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

/// The rules of one round: the files as they are at its start, and what to do with an unknown key.
#[derive(Debug)]
pub(super) struct Trust {
    known: KnownHosts,
    check: HostKeyCheck,
    learn: Learn,
}

/// Whether a key that is accepted because it is new is also kept.
#[derive(Clone, Debug)]
pub(super) enum Learn {
    Into(Arc<Learner>),
    /// A probe must leave no trace.
    Nothing,
}

impl Trust {
    /// Reads the known hosts afresh, so that a line added by hand counts at once.
    ///
    /// # Errors
    ///
    /// A file that exists and cannot be read, unless host keys are not checked at all. A missing file counts as empty.
    pub(super) fn load(settings: &Settings, learn: Learn) -> Result<Self, UnreadableHosts> {
        if let Learn::Into(learner) = &learn {
            learner.begin_round();
        }
        let mut known = KnownHosts::default();
        for (path, learned) in [(&settings.known_hosts, false), (&settings.learned_hosts, true)] {
            match read_or_empty(path) {
                Ok(text) => known.extend(KnownHosts::parse(&text, KnownFile { path: path.clone(), learned })),
                Err(error) if settings.host_key_check == HostKeyCheck::Off => {
                    tracing::warn!(path = %path.display(), %error, "known hosts cannot be read; no host key is checked");
                }
                Err(error) => {
                    return Err(UnreadableHosts { path: path.clone(), said: error.to_string().into() });
                }
            }
        }
        Ok(Self { known, check: settings.host_key_check, learn })
    }

    /// Tells what is known of a key.
    pub(super) fn verdict(&self, target: &Target, key: &PublicKey) -> Known {
        self.known.verdict(target, key)
    }

    /// Returns the order in which host keys are asked for.
    pub(super) fn order_of_kinds(&self, target: &Target, all: &[Algorithm]) -> Vec<Algorithm> {
        self.known.order_of_kinds(target, all)
    }

    /// Tells whether a key that was accepted once may still be used; learns nothing.
    pub(super) fn still_accepts(&self, target: &Target, key: &PublicKey) -> bool {
        match (self.verdict(target, key), self.check) {
            (Known::Yes, _) => true,
            (Known::Revoked, _) => false,
            (Known::No | Known::Changed { .. }, check) => check == HostKeyCheck::Off,
        }
    }

    /// Decides on the key that a host presented. Blocks while a learned key is written.
    pub(super) fn judge(&self, target: &Target, key: &PublicKey) -> Result<(), SshFailure> {
        let (host, found) = (target.to_string(), fingerprint(key));
        match (self.verdict(target, key), self.check) {
            (Known::Yes, _) => Ok(()),
            (Known::Revoked, _) => {
                let at = self.known.lines_revoking(target, key.key_data());
                Err(SshFailure::HostKeyRevoked { host, found, at })
            }
            (Known::No | Known::Changed { .. }, HostKeyCheck::Off) => {
                tracing::warn!(host, found, "host key accepted unchecked: SSH_HOST_KEY_CHECK is off");
                Ok(())
            }
            (Known::Changed { expected }, _) => {
                Err(SshFailure::HostKeyChanged { host, expected, found, at: self.known.lines_of(target) })
            }
            (Known::No, HostKeyCheck::Strict) => Err(SshFailure::HostKeyUnknown { host, found }),
            (Known::No, HostKeyCheck::AcceptNew) => match &self.learn {
                Learn::Into(learner) => learner.learn(target, key),
                Learn::Nothing => Ok(()),
            },
        }
    }
}

fn read_or_empty(path: &Path) -> io::Result<String> {
    match fs::read(path) {
        // Names in other encodings match no host of ours; the other lines still count.
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// Keeps keys of hosts that were seen for the first time, before they are used.
///
/// Nodes that are learned at the same time share one write: with hundreds of them the first round would
/// otherwise wait for the disk hundreds of times.
#[derive(Debug)]
pub(super) struct Learner {
    path: PathBuf,
    queue: Mutex<Queue>,
    /// How many of the queued lines are on disk.
    written: Mutex<u64>,
}

#[derive(Debug, Default)]
struct Queue {
    lines: Vec<String>,
    queued: u64,
    /// What was taken for each host in this round: two nodes may share an address, not disagree on its key.
    claimed: BTreeMap<String, KeyData>,
}

impl Learner {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, queue: Mutex::default(), written: Mutex::new(0) }
    }

    /// From here on the files count: somebody may have removed a line by hand.
    fn begin_round(&self) {
        self.lock_queue().claimed.clear();
    }

    fn learn(&self, target: &Target, key: &PublicKey) -> Result<(), SshFailure> {
        let name = target.known_as();
        let line = key.to_openssh().map(|key| format!("{name} {key}\n"));
        let line = line.map_err(|e| HostKeyDoubt::NoText(e.to_string().into()));
        let line = line.map_err(SshFailure::HostKeyUnchecked)?;
        let mine = self.queue(target, &name, key, line.clone())?;
        let written = self.write_up_to(mine, &line);
        if let Err(error) = written {
            self.lock_queue().claimed.remove(&name);
            let (host, path) = (target.to_string(), self.path.clone());
            let doubt = HostKeyDoubt::NotKept { host, path, said: error.to_string().into() };
            return Err(SshFailure::HostKeyUnchecked(doubt));
        }
        tracing::warn!(host = %target, key = fingerprint(key), "host key learned");
        Ok(())
    }

    fn queue(&self, target: &Target, name: &str, key: &PublicKey, line: String) -> Result<u64, SshFailure> {
        let mut queue = self.lock_queue();
        match queue.claimed.get(name) {
            Some(known) if known != key.key_data() => {
                return Err(SshFailure::HostKeyChanged {
                    host: target.to_string(),
                    expected: vec![fingerprint(&PublicKey::from(known.clone()))],
                    found: fingerprint(key),
                    // It is on its way to the file.
                    at: Vec::new(),
                });
            }
            Some(_) => {}
            None => {
                queue.claimed.insert(name.into(), key.key_data().clone());
                queue.lines.push(line);
                queue.queued += 1;
            }
        }
        Ok(queue.queued)
    }

    /// Returns when all lines up to `mine` are on disk. The first caller writes the lines of all who wait.
    fn write_up_to(&self, mine: u64, line: &str) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if *written >= mine {
            return Ok(());
        }
        let (lines, upto) = {
            let mut queue = self.lock_queue();
            (std::mem::take(&mut queue.lines), queue.queued)
        };
        // Every caller then tries again for itself, because a key that is not kept is not accepted.
        append(&self.path, &lines).inspect_err(|_| {
            self.lock_queue().lines.extend(lines.into_iter().filter(|other| other != line));
        })?;
        *written = upto;
        Ok(())
    }

    fn lock_queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the whole file anew beside the old one and puts it in its place, readable by its owner alone.
fn append(path: &Path, lines: &[String]) -> io::Result<()> {
    let mut text = read_or_empty(path)?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for line in lines {
        // Two rounds at one time may learn the same.
        if !text.lines().any(|kept| kept == line.trim_end()) {
            text.push_str(line);
        }
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Its mode is 0600 from the start.
    let mut beside = NamedTempFile::new_in(folder)?;
    beside.write_all(text.as_bytes())?;
    beside.as_file().sync_all()?;
    beside.persist(path).map(|_| ()).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;
    use russh::keys::{PrivateKey, key::safe_rng};

    use super::*;
    use crate::ssh::testing;

    #[test]
    fn a_refusal_says_in_which_line_the_other_key_stands() {
        let (old, shown) = (key(), key());
        let lines = format!("# mine\nnode-1 {}\n@revoked * {}\n", text(&old), text(&shown));
        let refused = |lines: &str| {
            let trust = trust(lines, HostKeyCheck::Strict, Learn::Nothing);
            trust.judge(&at("node-1", 22), &shown).unwrap_err()
        };
        let at = |line| vec![KnownLine { file: "/k".into(), line, host: "node-1".into(), learned: false }];
        assert!(matches!(refused(&lines), SshFailure::HostKeyRevoked { at: found, .. } if found == at(3)));
        let changed = refused(lines.split_once('@').unwrap().0);
        assert!(changed.to_string().ends_with(" (/k line 2)"), "{changed}");
        assert!(matches!(changed, SshFailure::HostKeyChanged { at: found, .. } if found == at(2)));
    }

    #[test]
    fn a_plain_line_makes_its_host_known_and_no_other() {
        let key = key();
        let known = known_hosts(&format!("# comment\n\nnode-1,192.0.2.1 {} root@node-1\n", text(&key)));
        assert_eq!(known.verdict(&at("node-1", 22), &key), Known::Yes);
        assert_eq!(known.verdict(&at("NODE-1", 22), &key), Known::Yes);
        assert_eq!(known.verdict(&at("192.0.2.1", 22), &key), Known::Yes);
        assert_eq!(known.verdict(&at("node-11", 22), &key), Known::No);
    }

    #[test]
    fn a_changed_key_shows_what_was_expected() {
        let (old, new) = (key(), key());
        let known = known_hosts(&format!("node-1 {}\n", text(&old)));
        assert_eq!(
            known.verdict(&at("node-1", 22), &new),
            Known::Changed { expected: vec![fingerprint(&old)] }
        );
    }

    #[test]
    fn another_kind_of_key_does_not_slip_in_as_new() {
        let known = known_hosts(&format!("node-1 {}\n", text(&key())));
        assert!(matches!(known.verdict(&at("node-1", 22), &ecdsa()), Known::Changed { .. }));
    }

    #[test]
    fn one_of_several_keys_is_enough() {
        let (old, new) = (key(), key());
        let known = known_hosts(&format!("node-1 {}\nnode-1 {}\n", text(&old), text(&new)));
        assert_eq!(known.verdict(&at("node-1", 22), &old), Known::Yes);
        assert_eq!(known.verdict(&at("node-1", 22), &new), Known::Yes);
    }

    #[test]
    fn a_port_belongs_to_the_name() {
        let (one, two) = (key(), key());
        let known = known_hosts(&format!("[gw]:2201 {}\n[gw]:2202 {}\n", text(&one), text(&two)));
        assert_eq!(known.verdict(&at("gw", 2201), &one), Known::Yes);
        assert!(matches!(known.verdict(&at("gw", 2201), &two), Known::Changed { .. }));
        assert_eq!(known.verdict(&at("gw", 22), &one), Known::No);
    }

    #[test]
    fn a_line_without_port_vouches_for_any_port_but_calls_none_changed() {
        let (one, two) = (key(), key());
        let known = known_hosts(&format!("gw {}\n", text(&one)));
        assert_eq!(known.verdict(&at("gw", 2201), &one), Known::Yes);
        assert_eq!(known.verdict(&at("gw", 2201), &two), Known::No);
    }

    #[test]
    fn hashed_names_are_recognised_with_and_without_port() {
        let key = key();
        let known = known_hosts(&format!(
            "{} {}\n{} {}\n",
            hashed("node-1"),
            text(&key),
            hashed("[gw]:2201"),
            text(&key)
        ));
        assert_eq!(known.verdict(&at("node-1", 22), &key), Known::Yes);
        assert_eq!(known.verdict(&at("gw", 2201), &key), Known::Yes);
        assert_eq!(known.verdict(&at("gw", 2202), &key), Known::No);
    }

    #[test]
    fn wildcards_match_and_negations_take_back() {
        let key = key();
        let known = known_hosts(&format!("*.example.com,!evil.example.com,10.0.?.1 {}", text(&key)));
        assert_eq!(known.verdict(&at("a.example.com", 22), &key), Known::Yes);
        assert_eq!(known.verdict(&at("evil.example.com", 22), &key), Known::No);
        assert_eq!(known.verdict(&at("10.0.7.1", 22), &key), Known::Yes);
        assert_eq!(known.verdict(&at("10.0.77.1", 22), &key), Known::No);
    }

    #[test]
    fn a_revoked_key_is_refused_whatever_else_is_said_of_it() {
        let key = key();
        let text = format!("node-1 {0}\n@revoked * {0}\n", text(&key));
        let known = known_hosts(&text);
        assert_eq!(known.verdict(&at("node-1", 22), &key), Known::Revoked);
        assert_eq!(known.verdict(&at("node-1", 2222), &key), Known::Revoked);
        for check in [HostKeyCheck::Strict, HostKeyCheck::AcceptNew, HostKeyCheck::Off] {
            let trust = Trust { known: known_hosts(&text), check, learn: Learn::Nothing };
            assert!(matches!(trust.judge(&at("node-1", 22), &key), Err(SshFailure::HostKeyRevoked { .. })));
            assert!(!trust.still_accepts(&at("node-1", 22), &key));
        }
    }

    #[test]
    fn a_certificate_authority_is_no_host_key() {
        let key = key();
        let known = known_hosts(&format!("@cert-authority * {}\n@other * {0}\n", text(&key)));
        assert_eq!(known.verdict(&at("node-1", 22), &key), Known::No);
    }

    #[test]
    fn kinds_of_key_that_are_known_are_asked_for_first() {
        let known = known_hosts(&format!("node-1 {}", text(&ecdsa())));
        let all = [Algorithm::Ed25519, ecdsa().algorithm(), Algorithm::Rsa { hash: Some(HashAlg::Sha512) }];
        assert_eq!(known.order_of_kinds(&at("node-1", 22), &all)[0], ecdsa().algorithm());
        assert_eq!(known.order_of_kinds(&at("node-1", 2222), &all)[0], ecdsa().algorithm());
        assert_eq!(known.order_of_kinds(&at("node-2", 22), &all), all);
    }

    #[test]
    fn strict_refuses_unknown_and_changed_and_off_takes_both() {
        let (old, new) = (key(), key());
        let known = format!("node-1 {}\n", text(&old));
        let strict = trust(&known, HostKeyCheck::Strict, Learn::Nothing);
        assert!(matches!(strict.judge(&at("node-1", 22), &new), Err(SshFailure::HostKeyChanged { .. })));
        assert!(matches!(strict.judge(&at("node-2", 22), &new), Err(SshFailure::HostKeyUnknown { .. })));
        assert_eq!(strict.judge(&at("node-1", 22), &old), Ok(()));
        let off = trust(&known, HostKeyCheck::Off, Learn::Nothing);
        assert_eq!(off.judge(&at("node-1", 22), &new), Ok(()));
        assert_eq!(off.judge(&at("node-2", 22), &new), Ok(()));
    }

    #[test]
    fn accept_new_learns_once_and_refuses_another_key_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = testing::settings();
        settings.host_key_check = HostKeyCheck::AcceptNew;
        settings.known_hosts = folder.path().join("none");
        settings.learned_hosts = folder.path().join("data/ssh_known_hosts");
        let learner = Arc::new(Learner::new(settings.learned_hosts.clone()));
        let (first, second) = (key(), key());
        let round = || Trust::load(&settings, Learn::Into(Arc::clone(&learner))).unwrap();

        assert_eq!(round().judge(&at("node-1", 2222), &first), Ok(()));
        assert_eq!(round().judge(&at("node-2", 22), &second), Ok(()));
        assert_eq!(round().judge(&at("node-1", 2222), &first), Ok(()));
        assert!(matches!(
            round().judge(&at("node-1", 2222), &second),
            Err(SshFailure::HostKeyChanged { expected, .. }) if expected == [fingerprint(&first)]
        ));
        let kept = fs::read_to_string(&settings.learned_hosts).unwrap();
        assert_eq!(kept.lines().count(), 2, "{kept}");
        assert!(kept.starts_with("[node-1]:2222 ssh-ed25519 "), "{kept}");
        assert_eq!(fs::metadata(&settings.learned_hosts).unwrap().permissions().mode() & 0o777, 0o600);
        // A line that is taken out by hand makes room for the node's next key.
        let without: String = kept.lines().skip(1).map(|line| format!("{line}\n")).collect();
        fs::write(&settings.learned_hosts, &without).unwrap();
        assert_eq!(round().judge(&at("node-1", 2222), &second), Ok(()));
        assert_eq!(round().judge(&at("node-1", 2222), &second), Ok(()));
        fs::write(&settings.learned_hosts, &kept).unwrap();
        // Another start believes the file.
        let strict = Settings { host_key_check: HostKeyCheck::Strict, ..settings.clone() };
        let trust = Trust::load(&strict, Learn::Nothing).unwrap();
        assert_eq!(trust.judge(&at("node-1", 2222), &first), Ok(()));
    }

    #[test]
    fn hosts_learned_side_by_side_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let learner = Learner::new(folder.path().join("learned"));
        let key = key();
        std::thread::scope(|scope| {
            for port in 1000..1064 {
                let (learner, key) = (&learner, &key);
                scope.spawn(move || learner.learn(&at("gw", port), key).unwrap());
            }
        });
        assert_eq!(fs::read_to_string(folder.path().join("learned")).unwrap().lines().count(), 64);
    }

    #[test]
    fn a_key_that_cannot_be_kept_is_not_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let in_the_way = folder.path().join("file");
        fs::write(&in_the_way, "").unwrap();
        let learner = Learner::new(in_the_way.join("learned"));
        let refused = learner.learn(&at("node-1", 22), &key());
        assert!(matches!(refused, Err(SshFailure::HostKeyUnchecked(_))), "{refused:?}");
    }

    #[test]
    fn a_probe_learns_nothing() {
        let trust = trust("", HostKeyCheck::AcceptNew, Learn::Nothing);
        assert_eq!(trust.judge(&at("node-1", 22), &key()), Ok(()));
    }

    proptest! {
        #[test]
        fn no_known_hosts_file_can_break_the_check(text in "(@?[a-z|*,!\\[\\]:1 \t#=-]{0,40}(ssh-ed25519)? ?[A-Za-z+/=]{0,30}\n?){0,6}") {
            let known = known_hosts(&text);
            prop_assert_ne!(known.verdict(&at("node-1", 22), &key()), Known::Yes);
        }
    }

    fn known_hosts(text: &str) -> KnownHosts {
        KnownHosts::parse(text, KnownFile { path: "/k".into(), learned: false })
    }

    fn key() -> PublicKey {
        PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap().public_key().clone()
    }

    fn ecdsa() -> PublicKey {
        use russh::keys::ssh_key::EcdsaCurve;
        let algorithm = Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 };
        PrivateKey::random(&mut safe_rng(), algorithm).unwrap().public_key().clone()
    }

    fn text(key: &PublicKey) -> String {
        key.to_openssh().unwrap()
    }

    fn at(host: &str, port: u16) -> Target {
        Target { host: host.into(), port }
    }

    fn trust(known: &str, check: HostKeyCheck, learn: Learn) -> Trust {
        Trust { known: known_hosts(known), check, learn }
    }

    fn hashed(name: &str) -> String {
        let salt = b"twenty bytes of salt".to_vec();
        let hash = Hmac::<Sha1>::new_from_slice(&salt).unwrap().chain_update(name).finalize().into_bytes();
        HostPatterns::HashedName { salt, hash: hash.into() }.to_string()
    }
}
