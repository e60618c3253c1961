//! The settings that can change while the bot runs: one table by which the file is read, `/settings` shows and `/set`
//! checks. To add one is one line here.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDate, NaiveTime, TimeDelta};

use super::{
    problem::{Expected, Problem},
    reader::Reader,
    sources::Source,
    values,
    variables::{self, VARIABLES},
};
use crate::{
    balancer,
    model::alike::closest,
    planner::{
        AntiAffinity, Direction, Exclusion, ExclusionWhy, Lenience, Margin, Policy, Selector, Strategy,
        Threshold,
    },
    scheduler::{
        self, ExpectedValue, Group, Kind, Setting, SettingSource, SettingWarning, Unit, Unsettable, Windows,
    },
    store::{HISTORY_KEPT, SetByChat},
    telegram::Habits,
};

/// The settings of each room that can change while the bot runs.
#[derive(Clone, Debug)]
pub(crate) struct Tuned {
    /// For cycles: what is planned and how plans are carried out.
    pub balancer: balancer::Settings,
    /// When cycles run and whether they ask first.
    pub scheduler: scheduler::Settings,
    /// When messages ring, and what the bot writes by itself.
    pub habits: Habits,
    /// How long history and audit are kept.
    pub history_kept: TimeDelta,
}

impl Default for Tuned {
    fn default() -> Self {
        Self {
            balancer: balancer::Settings::default(),
            scheduler: scheduler::Settings::default(),
            habits: Habits::default(),
            history_kept: HISTORY_KEPT,
        }
    }
}

type Read = fn(&mut Tuned, &mut Reader<'_>, &'static str);
type Show = fn(&Tuned) -> String;

/// One setting.
pub(super) struct Tunable {
    pub(super) name: &'static str,
    group: Group,
    unit: Unit,
    kind: Kind,
    stricter: Stricter,
    /// Reads it from where variables are; an empty one leaves a number or a choice as it is, and empties a text.
    pub(super) read: Read,
    show: Show,
}

/// Which of two values lets less happen: after a restore from an export both may be known.
#[derive(Clone, Copy)]
enum Stricter {
    Less,
    More,
    /// The one that stands first among the choices.
    First,
    /// What either of them names, joined with this.
    Both(&'static str),
    /// The window that is open for less of the week.
    Shorter,
    /// Neither; the newer one counts.
    Newer,
}

const fn number(
    name: &'static str,
    (group, unit, step): (Group, Unit, f64),
    stricter: Stricter,
    read: Read,
    show: Show,
) -> Tunable {
    Tunable { name, group, unit, kind: Kind::Number { step }, stricter, read, show }
}

const fn choice(
    name: &'static str,
    group: Group,
    strictest_first: &'static [&'static str],
    read: Read,
    show: Show,
) -> Tunable {
    let kind = Kind::Choice(strictest_first);
    Tunable { name, group, unit: Unit::None, kind, stricter: Stricter::First, read, show }
}

const fn text(name: &'static str, group: Group, stricter: Stricter, read: Read, show: Show) -> Tunable {
    Tunable { name, group, unit: Unit::None, kind: Kind::Text, stricter, read, show }
}

use Group::{Chat, Moves, Places, Thresholds, Times};
use Stricter::{Both, Less, More, Newer, Shorter};
use Unit::{Days, PerCore, Percent, Seconds};

const YES_NO: &[&str] = &["true", "false"];
const NO_YES: &[&str] = &["false", "true"];
const LENIENCE: &[&str] = &["forbid", "avoid", "allow"];
const MINUTES: f64 = 600.0;
const HOUR: f64 = 3600.0;

