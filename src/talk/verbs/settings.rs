//! `/settings [NAME]`: the settings as they are in force, and where each comes from. Admins change them with buttons.

use chrono::TimeDelta;

use crate::{
    scheduler::{Change, Changed, Group, Kind, Setting, SettingSource, Status, Unit},
    talk::{
        access::Role,
        ask::{Answer, Ask, Next, Then},
        grammar::{Problem, Rest},
        verb::{Act, Asker, ButtonKind, Verb, erase},
        view::{BUTTON_DATA_BYTES_MAX, Button, Page, StalePress, View},
        words::{
            Arg, args, escape,
            format::{clip, code, words},
        },
    },
};

pub(super) static VERB: Verb = Verb {
    word: "settings",
    usage: "/settings [NAME]",
    examples: &["/settings", "/settings PIN_VMS"],
    least_role: Role::Viewer,
    read: |rest| Look::read(rest).map(erase),
    button: Some(ButtonKind { mark: "set", read: press }),
};

/// A long list of VMs must not push the rest off the screen.
const VALUE_CHARS_MAX: usize = 60;

/// What is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shown {
    All,
    Group(Group),
    One(String),
}

/// A question, or a button that leads to another part in the same message.
struct Look {
    shown: Shown,
    pressed: bool,
}

/// A button that changes a setting.
struct Put {
    name: String,
    /// `None` takes the chat's value back.
    value: Option<String>,
}

impl Look {
    fn read(mut rest: Rest) -> Result<Self, Problem> {
        let shown = rest.next_word().map_or(Shown::All, |word| Shown::One(word.text.to_uppercase()));
        rest.end(Self { shown, pressed: false })
    }
}

fn press(rest: &str) -> Option<Box<dyn Act>> {
    let look = |shown| Some(erase(Look { shown, pressed: true }));
    let (mark, rest) = rest.split_once(':').unwrap_or((rest, ""));
    match (mark, rest.split_once(':')) {
        ("a", None) if rest.is_empty() => look(Shown::All),
        ("g", None) => look(Shown::Group(group_of(rest)?)),
        ("n", None) if !rest.is_empty() => look(Shown::One(rest.to_owned())),
        ("d", None) if !rest.is_empty() => Some(erase(Put { name: rest.to_owned(), value: None })),
        ("v", Some((name, value))) => {
            Some(erase(Put { name: name.to_owned(), value: Some(value.to_owned()) }))
        }
        _ => None,
    }
}

impl Act for Look {
    fn answer(self: Box<Self>, asker: &Asker<'_>) -> Next {
        let may_set = asker.role >= Role::Admin;
        let Self { shown, pressed } = *self;
        Next::Ask(Ask::Settings(Then::new(move |settings: Vec<Setting>, view: &View, _| {
            let page = match &shown {
                Shown::All => all(view, &settings, may_set),
                Shown::Group(group) => of_group(view, &settings, *group),
                Shown::One(name) => match settings.iter().find(|setting| setting.name == *name) {
                    Some(setting) => one(view, setting, may_set),
                    None => view
                        .page(vec![view.say("settings-unknown", args![name = words(name)]), at_start(view)]),
                },
            };
            if pressed { Answer::Rewrite(page) } else { Answer::Page(page) }
        })))
    }
}

impl Act for Put {
    fn least_role(&self, _: Role) -> Role {
        Role::Admin
    }

    /// A press is a command that was not typed.
    fn audit_text(&self, _: &str) -> String {
        format!("/set {} {}", self.name, self.value.as_deref().unwrap_or("default"))
    }

    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let Self { name, value } = *self;
        let then = Then::new(|(changed, _): (Changed, Box<Status>), view: &View, _| match changed {
            Changed::Setting { now, .. } => Answer::Rewrite(one(view, &now, true)),
            Changed::Already => {
                Answer::Passing(view.say("setting-already", args![said = ""]).trim().to_owned())
            }
            Changed::Done | Changed::Nodes(_) | Changed::Vms(_) => {
                Answer::Window(view.stale_press(StalePress::Unknown))
            }
        });
        Next::Ask(Ask::Change(Change::Set { name, value }, then))
    }
}

