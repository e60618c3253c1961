//! What a message or a press leads to: a state machine over data, without a runtime.
//!
//! [`handle`] looks at what came in and says what to do; where the scheduler must be asked, [`answered`] goes on
//! with its answer. The states themselves live in the store: a press names a record there, and is believed in
//! nothing else.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    access::{self, ChatAdmins, Lists, Place, Role, Sender},
    command::{self, Command, HistoryOf, Parsed},
    press::{self, Choice, Press},
    view::{Found, HistoryPage, Opening, Page, Setting, StalePress, View, find_cluster, find_node, find_vm},
    words::escape,
};
use crate::{
    model::{ClusterId, Person, ProposalId, VmId},
    planner,
    scheduler::{Approved, Balanced, Change, Changed, Picture, Refused, Status},
    store::{Proposal, ProposalState},
};

/// Telegram keeps messages for a day: what was meant last night must not happen this morning.
pub const COMMAND_AGE_MAX: TimeDelta = TimeDelta::minutes(10);

/// Something that came from a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    pub place: Place,
    pub thread: Option<i32>,
    /// What was written, or what carries the button.
    pub message: i32,
    pub sender: Sender,
    pub what: What,
}

/// A message or a press.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Text { text: String, at: DateTime<Utc> },
    Press { query: String, data: String },
}

/// All that a decision rests on besides what came in.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    pub view: View,
    /// The bot's user name without `@`.
    pub bot: &'a str,
    pub lists: &'a Lists,
    pub chat_admins: &'a ChatAdmins,
    pub dry_run: bool,
    /// Whether this person was not told within the last hour that there is nothing for strangers here.
    pub stranger_answer_due: bool,
    /// What the store has for the proposal that a press names.
    pub proposal: Option<&'a Proposal>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A message that answers.
    Reply(Page),
    /// The message that carries the button, anew.
    Rewrite(Page),
    AnswerPress(PressAnswer),
    Ask(Question),
    Audit {
        what: &'static str,
        detail: String,
    },
    /// This person was told that there is nothing for strangers here.
    StrangerAnswered,
}

/// What somebody who pressed sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PressAnswer {
    /// The button merely stops turning.
    Silent,
    /// A line that goes away by itself.
    Passing(String),
    /// A window that must be closed: something was not done.
    Window(String),
}

/// What the scheduler or the store is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    Status { cluster: Option<String> },
    StatusOf { cluster: Option<ClusterId> },
    Node { name: String },
    Vm { name: String },
    Running,
    Exclusions,
    DryRun,
    Mode,
    History { skip: usize, count: usize, of: Option<String> },
    Balance { cluster: Option<String> },
    Cancel,
    Approve(ProposalId),
    Reject(ProposalId),
    Refresh(ProposalId),
    LeaveOut(ProposalId, VmId),
    Change(Change),
}

/// What the scheduler or the store answered.
#[derive(Clone, Debug)]
pub enum Reply {
    Status(Box<Status>),
    History(HistoryPage),
    Balanced(Balanced),
    Approved(Approved),
    Chosen(Choice),
    Cancelled(Vec<ProposalId>),
    Changed(Changed),
    Refused(Refused),
}

/// Says what a message or a press leads to.
#[must_use]
pub fn handle(incoming: &Incoming, context: &Context<'_>, now: DateTime<Utc>) -> Vec<Effect> {
    let role = access::role_of(&incoming.sender, incoming.place, context.chat_admins, context.lists);
    match (&incoming.what, role, &incoming.sender) {
        (What::Text { text, .. }, Err(stranger), _) => stranger_said(incoming, text, &stranger, context),
        (What::Press { .. }, Err(stranger), sender) => vec![
            Effect::AnswerPress(PressAnswer::Window(context.view.stranger_alert(&stranger))),
            refused_audit(format!("press by {}", sender.id())),
        ],
        (What::Text { text, at }, Ok(role), Sender::Person(person)) => {
            said(incoming, text, *at, person, role, context, now)
        }
        (What::Press { data, .. }, Ok(role), Sender::Person(_)) => {
            pressed(incoming.place, data, role, context)
        }
        // A role is given to persons only.
        (_, Ok(_), Sender::AnonymousAdmin | Sender::Channel(_)) => Vec::new(),
    }
}