/// Every setting, in the order of the example file.
#[rustfmt::skip]
pub(super) static TUNABLES: &[Tunable] = &[
    number("BALANCE_INTERVAL", (Times, Seconds, 60.0), Newer,
        |t, r, n| r.set(&mut t.scheduler.interval, n, values::seconds(1)), |t| t.scheduler.interval.as_secs().to_string()),
    number("WATCH_INTERVAL", (Times, Seconds, 60.0), Newer,
        |t, r, n| r.set(&mut t.scheduler.watch, n, values::every), |t| t.scheduler.watch.map_or(0, |every| every.as_secs()).to_string()),
    text("BALANCE_WINDOW", Times, Shorter,
        |t, r, n| t.scheduler.windows = r.value(n, Windows::default(), values::windows), |t| t.scheduler.windows.to_string()),
    choice("BALANCE_STRATEGY", Moves, &["relieve", "level"],
        |t, r, n| r.set(&mut policy(t).strategy, n, values::strategy), |t| strategy(t.balancer.policy.strategy)),
    number("MAX_MIGRATIONS_PER_CYCLE", (Moves, Unit::None, 1.0), Less,
        |t, r, n| r.set(&mut policy(t).migrations_max, n, values::whole(0)), |t| t.balancer.policy.migrations_max.to_string()),
    number("MAX_PARALLEL_MIGRATIONS", (Moves, Unit::None, 1.0), Less,
        |t, r, n| r.set(&mut policy(t).parallel_max, n, values::whole(1)), |t| t.balancer.policy.parallel_max.to_string()),
    number("MIGRATION_TIMEOUT", (Times, Seconds, MINUTES), Newer,
        |t, r, n| r.set(&mut t.balancer.execution.slow_after, n, values::seconds(1)), |t| t.balancer.execution.slow_after.as_secs().to_string()),
    number("MIGRATION_COOLDOWN", (Times, Seconds, HOUR), More,
        |t, r, n| r.set(&mut t.balancer.migration_cooldown, n, values::time(0)), |t| seconds(t.balancer.migration_cooldown)),
    number("FAILURE_COOLDOWN", (Times, Seconds, HOUR), More,
        |t, r, n| r.set(&mut t.balancer.failure_cooldown, n, values::time(0)), |t| seconds(t.balancer.failure_cooldown)),
    number("CPU_OVERLOAD_THRESHOLD", (Thresholds, PerCore, 0.5), More,
        |t, r, n| r.set(&mut policy(t).cpu.overload, n, values::per_core), |t| t.balancer.policy.cpu.overload.to_string()),
    number("CPU_TARGET_THRESHOLD", (Thresholds, PerCore, 0.5), Less,
        |t, r, n| r.set(&mut policy(t).cpu.target, n, values::per_core), |t| t.balancer.policy.cpu.target.to_string()),
    number("LOAD_OVERLOAD_THRESHOLD", (Thresholds, PerCore, 0.1), More,
        |t, r, n| r.set(&mut policy(t).load.overload, n, values::per_core), |t| t.balancer.policy.load.overload.to_string()),
    number("LOAD_TARGET_THRESHOLD", (Thresholds, PerCore, 0.1), Less,
        |t, r, n| r.set(&mut policy(t).load.target, n, values::per_core), |t| t.balancer.policy.load.target.to_string()),
    number("MEMORY_OVERLOAD_THRESHOLD", (Thresholds, Percent, 5.0), More,
        |t, r, n| r.set(&mut policy(t).memory.overload, n, values::memory_percent), |t| t.balancer.policy.memory.overload.to_string()),
    number("MEMORY_TARGET_THRESHOLD", (Thresholds, Percent, 5.0), Less,
        |t, r, n| r.set(&mut policy(t).memory.target, n, values::memory_percent), |t| t.balancer.policy.memory.target.to_string()),
    Tunable { name: "RELIEF_MARGIN", group: Thresholds, unit: Unit::None, kind: Kind::Typed, stricter: Newer,
        read: |t, r, n| r.set(&mut policy(t).relief_margin, n, values::margin),
        show: |t| { let Margin { memory, load } = t.balancer.policy.relief_margin; format!("{memory},{load}") } },
    choice("SOFT_TARGETS", Thresholds, NO_YES,
        |t, r, n| r.set(&mut policy(t).soft_targets, n, values::boolean), |t| t.balancer.policy.soft_targets.to_string()),
    number("RELIEF_WORTH", (Thresholds, Unit::None, 0.001), More,
        |t, r, n| r.set(&mut policy(t).relief_worth, n, values::worth), |t| t.balancer.policy.relief_worth.to_string()),
    number("RELIEF_AHEAD", (Thresholds, Percent, 1.0), Less,
        |t, r, n| r.set(&mut policy(t).relief_ahead, n, values::reserve_percent), |t| t.balancer.policy.relief_ahead.to_string()),
    text("EXCLUDE_SOURCE_NODES", Places, Both(","),
        |t, r, n| exclude(t, r, n, Direction::Source), |t| join_exclusions(t, Direction::Source)),
    text("EXCLUDE_TARGET_NODES", Places, Both(","),
        |t, r, n| exclude(t, r, n, Direction::Target), |t| join_exclusions(t, Direction::Target)),
    number("NODE_MEMORY_RESERVE", (Thresholds, Percent, 5.0), More,
        |t, r, n| r.set(&mut policy(t).memory_reserve_percent, n, values::reserve_percent), |t| t.balancer.policy.memory_reserve_percent.to_string()),
    choice("RESPECT_BALANCER_MODE", Places, YES_NO,
        |t, r, n| r.set(&mut policy(t).respect_balancer_mode, n, values::boolean), |t| t.balancer.policy.respect_balancer_mode.to_string()),
    choice("MIGRATE_TO_NEWER_KERNEL", Moves, LENIENCE,
        |t, r, n| r.set(&mut policy(t).newer_kernel, n, values::lenience), |t| lenience(t.balancer.policy.newer_kernel)),
    choice("MIGRATE_HOST_PASSTHROUGH", Moves, LENIENCE,
        |t, r, n| r.set(&mut policy(t).host_passthrough, n, values::lenience), |t| lenience(t.balancer.policy.host_passthrough)),
    text("ANTI_AFFINITY", Places, Both(";"),
        |t, r, n| policy(t).anti_affinity = r.value(n, Vec::new(), values::anti_affinity), |t| groups(&t.balancer.policy.anti_affinity)),
    text("PIN_VMS", Places, Both(","),
        |t, r, n| policy(t).pinned = r.value(n, Vec::new(), values::selectors), |t| join_selectors(t.balancer.policy.pinned.iter())),
    number("PROPOSAL_TTL", (Times, Seconds, MINUTES), Less,
        |t, r, n| r.set(&mut t.balancer.proposal_ttl, n, values::time(1)), |t| seconds(t.balancer.proposal_ttl)),
    number("HISTORY_DAYS", (Times, Days, 30.0), More,
        |t, r, n| r.set(&mut t.history_kept, n, values::days_kept), |t| t.history_kept.num_days().to_string()),
    number("ALERT_REMIND", (Chat, Seconds, MINUTES), Newer,
        |t, r, n| r.set(&mut t.habits.bell.remind_after, n, values::after), |t| t.habits.bell.remind_after.map_or_else(|| "0".into(), seconds)),
    text("QUIET_HOURS", Chat, Newer,
        |t, r, n| t.habits.bell.quiet = r.optional(n, values::windows).filter(|hours| *hours != Windows::default()),
        |t| t.habits.bell.quiet.as_ref().map(ToString::to_string).unwrap_or_default()),
    text("DIGEST", Chat, Newer,
        |t, r, n| t.habits.digest = r.optional(n, values::time_of_day), |t| t.habits.digest.map(|at| at.format("%H:%M").to_string()).unwrap_or_default()),
    choice("BOARD", Chat, NO_YES,
        |t, r, n| r.set(&mut t.habits.board, n, values::boolean), |t| t.habits.board.to_string()),
];

