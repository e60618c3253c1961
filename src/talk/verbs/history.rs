//! `/history [N|days|vm|node|person]`: what was moved, and plans that came to nothing, newest first.

use chrono::{DateTime, Utc};

use super::link;
use crate::{
    store::{
        Edge, Happened, JournalEntry, JournalState, Outcome, PageAt, Proposal, ProposalState, Step,
        StepState, Timeline,
    },
    talk::{
        access::Role,
        ask::{Answer, Ask, Document, HistoryPart, Next, Then},
        chart::Wanted,
        grammar::{Rest, Word},
        rows::{self, Row},
        verb::{Act, Asker, ButtonKind, Verb, erase},
        view::{BUTTON_DATA_BYTES_MAX, Page, View},
        words::{
            Arg, args, escape,
            format::{code, name, packed},
            plain,
        },
    },
};

pub(super) static VERB: Verb = Verb {
    word: "history",
    usage: "/history [N] [7d] [vm|node|person]",
    examples: &["/history 20", "/history web-*", "/history 7d Anna"],
    least_role: Role::Viewer,
    read: |rest| Ok(erase(History::read(rest))),
    button: Some(ButtonKind { mark: "h", read: press }),
};

/// As many entries as fit one message of 4096 UTF-16 units.
const PAGE_MAX: usize = 20;

/// As many entries as a phone shows without much scrolling.
const PAGE: usize = 10;

/// More rows are a matter for the command line: a chat's file is looked at on a phone.
const CSV_ROWS_MAX: usize = 10_000;

/// The history is kept for less.
const DAYS_MAX: u32 = 3660;

/// One part of the history.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryPage {
    pub part: HistoryPart,
    pub found: Timeline,
}

#[derive(Debug, PartialEq, Eq)]
struct History(HistoryPart);

/// The buttons under a history: another part of it in the same message.
#[derive(Debug, PartialEq, Eq)]
struct Turn(HistoryPart);

/// The button that asks for all of it as a file.
#[derive(Debug, PartialEq, Eq)]
struct AsCsv {
    of: Option<String>,
    days: Option<u32>,
}

fn press(rest: &str) -> Option<Box<dyn Act>> {
    match rest.strip_prefix("c:") {
        Some(rest) => AsCsv::read(rest).map(erase),
        None => Turn::read(rest).map(erase),
    }
}

impl AsCsv {
    fn data(&self) -> String {
        format!("h:c:{}:{}", self.days.unwrap_or(0), self.of.as_deref().unwrap_or_default())
    }

    fn read(rest: &str) -> Option<Self> {
        let (days, of) = rest.split_once(':')?;
        let days: u32 = days.parse().ok().filter(|days| *days <= DAYS_MAX)?;
        Some(Self {
            of: Some(of.to_owned()).filter(|of| !of.is_empty()),
            days: Some(days).filter(|days| *days > 0),
        })
    }
}

impl History {
    /// A small number is how many entries, a number with a `d` how many days; anything else is a name or an id.
    /// VMmanager's ids begin where small numbers end.
    fn read(mut rest: Rest) -> Self {
        let mut part = HistoryPart { at: PageAt::Newest, count: PAGE, of: None, days: None };
        let mut named: Vec<String> = Vec::new();
        while let Some(Word { text, quoted }) = rest.next_word() {
            match (days(&text), text.parse()) {
                (Some(days), _) if !quoted && part.days.is_none() => part.days = Some(days),
                (_, Ok(count)) if !quoted && (1..=PAGE_MAX).contains(&count) => part.count = count,
                _ => named.push(text),
            }
        }
        part.of = Some(named.join(" ")).filter(|name| !name.is_empty());
        Self(part)
    }
}

/// `7d`, also in Cyrillic.
fn days(text: &str) -> Option<u32> {
    let days = text.strip_suffix(['d', 'д'])?.parse().ok()?;
    (1..=DAYS_MAX).contains(&days).then_some(days)
}

impl Turn {
    /// Returns the data of the button, which is too long for a button where the name is very long.
    fn data(&self) -> String {
        let HistoryPart { at, count, of, days } = &self.0;
        let (mark, edge) = match at {
            PageAt::OlderThan(edge) => ('o', *edge),
            PageAt::NewerThan(edge) => ('n', *edge),
            PageAt::Newest => ('t', Edge { migration: 0, proposal: 0 }),
        };
        let Edge { migration, proposal } = edge;
        let (days, of) = (days.unwrap_or(0), of.as_deref().unwrap_or_default());
        format!("h:{mark}:{migration}:{proposal}:{count}:{days}:{of}")
    }

