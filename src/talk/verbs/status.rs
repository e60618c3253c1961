//! `/status [cluster]`: clusters, nodes, overload, mode, what runs, when the next cycle is.

use chrono::{DateTime, Utc};

use super::{balance, link};
use crate::{
    model::{ClusterId, ForeignMigration, Snapshot, find},
    planner::{Excess, NodeOverview, Overview, Resource, Strategy},
    scheduler::{Picture, Status},
    store::{Happened, Outcome},
    talk::{
        access::Role,
        ask::{Answer, Ask, Next, Then},
        chart::Wanted,
        verb::{Act, Asker, ButtonKind, Verb, erase},
        view::{Button, Page, View},
        words::{
            Arg, args, escape,
            format::{bold, code, hung, name, some_of},
            plain,
        },
    },
};

pub(super) static VERB: Verb = Verb {
    word: "status",
    usage: "/status [cluster]",
    examples: &["/status", "/status msk", "/status 2"],
    least_role: Role::Viewer,
    read: |rest| Ok(erase(AskStatus { cluster: rest.join_rest() })),
    button: Some(ButtonKind { mark: "s", read: |rest| Refresh::read(rest).map(erase) }),
};

/// As many nodes as a phone shows with a few strokes; `/status CLUSTER` has pages of them.
const NODES_PAGE: usize = 25;

/// How many overloaded nodes of each cluster are listed. `/status CLUSTER` lists every node.
const OVERLOADED_LINES_MAX: usize = 10;

/// How many clusters are listed; `/status CLUSTER` shows any.
const CLUSTERS_MAX: usize = 8;

/// How many running migrations are listed; `/running` has all.
const RUNNING_LINES_MAX: usize = 8;

/// How many nodes of each cluster are listed that suffer although they are within their thresholds.
const STRAINED_LINES_MAX: usize = 5;

struct AskStatus {
    cluster: Option<String>,
}

/// The button under a status: the same message, anew.
#[derive(Debug, PartialEq, Eq)]
struct Refresh {
    cluster: Option<ClusterId>,
    /// The first node that is listed, where a cluster has pages of them.
    from: usize,
}

/// What a status is about.
#[derive(Clone, Copy)]
struct About {
    /// `None` for every cluster.
    cluster: Option<ClusterId>,
    from: usize,
}

const EVERYTHING: About = About { cluster: None, from: 0 };

impl Refresh {
    fn data(&self) -> String {
        match (self.cluster, self.from) {
            (None, _) => "s".into(),
            (Some(cluster), 0) => format!("s:{cluster}"),
            (Some(cluster), from) => format!("s:{cluster}:{from}"),
        }
    }

    fn read(rest: &str) -> Option<Self> {
        if rest.is_empty() {
            return Some(Self { cluster: None, from: 0 });
        }
        let (cluster, from) = rest.split_once(':').unwrap_or((rest, "0"));
        Some(Self { cluster: Some(ClusterId(cluster.parse().ok()?)), from: from.parse().ok()? })
    }
}

impl Act for AskStatus {
    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let then = move |status: Status, view: &View, _| {
            Answer::Page(match &self.cluster {
                Some(named) => of_cluster(named, &status, view),
                None => view.status(&status, EVERYTHING),
            })
        };
        Next::Ask(Ask::Glance(Then::new(then), None))
    }
}

impl Act for Refresh {
    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let about = About { cluster: self.cluster, from: self.from };
        let then =
            move |status: Status, view: &View, _: DateTime<Utc>| Answer::Rewrite(view.status(&status, about));
        // What is known is shown at once, and what the look behind it brings once that is there.
        Next::Ask(Ask::Glance(Then::new(then), Some(Then::new(then))))
    }
}

fn of_cluster(named: &str, status: &Status, view: &View) -> Page {
    view.of_picture(status, |Picture { snapshot, .. }| match find::cluster(snapshot, named) {
        Ok(cluster) => view.status(status, About { cluster: Some(cluster.id), from: 0 }),
        Err(missed) => view.line(view.miss(&missed)),
    })
}

impl View {
    /// Returns what `of` makes of the newest picture; the status where there is no picture yet.
    pub(in crate::talk) fn of_picture(&self, status: &Status, of: impl FnOnce(&Picture) -> Page) -> Page {
        match &status.picture {
            Some(picture) => of(picture),
            None => self.status(status, EVERYTHING),
        }
    }