fn policy(tuned: &mut Tuned) -> &mut Policy {
    &mut tuned.balancer.policy
}

fn seconds(time: TimeDelta) -> String {
    time.num_seconds().to_string()
}

fn strategy(strategy: Strategy) -> String {
    match strategy {
        Strategy::Relieve => "relieve".into(),
        Strategy::Level => "level".into(),
    }
}

fn lenience(lenience: Lenience) -> String {
    match lenience {
        Lenience::Avoid => "avoid".into(),
        Lenience::Forbid => "forbid".into(),
        Lenience::Allow => "allow".into(),
    }
}

fn join_selectors<'a>(selectors: impl Iterator<Item = &'a Selector>) -> String {
    selectors.map(|selector| selector.0.as_str()).collect::<Vec<_>>().join(",")
}

fn groups(groups: &[AntiAffinity]) -> String {
    groups.iter().map(|group| group.0.join(",")).collect::<Vec<_>>().join(";")
}

fn is_of(exclusion: &Exclusion, direction: Direction) -> bool {
    exclusion.why == ExclusionWhy::Configured && exclusion.direction == direction
}

fn exclude(tuned: &mut Tuned, reader: &mut Reader<'_>, name: &'static str, direction: Direction) {
    let nodes = reader.value(name, Vec::new(), values::selectors).into_iter();
    let exclusions = &mut policy(tuned).exclusions;
    exclusions.retain(|known| !is_of(known, direction));
    exclusions.extend(nodes.map(|node| Exclusion {
        node,
        direction,
        until: None,
        why: ExclusionWhy::Configured,
    }));
}

