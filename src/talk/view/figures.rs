//! The figures of a cluster before and after: overload and memory, and what else a plan acts on.

use super::View;
use crate::{
    planner::{ClusterPlan, Excess, Figures, MoveWhy, Resource},
    talk::words::args,
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
    /// What a plan was to lead to, in one line.
    pub(super) fn predicted_line(&self, figures: &Figures, besides: Besides) -> String {
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
        parts.join(", ")
    }

    /// Before and after in lines that a phone shows whole: `Overloaded nodes 4 → 0`, `Fullest memory 99.6 → 69.8 %`.
    pub(in crate::talk) fn figures_lines(
        &self,
        before: &Figures,
        after: &Figures,
        besides: Besides,
    ) -> Vec<String> {
        let both = |key, before: String, after: String| self.say(key, args![before = before, after = after]);
        let decimals = |value: f64, places| self.decimals(value, places);
        let mut lines = vec![
            both("figures-over", before.overloaded.to_string(), after.overloaded.to_string()),
            both(
                "figures-memory",
                decimals(before.memory_percent_max, 1),
                decimals(after.memory_percent_max, 1),
            ),
        ];
        let cpu = || both("figures-cpu", decimals(before.cpu_max, 2), decimals(after.cpu_max, 2));
        lines.extend(besides.cpu.then(cpu));
        let imbalance =
            || both("figures-imbalance", decimals(before.imbalance, 3), decimals(after.imbalance, 3));
        lines.extend(besides.imbalance.then(imbalance));
        lines
    }
}
