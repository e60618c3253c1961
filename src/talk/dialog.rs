//! What a message or a press leads to: a state machine over data, without a runtime.
//!
//! [`handle`] looks at what came in and says what to do; where the scheduler or the store must be asked, [`go_on`]
//! goes on with its answer. The states themselves live in the store: a press names a record there, and nothing else of
//! it is believed.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    access::{self, ChatAdmins, Lists, Place, Role, Sender, Stranger},
    ask::{Answer, Ask, Document, Next, Worded},
    hand, proposal,
    verb::Asker,
    verbs::{self, Parsed, Pressed},
    view::{Page, StalePress, View},
    words::escape,
};
use crate::{
    model::{Person, ProposalId},
    picture::Chart,
    scheduler::Refused,
    store::Proposal,
};

/// An older command is not carried out. Messages are kept for a day while the bot is away: what somebody wanted last
/// night must not happen this morning.
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
    Text {
        text: String,
        at: DateTime<Utc>,
        /// It was forwarded, or is in a code block: somebody shows it and does not ask.
        quoted: bool,
    },
    /// `press` is how the front-end names the press when it is answered.
    Press { press: String, data: String, under: Under },
}

/// Under which message a button was pressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Under {
    Plan(ProposalId),
    Alert,
    /// Neither is known of it. It has buttons with this data; `None` where the front-end cannot tell.
    Other(Option<Vec<String>>),
}

impl Under {
    /// Tells whether a message of this kind carries a button with this data.
    fn carries(&self, data: &str) -> bool {
        let mark = |data: &str| data.split(':').next().unwrap_or_default().to_owned();
        let is_of = |other: &String| match proposal::named_in(data) {
            Some(id) => proposal::named_in(other) == Some(id),
            None => mark(other) == mark(data),
        };
        match (self, proposal::named_in(data)) {
            (Self::Plan(id), named) => named == Some(*id),
            (Self::Other(Some(buttons)), _) => buttons.iter().any(is_of),
            (Self::Alert, _) => mark(data) == hand::BUTTON.mark,
            (Self::Other(None), named) => named.is_none(),
        }
    }
}

/// All that a decision needs besides what came in.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    pub view: View,
    pub now: DateTime<Utc>,
    /// The bot's user name without `@`.
    pub bot: &'a str,
    /// The chat for reports and its topic.
    pub home: Option<(i64, Option<i32>)>,
    /// For the readers of the chat for reports, who may have another language.
    pub home_view: View,
    pub lists: &'a Lists,
    pub chat_admins: &'a ChatAdmins,
    pub dry_run: bool,
    /// False where this person was answered within the last hour that there is nothing for strangers here.
    pub stranger_answer_due: bool,
    /// What the store has for the proposal that a press names.
    pub proposal: Option<&'a Proposal>,
}