    /// Returns how things stand, in all clusters or in one: the verdict, the worst, and then how the bot is set.
    fn status(&self, status: &Status, about: About) -> Page {
        let only = about.cluster;
        let listed = status.picture.as_ref().map(|picture| by_weight(picture, only)).unwrap_or_default();
        let mut lines = self.verdict(status, &listed, only);
        lines.extend(status.restored_unconfirmed.then(|| self.say("status-restored", args![])));
        lines.extend(status.pause.iter().flat_map(|pause| self.pause_lines(pause, status.now)));
        if let Some(picture) = &status.picture {
            lines.extend(self.picture_lines(status, picture, &listed, about));
        }
        if !status.running.is_empty() {
            lines.push(String::new());
            let more = status.running.len().saturating_sub(RUNNING_LINES_MAX);
            let running = status.running.iter().take(RUNNING_LINES_MAX);
            lines.extend(running.flat_map(|entry| self.running_lines(entry, status.now)));
            lines.extend((more > 0).then(|| self.say("status-more-running", args![n = more])));
        }
        lines.push(String::new());
        lines.extend(self.schedule_lines(status));
        let page = self.narrow_page(lines);
        self.status_buttons(page, &listed, about)
    }

    /// Returns how things stand, in short: for the pinned board.
    #[must_use]
    pub(crate) fn board(&self, status: &Status) -> Page {
        let clusters = status.picture.as_ref().map(|picture| by_weight(picture, None)).unwrap_or_default();
        let mut lines = self.verdict(status, &clusters, None);
        lines.extend(status.pause.iter().flat_map(|pause| self.pause_lines(pause, status.now)));
        let running = status.running.iter().take(RUNNING_LINES_MAX);
        lines.extend(running.flat_map(|entry| self.running_lines(entry, status.now)));
        lines.push(self.say("status-mode", args![mode = Arg::Html(self.mode(status.mode))]));
        lines.extend(self.standing_in_short(status));
        // An age would change with every look, and each change is an edit.
        let taken_at = status.picture.as_ref().map(|picture| picture.snapshot.taken_at);
        lines.extend(taken_at.map(|at| self.say("board-as-of", args![at = self.time(at, status.now)])));
        let page = self.narrow_page(lines);
        if status.dry_run { page.in_dry_run() } else { page }
    }

    /// Returns what the pinned message says once it is not kept any more.
    #[must_use]
    pub(crate) fn board_off(&self) -> Page {
        self.line(self.say("board-off", args![]))
    }

    /// Returns what the last day brought.
    #[must_use]
    pub(crate) fn digest(&self, happened: &[Happened], status: &Status) -> Page {
        let moved = |wanted: Outcome| {
            let is_so = |row: &&Happened| matches!(row, Happened::Migration(entry) if entry.outcome().is_some_and(|(is, _)| is == wanted));
            happened.iter().filter(is_so).count()
        };
        let plans = happened.iter().filter(|row| matches!(row, Happened::Plan(_))).count();
        let clusters = status.picture.as_ref().map(|picture| by_weight(picture, None)).unwrap_or_default();
        let mut lines = vec![self.say("digest-title", args![])];
        lines.push(self.say("digest-moved", args![n = moved(Outcome::Done)]));
        let failed = moved(Outcome::Failed) + moved(Outcome::Lost);
        lines.extend((failed > 0).then(|| self.say("digest-failed", args![n = failed])));
        lines.extend((plans > 0).then(|| self.say("digest-plans", args![n = plans])));
        lines.extend(self.verdict(status, &clusters, None));
        let page = self.narrow_page(lines);
        if status.dry_run { page.in_dry_run() } else { page }
    }