    fn read(rest: &str) -> Option<Self> {
        let mut parts = rest.splitn(6, ':');
        let mark = parts.next()?;
        let edge = Edge { migration: parts.next()?.parse().ok()?, proposal: parts.next()?.parse().ok()? };
        let at = match mark {
            "o" => PageAt::OlderThan(edge),
            "n" => PageAt::NewerThan(edge),
            "t" => PageAt::Newest,
            _ => return None,
        };
        let count = parts.next()?.parse().ok().filter(|count| (1..=PAGE_MAX).contains(count))?;
        let days: u32 = parts.next()?.parse().ok().filter(|days| *days <= DAYS_MAX)?;
        let of = Some(parts.next()?.to_owned()).filter(|of| !of.is_empty());
        Some(Self(HistoryPart { at, count, of, days: Some(days).filter(|days| *days > 0) }))
    }
}

impl Act for History {
    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let then = Then::new(|found, view, now| Answer::Page(page(view, &found, now)));
        Next::Ask(Ask::History(self.0, then))
    }
}

impl Act for Turn {
    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let then = Then::new(|found, view, now| Answer::Rewrite(page(view, &found, now)));
        Next::Ask(Ask::History(self.0, then))
    }
}

impl Act for AsCsv {
    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let Self { of, days } = *self;
        let part = HistoryPart { at: PageAt::Newest, count: CSV_ROWS_MAX, of, days };
        Next::Ask(Ask::History(part, Then::new(|found, view: &View, now| csv(view, &found, now))))
    }
}

/// Every migration that was asked for, as a file.
fn csv(view: &View, page: &HistoryPage, now: DateTime<Utc>) -> Answer {
    let migrations = page.found.rows.iter().filter_map(|row| match row {
        Happened::Migration(entry) => Some(Row::from(entry.as_ref())),
        Happened::Plan(_) => None,
    });
    let rows: Vec<_> = migrations.collect();
    let Ok(text) = rows::csv(&rows, true) else {
        return Answer::Window(plain(&view.say("broke", args![])));
    };
    let mut lines = vec![view.say("history-csv", args![n = rows.len()])];
    lines.extend(page.found.older.map(|_| view.say("history-csv-cut", args![])));
    Answer::Document(Document {
        name: format!("history-{}.csv", now.with_timezone(&view.timezone).format("%Y-%m-%d")),
        // Without the mark in front Excel takes Cyrillic letters for something else.
        text: format!("\u{feff}{text}"),
        caption: view.narrow_page(lines),
    })
}

fn page(view: &View, page: &HistoryPage, now: DateTime<Utc>) -> Page {
    let HistoryPage { part, found } = page;
    let mut lines = vec![match &part.of {
        Some(of) => view.say("history-title-of", args![of = name(of)]),
        None => view.say("history-title", args![]),
    }];
    lines.extend(part.days.map(|days| view.say("history-days", args![n = days])));
    if found.rows.is_empty() && found.searched_to.is_none() {
        lines.push(match &part.of {
            Some(of) => view.say("history-nothing-of", args![of = name(of)]),
            None => view.say("history-empty", args![]),
        });
    }
    let head = lines.len();
    lines.extend(found.rows.iter().map(|row| {
        let lines = match row {
            Happened::Migration(entry) => row_lines(view, entry),
            Happened::Plan(proposal) => plan_lines(view, proposal, row.at(), now),
        };
        lines.join("\n")
    }));
    // What has no room here is the first of the older ones.
    let fits = view.fitting(&lines);
    let (dropped, older) = match found.rows.get(fits.saturating_sub(head)..) {
        Some(dropped) if !dropped.is_empty() => (dropped.len(), Some(older_from(dropped, found.older))),
        _ => (0, found.older),
    };
    lines.truncate(lines.len() - dropped);
    lines.extend(found.searched_to.map(|to| view.say("history-searched", args![to = view.stamp(to)])));
    let mut page = view.narrow_page(lines);
    let button = |label, at| {
        let data = Turn(HistoryPart { at, ..part.clone() }).data();
        (data.len() <= BUTTON_DATA_BYTES_MAX).then(|| view.button(label, data))
    };
    let newer = found.newer.and_then(|edge| button("button-newer", PageAt::NewerThan(edge)));
    let older = older.and_then(|edge| button("button-older", PageAt::OlderThan(edge)));
    let row: Vec<_> = newer.into_iter().chain(older).collect();
    page.buttons.extend((!row.is_empty()).then_some(row));
    page.buttons.push(vec![view.button("button-chart", Wanted::History.data())]);
    let data = AsCsv { of: part.of.clone(), days: part.days }.data();
    if !found.rows.is_empty() && data.len() <= BUTTON_DATA_BYTES_MAX {
        page.buttons.push(vec![view.button("button-csv", data)]);
    }
    page
}

