//! Pictures with their captions: what is drawn, in words and parts of a whole. The numbers stand in the caption too.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Days as CalendarDays, NaiveDate, TimeDelta, Utc};

use super::{Page, View};
use crate::{
    model::{ClusterId, NodeId},
    picture::{Bars, Chart, Column, Content, Gauge, Hue, Line, Panel, Panels, Row},
    planner::{self, Fullness, Policy, Resource},
    scheduler::Status,
    store::{Proposal, Sight},
    talk::{
        ask::Answer,
        chart::{Course, DAYS, Day, Days, NODE_DAYS},
        words::{args, escape, format::name, plain},
    },
};

/// How many nodes a picture has: as many as a phone shows without scrolling.
const NODES_MAX: usize = 10;

/// Telegram takes captions of 1024 UTF-16 units; some are left for the mark of a dry run.
const CAPTION_UNITS: usize = 980;

/// A course is broken where nothing was measured for longer than this.
const GAP: TimeDelta = TimeDelta::minutes(45);

/// Above the threshold there is room for what exceeds it.
const OVER_THRESHOLD: f64 = 1.25;

/// A node for a picture.
struct Bar {
    name: String,
    now: Fullness,
    before: Option<Fullness>,
}

impl View {
    /// The fullest nodes as they are; `None` where nothing is known of the platform.
    pub(in crate::talk) fn status_chart(&self, status: &Status, only: Option<ClusterId>) -> Option<Answer> {
        let picture = status.picture.as_ref()?;
        let wanted = picture.snapshot.clusters.iter().filter(|it| only.is_none_or(|id| id == it.id));
        let overviews = wanted
            .filter_map(|cluster| planner::overview(&picture.snapshot, &picture.policy, cluster.id))
            .collect::<Vec<_>>();
        let nodes = overviews.iter().flat_map(|cluster| &cluster.nodes).filter(|node| node.known);
        let bars = nodes.map(|node| Bar { name: node.name.clone(), now: node.at, before: None }).collect();
        let title = match (only, overviews.as_slice()) {
            (Some(_), [cluster]) => self.say("chart-cluster", args![cluster = name(&cluster.name)]),
            _ => self.say("chart-status", args![]),
        };
        let as_of = self.as_of(picture.snapshot.taken_at, status.now);
        self.bars(title, bars, &picture.policy, Some(as_of))
    }

    /// The nodes of a plan before and after it; `None` where there is none.
    pub(in crate::talk) fn plan_chart(&self, proposal: &Proposal, status: &Status) -> Option<Answer> {
        let title = self
            .say("chart-plan", args![plan = proposal.id.to_string(), cluster = name(&proposal.cluster_name)]);
        let policy =
            status.picture.as_ref().map(|picture| picture.policy.as_ref().clone()).unwrap_or_default();
        self.bars(title, bars_of(proposal), &policy, None)
    }

    fn bars(
        &self,
        title: String,
        mut bars: Vec<Bar>,
        policy: &Policy,
        foot: Option<String>,
    ) -> Option<Answer> {
        if bars.is_empty() {
            return None;
        }
        bars.sort_by(|a, b| {
            weight(b, policy).total_cmp(&weight(a, policy)).then_with(|| a.name.cmp(&b.name))
        });
        let more = bars.len().saturating_sub(NODES_MAX);
        bars.truncate(NODES_MAX);
        let more = (more > 0).then(|| self.say("chart-more", args![n = more]));
        let mut lines = vec![title.clone()];
        lines.extend(bars.iter().map(|bar| self.bar_line(bar, policy)));
        lines.extend(more.clone());
        lines.extend(foot);
        let chart = Chart::Bars(Bars {
            title: plain(&title),
            rows: rows(self, &bars, policy),
            more: more.map(|more| plain(&more)),
            legend: vec![
                (Hue::Memory, self.resource(Resource::Memory)),
                (Hue::Load, self.loads(&bars)),
                (Hue::Over, plain(&self.say("chart-over", args![]))),
            ],
            mark: plain(&self.say("chart-threshold", args![])),
        });
        Some(Answer::Picture(self.caption(lines), Arc::new(chart)))
    }

    /// What the second bar of each node is.
    fn loads(&self, bars: &[Bar]) -> String {
        let measured = bars.iter().filter(|bar| bar.now.load.is_some()).count();
        match measured {
            0 => self.resource(Resource::Cpu),
            n if n == bars.len() => self.resource(Resource::Load),
            _ => format!("{} / {}", self.resource(Resource::Load), self.resource(Resource::Cpu)),
        }
    }

