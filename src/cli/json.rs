//! The objects that programs read from standard output. Their keys are promised to the outside.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::report::{After, Became, Report};
use crate::{
    planner::{ClusterPlan, Figures, Migration, Overloaded, Resource, Skip, StillOverloaded},
    store::Outcome,
    talk::words::{Words, plain},
};

/// Writes a plan with what became of it, as `--once --json` and `plan --json` print it.
pub fn report(report: &Report<'_>) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&Printed::from(report))
}

/// Writes a moment the way all output has it.
pub(super) fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[derive(Serialize)]
struct Printed<'a> {
    taken_at: String,
    dry_run: bool,
    plan_id: &'a str,
    clusters: Vec<Cluster<'a>>,
}

#[derive(Serialize)]
struct Cluster<'a> {
    id: u64,
    name: &'a str,
    /// The id that the chat, the log and the history have for the plan of this cluster.
    plan_id: &'a str,
    incomplete: bool,
    /// Why, where it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    incomplete_because: Vec<String>,
    overloaded: Vec<Node<'a>>,
    migrations: Vec<Step<'a>>,
    still_overloaded: Vec<Still<'a>>,
    skipped: Vec<Skipped<'a>>,
    notes: Vec<String>,
    before: Numbers,
    /// Its values are `null` where a plan was carried out and could not be looked at when it had ended.
    after: Numbers,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_unseen: Option<String>,
    /// What the plan was to lead to, where it was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    predicted: Option<Numbers>,
}

#[derive(Serialize)]
struct Node<'a> {
    node: u64,
    name: &'a str,
    cpu: f64,
    load: Option<f64>,
    memory_percent: f64,
    why: String,
}

#[derive(Serialize)]
struct Step<'a> {
    step: u32,
    wave: u32,
    vm: u64,
    vm_name: &'a str,
    source: u64,
    source_name: &'a str,
    target: u64,
    target_name: &'a str,
    vcpus: u32,
    ram_mib: u64,
    why: String,
    /// Risks that it takes because nothing else helps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cautions: Vec<String>,
    outcome: Option<Became>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Serialize)]
struct Still<'a> {
    node: u64,
    name: &'a str,
    why: String,
}

#[derive(Serialize)]
struct Skipped<'a> {
    vm: u64,
    name: &'a str,
    node: u64,
    why: String,
}

#[derive(Default, Serialize)]
struct Numbers {
    overloaded: Option<usize>,
    memory_percent_max: Option<f64>,
    cpu_max: Option<f64>,
    imbalance: Option<f64>,
}

impl<'a> From<&'a Report<'a>> for Printed<'a> {
    fn from(report: &'a Report<'a>) -> Self {
        Self {
            taken_at: moment(report.plan.taken_at),
            dry_run: report.dry_run,
            plan_id: &report.plan.id.0,
            clusters: report.plan.clusters.iter().map(|plan| cluster(plan, report)).collect(),
        }
    }
}

fn cluster<'a>(plan: &'a ClusterPlan, report: &Report<'_>) -> Cluster<'a> {
    let ClusterPlan {
        id,
        cluster,
        name,
        incomplete,
        overloaded,
        migrations,
        still_overloaded,
        skipped,
        notes,
        before,
        after,
    } = plan;
    let words = Words::english();
    let (figures, after_unseen, predicted) = match report.after(plan) {
        After::Predicted(figures) => (Some(figures), None, None),
        After::Seen(figures) => (Some(figures), None, Some(numbers(after))),
        After::Unseen(sight) => (None, Some(plain(&words.unseen(sight))), Some(numbers(after))),
    };
    let now = report.plan.taken_at;
    Cluster {
        id: cluster.0,
        name,
        plan_id: &id.0,
        incomplete: !incomplete.is_empty(),
        incomplete_because: incomplete.iter().map(|flaw| plain(&words.flaw(flaw))).collect(),
        overloaded: overloaded.iter().map(node).collect(),
        migrations: migrations.iter().map(|migration| step(plan, migration, report)).collect(),
        still_overloaded: still_overloaded.iter().map(still).collect(),
        skipped: skipped.iter().map(|skip| left_alone(skip, now)).collect(),
        notes: notes.iter().map(|note| plain(&words.note(note))).collect(),
        before: numbers(before),
        after: figures.map(numbers).unwrap_or_default(),
        after_unseen,
        predicted,
    }
}