fn all(view: &View, settings: &[Setting], may_set: bool) -> Page {
    let mut lines = vec![view.say("settings-title", args![])];
    for group in Group::ALL {
        lines.push(String::new());
        lines.push(view.say(title(group), args![]));
        let of_it = settings.iter().filter(|setting| setting.group == group);
        lines.extend(of_it.flat_map(|setting| entry(view, setting)));
    }
    lines.push(String::new());
    lines.push(at_start(view));
    lines.push(view.say(if may_set { "settings-how" } else { "settings-who" }, args![]));
    let mut page = view.page(lines);
    if may_set {
        let button = |group| view.button(title(group), format!("set:g:{}", word(group)));
        page.buttons = Group::ALL.map(button).chunks(2).map(<[Button]>::to_vec).collect();
    }
    page
}

fn of_group(view: &View, settings: &[Setting], group: Group) -> Page {
    let of_it: Vec<_> = settings.iter().filter(|setting| setting.group == group).collect();
    let mut lines = vec![view.say(title(group), args![])];
    lines.extend(of_it.iter().flat_map(|setting| entry(view, setting)));
    let mut page = view.page(lines);
    let button = |it: &&Setting| Button { label: it.name.to_owned(), data: format!("set:n:{}", it.name) };
    page.buttons = of_it.iter().map(|setting| vec![button(setting)]).collect();
    page.with_row(vec![view.button("button-settings-all", "set:a")])
}

/// `MAX_MIGRATIONS_PER_CYCLE: 10`, and a second line where it is not the default.
fn entry(view: &View, setting: &Setting) -> Vec<String> {
    let line = format!("{}: {}", code(setting.name), amount(view, setting, &setting.value));
    let more = source(view, setting).into_iter().chain(warning(view, setting));
    std::iter::once(line).chain(more.map(|more| format!("   {more}"))).collect()
}

/// One setting with buttons for other values.
pub(super) fn one(view: &View, setting: &Setting, may_set: bool) -> Page {
    let mut lines = vec![code(setting.name), view.setting_value(setting)];
    lines.extend(source(view, setting).or_else(|| Some(view.say("source-default", args![]))));
    if matches!(setting.source, SettingSource::Chat { .. }) {
        let configured = Arg::Html(amount(view, setting, &setting.configured));
        lines.push(view.say("setting-configured", args![value = configured]));
    }
    lines.extend(warning(view, setting));
    lines.push(match setting.kind {
        _ if !may_set => view.say("settings-who", args![]),
        Kind::Text => view.say("setting-type-text", args![name = setting.name]),
        Kind::Number { .. } | Kind::Choice(_) | Kind::Typed => {
            view.say("setting-type", args![name = setting.name])
        }
    });
    let mut page = view.page(lines);
    if may_set {
        let row: Vec<_> =
            others(setting).into_iter().map(|value| value_button(view, setting, value)).collect();
        page.buttons.extend(Some(row).filter(|row| !row.is_empty()));
        if matches!(setting.source, SettingSource::Chat { .. }) {
            page.buttons.push(vec![view.button("button-setting-default", format!("set:d:{}", setting.name))]);
        }
        page.buttons
            .push(vec![view.button("button-settings-back", format!("set:g:{}", word(setting.group)))]);
    }
    page
}

/// Values that are near, or the other choices.
fn others(setting: &Setting) -> Vec<String> {
    match setting.kind {
        Kind::Choice(all) => {
            all.iter().filter(|it| **it != setting.value).map(|it| (*it).to_owned()).collect()
        }
        Kind::Number { step } => {
            let Ok(value) = setting.value.parse::<f64>() else { return Vec::new() };
            // Tenths add up to odd ends.
            let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
            let near = [rounded(value - step), rounded(value + step)];
            near.into_iter().filter(|value| *value >= 0.0).map(|value| value.to_string()).collect()
        }
        Kind::Typed | Kind::Text => Vec::new(),
    }
}

fn value_button(view: &View, setting: &Setting, value: String) -> Button {
    let label = crate::talk::words::plain(&amount(view, setting, &value));
    let data = format!("set:v:{}:{value}", setting.name);
    debug_assert!(data.len() <= BUTTON_DATA_BYTES_MAX, "{data}");
    Button { label, data }
}

