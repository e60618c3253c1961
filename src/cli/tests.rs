//! What the command line takes and what it prints.

use chrono::{DateTime, TimeDelta, Utc};
use clap::{CommandFactory as _, Parser as _};

use super::*;
use crate::{
    model::{
        ClusterId, HistoryBefore, KernelVersion, Mib, MigrationId, NodeId, Person, ProposalId, Snapshot, VmId,
    },
    planner::{self, Caution, Plan, PlanId, Policy},
    store::{Approver, Ending, JournalEntry, JournalState, Motive, Outcome},
    talk::rows::Row,
};

#[test]
fn the_arguments_are_well_formed() {
    Args::command().debug_assert();
}

#[test]
fn flags_stand_before_or_behind_the_command() {
    for line in ["--config f --json -v plan", "plan --config f --json -v", "--json plan --verbose --config f"]
    {
        let args = parsed(line).unwrap();
        assert!(args.json && args.verbose, "{line}");
        assert_eq!(args.config.as_deref(), Some("f".as_ref()), "{line}");
        assert_eq!(args.command, Some(Command::Plan { snapshot: None, cluster_ids: None }), "{line}");
    }
}

#[test]
fn the_main_job_has_its_flags() {
    let args = parsed("--config .env --dry-run --once --interval 300 --cluster-ids 1,2,3 --json").unwrap();
    assert!(args.command.is_none() && args.once && args.json);
    let overrides: Vec<_> = args.overrides().into_iter().collect();
    let expected = [("BALANCE_INTERVAL", "300"), ("CLUSTER_IDS", "1,2,3"), ("DRY_RUN", "true")];
    assert_eq!(overrides, expected.map(|(name, value)| (name, value.to_owned())));
}

#[test]
fn nonsense_is_refused() {
    for line in [
        "--interval 0",
        "--interval x",
        "plan --frobnicate",
        "frobnicate",
        "history --csv --json",
        "history --limit x",
    ] {
        assert_eq!(parsed(line).unwrap_err().exit_code(), 2, "{line}");
    }
    for line in ["--once plan", "--interval 60 plan", "--cluster-ids 1 history", "--cluster-ids 1 snapshot"] {
        assert!(parsed(line).unwrap().check().is_err(), "{line}");
    }
    for line in ["--once", "--cluster-ids 1 --once", "--cluster-ids 1 plan", "plan --cluster-ids 1"] {
        let args = parsed(line).unwrap();
        assert!(args.check().is_ok(), "{line}");
        let named = line.contains("ids").then(|| "1".to_owned());
        assert_eq!(args.overrides().get("CLUSTER_IDS").cloned(), named, "{line}");
    }
    assert_eq!(parsed("snapshot --cluster-ids 1").unwrap_err().exit_code(), 2);
}

#[test]
fn version_names_the_program() {
    let told = parsed("--version").unwrap_err();
    assert_eq!(told.exit_code(), 0);
    let text = told.to_string();
    assert!(text.starts_with(concat!("vm-balancer ", env!("CARGO_PKG_VERSION"), " (")), "{text}");
    assert!(text.contains("features: ") && text.lines().count() == 1, "{text}");
}

#[test]
fn a_plan_is_told_to_people() {
    let plan = plan();
    insta::assert_snapshot!(report_text(&Report::of_plan(&plan, true), None));
}