/// What is to be done at once, and what must be asked for the rest.
#[derive(Default)]
pub struct Turn {
    /// The command or the kind of button, for the log; empty for other texts.
    pub command: &'static str,
    pub effects: Vec<Effect>,
    pub ask: Option<Ask>,
    /// It changes a setting where the others do not see it: the chat for reports shows it too.
    pub reports: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A message that answers.
    Reply(Page),
    /// The message that carries the button, anew.
    Rewrite(Page),
    /// A picture with its caption.
    Picture(Page, Arc<Chart>),
    /// A silent message in the chat for reports.
    Report(Page),
    AnswerPress(PressAnswer),
    /// A file that answers.
    Document(Document),
    Audit {
        what: &'static str,
        detail: String,
    },
    /// This person got the answer for strangers.
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

/// Says what a message or a press leads to.
#[must_use]
pub fn handle(incoming: &Incoming, context: &Context<'_>) -> Turn {
    let role = access::role_of(&incoming.sender, incoming.place, context.chat_admins, context.lists);
    match &incoming.what {
        What::Text { text, at, quoted } => {
            let parsed = if *quoted { Parsed::NotACommand } else { verbs::parse(text, context.bot) };
            if !parsed.is_for_us(incoming.place) {
                return Turn::default();
            }
            match (role, &incoming.sender) {
                (Err(stranger), _) => stranger_wrote(incoming, &stranger, context),
                (Ok(role), Sender::Person(person)) => {
                    let asker = asker(incoming, person, role, context);
                    wrote(parsed, text, *at, &asker, context)
                }
                // Only persons have a role.
                (Ok(_), Sender::AnonymousAdmin | Sender::Channel(_)) => Turn::default(),
            }
        }
        What::Press { data, under, .. } => match (role, &incoming.sender) {
            (Err(stranger), sender) => Turn::of(vec![
                window(context.view.stranger_alert(&stranger)),
                refused_audit(format!("press by {}", sender.id())),
            ]),
            (Ok(role), Sender::Person(person)) => {
                press(data, under, &asker(incoming, person, role, context), context)
            }
            (Ok(_), Sender::AnonymousAdmin | Sender::Channel(_)) => Turn::default(),
        },
    }
}

fn asker<'a>(incoming: &Incoming, person: &'a Person, role: Role, context: &Context<'a>) -> Asker<'a> {
    let Context { view, now, proposal, .. } = *context;
    Asker { view, now, person, role, place: incoming.place, thread: incoming.thread, proposal }
}

fn stranger_wrote(incoming: &Incoming, stranger: &Stranger, context: &Context<'_>) -> Turn {
    if !context.stranger_answer_due {
        return Turn::default();
    }
    Turn::of(vec![
        reply(context.view.stranger(stranger), context),
        Effect::StrangerAnswered,
        refused_audit(format!("message by {}", incoming.sender.id())),
    ])
}

fn wrote(parsed: Parsed, text: &str, at: DateTime<Utc>, asker: &Asker<'_>, context: &Context<'_>) -> Turn {
    let view = &context.view;
    if asker.now - at > COMMAND_AGE_MAX {
        return Turn::of(vec![
            reply(view.too_old(text, at, asker.now), context),
            Effect::Audit { what: "too-old", detail: text.into() },
        ]);
    }
    let (verb, act) = match parsed {
        Parsed::Known { verb, act } => (verb, act),
        Parsed::Unknown { typed, similar } => {
            return Turn::of(vec![reply(view.unknown_command(&typed, similar), context)]);
        }
        Parsed::Malformed { verb, problem } => {
            let answer = reply(view.malformed_command(verb, &problem), context);
            return Turn::of(vec![answer]).about(verb.word);
        }
        Parsed::NotACommand | Parsed::ForAnotherBot => {
            return Turn::of(vec![reply(view.not_a_command(), context)]);
        }
    };
    let needed = act.least_role(verb.least_role);
    let text = act.audit_text(text);
    if needed > asker.role {
        let words = view.needs_role(needed, asker.role, admins_known(asker.place, context));
        let effects = vec![reply(view.line(words), context), refused_audit(text)];
        return Turn::of(effects).about(verb.word);
    }
    let audit = Effect::Audit { what: "command", detail: text };
    match act.answer(asker) {
        Next::Ask(ask) => {
            let reports = is_to_be_reported(&ask, asker, context);
            Turn { command: verb.word, effects: vec![audit], ask: Some(ask), reports }
        }
        Next::Say(answer) => {
            let shown = shown_to_a_message(answer, context);
            Turn::of(std::iter::once(audit).chain(shown).collect()).about(verb.word)
        }
    }
}

fn press(data: &str, under: &Under, asker: &Asker<'_>, context: &Context<'_>) -> Turn {
    let view = &context.view;
    let Some(Pressed { word, least_role, act }) = verbs::read_press(data) else {
        return Turn::of(vec![window(view.stale_press(StalePress::Unknown))]);
    };
    if least_role > asker.role {
        let words = view.needs_role_alert(least_role, asker.role, admins_known(asker.place, context));
        return Turn::of(vec![window(words), refused_audit(format!("press {data}"))]).about(word);
    }
    if !under.carries(data) {
        let gone = asker.proposal.filter(|known| known.state.is_final());
        let words = gone.map(|it| Refused::NotPending { proposal: it.id, state: it.state.clone() });
        let words = words.map_or_else(|| view.stale_press(StalePress::Unknown), |it| view.refusal_alert(&it));
        return Turn::of(vec![window(words)]).about(word);
    }
    let detail = act.audit_text(data);
    match act.answer(asker) {
        Next::Ask(ask) => {
            // A press that only looks is not worth an entry.
            let changes = least_role > Role::Viewer;
            let audit = changes.then_some(Effect::Audit { what: "press", detail });
            let reports = is_to_be_reported(&ask, asker, context);
            Turn { command: word, effects: audit.into_iter().collect(), ask: Some(ask), reports }
        }
        Next::Say(answer) => Turn::of(shown_to_a_press(answer, context)).about(word),
    }
}

/// Tells whether something changes a setting where the others do not see it.
fn is_to_be_reported(ask: &Ask, asker: &Asker<'_>, context: &Context<'_>) -> bool {
    let here = (asker.place.chat, asker.thread);
    matches!(ask, Ask::Change(..)) && context.home.is_some_and(|home| home != here)
}

/// Goes on with what was answered.
#[must_use]
pub fn go_on(
    found: Result<Worded, Refused>,
    reports: bool,
    incoming: &Incoming,
    context: &Context<'_>,
) -> Vec<Effect> {
    let worded = found.map(|worded| worded(&context.view, context.now));
    let said = match &incoming.what {
        What::Text { text, .. } => text.clone(),
        What::Press { data, .. } => {
            verbs::read_press(data).map(|it| it.act.audit_text(data)).unwrap_or_default()
        }
    };
    let report = match (&worded, &incoming.sender) {
        (Ok(Answer::Page(page) | Answer::Rewrite(page)), Sender::Person(by)) if reports => {
            // The answer is worded for the person; the command says it in every language.
            let is_readable = context.home_view.language == context.view.language;
            Some(Effect::Report(mark(
                context.home_view.report_elsewhere(by, &said, page, is_readable),
                context,
            )))
        }
        _ => None,
    };
    let shown = match (&incoming.what, worded) {
        (What::Text { .. }, Ok(answer)) => shown_to_a_message(answer, context),
        (What::Text { .. }, Err(refused)) => vec![reply(verbs::refusal(&context.view, &refused), context)],
        (What::Press { .. }, Ok(answer)) => shown_to_a_press(answer, context),
        (What::Press { .. }, Err(refused)) => vec![window(context.view.refusal_alert(&refused))],
    };
    shown.into_iter().chain(report).collect()
}

fn shown_to_a_message(answer: Answer, context: &Context<'_>) -> Vec<Effect> {
    match answer {
        Answer::Page(page) | Answer::Rewrite(page) => vec![reply(page, context)],
        Answer::Passing(words) | Answer::Window(words) => {
            vec![reply(context.view.line(escape(&words)), context)]
        }
        Answer::Document(document) => vec![file(document, context)],
        Answer::Picture(page, chart) => vec![Effect::Picture(mark(page, context), chart)],
        Answer::ShownElsewhere => Vec::new(),
    }
}

fn shown_to_a_press(answer: Answer, context: &Context<'_>) -> Vec<Effect> {
    let silent = Effect::AnswerPress(PressAnswer::Silent);
    match answer {
        Answer::Page(page) => vec![silent, reply(page, context)],
        Answer::Rewrite(page) => vec![silent, Effect::Rewrite(mark(page, context))],
        Answer::Passing(words) => vec![Effect::AnswerPress(PressAnswer::Passing(words))],
        Answer::Window(words) => vec![window(words)],
        Answer::Document(document) => vec![silent, file(document, context)],
        Answer::Picture(page, chart) => vec![silent, Effect::Picture(mark(page, context), chart)],
        Answer::ShownElsewhere => vec![silent],
    }
}

fn admins_known(place: Place, context: &Context<'_>) -> bool {
    !context.lists.need_chat_admins(place) || *context.chat_admins != ChatAdmins::Unknown
}

fn reply(page: Page, context: &Context<'_>) -> Effect {
    Effect::Reply(mark(page, context))
}

fn file(document: Document, context: &Context<'_>) -> Effect {
    Effect::Document(Document { caption: mark(document.caption, context), ..document })
}

/// Everything in a dry run says so.
fn mark(page: Page, context: &Context<'_>) -> Page {
    if context.dry_run { page.in_dry_run() } else { page }
}

fn window(words: String) -> Effect {
    Effect::AnswerPress(PressAnswer::Window(words))
}

fn refused_audit(detail: String) -> Effect {
    Effect::Audit { what: "refused", detail }
}

impl Turn {
    fn of(effects: Vec<Effect>) -> Self {
        Self { effects, ..Self::default() }
    }

