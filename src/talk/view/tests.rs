//! Every text in both languages, as people see it.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::*;
use crate::{
    event::{Alert, KnownSwitches},
    model::{
        ApiFailure, ClusterId, DiskFailure, Flaw, KernelVersion, Mib, Person, ProposalId, Silence,
        StoreFailure, Trouble, VmId,
        find::{Choice, Kind, Missed, MissedWhy},
    },
    planner::{Caution, Figures, Fullness, Hold, NodeChange, Note, Outlook, Resource, Skip, StillOverloaded},
    scheduler::{ExpectedValue, FoundValue, PlanOf, Refused, Unsettable},
    store::{Approval, Approver, Expected, Origin, Proposal, ProposalState, Selection, Sight, StepState},
    talk::{
        access::{Role, Stranger},
        samples::{anna, approved_by_anna, ended, now, proposal},
        words::{samples::samples, tests::latin_words},
    },
};

#[test]
fn after_a_leave_out_the_reasons_of_the_others_have_the_figures_of_now() {
    let mut proposal = proposal(2);
    let at = |memory_percent| Fullness { cpu: 1.9, load: None, memory_percent };
    let change = NodeChange { before: at(91.0), after: at(88.0) };
    let figures = || Figures { overloaded: 1, memory_percent_max: 91.0, cpu_max: 1.9, imbalance: 0.1 };
    proposal.outlook = Some(Outlook {
        before: figures(),
        after: figures(),
        over: Vec::new(),
        nodes: [(2, (change, change))].into(),
        unfit: [].into(),
    });
    let text = view(Language::En).proposal(&proposal, now())[0].plain();
    assert!(text.contains("memory 83.1 % > 70 %") && text.contains("memory 91.0 % > 70 %"), "{text}");
}

#[test]
fn a_pending_proposal() {
    in_both(|view| whole_text(&view.proposal(&proposal(2), now())), "pending");
}

#[test]
fn a_plan_says_how_long_it_takes_and_how_much_is_left() {
    let mut timed = proposal(3);
    let migrations = timed.plan.migrations.clone();
    // A GiB a minute in the last three migrations, and 8 GiB in each VM.
    let done: Vec<_> = (1..=3).map(|id| crate::talk::samples::entry(id, 1)).collect();
    let said = |timed: &Proposal, at| {
        Language::ALL.map(|language| {
            let text = whole_text(&view(language).proposal(timed, at));
            text.lines().find(|line| line.contains("9 min") || line.contains("9 мин")).map(str::to_owned)
        })
    };
    assert_eq!(said(&timed, now()), [None, None], "nothing is known");
    timed.expected = Expected::from_history(ClusterId(1), &migrations, &done, 1);
    let texts = said(&timed, now()).map(Option::unwrap_or_default);
    assert_eq!(texts, ["Takes about 9 min", "Займёт около 9 мин"]);
    timed.state = ProposalState::Running { by: approved_by_anna(), since: now() };
    timed.steps[0].state = StepState::Running { since: now(), slow: false };
    let texts = said(&timed, now()).map(Option::unwrap_or_default);
    assert_eq!(texts, ["~9 min left", "Осталось ~9 мин"]);
}

#[test]
fn a_plan_names_the_risks_of_its_migrations() {
    let mut risky = proposal(2);
    let kernel = |version: &str| KernelVersion::new(version);
    risky.steps[0].migration.cautions = vec![
        Caution::NewerKernel { source: kernel("5.14.0-362.el9"), target: kernel("5.14.0-427.el9") },
        Caution::HostPassthrough { same_cpu: false },
    ];
    risky.steps[1].migration.cautions =
        vec![Caution::HostPassthrough { same_cpu: true }, Caution::SoftTarget { resource: Resource::Load }];
    for (language, kernel, cpu, soft) in [
        (
            Language::En,
            "⚠ the target's kernel is newer (5.14.0-427.el9, from 5.14.0-362.el9)",
            "of the same CPU",
            "fills the target beyond its target threshold (load per core)",
        ),
        (
            Language::Ru,
            "⚠ ядро целевого узла новее (5.14.0-427.el9, было 5.14.0-362.el9)",
            "процессоры узлов одинаковы",
            "заполняется выше целевого порога (нагрузка на ядро)",
        ),
    ] {
        let text = flowing(&view(language).proposal(&risky, now())[0].plain());
        assert!([kernel, cpu, soft].iter().all(|words| text.contains(words)), "{text}");
        assert_eq!(text.matches("host-passthrough").count(), 2, "{text}");
    }
}

