//! `/maintenance NODE,NODE,…`: the nodes are emptied one after the other, each until somebody says that it is done.

use chrono::{DateTime, Utc};

use crate::{
    scheduler::Maintained,
    store::RoundNode,
    talk::{
        access::Role,
        ask::{Answer, Ask, Then},
        verb::{Verb, asks},
        view::{Page, View},
        words::{Arg, args},
    },
};

pub(super) static VERB: Verb = Verb {
    word: "maintenance",
    usage: "/maintenance NODE,NODE,…",
    examples: &["/maintenance node-001,node-002", "/maintenance rack5-*"],
    least_role: Role::Operator,
    read: |rest| rest.names(NODES_MAX).map(|nodes| asks(|_| Ask::Maintain(nodes, Then::new(answer)))),
    button: None,
};

/// More nodes than this fill no day of work.
const NODES_MAX: usize = 40;

fn answer(maintained: Maintained, view: &View, now: DateTime<Utc>) -> Answer {
    match maintained {
        Maintained::Proposed(_) => Answer::ShownElsewhere,
        Maintained::SeveralClusters => Answer::Page(view.line(view.say("round-several-clusters", args![]))),
        Maintained::CannotHold { nodes } => Answer::Page(cannot_hold(view, &nodes, now)),
    }
}

fn cannot_hold(view: &View, nodes: &[RoundNode], now: DateTime<Utc>) -> Page {
    let mut lines = vec![view.say("round-cannot-hold", args![])];
    for node in nodes {
        let called = Arg::copyable(&node.name);
        let (moved, of) = (node.vms.to_string(), (node.vms + node.stuck.len()).to_string());
        let memory = view.memory(node.memory);
        lines.push(view.say("round-holds", args![node = called, moved = moved, of = of, memory = memory]));
        lines.extend(view.stuck_lines(&node.stuck, now));
    }
    view.page(lines)
}

#[cfg(test)]
mod tests {
    use crate::talk::{
        grammar::Problem,
        verbs::tests::{answers, problem},
    };

    #[test]
    fn what_the_cluster_cannot_hold_is_said_with_figures() {
        insta::assert_snapshot!(answers("/maintenance node-001, node-002"));
        assert_eq!(problem("/maintenance ,"), Problem::Missing);
        assert_eq!(problem("/maintenance"), Problem::Missing);
    }
}