fn node(overloaded: &Overloaded) -> Node<'_> {
    let Overloaded { node, name, at, over } = overloaded;
    let threshold = |resource: Resource| {
        over.iter().find(|excess| excess.resource == resource).map(|excess| excess.threshold)
    };
    Node {
        node: node.0,
        name,
        cpu: above(at.cpu, CPU_DECIMALS, threshold(Resource::Cpu)),
        load: at.load.map(|load| above(load, CPU_DECIMALS, threshold(Resource::Load))),
        memory_percent: above(at.memory_percent, PERCENT_DECIMALS, threshold(Resource::Memory)),
        why: plain(&Words::english().excesses(over)),
    }
}

fn step<'a>(plan: &ClusterPlan, migration: &'a Migration, report: &Report<'_>) -> Step<'a> {
    let ending = report.outcomes.get(plan.cluster, migration.step);
    Step {
        step: migration.step,
        wave: migration.wave,
        vm: migration.vm.0,
        vm_name: &migration.vm_name,
        source: migration.source.0,
        source_name: &migration.source_name,
        target: migration.target.0,
        target_name: &migration.target_name,
        vcpus: migration.vcpus,
        ram_mib: migration.ram.0,
        why: plain(&Words::english().move_why(&migration.why)),
        cautions: migration.cautions.iter().map(|risk| plain(&Words::english().caution(risk))).collect(),
        outcome: ending.map(|ending| ending.outcome),
        detail: ending.map(|ending| match (&ending.detail, ending.outcome) {
            (Some(detail), _) => detail.clone(),
            (None, Became::Ended(Outcome::Done)) => format!("VMmanager has it on {}", migration.target_name),
            (None, _) => String::new(),
        }),
    }
}

fn still(still: &StillOverloaded) -> Still<'_> {
    Still { node: still.node.0, name: &still.name, why: plain(&Words::english().still_overloaded(still)) }
}

fn left_alone(skip: &Skip, now: DateTime<Utc>) -> Skipped<'_> {
    let Skip { vm, name, node, why } = skip;
    Skipped { vm: vm.0, name, node: node.0, why: plain(&Words::english().skip_why(why, now)) }
}

fn numbers(figures: &Figures) -> Numbers {
    let Figures { overloaded, memory_percent_max, cpu_max, imbalance } = *figures;
    Numbers {
        overloaded: Some(overloaded),
        memory_percent_max: Some(round_to(memory_percent_max, PERCENT_DECIMALS)),
        cpu_max: Some(round_to(cpu_max, CPU_DECIMALS)),
        imbalance: Some(round_to(imbalance, IMBALANCE_DECIMALS)),
    }
}

/// A hundredth of a percent of 1 TiB is 100 MiB: finer than any VM.
const PERCENT_DECIMALS: i32 = 2;

/// One vCPU on 256 cores is 0.004.
const CPU_DECIMALS: i32 = 3;

/// Clusters that are nearly even still differ in the fourth place.
const IMBALANCE_DECIMALS: i32 = 4;

/// The number of decimals after which a double holds no further information.
const DECIMALS_MAX: i32 = 12;

/// Rounds, but never so far that what is over its threshold looks as if it were not.
fn above(value: f64, decimals: i32, threshold: Option<f64>) -> f64 {
    let Some(threshold) = threshold else { return round_to(value, decimals) };
    (decimals..=DECIMALS_MAX)
        .map(|decimals| round_to(value, decimals))
        .find(|shown| *shown > threshold)
        .unwrap_or(value)
}

fn round_to(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    let shown = (value * scale).round() / scale;
    // A zero has no sign for people.
    if shown == 0.0 { 0.0 } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_never_hides_an_overload() {
        assert_eq!(above(83.1234, 2, Some(70.0)), 83.12);
        assert_eq!(above(70.000_4, 2, Some(70.0)), 70.000_4);
        assert_eq!(above(70.001_8, 2, Some(70.0)), 70.002);
        assert_eq!(above(69.999_9, 2, None), 70.0);
        assert_eq!(round_to(-0.0, 2).to_string(), "0");
    }
}
