//! `/history [N|vm|node]`: what was moved, newest first.

use crate::{
    store::{JournalEntry, JournalState, Outcome},
    talk::{
        access::Role,
        ask::{Answer, Ask, HistoryPart, Next, Then},
        grammar::Rest,
        verb::{Act, Asker, ButtonKind, Verb, boxed},
        view::{BUTTON_DATA_BYTES_MAX, Page, View},
        words::{Arg, args, escape, format::name},
    },
};

pub(super) static VERB: Verb = Verb {
    word: "history",
    usage: "/history [N|vm|node]",
    examples: &["/history 20", "/history web-1", "/history 1000"],
    least_role: Role::Viewer,
    read: |rest| Ok(boxed(History::read(rest))),
    button: Some(ButtonKind { mark: "h", read: |rest| Turn::read(rest).map(boxed) }),
};

/// As many entries as fit one message of 4096 UTF-16 units.
const PAGE_MAX: usize = 20;

/// As many entries as a phone shows without much scrolling.
const PAGE: usize = 10;

/// How far back the buttons page.
const SKIP_MAX: usize = 10_000;

/// One part of the history.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryPage {
    pub part: HistoryPart,
    pub rows: Vec<JournalEntry>,
    /// Whether there are older entries.
    pub older: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct History(HistoryPart);

/// The buttons under a history: another part of it in the same message.
#[derive(Debug, PartialEq, Eq)]
struct Turn(HistoryPart);

impl History {
    /// A small number is how many entries; anything else is a VM or a node. VMmanager's ids begin where small numbers
    /// end.
    fn read(rest: Rest) -> Self {
        let quoted = rest.has_quotes();
        let (count, of) = match rest.joined() {
            None => (PAGE, None),
            Some(text) => match text.parse::<usize>() {
                Ok(count) if !quoted && (1..=PAGE_MAX).contains(&count) => (count, None),
                _ => (PAGE, Some(text)),
            },
        };
        Self(HistoryPart { skip: 0, count, of })
    }
}

impl Turn {
    /// Returns the data of the button, which is too long for a button where the name is very long.
    fn data(&self) -> String {
        let HistoryPart { skip, count, of } = &self.0;
        match of {
            None => format!("h:{skip}:{count}"),
            Some(of) => format!("h:{skip}:{count}:{of}"),
        }
    }

    fn read(rest: &str) -> Option<Self> {
        let mut parts = rest.splitn(3, ':');
        let skip = parts.next()?.parse().ok().filter(|skip| *skip <= SKIP_MAX)?;
        let count = parts.next()?.parse().ok().filter(|count| (1..=PAGE_MAX).contains(count))?;
        Some(Self(HistoryPart { skip, count, of: parts.next().map(str::to_owned) }))
    }
}

impl Act for History {
    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let then = Then::new(|found, view, _| Answer::Page(page(view, &found)));
        Next::Ask(Ask::History(self.0, then))
    }
}

impl Act for Turn {
    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let then = Then::new(|found, view, _| Answer::Rewrite(page(view, &found)));
        Next::Ask(Ask::History(self.0, then))
    }
}

fn page(view: &View, found: &HistoryPage) -> Page {
    let title = match &found.part.of {
        Some(of) => view.say("history-title-of", args![of = name(of)]),
        None => view.say("history-title", args![]),
    };
    let mut lines = vec![title];
    if found.rows.is_empty() {
        lines.push(view.say("history-empty", args![]));
    }
    for entry in &found.rows {
        lines.extend(row_lines(view, entry));
    }
    let mut page = view.page(lines);
    let button = |skip| {
        let data = Turn(HistoryPart { skip, count: found.part.count, of: found.part.of.clone() }).data();
        (data.len() <= BUTTON_DATA_BYTES_MAX).then_some(data)
    };
    let newer =
        (found.part.skip > 0).then(|| button(found.part.skip.saturating_sub(found.part.count))).flatten();
    let older = found.older.then(|| button(found.part.skip + found.part.count)).flatten();
    let row: Vec<_> = newer
        .map(|data| view.button("button-newer", data))
        .into_iter()
        .chain(older.map(|data| view.button("button-older", data)))
        .collect();
    if !row.is_empty() {
        page.buttons.push(row);
    }
    page
}

fn row_lines(view: &View, entry: &JournalEntry) -> [String; 2] {
    let (mark, outcome) = match entry.outcome() {
        Some((Outcome::Done, _)) => ("✓", view.outcome(Outcome::Done)),
        Some((outcome, _)) => ("✗", view.outcome(outcome)),
        None => ("▸", view.say("history-open", args![])),
    };
    let detail = match &entry.state {
        JournalState::Closed { detail: Some(detail), outcome, at, .. } if *outcome != Outcome::Done => {
            format!(": {}", view.ending(detail, *at))
        }
        _ => String::new(),
    };
    let lasts = entry.outcome().map(|(_, at)| view.lasting(at - entry.intended_at));
    let first = format!(
        "{mark} {}: {} → {} · {outcome}{detail}",
        view.vm(&entry.vm_name, entry.vm),
        escape(&name(&entry.source_name)),
        escape(&name(&entry.target_name)),
    );
    let second = view.say(
        "history-line",
        args![
            at = view.stamp(entry.intended_at),
            lasts = lasts.unwrap_or_else(|| "…".into()),
            who = Arg::Html(view.approver(&entry.approver)),
            why = Arg::Html(view.motive(&entry.why)),
        ],
    );
    [first, format!("   {second}")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::verbs::tests::{Found, answers, answers_to};

    #[test]
    fn it_takes_a_number_or_a_name() {
        let read = |text| History::read(Rest::of(text).unwrap());
        let of = |count, of: Option<&str>| History(HistoryPart { skip: 0, count, of: of.map(str::to_owned) });
        assert_eq!(read(""), of(PAGE, None));
        assert_eq!(read("5"), of(5, None));
        assert_eq!(read("1000"), of(PAGE, Some("1000")));
        assert_eq!(read("\"5\""), of(PAGE, Some("5")));
        assert_eq!(read("web-1"), of(PAGE, Some("web-1")));
    }

    #[test]
    fn entries_come_newest_first_with_buttons_to_the_others() {
        let nothing = Found { history: Vec::new(), ..Found::default() };
        let texts = [answers("/history 2"), answers("/history web-1"), answers_to("/history", nothing)];
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn its_buttons_are_read_again() {
        for of in [None, Some("web:1".to_owned())] {
            let turn = Turn(HistoryPart { skip: 20, count: 10, of });
            let data = turn.data();
            assert_eq!(data.strip_prefix("h:").and_then(Turn::read), Some(turn), "{data}");
        }
        for rest in ["1", "99999:10", "0:0", "0:21", "x:1"] {
            assert_eq!(Turn::read(rest), None, "{rest}");
        }
    }
}
