//! `/include NODE`: opens a closed node again, or all that match a pattern.

use std::collections::BTreeSet;

use super::{balance, exclusions};
use crate::{
    model::{NodeInfo, find},
    planner::Exclusion,
    scheduler::{Change, Changed, Picture, Status},
    talk::{
        access::Role,
        ask::{Answer, Ask, Next, Then},
        verb::{Act, Asker, Verb, erase},
        view::{Page, View},
        words::{Arg, args},
    },
};

pub(super) static VERB: Verb = Verb {
    word: "include",
    usage: "/include NODE|PATTERN",
    examples: &["/include kvm-01", "/include kvm-*"],
    least_role: Role::Operator,
    read: |rest| Ok(erase(Include { node: rest.name()? })),
    button: None,
};

struct Include {
    node: String,
}

impl Act for Include {
    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let asked = self.node.clone();
        let then = Then::new(move |(changed, status): (Changed, Box<Status>), view: &View, _| {
            Answer::Page(page(view, &asked, &changed, &status))
        });
        Next::Ask(Ask::Change(Change::Include { node: self.node }, then))
    }
}

/// The nodes that somebody asked for, as far as the picture has them.
fn nodes_asked_for<'a>(picture: Option<&'a Picture>, asked: &str, changed: &Changed) -> Vec<&'a NodeInfo> {
    let Some(Picture { snapshot, .. }) = picture else { return Vec::new() };
    match changed {
        Changed::Nodes(opened) if find::nodes(snapshot, asked).is_err() => {
            opened.iter().filter_map(|(id, _)| snapshot.node(*id)).collect()
        }
        _ => find::nodes(snapshot, asked).unwrap_or_default(),
    }
}

/// What was opened, and what stays closed by something else than `/exclude`.
fn page(view: &View, asked: &str, changed: &Changed, status: &Status) -> Page {
    let picture = status.picture.as_ref();
    let meant = nodes_asked_for(picture, asked, changed);
    let closed_of = |node: &NodeInfo| {
        let is_closed = |it: &&Exclusion| it.node.is_node(node.id, &node.name);
        status.exclusions.iter().filter(is_closed).collect::<Vec<_>>()
    };
    let (open, still): (Vec<&NodeInfo>, Vec<&NodeInfo>) =
        meant.into_iter().partition(|node| closed_of(node).is_empty());
    let mut opened = changed.node_names();
    opened.retain(|opened| still.iter().all(|node| node.name != *opened));
    let mut lines = Vec::new();
    if still.is_empty() || !opened.is_empty() {
        let key = if *changed == Changed::Already { "setting-was-open" } else { "setting-included" };
        if *changed == Changed::Already {
            opened = open.iter().map(|node| node.name.as_str()).collect();
        }
        let node = Arg::Html(view.nodes(&opened, asked));
        lines.push(view.say(key, args![n = opened.len().max(1), node = node]));
    }
    for node in &still {
        let called = Arg::copyable(&node.name);
        lines.push(view.say("setting-still-closed", args![node = called]));
        lines.extend(closed_of(node).into_iter().map(|closed| exclusions::line(view, closed, status)));
    }
    let mut page = view.page(lines);
    if still.is_empty() {
        let ids: BTreeSet<_> = open.iter().map(|node| node.cluster).collect();
        let clusters = picture.into_iter().flat_map(|it| &it.snapshot.clusters);
        let clusters = clusters.filter(|cluster| ids.contains(&cluster.id));
        let clusters: Vec<_> = clusters.map(|cluster| (cluster.id, cluster.name.clone())).collect();
        page.buttons = balance::buttons(view, &clusters);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        planner::{Direction, ExclusionWhy, Selector},
        talk::{
            grammar::Problem,
            samples,
            verbs::tests::{Found, answers, answers_to, problem},
        },
    };

    #[test]
    fn the_node_that_is_open_again_is_named() {
        assert_eq!(problem("/include"), Problem::Missing);
        insta::assert_snapshot!(answers("/include kvm-01"));
    }

    #[test]
    fn what_a_pattern_opened_is_named_and_what_stays_closed() {
        let opened = |ids: &[u64]| {
            let nodes = samples::picture().snapshot.nodes.clone();
            let named = nodes.into_iter().map(|it| (it.id, it.name));
            Changed::Nodes(
                named.collect::<Vec<_>>().into_iter().filter(|(id, _)| ids.contains(&id.0)).collect(),
            )
        };
        let closed = Exclusion {
            node: Selector("#20".into()),
            direction: Direction::Target,
            until: None,
            why: ExclusionWhy::Configured,
        };
        let mut partly = Found { changed: opened(&[10, 20]), ..Found::default() };
        partly.status.exclusions = vec![closed];
        let all = Found { changed: opened(&[10, 20]), ..Found::default() };
        let none = Found { changed: Changed::Already, ..Found::default() };
        let texts = [all, partly, none].map(|found| answers_to("/include N*", found));
        insta::assert_snapshot!(texts.join("\n"));
    }
}
