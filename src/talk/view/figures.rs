//! The figures of a cluster before and after: overload and memory, and what else a plan acts on.

use super::View;
use crate::{
    planner::{ClusterPlan, Excess, Figures, MoveWhy, Resource},
    talk::words::{args, format::hung},
};

/// Which figures are shown besides overload and memory: those that the plan acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::talk) struct Besides {
    pub(in crate::talk) cpu: bool,
    pub(in crate::talk) imbalance: bool,
}

impl Besides {
    /// Returns what a plan acts on.
    pub(in crate::talk) fn of(plan: &ClusterPlan) -> Self {
        let is_cpu = |excess: &Excess| excess.resource == Resource::Cpu;
        let moves = || plan.migrations.iter().map(|migration| &migration.why);
        Self {
            cpu: plan.overloaded.iter().flat_map(|node| &node.over).any(is_cpu)
                || moves().any(|why| matches!(why, MoveWhy::Relieve(excess) if is_cpu(excess))),
            imbalance: moves().any(|why| matches!(why, MoveWhy::Level { .. })),
        }
    }
}

impl View {
    /// What a plan was to lead to.
    pub(super) fn predicted_lines(&self, figures: &Figures, besides: Besides) -> Vec<String> {
        let memory = self.decimal(figures.memory_percent_max);
        let mut parts = vec![
            self.say("predicted-over", args![over = figures.overloaded.to_string()]),
            self.say("status-memory", args![memory = memory]),
        ];
        let cpu = || self.say("status-cpu", args![cpu = self.decimals(figures.cpu_max, 2)]);
        parts.extend(besides.cpu.then(cpu));
        let imbalance =
            || self.say("status-imbalance", args![imbalance = self.decimals(figures.imbalance, 3)]);
        parts.extend(besides.imbalance.then(imbalance));
        hung(parts, ", ")
    }

    /// Before and after in lines that a phone shows whole: `Overloaded nodes 4 → 0`, `Fullest memory 99.6 → 69.8 %`.
    /// What stays as it is stands once, and no word is lost on overload that there is none of.
    pub(in crate::talk) fn figures_lines(
        &self,
        before: &Figures,
        after: &Figures,
        besides: Besides,
    ) -> Vec<String> {
        let change = |key, before: String, after: String| {
            let change = if before == after { after } else { format!("{before} → {after}") };
            self.say(key, args![change = change])
        };
        let both = |key, before, after, places| {
            change(key, self.decimals(before, places), self.decimals(after, places))
        };
        let is_over = before.overloaded + after.overloaded > 0;
        let over = is_over
            .then(|| change("figures-over", before.overloaded.to_string(), after.overloaded.to_string()));
        let memory = both("figures-memory", before.memory_percent_max, after.memory_percent_max, 1);
        let cpu = besides.cpu.then(|| both("figures-cpu", before.cpu_max, after.cpu_max, 2));
        let imbalance =
            besides.imbalance.then(|| both("figures-imbalance", before.imbalance, after.imbalance, 3));
        over.into_iter().chain([memory]).chain(cpu).chain(imbalance).collect()
    }
}