/// In a group only commands are for the bot; in private everything is.
fn is_for_us(text: &str, place: Place, bot: &str) -> bool {
    match command::parse(text, bot) {
        Parsed::NotACommand => place.private,
        Parsed::ForAnotherBot => false,
        Parsed::Command(_) | Parsed::Unknown { .. } | Parsed::Malformed { .. } => true,
    }
}

fn stranger_said(
    incoming: &Incoming,
    text: &str,
    stranger: &access::Stranger,
    context: &Context<'_>,
) -> Vec<Effect> {
    if !context.stranger_answer_due || !is_for_us(text, incoming.place, context.bot) {
        return Vec::new();
    }
    vec![
        reply(context.view.stranger(stranger), context),
        Effect::StrangerAnswered,
        refused_audit(format!("message by {}", incoming.sender.id())),
    ]
}

fn said(
    incoming: &Incoming,
    text: &str,
    at: DateTime<Utc>,
    person: &Person,
    role: Role,
    context: &Context<'_>,
    now: DateTime<Utc>,
) -> Vec<Effect> {
    if !is_for_us(text, incoming.place, context.bot) {
        return Vec::new();
    }
    let view = &context.view;
    if now - at > COMMAND_AGE_MAX {
        return vec![
            reply(view.too_old(text, at, now), context),
            Effect::Audit { what: "too-old", detail: text.into() },
        ];
    }
    let command = match command::parse(text, context.bot) {
        Parsed::Command(command) => command,
        Parsed::Unknown { typed, similar } => {
            return vec![reply(view.unknown_command(&typed, similar), context)];
        }
        Parsed::Malformed { name, problem } => return vec![reply(view.malformed(name, &problem), context)],
        Parsed::NotACommand | Parsed::ForAnotherBot => return vec![reply(view.not_a_command(), context)],
    };
    let needed = access::needed_for(&command);
    if needed > role {
        let words = view.needs_role(needed, role, admins_known(incoming.place, context));
        return vec![reply(view.line(words), context), refused_audit(text.to_owned())];
    }
    let audit = Effect::Audit { what: "command", detail: text.to_owned() };
    vec![audit, carried_out(command, incoming, person, role, context, now)]
}

fn carried_out(
    command: Command,
    incoming: &Incoming,
    person: &Person,
    role: Role,
    context: &Context<'_>,
    now: DateTime<Utc>,
) -> Effect {
    let view = &context.view;
    match command {
        Command::Start => reply(view.help(Opening::Start, role), context),
        Command::Help { command: None } => reply(view.help(Opening::Help, role), context),
        Command::Help { command: Some(name) } => reply(view.help_about(name), context),
        Command::Whoami => reply(view.whoami(person, role, incoming.place.chat, incoming.thread), context),
        Command::Status { cluster } => Effect::Ask(Question::Status { cluster }),
        Command::Node { name } => Effect::Ask(Question::Node { name }),
        Command::Vm { name } => Effect::Ask(Question::Vm { name }),
        Command::Running => Effect::Ask(Question::Running),
        Command::Exclusions => Effect::Ask(Question::Exclusions),
        Command::Balance { cluster } => Effect::Ask(Question::Balance { cluster }),
        Command::Cancel => Effect::Ask(Question::Cancel),
        Command::History { of: HistoryOf::Newest(count) } => {
            Effect::Ask(Question::History { skip: 0, count, of: None })
        }
        Command::History { of: HistoryOf::Named(of) } => {
            Effect::Ask(Question::History { skip: 0, count: command::HISTORY_PAGE, of: Some(of) })
        }
        Command::DryRun { on: None } => Effect::Ask(Question::DryRun),
        Command::DryRun { on: Some(on) } => Effect::Ask(Question::Change(Change::DryRun(on))),
        Command::Mode { mode: None } => Effect::Ask(Question::Mode),
        Command::Mode { mode: Some(mode) } => Effect::Ask(Question::Change(Change::Mode(mode))),
        Command::Pause { lasts, reason } => {
            Effect::Ask(Question::Change(Change::Pause { until: lasts.map(|lasts| now + lasts), reason }))
        }
        Command::Resume => {
            let confirms_restored = role >= Role::Admin;
            Effect::Ask(Question::Change(Change::Resume { confirms_restored }))
        }
        Command::Exclude { node, direction, lasts } => {
            let until = lasts.map(|lasts| now + lasts);
            Effect::Ask(Question::Change(Change::Exclude { node, direction, until }))
        }
        Command::Include { node } => Effect::Ask(Question::Change(Change::Include { node })),
    }
}

