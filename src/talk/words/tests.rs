//! How reasons read, in English and in Russian.

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::{
    model::{Block, Mib, NodeId, VmId},
    planner::{Excess, MoveWhy, Note, Obstacle, Resource, RestWhy, SkipWhy, StillOverloaded, TargetRefusal},
};

#[test]
fn an_excess_shows_that_it_is_one() {
    let shown = |resource, value, threshold| english().excess(&Excess { resource, value, threshold });
    assert_eq!(plain(&shown(Resource::Memory, 83.1234, 70.0)), "memory 83.1 % > 70 %");
    assert_eq!(plain(&shown(Resource::Cpu, 7.4, 7.0)), "cpu 7.4 > 7 vCPU per core");
    assert_eq!(plain(&shown(Resource::Load, 1.004, 1.0)), "load 1.004 > 1 per core");
    let memory = Excess { resource: Resource::Memory, value: 83.1234, threshold: 70.5 };
    assert_eq!(plain(&russian().excess(&memory)), "память 83,1 % > 70,5 %");
    assert_eq!(plain(&shown(Resource::Load, 0.95, 1.0)), "margin: load per core 0.95, threshold 1");
    assert_eq!(plain(&shown(Resource::Memory, 70.0, 70.5)), "margin: memory 70.0 %, threshold 70.5 %");
    let load = Excess { resource: Resource::Load, value: 0.95, threshold: 1.0 };
    assert_eq!(plain(&russian().excess(&load)), "запас: нагрузка на ядро 0,95, порог 1");
}

#[test]
fn what_stays_overloaded_says_what_it_needs_and_what_is_in_the_way() {
    let until = noon() + TimeDelta::minutes(125);
    let still = StillOverloaded {
        node: NodeId(1),
        name: "node-0001".into(),
        over: vec![Excess { resource: Resource::Memory, value: 84.0, threshold: 70.0 }],
        needs_memory: Some(Mib(14 * 1024)),
        needs_cpu: None,
        because: vec![
            Obstacle::NotEnough { movable: 0 },
            Obstacle::Immovable { why: SkipWhy::Blocked(Block::Snapshots), count: 6 },
            Obstacle::Immovable { why: SkipWhy::Resting { until, why: RestWhy::Moved }, count: 2 },
        ],
    };
    insta::assert_snapshot!(plain(&english().still_overloaded(&still)));
    insta::assert_snapshot!(plain(&russian().still_overloaded(&still)));
    let still = StillOverloaded {
        needs_memory: None,
        needs_cpu: Some(3.0),
        because: vec![
            Obstacle::Limit { migrations_max: 1 },
            Obstacle::NoTarget { movable: 4, reasons: vec![(TargetRefusal::Cpu, 4)] },
        ],
        ..still
    };
    insta::assert_snapshot!(plain(&english().still_overloaded(&still)));
}

#[test]
fn reasons_read_as_the_contract_has_them() {
    let skipped = |why| plain(&english().skip_why(&why, noon()));
    assert_eq!(skipped(SkipWhy::Blocked(Block::Snapshots)), "snapshots");
    assert_eq!(skipped(SkipWhy::NoTarget(TargetRefusal::OlderQemu)), "no target: older QEMU");
    let room = MoveWhy::MakeRoom { for_vm: VmId(7), for_vm_name: "<db&1>".into() };
    assert_eq!(plain(&english().move_why(&room)), "makes room for <db&1> (7)");
    let note = Note::SumsDiffer { node: "n1".into(), memory_node: Mib(2048), memory_vms: Mib(1024) };
    assert_eq!(
        plain(&english().note(&note)),
        "n1: VMmanager says 2 GiB allocated, its VMs add up to 1 GiB; the larger counts."
    );
}

/// What a Russian text may hold in Latin letters besides quotations and code.
const LATIN: [&str; 20] = [
    "VMmanager",
    "vm",
    "balancer",
    "SSH",
    "QEMU",
    "KVM",
    "ISO",
    "vCPU",
    "UTC",
    "balancer_mode",
    "LXD",
    "HTTP",
    "HTML",
    "XML",
    "JSON",
    "PEM",
    "RSA",
    "ed25519",
    "ECDSA",
    "OpenSSH",
];

#[test]
fn a_reason_in_russian_holds_no_latin_word_that_is_no_name_unit_or_quotation() {
    let words = russian();
    let mut texts: Vec<String> = Vec::new();
    texts.extend(samples::troubles().iter().map(|trouble| words.trouble(trouble)));
    texts.extend(samples::sights().iter().map(|sight| words.unseen(Some(sight))));
    texts.extend(samples::holds().iter().map(|hold| words.hold(hold)));
    texts.extend(samples::skips().iter().map(|why| words.skip_why(why, noon())));
    texts.extend(samples::obstacles().iter().map(|obstacle| words.obstacle(obstacle)));
    texts.extend(samples::refusals().into_iter().map(|refusal| words.target_refusal(refusal)));
    texts.extend(samples::notes().iter().map(|note| words.note(note)));
    texts.extend(samples::ssh_errors().iter().map(|error| words.ssh_error(error)));
    texts.extend(samples::ssh_failures().iter().map(|failure| words.ssh_failure(failure)));
    texts.extend(samples::login_ways().iter().map(|way| words.login_way(way)));
    texts.extend(samples::unmeasured().into_iter().map(|why| words.why_unmeasured(why)));
    texts.extend(samples::endings().iter().map(|ending| words.ending(ending, noon())));
    for text in texts {
        assert_eq!(latin_words(&text, &["n1", "Anna", "web"]), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn failures_read_as_sentences_in_every_language() {
    for (words, name) in [(english(), "failures_en"), (russian(), "failures_ru")] {
        let lines: Vec<_> = samples::troubles().iter().map(|trouble| words.trouble(trouble)).collect();
        insta::assert_snapshot!(name, lines.join("\n"));
    }
}

#[test]
fn what_ssh_met_reads_as_sentences_in_every_language() {
    for (words, name) in [(english(), "ssh_en"), (russian(), "ssh_ru")] {
        let errors = samples::ssh_errors().into_iter().map(|error| words.ssh_error(&error));
        let failures = samples::ssh_failures().into_iter().map(|failure| words.ssh_failure(&failure));
        insta::assert_snapshot!(name, errors.chain(failures).collect::<Vec<_>>().join("\n"));
    }
}

/// The Latin words of a text that are neither quoted, nor code, nor names.
pub(in crate::talk) fn latin_words(html: &str, names: &[&str]) -> Vec<String> {
    let mut depth = 0;
    let marked =
        html.replace("<code>", "«").replace("</code>", "»").replace("&lt;", "<").replace("&gt;", ">");
    let bare: String = marked
        .chars()
        .filter(|c| {
            depth += i32::from(*c == '«') - i32::from(*c == '»');
            depth == 0
        })
        .collect();
    bare.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.chars().any(|c| c.is_ascii_alphabetic()) && !LATIN.contains(word))
        .filter(|word| !names.contains(word))
        .map(str::to_owned)
        .collect()
}

fn english() -> Words {
    Words::english()
}

fn russian() -> Words {
    Words { language: Language::Ru, ..Words::english() }
}

pub(super) fn noon() -> DateTime<Utc> {
    "2026-11-23T12:00:00Z".parse().unwrap()
}
