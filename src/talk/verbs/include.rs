//! `/include NODE`: opens a closed node again.

use crate::{
    scheduler::{Change, Changed},
    talk::{
        access::Role,
        ask::{Answer, Ask, Next, Then},
        verb::{Act, Asker, Verb, boxed},
        words::{
            Arg, args,
            format::{code, name},
        },
    },
};

pub(super) static VERB: Verb = Verb {
    word: "include",
    usage: "/include NODE",
    examples: &[],
    least_role: Role::Operator,
    read: |rest| Ok(boxed(Include { node: rest.name()? })),
    button: None,
};

struct Include {
    node: String,
}

impl Act for Include {
    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let asked = self.node.clone();
        let then = Then::new(move |changed: Changed, view, _| {
            let node = Arg::Html(code(&name(changed.node_name().unwrap_or(&asked))));
            Answer::Page(view.changed(&changed, view.say("setting-included", args![node = node])))
        });
        Next::Ask(Ask::Change(Change::Include { node: self.node }, then))
    }
}

#[cfg(test)]
mod tests {
    use crate::talk::{
        grammar::Problem,
        verbs::tests::{answers, problem},
    };

    #[test]
    fn the_node_that_is_open_again_is_named() {
        assert_eq!(problem("/include"), Problem::Missing);
        insta::assert_snapshot!(answers("/include kvm-01"));
    }
}