fn pressed(place: Place, data: &str, role: Role, context: &Context<'_>) -> Vec<Effect> {
    let view = &context.view;
    let Some(press) = Press::parse(data) else {
        return vec![Effect::AnswerPress(PressAnswer::Window(view.stale_press(StalePress::Unknown)))];
    };
    let needed = needed_for_press(&press);
    if needed > role {
        let words = view.needs_role_alert(needed, role, admins_known(place, context));
        return vec![Effect::AnswerPress(PressAnswer::Window(words)), refused_audit(format!("press {data}"))];
    }
    let question = match press {
        Press::Status { cluster } => Question::StatusOf { cluster },
        Press::History { skip, count, of } => Question::History { skip, count, of },
        Press::Balance { cluster } => Question::Balance { cluster: Some(cluster.to_string()) },
        Press::Cancel => Question::Cancel,
        Press::Proposal { proposal, tag, choice } => match chosen(proposal, &tag, choice, context) {
            Ok(question) => question,
            Err(stale) => {
                return vec![Effect::AnswerPress(PressAnswer::Window(view.stale_press(stale)))];
            }
        },
    };
    let looks_only = matches!(question, Question::StatusOf { .. } | Question::History { .. });
    let audit = (!looks_only).then(|| Effect::Audit { what: "press", detail: data.to_owned() });
    audit.into_iter().chain([Effect::Ask(question)]).collect()
}

fn needed_for_press(press: &Press) -> Role {
    match press {
        Press::Status { .. } | Press::History { .. } => Role::Viewer,
        Press::Balance { .. } | Press::Cancel | Press::Proposal { .. } => Role::Operator,
    }
}

/// What a press changes must be what the message showed: whoever approves has read that and nothing else.
fn chosen(
    proposal: ProposalId,
    tag: &str,
    choice: Choice,
    context: &Context<'_>,
) -> Result<Question, StalePress> {
    let known = context.proposal.filter(|known| known.id == proposal).ok_or(StalePress::Unknown)?;
    let reads_the_plan = match choice {
        Choice::Approve | Choice::LeaveOut(_) => true,
        Choice::Reject | Choice::Refresh | Choice::Cancel => false,
    };
    // What is decided already is said so by the scheduler, with what became of it.
    if reads_the_plan && known.state == ProposalState::Pending && press::tag(known) != tag {
        return Err(StalePress::Changed);
    }
    match choice {
        Choice::Approve => Ok(Question::Approve(proposal)),
        Choice::Reject => Ok(Question::Reject(proposal)),
        Choice::Refresh => Ok(Question::Refresh(proposal)),
        Choice::Cancel => Ok(Question::Cancel),
        Choice::LeaveOut(vm) if known.steps.iter().any(|step| step.migration.vm == vm) => {
            Ok(Question::LeaveOut(proposal, vm))
        }
        Choice::LeaveOut(_) => Err(StalePress::Unknown),
    }
}

/// Goes on with what was answered.
#[must_use]
pub fn answered(
    question: &Question,
    answer: Reply,
    incoming: &Incoming,
    context: &Context<'_>,
    now: DateTime<Utc>,
) -> Vec<Effect> {
    match (&incoming.what, answer) {
        (What::Text { .. }, Reply::Refused(refused)) => vec![reply(context.view.refusal(&refused), context)],
        (What::Press { .. }, Reply::Refused(refused)) => {
            vec![Effect::AnswerPress(PressAnswer::Window(context.view.refusal_alert(&refused)))]
        }
        (What::Text { .. }, answer) => {
            told(question, answer, context, now).map(|page| reply(page, context)).into_iter().collect()
        }
        (What::Press { .. }, answer) => press_told(question, answer, context, now),
    }
}

