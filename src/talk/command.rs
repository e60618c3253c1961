//! Text from a chat → [`Command`]. Pure; knows neither who wrote it nor what it will lead to.

use std::time::Duration;

use chrono::TimeDelta;

use crate::{planner::Direction, store::Mode};

/// What a person can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Start,
    Help { command: Option<Name> },
    Status { cluster: Option<String> },
    Node { name: String },
    Vm { name: String },
    Balance { cluster: Option<String> },
    History { of: HistoryOf },
    Running,
    Cancel,
    DryRun { on: Option<bool> },
    Mode { mode: Option<Mode> },
    Pause { lasts: Option<TimeDelta>, reason: Option<String> },
    Resume,
    Exclude { node: String, direction: Direction, lasts: Option<TimeDelta> },
    Include { node: String },
    Exclusions,
    Whoami,
}

/// What part of the history is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryOf {
    /// The newest entries: so many on one page.
    Newest(usize),
    /// The VM or node of that name or id.
    Named(String),
}

/// A command by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    Start,
    Help,
    Status,
    Node,
    Vm,
    Balance,
    History,
    Running,
    Cancel,
    DryRun,
    Mode,
    Pause,
    Resume,
    Exclude,
    Include,
    Exclusions,
    Whoami,
}

/// What a text turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// It does not start with `/`.
    NotACommand,
    /// It names another bot.
    ForAnotherBot,
    Command(Command),
    Unknown {
        typed: String,
        similar: Option<Name>,
    },
    Malformed {
        name: Name,
        problem: Problem,
    },
}

/// What is wrong with the words behind a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A word is missing.
    Missing,
    /// More words than the command takes; the first of them.
    TooMuch(String),
    /// A word that is none of the expected.
    NotOneOf { found: String, expected: &'static [&'static str], similar: Option<&'static str> },
    /// Not a time such as `30m` or `2h`.
    NotATime(String),
    /// A quote that is never closed.
    OpenQuote,
    /// `/help` about a command that does not exist.
    NoSuchCommand { found: String, similar: Option<Name> },
}

/// More entries than this do not fit one message of 4096 UTF-16 units.
pub const HISTORY_PAGE_MAX: usize = 20;

/// As many entries as a phone shows without much scrolling.
pub const HISTORY_PAGE: usize = 10;

/// A pause or an exclusion for longer is one without an end.
const LASTS_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Words further apart than this (Jaro-Winkler, 0 to 1) are no slip of the finger.
const SIMILAR_ENOUGH: f64 = 0.75;

const ON_OFF: &[&str] = &["on", "off"];
const MODES: &[&str] = &["off", "propose", "auto"];
const DIRECTIONS: &[&str] = &["source", "target", "both"];

impl Name {
    /// Every command in the order of `/help`.
    pub const ALL: [Self; 17] = [
        Self::Status,
        Self::Node,
        Self::Vm,
        Self::History,
        Self::Running,
        Self::Exclusions,
        Self::Balance,
        Self::Cancel,
        Self::Pause,
        Self::Resume,
        Self::Exclude,
        Self::Include,
        Self::DryRun,
        Self::Mode,
        Self::Whoami,
        Self::Help,
        Self::Start,
    ];

    /// Returns the word behind the `/`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Help => "help",
            Self::Status => "status",
            Self::Node => "node",
            Self::Vm => "vm",
            Self::Balance => "balance",
            Self::History => "history",
            Self::Running => "running",
            Self::Cancel => "cancel",
            Self::DryRun => "dryrun",
            Self::Mode => "mode",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Exclude => "exclude",
            Self::Include => "include",
            Self::Exclusions => "exclusions",
            Self::Whoami => "whoami",
        }
    }

    /// Returns how the command is written.
    #[must_use]
    pub fn usage(self) -> &'static str {
        match self {
            Self::Start => "/start",
            Self::Help => "/help [command]",
            Self::Status => "/status [cluster]",
            Self::Node => "/node NAME",
            Self::Vm => "/vm NAME|ID",
            Self::Balance => "/balance [cluster]",
            Self::History => "/history [N|vm|node]",
            Self::Running => "/running",
            Self::Cancel => "/cancel",
            Self::DryRun => "/dryrun [on|off]",
            Self::Mode => "/mode [off|propose|auto]",
            Self::Pause => "/pause [2h] [reason]",
            Self::Resume => "/resume",
            Self::Exclude => "/exclude NODE [source|target|both] [2h]",
            Self::Include => "/include NODE",
            Self::Exclusions => "/exclusions",
            Self::Whoami => "/whoami",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.word() == word)
    }

    fn similar_to(word: &str) -> Option<Self> {
        closest(word, Self::ALL.into_iter().map(|name| (name.word(), name)))
    }
}