/// A value with its unit, as HTML.
fn amount(view: &View, setting: &Setting, value: &str) -> String {
    let shown = escape(&clip(value, VALUE_CHARS_MAX));
    match setting.unit {
        _ if value.is_empty() => view.say("setting-empty", args![]),
        Unit::None => shown,
        Unit::Percent => format!("{shown} %"),
        Unit::PerCore => view.say("unit-per-core", args![n = Arg::Html(shown)]),
        Unit::Days => view.say("unit-days", args![n = value]),
        Unit::Seconds => match value.parse().ok().and_then(TimeDelta::try_seconds) {
            Some(time) if time.num_seconds() >= 60 => {
                format!("{} ({})", view.say("unit-seconds", args![n = value]), view.lasting(time))
            }
            Some(_) | None => view.say("unit-seconds", args![n = value]),
        },
    }
}

impl View {
    /// The value of a setting with its unit.
    pub(super) fn setting_value(&self, setting: &Setting) -> String {
        amount(self, setting, &setting.value)
    }
}

/// Where a value comes from; `None` for the default.
pub(super) fn source(view: &View, setting: &Setting) -> Option<String> {
    Some(match &setting.source {
        SettingSource::Default => return None,
        SettingSource::File => view.say("source-file", args![]),
        SettingSource::Environment => view.say("source-environment", args![]),
        SettingSource::CommandLine => view.say("source-command-line", args![]),
        SettingSource::Chat { by, at } => {
            let who = format!("{} ({})", words(&by.name), by.id);
            view.say("source-chat", args![who = who, at = view.stamp(*at)])
        }
    })
}

/// What is odd about a value.
pub(super) fn warning(view: &View, setting: &Setting) -> Option<String> {
    setting.warning.as_ref().map(|warning| format!("⚠ {}", view.setting_warning(warning)))
}

/// What cannot be changed while the bot runs, and why.
fn at_start(view: &View) -> String {
    view.say("settings-at-start", args![zone = view.timezone.name()])
}

fn title(group: Group) -> &'static str {
    match group {
        Group::Thresholds => "settings-thresholds",
        Group::Moves => "settings-moves",
        Group::Places => "settings-places",
        Group::Times => "settings-times",
        Group::Chat => "settings-chat",
    }
}

fn word(group: Group) -> &'static str {
    match group {
        Group::Thresholds => "thresholds",
        Group::Moves => "moves",
        Group::Places => "places",
        Group::Times => "times",
        Group::Chat => "chat",
    }
}

fn group_of(text: &str) -> Option<Group> {
    Group::ALL.into_iter().find(|group| word(*group) == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::verbs::{
        read_press,
        tests::{answers, problem, read},
    };

    #[test]
    fn everything_in_force_is_shown_with_its_source() {
        insta::assert_snapshot!(answers("/settings"));
    }

    #[test]
    fn one_setting_has_buttons_for_values_near() {
        let texts = ["/settings MEMORY_OVERLOAD_THRESHOLD", "/settings pin_vms", "/settings xyzzy"];
        insta::assert_snapshot!(texts.map(answers).join("\n"));
        assert_eq!(problem("/settings A B"), Problem::TooMuch("B".into()));
    }

    #[test]
    fn everybody_looks_and_only_admins_change() {
        let (verb, act) = read("/settings");
        assert_eq!(act.least_role(verb.least_role), Role::Viewer);
        let role = |data: &str| read_press(data).map(|it| it.least_role);
        for data in ["set:a", "set:g:times", "set:n:PIN_VMS"] {
            assert_eq!(role(data), Some(Role::Viewer), "{data}");
        }
        for data in ["set:v:BOARD:true", "set:d:BOARD"] {
            assert_eq!(role(data), Some(Role::Admin), "{data}");
        }
        for data in ["set", "set:x:1", "set:g:all", "set:v:BOARD", "set:n:", "set:a:x"] {
            assert_eq!(role(data), None, "{data}");
        }
    }

    #[test]
    fn a_value_goes_up_and_down_by_a_step_and_never_below_nothing() {
        let of = |value: &str, step| Setting {
            name: "LOAD_TARGET_THRESHOLD",
            group: Group::Thresholds,
            unit: Unit::PerCore,
            kind: Kind::Number { step },
            value: value.into(),
            source: SettingSource::Default,
            configured: value.into(),
            warning: None,
        };
        assert_eq!(others(&of("0.7", 0.1)), ["0.6", "0.8"]);
        assert_eq!(others(&of("3600", 3600.0)), ["0", "7200"]);
        assert_eq!(others(&of("2", 5.0)), ["7"]);
    }
}