/// The message that answers a command; `None` where the proposal's own message is the answer.
fn told(question: &Question, answer: Reply, context: &Context<'_>, now: DateTime<Utc>) -> Option<Page> {
    let view = &context.view;
    match answer {
        Reply::Status(status) => Some(status_told(question, &status, view, now)),
        Reply::History(part) => Some(view.history(&part)),
        Reply::Balanced(Balanced::NothingToDo(plan)) => Some(view.nothing_to_do(&plan)),
        Reply::Balanced(Balanced::Proposed(_)) => None,
        Reply::Cancelled(proposals) => Some(view.line(view.cancelled(&proposals))),
        Reply::Changed(changed) => setting(question, &changed)
            .map(|setting| view.line(view.setting(&setting, changed == Changed::Already, now))),
        Reply::Approved(approved) => Some(view.line(escape(&view.approved(&approved)))),
        Reply::Chosen(choice) => Some(view.line(escape(&view.chosen(choice)))),
        Reply::Refused(refused) => Some(view.refusal(&refused)),
    }
}

fn press_told(question: &Question, answer: Reply, context: &Context<'_>, now: DateTime<Utc>) -> Vec<Effect> {
    let view = &context.view;
    let passing = |words| vec![Effect::AnswerPress(PressAnswer::Passing(words))];
    match answer {
        Reply::Approved(approved) => passing(view.approved(&approved)),
        Reply::Chosen(choice) => passing(view.chosen(choice)),
        Reply::Balanced(balanced) if matches!(question, Question::Refresh(_)) => {
            let words = view.refreshed(&balanced);
            match balanced {
                Balanced::Proposed(_) => passing(words),
                Balanced::NothingToDo(_) => vec![Effect::AnswerPress(PressAnswer::Window(words))],
            }
        }
        Reply::Cancelled(proposals) => passing(view.cancelled(&proposals)),
        answer => {
            let rewrites = matches!(question, Question::StatusOf { .. } | Question::History { .. });
            let page = told(question, answer, context, now).map(|page| marked(page, context));
            let effect = page.map(|page| if rewrites { Effect::Rewrite(page) } else { Effect::Reply(page) });
            [Effect::AnswerPress(PressAnswer::Silent)].into_iter().chain(effect).collect()
        }
    }
}

fn status_told(question: &Question, status: &Status, view: &View, now: DateTime<Utc>) -> Page {
    match question {
        Question::Status { cluster: Some(named) } => of_cluster(named, status, view),
        Question::StatusOf { cluster } => view.status(status, *cluster),
        Question::Node { name } => of_node(name, status, view, now),
        Question::Vm { name } => of_vm(name, status, view, now),
        Question::Running => view.running(status),
        Question::Exclusions => view.exclusions(status),
        Question::DryRun => view.line(view.dry_run_is(status.dry_run)),
        Question::Mode => view.line(view.mode_is(status.mode, status.pause.as_ref(), now)),
        _ => view.status(status, None),
    }
}

fn of_cluster(named: &str, status: &Status, view: &View) -> Page {
    let Some(picture) = &status.picture else { return view.status(status, None) };
    match find_cluster(&picture.snapshot, named) {
        Found::One(id) => view.status(status, Some(id)),
        Found::Several(ids) => view.ambiguous(named, &ids),
        Found::None { .. } => {
            let known = picture.snapshot.clusters.iter().map(|c| (c.id, c.name.clone())).collect();
            let mut page = view.refusal(&Refused::NoSuchCluster { found: named.into(), known });
            page.buttons.clear();
            page
        }
    }
}