#[test]
fn a_proposal_that_needs_two_people_says_who_approved() {
    let mut waiting = proposal(2);
    waiting.approvals_needed = 2;
    waiting.approvals.push(Approval { by: Person { id: 43, name: "Boris".into() }, at: now() });
    waiting.choose(Selection::LeaveOut(VmId(1000)), &anna(), now());
    waiting.approvals.push(Approval { by: anna(), at: now() });
    in_both(|view| whole_text(&view.proposal(&waiting, now())), "two_people");
}

#[test]
fn a_running_plan_has_one_button_and_it_stops() {
    let mut running = ended(proposal(4));
    running.state = ProposalState::Running { by: Approver::Auto, since: now() };
    running.steps[2].state = StepState::Running { since: now(), slow: true };
    running.steps[3].state = StepState::Waiting;
    in_both(|view| whole_text(&view.proposal(&running, now())), "running");
}

#[test]
fn a_plan_that_nobody_saw_before_it_ran_says_what_holds_besides() {
    let mut carried_out = ended(proposal(1));
    carried_out.plan.notes = vec![
        Note::UnknownSelector { selector: "kvm-99".into() },
        Note::SumsDiffer { node: "node-001".into(), memory_node: Mib(4096), memory_vms: Mib(122_880) },
        Note::ClosedAfterFailures { node: "node-002".into(), count: 3, until: Some(now()) },
        Note::BuiltinBalancer { key: "balancer_enabled = true".into() },
        Note::Settling { node: "node-003".into(), until: now() },
    ];
    let names = |carried_out: &Proposal, language| {
        let text = whole_text(&view(language).proposal(carried_out, now()));
        let told = ["kvm-99", "node-001: VMmanager", "node-002", "balancer_enabled", "node-003"];
        told.map(|name| text.contains(name))
    };
    for language in Language::ALL {
        assert_eq!(names(&carried_out, language), [false; 5], "people saw the plan");
    }
    carried_out.state = ProposalState::Done { by: Approver::Auto, at: now() };
    for language in Language::ALL {
        assert_eq!(names(&carried_out, language), [true, true, true, true, false]);
    }
}

#[test]
fn the_end_of_a_plan_says_partly_and_how_many_of_each_and_can_be_drawn_and_taken_back() {
    let over = ended(proposal(5));
    for language in Language::ALL {
        let pages = view(language).proposal(&over, now());
        assert!(pages[0].plain().contains("partly"), "{}", pages[0].plain());
        let buttons = pages.iter().flat_map(|page| page.buttons.concat()).map(|button| button.data);
        assert_eq!(buttons.collect::<Vec<_>>(), ["g:p:12", &format!("p:12:{}:z", over.tag())]);
    }
    in_both(|view| whole_text(&view.proposal(&over, now())), "ended");
}

#[test]
fn the_end_of_a_plan_shows_what_is_beside_what_was_predicted() {
    let mut over = ended(proposal(2));
    let before = over.plan.before;
    let source = over.steps[0].migration.source_state.before;
    let nodes = [(over.steps[0].migration.source, source)].into();
    over.sight = Some(Sight::Seen { at: now(), figures: before, nodes, emptied: None });
    in_both(|view| whole_text(&view.proposal(&over, now())), "seen");
    for sight in [
        None,
        Some(Sight::TimedOut),
        Some(Sight::ClusterGone),
        Some(Sight::Incomplete(Flaw::Shrank { before: 300, after: 149 })),
        Some(Sight::Failed(Trouble::VmManager(ApiFailure::Unavailable {
            what: "GET /vm/v3/host".into(),
            waited: 90,
        }))),
    ] {
        let missing = sight.clone();
        over.sight = sight;
        let pages = view(Language::En).proposal(&over, now());
        let text = flowing(&pages[0].plain());
        let reason = flowing(&plain(&view(Language::En).unseen(missing.as_ref())));
        assert!(text.contains(&reason) && text.contains("Predicted:") && !text.contains(" → 1 ·"), "{text}");
    }
}

