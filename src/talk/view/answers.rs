//! Short answers that belong to no single command: roles, refusals, presses.

use chrono::{DateTime, Utc};

use super::{ALERT_CHARS_MAX, Page, View, plain};
use crate::{
    model::{Person, ProposalId},
    planner::ClusterPlan,
    scheduler::{Approved, Balanced, Changed, Refused},
    talk::{
        access::{self, Role, Stranger},
        grammar::Problem,
        verb::Verb,
        verbs,
        words::{
            Arg, args,
            format::{clip, code, name, some_of, words},
        },
    },
};

impl View {
    /// One line about a command, also for Telegram's menu.
    pub(in crate::talk) fn about(&self, verb: &Verb) -> String {
        self.say(&format!("help-{}", verb.word), args![])
    }

    pub(in crate::talk) fn role(&self, role: Role) -> String {
        let key = match role {
            Role::Viewer => "role-viewer",
            Role::Operator => "role-operator",
            Role::Admin => "role-admin",
        };
        self.say(key, args![])
    }

    /// Returns why somebody without a role gets nothing, with the id to allow.
    #[must_use]
    pub fn stranger(&self, stranger: &Stranger) -> Page {
        self.page(vec![self.stranger_line(stranger)])
    }

    /// The same as the answer to a press.
    #[must_use]
    pub fn stranger_alert(&self, stranger: &Stranger) -> String {
        alert(&self.stranger_line(stranger))
    }

    fn stranger_line(&self, stranger: &Stranger) -> String {
        let id = |id: i64| Arg::Html(code(&id.to_string()));
        match stranger {
            Stranger::AnonymousAdmin => {
                self.say("stranger-anonymous", args![id = id(access::ANONYMOUS_ADMIN)])
            }
            Stranger::Channel(channel) => self.say("stranger-channel", args![id = id(*channel)]),
            Stranger::NotListed(person) => self.say("stranger-not-listed", args![id = id(*person)]),
            Stranger::OtherChat { chat, person } => {
                self.say("stranger-other-chat", args![id = id(*person), chat = id(*chat)])
            }
        }
    }

    /// Returns that a role does not suffice, as the answer to a press.
    #[must_use]
    pub fn needs_role_alert(&self, needed: Role, have: Role, admins_known: bool) -> String {
        alert(&self.needs_role(needed, have, admins_known))
    }

    /// Returns that a role does not suffice, as one line.
    #[must_use]
    pub fn needs_role(&self, needed: Role, have: Role, admins_known: bool) -> String {
        let line = self.say(
            "needs-role",
            args![needed = Arg::Html(self.role(needed)), have = Arg::Html(self.role(have))],
        );
        if admins_known { line } else { format!("{line} {}", self.say("admins-unknown", args![])) }
    }

    /// Returns that a command lay too long before it was read.
    #[must_use]
    pub fn too_old(&self, said: &str, at: DateTime<Utc>, now: DateTime<Utc>) -> Page {
        let first = words(said.split_whitespace().next().unwrap_or_default());
        self.page(vec![self.say("too-old", args![command = first, at = self.time(at, now)])])
    }

    /// Returns that a command is not known.
    pub(in crate::talk) fn unknown_command(&self, typed: &str, similar: Option<&Verb>) -> Page {
        let sorry = self.say("unknown-command", args![typed = words(typed)]);
        let first = self.with_suggestion(sorry, similar.map(|verb| verb.usage));
        self.page(vec![first, self.say("see-help", args![])])
    }

    /// Returns that plain text is nothing to the bot.
    #[must_use]
    pub fn not_a_command(&self) -> Page {
        self.page(vec![self.say("see-help", args![])])
    }

    /// Returns what is wrong with a command, and how it is written.
    pub(in crate::talk) fn malformed_command(&self, verb: &Verb, problem: &Problem) -> Page {
        let mut lines = vec![self.problem(problem)];
        lines.push(self.say("usage", args![usage = Arg::Html(code(verb.usage))]));
        self.page(lines)
    }