fn of_node(named: &str, status: &Status, view: &View, now: DateTime<Utc>) -> Page {
    of_picture(status, view, |Picture { snapshot, policy, .. }| match find_node(snapshot, named) {
        Found::One(id) => planner::explain_node(snapshot, policy, id)
            .map_or_else(|| view.no_such(named, &[]), |node| view.node(&node, snapshot, now)),
        Found::Several(ids) => view.ambiguous(named, &ids),
        Found::None { similar } => view.no_such(named, &similar),
    })
}

fn of_vm(named: &str, status: &Status, view: &View, now: DateTime<Utc>) -> Page {
    of_picture(status, view, |Picture { snapshot, policy, .. }| match find_vm(snapshot, named) {
        Found::One(id) => planner::explain_vm(snapshot, policy, id)
            .map_or_else(|| view.no_such(named, &[]), |vm| view.vm_explained(&vm, snapshot, now)),
        Found::Several(ids) => view.ambiguous(named, &ids),
        Found::None { similar } => view.no_such(named, &similar),
    })
}

fn of_picture(status: &Status, view: &View, told: impl FnOnce(&Picture) -> Page) -> Page {
    match &status.picture {
        Some(picture) => told(picture),
        None => view.status(status, None),
    }
}

fn setting(question: &Question, changed: &Changed) -> Option<Setting> {
    let Question::Change(change) = question else { return None };
    let called = |asked: &str| match changed {
        Changed::Node { name, .. } => name.clone(),
        Changed::Done | Changed::Already => asked.to_owned(),
    };
    Some(match change {
        Change::DryRun(on) => Setting::DryRun(*on),
        Change::Mode(mode) => Setting::Mode(*mode),
        Change::Pause { until, .. } => Setting::Paused { until: *until },
        Change::Resume { .. } => Setting::Resumed,
        Change::Exclude { node, direction, until } => {
            Setting::Excluded { node: called(node), direction: *direction, until: *until }
        }
        Change::Include { node } => Setting::Included { node: called(node) },
    })
}

fn admins_known(place: Place, context: &Context<'_>) -> bool {
    !context.lists.need_chat_admins(place) || *context.chat_admins != ChatAdmins::Unknown
}

fn reply(page: Page, context: &Context<'_>) -> Effect {
    Effect::Reply(marked(page, context))
}

/// Everything in a dry run says so.
fn marked(page: Page, context: &Context<'_>) -> Page {
    if context.dry_run { page.in_dry_run() } else { page }
}