    fn bar_line(&self, bar: &Bar, policy: &Policy) -> String {
        let (resource, ..) = second(&bar.now, policy);
        let mark = if is_over(&bar.now, policy) { "⚠ " } else { "" };
        let figures = self.figures(bar, policy);
        format!("{mark}{}: {figures} ({})", escape(&name(&bar.name)), self.resource(resource))
    }

    /// `83.1 → 69.0 % · 1.20`
    fn figures(&self, bar: &Bar, policy: &Policy) -> String {
        let (resource, value, _) = second(&bar.now, policy);
        let memory = self.percent(bar.now.memory_percent);
        let value_text = self.value(resource, value);
        match &bar.before {
            None => format!("{memory} · {value_text}"),
            Some(before) => {
                let was = second_of(before, resource).map(|was| self.value(resource, was));
                let was = was.filter(|was| *was != value_text).map(|was| format!("{was} → "));
                let memory_was = self.decimal(before.memory_percent);
                format!("{memory_was} → {memory} · {}{value_text}", was.unwrap_or_default())
            }
        }
    }

    /// A node's last days, with the highest of a year in the caption.
    pub(in crate::talk) fn node_chart(
        &self,
        node: NodeId,
        course: &Course,
        status: &Status,
        now: DateTime<Utc>,
    ) -> Answer {
        let picture = status.picture.as_ref();
        let called = picture.and_then(|picture| picture.snapshot.node(node)).map(|node| node.name.clone());
        let called = called.unwrap_or_else(|| node.to_string());
        let title = self.say("chart-node", args![node = name(&called), n = NODE_DAYS]);
        let Some((_, last)) = course.quarters.last() else {
            return Answer::Window(plain(&self.say("chart-nothing-yet", args![])));
        };
        let policy = picture.map(|picture| picture.policy.as_ref().clone()).unwrap_or_default();
        let (resource, _, limit) = second(last, &policy);
        let since = now - TimeDelta::days(NODE_DAYS.cast_signed());
        let memory: Vec<_> = course.quarters.iter().map(|(at, full)| (*at, full.memory_percent)).collect();
        let others = course.quarters.iter().filter_map(|(at, full)| Some((*at, second_of(full, resource)?)));
        let others: Vec<_> = others.collect();
        let mut lines = vec![title.clone()];
        for (resource, points) in [(Resource::Memory, &memory), (resource, &others)] {
            lines.push(self.range_line(resource, points));
            let highest = course.days.iter().filter_map(|(at, full)| Some((*at, second_of(full, resource)?)));
            let highest = highest.max_by(|(_, a), (_, b)| a.total_cmp(b));
            lines.extend(highest.map(|(at, value)| {
                let value = self.value(resource, value);
                self.say("chart-highest", args![value = value, day = self.day(at.date_naive())])
            }));
        }
        let panels = vec![
            self.course_panel(Resource::Memory, &memory, (since, now), policy.memory.overload),
            self.course_panel(resource, &others, (since, now), limit),
        ];
        let chart =
            Panels { title: plain(&title), panels, times: self.days_between(since, now), legend: Vec::new() };
        Answer::Picture(self.caption(lines), Arc::new(Chart::Panels(chart)))
    }

    fn range_line(&self, resource: Resource, points: &[(DateTime<Utc>, f64)]) -> String {
        let values = || points.iter().map(|(_, value)| *value);
        let last = values().next_back().unwrap_or_default();
        let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
        self.say(
            "chart-range",
            args![
                resource = self.resource(resource),
                last = self.value(resource, last),
                low = self.value(resource, low.min(high)),
                high = self.value(resource, high),
            ],
        )
    }

    fn course_panel(
        &self,
        resource: Resource,
        points: &[(DateTime<Utc>, f64)],
        (since, now): (DateTime<Utc>, DateTime<Utc>),
        limit: f64,
    ) -> Panel {
        let highest = points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
        let top = match resource {
            Resource::Memory => 100.0_f64.max(highest),
            Resource::Cpu | Resource::Load => (limit * OVER_THRESHOLD).max(highest),
        };
        let span = (now - since).num_seconds().max(1) as f64;
        let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
        let mut last: Option<DateTime<Utc>> = None;
        for (at, value) in points.iter().filter(|(at, _)| *at >= since) {
            if last.is_none_or(|last| *at - last > GAP) {
                pieces.push(Vec::new());
            }
            if let Some(piece) = pieces.last_mut() {
                piece.push(((*at - since).num_seconds() as f64 / span, value / top));
            }
            last = Some(*at);
        }
        let hue = if resource == Resource::Memory { Hue::Memory } else { Hue::Load };
        let mark = |part: f64| (part, self.value_short(resource, top * part));
        Panel {
            title: self.resource(resource),
            marks: [0.0, 0.5, 1.0].map(mark).into(),
            limit: Some(limit / top),
            content: Content::Lines(vec![Line { hue, pieces }]),
        }
    }

