//! All commands together, and what each command's test needs: a text goes in, and out comes what people see.

use std::collections::BTreeSet;

use super::*;
use crate::{
    model::{NodeId, Person, ProposalId, VmId, find},
    planner,
    scheduler::{
        Approved, Balanced, Cancelled, Change, Changed, Drained, Forecast, Foreseen, Maintained, Picture,
        PlanOf, Refused, Rounded, Status, Stopped, Watched, WhatIf,
    },
    store::{Begin, Edge, Happened, Proposal, ProposalState, RoundNode, Timeline},
    talk::{
        Language,
        access::{ChatAdmins, Lists, Sender},
        ask::{Ask, Spoken, Whose, Worded},
        chart::{Course, Days},
        dialog::{self, Context, Effect, Incoming, What},
        samples,
        view::{Page, View},
        words::args,
    },
};

#[test]
fn every_command_with_the_role_it_needs_and_its_line_in_every_language() {
    let lines = ALL.map(|verb| {
        assert!(verb.usage.starts_with(&format!("/{}", verb.word)));
        let about = Language::ALL.map(|language| language.say(&format!("help-{}", verb.word), args![]));
        format!("{} · {:?} · {}", verb.usage, verb.least_role, about.join(" · "))
    });
    insta::assert_snapshot!("every_command", lines.join("\n"));
}

#[test]
fn every_example_is_understood() {
    for example in ALL.into_iter().flat_map(|verb| verb.examples) {
        read(example);
    }
}

#[test]
fn help_grows_with_the_role() {
    let view = View::new(Language::En, chrono_tz::UTC);
    let counts = [Role::Viewer, Role::Operator, Role::Admin]
        .map(|role| help::commands(&view, String::new(), role).plain().lines().count());
    assert!(counts.is_sorted() && counts[0] < counts[2], "{counts:?}");
}

#[test]
fn every_word_and_every_button_is_its_own() {
    let words: BTreeSet<_> = ALL.map(|verb| verb.word).into();
    assert_eq!(words.len(), ALL.len());
    let mut marks: Vec<_> =
        ALL.into_iter().filter_map(|verb| verb.button).map(|button| button.mark).collect();
    marks.push(proposal::BUTTON.mark);
    let unique: BTreeSet<_> = marks.iter().collect();
    assert_eq!(unique.len(), marks.len());
}

#[test]
fn other_data_than_ours_is_no_button() {
    for data in ["", "p", "p:1", "b:", "b:x", "h:1", "h:o:1:1:0:0:", "h:0:0", "x:1", "c:x", "s:x"] {
        assert!(read_press(data).is_none(), "{data}");
    }
}

#[test]
fn upper_case_and_extra_spaces_do_not_matter() {
    assert_eq!(read("  /BALANCE   msk  ").0.word, "balance");
    assert_eq!(read("/Status@Balancer_Bot").0.word, "status");
}

#[test]
fn what_is_not_for_the_bot_is_recognised() {
    assert!(matches!(parse("/status@other_bot", "balancer_bot"), Parsed::ForAnotherBot));
    assert!(matches!(parse("hello", "balancer_bot"), Parsed::NotACommand));
    assert!(matches!(parse("", "balancer_bot"), Parsed::NotACommand));
}

#[test]
fn unknown_and_malformed_commands_get_the_usage_and_a_suggestion() {
    let texts =
        ["/balence 1", "/stats", "/xyzzy", "/", "/exclude", "/mode propse", "/pause 30", "/resume now"];
    let more = ["/dryrun on please", "/help foo", "/node \"a", "hello"];
    insta::assert_snapshot!(texts.into_iter().chain(more).map(answers).collect::<Vec<_>>().join("\n"));
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in "\\PC*") {
        let _ = parse(&text, "balancer_bot");
        for verb in ALL {
            let _ = parse(&format!("/{} {text}", verb.word), "balancer_bot");
        }
        let _ = read_press(&text);
    }
}

/// What the scheduler and the store answer.
pub(in crate::talk) struct Found {
    pub status: Status,
    pub history: Vec<Happened>,
    pub balanced: Balanced,
    pub changed: Changed,
    /// The answer to everything, where there is one.
    pub refused: Option<Refused>,
}

impl Default for Found {
    fn default() -> Self {
        let entries = [samples::entry(1, 1), samples::entry(2, 2), samples::entry(3, 3)];
        Self {
            status: samples::status(samples::picture()),
            history: entries.map(|entry| Happened::Migration(Box::new(entry))).into(),
            balanced: Balanced::NothingToDo(Box::new(samples::plan(Vec::new()))),
            changed: Changed::Done,
            refused: None,
        }
    }
}

