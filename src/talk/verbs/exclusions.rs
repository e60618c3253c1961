//! `/exclusions`: which nodes are closed, why and until when.

use crate::{
    planner::{Direction, Exclusion, ExclusionWhy},
    scheduler::Status,
    talk::{
        access::Role,
        ask::{Answer, Ask, Then},
        verb::{Verb, asks},
        view::{Page, View},
        words::{
            args,
            format::{code, name},
        },
    },
};

pub(super) static VERB: Verb = Verb {
    word: "exclusions",
    usage: "/exclusions",
    examples: &[],
    least_role: Role::Viewer,
    read: |rest| {
        let answer = |status: Status, view: &View, _| Answer::Page(page(view, &status));
        rest.end(asks(move |_| Ask::Status(Then::new(answer))))
    },
    button: None,
};

fn page(view: &View, status: &Status) -> Page {
    let now = status.now;
    let in_force: Vec<_> =
        status.exclusions.iter().filter(|closed| closed.until.is_none_or(|until| until > now)).collect();
    if in_force.is_empty() {
        return view.line(view.say("no-exclusions", args![]));
    }
    let mut lines = vec![view.say("exclusions-title", args![])];
    lines.extend(in_force.into_iter().map(|closed| line(view, closed, status)));
    view.page(lines)
}

/// One closed node, how far, until when and why.
pub(super) fn line(view: &View, closed: &Exclusion, status: &Status) -> String {
    let nodes = status.picture.iter().flat_map(|picture| &picture.snapshot.nodes);
    let named: Vec<_> = nodes.filter(|node| closed.node.is_node(node.id, &node.name)).collect();
    let node = match named.as_slice() {
        [only] => format!("{} ({})", code(&name(&only.name)), only.id),
        // A pattern, or a node that is gone: as it was written.
        _ => code(&name(&closed.node.0)),
    };
    let mut line = format!("· {node}: {}", view.direction(closed.direction));
    if let Some(until) = closed.until {
        let until = view.time(until, status.now);
        line.push_str(&format!(", {}", view.say("until", args![until = until])));
    }
    let why = match (&closed.why, closed.direction) {
        (ExclusionWhy::Configured, Direction::Source) => {
            view.say("excluded-configured-source", args![selector = name(&closed.node.0)])
        }
        (ExclusionWhy::Configured, Direction::Target) => {
            view.say("excluded-configured-target", args![selector = name(&closed.node.0)])
        }
        (why, _) => view.exclusion_why(why, status.now),
    };
    format!("{line}; {why}")
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{
        planner::{Direction, ExclusionWhy, Selector},
        talk::{
            samples::{anna, now},
            verbs::tests::{Found, answers, answers_to},
        },
    };

    #[test]
    fn each_closed_node_is_named_with_its_reason_and_end() {
        let closed = |node: &str, direction, until, why| Exclusion {
            node: Selector(node.into()),
            direction,
            until,
            why,
        };
        let mut found = Found::default();
        let tomorrow = Some(now() + TimeDelta::days(1));
        found.status.exclusions = vec![
            closed("10", Direction::Both, None, ExclusionWhy::Configured),
            closed("old-*", Direction::Target, tomorrow, ExclusionWhy::Chat { by: anna(), at: now() }),
            closed("11", Direction::Both, Some(now()), ExclusionWhy::Failures { count: 3 }),
            closed("12", Direction::Target, tomorrow, ExclusionWhy::Declined { vms: 2 }),
        ];
        let texts = [answers("/exclusions"), answers_to("/exclusions", found)];
        insta::assert_snapshot!(texts.join("\n"));
    }
}