/// Where the older entries begin that no page has shown yet.
fn older_from(dropped: &[Happened], older: Option<Edge>) -> Edge {
    let older = older.unwrap_or(Edge { migration: 0, proposal: 0 });
    let newest = |id: &dyn Fn(&Happened) -> Option<u64>| dropped.iter().filter_map(id).max();
    let migration = newest(&|row| match row {
        Happened::Migration(entry) => Some(entry.id.0 + 1),
        Happened::Plan(_) => None,
    });
    let proposal = newest(&|row| match row {
        Happened::Plan(proposal) => Some(proposal.id.0 + 1),
        Happened::Migration(_) => None,
    });
    Edge { migration: migration.unwrap_or(older.migration), proposal: proposal.unwrap_or(older.proposal) }
}

/// `– Plan 12, msk`, when, and what became of it.
fn plan_lines(view: &View, proposal: &Proposal, at: DateTime<Utc>, now: DateTime<Utc>) -> Vec<String> {
    let state = match &proposal.state {
        ProposalState::Done { .. } => {
            let dropped =
                |step: &&Step| matches!(&step.state, StepState::Ended { outcome: Outcome::Dropped, .. });
            vec![view.say("history-dropped", args![n = proposal.steps.iter().filter(dropped).count()])]
        }
        // Until when it held is said under the plan itself.
        ProposalState::Rejected { reason, .. } => {
            let lines = view.state_lines(proposal, now);
            lines.into_iter().take(1 + usize::from(reason.is_some())).collect()
        }
        _ => view.state_lines(proposal, now).iter().flat_map(|it| it.lines()).map(str::to_owned).collect(),
    };
    let (plan, cluster) = (proposal.id.to_string(), name(&proposal.cluster_name));
    let title = format!("– {}", view.say("history-plan", args![plan = plan, cluster = cluster]));
    let first = packed("", [title, view.stamp(at)], ", ");
    first.into_iter().chain(state.into_iter().map(|line| format!("   {}", line.trim_start()))).collect()
}

