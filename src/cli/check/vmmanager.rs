//! The platform: whether VMmanager answers, what its user may do, and what the settings name there.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::{Finding, PLATFORM, State, finding_of};
use crate::{
    app::{self, Pace},
    balancer,
    causes::chain,
    clock::Clock,
    config::Config,
    model::{ApiFailure, ClusterInfo, Silence, Snapshot},
    planner::Note,
    talk::words::{Words, plain},
    vmmanager::VmManagerApi,
};

const VMMANAGER: &str = "vmmanager";

/// The largest difference between two clocks that does no harm: windows and cool-downs are counted in minutes.
const SKEW_MAX: TimeDelta = TimeDelta::seconds(60);

const CA_FILE: &str = "VMMANAGER_CA_FILE must be a PEM file that the bot may read";

/// Tries the login, the rights and the lists; returns the picture for what else needs it.
pub(in crate::cli) async fn check(config: &Config, clock: &Clock) -> (Vec<Finding>, Option<Snapshot>) {
    let api = match app::vmmanager(config, Pace::Trial) {
        Ok(api) => api,
        Err(error) => return (vec![finding_of(VMMANAGER, &error).todo(CA_FILE)], None),
    };
    let mut findings = Vec::new();
    let snapshot = platform(&api, config, clock, &mut findings).await;
    api.log_out().await;
    match snapshot {
        Ok(snapshot) => (findings, Some(snapshot)),
        Err(error) => {
            findings.push(unusable(config, &error));
            (findings, None)
        }
    }
}

/// Tries whether VMmanager answers at its address. The token of `config` is nobody's, so a refusal is an answer.
pub(in crate::cli) async fn address(config: &Config) -> Option<Finding> {
    let api = match app::vmmanager(config, Pace::Trial) {
        Ok(api) => api,
        Err(error) => return Some(finding_of(VMMANAGER, &error).todo(CA_FILE)),
    };
    match api.whoami().await {
        Ok(_) | Err(ApiFailure::Credentials(_) | ApiFailure::Forbidden { .. }) => None,
        Err(error) => Some(unusable(config, &error)),
    }
}

fn unusable(config: &Config, error: &ApiFailure) -> Finding {
    let of = config.vmmanager.as_ref().map(|it| it.base_url.origin().ascii_serialization());
    let detail = format!("{}: {}", of.unwrap_or_default(), chain(error));
    Finding::new(VMMANAGER, State::Wrong, detail).todo(advice(error))
}

/// What to do about a request that failed.
fn advice(failure: &ApiFailure) -> &'static str {
    match failure {
        ApiFailure::Settings(_) => "see VMMANAGER_HOST and VMMANAGER_CA_FILE",
        ApiFailure::Credentials(_) => {
            "correct VMMANAGER_USERNAME and VMMANAGER_PASSWORD, or VMMANAGER_TOKEN; try them in the panel"
        }
        ApiFailure::Forbidden { .. } => {
            "the bot needs an administrator of VMmanager: give its user that role"
        }
        ApiFailure::Unavailable { .. } => "VMmanager is starting or being updated: try again in some minutes",
        ApiFailure::NoAnswer { said: Silence::Status { .. }, .. } => {
            "see the log of VMmanager, and of a proxy before it"
        }
        ApiFailure::NoAnswer {
            said: Silence::TimedOut(said) | Silence::Lost(said) | Silence::Other(said),
            ..
        } => silence(&said.to_string().to_lowercase()),
        ApiFailure::NoLogin { .. } | ApiFailure::NotFound { .. } | ApiFailure::Unreadable { .. } => {
            "something else answers there: check VMMANAGER_HOST and VMMANAGER_PATH_PREFIX (e.g. /api, or empty)"
        }
        ApiFailure::Refused { .. } | ApiFailure::Other(_) => {
            "check VMMANAGER_HOST and VMMANAGER_PATH_PREFIX, and the log of VMmanager"
        }
    }
}

