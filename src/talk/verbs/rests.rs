//! `/rests [clear VM,VM,…]`: which VMs rest after a migration or a failure, until when and why.

use std::cmp::Reverse;

use super::link;
use crate::{
    model::{VmId, find},
    planner::{Rest as VmRest, RestWhy},
    scheduler::{Change, Changed, Status},
    talk::{
        access::Role,
        ask::{Answer, Ask, Next, Then},
        grammar::{Problem, Rest},
        verb::{Act, Asker, Verb, asks, erase},
        view::{Page, View},
        words::{
            Arg, args,
            format::{code, name},
        },
    },
};

pub(super) static VERB: Verb = Verb {
    word: "rests",
    usage: "/rests [clear VM,PATTERN,…]",
    examples: &["/rests", "/rests clear web-1", "/rests clear web-*,db-1"],
    least_role: Role::Viewer,
    read,
    button: None,
};

/// As many as a phone shows without much scrolling.
const SHOWN_MAX: usize = 20;

/// More than this is a pattern.
const CLEARED_MAX: usize = 40;

struct Clear {
    vms: Vec<String>,
}

fn read(mut rest: Rest) -> Result<Box<dyn Act>, Problem> {
    match rest.next_of(&["clear"])? {
        None => Ok(asks(|_| Ask::Status(Then::new(|status, view, _| Answer::Page(page(view, &status)))))),
        Some(_) => Ok(erase(Clear { vms: rest.names(CLEARED_MAX)? })),
    }
}

impl Act for Clear {
    /// A rest keeps a VM from being moved again at once, so only an admin ends it.
    fn least_role(&self, _: Role) -> Role {
        Role::Admin
    }

    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let asked = self.vms.clone();
        let then = Then::new(move |(changed, status): (Changed, Box<Status>), view: &View, _| {
            let left = view.say("rests-left", args![n = status.resting.len()]);
            Answer::Page(view.page(vec![ended(view, &asked, &changed), left]))
        });
        Next::Ask(Ask::Change(Change::EndRest { vms: self.vms }, then))
    }
}

fn ended(view: &View, asked: &[String], changed: &Changed) -> String {
    match changed {
        Changed::Vms(vms) => {
            let mut named: Vec<_> = vms.iter().take(SHOWN_MAX).map(|(id, name)| view.vm(name, *id)).collect();
            if let Some(more) = vms.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
                named.push(view.say("rests-more", args![n = more]));
            }
            view.say("rest-ended", args![n = vms.len(), vm = Arg::Html(named.join(", "))])
        }
        Changed::Already | Changed::Done | Changed::Nodes(_) | Changed::Setting { .. } => {
            let named = asked.iter().map(|it| code(&name(it))).collect::<Vec<_>>().join(", ");
            let is_one = asked.len() == 1 && !asked.iter().any(|it| find::is_pattern(it));
            let key = if is_one { "rest-was-none" } else { "rest-was-none-of" };
            view.say(key, args![vm = Arg::Html(named)])
        }
    }
}

fn page(view: &View, status: &Status) -> Page {
    if status.resting.is_empty() {
        return view.line(view.say("rests-none", args![]));
    }
    let mut resting: Vec<_> = status.resting.iter().collect();
    // Those that rest longest are looked for.
    resting.sort_by_key(|(vm, rest)| (Reverse(rest.until), **vm));
    let mut lines = vec![view.say("rests-title", args![n = resting.len()])];
    lines.extend(resting.iter().take(SHOWN_MAX).map(|(vm, rest)| line(view, status, **vm, rest)));
    if let Some(more) = resting.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        lines.push(view.say("rests-more", args![n = more]));
    }
    lines.push(view.say("rests-how", args![]));
    view.page(lines)
}

/// `· web-1 /vm_1000: until 02:15 UTC, moved`
fn line(view: &View, status: &Status, vm: VmId, rest: &VmRest) -> String {
    let called =
        status.picture.as_ref().and_then(|picture| find::vm(&picture.snapshot, &find::by_id(vm.0)).ok());
    let called = called.map(|it| format!("{} ", code(&name(&it.name)))).unwrap_or_default();
    let what = match rest.why {
        RestWhy::InFlight => view.say("skip-in-flight", args![]),
        why => {
            let key = match why {
                RestWhy::Failed => "kind-rests-failed",
                RestWhy::FailedAgain => "kind-rests-failed-again",
                RestWhy::PulledBack => "kind-rests-pulled",
                RestWhy::Busy => "kind-rests-busy",
                RestWhy::Moved | RestWhy::InFlight => "kind-rests-moved",
            };
            let until = view.say("until", args![until = view.time(rest.until, status.now)]);
            format!("{until}, {}", view.say(key, args![]))
        }
    };
    format!("· {called}{}: {what}", link::vm(vm))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::talk::{
        samples::now,
        verbs::tests::{Found, answers, answers_to, problem, read},
    };

    #[test]
    fn everybody_looks_and_an_admin_ends_a_rest() {
        let role = |text: &str| {
            let (verb, act) = read(text);
            act.least_role(verb.least_role)
        };
        assert_eq!((role("/rests"), role("/rests clear web-1")), (Role::Viewer, Role::Admin));
        assert_eq!(problem("/rests clear"), Problem::Missing);
        assert_eq!(problem("/rests clear ,"), Problem::Missing);
    }

    #[test]
    fn each_resting_vm_is_named_with_its_reason_and_end() {
        let rest = |hours, why| VmRest { until: now() + TimeDelta::hours(hours), why };
        let mut some = Found::default();
        some.status.resting = [
            (VmId(1000), rest(6, RestWhy::Moved)),
            (VmId(1001), rest(24, RestWhy::Failed)),
            (VmId(1002), rest(1, RestWhy::Busy)),
            (VmId(1003), rest(0, RestWhy::InFlight)),
            (VmId(4711), rest(2, RestWhy::Moved)),
        ]
        .into();
        let mut many = Found::default();
        many.status.resting = (0..23).map(|n| (VmId(1000 + n), rest(6, RestWhy::Moved))).collect();
        let texts = [answers("/rests"), answers_to("/rests", some), answers_to("/rests", many)];
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn the_end_of_a_rest_is_said() {
        let none = Found { changed: Changed::Already, ..Found::default() };
        let several = |count: u64| Found {
            changed: Changed::Vms((0..count).map(|n| (VmId(1000 + n), format!("web-{n}"))).collect()),
            ..Found::default()
        };
        let none_of = Found { changed: Changed::Already, ..Found::default() };
        let texts = [
            answers("/rests clear web-1"),
            answers_to("/rests clear web-1", none),
            answers_to("/rests clear web-*,db-1", several(3)),
            answers_to("/rests clear *", several(22)),
            answers_to("/rests clear WEB-*, db-1", none_of),
        ];
        insta::assert_snapshot!(texts.join("\n"));
    }
}