fn join_exclusions(tuned: &Tuned, direction: Direction) -> String {
    let exclusions = tuned.balancer.policy.exclusions.iter();
    join_selectors(
        exclusions.filter(|exclusion| is_of(exclusion, direction)).map(|exclusion| &exclusion.node),
    )
}

/// Names what works and is hardly meant so.
pub(super) fn warnings(policy: &Policy) -> impl Iterator<Item = SettingWarning> {
    let target_over = |resource: Threshold, target, overload| {
        (resource.target > resource.overload)
            .then_some(SettingWarning::TargetOverOverload { target, overload })
    };
    // The memory target is above the overload threshold by default, so it says nothing about a mistake.
    [
        target_over(policy.cpu, "CPU_TARGET_THRESHOLD", "CPU_OVERLOAD_THRESHOLD"),
        target_over(policy.load, "LOAD_TARGET_THRESHOLD", "LOAD_OVERLOAD_THRESHOLD"),
        (policy.migrations_max == 0).then_some(SettingWarning::NothingIsMoved),
    ]
    .into_iter()
    .flatten()
}

/// Tells whether a warning is about this setting.
fn is_about(warning: &SettingWarning, name: &str) -> bool {
    match warning {
        SettingWarning::TargetOverOverload { target, overload } => *target == name || *overload == name,
        SettingWarning::NothingIsMoved => name == "MAX_MIGRATIONS_PER_CYCLE",
    }
}

/// What was given for each variable that is no secret, and where.
#[derive(Clone, Default)]
pub struct Given(BTreeMap<&'static str, Source>);

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Given")
    }
}

impl Given {
    /// Notes where each value comes from.
    pub(super) fn new(source: impl Fn(&'static str) -> Source) -> Self {
        Self(TUNABLES.iter().map(|tunable| (tunable.name, source(tunable.name))).collect())
    }

    fn source(&self, name: &str) -> SettingSource {
        match self.0.get(name) {
            Some(Source::CommandLine) => SettingSource::CommandLine,
            Some(Source::Environment) => SettingSource::Environment,
            Some(Source::File) => SettingSource::File,
            Some(Source::Default) | None => SettingSource::Default,
        }
    }
}

impl Tuned {
    /// Computes what follows from other settings.
    pub(super) fn derive(mut self) -> Self {
        let interval = TimeDelta::from_std(self.scheduler.interval * 2);
        self.balancer.policy.measurement_max_age = interval.unwrap_or(TimeDelta::MAX);
        self.habits.bell.timezone = self.scheduler.timezone;
        self
    }

    /// Puts what the chat has set over what was configured. What cannot be used any more is left out and returned.
    #[must_use]
    pub(crate) fn with(&self, set: &BTreeMap<String, SetByChat>) -> (Self, Vec<Problem>) {
        let (mut tuned, mut problems) = (self.clone(), Vec::new());
        for (tunable, set) in TUNABLES.iter().filter_map(|tunable| Some((tunable, set.get(tunable.name)?))) {
            if let Some(text) = self.strictest(tunable, set) {
                problems.extend(tunable.put(&mut tuned, &text));
            }
        }
        (if set.is_empty() { tuned } else { tuned.derive() }, problems)
    }

    /// Takes each setting that can change while the bot runs from another configuration, and leaves all else as it is.
    #[must_use]
    pub(crate) fn with_tunables_of(&self, read: &Self) -> Self {
        let mut tuned = self.clone();
        for tunable in TUNABLES {
            let problem = tunable.put(&mut tuned, &(tunable.show)(read));
            debug_assert!(problem.is_none(), "what is shown is read again: {problem:?}");
        }
        tuned.derive()
    }

    /// Tells whether a variable can change while the bot runs.
    #[must_use]
    pub(crate) fn holds(name: &str) -> bool {
        TUNABLES.iter().any(|tunable| tunable.name == name)
    }