    fn about(self, command: &'static str) -> Self {
        Self { command, ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        model::NodeId,
        store::{ProposalState, Selection, SetChange},
        talk::{Language, chart, samples},
    };

    const GROUP: i64 = -100;
    const ADMIN: i64 = 1;
    const OPERATOR: i64 = 2;
    const VIEWER: i64 = 3;
    const STRANGER: i64 = 4;

    /// Each command and button with the least role that it needs.
    const ROLES: &[(&str, Role)] = &[
        ("/start", Role::Viewer),
        ("/help", Role::Viewer),
        ("/whoami", Role::Viewer),
        ("/status", Role::Viewer),
        ("/node kvm-01", Role::Viewer),
        ("/vm web-1", Role::Viewer),
        ("/why web-1", Role::Viewer),
        ("/whatif drain kvm-01", Role::Viewer),
        ("/history", Role::Viewer),
        ("/running", Role::Viewer),
        ("/exclusions", Role::Viewer),
        ("/rests", Role::Viewer),
        ("/lang ru", Role::Viewer),
        ("/settings", Role::Viewer),
        ("/dryrun", Role::Viewer),
        ("/mode", Role::Viewer),
        ("/balance", Role::Operator),
        ("/drain kvm-01", Role::Operator),
        ("/maintenance kvm-01,kvm-02", Role::Operator),
        ("/at 05:00 12", Role::Operator),
        ("/reject 12", Role::Operator),
        ("/cancel", Role::Operator),
        ("/pause", Role::Operator),
        ("/resume", Role::Operator),
        ("/exclude kvm-01", Role::Operator),
        ("/include kvm-01", Role::Operator),
        ("/dryrun on", Role::Operator),
        ("/dryrun off", Role::Admin),
        ("/mode auto", Role::Admin),
        ("/autopilot", Role::Viewer),
        ("/autopilot 8h max 5", Role::Operator),
        ("/autopilot off", Role::Operator),
        ("o:c:0123abcd", Role::Operator),
        ("o:x:0123abcd", Role::Operator),
        ("/audit", Role::Admin),
        ("/rests clear web-1", Role::Admin),
        ("/lang ru chat", Role::Admin),
        ("/set PIN_VMS a", Role::Admin),
        ("s", Role::Viewer),
        ("h:t:0:0:10:0:", Role::Viewer),
        ("lang:ru", Role::Viewer),
        ("set:a", Role::Viewer),
        ("set:v:BOARD:true", Role::Admin),
        ("set:d:BOARD", Role::Admin),
        ("b:1", Role::Operator),
        ("c:12", Role::Operator),
        ("a:t:a-store", Role::Operator),
        ("g:s", Role::Viewer),
        ("g:n:10", Role::Viewer),
        ("g:h", Role::Viewer),
        ("g:p:12", Role::Viewer),
        ("p:12:TAG:a", Role::Operator),
        ("p:12:TAG:w", Role::Operator),
        ("p:12:TAG:z", Role::Operator),
        ("p:12:TAG:h", Role::Operator),
        ("p:12:TAG:d", Role::Operator),
        ("p:12:TAG:t", Role::Operator),
        ("p:12:TAG:s", Role::Operator),
        ("p:12:TAG:e", Role::Operator),
        ("p:12:TAG:r", Role::Operator),
        ("p:12:TAG:f", Role::Operator),
        ("p:12:TAG:c", Role::Operator),
        ("p:12:TAG:o", Role::Operator),
        ("p:12:TAG:u", Role::Admin),
        ("p:12:TAG:U", Role::Admin),
        ("p:12:TAG:x:1000", Role::Operator),
        ("p:12:TAG:i:1000", Role::Operator),
        ("p:12:TAG:k:1", Role::Operator),
        ("p:12:TAG:n:10", Role::Operator),
        ("p:12:TAG:l", Role::Operator),
        ("p:12:TAG:g:1", Role::Operator),
    ];

    #[test]
    fn every_command_and_button_is_for_the_role_it_needs_and_for_no_lower_one() {
        let facts = Facts::with(samples::proposal(2));
        let roles = [(VIEWER, Role::Viewer), (OPERATOR, Role::Operator), (ADMIN, Role::Admin)];
        for (what, needed) in ROLES.iter().copied() {
            let what = what.replace("TAG", &facts.tag());
            let sent = |person: i64| match what.starts_with('/') {
                true => facts.handle(&text(person, &what)),
                false => facts.handle(&press(person, &what)),
            };
            for (person, role) in roles {
                let Turn { effects, ask, .. } = sent(person);
                assert_eq!(is_refused(&effects), role < needed, "{what} by {role:?}: {effects:?}");
                assert!(ask.is_none() || role >= needed, "{what} by {role:?}");
                assert!(ask.is_some() || !effects.is_empty(), "{what} by {role:?} gets an answer");
            }
            let stranger = sent(STRANGER);
            assert!(is_refused(&stranger.effects) && stranger.ask.is_none(), "{what} by a stranger");
        }
        let is_there = |word: &str| ROLES.iter().any(|(what, _)| what.starts_with(&format!("/{word}")));
        assert!(verbs::ALL.iter().all(|verb| is_there(verb.word)), "a command is missing in the table");
        let is_pressed = |mark: &str| ROLES.iter().any(|(what, _)| what.split(':').next() == Some(mark));
        let buttons = verbs::ALL.iter().filter_map(|verb| verb.button).chain([
            proposal::BUTTON,
            hand::BUTTON,
            chart::BUTTON,
        ]);
        for button in buttons {
            assert!(is_pressed(button.mark), "{}: a button is missing in the table", button.mark);
        }
        let tag = facts.tag();
        for letter in ('a'..='z').chain('A'..='Z') {
            let reads = |rest: String| (proposal::BUTTON.read)(&format!("12:{tag}:{rest}")).is_some();
            let is_choice = reads(letter.to_string()) || reads(format!("{letter}:1"));
            let listed = ROLES.iter().filter_map(|(what, _)| what.strip_prefix("p:12:TAG:"));
            let is_listed = listed.into_iter().any(|rest| rest.starts_with(letter));
            assert_eq!(is_choice, is_listed, "{letter}: a button of plans");
        }
    }

    #[test]
    fn a_stranger_is_told_once_and_a_strangers_press_always() {
        let effects = said_by(STRANGER, "/balance").effects;
        assert_eq!(replies(&effects), 1);
        assert!(effects.contains(&Effect::StrangerAnswered) && is_refused(&effects));
        let told_before = Facts { stranger_answer_due: false, ..Facts::default() };
        assert_eq!(told_before.handle(&text(STRANGER, "/balance")).effects, []);
        assert_eq!(said_by(STRANGER, "talk among people").effects, []);
        let pressed = told_before.handle(&press(STRANGER, "s")).effects;
        assert!(
            matches!(&pressed[0], Effect::AnswerPress(PressAnswer::Window(words)) if words.contains('4'))
        );
        assert!(is_refused(&pressed));
    }

    #[test]
    fn nobody_presses_behind_a_group_or_a_channel() {
        for sender in [Sender::AnonymousAdmin, Sender::Channel(-300)] {
            let turn = Facts::default().handle(&Incoming { sender, ..press(ADMIN, "b:1") });
            let effects = &turn.effects;
            assert!(matches!(effects[0], Effect::AnswerPress(PressAnswer::Window(_))), "{effects:?}");
            assert!(turn.ask.is_none());
        }
    }

    #[test]
    fn an_approval_is_about_what_its_message_showed() {
        let shown = samples::proposal(3);
        let vm = shown.steps[0].migration.vm;
        let facts = Facts::with(shown.clone());
        let approve = format!("p:12:{}:a", facts.tag());
        let id = ProposalId(12);
        let approves = |facts: &Facts, data: &str| matches!(facts.asked(OPERATOR, data), Some(Ask::Approve(of, ..)) if of == id);
        assert!(approves(&facts, &approve));

        let changed_by = |person: i64, ago: TimeDelta| {
            let mut changed = shown.clone();
            let by = Person { id: person, name: "Oleg".into() };
            changed.choose(Selection::LeaveOut(vm), &by, samples::now() - ago);
            Facts::with(changed)
        };
        let changed = changed_by(ADMIN, TimeDelta::seconds(5));
        assert!(changed.asked(OPERATOR, &approve).is_none(), "another set was read");
        let as_shown = format!("p:12:{}:a", changed.tag());
        assert!(approves(&changed, &as_shown));
        let just_now = changed_by(ADMIN, TimeDelta::milliseconds(4999));
        assert!(!approves(&just_now, &as_shown), "nobody has read it yet");
        assert!(approves(&changed_by(OPERATOR, TimeDelta::zero()), &as_shown), "who changed it knows");

        let mut replaced = shown.clone();
        replaced.changed = Some(SetChange { at: samples::now(), by: None });
        assert!(!approves(&Facts::with(replaced), &approve), "the finger was on its way to another button");
        let over = Facts::with(Proposal { state: ProposalState::Stale { at: samples::now() }, ..shown });
        assert!(approves(&over, "p:12:00000000:a"), "the scheduler says what became of it");
    }

    #[test]
    fn choices_of_steps_that_follow_quickly_all_count() {
        let mut shown = samples::proposal(9);
        let facts = Facts::with(shown.clone());
        let (one, other) = (shown.steps[0].migration.vm, shown.steps[1].migration.vm);
        let tag = facts.tag();
        let by = Person { id: OPERATOR, name: "Oleg".into() };
        shown.choose(Selection::LeaveOut(one), &by, samples::now());
        let changed = Facts::with(shown);
        for (letters, selection) in [
            (format!("x:{other}"), Selection::LeaveOut(other)),
            (format!("x:{one}"), Selection::LeaveOut(one)),
            (format!("i:{one}"), Selection::TakeIn(one)),
            ("k:8".into(), Selection::KeepFirst(8)),
            ("n:10".into(), Selection::OnlyNode(NodeId(10))),
            ("l".into(), Selection::KeepAll),
            ("g:9".into(), Selection::Show(9)),
        ] {
            let asked = changed.asked(OPERATOR, &format!("p:12:{tag}:{letters}"));
            assert!(matches!(asked, Some(Ask::Choose(_, of, _)) if of == selection), "{letters}");
        }
        for nothing in ["k:10", "g:0", "n:99", "i:424242"] {
            assert!(changed.asked(OPERATOR, &format!("p:12:{tag}:{nothing}")).is_none(), "{nothing}");
        }
        assert!(matches!(changed.asked(OPERATOR, &format!("p:12:{tag}:r")), Some(Ask::Reject(..))));
    }

    #[test]
    fn a_press_that_names_nothing_known_is_answered_in_a_window() {
        let facts = Facts::with(samples::proposal(2));
        let tag = facts.tag();
        for data in ["", "nonsense", "p:1:x", &format!("p:99:{tag}:a"), &format!("p:12:{tag}:x:424242")] {
            let effects = facts.handle(&press(ADMIN, data)).effects;
            assert!(
                matches!(effects.as_slice(), [Effect::AnswerPress(PressAnswer::Window(_))]),
                "{data}: {effects:?}"
            );
        }
        let gone = Facts::default().asked(ADMIN, &format!("p:12:{tag}:a"));
        assert!(gone.is_none(), "the record is gone");
    }

    #[test]
    fn a_press_does_nothing_but_what_its_message_carries() {
        let facts = Facts::with(samples::proposal(2));
        let approve = format!("p:12:{}:a", facts.tag());
        let other = format!("p:99:{}:a", facts.tag());
        let buttons = |data: &[&str]| Under::Other(Some(data.iter().map(|it| (*it).to_owned()).collect()));
        let asks = |data: &str, under: Under| {
            let what = What::Press { press: "1".into(), data: data.into(), under };
            facts.handle(&Incoming { what, ..text(ADMIN, "") }).ask.is_some()
        };
        let plan = || Under::Plan(ProposalId(12));
        assert!(asks(&approve, plan()) && asks("s", buttons(&["s", "b:1"])) && asks("s", Under::Other(None)));
        assert!(asks(&approve, buttons(&[&approve])), "a message of which it is unknown whether it arrived");
        for forged in ["s", "h:0:", "b:1", "c", &other] {
            assert!(!asks(forged, plan()), "{forged}");
        }
        assert!(!asks("s", Under::Alert) && asks("a:t:a-store", Under::Alert));
        for under in [buttons(&["s"]), buttons(&[&other]), Under::Alert, Under::Other(None)] {
            assert!(!asks(&approve, under.clone()), "{under:?}");
        }
        assert!(!asks("h:0:", buttons(&["s", "b:1"])) && !asks("s", buttons(&[])));
    }

    #[test]
    fn what_is_changed_elsewhere_is_shown_in_the_chat_for_reports() {
        let changed = |place: Place, thread: Option<i32>, home_language: Language| {
            let facts = Facts { home_language, ..Facts::default() };
            let incoming = Incoming { place, thread, ..text(ADMIN, "/mode auto") };
            let turn = facts.handle(&incoming);
            let worded: Worded = Box::new(|view: &View, _| Answer::Page(view.line("Mode: auto".into())));
            let effects = go_on(Ok(worded), turn.reports, &incoming, &facts.context());
            effects.into_iter().find_map(|effect| match effect {
                Effect::Report(page) => Some(page.plain()),
                _ => None,
            })
        };
        let group = Place { chat: GROUP, private: false };
        let en = Language::En;
        assert_eq!(changed(group, None, en), None, "everybody sees the answer");
        let said = "Somebody (1): /mode auto\nMode: auto";
        let private = Place { chat: ADMIN, private: true };
        assert_eq!(changed(private, None, en).as_deref(), Some(said));
        assert_eq!(changed(group, Some(7), en).as_deref(), Some(said));
        let russian = changed(private, None, Language::Ru);
        assert_eq!(russian.as_deref(), Some("Somebody (1): /mode auto"), "no English in a Russian chat");
    }

    #[test]
    fn what_somebody_shows_is_no_command() {
        let shown = |private: bool| {
            let what = What::Text { text: "/mode auto".into(), at: samples::now(), quoted: true };
            let place = Place { chat: if private { ADMIN } else { GROUP }, private };
            Facts::default().handle(&Incoming { what, place, ..text(ADMIN, "") })
        };
        assert!(shown(false).effects.is_empty() && shown(false).ask.is_none());
        assert!(shown(true).ask.is_none() && replies(&shown(true).effects) == 1, "in private it is said");
    }

    #[test]
    fn a_command_of_long_ago_is_refused_and_one_of_just_now_is_not() {
        let at = |age: TimeDelta| {
            let what = What::Text { text: "/mode auto".into(), at: samples::now() - age, quoted: false };
            Facts::default().handle(&Incoming { what, ..text(ADMIN, "") })
        };
        assert!(at(COMMAND_AGE_MAX).ask.is_some());
        let old = at(COMMAND_AGE_MAX + TimeDelta::seconds(1));
        assert!(old.ask.is_none() && replies(&old.effects) == 1, "{:?}", old.effects);
    }

    #[test]
    fn a_refusal_is_a_message_to_a_command_and_a_window_to_a_press() {
        let facts = Facts::default();
        let answer =
            |incoming: &Incoming| go_on(Err(Refused::NothingRunning), false, incoming, &facts.context());
        assert_eq!(replies(&answer(&text(OPERATOR, "/cancel"))), 1);
        let pressed = answer(&press(OPERATOR, "c"));
        assert!(matches!(pressed.as_slice(), [Effect::AnswerPress(PressAnswer::Window(_))]), "{pressed:?}");
    }

    #[test]
    fn everything_said_in_a_dry_run_says_so_first() {
        let facts = Facts { dry_run: true, ..Facts::default() };
        for said in ["/help", "/whoami", "/nonsense", "/mode x"] {
            let effects = facts.handle(&text(ADMIN, said)).effects;
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
        home_language: Language,
    }

    impl Default for Facts {
        fn default() -> Self {
            let lists = Lists {
                admins: BTreeSet::from([ADMIN]),
                operators: BTreeSet::from([OPERATOR]),
                viewers: BTreeSet::from([VIEWER]),
                chat: Some(GROUP),
            };
            let home_language = Language::En;
            Self { lists, dry_run: false, stranger_answer_due: true, proposal: None, home_language }
        }
    }

    impl Facts {
        fn with(proposal: Proposal) -> Self {
            Self { proposal: Some(proposal), ..Self::default() }
        }

        fn context(&self) -> Context<'_> {
            Context {
                view: View::new(Language::En, chrono_tz::UTC),
                now: samples::now(),
                bot: "bot",
                home: Some((GROUP, None)),
                home_view: View::new(self.home_language, chrono_tz::UTC),
                lists: &self.lists,
                chat_admins: &ChatAdmins::Unknown,
                dry_run: self.dry_run,
                stranger_answer_due: self.stranger_answer_due,
                proposal: self.proposal.as_ref(),
            }
        }

        fn handle(&self, incoming: &Incoming) -> Turn {
            handle(incoming, &self.context())
        }

        fn tag(&self) -> String {
            self.proposal.as_ref().map(Proposal::tag).unwrap_or_default()
        }

        fn asked(&self, person: i64, data: &str) -> Option<Ask> {
            self.handle(&press(person, data)).ask
        }
    }

    fn said_by(person: i64, said: &str) -> Turn {
        Facts::default().handle(&text(person, said))
    }

    fn text(person: i64, said: &str) -> Incoming {
        Incoming {
            place: Place { chat: GROUP, private: false },
            thread: None,
            message: 5,
            sender: Sender::Person(Person { id: person, name: "Somebody".into() }),
            what: What::Text { text: said.into(), at: samples::now(), quoted: false },
        }
    }

    fn press(person: i64, data: &str) -> Incoming {
        let under = proposal::named_in(data).map_or(Under::Other(None), Under::Plan);
        let what = What::Press { press: "1".into(), data: data.into(), under };
        Incoming { what, ..text(person, "") }
    }

    fn replies(effects: &[Effect]) -> usize {
        effects.iter().filter(|effect| matches!(effect, Effect::Reply(_))).count()
    }

    fn is_refused(effects: &[Effect]) -> bool {
        effects.iter().any(|effect| matches!(effect, Effect::Audit { what: "refused", .. }))
    }
}