impl Found {
    /// A history of plans that came to nothing.
    pub(in crate::talk) fn with_plans() -> Self {
        let at = samples::now();
        let rejected = ProposalState::Rejected { by: samples::anna(), at, reason: None };
        let dropped = samples::ended(samples::proposal(3));
        let plans = [
            Proposal { state: rejected, ..samples::proposal(1) },
            Proposal { state: ProposalState::Expired { at }, ..samples::proposal(1) },
            Proposal { state: ProposalState::Stale { at }, ..samples::proposal(1) },
            dropped,
        ];
        Self { history: plans.map(|plan| Happened::Plan(Box::new(plan))).into(), ..Self::default() }
    }

    pub(in crate::talk) fn of(picture: Picture) -> Self {
        let status = Status { running: Vec::new(), ..samples::status(picture) };
        Self { status, ..Self::default() }
    }

    /// The planner's answers on the picture.
    fn foresee(&self, question: WhatIf) -> Result<Foreseen, Refused> {
        let Picture { snapshot, policy, .. } = self.status.picture.clone().ok_or(Refused::Stopping)?;
        let node = |named: &str| find::node(&snapshot, named).map_err(Refused::Missed);
        let (cluster, what) = match question {
            WhatIf::Drain { node: named } => {
                let node = node(&named)?;
                let drain = planner::drain(&snapshot, &policy, node.id).unwrap();
                (node.cluster, Forecast::Drain(Box::new(drain)))
            }
            WhatIf::Lose { node: named } => {
                let node = node(&named)?;
                let loss = planner::node_loss(&snapshot, &policy, node.id).unwrap();
                (node.cluster, Forecast::Lose(Box::new(loss)))
            }
            WhatIf::Add { count, memory, vcpus, cluster } => {
                let named = cluster.unwrap_or_else(|| "1".into());
                let id = find::cluster(&snapshot, &named).map_err(Refused::Missed)?.id;
                let growth = planner::growth(&snapshot, &policy, id, count, vcpus, memory).unwrap();
                (id, Forecast::Add { growth, vcpus_guessed: vcpus.is_none() })
            }
        };
        let cluster_name = snapshot.cluster(cluster).unwrap().name.clone();
        let (taken_at, incomplete) = (snapshot.taken_at, Vec::new());
        Ok(Foreseen { taken_at, cluster, cluster_name, incomplete, what })
    }

    fn answer(&self, ask: Ask) -> Result<Worded, Refused> {
        if let Some(refused) = &self.refused {
            return Err(refused.clone());
        }
        Ok(match ask {
            Ask::Hand(_, _, then) => then.with(true),
            Ask::Settings(then) => then.with(samples::settings()),
            Ask::Language(choice, then) => {
                let of = |whose| choice.and_then(|(who, language)| language.filter(|_| who == whose));
                let (person, chat) = (of(Whose::Person), of(Whose::Chat));
                then.with(Spoken { person, chat, default: Language::En })
            }
            Ask::Status(then) | Ask::Glance(then, _) => then.with(self.status.clone()),
            Ask::Audit(_, _, then) => then.with(vec![
                crate::store::AuditEntry::new(
                    samples::now(),
                    Some(samples::anna()),
                    "approve",
                    "proposal 12",
                ),
                crate::store::AuditEntry::new(samples::now(), None, "restored", "from the export"),
            ]),
            Ask::History(part, then) => {
                let older = (part.count < self.history.len()).then_some(Edge { migration: 2, proposal: 12 });
                let rows = self.history.iter().take(part.count).cloned().collect();
                then.with(HistoryPage { part, found: Timeline { rows, older, ..Timeline::default() } })
            }
            Ask::Balance(_, then) | Ask::Refresh(_, then) => then.with(self.balanced.clone()),
            Ask::Drain(node, then) => {
                let skip = samples::plan(Vec::new()).skipped;
                then.with(Drained::Stuck { node, stuck: skip })
            }
            Ask::Maintain(_, then) => {
                let drain = planner::maintenance(
                    &samples::picture().snapshot,
                    &samples::picture().policy,
                    &[NodeId(10), NodeId(20)],
                );
                then.with(Maintained::CannotHold { nodes: drain.iter().map(RoundNode::foreseen).collect() })
            }
            Ask::Round(_, _, then) => then.with(Rounded::Over),
            Ask::WhatIf(question, then) => then.with(self.foresee(question)?),
            Ask::Course(_, then) => then.with((Box::new(self.status.clone()), Course::default())),
            Ask::Days(then) => then.with(Days::default()),
            Ask::Cancel(_, then) => {
                then.with(Cancelled { plan: ProposalId(12), cluster: "msk".into(), what: Stopped::Running })
            }
            Ask::Approve(_, _, _, then) => then.with(Approved::Started),
            Ask::ApproveAt(_, at, then) => {
                let plan = PlanOf { plan: ProposalId(12), cluster: "msk".into() };
                then.with((plan, Approved::Later(Begin::At(at))))
            }
            Ask::Undo(_, then) => then.with(ProposalId(13)),
            Ask::Return(_, then) => then.with(self.balanced.clone()),
            Ask::Reject(_, _, then) => then.with(()),
            Ask::Watch(_, _, then) => {
                then.with(Watched::GivenUp(PlanOf { plan: ProposalId(12), cluster: "msk".into() }))
            }
            Ask::Choose(_, _, then) => then.with(Box::new(samples::proposal(2))),
            Ask::Change(Change::Exclude { .. } | Change::Include { .. }, then)
                if self.changed == Changed::Done =>
            {
                let changed = Changed::Nodes(vec![(NodeId(10), "node-001".into())]);
                then.with((changed, Box::new(self.status.clone())))
            }
            Ask::Change(Change::Set { value, .. }, then) if self.changed == Changed::Done => {
                let mut now = samples::settings().remove(1);
                now.value = value.unwrap_or_default();
                let changed = Changed::Setting { before: "10".into(), now: Box::new(now) };
                then.with((changed, Box::new(self.status.clone())))
            }
            Ask::Change(Change::EndRest { .. }, then) if self.changed == Changed::Done => {
                let changed = Changed::Vms(vec![(VmId(1000), "web-1".into())]);
                then.with((changed, Box::new(self.status.clone())))
            }
            Ask::Change(_, then) => then.with((self.changed.clone(), Box::new(self.status.clone()))),
        })
    }
}