    /// Returns every setting as it is in force, with what the chat has set.
    #[must_use]
    pub(crate) fn settings(&self, given: &Given, set: &BTreeMap<String, SetByChat>) -> Vec<Setting> {
        let (in_force, _) = self.with(set);
        let setting = |tunable: &Tunable| Setting {
            name: tunable.name,
            group: tunable.group,
            unit: tunable.unit,
            kind: tunable.kind,
            value: (tunable.show)(&in_force),
            source: match set.get(tunable.name).filter(|set| self.strictest(tunable, set).is_some()) {
                Some(SetByChat { by, at, .. }) => SettingSource::Chat { by: by.clone(), at: *at },
                None => given.source(tunable.name),
            },
            configured: (tunable.show)(self),
            warning: warnings(&in_force.balancer.policy).find(|warning| is_about(warning, tunable.name)),
        };
        TUNABLES.iter().map(setting).collect()
    }

    /// Checks a value as the file's would be, and returns the setting's name as it is written.
    pub(crate) fn judge(&self, name: &str, value: Option<&str>) -> Result<&'static str, Unsettable> {
        let wanted = name.to_ascii_uppercase();
        let Some(tunable) = TUNABLES.iter().find(|tunable| tunable.name == wanted) else {
            return Err(why_not(wanted));
        };
        let problem = value.and_then(|value| tunable.put(&mut self.clone(), value));
        match problem {
            Some(Problem { name, found, expected: Expected::Value(expected) }) => {
                Err(Unsettable::Value { name: name.to_owned(), found, expected })
            }
            // No parser of the table words it itself; a test tries each.
            Some(Problem { name, found, expected: Expected::Text(_) }) => {
                let expected = ExpectedValue::Something;
                Err(Unsettable::Value { name: name.to_owned(), found, expected })
            }
            None => Ok(tunable.name),
        }
    }

    /// Returns the value that counts: the chat's, and after a restore the one that lets the least happen. `None` where
    /// that is what was configured.
    fn strictest(&self, tunable: &Tunable, set: &SetByChat) -> Option<String> {
        let all: BTreeSet<Option<String>> = set.or.iter().cloned().chain([Some(set.value.clone())]).collect();
        let shown = |candidate: &Option<String>| {
            let mut tuned = self.clone();
            let broken = candidate.as_ref().and_then(|text| tunable.put(&mut tuned, text));
            broken.is_none().then(|| (tunable.show)(&tuned))
        };
        let ranked = || all.iter().filter_map(|candidate| Some((candidate, shown(candidate)?)));
        let by = |rank: fn(&Tunable, &str) -> f64| {
            let least =
                ranked().min_by(|(_, one), (_, other)| rank(tunable, one).total_cmp(&rank(tunable, other)));
            least.map_or_else(|| Some(set.value.clone()), |(candidate, _)| candidate.clone())
        };
        match tunable.stricter {
            _ if set.or.is_empty() => Some(set.value.clone()),
            Stricter::Newer => Some(set.value.clone()),
            Stricter::Less => by(|_, text| text.parse::<f64>().unwrap_or(f64::MAX)),
            Stricter::More => by(|_, text| -text.parse::<f64>().unwrap_or(f64::MIN)),
            Stricter::First => by(|tunable, text| match tunable.kind {
                Kind::Choice(all) => all.iter().position(|word| *word == text).unwrap_or(all.len()) as f64,
                Kind::Number { .. } | Kind::Typed | Kind::Text => f64::MAX,
            }),
            Stricter::Shorter => {
                by(|_, text| text.parse::<Windows>().map_or(f64::MAX, |windows| open_share(&windows)))
            }
            Stricter::Both(separator) => {
                let texts = ranked().map(|(_, text)| text);
                let items =
                    texts.flat_map(|text| text.split(separator).map(str::to_owned).collect::<Vec<_>>());
                let items: BTreeSet<_> = items.filter(|item| !item.trim().is_empty()).collect();
                Some(items.into_iter().collect::<Vec<_>>().join(separator))
            }
        }
    }
}

impl Tunable {
    /// Reads a text into the settings; returns what is wrong with it.
    fn put(&self, tuned: &mut Tuned, text: &str) -> Option<Problem> {
        let lookup = |name: &str| (name == self.name).then(|| text.to_owned());
        let mut reader = Reader::new(&lookup);
        if text.trim().is_empty() && self.kind != Kind::Text {
            reader.missing(self.name, ExpectedValue::Something);
        }
        (self.read)(tuned, &mut reader, self.name);
        reader.into_problems().into_iter().next()
    }
}