/// Searches the error texts of the TLS and HTTP libraries.
fn silence(detail: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| detail.contains(word));
    match () {
        () if says(&["issuer", "self-signed", "self signed", "causedasendentity"]) => {
            "name the private CA, or the certificate itself, as a PEM file in VMMANAGER_CA_FILE"
        }
        () if says(&["certificate"]) => {
            "the certificate is not for this name or is out of date: see VMMANAGER_HOST and this machine's clock"
        }
        // A certificate's names are called `DnsName` too.
        () if says(&["dns", "lookup"]) => "VMMANAGER_HOST names a machine that DNS does not know",
        () if says(&["corrupt message", "contenttype", "record overflow", "wrong version"]) => {
            "the port speaks http and not https: correct the port, or write http:// in VMMANAGER_HOST"
        }
        () if says(&["refused"]) => {
            "nothing listens there: check the port in VMMANAGER_HOST, and VMMANAGER_PROXY where it is set"
        }
        () => "check VMMANAGER_HOST (http:// or https://, name and port), the firewall and VMMANAGER_PROXY",
    }
}

async fn platform(
    api: &VmManagerApi,
    config: &Config,
    clock: &Clock,
    findings: &mut Vec<Finding>,
) -> Result<Snapshot, ApiFailure> {
    let who = api.whoami().await?.unwrap_or_default();
    let version = api.version().await?;
    let user = who.email.unwrap_or_else(|| "a user whose name is not told".into());
    let roles = if who.roles.is_empty() { String::new() } else { format!(" ({})", who.roles.join(", ")) };
    let version = version.map_or("a version that is not told".into(), |version| format!("version {version}"));
    findings.push(Finding::new(VMMANAGER, State::Ok, format!("logged in as {user}{roles}; {version}")));
    findings.extend(rights(&who.roles, config.balancer.dry_run));
    findings.extend(skew(api, clock));
    let look = api.look(clock.now()).await?;
    for (cluster, flaw) in look.warnings {
        let of = cluster.map(|id| format!("cluster {id}: ")).unwrap_or_default();
        let finding = Finding::new(PLATFORM, State::Warning, of + &plain(&Words::english().flaw(&flaw)));
        findings.push(finding.todo("look at this in VMmanager; what it is about is not moved until then"));
    }
    picture(&look.snapshot, config, findings);
    Ok(look.snapshot)
}

/// Some versions name no role. Then a successful answer has to do.
fn rights(roles: &[String], dry_run: bool) -> Option<Finding> {
    let says = |word: &str| roles.iter().any(|role| role.to_lowercase().contains(word));
    let reads_only = says("readonly") || says("read_only") || says("read-only");
    let finding = |state, detail: &str| {
        let todo = "give the bot's user the role of an administrator in VMmanager";
        Some(Finding::new(VMMANAGER, state, detail).todo(todo))
    };
    match (roles.is_empty(), reads_only) {
        (true, _) => None,
        (false, true) => {
            let state = if dry_run { State::Warning } else { State::Wrong };
            finding(state, "the user may only read: it can plan and cannot migrate")
        }
        (false, false) if !says("admin") => {
            finding(State::Wrong, "an ordinary user sees only its own VMs and cannot migrate")
        }
        (false, false) => None,
    }
}

fn skew(api: &VmManagerApi, clock: &Clock) -> Option<Finding> {
    let ahead = api.server_date()? - clock.now();
    if ahead.abs() <= SKEW_MAX {
        return None;
    }
    let which = if ahead > TimeDelta::zero() { "behind" } else { "ahead of" };
    let seconds = ahead.abs().to_std().unwrap_or_default().as_secs();
    let by = humantime::format_duration(std::time::Duration::from_secs(seconds));
    let detail = format!("this machine's clock is {by} {which} VMmanager's");
    Some(
        Finding::new(VMMANAGER, State::Warning, detail)
            .todo("set both by NTP: windows and rests go by the clock"),
    )
}

