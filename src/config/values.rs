//! How the values of variables are written: from text to types, with the words for what was expected.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    str::FromStr,
    time::Duration,
};

use chrono::NaiveTime;
use chrono::TimeDelta;
use chrono_tz::Tz;
use secrecy::SecretString;
use url::Url;

use super::problem::Expected;
use crate::telegram::ChatTarget;
use crate::{
    model::{ClusterId, alike::closest},
    planner::{AntiAffinity, Lenience, Margin, Selector, Strategy},
    scheduler::{ExpectedValue, Nightly, Windows},
    ssh::HostPort,
    store::Mode,
};

pub(super) fn boolean(text: &str) -> Result<bool, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(ExpectedValue::Boolean.into()),
    }
}

pub(super) fn time_of_day(text: &str) -> Result<NaiveTime, Expected> {
    NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| ExpectedValue::TimeOfDay.into())
}

/// A whole number that is at least `least`.
pub(super) fn whole<T: FromStr + PartialOrd + From<u8>>(
    least: u8,
) -> impl FnOnce(&str) -> Result<T, Expected> {
    move |text| number_from(least, text).ok_or_else(|| ExpectedValue::Whole { least: least.into() }.into())
}

/// As [`whole`], of people.
pub(super) fn people<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, Expected> {
    number_from(1, text).ok_or_else(|| "a whole number of people, 1 or more".into())
}

fn number_from<T: FromStr + PartialOrd + From<u8>>(least: u8, text: &str) -> Option<T> {
    text.parse().ok().filter(|number| *number >= T::from(least))
}

/// The longest time that may be configured: a year. More is a typing error, and sums of times could overflow.
const SECONDS_MAX: u64 = 366 * 24 * 3600;

pub(super) fn seconds(least: u64) -> impl FnOnce(&str) -> Result<Duration, Expected> {
    move |text| match text.parse() {
        Ok(number) if (least..=SECONDS_MAX).contains(&number) => Ok(Duration::from_secs(number)),
        Ok(number) if number > SECONDS_MAX => Err(ExpectedValue::SecondsAtMost { most: SECONDS_MAX }.into()),
        _ => Err(ExpectedValue::Seconds { least }.into()),
    }
}

/// As [`seconds`], with 0 for never.
pub(super) fn every(text: &str) -> Result<Option<Duration>, Expected> {
    seconds(0)(text).map(|time| Some(time).filter(|time| !time.is_zero()))
}

/// As [`every`], for times that are added to dates.
pub(super) fn after(text: &str) -> Result<Option<TimeDelta>, Expected> {
    Ok(every(text)?.and_then(|time| TimeDelta::from_std(time).ok()))
}

/// As [`seconds`], for times that are added to dates.
pub(super) fn time(least: u64) -> impl FnOnce(&str) -> Result<TimeDelta, Expected> {
    move |text| seconds(least)(text).map(|time| TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX))
}

/// Less than a month would forget what stops a cluster; more than a century is a slip.
const DAYS_KEPT: std::ops::RangeInclusive<i64> = 30..=36_500;

pub(super) fn days_kept(text: &str) -> Result<TimeDelta, Expected> {
    let days = text.parse().ok().filter(|days| DAYS_KEPT.contains(days));
    let (least, most) = (*DAYS_KEPT.start(), *DAYS_KEPT.end());
    days.map(TimeDelta::days).ok_or_else(|| ExpectedValue::Days { least, most }.into())
}

/// vCPU or load per core.
pub(super) fn per_core(text: &str) -> Result<f64, Expected> {
    number(text).filter(|ratio| *ratio > 0.0).ok_or_else(|| ExpectedValue::PerCore.into())
}

/// Allocation can exceed 100 %, but a value a hundred times as high is a typing error.
const PERCENT_MAX: f64 = 1000.0;

pub(super) fn memory_percent(text: &str) -> Result<f64, Expected> {
    number(text)
        .filter(|percent| *percent > 0.0 && *percent <= PERCENT_MAX)
        .ok_or_else(|| ExpectedValue::Percent.into())
}

pub(super) fn reserve_percent(text: &str) -> Result<f64, Expected> {
    number(text).filter(|percent| (0.0..100.0).contains(percent)).ok_or_else(|| ExpectedValue::Reserve.into())
}

/// How far below its thresholds relief takes a node.
pub(super) fn margin(text: &str) -> Result<Margin, Expected> {
    let parts: Option<Vec<f64>> = text.split(',').map(|part| number(part.trim())).collect();
    match parts.as_deref() {
        Some([memory, load]) if (0.0..=50.0).contains(memory) && (0.0..=10.0).contains(load) => {
            Ok(Margin { memory: *memory, load: *load })
        }
        _ => Err(ExpectedValue::Margin.into()),
    }
}