    fn value_short(&self, resource: Resource, value: f64) -> String {
        match resource {
            Resource::Memory => format!("{value:.0} %"),
            Resource::Cpu | Resource::Load => self.trim_decimals(value),
        }
    }

    /// Words for each midnight between two moments.
    fn days_between(&self, since: DateTime<Utc>, now: DateTime<Utc>) -> Vec<(f64, String)> {
        let span = (now - since).num_seconds().max(1) as f64;
        let first = since.with_timezone(&self.timezone).date_naive();
        let days = (1..=NODE_DAYS).filter_map(|n| first.checked_add_days(CalendarDays::new(n)));
        let midnight =
            |day: NaiveDate| crate::scheduler::in_utc(day.and_time(chrono::NaiveTime::MIN), self.timezone);
        days.map(|day| ((midnight(day) - since).num_seconds() as f64 / span, self.day(day))).collect()
    }

    fn day(&self, day: NaiveDate) -> String {
        day.format("%d.%m").to_string()
    }

    /// Migrations and overload of each of the last days.
    pub(in crate::talk) fn days_chart(&self, days: &Days, now: DateTime<Utc>) -> Answer {
        let today = now.with_timezone(&self.timezone).date_naive();
        let all: BTreeMap<NaiveDate, Day> = (0..DAYS)
            .filter_map(|n| today.checked_sub_days(CalendarDays::new(n)))
            .map(|day| (day, days.0.get(&day).copied().unwrap_or_default()))
            .collect();
        let title = self.say("chart-history", args![n = DAYS]);
        let sum = |of: fn(&Day) -> u64| all.values().map(of).sum::<u64>();
        let hours = |centihours: u64| centihours as f64 / 100.0;
        let lines = vec![
            title.clone(),
            self.say(
                "chart-migrations-sum",
                args![done = sum(|day| u64::from(day.done)), failed = sum(|day| u64::from(day.failed))],
            ),
            self.say(
                "chart-overload-sum",
                args![hours = self.decimal(hours(sum(|day| day.over_centihours)))],
            ),
        ];
        let panel = |title: &str, hue: Hue, of: &dyn Fn(&Day) -> f64| {
            let highest = all.values().map(of).fold(0.0, f64::max).max(1.0);
            let columns = all.values().enumerate().map(|(index, day)| Column {
                hue,
                at: (index as f64 + 0.5) / all.len() as f64,
                height: of(day) / highest,
                words: if of(day) > 0.0 {
                    self.trim_decimals((of(day) * 10.0).round() / 10.0)
                } else {
                    String::new()
                },
            });
            let marks =
                vec![(0.0, "0".to_owned()), (1.0, self.trim_decimals((highest * 10.0).round() / 10.0))];
            Panel {
                title: plain(&self.say(title, args![])),
                marks,
                limit: None,
                content: Content::Columns(columns.collect()),
            }
        };
        let panels = vec![
            panel("chart-migrations", Hue::Plain, &|day| f64::from(day.done + day.failed)),
            panel("chart-overload", Hue::Over, &|day| hours(day.over_centihours)),
        ];
        let times = all.keys().enumerate().filter(|(index, _)| index % 3 == 1);
        let times = times.map(|(index, day)| ((index as f64 + 0.5) / all.len() as f64, self.day(*day)));
        let chart = Panels { title: plain(&title), panels, times: times.collect(), legend: Vec::new() };
        Answer::Picture(self.caption(lines), Arc::new(Chart::Panels(chart)))
    }

    /// Lines as far as a caption has room for them; the rest is counted.
    fn caption(&self, lines: Vec<String>) -> Page {
        let total = lines.len();
        let mut kept: Vec<String> = Vec::new();
        let mut units = 0;
        for line in lines {
            units += plain(&line).encode_utf16().count() + 1;
            if units > CAPTION_UNITS {
                kept.push(self.say("more-lines", args![n = total - kept.len()]));
                break;
            }
            kept.push(line);
        }
        if let Some(first) = kept.first_mut() {
            *first = format!("<b>{first}</b>");
        }
        self.page(kept)
    }
}