impl Command {
    /// Returns which command it is.
    #[must_use]
    pub fn name(&self) -> Name {
        match self {
            Self::Start => Name::Start,
            Self::Help { .. } => Name::Help,
            Self::Status { .. } => Name::Status,
            Self::Node { .. } => Name::Node,
            Self::Vm { .. } => Name::Vm,
            Self::Balance { .. } => Name::Balance,
            Self::History { .. } => Name::History,
            Self::Running => Name::Running,
            Self::Cancel => Name::Cancel,
            Self::DryRun { .. } => Name::DryRun,
            Self::Mode { .. } => Name::Mode,
            Self::Pause { .. } => Name::Pause,
            Self::Resume => Name::Resume,
            Self::Exclude { .. } => Name::Exclude,
            Self::Include { .. } => Name::Include,
            Self::Exclusions => Name::Exclusions,
            Self::Whoami => Name::Whoami,
        }
    }
}

/// Reads a message. `bot` is the bot's user name without `@`.
///
/// ```
/// use vm_balancer::talk::command::{self, Command, Parsed};
///
/// let parsed = command::parse("/BALANCE@my_bot  msk", "my_bot");
/// assert_eq!(parsed, Parsed::Command(Command::Balance { cluster: Some("msk".into()) }));
/// ```
#[must_use]
pub fn parse(text: &str, bot: &str) -> Parsed {
    let Some(behind_slash) = text.trim_start().strip_prefix('/') else { return Parsed::NotACommand };
    let (head, rest) = behind_slash.split_once(char::is_whitespace).unwrap_or((behind_slash, ""));
    let (word, addressee) = head.split_once('@').map_or((head, None), |(word, to)| (word, Some(to)));
    if addressee.is_some_and(|to| !to.eq_ignore_ascii_case(bot)) {
        return Parsed::ForAnotherBot;
    }
    let word = word.to_lowercase();
    let Some(name) = Name::from_word(&word) else {
        return Parsed::Unknown { similar: Name::similar_to(&word), typed: word };
    };
    match words(rest).and_then(|words| command(name, words)) {
        Ok(command) => Parsed::Command(command),
        Err(problem) => Parsed::Malformed { name, problem },
    }
}

fn command(name: Name, words: Vec<Word>) -> Result<Command, Problem> {
    let rest = Rest(words.into());
    match name {
        Name::Start => {
            // A deep link puts a payload behind `/start`; it says nothing here.
            Ok(Command::Start)
        }
        Name::Help => help(rest),
        Name::Status => Ok(Command::Status { cluster: rest.joined() }),
        Name::Balance => Ok(Command::Balance { cluster: rest.joined() }),
        Name::Node => Ok(Command::Node { name: rest.joined().ok_or(Problem::Missing)? }),
        Name::Vm => Ok(Command::Vm { name: rest.joined().ok_or(Problem::Missing)? }),
        Name::Include => Ok(Command::Include { node: rest.joined().ok_or(Problem::Missing)? }),
        Name::History => Ok(Command::History { of: history(rest) }),
        Name::DryRun => dry_run(rest),
        Name::Mode => mode(rest),
        Name::Pause => pause(rest),
        Name::Exclude => exclude(rest),
        Name::Running => rest.end(Command::Running),
        Name::Cancel => rest.end(Command::Cancel),
        Name::Resume => rest.end(Command::Resume),
        Name::Exclusions => rest.end(Command::Exclusions),
        Name::Whoami => rest.end(Command::Whoami),
    }
}

fn help(mut rest: Rest) -> Result<Command, Problem> {
    let Some(word) = rest.next() else { return Ok(Command::Help { command: None }) };
    let asked = word.text.trim_start_matches('/').to_lowercase();
    let name = Name::from_word(&asked)
        .ok_or_else(|| Problem::NoSuchCommand { similar: Name::similar_to(&asked), found: asked })?;
    rest.end(Command::Help { command: Some(name) })
}

/// A small number is how many; anything else is somebody: VMmanager's ids go on where small numbers end.
fn history(rest: Rest) -> HistoryOf {
    let quoted = rest.0.iter().any(|word| word.quoted);
    match rest.joined() {
        None => HistoryOf::Newest(HISTORY_PAGE),
        Some(text) => match text.parse::<usize>() {
            Ok(count) if !quoted && (1..=HISTORY_PAGE_MAX).contains(&count) => HistoryOf::Newest(count),
            _ => HistoryOf::Named(text),
        },
    }
}

fn dry_run(mut rest: Rest) -> Result<Command, Problem> {
    let Some(word) = rest.next() else { return Ok(Command::DryRun { on: None }) };
    let on = one_of(&word.text, ON_OFF)? == "on";
    rest.end(Command::DryRun { on: Some(on) })
}