fn picture(snapshot: &Snapshot, config: &Config, findings: &mut Vec<Finding>) {
    let Snapshot { clusters, nodes, vms, .. } = snapshot;
    let seen = format!("clusters {}, nodes {}, VMs {}", clusters.len(), nodes.len(), vms.len());
    findings.push(Finding::new(PLATFORM, State::Ok, seen));
    let wanted = config.balancer.policy.clusters.as_ref();
    let balanced: Vec<_> =
        clusters.iter().filter(|cluster| wanted.is_none_or(|ids| ids.contains(&cluster.id))).collect();
    let is_flawed = |cluster: &&ClusterInfo| !cluster.incomplete.is_empty();
    // With none that can be acted on the bot does nothing at all.
    let state = if balanced.iter().all(is_flawed) { State::Wrong } else { State::Warning };
    for cluster in balanced.iter().filter(|cluster| is_flawed(cluster)) {
        for flaw in &cluster.incomplete {
            let why = plain(&Words::english().flaw(flaw));
            let detail = format!("cluster {} ({}) is not acted on: {why}", cluster.name, cluster.id);
            let todo = "see that the user may read nodes, VMs and tasks, and mend what the reason names";
            findings.push(Finding::new(PLATFORM, state, detail).todo(todo));
        }
    }
    for id in wanted.into_iter().flatten().filter(|id| snapshot.cluster(**id).is_none()) {
        let detail = format!("CLUSTER_IDS names cluster {id}, which VMmanager does not have");
        let ids: Vec<_> =
            clusters.iter().map(|cluster| format!("{} ({})", cluster.id, cluster.name)).collect();
        let finding = Finding::new(PLATFORM, State::Warning, detail);
        findings.push(finding.todo(format!("VMmanager has {}", ids.join(", "))));
    }
    if balanced.is_empty() {
        let detail = "no cluster is left to balance";
        let todo = match wanted {
            Some(_) => "correct CLUSTER_IDS, or leave it empty for all clusters",
            None => "give the bot's user the right to see clusters: it needs an administrator of VMmanager",
        };
        findings.push(Finding::new(PLATFORM, State::Wrong, detail).todo(todo));
    }
    let plan = balancer::checked_plan(snapshot, &config.balancer.policy);
    let notes = plan.clusters.iter().flat_map(|cluster| &cluster.notes);
    let told: BTreeSet<_> = notes
        .filter(|note| note.is_standing())
        .map(|note| (plain(&Words::english().note(note)), what_to_do(note)))
        .collect();
    findings
        .extend(told.into_iter().map(|(note, todo)| Finding::new(PLATFORM, State::Warning, note).todo(todo)));
}

/// What to do about what holds of a cluster beyond a single plan.
fn what_to_do(note: &Note) -> &'static str {
    match note {
        Note::UnknownSelector { .. } => {
            "correct it in EXCLUDE_SOURCE_NODES, EXCLUDE_TARGET_NODES, PIN_VMS or ANTI_AFFINITY"
        }
        Note::EveryVmOptedOut => "set the VMs' balancer mode in VMmanager, or RESPECT_BALANCER_MODE=false",
        Note::BuiltinBalancer { .. } => {
            "turn VMmanager's balancer off for this cluster, or both undo each other"
        }
        Note::Unreadable { .. } | Note::NamelessVm { .. } | Note::SumsDiffer { .. } => {
            "look at the node and its VMs in VMmanager; the bot counts with the larger figure and moves nothing unread"
        }
        Note::Faulty { .. } => "mend the node in VMmanager; until then nothing is moved there",
        Note::MixedOsFamilies => {
            "VMmanager supports one family of operating systems in a cluster: take the others out"
        }
        Note::ClosedAfterFailures { .. } => {
            "see why they failed with `vm-balancer history`, then /resume in the chat"
        }
        Note::StepsDropped { .. } => "save `vm-balancer snapshot` and report it",
        Note::Unmeasured { .. }
        | Note::Settling { .. }
        | Note::Strained { .. }
        | Note::LoadIsNotCpu { .. }
        | Note::NotKvm { .. }
        | Note::ForeignMigration { .. } => "nothing: it passes by itself",
    }
}