/// The words of a text, wherever its lines end.
fn flowing(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn only_the_end_says_how_it_ended() {
    let mut running = ended(proposal(4));
    running.state = ProposalState::Running { by: Approver::Auto, since: now() };
    for pages in
        [view(Language::En).proposal(&proposal(4), now()), view(Language::En).proposal(&running, now())]
    {
        for word in ["done", "partly", "stopped"] {
            assert!(!pages[0].plain().contains(word), "{}", pages[0].plain());
        }
    }
}

#[test]
fn every_other_state_of_a_proposal() {
    let at = now();
    let states = [
        ProposalState::Approved { by: Approver::CommandLine, at },
        ProposalState::Rejected { by: anna(), at, reason: Some("too many at once".into()) },
        ProposalState::Expired { at },
        ProposalState::Superseded { by: ProposalId(13), at },
        ProposalState::Stale { at },
        ProposalState::Shown { at },
    ];
    in_both(
        |view| {
            let texts: Vec<_> = states
                .iter()
                .map(|state| {
                    let mut decided = proposal(1);
                    decided.state = state.clone();
                    decided.origin = Origin::Replaces(ProposalId(11));
                    whole_text(&view.proposal(&decided, now()))
                })
                .collect();
            texts.join("\n---\n")
        },
        "states",
    );
}

#[test]
fn a_dry_run_says_so_in_its_first_line_and_cannot_be_approved() {
    let mut dry = proposal(200);
    dry.dry_run = true;
    for language in Language::ALL {
        for page in view(language).proposal(&dry, now()) {
            assert!(page.plain().lines().next().unwrap_or_default().contains("DRY RUN"));
            assert!(page.buttons.iter().flatten().all(|button| !button.data.ends_with(":a")));
        }
    }
}

#[test]
fn the_limit_that_cut_a_plan_is_said_once() {
    let mut cut = proposal(1);
    let one = cut.plan.still_overloaded.remove(0);
    let nodes = (3..6).map(|node| StillOverloaded { name: format!("node-00{node}"), ..one.clone() });
    cut.plan.still_overloaded = nodes.collect();
    let texts = Language::ALL.map(|language| view(language).proposal(&cut, now()).remove(0).plain());
    insta::assert_snapshot!(texts.join("\n\n"));
}

#[test]
fn long_plans_name_everything_within_what_telegram_takes() {
    for count in [1, 7, 8, 60, 61, 300] {
        let mut long = proposal(count);
        for step in &mut long.steps {
            step.migration.vm_name = format!("<b>&{}</b>", step.migration.vm_name);
            step.migration.source_name = "узел-длинное-имя-001".into();
        }
        for stage in [long.clone(), ended(long.clone())] {
            let pages = view(Language::Ru).proposal(&stage, now());
            let text: Vec<_> = pages.iter().map(Page::plain).collect();
            for step in &long.steps {
                let wanted = format!(
                    "<b>&web-{}</b> /vm_{}:\n   узел-длинное-имя-001 → node-012",
                    step.migration.step, step.migration.vm
                );
                assert_eq!(text.iter().filter(|page| page.contains(&wanted)).count(), 1, "{wanted}");
            }
            for page in &pages {
                fits_telegram(page);
            }
        }
    }
}

#[test]
fn names_cannot_break_a_text() {
    for vm_name in ["<b>", "</code>", "&lt;", "a\nb", "", "\u{202e}x", &"😀".repeat(5000)] {
        let mut odd = proposal(3);
        odd.cluster_name = vm_name.into();
        odd.steps[0].migration.vm_name = vm_name.into();
        odd.steps[0].migration.target_name = vm_name.into();
        odd.origin = Origin::Person(Person { id: 1, name: vm_name.into() });
        for page in view(Language::En).proposal(&odd, now()) {
            fits_telegram(&page);
        }
    }
}

#[test]
fn a_plan_that_fits_one_message_is_one_message() {
    assert_eq!(view(Language::En).proposal(&proposal(20), now()).len(), 1);
}

#[test]
fn refusals() {
    let all = every_refusal();
    in_both(
        |view| {
            let mut lines: Vec<_> = all.iter().map(|refused| view.refusal(refused)).collect();
            for stranger in [
                Stranger::AnonymousAdmin,
                Stranger::Channel(-100),
                Stranger::NotListed(7),
                Stranger::OtherChat { chat: -5, person: 7 },
            ] {
                lines.push(view.stranger(&stranger).html());
                assert!(view.stranger_alert(&stranger).chars().count() <= ALERT_CHARS_MAX);
            }
            lines.push(view.needs_role(Role::Admin, Role::Viewer, false));
            lines.push(view.too_old("/balance 1", now() - TimeDelta::hours(3), now()).html());
            lines.join("\n")
        },
        "refusals",
    );
}

#[test]
fn presses() {
    in_both(
        |view| {
            let lines = [
                view.approval_answer(&crate::scheduler::Approved::Started, now()),
                view.approval_answer(&crate::scheduler::Approved::Counted { have: 1, need: 2 }, now()),
                view.rejection_answer(),
                view.stale_press(StalePress::Changed),
                view.stale_press(StalePress::ChangedJustNow),
                view.stale_press(StalePress::Unknown),
                view.press_unrecorded(),
            ];
            lines.join("\n")
        },
        "presses",
    );
}

#[test]
fn alerts() {
    let all = every_alert();
    in_both(
        |view| {
            let mut lines: Vec<_> =
                all.iter().map(|alert| view.alert(alert, 1, None, now()).html()).collect();
            lines.push(view.reports_missing(40, 2).html());
            lines.join("\n")
        },
        "alerts",
    );
}

/// What a Russian text may hold in Latin letters: names of things, commands and settings.
const NAMES: [&str; 32] = [
    "Telegram",
    "CLUSTER_IDS",
    "PIN_VMS",
    "HA",
    "admin",
    "example",
    "com",
    "SHA256",
    "a",
    "b",
    "accept",
    "new",
    "data",
    "damaged",
    "msk",
    "spb",
    "Anna",
    "node",
    "n",
    "resume",
    "history",
    "status",
    "settings",
    "cancel",
    "mode",
    "default",
    "true",
    "false",
    "relieve",
    "level",
    "Mon",
    "Fri",
];

#[test]
fn an_alert_and_a_refusal_in_russian_hold_no_latin_word_but_names() {
    let view = view(Language::Ru);
    let mut texts: Vec<_> =
        every_alert().iter().map(|alert| view.alert(alert, 1, None, now()).html()).collect();
    texts.extend(every_refusal().iter().map(|refused| view.refusal(refused)));
    for text in texts {
        assert_eq!(latin_words(&text, &NAMES), Vec::<String>::new(), "{text}");
    }
}

fn every_refusal() -> Vec<Refused> {
    let id = ProposalId(12);
    let known = || vec![(ClusterId(1), "msk".to_owned()), (ClusterId(2), "spb".to_owned())];
    let away = ApiFailure::NoAnswer { what: "GET /vm/v3/host".into(), said: Silence::TimedOut("".into()) };
    let full = StoreFailure::Disk(DiskFailure::Files("no space left".into()));
    samples![Refused:
        Refused::Missed(_) => every_miss().into_iter().map(Refused::Missed),
        Refused::WhichCluster { .. } => [Refused::WhichCluster { known: known() }],
        Refused::NotOurs { .. } => [Refused::NotOurs { cluster: ClusterId(2), name: "spb".into() }],
        Refused::Busy { .. } => [Refused::Busy { proposal: id }],
        Refused::NoSuchProposal(_) => [Refused::NoSuchProposal(id)],
        Refused::NotPending { .. } =>
            every_state().into_iter().map(|state| Refused::NotPending { proposal: id, state }),
        Refused::Changed { .. } => [Refused::Changed { proposal: id }],
        Refused::NothingLeft { .. } => [Refused::NothingLeft { proposal: id }],
        Refused::WhichPlan { .. } =>
            [Refused::WhichPlan { running: vec![PlanOf { plan: id, cluster: "msk".into() }] }],
        Refused::AlreadyCounted { .. } => [Refused::AlreadyCounted { have: 1, need: 2 }],
        Refused::OwnProposal { .. } => [Refused::OwnProposal { have: 0, need: 2 }],
        Refused::DryRun => [Refused::DryRun],
        Refused::Unable(_) => [Trouble::VmManager(away), Trouble::Store(full)].map(Refused::Unable),
        Refused::NothingRunning => [Refused::NothingRunning],
        Refused::NothingWaits => [Refused::NothingWaits],
        Refused::WhichWaits { .. } =>
            [Refused::WhichWaits { waiting: vec![PlanOf { plan: id, cluster: "msk".into() }] }],
        Refused::RoundWentOn { .. } => [Refused::RoundWentOn { proposal: id }],
        Refused::Held { .. } => [Refused::Held { hold: Hold::Foreign { task: 7 } }],
        Refused::NothingToUndo { .. } =>
            [Refused::NothingToUndo { proposal: id, stuck: vec![Skip { name: "msk".into(), ..proposal(1).plan.skipped.remove(0) }] }],
        Refused::InFlight { .. } => [Refused::InFlight { vm: VmId(1000) }],
        Refused::Unsettable(_) => every_unsettable().into_iter().map(Refused::Unsettable),
        Refused::StandingGone => [Refused::StandingGone],
        Refused::Stopping => [Refused::Stopping],
    ]
}

fn every_unsettable() -> Vec<Unsettable> {
    let name = || "TIMEZONE".to_owned();
    let unknown = |similar| Unsettable::Unknown { name: "TIMZONE".into(), similar };
    samples![Unsettable:
        Unsettable::Unknown { .. } => [None, Some(name())].map(unknown),
        Unsettable::Secret { .. } => [Unsettable::Secret { name: "VMMANAGER_TOKEN".into() }],
        Unsettable::AtStart { .. } => [Unsettable::AtStart { name: name() }],
        Unsettable::ByCommand { .. } =>
            [Unsettable::ByCommand { name: "BALANCE_MODE".into(), command: "/mode".into() }],
        Unsettable::Value { .. } => every_wrong_value(),
    ]
}

fn every_wrong_value() -> Vec<Unsettable> {
    let of = |found, expected| Unsettable::Value { name: "PIN_VMS".into(), found, expected };
    let found = || FoundValue::Text("<x>\u{202e}".into());
    let others = samples![FoundValue:
        FoundValue::Nothing => [FoundValue::Nothing],
        FoundValue::Text(_) => [found()],
        FoundValue::Hidden => [FoundValue::Hidden],
    ];
    let expected = samples![ExpectedValue:
        ExpectedValue::Something => [ExpectedValue::Something],
        ExpectedValue::Boolean => [ExpectedValue::Boolean],
        ExpectedValue::TimeOfDay => [ExpectedValue::TimeOfDay],
        ExpectedValue::Whole { .. } => [ExpectedValue::Whole { least: 1 }],
        ExpectedValue::Seconds { .. } => [ExpectedValue::Seconds { least: 1 }],
        ExpectedValue::SecondsAtMost { .. } => [ExpectedValue::SecondsAtMost { most: 31_622_400 }],
        ExpectedValue::Days { .. } => [ExpectedValue::Days { least: 30, most: 36_500 }],
        ExpectedValue::PerCore => [ExpectedValue::PerCore],
        ExpectedValue::Percent => [ExpectedValue::Percent],
        ExpectedValue::Reserve => [ExpectedValue::Reserve],
        ExpectedValue::Margin => [ExpectedValue::Margin],
        ExpectedValue::Worth => [ExpectedValue::Worth],
        ExpectedValue::OneOf(_) => [ExpectedValue::OneOf(vec!["relieve".into(), "level".into()])],
        ExpectedValue::Windows => [ExpectedValue::Windows],
    ];
    let others = others.into_iter().map(|found| of(found, ExpectedValue::Something));
    others.chain(expected.into_iter().map(|expected| of(found(), expected))).collect()
}

fn every_miss() -> Vec<Missed> {
    let cluster = |id, name| choice(Kind::Cluster, id, name, None);
    let node = |id, cluster: &str| choice(Kind::Node, id, "node<1>", Some(cluster.to_owned()));
    let (similar, known) = (vec![node(10, "msk")], vec![cluster(1, "msk"), cluster(2, "spb")]);
    let unknown = |similar, known| MissedWhy::Unknown { similar, known };
    let missed = |(kind, why)| Missed { kind, wanted: "n".into(), why };
    let whys = samples![MissedWhy:
        MissedWhy::Unknown { .. } => [unknown(vec![], known), unknown(similar, vec![]), unknown(vec![], vec![])],
        MissedWhy::Several(_) => [MissedWhy::Several(vec![node(10, "msk"), node(40, "spb")])],
    ];
    let kinds = [Kind::Cluster, Kind::Node, Kind::VmOrNode, Kind::Vm];
    assert_eq!(kinds.len(), whys.len());
    kinds.into_iter().zip(whys).map(missed).collect()
}

fn every_state() -> Vec<ProposalState> {
    let at = now();
    samples![ProposalState:
        ProposalState::Pending => [ProposalState::Pending],
        ProposalState::Approved { .. } => [ProposalState::Approved { by: approved_by_anna(), at }],
        ProposalState::Rejected { .. } => [ProposalState::Rejected { by: anna(), at, reason: None }],
        ProposalState::Running { .. } => [ProposalState::Running { by: approved_by_anna(), since: at }],
        ProposalState::Done { .. } => [ProposalState::Done { by: Approver::Auto, at }],
        ProposalState::Expired { .. } => [ProposalState::Expired { at }],
        ProposalState::Superseded { .. } => [ProposalState::Superseded { by: ProposalId(13), at }],
        ProposalState::Stale { .. } => [ProposalState::Stale { at }],
        ProposalState::Shown { .. } => [ProposalState::Shown { at }],
    ]
}

fn every_alert() -> Vec<Alert> {
    let (since, until, cluster, name) = (now(), now() + TimeDelta::days(1), ClusterId(1), "msk".to_owned());
    let away = || ApiFailure::Other("connection refused".into());
    let stopped = |until| Alert::ClusterStopped { cluster, name: "msk".into(), failures: 5, until };
    let foreign = |cluster, vm| Alert::ForeignMigration { task: 5, cluster, vm };
    let jumped = |by| Alert::ClockJumped { before: now(), after: now() + by };
    let (node, node_name) = (crate::model::NodeId(10), "node-001".to_owned());
    let full = || StoreFailure::Disk(DiskFailure::Files("no space left".into()));
    samples![Alert:
        Alert::VmManagerAway { .. } => [Alert::VmManagerAway { since, why: away() }],
        Alert::VmManagerBack { .. } =>
            [Alert::VmManagerBack { since, until: now() + TimeDelta::seconds(3700) }],
        Alert::PictureShrank { .. } =>
            [Alert::PictureShrank { cluster, vms_before: 300, vms_after: 140 }],
        Alert::ForeignMigration { .. } => [foreign(Some(cluster), Some(VmId(1000))), foreign(None, None)],
        Alert::PulledBack { .. } => [pulled_back("web-<1>", 2, Some("admin@example.com")), pulled_back("web-1", 3, None)],
        Alert::NodeTakenOut { .. } =>
            [Alert::NodeTakenOut { cluster, node, name: node_name, failures: 3, until }],
        Alert::ClusterStopped { .. } => [None, Some(until)].map(stopped),
        Alert::ClusterResumed { .. } => [Alert::ClusterResumed { cluster, name }],
        Alert::HostKeyChanged { .. } => host_keys(),
        Alert::StoreRestored { .. } => [
            restored(Some(0), KnownSwitches::Known),
            restored(Some(12), KnownSwitches::AsExported),
            restored(None, KnownSwitches::Unknown),
        ],
        Alert::ClockJumped { .. } => [-TimeDelta::days(40), TimeDelta::hours(3)].map(jumped),
        Alert::SecondPoller { .. } => [Alert::SecondPoller { since }],
        Alert::StoreTrouble { .. } => [Alert::StoreTrouble { since, why: full() }],
    ]
}

fn pulled_back(name: &str, times: u32, by: Option<&str>) -> Alert {
    let until = now() + TimeDelta::days(i64::from(times) - 1);
    Alert::PulledBack {
        vm: VmId(1000),
        name: name.into(),
        node: "kvm-01".into(),
        times,
        by: by.map(Into::into),
        until,
    }
}

/// A key that changed, and one that is revoked.
fn host_keys() -> [Alert; 2] {
    let kept = |file: &str, line, learned| {
        let host = "[10.0.0.1]:2222".to_owned();
        crate::event::KeptKey { file: file.into(), line, host, learned }
    };
    let alert = |expected: &str, at| Alert::HostKeyChanged {
        node: crate::model::NodeId(10),
        name: "node-001".into(),
        expected: expected.into(),
        found: "SHA256:b".into(),
        at,
    };
    let known = vec![kept("/root/.ssh/known_hosts", 3, false), kept("data/known_hosts", 1, true)];
    [alert("SHA256:a", known), alert("", vec![kept("/root/.ssh/known_hosts", 7, false)])]
}

fn restored(writes_lost: Option<u64>, switches: KnownSwitches) -> Alert {
    let exported_at = writes_lost.map(|_| now());
    Alert::StoreRestored { exported_at, moved_to: "data/damaged".into(), writes_lost, switches }
}

#[test]
fn times_have_a_date_only_on_another_day() {
    let moscow = View::new(Language::En, chrono_tz::Europe::Moscow);
    assert_eq!(moscow.time(now(), now()), "23:15 MSK");
    assert_eq!(moscow.time(now() + TimeDelta::hours(1), now()), "2026-11-24 00:15 MSK");
    assert_eq!(moscow.lasting(TimeDelta::seconds(3725)), "1 h 2 min");
    assert_eq!(moscow.lasting(TimeDelta::seconds(45)), "45 s");
    assert_eq!(moscow.lasting(TimeDelta::seconds(200)), "3 min 20 s");
    assert_eq!(moscow.lasting(TimeDelta::days(3)), "3 d");
}

#[test]
fn the_menu_keeps_telegrams_limits() {
    for language in Language::ALL {
        for (word, about) in view(language).menu(Role::Admin) {
            assert!((1..=32).contains(&word.len()));
            assert!((1..=256).contains(&about.chars().count()), "{about}");
        }
    }
}

pub(crate) fn view(language: Language) -> View {
    View::new(language, Tz::UTC)
}

fn in_both(text: impl Fn(View) -> String, name: &str) {
    for language in Language::ALL {
        insta::assert_snapshot!(format!("{name}_{}", language.code()), text(view(language)));
    }
}

fn whole_text(pages: &[Page]) -> String {
    let texts: Vec<_> = pages
        .iter()
        .map(|page| {
            let rows = page.buttons.iter().map(|row| {
                row.iter().map(|button| format!("[{} {}]", button.label, button.data)).collect::<String>()
            });
            format!("{}\n{}", page.html(), rows.collect::<Vec<_>>().join("\n"))
        })
        .collect();
    texts.join("\n=====\n")
}

/// What Telegram refuses, checked by a reader of its own.
pub(crate) fn fits_telegram(page: &Page) {
    let html = page.html();
    let (mut open, mut tags, mut text) = (Vec::new(), 0, String::new());
    let mut rest = html.as_str();
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((entity, c)) =
            [("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&')].into_iter().find(|(e, _)| rest.starts_with(e))
        {
            text.push(c);
            rest = &rest[entity.len()..];
            continue;
        }
        let end = rest.find('>').unwrap_or_else(|| panic!("a loose < or & in {html}"));
        match &rest[1..end] {
            tag @ ("b" | "code" | "i") => {
                open.push(tag);
                tags += 1;
            }
            closing => {
                assert_eq!(Some(closing), open.pop().map(|tag| format!("/{tag}")).as_deref(), "{html}")
            }
        }
        rest = &rest[end + 1..];
    }
    text.push_str(rest);
    assert!(open.is_empty(), "{html}");
    assert!(tags <= 100, "{tags} tags");
    let units = text.encode_utf16().count();
    assert!((1..=4096).contains(&units), "{units} units");
    assert_eq!(text, page.plain());
    let buttons: Vec<_> = page.buttons.iter().flatten().collect();
    assert!(buttons.len() <= 100, "{} buttons", buttons.len());
    assert!(page.buttons.iter().all(|row| (1..=8).contains(&row.len())));
    let unique: BTreeSet<_> = buttons.iter().map(|button| &button.data).collect();
    assert_eq!(unique.len(), buttons.len());
    assert!(
        buttons.iter().all(|button| !button.label.is_empty() && button.data.len() <= BUTTON_DATA_BYTES_MAX)
    );
}

fn choice(kind: Kind, id: u64, name: &str, cluster: Option<String>) -> Choice {
    Choice { kind, id, name: name.into(), cluster }
}
