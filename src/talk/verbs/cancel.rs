//! `/cancel`: one plan stops after its running migration.

use crate::{
    model::ProposalId,
    scheduler::{Cancelled, PlanOf, Stop, Stopped},
    talk::{
        access::Role,
        ask::{Answer, Ask, Next, Then},
        verb::{Act, Asker, ButtonKind, Verb, erase},
        view::{Button, View},
        words::{args, format::name, plain},
    },
};

pub(super) static VERB: Verb = Verb {
    word: "cancel",
    usage: "/cancel [PLAN|CLUSTER]",
    examples: &["/cancel 12", "/cancel msk"],
    least_role: Role::Operator,
    read: |mut rest| {
        let called = rest.next_word().map(|word| word.text);
        let stop = called.map_or(Stop::Only, Stop::Called);
        rest.end(Cancel(stop)).map(erase)
    },
    button: Some(ButtonKind { mark: "c", read: |rest| CancelPressed::read(rest).map(erase) }),
};

struct Cancel(Stop);

/// A button under `/running`, or one that says which plan is meant.
struct CancelPressed(Stop);

impl CancelPressed {
    /// A button of an older version names no plan.
    fn read(rest: &str) -> Option<Self> {
        let stop = if rest.is_empty() { Stop::Only } else { Stop::Plan(ProposalId(rest.parse().ok()?)) };
        Some(Self(stop))
    }
}

/// One button for each plan, in a row of its own.
pub(super) fn buttons(view: &View, running: &[PlanOf]) -> Vec<Vec<Button>> {
    let button = |PlanOf { plan, cluster }: &PlanOf| Button {
        label: plain(
            &view.say("button-cancel-plan", args![plan = plan.to_string(), cluster = name(cluster)]),
        ),
        data: format!("c:{plan}"),
    };
    running.iter().map(|plan| vec![button(plan)]).collect()
}

impl Act for Cancel {
    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let page = |plan: Cancelled, view: &View, _| Answer::Page(view.line(line(view, &plan)));
        Next::Ask(Ask::Cancel(self.0, Then::new(page)))
    }
}

impl Act for CancelPressed {
    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        Next::Ask(cancel_by_press(self.0))
    }
}

/// Asks that a plan stops, and says so to the person who pressed.
pub(in crate::talk) fn cancel_by_press(stop: Stop) -> Ask {
    Ask::Cancel(stop, Then::new(|plan: Cancelled, view, _| Answer::Passing(plain(&line(view, &plan)))))
}

fn line(view: &View, Cancelled { plan, cluster, what }: &Cancelled) -> String {
    let key = match what {
        Stopped::Running => "plan-cancelled",
        Stopped::BeforeItBegan => "called-off",
        Stopped::Round => "round-cancelled",
    };
    view.say(key, args![plan = plan.to_string(), cluster = name(cluster)])
}

#[cfg(test)]
mod tests {
    use crate::talk::verbs::tests::answers;

    #[test]
    fn the_plan_that_stops_is_named() {
        insta::assert_snapshot!(answers("/cancel"));
    }
}
