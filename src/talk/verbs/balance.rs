//! `/balance [cluster]`: computes a plan. Its proposal is a message of its own, with the buttons to decide.

use super::cancel;
use crate::{
    model::{
        ClusterId,
        find::{self, Kind, Missed},
    },
    planner::ClusterPlan,
    scheduler::{Balanced, Refused},
    talk::{
        access::Role,
        ask::{Answer, Ask, Next, Then},
        verb::{Act, Asker, ButtonKind, Verb, erase},
        view::{Besides, Button, Page, View},
        words::{args, format::name, plain},
    },
};

pub(super) static VERB: Verb = Verb {
    word: "balance",
    usage: "/balance [cluster]",
    examples: &["/balance", "/balance msk", "/balance 2"],
    least_role: Role::Operator,
    read: |rest| Ok(erase(Balance { cluster: rest.join_rest() })),
    button: Some(ButtonKind { mark: "b", read: |rest| Balance::of_button(rest).map(erase) }),
};

/// How many clusters have a button of their own.
const BUTTONS_MAX: usize = 12;

#[derive(Debug, PartialEq, Eq)]
struct Balance {
    cluster: Option<String>,
}

impl Balance {
    fn of_button(rest: &str) -> Option<Self> {
        let cluster = ClusterId(rest.parse().ok()?);
        Some(Self { cluster: Some(find::by_id(cluster.0)) })
    }
}

impl Act for Balance {
    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let then = Then::new(|balanced, view, _| match balanced {
            Balanced::NothingToDo(plan) => Answer::Page(nothing_to_do(view, &plan)),
            Balanced::Proposed(_) => Answer::ShownElsewhere,
        });
        Next::Ask(Ask::Balance(self.cluster, then))
    }
}

/// One button per cluster, two in a row.
pub(super) fn buttons(view: &View, clusters: &[(ClusterId, String)]) -> Vec<Vec<Button>> {
    let buttons: Vec<_> = clusters
        .iter()
        .take(BUTTONS_MAX)
        .map(|(cluster, cluster_name)| Button {
            label: plain(&view.say("button-balance", args![cluster = name(cluster_name)])),
            data: format!("b:{cluster}"),
        })
        .collect();
    buttons.chunks(2).map(<[Button]>::to_vec).collect()
}

/// Returns the answer to a request that was refused. Where it does not say which cluster or plan, each has a button.
pub(in crate::talk) fn refusal(view: &View, refused: &Refused) -> Page {
    let mut page = view.line(view.refusal(refused));
    page.buttons = match refused {
        Refused::WhichCluster { known } => buttons(view, known),
        Refused::WhichPlan { running } => cancel::buttons(view, running),
        Refused::Missed(Missed { kind: Kind::Cluster, why, .. }) => {
            let clusters = why.choices().iter().map(|choice| (ClusterId(choice.id), choice.name.clone()));
            buttons(view, &clusters.collect::<Vec<_>>())
        }
        _ => Vec::new(),
    };
    page
}

/// Returns that a cluster needs nothing, and what stays as it is.
fn nothing_to_do(view: &View, plan: &ClusterPlan) -> Page {
    let mut lines = vec![view.nothing_to_do(plan)];
    lines.extend(view.figures_lines(&plan.before, &plan.after, Besides::of(plan)));
    lines.extend(view.plan_stays(plan));
    view.page(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::ProposalId,
        talk::verbs::tests::{Found, answers, answers_to},
    };

    #[test]
    fn nothing_to_do_is_said_and_a_proposal_speaks_for_itself() {
        let proposed = Found { balanced: Balanced::Proposed(ProposalId(12)), ..Found::default() };
        let texts = [answers("/balance"), answers_to("/balance msk", proposed)];
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn where_it_needs_a_cluster_each_has_a_button() {
        let known = vec![(ClusterId(1), "msk".to_owned()), (ClusterId(2), "spb".to_owned())];
        let refused = Some(Refused::WhichCluster { known });
        insta::assert_snapshot!(answers_to("/balance", Found { refused, ..Found::default() }));
    }

    #[test]
    fn its_button_names_the_cluster() {
        assert_eq!(Balance::of_button("7"), Some(Balance { cluster: Some("#7".into()) }));
        assert_eq!(Balance::of_button("x"), None);
    }
}
