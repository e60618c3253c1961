//! `/reject`: a plan is not carried out, and why.

use crate::{
    model::ProposalId,
    talk::{
        access::Role,
        ask::{Answer, Ask, Next, Then},
        grammar::{Problem, Rest},
        verb::{Act, Asker, Verb, boxed},
        view::View,
        words::args,
    },
};

pub(super) static VERB: Verb = Verb {
    word: "reject",
    usage: "/reject PLAN [reason]",
    examples: &["/reject 12 the network is being rebuilt"],
    least_role: Role::Operator,
    read: |rest| Reject::read(rest).map(boxed),
    button: None,
};

struct Reject {
    plan: ProposalId,
    reason: Option<String>,
}

impl Reject {
    fn read(mut rest: Rest) -> Result<Self, Problem> {
        let word = rest.next_word().ok_or(Problem::Missing)?.text;
        let Ok(plan) = word.trim_start_matches('#').parse() else { return Err(Problem::TooMuch(word)) };
        Ok(Self { plan: ProposalId(plan), reason: rest.joined() })
    }
}

impl Act for Reject {
    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let Self { plan, reason } = *self;
        let then = Then::new(move |(), view: &View, _| {
            Answer::Page(view.line(view.say("rejected", args![plan = plan.to_string()])))
        });
        Next::Ask(Ask::Reject(plan, reason, then))
    }
}

#[cfg(test)]
mod tests {
    use crate::talk::{
        grammar::Problem,
        verbs::tests::{answers, problem},
    };

    #[test]
    fn it_names_a_plan_and_may_say_why() {
        assert_eq!(problem("/reject"), Problem::Missing);
        assert_eq!(problem("/reject it"), Problem::TooMuch("it".into()));
        insta::assert_snapshot!(answers("/reject 12 the network is being rebuilt"));
    }
}