/// What an admin sees who writes this, in every language.
pub(in crate::talk) fn answers(text: &str) -> String {
    answers_to(text, Found::default())
}

/// The same with other answers of the scheduler.
pub(in crate::talk) fn answers_to(text: &str, found: Found) -> String {
    let both = Language::ALL.map(|language| conversation(text, &found, language));
    format!("> {text}\n{}", both.join("\n"))
}

fn conversation(text: &str, found: &Found, language: Language) -> String {
    let person = Person { id: 1, name: "Somebody".into() };
    let lists = Lists { admins: BTreeSet::from([1]), chat: Some(-100), ..Lists::default() };
    let incoming = Incoming {
        place: Place { chat: -100, private: true },
        thread: Some(5),
        message: 5,
        sender: Sender::Person(person),
        what: What::Text { text: text.into(), at: samples::now(), quoted: false },
    };
    let context = Context {
        view: View::new(language, chrono_tz::UTC),
        now: samples::now(),
        bot: "balancer_bot",
        home: Some((-100, None)),
        home_view: View::new(language, chrono_tz::UTC),
        lists: &lists,
        chat_admins: &ChatAdmins::Unknown,
        dry_run: false,
        stranger_answer_due: true,
        proposal: None,
    };
    let turn = dialog::handle(&incoming, &context);
    let answered = turn.ask.map(|ask| dialog::go_on(found.answer(ask), turn.reports, &incoming, &context));
    let effects = turn.effects.into_iter().chain(answered.into_iter().flatten());
    let pages: Vec<_> = effects
        .filter_map(|effect| match effect {
            Effect::Reply(page) => Some(drawn(&page)),
            _ => None,
        })
        .collect();
    if pages.is_empty() { "(no message)".to_owned() } else { pages.join("\n") }
}

fn drawn(page: &Page) -> String {
    let rows = page.buttons.iter().map(|row| {
        row.iter().map(|button| format!("[{} {}]", button.label, button.data)).collect::<String>()
    });
    std::iter::once(page.html()).chain(rows).collect::<Vec<_>>().join("\n")
}

/// Reads a text that must be understood.
pub(in crate::talk) fn read(text: &str) -> (&'static Verb, Box<dyn Act>) {
    match parse(text, "balancer_bot") {
        Parsed::Known { verb, act } => (verb, act),
        Parsed::Malformed { problem, .. } => panic!("{text}: {problem:?}"),
        _ => panic!("{text} is no command"),
    }
}

/// Reads a text that must not be understood.
pub(in crate::talk) fn problem(text: &str) -> Problem {
    match parse(text, "balancer_bot") {
        Parsed::Malformed { problem, .. } => problem,
        _ => panic!("{text} is understood"),
    }
}