/// The nodes of a plan before and after it. Without a later look, the state after it is the predicted one.
fn bars_of(proposal: &Proposal) -> Vec<Bar> {
    let mut bars: BTreeMap<NodeId, Bar> = BTreeMap::new();
    for step in &proposal.steps {
        let migration = &step.migration;
        for (node, called, change) in [
            (migration.source, &migration.source_name, &migration.source_state),
            (migration.target, &migration.target_name, &migration.target_state),
        ] {
            let bar = bars.entry(node).or_insert_with(|| Bar {
                name: called.clone(),
                now: change.after,
                before: Some(change.before),
            });
            bar.now = change.after;
        }
    }
    if let Some(Sight::Seen { nodes, .. }) = &proposal.sight {
        for (node, seen) in nodes {
            if let Some(bar) = bars.get_mut(node) {
                bar.now = *seen;
            }
        }
    }
    bars.into_values().collect()
}

fn rows(view: &View, bars: &[Bar], policy: &Policy) -> Vec<Row> {
    let all = || bars.iter().flat_map(|bar| [Some(bar.now), bar.before]).flatten();
    let scale = |resource: Resource, limit: f64| {
        all().filter_map(|full| second_of(&full, resource)).fold(limit * OVER_THRESHOLD, f64::max)
    };
    let memory_scale = all().map(|full| full.memory_percent).fold(100.0, f64::max);
    let row = |bar: &Bar| {
        let (resource, value, limit) = second(&bar.now, policy);
        let scale = scale(resource, limit).max(f64::MIN_POSITIVE);
        let memory_limit = policy.memory.overload;
        let before = bar.before.as_ref();
        Row {
            name: name(&bar.name),
            is_over: is_over(&bar.now, policy),
            figures: view.figures(bar, policy),
            gauges: vec![
                Gauge {
                    hue: Hue::Memory,
                    now: bar.now.memory_percent / memory_scale,
                    before: before.map(|full| full.memory_percent / memory_scale),
                    threshold: memory_limit / memory_scale,
                    is_over: bar.now.memory_percent > memory_limit,
                },
                Gauge {
                    hue: Hue::Load,
                    now: value / scale,
                    before: before.and_then(|full| second_of(full, resource)).map(|was| was / scale),
                    threshold: limit / scale,
                    is_over: value > limit,
                },
            ],
        }
    };
    bars.iter().map(row).collect()
}

/// Load where it is measured, else allocated CPU, with its threshold.
fn second(at: &Fullness, policy: &Policy) -> (Resource, f64, f64) {
    match at.load {
        Some(load) => (Resource::Load, load, policy.load.overload),
        None => (Resource::Cpu, at.cpu, policy.cpu.overload),
    }
}

fn second_of(at: &Fullness, resource: Resource) -> Option<f64> {
    match resource {
        Resource::Memory => Some(at.memory_percent),
        Resource::Cpu => Some(at.cpu),
        Resource::Load => at.load,
    }
}

fn is_over(at: &Fullness, policy: &Policy) -> bool {
    let (_, value, limit) = second(at, policy);
    at.memory_percent > policy.memory.overload || value > limit
}

