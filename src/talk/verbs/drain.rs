//! `/drain`: a plan that empties a node for maintenance.

use crate::{
    scheduler::Drained,
    talk::{
        access::Role,
        ask::{Answer, Ask, Next, Then},
        verb::{Act, Asker, Verb, boxed},
        view::View,
        words::{
            Arg, args,
            format::{code, name},
        },
    },
};

pub(super) static VERB: Verb = Verb {
    word: "drain",
    usage: "/drain NODE",
    examples: &["/drain node-001"],
    least_role: Role::Operator,
    read: |rest| Ok(boxed(Drain { node: rest.name()? })),
    button: None,
};

struct Drain {
    node: String,
}

impl Act for Drain {
    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let then = Then::new(|drained, view: &View, now| match drained {
            Drained::Proposed(_) => Answer::ShownElsewhere,
            Drained::Empty { node } => {
                let node = Arg::Html(code(&name(&node)));
                Answer::Page(view.line(view.say("drain-empty", args![node = node])))
            }
            Drained::Stuck { node, stuck } => {
                let node = Arg::Html(code(&name(&node)));
                let mut lines = vec![view.say("drain-stuck", args![node = node])];
                lines.extend(view.stuck_lines(&stuck, now));
                Answer::Page(view.page(lines))
            }
        });
        Next::Ask(Ask::Drain(self.node, then))
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