    /// `⚠ 4 nodes over`, `worst node-002: memory 99.6 %`, `Plan 1 waits until 04:17`
    fn verdict(&self, status: &Status, listed: &[&Overview], only: Option<ClusterId>) -> Vec<String> {
        let over: Vec<_> =
            listed.iter().flat_map(|cluster| &cluster.nodes).filter(|node| !node.over.is_empty()).collect();
        let worst = over.iter().max_by(|a, b| weight(a).total_cmp(&weight(b)));
        let first = match (&status.vmmanager_away, &status.picture, worst) {
            (Some(why), ..) => vec![self.say("status-away", args![why = Arg::Html(self.api_failure(why))])],
            (None, None, _) => vec![self.say("status-no-picture", args![])],
            (None, Some(_), None) => vec![self.say("verdict-none-over", args![])],
            (None, Some(_), Some(worst)) => {
                let why = worst.over.iter().max_by(|a, b| share(a).total_cmp(&share(b)));
                let why = why.map(|excess| {
                    format!(
                        "{} {}",
                        self.resource(excess.resource),
                        self.value(excess.resource, excess.value)
                    )
                });
                let called = Arg::Html(format!("{} {}", code(&name(&worst.name)), link::node(worst.node)));
                let args = args![n = over.len(), node = called, why = why.unwrap_or_default()];
                let worst = self.say("verdict-worst", args);
                vec![self.say("verdict-over", args![n = over.len()]), worst]
            }
        };
        let here = |cluster: ClusterId| only.is_none_or(|only| only == cluster);
        let plans = status.waiting.iter().filter(|plan| here(plan.cluster)).map(|plan| {
            let until = self.time(plan.until, status.now);
            self.say("verdict-waits", args![plan = plan.proposal.to_string(), until = until])
        });
        let deferred = status.deferred.iter().filter(|plan| here(plan.cluster)).map(|plan| {
            let at = self.time(plan.until, status.now);
            self.say("verdict-begins", args![plan = plan.proposal.to_string(), at = at])
        });
        let rounds = status.rounds.iter().filter(|round| here(round.cluster)).map(|round| {
            let key = if round.waits_for_hand { "verdict-round-hand" } else { "verdict-round" };
            let (node, number) = (Arg::copyable(&round.node), round.number.to_string());
            let (of, plan) = (round.of.to_string(), round.proposal.to_string());
            self.say(key, args![node = node, number = number, of = of, plan = plan])
        });
        first.into_iter().chain(plans).chain(deferred).chain(rounds).collect()
    }

    fn schedule_lines(&self, status: &Status) -> Vec<String> {
        let now = status.now;
        let mut lines = vec![self.say("status-mode", args![mode = Arg::Html(self.mode(status.mode))])];
        lines.extend(self.standing_in_short(status));
        let closed = status.exclusions.len();
        lines.extend((closed > 0).then(|| self.say("status-closed", args![n = closed])));
        if let Some(last) = &status.last_cycle {
            let at = self.time(last.at, now);
            lines.push(match &last.trouble {
                Some(trouble) => {
                    self.say("status-last-trouble", args![at = at, why = Arg::Html(self.trouble(trouble))])
                }
                None => self.say("status-last-cycle", args![at = at]),
            });
        }
        lines.push(match status.next_cycle {
            Some(at) => self.say("status-next-cycle", args![at = self.time(at, now)]),
            None => self.say("status-no-next-cycle", args![]),
        });
        if !status.window_open {
            lines.push(self.say("status-window-closed", args![]));
        }
        if let Some(picture) = &status.picture {
            lines.push(self.as_of(picture.snapshot.taken_at, now));
        }
        lines
    }

    /// The clusters by weight. Those beyond a phone's screen are counted, with the way to them.
    fn picture_lines(
        &self,
        status: &Status,
        picture: &Picture,
        listed: &[&Overview],
        about: About,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        for overview in listed.iter().take(CLUSTERS_MAX) {
            lines.push(String::new());
            lines.extend(self.cluster_lines(overview, picture, about, status.now));
            if status.stopped_clusters.contains(&overview.cluster) {
                lines.push(self.say("status-stopped", args![]));
            }
        }
        if let Some(rest) = listed.get(CLUSTERS_MAX..).filter(|rest| !rest.is_empty()) {
            let over: usize = rest.iter().map(|cluster| cluster.figures.overloaded).sum();
            lines.push(String::new());
            lines.push(self.say("status-more-clusters", args![n = rest.len(), over = over]));
        }
        let is_listed = |id: ClusterId| listed.iter().any(|cluster| cluster.cluster == id);
        let plans = picture.plan.clusters.iter();
        let notes = self.standing_notes(plans.filter(|plan| is_listed(plan.cluster)));
        if !notes.is_empty() {
            lines.push(String::new());
        }
        lines.extend(notes);
        lines.extend(picture.snapshot.foreign.iter().map(|foreign| self.foreign_line(foreign)));
        lines
    }