#[test]
fn a_plan_is_told_to_programs() {
    let plan = plan();
    let text = report_json(&Report::of_plan(&plan, true)).unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn the_risks_of_a_migration_are_told() {
    let mut plan = plan();
    let kernels = ["5.14.0-362.el9", "5.14.0-427.el9"].map(KernelVersion::new);
    let [source, target] = kernels;
    plan.clusters[0].migrations[0].cautions = vec![Caution::NewerKernel { source, target }];
    let told = "the target's kernel is newer (5.14.0-427.el9, from 5.14.0-362.el9), nothing else helps";
    let json: serde_json::Value =
        serde_json::from_str(&report_json(&Report::of_plan(&plan, true)).unwrap()).unwrap();
    assert_eq!(json["clusters"][0]["migrations"][0]["cautions"], serde_json::json!([told]));
    assert!(report_text(&Report::of_plan(&plan, true), None).contains(told));
}

#[test]
fn endings_are_told_with_their_details() {
    let plan = plan();
    let mut outcomes = Outcomes::default();
    outcomes.set(
        ClusterId(1),
        1,
        Became::Ended(Outcome::Failed),
        Some("VMmanager: no space on the target".into()),
    );
    assert!(outcomes.any_trouble());
    let report = Report { is_over: true, outcomes, ..Report::of_plan(&plan, false) };
    let told = report_text(&report, None);
    assert!(told.contains("FAILED VMmanager: no space on the target"), "{told}");
    assert!(told.ends_with("\n1 failed\n") && !told.contains("DRY RUN"), "{told}");
    let object: serde_json::Value = serde_json::from_str(&report_json(&report).unwrap()).unwrap();
    let step = &object["clusters"][0]["migrations"][0];
    assert_eq!(step["outcome"], "failed");
    assert_eq!(step["detail"], "VMmanager: no space on the target");
}

#[test]
fn the_object_has_the_promised_keys() {
    let plan = plan();
    let text = report_json(&Report::of_plan(&plan, false)).unwrap();
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    has_keys(&object, &["taken_at", "dry_run", "plan_id", "clusters"]);
    let cluster = &object["clusters"][0];
    has_keys(
        cluster,
        &[
            "id",
            "name",
            "incomplete",
            "overloaded",
            "migrations",
            "still_overloaded",
            "skipped",
            "before",
            "after",
        ],
    );
    has_keys(&cluster["overloaded"][0], &["node", "name", "cpu", "load", "memory_percent", "why"]);
    has_keys(
        &cluster["migrations"][0],
        &["step", "vm", "vm_name", "source", "target", "vcpus", "ram_mib", "why", "outcome"],
    );
    has_keys(&cluster["skipped"][0], &["vm", "why"]);
    has_keys(&object["clusters"][1]["still_overloaded"][0], &["node", "why"]);
    for side in ["before", "after"] {
        has_keys(&cluster[side], &["overloaded", "memory_percent_max", "cpu_max", "imbalance"]);
    }
    assert_eq!(cluster["skipped"][0]["why"], "snapshots");
    assert_eq!(object["clusters"][2]["incomplete"], true);
}

#[test]
fn the_history_is_told_to_people() {
    insta::assert_snapshot!(told(HistoryFormat::Text(None), &rows()));
    assert_eq!(told(HistoryFormat::Text(None), &[]), "nothing was migrated yet\n");
}

#[test]
fn the_history_is_told_to_spreadsheets() {
    let text = told(HistoryFormat::Csv, &rows());
    insta::assert_snapshot!(text);
    assert_eq!(
        told(HistoryFormat::Csv, &[]).lines().next(),
        text.lines().next(),
        "the header is always the same"
    );
}

#[test]
fn no_cell_of_the_csv_is_a_formula_or_steers_a_terminal() {
    for name in ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\u{1b}[2J=1", "＝1"] {
        let row = Row { vm_name: name.into(), detail: Some(name.into()), ..rows().remove(0) };
        let written = told(HistoryFormat::Csv, &[row]);
        let mut read = csv::Reader::from_reader(written.as_bytes());
        let record = read.records().next().unwrap().unwrap();
        let is_formula = |cell: &str| cell.trim_start().starts_with(['=', '+', '-', '@', '＝']);
        assert!(record.iter().all(|cell| !is_formula(cell)), "{record:?}");
        assert!(!written.trim_end().contains(|c: char| c.is_control() && c != '\n'), "{written:?}");
    }
}

#[test]
fn the_history_is_told_to_programs() {
    insta::assert_snapshot!(told(HistoryFormat::Json, &rows()).trim_end());
}

#[test]
fn a_history_that_comes_in_parts_reads_like_one_that_came_whole() {
    for format in [HistoryFormat::Text(None), HistoryFormat::Csv, HistoryFormat::Json] {
        let mut telling = Telling::new(format);
        let rows = rows();
        let parts: Vec<_> = rows.chunks(1).map(|part| telling.rows(part).unwrap()).collect();
        let in_parts = parts.concat() + &telling.end().unwrap();
        let whole = told(format, &rows);
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&in_parts), words(&whole), "{format:?}");
        if format != HistoryFormat::Text(None) {
            assert_eq!(in_parts, whole, "{format:?}");
        }
    }
}

fn told(format: HistoryFormat, rows: &[Row]) -> String {
    let mut telling = Telling::new(format);
    telling.rows(rows).unwrap() + &telling.end().unwrap()
}

fn parsed(line: &str) -> Result<Args, clap::Error> {
    Args::try_parse_from(std::iter::once("vm-balancer").chain(line.split_whitespace()))
}

fn plan() -> Plan {
    let snapshot = Snapshot::from_json(include_str!("testdata/platform.json")).unwrap();
    planner::plan(&snapshot, &Policy { migrations_max: 10, parallel_max: 1, ..Policy::default() })
}

fn rows() -> Vec<Row> {
    let start: DateTime<Utc> = "2026-11-23T20:15:00Z".parse().unwrap();
    let closed = |outcome, detail: Option<&str>, seconds| JournalState::Closed {
        outcome,
        detail: detail.map(|said| Ending::Other(said.into())),
        at: start + TimeDelta::seconds(seconds),
        ordered: true,
        consul_id: None,
        task_id: None,
    };
    let people = Approver::People(vec![
        Person { id: 42, name: "Anna".into() },
        Person { id: 43, name: "Борис".into() },
    ]);
    [
        entry(3, "db-1", Approver::Auto, start, JournalState::Intended),
        entry(2, "=cmd()", people, start, closed(Outcome::Failed, Some("no space, \"full\""), 95)),
        entry(1, "web-1", Approver::Auto, start, closed(Outcome::Done, None, 3725)),
    ]
    .iter()
    .map(Row::from)
    .collect()
}

fn entry(id: u64, name: &str, approver: Approver, at: DateTime<Utc>, state: JournalState) -> JournalEntry {
    JournalEntry {
        v: 1,
        id: MigrationId(id),
        proposal: ProposalId(7),
        plan: PlanId("0123456789abcdef".into()),
        cluster: ClusterId(1),
        cluster_name: "msk".into(),
        vm: VmId(1000 + id),
        vm_name: name.into(),
        source: NodeId(10),
        source_name: "node-001".into(),
        target: NodeId(21),
        target_name: "node-021".into(),
        vcpus: 4,
        ram: Mib(8192),
        why: Motive::Text("memory 83.1 % > 70 %".into()),
        approver,
        history_before: HistoryBefore::Unknown,
        intended_at: at,
        state,
    }
}

fn has_keys(object: &serde_json::Value, keys: &[&str]) {
    for key in keys {
        assert!(object.get(key).is_some(), "{key} is missing in {object}");
    }
}