    /// Returns what somebody changed elsewhere, for the chat for reports. An answer in another language than theirs is
    /// not readable there: the command and the buttons say it.
    pub(in crate::talk) fn report_elsewhere(
        &self,
        by: &Person,
        text: &str,
        answer: &Page,
        is_readable: bool,
    ) -> Page {
        let who = format!("{} ({})", name(&by.name), by.id);
        let head = self.say("reported", args![who = who, said = Arg::Html(code(&words(text)))]);
        let words = Some(answer.html()).filter(|_| is_readable);
        let page = self.page(std::iter::once(head).chain(words).collect());
        Page { buttons: answer.buttons.clone(), ..page }
    }

    /// Returns one line as a message.
    #[must_use]
    pub fn line(&self, html: String) -> Page {
        self.page(vec![html])
    }

    /// Returns why a request was refused, as the answer to a press.
    #[must_use]
    pub fn refusal_alert(&self, refused: &Refused) -> String {
        alert(&self.refusal(refused))
    }

    /// Returns in a line that a cluster needs nothing, or that nothing helps.
    pub(in crate::talk) fn nothing_to_do(&self, plan: &ClusterPlan) -> String {
        if let Some(hold) = plan.hold() {
            let why = Arg::Html(self.hold(&hold));
            return self.say("held-cluster", args![cluster = name(&plan.name), why = why]);
        }
        self.say("nothing-to-do", args![cluster = name(&plan.name), over = plan.overloaded.len()])
    }

    /// Returns what a press of Refresh led to.
    #[must_use]
    pub fn refresh_answer(&self, balanced: &Balanced) -> String {
        alert(&match balanced {
            Balanced::Proposed(id) => self.say("press-refreshed", args![plan = id.to_string()]),
            Balanced::NothingToDo(plan) => self.nothing_to_do(plan),
        })
    }

    /// Returns what a press of Approve led to.
    #[must_use]
    pub fn approval_answer(&self, approved: &Approved, now: DateTime<Utc>) -> String {
        alert(&match approved {
            Approved::Started => self.say("press-approved", args![]),
            Approved::Later(begin) => {
                self.say("press-approved-later", args![at = self.time(begin.at(), now)])
            }
            Approved::Counted { have, need } => self.say("press-counted", args![have = *have, need = *need]),
        })
    }

    /// Returns what the word that a node is back led to.
    pub(in crate::talk) fn evened_out(&self, balanced: &Balanced) -> String {
        alert(&match balanced {
            Balanced::Proposed(id) => self.say("press-even-out", args![plan = id.to_string()]),
            Balanced::NothingToDo(plan) => self.nothing_to_do(plan),
        })
    }

    /// Returns what a press of Undo led to.
    pub(in crate::talk) fn undo_proposed(&self, id: ProposalId) -> String {
        alert(&self.say("press-undo", args![plan = id.to_string()]))
    }

    /// Returns what a press of Reject led to.
    pub(in crate::talk) fn rejection_answer(&self) -> String {
        alert(&self.say("press-rejected", args![]))
    }

    /// Returns what a press under an alert led to.
    pub(in crate::talk) fn hand_noted(&self) -> String {
        alert(&self.say("press-hand", args![]))
    }

    /// Returns that a press came too late for what it was about.
    #[must_use]
    pub fn stale_press(&self, stale: StalePress) -> String {
        let key = match stale {
            StalePress::Unknown => "press-unknown",
            StalePress::Changed => "press-changed",
            StalePress::ChangedJustNow => "press-changed-just-now",
        };
        alert(&self.say(key, args![]))
    }

    /// Returns that the answer takes a while.
    #[must_use]
    pub fn press_taken(&self) -> String {
        alert(&self.say("press-taken", args![]))
    }

    /// Returns that nothing was done, for it could not have been recorded.
    #[must_use]
    pub fn press_unrecorded(&self) -> String {
        alert(&self.say("press-unrecorded", args![]))
    }

    /// Returns that the answer takes a while, and whether that is for a look at the platform.
    #[must_use]
    pub fn announced(&self, is_look: bool) -> Page {
        let said = match is_look {
            true => self.say("looking", args![]),
            false => self.say("one-moment", args![]),
        };
        self.page(vec![said])
    }