fn row_lines(view: &View, entry: &JournalEntry) -> Vec<String> {
    let (mark, outcome) = match entry.outcome() {
        Some((Outcome::Done, _)) => ("✓", view.outcome(Outcome::Done)),
        Some((outcome, _)) => ("✗", view.outcome(outcome)),
        None => ("▸", view.say("history-open", args![])),
    };
    let detail = match &entry.state {
        JournalState::Closed { detail: Some(detail), outcome, at, .. } if *outcome != Outcome::Done => {
            Some(view.ending(detail, *at))
        }
        _ => None,
    };
    let vm = format!("{mark} {} {}:", code(&name(&entry.vm_name)), link::vm(entry.vm));
    let nodes = format!("{} → {}", escape(&name(&entry.source_name)), escape(&name(&entry.target_name)));
    let lasts = entry.outcome().map(|(_, at)| view.lasting(at - entry.intended_at));
    let lasts = lasts.map(|lasts| view.say("history-lasts", args![lasts = lasts]));
    let who = view.say("plan-approved-by", args![who = Arg::Html(view.approver(&entry.approver))]);
    let facts = [outcome].into_iter().chain(detail);
    let facts = facts.chain([view.stamp(entry.intended_at)]).chain(lasts);
    let mut lines = packed("", [vm, nodes], " ");
    lines.extend(packed("   ", facts.chain([who, view.motive(&entry.why)]), ", "));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::verbs::tests::{Found, answers, answers_to};

    #[test]
    fn it_takes_a_number_days_and_a_name() {
        let read = |text| History::read(Rest::of(text).unwrap());
        let of = |count, days, of: Option<&str>| {
            History(HistoryPart { at: PageAt::Newest, count, of: of.map(str::to_owned), days })
        };
        assert_eq!(read(""), of(PAGE, None, None));
        assert_eq!(read("5"), of(5, None, None));
        assert_eq!(read("1000"), of(PAGE, None, Some("1000")));
        assert_eq!(read("\"5\""), of(PAGE, None, Some("5")));
        assert_eq!(read("web-1 7д"), of(PAGE, Some(7), Some("web-1")));
        assert_eq!(read("30d 3 Anna B"), of(3, Some(30), Some("Anna B")));
    }

    #[test]
    fn entries_come_newest_first_with_buttons_to_the_others() {
        let nothing = || Found { history: Vec::new(), ..Found::default() };
        let texts = [answers("/history 2"), answers("/history web-1"), answers_to("/history", nothing())];
        let more = [answers_to("/history web-9", nothing()), answers_to("/history 7d", Found::with_plans())];
        insta::assert_snapshot!(texts.into_iter().chain(more).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn a_search_that_goes_on_says_how_far_it_came() {
        let page = |language, rows: Vec<Happened>| {
            let part = HistoryPart { at: PageAt::Newest, count: 10, of: Some("web-9".into()), days: None };
            let older = Some(Edge { migration: 7, proposal: 3 });
            let searched_to = Some(crate::talk::samples::now());
            let found =
                HistoryPage { part, found: Timeline { rows, older, searched_to, ..Timeline::default() } };
            let view = View::new(language, chrono_tz::UTC);
            super::page(&view, &found, crate::talk::samples::now()).plain()
        };
        let found = vec![Happened::Migration(Box::new(crate::talk::samples::entry(1, 1)))];
        let pages = [
            page(crate::talk::Language::En, Vec::new()),
            page(crate::talk::Language::En, found),
            page(crate::talk::Language::Ru, Vec::new()),
        ];
        insta::assert_snapshot!(pages.join("\n\n"));
    }

    #[test]
    fn entries_that_have_no_room_are_the_first_of_the_older_ones() {
        let detail = Some(crate::store::Ending::Other(crate::model::Quote::of(&"long ".repeat(60))));
        let entries = (1..=20).rev().map(|id| {
            let state = JournalState::Closed {
                outcome: Outcome::Failed,
                detail: detail.clone(),
                at: crate::talk::samples::now(),
                ordered: true,
                consul_id: None,
                task_id: None,
            };
            Happened::Migration(Box::new(JournalEntry { state, ..crate::talk::samples::entry(id, 1) }))
        });
        let part = HistoryPart { at: PageAt::Newest, count: 20, of: None, days: None };
        let found = HistoryPage { part, found: Timeline { rows: entries.collect(), ..Timeline::default() } };
        let page = super::page(
            &View::new(crate::talk::Language::En, chrono_tz::UTC),
            &found,
            crate::talk::samples::now(),
        );
        let shown = page.plain().matches('✗').count();
        assert!((5..20).contains(&shown), "{shown}");
        let older = page.buttons.concat().into_iter().find(|it| it.data.starts_with("h:o:")).unwrap();
        assert!(older.data.starts_with(&format!("h:o:{}:", 20 - shown + 1)), "{}", older.data);
    }

    #[test]
    fn all_of_it_comes_as_a_file_that_runs_nothing() {
        let csv = AsCsv { of: Some("a:b".into()), days: Some(7) };
        assert_eq!(csv.data().strip_prefix("h:c:").and_then(AsCsv::read), Some(csv));
        assert!(AsCsv::read("9999:").is_none() && AsCsv::read("x:").is_none() && AsCsv::read("7").is_none());
        let entry = JournalEntry {
            vm_name: "=cmd|' /C calc'!A0\u{202e}\n".into(),
            ..crate::talk::samples::entry(1, 1)
        };
        let part = HistoryPart { at: PageAt::Newest, count: 1, of: None, days: None };
        let older = Some(Edge { migration: 1, proposal: 1 });
        let rows = vec![Happened::Migration(Box::new(entry))];
        let found = HistoryPage { part, found: Timeline { rows, older, ..Timeline::default() } };
        let view = View::new(crate::talk::Language::En, chrono_tz::UTC);
        let Answer::Document(file) = super::csv(&view, &found, crate::talk::samples::now()) else { panic!() };
        insta::assert_snapshot!(format!("{}\n{}\n{}", file.name, file.caption.plain(), file.text));
    }

    #[test]
    fn its_buttons_are_read_again() {
        let edge = Edge { migration: 20, proposal: 7 };
        for (at, days, of) in [
            (PageAt::Newest, None, None),
            (PageAt::OlderThan(edge), Some(7), Some("web:1".to_owned())),
            (PageAt::NewerThan(edge), None, Some("a b".to_owned())),
        ] {
            let turn = Turn(HistoryPart { at, count: 10, of, days });
            let data = turn.data();
            assert_eq!(data.strip_prefix("h:").and_then(Turn::read), Some(turn), "{data}");
        }
        for rest in ["1", "o:1:1:0:0:", "o:1:1:21:0:", "x:1:1:5:0:", "o:1:1:5:0"] {
            assert_eq!(Turn::read(rest), None, "{rest}");
        }
    }
}