    fn cluster_lines(
        &self,
        overview: &Overview,
        picture: &Picture,
        about: About,
        now: DateTime<Utc>,
    ) -> Vec<String> {
        let every_node = about.cluster.is_some();
        let vms: usize = overview.nodes.iter().map(|node| node.vms).sum();
        let cluster = self.say(
            "status-cluster",
            args![
                cluster = Arg::Html(bold(&name(&overview.name))),
                id = overview.cluster.to_string(),
                nodes = Arg::Html(self.say("count-nodes", args![n = overview.nodes.len()])),
                vms = Arg::Html(self.say("count-vms", args![n = vms])),
            ],
        );
        let over = self.say("status-cluster-over", args![over = overview.figures.overloaded]);
        let mut lines = hung([cluster, over], ", ");
        lines.extend(
            overview.held.as_ref().map(|hold| self.say("held", args![why = Arg::Html(self.hold(hold))])),
        );
        let mut nodes: Vec<_> = overview.nodes.iter().collect();
        nodes.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        if every_node {
            lines.extend(self.figures_of(overview, picture.policy.strategy));
        }
        lines.extend(self.measured_line(overview, &picture.snapshot, now));
        lines.extend(self.strained_lines(overview));
        if every_node {
            let from = about.page(nodes.len());
            lines.extend(nodes.iter().skip(from).take(NODES_PAGE).map(|node| self.node_line(node)));
            if nodes.len() > NODES_PAGE {
                let to = (from + NODES_PAGE).min(nodes.len());
                lines.push(self.say("status-page", args![from = from + 1, to = to, n = nodes.len()]));
            }
        } else {
            let over: Vec<_> = nodes.into_iter().filter(|node| !node.over.is_empty()).collect();
            lines.extend(over.iter().take(OVERLOADED_LINES_MAX).map(|node| self.overloaded_line(node)));
            if over.len() > OVERLOADED_LINES_MAX {
                let more = over.len() - OVERLOADED_LINES_MAX;
                let cluster = find::by_id(overview.cluster.0);
                lines.push(self.say("status-more-nodes", args![n = more, cluster = cluster]));
            }
        }
        let plan = picture.plan.clusters.iter().find(|plan| plan.cluster == overview.cluster);
        if let Some(plan) = plan.filter(|plan| !plan.migrations.is_empty()) {
            lines.push(self.say("status-would-move", args![n = plan.migrations.len()]));
        }
        lines
    }

    /// The nodes that suffer although their thresholds hold; a few of many.
    fn strained_lines(&self, overview: &Overview) -> Vec<String> {
        let strained: Vec<_> = overview.nodes.iter().filter(|node| !node.strains.is_empty()).collect();
        let listed = strained.iter().take(STRAINED_LINES_MAX);
        let mut lines: Vec<_> =
            listed.map(|node| format!("⚠ {}", self.strains(&node.name, &node.strains))).collect();
        if strained.len() > STRAINED_LINES_MAX {
            lines.push(self.say("more-lines", args![n = strained.len() - STRAINED_LINES_MAX]));
        }
        lines
    }

    fn overloaded_line(&self, node: &NodeOverview) -> String {
        let called = format!("⚠ {} {}:", code(&name(&node.name)), link::node(node.node));
        let over = node.over.iter().map(|excess| self.excess(excess));
        hung(std::iter::once(called).chain(over), " ").join("\n")
    }

    /// `· node-002 /node_11: 25.0 %, 0 VMs`: memory decides, and the rest is behind the link.
    fn node_line(&self, node: &NodeOverview) -> String {
        let vms = self.say("count-vms", args![n = node.vms]);
        let (mark, full) = match (node.known, node.over.is_empty()) {
            (false, _) => ("·", self.say("node-unknown", args![])),
            (true, true) => ("·", self.percent(node.at.memory_percent)),
            (true, false) => ("⚠", self.excesses(&node.over)),
        };
        let called = format!("{mark} {} {}: {full}", escape(&name(&node.name)), link::node(node.node));
        hung([called, vms], ", ").join("\n")
    }