    /// Adds to an answer that waited its turn of when it is.
    #[must_use]
    pub fn date_answer(&self, mut page: Page, at: DateTime<Utc>, now: DateTime<Utc>) -> Page {
        page.lines.push(self.say("answer-late", args![at = self.time(at, now)]));
        page
    }

    /// Returns that Telegram did not take a file.
    #[must_use]
    pub fn file_refused(&self) -> Page {
        self.line(self.say("file-refused", args![]))
    }

    /// Returns that something of ours broke.
    #[must_use]
    pub fn broke(&self) -> Page {
        self.page(vec![self.say("broke", args![])])
    }

    /// Returns what a setting is now, and whether it was so before.
    pub(in crate::talk) fn change_answer(&self, changed: &Changed, line: String) -> Page {
        self.line(self.change(changed, line))
    }

    /// The same as one line of several.
    pub(in crate::talk) fn change(&self, changed: &Changed, line: String) -> String {
        match changed {
            Changed::Already => self.say("setting-already", args![said = Arg::Html(line)]),
            Changed::Done | Changed::Nodes(_) | Changed::Vms(_) | Changed::Setting { .. } => line,
        }
    }

    /// Returns the names of nodes; where there are none, what somebody asked for.
    pub(in crate::talk) fn nodes(&self, named: &[&str], asked: &str) -> String {
        match named {
            [] => code(&name(asked)),
            named => some_of(named.iter().map(|it| code(&name(it)))),
        }
    }

    /// Returns that reports were too many to be kept while Telegram was away.
    #[must_use]
    pub fn reports_missing(&self, quiet: u64, troubled: u64) -> Page {
        self.page(vec![self.say("reports-missing", args![quiet = quiet, troubled = troubled])])
    }

    /// Telegram's menu for a role: each command with a line about it, in Telegram's limits.
    #[must_use]
    pub fn menu(&self, role: Role) -> Vec<(&'static str, String)> {
        /// What a description may have at most.
        const DESCRIPTION_CHARS_MAX: usize = 256;
        let about = |verb| clip(&plain(&self.about(verb)), DESCRIPTION_CHARS_MAX);
        let may = verbs::ALL.into_iter().filter(|verb| verb.least_role <= role);
        may.map(|verb| (verb.word, about(verb))).collect()
    }

    fn problem(&self, problem: &Problem) -> String {
        match problem {
            Problem::Missing => self.say("problem-missing", args![]),
            Problem::TooMuch(word) => self.say("problem-too-much", args![word = words(word)]),
            Problem::NotOneOf { found, expected, similar } => {
                let expected = expected.join(", ");
                let sorry = self.say("problem-not-one-of", args![found = words(found), expected = expected]);
                self.with_suggestion(sorry, *similar)
            }
            Problem::NotATime(word) => self.say("problem-not-a-time", args![word = words(word)]),
            Problem::NotASize(word) => self.say("problem-not-a-size", args![word = words(word)]),
            Problem::NotANumber(word) => self.say("problem-not-a-number", args![word = words(word)]),
            Problem::NotATimeOfDay(word) => self.say("problem-not-a-time-of-day", args![word = words(word)]),
            Problem::OpenQuote => self.say("problem-open-quote", args![]),
            Problem::NoSuchCommand { found, similar } => {
                let sorry = self.say("unknown-command", args![typed = words(found)]);
                self.with_suggestion(sorry, *similar)
            }
        }
    }

    fn with_suggestion(&self, sorry: String, similar: Option<&str>) -> String {
        match similar {
            Some(similar) => format!("{sorry} {}", self.say("did-you-mean", args![similar = similar])),
            None => sorry,
        }
    }
}

/// Why a press means nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StalePress {
    /// Not ours, or the record is gone.
    Unknown,
    /// The plan was changed since that text was shown.
    Changed,
    /// The plan changed a moment ago, and somebody may have read another.
    ChangedJustNow,
}

/// Telegram shows an answer to a press as plain text.
fn alert(html: &str) -> String {
    clip(&plain(html), ALERT_CHARS_MAX)
}