fn refused_audit(detail: String) -> Effect {
    Effect::Audit { what: "refused", detail }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::talk::{Language, samples};

    const GROUP: i64 = -100;
    const ADMIN: i64 = 1;
    const OPERATOR: i64 = 2;
    const VIEWER: i64 = 3;
    const STRANGER: i64 = 4;

    #[test]
    fn every_command_is_asked_for_by_the_role_it_needs_and_by_no_lower_one() {
        let roles = [(VIEWER, Role::Viewer), (OPERATOR, Role::Operator), (ADMIN, Role::Admin)];
        let commands = [
            ("/status", Role::Viewer),
            ("/history", Role::Viewer),
            ("/balance", Role::Operator),
            ("/cancel", Role::Operator),
            ("/dryrun on", Role::Operator),
            ("/dryrun off", Role::Admin),
            ("/mode", Role::Viewer),
            ("/mode auto", Role::Admin),
        ];
        for (text, needed) in commands {
            for (person, role) in roles {
                let effects = said_by(person, text);
                let asks = effects.iter().any(|effect| matches!(effect, Effect::Ask(_)));
                assert_eq!(asks, role >= needed, "{text} by {role:?}: {effects:?}");
                assert!(asks || replies(&effects) == 1, "{text} by {role:?}: {effects:?}");
                assert!(asks || is_refused(&effects), "{text} by {role:?}: {effects:?}");
            }
        }
    }

    #[test]
    fn a_stranger_is_told_once_and_a_strangers_press_always() {
        let effects = said_by(STRANGER, "/balance");
        assert_eq!(replies(&effects), 1);
        assert!(effects.contains(&Effect::StrangerAnswered) && is_refused(&effects));
        let told_before = Facts { stranger_answer_due: false, ..Facts::default() };
        assert_eq!(told_before.handle(&text(STRANGER, "/balance")), []);
        assert_eq!(said_by(STRANGER, "talk among people"), []);
        let pressed = told_before.handle(&press(STRANGER, "s"));
        assert!(
            matches!(&pressed[0], Effect::AnswerPress(PressAnswer::Window(words)) if words.contains('4'))
        );
        assert!(is_refused(&pressed));
    }

    #[test]
    fn nobody_presses_behind_a_group_or_a_channel() {
        for sender in [Sender::AnonymousAdmin, Sender::Channel(-300)] {
            let effects = Facts::default().handle(&Incoming { sender, ..press(ADMIN, "b:1") });
            assert!(matches!(effects[0], Effect::AnswerPress(PressAnswer::Window(_))), "{effects:?}");
            assert!(!effects.iter().any(|effect| matches!(effect, Effect::Ask(_))), "{effects:?}");
        }
    }

    #[test]
    fn a_viewers_press_of_a_plans_buttons_asks_nothing() {
        let facts = Facts::with(samples::proposal(2));
        for letter in ["a", "r", "f", "c", "x:1000"] {
            let data = format!("p:12:{}:{letter}", facts.tag());
            let effects = facts.handle(&press(VIEWER, &data));
            assert!(
                matches!(effects[0], Effect::AnswerPress(PressAnswer::Window(_))),
                "{letter}: {effects:?}"
            );
            assert!(is_refused(&effects) && effects.len() == 2, "{letter}: {effects:?}");
        }
        let effects = facts.handle(&press(VIEWER, "s"));
        assert_eq!(effects, [Effect::Ask(Question::StatusOf { cluster: None })]);
    }

    #[test]
    fn a_press_is_about_what_its_message_showed() {
        let shown = samples::proposal(3);
        let vm = shown.steps[0].migration.vm;
        let facts = Facts::with(shown.clone());
        let approve = format!("p:12:{}:a", facts.tag());
        assert_eq!(facts.asked(OPERATOR, &approve), Some(Question::Approve(ProposalId(12))));
        let leave_out = format!("p:12:{}:x:{vm}", facts.tag());
        assert_eq!(facts.asked(OPERATOR, &leave_out), Some(Question::LeaveOut(ProposalId(12), vm)));

        let mut changed = shown.clone();
        changed.left_out.insert(vm);
        let changed = Facts::with(changed);
        assert_eq!(changed.asked(OPERATOR, &approve), None);
        assert_eq!(changed.asked(OPERATOR, &leave_out), None);
        let reject = approve.replace(":a", ":r");
        assert_eq!(changed.asked(OPERATOR, &reject), Some(Question::Reject(ProposalId(12))));

        let over = Facts::with(Proposal { state: ProposalState::Stale { at: samples::now() }, ..shown });
        let stale = over.asked(OPERATOR, &approve.replace(&over.tag(), "00000000"));
        assert_eq!(stale, Some(Question::Approve(ProposalId(12))), "the scheduler says what became of it");
    }

    #[test]
    fn a_press_that_names_nothing_known_is_answered_in_a_window() {
        let facts = Facts::with(samples::proposal(2));
        let tag = facts.tag();
        for data in ["", "nonsense", "p:1:x", &format!("p:99:{tag}:a"), &format!("p:12:{tag}:x:424242")] {
            let effects = facts.handle(&press(ADMIN, data));
            assert!(
                matches!(effects.as_slice(), [Effect::AnswerPress(PressAnswer::Window(_))]),
                "{data}: {effects:?}"
            );
        }
        assert_eq!(Facts::default().asked(ADMIN, &format!("p:12:{tag}:a")), None, "the record is gone");
    }

    #[test]
    fn a_command_of_long_ago_is_refused_and_one_of_just_now_is_not() {
        let at = |age: TimeDelta| {
            let what = What::Text { text: "/mode auto".into(), at: samples::now() - age };
            Facts::default().handle(&Incoming { what, ..text(ADMIN, "") })
        };
        let asks = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Ask(_)));
        assert!(asks(&at(COMMAND_AGE_MAX)));
        let old = at(COMMAND_AGE_MAX + TimeDelta::seconds(1));
        assert!(!asks(&old) && replies(&old) == 1, "{old:?}");
    }

    #[test]
    fn a_refusal_is_a_message_to_a_command_and_a_window_to_a_press() {
        let facts = Facts::default();
        let answer = |incoming: &Incoming, question: &Question| {
            let reply = Reply::Refused(Refused::NothingRunning);
            answered(question, reply, incoming, &facts.context(), samples::now())
        };
        assert_eq!(replies(&answer(&text(OPERATOR, "/cancel"), &Question::Cancel)), 1);
        let pressed = answer(&press(OPERATOR, "c"), &Question::Cancel);
        assert!(matches!(pressed.as_slice(), [Effect::AnswerPress(PressAnswer::Window(_))]), "{pressed:?}");
    }

    #[test]
    fn everything_said_in_a_dry_run_says_so_first() {
        let facts = Facts { dry_run: true, ..Facts::default() };
        for said in ["/help", "/whoami", "/nonsense", "/mode x"] {
            let effects = facts.handle(&text(ADMIN, said));
            let pages = effects.iter().filter_map(|effect| match effect {
                Effect::Reply(page) => Some(page.plain()),
                _ => None,
            });
            for page in pages {
                assert!(page.lines().next().is_some_and(|line| line.contains("DRY RUN")), "{said}: {page}");
            }
            assert_eq!(replies(&effects), 1, "{said}");
        }
    }

    struct Facts {
        lists: Lists,
        dry_run: bool,
        stranger_answer_due: bool,
        proposal: Option<Proposal>,
    }

    impl Default for Facts {
        fn default() -> Self {
            let lists = Lists {
                admins: BTreeSet::from([ADMIN]),
                operators: BTreeSet::from([OPERATOR]),
                viewers: BTreeSet::from([VIEWER]),
                chat: Some(GROUP),
            };
            Self { lists, dry_run: false, stranger_answer_due: true, proposal: None }
        }
    }

    impl Facts {
        fn with(proposal: Proposal) -> Self {
            Self { proposal: Some(proposal), ..Self::default() }
        }

        fn context(&self) -> Context<'_> {
            Context {
                view: View::new(Language::En, chrono_tz::UTC),
                bot: "bot",
                lists: &self.lists,
                chat_admins: &ChatAdmins::Unknown,
                dry_run: self.dry_run,
                stranger_answer_due: self.stranger_answer_due,
                proposal: self.proposal.as_ref(),
            }
        }

        fn handle(&self, incoming: &Incoming) -> Vec<Effect> {
            handle(incoming, &self.context(), samples::now())
        }

        fn tag(&self) -> String {
            self.proposal.as_ref().map(press::tag).unwrap_or_default()
        }

        fn asked(&self, person: i64, data: &str) -> Option<Question> {
            self.handle(&press(person, data)).into_iter().find_map(|effect| match effect {
                Effect::Ask(question) => Some(question),
                _ => None,
            })
        }
    }

    fn said_by(person: i64, said: &str) -> Vec<Effect> {
        Facts::default().handle(&text(person, said))
    }

    fn text(person: i64, said: &str) -> Incoming {
        Incoming {
            place: Place { chat: GROUP, private: false },
            thread: None,
            message: 5,
            sender: Sender::Person(Person { id: person, name: "Somebody".into() }),
            what: What::Text { text: said.into(), at: samples::now() },
        }
    }

    fn press(person: i64, data: &str) -> Incoming {
        let what = What::Press { query: "1".into(), data: data.into() };
        Incoming { what, ..text(person, "") }
    }

    fn replies(effects: &[Effect]) -> usize {
        effects.iter().filter(|effect| matches!(effect, Effect::Reply(_))).count()
    }

    fn is_refused(effects: &[Effect]) -> bool {
        effects.iter().any(|effect| matches!(effect, Effect::Audit { what: "refused", .. }))
    }
}
