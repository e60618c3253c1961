//! `/include NODE`: opens a closed node again.

use super::{balance, exclusions};
use crate::{
    model::find,
    planner::Exclusion,
    scheduler::{Change, Changed, Status},
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
        let then = Then::new(move |(changed, status): (Changed, Box<Status>), view: &View, _| {
            let named = changed.node_name().unwrap_or(&asked);
            let picture = status.picture.as_ref();
            let node = picture.and_then(|it| find::node(&it.snapshot, named).ok());
            let is_closed = |it: &&Exclusion| node.is_some_and(|node| it.node.is_node(node.id, &node.name));
            let still: Vec<_> = status.exclusions.iter().filter(is_closed).collect();
            let called = Arg::Html(code(&name(node.map_or(named, |node| &node.name))));
            if still.is_empty() {
                let mut page = view.changed(&changed, view.say("setting-included", args![node = called]));
                let of = picture.zip(node).and_then(|(it, node)| it.snapshot.cluster(node.cluster));
                let cluster = of.map(|cluster| (cluster.id, cluster.name.clone()));
                page.buttons = balance::buttons(view, cluster.as_slice());
                return Answer::Page(page);
            }
            let mut lines = vec![view.say("setting-still-closed", args![node = called])];
            lines.extend(still.into_iter().map(|closed| exclusions::line(view, closed, &status)));
            Answer::Page(view.page(lines))
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