fn mode(mut rest: Rest) -> Result<Command, Problem> {
    let Some(word) = rest.next() else { return Ok(Command::Mode { mode: None }) };
    let mode = match one_of(&word.text, MODES)? {
        "off" => Mode::Off,
        "auto" => Mode::Auto,
        _ => Mode::Propose,
    };
    rest.end(Command::Mode { mode: Some(mode) })
}

fn pause(mut rest: Rest) -> Result<Command, Problem> {
    let lasts = match rest.0.front() {
        Some(word) if word.looks_like_a_time() => Some(time(&word.text)?),
        _ => None,
    };
    if lasts.is_some() {
        rest.next();
    }
    Ok(Command::Pause { lasts, reason: rest.joined() })
}

fn exclude(mut rest: Rest) -> Result<Command, Problem> {
    let node = rest.next().ok_or(Problem::Missing)?.text;
    let (mut direction, mut lasts) = (None, None);
    while let Some(word) = rest.next() {
        if word.looks_like_a_time() && lasts.is_none() {
            lasts = Some(time(&word.text)?);
        } else if direction.is_none() {
            direction = Some(match one_of(&word.text, DIRECTIONS)? {
                "source" => Direction::Source,
                "target" => Direction::Target,
                _ => Direction::Both,
            });
        } else {
            return Err(Problem::TooMuch(word.text));
        }
    }
    Ok(Command::Exclude { node, direction: direction.unwrap_or(Direction::Both), lasts })
}

/// One word, and whether it stood in quotes: a quoted word is never a time or a number.
#[derive(Debug, PartialEq, Eq)]
struct Word {
    text: String,
    quoted: bool,
}

impl Word {
    fn looks_like_a_time(&self) -> bool {
        !self.quoted && self.text.starts_with(|c: char| c.is_ascii_digit())
    }
}

struct Rest(std::collections::VecDeque<Word>);

impl Rest {
    fn next(&mut self) -> Option<Word> {
        self.0.pop_front()
    }

    /// All that is left as one name: quotes are needed only where something may follow a name.
    fn joined(self) -> Option<String> {
        let words: Vec<_> = self.0.into_iter().map(|word| word.text).collect();
        Some(words.join(" ")).filter(|text| !text.trim().is_empty())
    }

    fn end(mut self, command: Command) -> Result<Command, Problem> {
        match self.next() {
            None => Ok(command),
            Some(word) => Err(Problem::TooMuch(word.text)),
        }
    }
}

/// Splits at white space; quotes (also those that phones make of them) keep a name together.
fn words(text: &str) -> Result<Vec<Word>, Problem> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let behind = &rest[first.len_utf8()..];
        if let Some(closing) = closing_quote(first) {
            let (inside, after) = behind.split_once(closing).ok_or(Problem::OpenQuote)?;
            words.push(Word { text: inside.trim().to_owned(), quoted: true });
            rest = after.trim_start();
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            words.push(Word { text: rest[..end].to_owned(), quoted: false });
            rest = rest[end..].trim_start();
        }
    }
    Ok(words)
}

fn closing_quote(opening: char) -> Option<&'static [char]> {
    match opening {
        '"' => Some(&['"']),
        '“' | '„' => Some(&['”', '“', '"']),
        '«' => Some(&['»']),
        '\'' => Some(&['\'']),
        '‘' => Some(&['’']),
        _ => None,
    }
}

fn one_of(word: &str, expected: &'static [&'static str]) -> Result<&'static str, Problem> {
    let found = word.to_lowercase();
    expected.iter().find(|known| **known == found).copied().ok_or_else(|| Problem::NotOneOf {
        similar: closest(&found, expected.iter().map(|known| (*known, *known))),
        found: word.to_owned(),
        expected,
    })
}

fn time(word: &str) -> Result<TimeDelta, Problem> {
    let latin: String = word
        .to_lowercase()
        .chars()
        .map(|c| match c {
            'ч' => 'h',
            'м' => 'm',
            'д' => 'd',
            'с' => 's',
            other => other,
        })
        .collect();
    humantime::parse_duration(&latin)
        .ok()
        .filter(|lasts| (Duration::from_secs(1)..=LASTS_MAX).contains(lasts))
        .and_then(|lasts| TimeDelta::from_std(lasts).ok())
        .ok_or_else(|| Problem::NotATime(word.to_owned()))
}

