//! `/whatif`: what would be if a node were emptied or lost, or VMs were added. Changes nothing.

use chrono::{DateTime, Utc};

use crate::{
    model::Mib,
    planner::{Drain, Growth, NodeLoss, Taker},
    scheduler::{Forecast, Foreseen, WhatIf},
    talk::{
        access::Role,
        ask::{Answer, Ask, Next, Then},
        grammar::{Problem, Rest},
        verb::{Act, Asker, Verb, erase},
        view::{Besides, Page, View},
        words::{
            Arg, args, escape,
            format::{bold, name, some_of},
        },
    },
};

pub(super) static VERB: Verb = Verb {
    word: "whatif",
    usage: "/whatif drain NODE | lose NODE | add N [vms] RAM [VCPU] [CLUSTER]",
    examples: &[
        "/whatif drain node-001",
        "/whatif lose node-001",
        "/whatif add 20 8G",
        "/whatif add 20 8G 4 msk",
    ],
    least_role: Role::Viewer,
    read: |rest| read(rest).map(erase),
    button: None,
};

/// What is short decides: memory or vCPU.
const CAPACITY: Besides = Besides { cpu: true, imbalance: false };

/// More VMs at one time are no question of this bot.
const ADDED_MAX: u64 = 10_000;

/// How many nodes that take VMs are listed.
const TAKERS_MAX: usize = 10;

/// How many VMs without a place are listed.
const HOMELESS_MAX: usize = 8;

struct AskAhead(WhatIf);

fn read(mut rest: Rest) -> Result<AskAhead, Problem> {
    let what = rest.next_of(&["drain", "lose", "add"])?.ok_or(Problem::Missing)?;
    Ok(AskAhead(match what {
        "drain" => WhatIf::Drain { node: rest.name()? },
        "lose" => WhatIf::Lose { node: rest.name()? },
        _ => {
            let count = rest.number(ADDED_MAX)?;
            rest.skip_of(&["vms", "vm", "вм"]);
            let memory = rest.size()?;
            WhatIf::Add {
                count,
                memory,
                vcpus: rest.next_number().map(|vcpus| vcpus.max(1)),
                cluster: rest.join_rest(),
            }
        }
    }))
}

impl Act for AskAhead {
    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let then = Then::new(|foreseen: Foreseen, view: &View, now| Answer::Page(page(view, &foreseen, now)));
        Next::Ask(Ask::WhatIf(self.0, then))
    }
}

fn page(view: &View, foreseen: &Foreseen, now: DateTime<Utc>) -> Page {
    let Foreseen { taken_at, cluster: _, cluster_name, incomplete, what } = foreseen;
    let cluster = Arg::Html(bold(&name(cluster_name)));
    let mut lines = match what {
        Forecast::Drain(drain) => view.drain_ahead(drain, cluster, now),
        Forecast::Lose(loss) => view.loss_ahead(loss, cluster, now),
        Forecast::Add { growth, vcpus_guessed } => view.growth_ahead(growth, *vcpus_guessed, cluster),
    };
    let flaws = incomplete.iter().map(|flaw| view.say("incomplete", args![why = Arg::Html(view.flaw(flaw))]));
    lines.splice(1..1, flaws);
    lines.push(view.as_of(*taken_at, now));
    lines.push(match what {
        Forecast::Drain(drain) if !drain.plan.migrations.is_empty() => {
            view.say("whatif-drain-next", args![node = Arg::copyable(&drain.node_name)])
        }
        _ => view.say("whatif-changes-nothing", args![]),
    });
    view.page(lines)
}

impl View {
    fn drain_ahead(&self, drain: &Drain, cluster: Arg, now: DateTime<Utc>) -> Vec<String> {
        let node = Arg::copyable(&drain.node_name);
        let mut lines = vec![self.say("whatif-drain-title", args![node = node, cluster = cluster])];
        lines.extend(self.drain_verdict(drain, now));
        if !drain.plan.migrations.is_empty() {
            lines.extend(self.taker_lines(&drain.takers));
            lines.extend(self.figures_lines(&drain.plan.before, &drain.plan.after, CAPACITY));
        }
        lines
    }

    /// Whether a node can be emptied, and what would stay.
    pub(in crate::talk) fn drain_verdict(&self, drain: &Drain, now: DateTime<Utc>) -> Vec<String> {
        let (moved, stuck) = (drain.leaving(), drain.stuck.len());
        if moved + stuck == 0 {
            return vec![self.say("whatif-drain-empty", args![])];
        }
        if moved == 0 {
            let node = Arg::copyable(&drain.node_name);
            let mut lines = vec![self.say("drain-stuck", args![node = node])];
            lines.extend(self.stuck_lines(&drain.stuck, now));
            return lines;
        }
        let memory: Mib = drain.plan.migrations.iter().map(|step| step.ram).sum();
        let migrations = self.say("count-migrations", args![n = drain.plan.migrations.len()]);
        let (migrations, memory) = (Arg::Html(migrations), self.memory(memory));
        if stuck == 0 {
            let vms = Arg::Html(self.say("count-vms", args![n = moved]));
            let how = args![vms = vms, migrations = migrations, memory = memory];
            return vec![self.say("whatif-drain-all", how)];
        }
        let (moved, of) = (moved.to_string(), (moved + stuck).to_string());
        let how = args![moved = moved, of = of, migrations = migrations, memory = memory];
        let mut lines = vec![self.say("whatif-drain-some", how)];
        lines.extend(self.stuck_lines(&drain.stuck, now));
        lines
    }

