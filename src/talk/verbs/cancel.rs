//! `/cancel`: what runs stops after the running migration.

use crate::{
    model::ProposalId,
    talk::{
        access::Role,
        ask::{Answer, Ask, Next, Then},
        verb::{Act, Asker, ButtonKind, Verb, boxed},
        view::View,
        words::args,
    },
};

pub(super) static VERB: Verb = Verb {
    word: "cancel",
    usage: "/cancel",
    examples: &[],
    least_role: Role::Operator,
    read: |rest| rest.end(Cancel).map(boxed),
    button: Some(ButtonKind { mark: "c", read: |rest| rest.is_empty().then(|| boxed(CancelPressed)) }),
};

struct Cancel;

/// The button under `/running`.
struct CancelPressed;

/// Returns the data of the button.
pub(super) fn data() -> String {
    "c".into()
}

impl Act for Cancel {
    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let page = |plans: Vec<ProposalId>, view: &View, _| Answer::Page(view.line(line(view, &plans)));
        Next::Ask(Ask::Cancel(Then::new(page)))
    }
}

impl Act for CancelPressed {
    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        Next::Ask(cancel_by_press())
    }
}

/// Asks that what runs stops, and says so to the person who pressed.
pub(in crate::talk) fn cancel_by_press() -> Ask {
    Ask::Cancel(Then::new(|plans: Vec<_>, view, _| Answer::Passing(line(view, &plans))))
}

fn line(view: &View, plans: &[ProposalId]) -> String {
    let plans = plans.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    view.say("cancelled", args![plans = plans])
}

#[cfg(test)]
mod tests {
    use crate::talk::verbs::tests::answers;

    #[test]
    fn the_plans_that_stop_are_named() {
        insta::assert_snapshot!(answers("/cancel"));
    }
}
