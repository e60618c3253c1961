//! `/reject`: a plan is not carried out, and why.

use crate::{
    model::ProposalId,
    talk::{
        access::Role,
        ask::{Answer, Ask, Then},
        grammar::{Problem, Rest},
        verb::{Act, Verb, asks},
        view::View,
        words::args,
    },
};

pub(super) static VERB: Verb = Verb {
    word: "reject",
    usage: "/reject PLAN [reason]",
    examples: &["/reject 12 the network is being rebuilt"],
    least_role: Role::Operator,
    read,
    button: None,
};

fn read(mut rest: Rest) -> Result<Box<dyn Act>, Problem> {
    let word = rest.next_word().ok_or(Problem::Missing)?.text;
    let Ok(plan) = word.trim_start_matches('#').parse::<u64>() else { return Err(Problem::TooMuch(word)) };
    let reason = rest.join_rest();
    let answer = move |(), view: &View, _| {
        Answer::Page(view.line(view.say("rejected", args![plan = plan.to_string()])))
    };
    Ok(asks(move |_| Ask::Reject(ProposalId(plan), reason, Then::new(answer))))
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