    fn loss_ahead(&self, loss: &NodeLoss, cluster: Arg, now: DateTime<Utc>) -> Vec<String> {
        let node = Arg::copyable(&loss.name);
        let mut lines = vec![self.say("whatif-lose-title", args![node = node, cluster = cluster])];
        let (placed, of) = ((loss.vms - loss.homeless.len()).to_string(), loss.vms.to_string());
        lines.push(match (loss.vms, loss.homeless.len()) {
            (0, _) => self.say("whatif-lose-none", args![]),
            (vms, 0) => self.say("whatif-lose-all", args![n = vms]),
            _ => self.say("whatif-lose-some", args![placed = placed, of = of]),
        });
        let homeless = loss.homeless.iter().take(HOMELESS_MAX).map(|skip| {
            let vm = Arg::Html(self.vm(&skip.name, skip.vm));
            self.say("whatif-homeless", args![vm = vm, why = Arg::Html(self.skip_why(&skip.why, now))])
        });
        lines.extend(homeless);
        lines.extend(self.more_than(HOMELESS_MAX, loss.homeless.len()));
        lines.extend(self.taker_lines(&loss.takers));
        lines.extend(loss.over.iter().take(TAKERS_MAX).map(|over| {
            let node = Arg::copyable(&over.name);
            self.say("whatif-over", args![node = node, over = Arg::Html(self.excesses(&over.over))])
        }));
        lines.extend(self.more_than(TAKERS_MAX, loss.over.len()));
        if loss.vms > 0 {
            lines.extend(self.figures_lines(&loss.before, &loss.after, CAPACITY));
        }
        lines
    }

    fn growth_ahead(&self, growth: &Growth, vcpus_guessed: bool, cluster: Arg) -> Vec<String> {
        let Growth { count, vcpus, memory, fit, takers, closed, before, after } = growth;
        let (vcpus, size) = (vcpus.to_string(), self.memory(*memory));
        let title = args![n = *count, size = size, vcpus = vcpus.clone(), cluster = cluster];
        let mut lines = vec![self.say("whatif-add-title", title)];
        lines.push(match fit.checked_sub(*count) {
            Some(0) => self.say("whatif-add-all", args![]),
            Some(more) => self.say("whatif-add-more", args![n = more]),
            None => {
                let missing = (count - fit).to_string();
                self.say(
                    "whatif-add-some",
                    args![fit = fit.to_string(), of = count.to_string(), missing = missing],
                )
            }
        });
        if vcpus_guessed {
            lines.push(self.say("whatif-vcpus-guessed", args![vcpus = vcpus]));
        }
        lines.extend(self.taker_lines(takers));
        if !closed.is_empty() {
            let whys = closed.iter().map(|(why, nodes)| {
                let nodes = self.say("count-nodes", args![n = *nodes]);
                format!("{} ({nodes})", self.target_refusal(*why))
            });
            let why = some_of(whys.collect::<Vec<_>>().into_iter());
            lines.push(self.say("whatif-add-closed", args![why = Arg::Html(why)]));
        }
        lines.extend(self.figures_lines(before, after, CAPACITY));
        lines
    }

    fn taker_lines(&self, takers: &[Taker]) -> Vec<String> {
        let shown = takers.iter().take(TAKERS_MAX).map(|taker| {
            let vms = self.say("count-vms", args![n = taker.vms]);
            let (before, after) = (taker.before.memory_percent, taker.after.memory_percent);
            self.say(
                "whatif-taker",
                args![
                    node = Arg::Html(escape(&name(&taker.name))),
                    vms = Arg::Html(vms),
                    before = self.decimal(before),
                    after = self.decimal(after),
                ],
            )
        });
        shown.chain(self.more_than(TAKERS_MAX, takers.len())).collect()
    }

    fn more_than(&self, shown: usize, of: usize) -> Option<String> {
        (of > shown).then(|| self.say("more-lines", args![n = of - shown]))
    }
}

#[cfg(test)]
mod tests {
    use crate::talk::{
        grammar::Problem,
        verbs::tests::{answers, problem, read},
    };

    #[test]
    fn what_would_be_is_said_with_figures() {
        let texts = [
            "/whatif drain node-001",
            "/whatif drain neva-01",
            "/whatif lose node-001",
            "/whatif lose node-002",
            "/whatif lose neva-01",
            "/whatif add 2 8G 4 msk",
            "/whatif add 20 8G msk",
            "/whatif add 1 8G",
            "/whatif drain nowhere",
        ];
        insta::assert_snapshot!(texts.map(answers).join("\n"));
    }

    #[test]
    fn what_is_no_question_is_said() {
        assert_eq!(problem("/whatif"), Problem::Missing);
        assert_eq!(problem("/whatif drain"), Problem::Missing);
        assert_eq!(problem("/whatif add 0 8G"), Problem::NotANumber("0".into()));
        assert_eq!(problem("/whatif add 5 many"), Problem::NotASize("many".into()));
        assert!(matches!(problem("/whatif loose n1"), Problem::NotOneOf { similar: Some("lose"), .. }));
        read("/whatif add 5 512M 2 \"rack 5\"");
        read("/whatif add 5 VMs 4G");
        read("/whatif add 5 ВМ 4G 2");
    }
}