/// How near to its thresholds a node is, or was.
fn weight(bar: &Bar, policy: &Policy) -> f64 {
    let of = |at: &Fullness| {
        let (_, value, limit) = second(at, policy);
        (at.memory_percent / policy.memory.overload).max(value / limit)
    };
    bar.before.as_ref().map_or(0.0, of).max(of(&bar.now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Mib,
        talk::{Language, samples},
    };

    fn shown(of: impl Fn(&View) -> Answer) -> Vec<(String, Arc<Chart>)> {
        let shown = Language::ALL.map(|language| match of(&View::new(language, chrono_tz::UTC)) {
            Answer::Picture(page, chart) => (page.html(), chart),
            other => panic!("no picture: {other:?}"),
        });
        shown.into()
    }

    fn texts(charts: &[(String, Arc<Chart>)]) -> String {
        charts
            .iter()
            .map(|(caption, chart)| format!("{caption}\n{chart:#?}"))
            .collect::<Vec<_>>()
            .join("\n\n")
    }

    fn status(nodes: u64) -> Status {
        samples::status(samples::many(1, nodes))
    }

    fn finished() -> Proposal {
        let mut proposal = samples::ended(samples::proposal(2));
        let seen = Fullness { cpu: 1.7, load: None, memory_percent: 71.2 };
        let nodes = BTreeMap::from([(NodeId(10), seen)]);
        let figures = proposal.plan.after;
        proposal.sight = Some(Sight::Seen { at: samples::now(), figures, nodes, emptied: None });
        proposal
    }

    fn course() -> Course {
        let quarter = |n: i64| {
            let wave = (n as f64 / 15.0).sin();
            let full = Fullness { cpu: 2.0, load: Some(0.8 + 0.4 * wave), memory_percent: 66.0 + 8.0 * wave };
            (samples::now() - TimeDelta::minutes(15 * (670 - n)), full)
        };
        // Nothing was measured for a day.
        let quarters: Vec<_> = (0..670).filter(|n| !(200..296).contains(n)).map(quarter).collect();
        let day = Fullness { cpu: 2.0, load: Some(1.4), memory_percent: 81.5 };
        Course { quarters, days: vec![(samples::now() - TimeDelta::days(40), day)] }
    }

    fn fortnight() -> Days {
        let day = |n: u64| samples::now().date_naive().checked_sub_days(CalendarDays::new(n)).unwrap();
        let of = |done, failed, over_centihours| Day { done, failed, over_centihours };
        Days(
            [
                (day(0), of(3, 0, 120)),
                (day(1), of(12, 2, 1834)),
                (day(6), of(1, 0, 0)),
                (day(13), of(5, 0, 55)),
            ]
            .into(),
        )
    }

    #[test]
    fn of_many_nodes_the_fullest_are_drawn_and_the_others_counted() {
        let charts = shown(|view| view.status_chart(&status(40), None).unwrap());
        insta::assert_snapshot!(
            "status_caption",
            charts.iter().map(|(caption, _)| caption.as_str()).collect::<Vec<_>>().join("\n\n")
        );
        let Chart::Bars(bars) = charts[0].1.as_ref() else { panic!("bars") };
        assert_eq!((bars.rows.len(), bars.rows[0].is_over), (NODES_MAX, true));
        assert!(bars.rows.windows(2).all(|two| two[0].gauges[0].now >= two[1].gauges[0].now));
    }

    #[test]
    fn a_finished_plan_shows_what_was_and_what_is() {
        insta::assert_snapshot!(
            "plan",
            texts(&shown(|view| view.plan_chart(&finished(), &status(2)).unwrap()))
        );
    }

    #[test]
    fn a_node_and_the_history_have_their_numbers_in_the_caption() {
        let charts = [
            shown(|view| view.node_chart(NodeId(10_001), &course(), &status(2), samples::now())),
            shown(|view| view.days_chart(&fortnight(), samples::now())),
        ];
        let captions = charts.iter().flatten().map(|(caption, _)| caption.as_str()).collect::<Vec<_>>();
        insta::assert_snapshot!("captions", captions.join("\n\n"));
        let Chart::Panels(panels) = charts[0][0].1.as_ref() else { panic!("panels") };
        let Content::Lines(lines) = &panels.panels[0].content else { panic!("lines") };
        assert_eq!(lines[0].pieces.len(), 2, "a gap is a gap");
    }

    #[test]
    fn before_anything_was_measured_that_is_said() {
        let view = View::new(Language::En, chrono_tz::UTC);
        let nothing = Course { quarters: Vec::new(), days: Vec::new() };
        let said = view.node_chart(NodeId(10_001), &nothing, &status(2), samples::now());
        assert!(matches!(said, Answer::Window(_)), "{said:?}");
    }

    #[test]
    fn a_caption_fits_and_odd_names_in_it_are_harmless() {
        let mut proposal = samples::proposal(24);
        for (n, step) in proposal.steps.iter_mut().enumerate() {
            step.migration.source = NodeId(n as u64);
            step.migration.source_name = format!("<b>{}\u{202e}{n}", "x".repeat(120));
            step.migration.ram = Mib(1);
        }
        let charts = shown(|view| view.plan_chart(&proposal, &status(2)).unwrap());
        for (caption, chart) in charts {
            assert!(plain(&caption).encode_utf16().count() < 1024, "{caption}");
            assert!(caption.contains("&lt;b&gt;") && !caption.contains('\u{202e}'), "{caption}");
            chart.png().unwrap();
        }
    }
}