/// Returns for how many minutes of a week windows are open.
fn open_share(windows: &Windows) -> f64 {
    // Any week will do.
    let start = NaiveDate::default().and_time(NaiveTime::MIN);
    let is_open = |minute: &i64| windows.is_open(start + TimeDelta::minutes(*minute));
    (0..MINUTES_OF_A_WEEK).filter(is_open).count() as f64
}

const MINUTES_OF_A_WEEK: i64 = 7 * 24 * 60;

/// The commands that change what the table does not have.
const COMMANDS: [(&str, &str); 4] = [
    ("BALANCE_MODE", "/mode"),
    ("DRY_RUN", "/dryrun"),
    ("AUTOPILOT", "/autopilot"),
    ("VM_BALANCER_LANG", "/lang"),
];

/// Says why a name cannot be set.
fn why_not(name: String) -> Unsettable {
    if let Some((_, command)) = COMMANDS.iter().find(|(known, _)| *known == name) {
        return Unsettable::ByCommand { name, command: (*command).into() };
    }
    match variables::find(&name) {
        Some(variable) if variable.secret => Unsettable::Secret { name },
        Some(_) => Unsettable::AtStart { name },
        None => {
            let names = VARIABLES.iter().map(|variable| (variable.name, variable.name));
            let similar = closest(&name, names).map(str::to_owned);
            Unsettable::Unknown { name, similar }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::model::Person;

    #[test]
    fn what_is_shown_is_read_again_as_the_same() {
        let mut tuned = Tuned::default();
        let texts = [
            ("BALANCE_WINDOW", "Mon-Fri 01:00-05:00"),
            ("EXCLUDE_SOURCE_NODES", "kvm-1?,old-*"),
            ("ANTI_AFFINITY", "db-*,web-?;mail-*"),
            ("PIN_VMS", "1000,web-*"),
            ("QUIET_HOURS", "23:00-08:00"),
            ("DIGEST", "09:00"),
            ("MEMORY_OVERLOAD_THRESHOLD", "72.5"),
        ];
        for (name, text) in texts {
            assert_eq!(find(name).put(&mut tuned, text), None, "{name}");
        }
        for tunable in TUNABLES {
            let shown = (tunable.show)(&tuned);
            assert_eq!(tunable.put(&mut tuned, &shown), None, "{}", tunable.name);
            assert_eq!((tunable.show)(&tuned), shown, "{}", tunable.name);
        }
        assert!(
            (find("PIN_VMS").show)(&tuned) == "1000,web-*" && find("PIN_VMS").put(&mut tuned, "").is_none()
        );
        assert_eq!((find("PIN_VMS").show)(&tuned), "");
    }

    #[test]
    fn every_choice_is_a_value_and_every_default_is_among_them() {
        for tunable in TUNABLES {
            let Kind::Choice(all) = tunable.kind else { continue };
            for word in all {
                assert_eq!(tunable.put(&mut Tuned::default(), word), None, "{word}");
            }
            assert!(all.contains(&(tunable.show)(&Tuned::default()).as_str()), "{}", tunable.name);
        }
    }

    #[test]
    fn every_setting_is_a_variable_that_is_no_secret() {
        for tunable in TUNABLES {
            assert!(!variables::find(tunable.name).unwrap().secret, "{}", tunable.name);
        }
    }

    #[test]
    fn a_value_is_checked_as_the_files() {
        let judge = |name, value| Tuned::default().judge(name, value);
        assert_eq!(judge("memory_overload_threshold", Some("75")), Ok("MEMORY_OVERLOAD_THRESHOLD"));
        assert_eq!(judge("PIN_VMS", Some("")), Ok("PIN_VMS"));
        assert_eq!(judge("BALANCE_INTERVAL", None), Ok("BALANCE_INTERVAL"));
        let refused = [
            ("BALANCE_INTERVAL", "0"),
            ("BALANCE_INTERVAL", ""),
            ("MEMORY_OVERLOAD_THRESHOLD", "seventy"),
            ("BALANCE_MODE", "auto"),
            ("VMMANAGER_PASSWORD", "deep"),
            ("TIMEZONE", "UTC"),
            ("TELEGRAM_APPROVALS", "1"),
            ("MEMORY_OVERLOD_THRESHOLD", "70"),
            ("XYZZY", "1"),
        ];
        let said = refused.map(|(name, value)| format!("{:?}", judge(name, Some(value)).unwrap_err()));
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn what_a_value_must_be_is_known_of_every_setting() {
        for tunable in TUNABLES {
            for nonsense in ["", "no such value", "-1", "99999999999"] {
                let Some(problem) = tunable.put(&mut Tuned::default(), nonsense) else { continue };
                assert!(matches!(problem.expected, Expected::Value(_)), "{problem}");
            }
        }
    }

    #[test]
    fn after_a_restore_the_value_counts_that_lets_the_least_happen() {
        let file = Tuned::default();
        let value = |name: &str, value: &str, or: &[Option<&str>]| {
            let or = or.iter().map(|text| text.map(str::to_owned)).collect();
            let by = Person { id: 1, name: "Anna".into() };
            let set = SetByChat { value: value.into(), by, at: DateTime::<Utc>::UNIX_EPOCH, or };
            let (tuned, problems) = file.with(&[(name.to_owned(), set)].into());
            assert_eq!(problems, []);
            (find(name).show)(&tuned)
        };
        assert_eq!(value("MAX_MIGRATIONS_PER_CYCLE", "20", &[]), "20");
        assert_eq!(value("MAX_MIGRATIONS_PER_CYCLE", "20", &[Some("3")]), "3");
        assert_eq!(value("MAX_MIGRATIONS_PER_CYCLE", "20", &[None]), "10", "the configuration's");
        assert_eq!(value("MEMORY_OVERLOAD_THRESHOLD", "60", &[Some("80"), None]), "80");
        assert_eq!(value("MIGRATE_TO_NEWER_KERNEL", "allow", &[Some("forbid")]), "forbid");
        assert_eq!(value("PIN_VMS", "a,b", &[Some("b,c"), None]), "a,b,c");
        assert_eq!(
            value("BALANCE_WINDOW", "22:00-06:00", &[Some("Sat 01:00-02:00"), None]),
            "Sat 01:00-02:00"
        );
        assert_eq!(value("BOARD", "true", &[None]), "false");
        assert_eq!(value("DIGEST", "09:00", &[Some("10:00")]), "09:00");
        assert_eq!(
            value("MAX_PARALLEL_MIGRATIONS", "5", &[Some("many")]),
            "5",
            "what cannot be read is none"
        );
    }

    #[test]
    fn a_value_that_is_hardly_meant_so_has_a_warning() {
        let by = Person { id: 1, name: "Anna".into() };
        let set = SetByChat { value: "8".into(), by, at: DateTime::<Utc>::UNIX_EPOCH, or: BTreeSet::new() };
        let settings =
            Tuned::default().settings(&Given::default(), &[("CPU_TARGET_THRESHOLD".to_owned(), set)].into());
        let warned = settings.iter().filter(|it| it.warning.is_some()).map(|it| it.name);
        assert_eq!(warned.collect::<Vec<_>>(), ["CPU_OVERLOAD_THRESHOLD", "CPU_TARGET_THRESHOLD"]);
    }

    #[test]
    fn what_follows_from_a_setting_follows_the_chats_value_too() {
        let by = Person { id: 1, name: "Anna".into() };
        let at = DateTime::<Utc>::UNIX_EPOCH;
        let set = |value: &str| SetByChat { value: value.into(), by: by.clone(), at, or: BTreeSet::new() };
        let (tuned, _) = Tuned::default().with(&[("BALANCE_INTERVAL".to_owned(), set("60"))].into());
        assert_eq!(tuned.balancer.policy.measurement_max_age, TimeDelta::minutes(2));
        let (tuned, problems) =
            Tuned::default().with(&[("BALANCE_INTERVAL".to_owned(), set("often"))].into());
        assert_eq!(
            (tuned.scheduler.interval.as_secs(), problems.len()),
            (600, 1),
            "an old value is left out"
        );
    }

    fn find(name: &str) -> &'static Tunable {
        TUNABLES.iter().find(|tunable| tunable.name == name).unwrap()
    }
}