    /// The figures of a cluster; vCPU and imbalance only where they are what is acted on.
    fn figures_of(&self, overview: &Overview, strategy: Strategy) -> Vec<String> {
        let figures = &overview.figures;
        let is_over_by_cpu =
            overview.nodes.iter().flat_map(|node| &node.over).any(|excess| excess.resource == Resource::Cpu);
        let memory = self.say("status-memory", args![memory = self.decimal(figures.memory_percent_max)]);
        let cpu = || self.say("status-cpu", args![cpu = self.decimals(figures.cpu_max, 2)]);
        let imbalance =
            || self.say("status-imbalance", args![imbalance = self.decimals(figures.imbalance, 3)]);
        let cpu = is_over_by_cpu.then(cpu);
        let imbalance = (strategy == Strategy::Level).then(imbalance);
        std::iter::once(memory).chain(cpu).chain(imbalance).collect()
    }

    /// How many nodes are measured, which are not, and how old the oldest reading that counts is.
    fn measured_line(&self, overview: &Overview, snapshot: &Snapshot, now: DateTime<Utc>) -> Option<String> {
        let nodes: Vec<_> = overview.nodes.iter().filter(|node| node.known).collect();
        if !nodes.iter().any(|node| node.asked || node.measured.is_some()) {
            return None;
        }
        let fresh = || nodes.iter().filter_map(|node| node.measured.as_ref()).filter(|reading| reading.fresh);
        let without: Vec<_> = nodes
            .iter()
            .filter(|node| !node.measured.as_ref().is_some_and(|reading| reading.fresh))
            .collect();
        let mut parts = Vec::new();
        if let Some(oldest) = fresh().map(|reading| reading.at).min() {
            let load = fresh().filter_map(|reading| reading.load).fold(0.0, f64::max);
            let memory = fresh().filter_map(|reading| reading.memory_used_percent).fold(0.0, f64::max);
            parts.push(self.say(
                "status-measured",
                args![
                    load = self.value(Resource::Load, load),
                    memory = self.percent(memory),
                    age = self.lasting(now - oldest),
                ],
            ));
        }
        if !without.is_empty() {
            let nodes = some_of(without.into_iter().map(|node| match snapshot.why_unmeasured(node.node) {
                Some(why) => format!("{} ({})", name(&node.name), self.why_unmeasured(why)),
                None => name(&node.name),
            }));
            parts.push(self.say("status-unmeasured", args![nodes = nodes]));
        }
        Some(parts.join("\n"))
    }

    fn foreign_line(&self, foreign: &ForeignMigration) -> String {
        let task = foreign.task.to_string();
        match foreign.vm {
            Some(vm) => self.say("foreign-of-vm", args![task = task, vm = link::vm(vm)]),
            None => self.say("foreign", args![task = task]),
        }
    }

    fn status_buttons(&self, page: Page, listed: &[&Overview], about: About) -> Page {
        let count = listed.iter().map(|cluster| cluster.nodes.len()).max().unwrap_or(0);
        let from = if about.cluster.is_some() { about.page(count) } else { 0 };
        let data = |from| Refresh { cluster: about.cluster, from }.data();
        let refresh = self.button("button-refresh", data(from));
        let known = |cluster: &&Overview| (cluster.cluster, cluster.name.clone());
        let wanted: Vec<_> = listed.iter().take(CLUSTERS_MAX).map(known).collect();
        let mut page =
            page.with_row(vec![refresh, self.button("button-chart", Wanted::Status(about.cluster).data())]);
        if about.cluster.is_some() && count > NODES_PAGE {
            let turn = |key, from: usize| {
                let to = (from + NODES_PAGE).min(count);
                let label = plain(&self.say(key, args![from = from + 1, to = to]));
                Button { label, data: data(from) }
            };
            let before = from.checked_sub(NODES_PAGE).map(|from| turn("button-nodes-before", from));
            let after = Some(from + NODES_PAGE).filter(|from| *from < count);
            let after = after.map(|from| turn("button-nodes-after", from));
            page.buttons.push(before.into_iter().chain(after).collect());
        }
        page.buttons.extend(balance::buttons(self, &wanted));
        page
    }
}

impl About {
    /// Returns where the page begins: a cluster may have lost nodes since the button was drawn.
    fn page(self, nodes: usize) -> usize {
        let last = nodes.saturating_sub(1) / NODES_PAGE * NODES_PAGE;
        (self.from / NODES_PAGE * NODES_PAGE).min(last)
    }
}