pub(super) fn worth(text: &str) -> Result<f64, Expected> {
    number(text).filter(|worth| (0.0..=1.0).contains(worth)).ok_or_else(|| ExpectedValue::Worth.into())
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

pub(super) fn cluster_ids(text: &str) -> Result<Option<BTreeSet<ClusterId>>, Expected> {
    let ids: Option<BTreeSet<_>> = items(text).map(|id| id.parse().ok().map(ClusterId)).collect();
    let ids = ids.ok_or("cluster ids (numbers) with commas between, such as 1,2,3")?;
    Ok(Some(ids).filter(|ids| !ids.is_empty()))
}

pub(super) fn user_ids(text: &str) -> Result<BTreeSet<i64>, Expected> {
    items(text)
        .map(|id| id.parse().ok().filter(|id| *id > 0))
        .collect::<Option<_>>()
        .ok_or_else(|| "numeric user ids with commas between; /whoami tells a person's id".into())
}

pub(super) fn selectors(text: &str) -> Result<Vec<Selector>, Expected> {
    Ok(items(text).map(|item| Selector(item.to_owned())).collect())
}

pub(super) fn anti_affinity(text: &str) -> Result<Vec<AntiAffinity>, Expected> {
    let groups = text.split(';').map(|group| AntiAffinity(items(group).map(str::to_owned).collect()));
    Ok(groups.filter(|group| !group.0.is_empty()).collect())
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

pub(super) fn mode(text: &str) -> Result<Mode, Expected> {
    one_of(text, &[("propose", Mode::Propose), ("auto", Mode::Auto), ("off", Mode::Off)])
}

pub(super) fn strategy(text: &str) -> Result<Strategy, Expected> {
    one_of(text, &[("relieve", Strategy::Relieve), ("level", Strategy::Level)])
}

pub(super) fn lenience(text: &str) -> Result<Lenience, Expected> {
    one_of(text, &[("avoid", Lenience::Avoid), ("forbid", Lenience::Forbid), ("allow", Lenience::Allow)])
}

pub(super) fn one_of<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, Expected> {
    let lower = text.to_ascii_lowercase();
    choices.iter().find(|(word, _)| *word == lower).map(|(_, choice)| *choice).ok_or_else(|| {
        ExpectedValue::OneOf(choices.iter().map(|(word, _)| (*word).to_owned()).collect()).into()
    })
}

pub(super) fn time_zone(text: &str) -> Result<Tz, Expected> {
    let lower = text.to_ascii_lowercase();
    if let Some(zone) = chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().to_ascii_lowercase() == lower) {
        return Ok(*zone);
    }
    let names = chrono_tz::TZ_VARIANTS.iter().map(|zone| (zone.name(), zone.name()));
    Err(match closest(text, names) {
        Some(zone) => format!("an IANA time zone; did you mean {zone}?").into(),
        None => "an IANA time zone, such as Europe/Moscow".into(),
    })
}

pub(super) fn windows(text: &str) -> Result<Windows, Expected> {
    text.parse().map_err(|_| ExpectedValue::Windows.into())
}

pub(super) fn nightly(text: &str) -> Result<Nightly, Expected> {
    text.parse().map_err(|_| {
        "hours, then limits if there are any, such as 22:00-08:00 max 5 64GiB or 22:00-08:00 only memory"
            .into()
    })
}

/// The base URL of VMmanager.
pub(super) fn base_url(text: &str) -> Result<Url, Expected> {
    const BASE_URL: &str = "a base URL, such as https://vm.example.com";
    if !text.contains("://") {
        return Err(format!("{BASE_URL}, with https:// in front").into());
    }
    let url = Url::parse(text).map_err(|_| BASE_URL)?;
    let plain = url.query().is_none() && url.fragment().is_none();
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{BASE_URL} without a name and a password in it").into());
    }
    let http = matches!(url.scheme(), "https" | "http");
    if http && plain && url.has_host() { Ok(url) } else { Err(BASE_URL.into()) }
}

/// The address of a Bot API server, without the token.
pub(super) fn api_url(text: &str) -> Result<Url, Expected> {
    base_url(text).map_err(|_| "the base URL of a Bot API server, such as https://api.telegram.org".into())
}

/// Returns the prefix with one `/` in front and none at its end, or an empty text for no prefix.
pub(super) fn path_prefix(text: &str) -> Result<String, Expected> {
    let path = text.trim_matches('/');
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~' | '%');
    match (path.is_empty(), path.chars().all(allowed)) {
        (true, _) => Ok(String::new()),
        (false, true) => Ok(format!("/{path}")),
        (false, false) => Err("a path, such as /api".into()),
    }
}

pub(super) fn chat(text: &str) -> Result<ChatTarget, Expected> {
    let (chat, thread) = match text.split_once(':') {
        Some((chat, thread)) => (chat, thread.parse().ok().filter(|thread| *thread > 0).map(Some)),
        None => (text, Some(None)),
    };
    match (chat.trim().parse(), thread) {
        (Ok(chat), Some(thread)) if chat != 0 => Ok(ChatTarget { chat, thread }),
        _ => Err("a numeric chat id, such as -1001234567890 or -1001234567890:THREAD".into()),
    }
}

/// The Bot API puts the token into a path, so it must be one piece of it.
pub(super) fn token(text: &str) -> Result<SecretString, Expected> {
    let text = text.trim();
    let in_a_path = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '?' | '#');
    match text.chars().all(in_a_path) {
        true => Ok(SecretString::from(text)),
        false => Err("a bot token as BotFather gives it, such as 123456:ABC-DEF".into()),
    }
}

pub(super) fn secret(text: &str) -> Result<SecretString, Expected> {
    Ok(SecretString::from(text))
}

pub(super) fn listen_address(text: &str) -> Result<SocketAddr, Expected> {
    text.replacen("localhost:", "127.0.0.1:", 1)
        .parse()
        .map_err(|_| "an address and a port, such as 127.0.0.1:9464".into())
}

/// A node's name or id to where SSH reaches it.
pub(super) fn hosts(text: &str) -> Result<BTreeMap<String, HostPort>, Expected> {
    const EXPECTED: &str = r#"a JSON object of node to host or host:port, such as {"node-1": "10.0.0.1", "12": "10.0.0.2:2222"}"#;
    let raw: BTreeMap<String, String> = serde_json::from_str(text).map_err(|_| EXPECTED.to_owned())?;
    if raw.values().any(|host| host.contains('@')) {
        return Err("hosts without a user and a password: SSH_USERNAME and SSH_PASSWORD are for those".into());
    }
    raw.into_iter()
        .map(|(node, host)| host.parse().ok().map(|host| (node, host)))
        .collect::<Option<_>>()
        .ok_or_else(|| EXPECTED.into())
}
