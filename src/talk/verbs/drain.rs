//! `/drain`: a plan that empties a node for maintenance.

use chrono::{DateTime, Utc};

use crate::{
    scheduler::Drained,
    talk::{
        access::Role,
        ask::{Answer, Ask, Then},
        verb::{Verb, asks},
        view::View,
        words::{Arg, args},
    },
};

pub(super) static VERB: Verb = Verb {
    word: "drain",
    usage: "/drain NODE",
    examples: &["/drain node-001"],
    least_role: Role::Operator,
    read: |rest| rest.name().map(|node| asks(|_| Ask::Drain(node, Then::new(answer)))),
    button: None,
};

fn answer(drained: Drained, view: &View, now: DateTime<Utc>) -> Answer {
    match drained {
        Drained::Proposed(_) => Answer::ShownElsewhere,
        Drained::Empty { node } => {
            Answer::Page(view.line(view.say("drain-empty", args![node = Arg::copyable(&node)])))
        }
        Drained::Stuck { node, stuck } => {
            let mut lines = vec![view.say("drain-stuck", args![node = Arg::copyable(&node)])];
            lines.extend(view.stuck_lines(&stuck, now));
            Answer::Page(view.page(lines))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::talk::verbs::tests::answers;

    #[test]
    fn what_stays_on_the_node_is_said_with_its_reason() {
        insta::assert_snapshot!(answers("/drain node-001"));
    }
}
