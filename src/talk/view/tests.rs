//! Every text in both languages, as people see it.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::*;
use crate::{
    event::Alert,
    model::{ApiFailure, ClusterId, Person, ProposalId, StoreFailure, Trouble, VmId},
    planner,
    scheduler::Refused,
    store::{Approval, Approver, Mode, Origin, ProposalState, StepState},
    talk::{
        access::{Role, Stranger},
        command::Parsed,
        samples::{anna, ended, now, proposal},
    },
};

#[test]
fn a_pending_proposal() {
    in_both(|view| whole_text(&view.proposal(&proposal(2), now())), "pending");
}

#[test]
fn a_proposal_that_needs_two_people_says_who_approved() {
    let mut waiting = proposal(1);
    waiting.approvals_needed = 2;
    waiting.approvals.push(Approval { by: anna(), at: now() });
    waiting.left_out.insert(VmId(1000));
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
fn the_end_of_a_plan_says_done_and_how_many_of_each_and_has_no_button() {
    let over = ended(proposal(5));
    for language in Language::ALL {
        let pages = view(language).proposal(&over, now());
        assert!(pages[0].plain().contains("done"), "{}", pages[0].plain());
        assert!(pages.iter().all(|page| page.buttons.is_empty()));
    }
    in_both(|view| whole_text(&view.proposal(&over, now())), "ended");
}

#[test]
fn only_the_end_says_done() {
    let mut running = ended(proposal(4));
    running.state = ProposalState::Running { by: Approver::Auto, since: now() };
    for pages in
        [view(Language::En).proposal(&proposal(4), now()), view(Language::En).proposal(&running, now())]
    {
        assert!(!pages[0].plain().contains("done"), "{}", pages[0].plain());
    }
}

#[test]
fn every_other_state_of_a_proposal() {
    let at = now();
    let states = [
        ProposalState::Approved { by: Approver::CommandLine, at },
        ProposalState::Rejected { by: anna(), at },
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
                    "<b>&web-{}</b> ({}): узел-длинное-имя-001 → node-012",
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
fn help_grows_with_the_role() {
    in_both(
        |view| {
            [Role::Viewer, Role::Operator, Role::Admin]
                .map(|role| view.help(Opening::Help, role).html())
                .join("\n---\n")
        },
        "help",
    );
}

#[test]
fn unknown_and_malformed_commands_get_the_usage() {
    let texts = [
        "/balence 1",
        "/xyzzy",
        "/exclude",
        "/mode propse",
        "/pause 30",
        "/resume now",
        "/help foo",
        "/node \"a",
    ];
    in_both(
        |view| {
            let answers = texts.map(|text| match crate::talk::command::parse(text, "bot") {
                Parsed::Unknown { typed, similar } => view.unknown_command(&typed, similar).html(),
                Parsed::Malformed { name, problem } => view.malformed(name, &problem).html(),
                other => panic!("{other:?}"),
            });
            answers.join("\n---\n")
        },
        "malformed",
    );
}

#[test]
fn refusals() {
    let id = ProposalId(12);
    let known = vec![(ClusterId(1), "msk".to_owned()), (ClusterId(2), "spb".to_owned())];
    let all = [
        Refused::NoSuchCluster { found: "x".into(), known: known.clone() },
        Refused::WhichCluster { known },
        Refused::NoSuchNode { found: "n".into(), similar: vec!["node-001".into()] },
        Refused::NoSuchNode { found: "n".into(), similar: Vec::new() },
        Refused::AmbiguousNode {
            found: "n".into(),
            ids: vec![crate::model::NodeId(1), crate::model::NodeId(2)],
        },
        Refused::Busy { proposal: id },
        Refused::NoSuchProposal(id),
        Refused::NotPending { proposal: id },
        Refused::Expired { proposal: id },
        Refused::AlreadyCounted { have: 1, need: 2 },
        Refused::OwnProposal { have: 0, need: 2 },
        Refused::DryRun,
        Refused::Unable(Trouble::VmManager(ApiFailure::NoAnswer {
            what: "GET /vm/v3/host".into(),
            said: "timed out".into(),
        })),
        Refused::Unable(Trouble::Store(StoreFailure::Disk("no space left".into()))),
        Refused::NothingRunning,
        Refused::Stopping,
    ];
    in_both(
        |view| {
            let mut lines: Vec<_> = all.iter().map(|refused| view.refusal(refused).html()).collect();
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
fn settings_and_presses() {
    let until = Some(now() + TimeDelta::hours(2));
    let settings = [
        Setting::DryRun(true),
        Setting::DryRun(false),
        Setting::Mode(Mode::Auto),
        Setting::Paused { until },
        Setting::Paused { until: None },
        Setting::Resumed,
        Setting::Excluded { node: "node-001".into(), direction: crate::planner::Direction::Both, until },
        Setting::Excluded {
            node: "node-001".into(),
            direction: crate::planner::Direction::Target,
            until: None,
        },
        Setting::Included { node: "node-001".into() },
    ];
    in_both(
        |view| {
            let mut lines: Vec<_> =
                settings.iter().map(|setting| view.setting(setting, false, now())).collect();
            lines.push(view.setting(&settings[0], true, now()));
            lines.push(view.approved(&crate::scheduler::Approved::Started));
            lines.push(view.approved(&crate::scheduler::Approved::Counted { have: 1, need: 2 }));
            lines.push(view.stale_press(StalePress::Changed));
            lines.push(view.stale_press(StalePress::Unknown));
            lines.push(view.press_unrecorded());
            lines.push(view.cancelled(&[ProposalId(3)]));
            lines.join("\n")
        },
        "settings",
    );
}

#[test]
fn nodes_that_measure_themselves() {
    let reading = |id: u64, minutes_ago: i64, five: f64| {
        let at = now() - TimeDelta::minutes(minutes_ago);
        serde_json::json!({
            "id": id, "name": format!("node-{id}"), "cluster": 1, "cpu_total": 16, "cpu_used": 40,
            "memory_total_mib": 65_536, "memory_used_mib": 32_768, "vm_count": 0,
            "load": {"one": 1.0, "five": five, "fifteen": 1.0, "at": at, "memory_used_mib": 12_288,
                     "cpu_pressure": 12.5, "io_pressure": 3.5},
        })
    };
    let mut short_of_memory = reading(14, 1, 4.0);
    short_of_memory["load"]["memory_used_mib"] = 64_000.into();
    short_of_memory["load"]["memory_pressure"] = 60.2.into();
    let mut settling = reading(15, 1, 20.0);
    settling["load"]["previous_five"] = 20.0.into();
    settling["load"]["cpu_pressure"] = 1.2.into();
    let mut unmeasured = reading(13, 0, 0.0);
    unmeasured["load"] = serde_json::Value::Null;
    let mut refused = unmeasured.clone();
    (refused["id"], refused["name"]) = (16.into(), "node-16".into());
    let text = serde_json::json!({
        "version": 1, "taken_at": now(), "clusters": [{"id": 1, "name": "msk"}],
        "nodes": [reading(10, 2, 8.0), reading(11, 3, 20.0), reading(12, 40, 20.0), unmeasured,
                  short_of_memory, settling, refused],
        "unmeasured": [{"node": 11, "why": "silent"}, {"node": 12, "why": "login"},
                       {"node": 16, "why": "host_key_changed"}],
        "vms": [{"id": 1000, "name": "web-1", "node": 10, "cpu_cores": 4, "memory_mib": 8192, "state": "active",
                 "blocked_by": [], "measured": {"cores": 2.5, "at": now() - TimeDelta::minutes(2)}}],
    });
    let snapshot = crate::model::Snapshot::from_json(&text.to_string()).unwrap();
    let policy = crate::planner::Policy {
        nodes_are_asked: true,
        load_readings: 2,
        recent_moves: vec![crate::planner::RecentMove {
            vm: VmId(2000),
            source: crate::model::NodeId(15),
            target: crate::model::NodeId(10),
            ended: now() - TimeDelta::minutes(4),
        }],
        ..crate::planner::Policy::default()
    };
    let explained = |id| planner::explain_node(&snapshot, &policy, crate::model::NodeId(id)).unwrap();
    let picture = crate::scheduler::Picture {
        plan: planner::plan(&snapshot, &policy).into(),
        snapshot: snapshot.clone().into(),
        policy: policy.clone().into(),
    };
    in_both(
        |view| {
            let mut pages: Vec<_> =
                (10..=16).map(|id| view.node(&explained(id), &snapshot, now()).html()).collect();
            let vm = planner::explain_vm(&snapshot, &policy, VmId(1000)).unwrap();
            pages.push(view.vm_explained(&vm, &snapshot, now()).html());
            for only in [None, Some(ClusterId(1))] {
                pages.push(view.status(&status(picture.clone()), only).html());
            }
            pages.extend(picture.plan.clusters[0].notes.iter().map(|note| view.note(note)));
            pages.join("\n---\n")
        },
        "measured",
    );
}

fn status(picture: crate::scheduler::Picture) -> crate::scheduler::Status {
    crate::scheduler::Status {
        now: now(),
        mode: Mode::Propose,
        dry_run: false,
        pause: None,
        window_open: true,
        next_cycle: None,
        last_cycle: None,
        picture: Some(picture),
        vmmanager_away: None,
        running: Vec::new(),
        exclusions: Vec::new(),
        stopped_clusters: Vec::new(),
        restored_unconfirmed: false,
    }
}

#[test]
fn alerts() {
    let kept = |file: &str, line, learned| crate::event::KeptKey {
        file: file.into(),
        line,
        host: "[10.0.0.1]:2222".into(),
        learned,
    };
    let all = [
        Alert::VmManagerAway { since: now(), why: ApiFailure::Other("connection refused".into()) },
        Alert::VmManagerBack { since: now(), until: now() + TimeDelta::seconds(3700) },
        Alert::PictureShrank { cluster: ClusterId(1), vms_before: 300, vms_after: 140 },
        Alert::ForeignMigration { task: 5, cluster: Some(ClusterId(1)), vm: Some(VmId(1000)) },
        Alert::ForeignMigration { task: 5, cluster: None, vm: None },
        Alert::NodeTakenOut {
            cluster: ClusterId(1),
            node: crate::model::NodeId(10),
            name: "node-001".into(),
            failures: 3,
            until: now() + TimeDelta::days(1),
        },
        Alert::ClusterStopped { cluster: ClusterId(1), name: "msk".into(), failures: 5 },
        Alert::HostKeyChanged {
            node: crate::model::NodeId(10),
            name: "node-001".into(),
            expected: "SHA256:a".into(),
            found: "SHA256:b".into(),
            at: vec![kept("/root/.ssh/known_hosts", 3, false), kept("data/known_hosts", 1, true)],
        },
        Alert::HostKeyChanged {
            node: crate::model::NodeId(10),
            name: "node-001".into(),
            expected: String::new(),
            found: "SHA256:b".into(),
            at: vec![kept("/root/.ssh/known_hosts", 7, false)],
        },
        Alert::StoreRestored { exported_at: Some(now()), moved_to: "data/damaged".into() },
        Alert::SecondPoller { since: now() },
    ];
    in_both(
        |view| {
            let mut lines: Vec<_> = all.iter().map(|alert| view.alert(alert, now()).html()).collect();
            lines.push(view.reports_missing(40, 2).html());
            lines.join("\n")
        },
        "alerts",
    );
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
        for (word, about) in view(language).menu() {
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