/// The clusters by weight: those with the most overloaded nodes first, then those with the fullest.
fn by_weight(picture: &Picture, only: Option<ClusterId>) -> Vec<&Overview> {
    let overviews = picture.overviews().iter();
    let mut found: Vec<_> = overviews.filter(|cluster| only.is_none_or(|id| id == cluster.cluster)).collect();
    let worst = |cluster: &Overview| cluster.nodes.iter().map(weight).fold(0.0, f64::max);
    found.sort_by(|a, b| {
        let by_worst = worst(b).total_cmp(&worst(a));
        b.figures.overloaded.cmp(&a.figures.overloaded).then(by_worst)
    });
    found
}

/// How much a node is over; below 1 for one that is not, by its memory.
fn weight(node: &NodeOverview) -> f64 {
    let over = node.over.iter().map(share).fold(0.0, f64::max);
    if over > 0.0 { 1.0 + over } else { (node.at.memory_percent / 1000.0).min(1.0) }
}

fn share(excess: &Excess) -> f64 {
    excess.value / excess.threshold
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::{
        Language, samples,
        verbs::tests::{Found, answers, answers_to},
    };

    #[test]
    fn how_things_stand_in_all_clusters_and_in_one() {
        let texts = ["/status", "/status MSK", "/status nowhere"].map(answers);
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn nodes_that_measure_themselves_are_summed_up() {
        let texts = ["/status", "/status 1"].map(|text| answers_to(text, Found::of(samples::measured())));
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn before_the_first_look_nothing_is_known() {
        let texts = ["/status", "/status msk", "/node 1"].map(|text| {
            let mut found = Found::default();
            found.status.picture = None;
            answers_to(text, found)
        });
        assert_eq!(texts[1].replace("/status msk", "/status"), texts[0]);
        assert_eq!(texts[2].replace("/node 1", "/status"), texts[0]);
    }

    #[test]
    fn of_thirty_clusters_the_worst_come_first_and_the_others_are_counted() {
        let found = Found::of(samples::many(30, 4));
        insta::assert_snapshot!(answers_to("/status", found));
    }

    #[test]
    fn of_a_thousand_nodes_the_worst_come_first_and_all_fit() {
        let texts = ["/status", "/status 1"].map(|text| answers_to(text, Found::of(samples::many(1, 1000))));
        insta::assert_snapshot!(texts.join("\n"));
        let page = |from| {
            let status = Found::of(samples::many(1, 1000)).status;
            let view = View::new(Language::En, chrono_tz::UTC);
            let page = view.status(&status, About { cluster: Some(ClusterId(1)), from });
            let data = page.buttons.concat().into_iter().map(|it| it.data);
            let of_list = |line: &&str| line.starts_with(['·', '⚠']) && line.contains("/node_");
            let nodes = page.plain().lines().filter(of_list).count();
            (nodes, data.filter(|it| it.starts_with("s:")).collect::<Vec<_>>())
        };
        assert_eq!(page(0), (25, vec!["s:1".into(), "s:1:25".into()]));
        assert_eq!(page(510), (25, ["s:1:500", "s:1:475", "s:1:525"].map(str::to_owned).into()));
        assert_eq!(page(5000), (25, ["s:1:975", "s:1:950"].map(str::to_owned).into()), "the last");
    }

    #[test]
    fn the_board_and_the_digest_say_it_in_short() {
        let found = || Found { status: samples::status(samples::picture()), ..Found::default() };
        let texts = Language::ALL.map(|language| {
            let view = View::new(language, chrono_tz::UTC);
            let Found { status, history, .. } = found();
            format!("{}\n\n{}", view.board(&status).plain(), view.digest(&history, &status).plain())
        });
        insta::assert_snapshot!(texts.join("\n\n"));
    }

    #[test]
    fn its_button_is_read_again() {
        for (cluster, from) in [(None, 0), (Some(ClusterId(3)), 0), (Some(ClusterId(3)), 50)] {
            let data = Refresh { cluster, from }.data();
            assert_eq!(Refresh::read(data.trim_start_matches(['s', ':'])), Some(Refresh { cluster, from }));
        }
        assert_eq!((Refresh::read("x"), Refresh::read("1:x")), (None, None));
    }
}