fn closest<T>(word: &str, known: impl Iterator<Item = (&'static str, T)>) -> Option<T> {
    known
        .map(|(name, value)| (strsim::jaro_winkler(word, name), value))
        .filter(|(likeness, _)| *likeness >= SIMILAR_ENOUGH)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_by_its_word() {
        for name in Name::ALL {
            assert_eq!(Name::from_word(name.word()), Some(name));
            assert!(name.usage().starts_with(&format!("/{}", name.word())));
        }
    }

    #[test]
    fn upper_case_and_extra_spaces_do_not_matter() {
        assert_eq!(read("  /BALANCE   msk  "), Command::Balance { cluster: Some("msk".into()) });
        assert_eq!(read("/Status"), Command::Status { cluster: None });
        assert_eq!(read("/dryrun OFF"), Command::DryRun { on: Some(false) });
    }

    #[test]
    fn a_command_for_another_bot_is_not_ours() {
        assert_eq!(parse("/status@other_bot", "balancer_bot"), Parsed::ForAnotherBot);
        assert_eq!(read("/status@Balancer_Bot"), Command::Status { cluster: None });
    }

    #[test]
    fn plain_text_is_no_command() {
        assert_eq!(parse("hello", "balancer_bot"), Parsed::NotACommand);
        assert_eq!(parse("", "balancer_bot"), Parsed::NotACommand);
    }

    #[test]
    fn a_name_with_spaces_needs_quotes_only_where_something_may_follow() {
        assert_eq!(read("/node rack 5 left"), Command::Node { name: "rack 5 left".into() });
        let expected = Command::Exclude {
            node: "rack 5".into(),
            direction: Direction::Target,
            lasts: Some(TimeDelta::hours(2)),
        };
        assert_eq!(read("/exclude \"rack 5\" target 2h"), expected);
        assert_eq!(read("/exclude «rack 5» 2ч TARGET"), expected);
        assert_eq!(problem("/exclude \"rack 5 target"), Problem::OpenQuote);
    }

    #[test]
    fn an_exclusion_closes_both_ways_unless_told_otherwise() {
        let both = Command::Exclude { node: "12".into(), direction: Direction::Both, lasts: None };
        assert_eq!(read("/exclude 12"), both);
        assert_eq!(problem("/exclude"), Problem::Missing);
        assert_eq!(problem("/exclude 12 target source"), Problem::TooMuch("source".into()));
    }

    #[test]
    fn a_pause_may_have_a_time_and_a_reason() {
        assert_eq!(read("/pause"), Command::Pause { lasts: None, reason: None });
        assert_eq!(
            read("/pause 1h30m network works"),
            Command::Pause { lasts: Some(TimeDelta::minutes(90)), reason: Some("network works".into()) }
        );
        assert_eq!(
            read("/pause \"3 nodes are new\""),
            Command::Pause { lasts: None, reason: Some("3 nodes are new".into()) }
        );
        assert_eq!(problem("/pause 30"), Problem::NotATime("30".into()));
        assert_eq!(problem("/pause 0s"), Problem::NotATime("0s".into()));
        assert_eq!(problem("/pause 900000y"), Problem::NotATime("900000y".into()));
    }

    #[test]
    fn history_takes_a_number_or_a_name() {
        for (text, of) in [
            ("/history", HistoryOf::Newest(HISTORY_PAGE)),
            ("/history 5", HistoryOf::Newest(5)),
            ("/history 1000", HistoryOf::Named("1000".into())),
            ("/history \"5\"", HistoryOf::Named("5".into())),
            ("/history web-1", HistoryOf::Named("web-1".into())),
        ] {
            assert_eq!(read(text), Command::History { of }, "{text}");
        }
    }

    #[test]
    fn a_slip_of_the_finger_gets_a_suggestion() {
        let unknown = |text| match parse(text, "balancer_bot") {
            Parsed::Unknown { similar, .. } => similar,
            other => panic!("{other:?}"),
        };
        assert_eq!(unknown("/balence 1"), Some(Name::Balance));
        assert_eq!(unknown("/stats"), Some(Name::Status));
        assert_eq!(unknown("/xyzzy"), None);
        assert_eq!(unknown("/"), None);
        assert_eq!(
            problem("/mode propse"),
            Problem::NotOneOf { found: "propse".into(), expected: MODES, similar: Some("propose") }
        );
        assert_eq!(
            problem("/help balanse"),
            Problem::NoSuchCommand { found: "balanse".into(), similar: Some(Name::Balance) }
        );
    }

    #[test]
    fn a_word_too_many_is_said() {
        assert_eq!(problem("/resume now"), Problem::TooMuch("now".into()));
        assert_eq!(problem("/dryrun on please"), Problem::TooMuch("please".into()));
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "\\PC*") {
            let _ = parse(&text, "balancer_bot");
            let _ = parse(&format!("/exclude {text}"), "balancer_bot");
            let _ = parse(&format!("/pause {text}"), "balancer_bot");
        }
    }

    fn read(text: &str) -> Command {
        match parse(text, "balancer_bot") {
            Parsed::Command(command) => command,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn problem(text: &str) -> Problem {
        match parse(text, "balancer_bot") {
            Parsed::Malformed { problem, .. } => problem,
            other => panic!("{text}: {other:?}"),
        }
    }
}
