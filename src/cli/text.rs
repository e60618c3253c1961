//! A plan for people at a terminal.

use std::{collections::BTreeMap, fmt::Write as _};

use chrono::{DateTime, Utc};

use super::{
    json::moment,
    report::{After, Became, Report},
    table::{Table, printable},
};
use crate::{
    planner::{ClusterPlan, Figures, Fullness},
    talk::words::{Words, plain},
};

/// Writes a plan with what became of it. Rows that are wider than `width` columns end on a line of their own; `None`
/// for no limit.
#[must_use]
pub fn report(report: &Report<'_>, width: Option<usize>) -> String {
    let mut text = String::new();
    if report.dry_run {
        text.push_str("DRY RUN: nothing is changed\n");
    }
    line(&mut text, format_args!("plan {} of {}", report.plan.id, moment(report.plan.taken_at)));
    if report.plan.clusters.is_empty() {
        text.push_str("\nno cluster to plan for\n");
    }
    for plan in &report.plan.clusters {
        text.push('\n');
        cluster(&mut text, plan, report, width);
    }
    if let Some(summary) = summary(report) {
        line(&mut text, format_args!("\n{summary}"));
    }
    text
}

fn cluster(text: &mut String, plan: &ClusterPlan, report: &Report<'_>, width: Option<usize>) {
    let ClusterPlan { cluster, name, overloaded, migrations, .. } = plan;
    let counts = match (overloaded.len(), migrations.len()) {
        _ if !plan.incomplete.is_empty() => "the picture is incomplete, nothing is done here".into(),
        (0, 0) => "no node is overloaded, nothing to do".into(),
        (nodes, steps) => format!("overloaded nodes: {nodes}, migrations: {steps}"),
    };
    let id = match report.plan.clusters.len() {
        1 => String::new(),
        _ => format!(", plan {}", plan.id),
    };
    line(text, format_args!("cluster {} ({cluster}){id}: {counts}", printable(name)));
    for reason in &plan.incomplete {
        line(text, format_args!("  {}", printable(&plain(&Words::english().flaw(reason)))));
    }
    let mut section = |title, table: Table| section(text, title, &table.render(width));
    section("overloaded", overloaded_nodes(plan));
    section("migrations", steps(plan, report));
    section("still overloaded afterwards", still_overloaded(plan));
    section("left alone", left_alone(plan, report.plan.taken_at));
    section("notes", notes(plan));
    let mut figures = Table::with_indent(2);
    figures.row(numbers("before", &plan.before));
    match report.after(plan) {
        After::Predicted(_) if migrations.is_empty() => {}
        After::Predicted(after) => figures.row(numbers("after", after)),
        After::Seen(after) => {
            figures.row(numbers("after", after));
            if *after != plan.after {
                figures.row(numbers("predicted", &plan.after));
            }
        }
        After::Unseen(sight) => {
            figures.row(numbers("predicted", &plan.after));
            figures.row(["after:".into(), plain(&Words::english().unseen(sight))]);
        }
    }
    text.push_str(&figures.render(width));
}

fn section(text: &mut String, title: &str, body: &str) {
    if !body.is_empty() {
        line(text, format_args!("  {title}:"));
        text.push_str(body);
    }
}

fn overloaded_nodes(plan: &ClusterPlan) -> Table {
    let mut table = Table::with_indent(4);
    for node in &plan.overloaded {
        let Fullness { cpu, load, memory_percent } = node.at;
        table.row([
            format!("{} ({})", node.name, node.node),
            format!("memory {memory_percent:.1} %"),
            format!("cpu {cpu:.2}"),
            load.map(|load| format!("load {load:.2}")).unwrap_or_default(),
            plain(&Words::english().excesses(&node.over)),
        ]);
    }
    table
}

fn steps(plan: &ClusterPlan, report: &Report<'_>) -> Table {
    let (words, mut table) = (Words::english(), Table::with_indent(4));
    for step in &plan.migrations {
        let ending = report.outcomes.get(plan.cluster, step.step).map(|ending| {
            let detail = ending.detail.as_deref().unwrap_or_default();
            format!("{} {detail}", ending.outcome.word().to_uppercase())
        });
        table.row([
            format!("{}.", step.step),
            format!("{} ({})", step.vm_name, step.vm),
            format!("{} -> {}", step.source_name, step.target_name),
            format!("{} vCPU", step.vcpus),
            step.ram.to_string(),
            plain(&format!("{}{}", words.move_why(&step.why), words.cautions(&step.cautions))),
            ending.unwrap_or_default(),
        ]);
    }
    table
}

fn still_overloaded(plan: &ClusterPlan) -> Table {
    let mut table = Table::with_indent(4);
    for node in &plan.still_overloaded {
        table
            .row([format!("{} ({})", node.name, node.node), plain(&Words::english().still_overloaded(node))]);
    }
    table
}

/// How many names are listed for each reason. The JSON lists all of them.
const NAMES_MAX: usize = 5;

fn left_alone(plan: &ClusterPlan, now: DateTime<Utc>) -> Table {
    let mut by_reason: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for skip in &plan.skipped {
        by_reason.entry(plain(&Words::english().skip_why(&skip.why, now))).or_default().push(&skip.name);
    }
    let mut table = Table::with_indent(4);
    for (reason, names) in by_reason {
        let shown = names.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
        let more = names.len().saturating_sub(NAMES_MAX);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        table.row([reason, names.len().to_string(), format!("{shown}{rest}")]);
    }
    table
}

fn notes(plan: &ClusterPlan) -> Table {
    let mut table = Table::with_indent(4);
    for note in &plan.notes {
        table.row([plain(&Words::english().note(note))]);
    }
    table
}

fn numbers(when: &str, figures: &Figures) -> [String; 5] {
    let Figures { overloaded, memory_percent_max, cpu_max, imbalance } = figures;
    [
        format!("{when}:"),
        format!("overloaded {overloaded}"),
        format!("memory up to {memory_percent_max:.1} %"),
        format!("cpu up to {cpu_max:.2}"),
        format!("imbalance {imbalance:.4}"),
    ]
}

fn summary(report: &Report<'_>) -> Option<String> {
    let ended = Became::ALL.map(|became| (report.outcomes.count(became), became.word()));
    let told: Vec<_> =
        ended.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{words}");
}
