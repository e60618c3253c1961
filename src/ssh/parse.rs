//! From the text that a node answers to numbers. Pure and total: any text gives numbers or a reason.

use std::collections::BTreeMap;

use super::command;
use crate::model::{Mib, Quote, ssh::Unreadable};

/// Ticks per second where the node does not say; every Linux on x86 and ARM has 100.
const TICKS_PER_SECOND: f64 = 100.0;

/// The longest CPU name. CPUs give at most 48 bytes.
const MODEL_CHARS_MAX: usize = 64;

/// One answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Answer {
    /// Load averages over 1, 5 and 15 minutes.
    pub load: [f64; 3],
    pub cpus: Option<u32>,
    pub cpu_model: Option<String>,
    pub memory: Option<Memory>,
    pub pressure: Pressure,
    pub ticks_per_second: f64,
    /// Process id to the domain's name on the QEMU command line.
    pub names: BTreeMap<u32, String>,
    /// At least one, in the order they were taken.
    pub samples: Vec<Sample>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    pub total: Mib,
    /// Total less what could be had without swapping.
    pub used: Mib,
}

/// Pressure stall: percent of time over 300 s in which some task waited.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pressure {
    pub cpu: Option<f64>,
    pub memory: Option<f64>,
    pub io: Option<f64>,
}

/// CPU time consumed up to one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sample {
    /// Seconds since the node started: unlike its clock this never jumps.
    pub uptime: f64,
    /// Seconds of all CPUs that were not idle.
    pub busy: Option<f64>,
    pub processes: BTreeMap<u32, Process>,
    /// libvirt's domain to seconds of CPU; `None` where libvirt was not asked.
    pub domains: Option<BTreeMap<String, f64>>,
}

/// A QEMU process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Process {
    /// Seconds from the node's start to the process's; with the id it names the process for good.
    pub started: f64,
    /// Seconds of CPU, all threads and the guest's own time included.
    pub cpu: f64,
}

/// Reads an answer.
///
/// # Errors
///
/// Says which part is missing or broken. Only the load averages and the uptime are required.
pub(super) fn answer(text: &str) -> Result<Answer, Unreadable> {
    let mut lines = text.lines().map(str::trim_end);
    if !lines.any(|line| line == command::HEAD) {
        return Err(Unreadable::NotAReading(Quote::of(text)));
    }
    let sections = sections(lines).ok_or(Unreadable::Truncated)?;
    let section = |name: &str| sections.iter().find(|s| s.title == name).map_or(&[][..], |s| &s.lines);
    let ticks = section("ticks").first().and_then(|n| amount(n)).filter(|n| *n >= 1.0);
    let ticks_per_second = ticks.unwrap_or(TICKS_PER_SECOND);
    let samples: Vec<Sample> = samples(&sections, ticks_per_second);
    if samples.is_empty() {
        return Err(Unreadable::Missing("uptime"));
    }
    Ok(Answer {
        load: load(section("loadavg")).ok_or(Unreadable::Missing("loadavg"))?,
        cpus: count(section("cpus")).or_else(|| count(section("nproc"))),
        cpu_model: cpu_model(section("model")),
        memory: memory(section("meminfo")),
        pressure: Pressure {
            cpu: pressure(section("pressure cpu")),
            memory: pressure(section("pressure memory")),
            io: pressure(section("pressure io")),
        },
        ticks_per_second,
        names: names(section("names")),
        samples,
    })
}

struct Section<'a> {
    title: &'a str,
    lines: Vec<&'a str>,
}

/// Cuts the text at its markers; `None` where the last one is missing.
fn sections<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Vec<Section<'a>>> {
    let mut sections: Vec<Section<'a>> = Vec::new();
    for line in lines {
        match (line.strip_prefix('@'), sections.last_mut()) {
            _ if line == command::END => return Some(sections),
            (Some(title), _) => sections.push(Section { title, lines: Vec::new() }),
            (None, Some(section)) => section.lines.push(line),
            (None, None) => {}
        }
    }
    None
}

/// A number that can be an amount: finite and not negative.
fn amount(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0)
}

fn load(lines: &[&str]) -> Option<[f64; 3]> {
    let mut words = lines.first()?.split_ascii_whitespace().map(amount);
    Some([words.next()??, words.next()??, words.next()??])
}

fn count(lines: &[&str]) -> Option<u32> {
    lines.first()?.trim().parse().ok().filter(|n| *n > 0)
}

/// `model name : AMD EPYC 7543 32-Core Processor`
fn cpu_model(lines: &[&str]) -> Option<String> {
    let (_, model) = lines.first()?.split_once(':')?;
    let words: Vec<_> = model.split_whitespace().collect();
    Some(words.join(" ").chars().take(MODEL_CHARS_MAX).collect()).filter(|model: &String| !model.is_empty())
}

/// Kernels before 3.14 do not report available memory, so free and cached memory are added up instead. Neither includes
/// free huge pages, which guests can use, so these are added.
fn memory(lines: &[&str]) -> Option<Memory> {
    let kib: BTreeMap<&str, u64> = lines
        .iter()
        .filter_map(|line| line.split_once(':'))
        .filter_map(|(key, value)| Some((key, value.split_ascii_whitespace().next()?.parse().ok()?)))
        .collect();
    let total = *kib.get("MemTotal").filter(|total| **total > 0)?;
    let available = kib.get("MemAvailable").copied().or_else(|| {
        let parts = ["MemFree", "Buffers", "Cached"].map(|key| kib.get(key).copied());
        parts[0].map(|_| parts.iter().flatten().fold(0_u64, |sum, part| sum.saturating_add(*part)))
    })?;
    let huge = ["HugePages_Free", "Hugepagesize"].map(|key| kib.get(key).copied().unwrap_or(0));
    let available = available.saturating_add(huge[0].saturating_mul(huge[1]));
    Some(Memory { total: Mib(total / 1024), used: Mib(total.saturating_sub(available) / 1024) })
}

fn pressure(lines: &[&str]) -> Option<f64> {
    let some = lines.iter().find_map(|line| line.strip_prefix("some "))?;
    let average = some.split_ascii_whitespace().find_map(|word| word.strip_prefix("avg300="))?;
    amount(average).filter(|percent| *percent <= 100.0)
}

fn names(lines: &[&str]) -> BTreeMap<u32, String> {
    let mut names = BTreeMap::new();
    let mut current = None;
    for line in lines {
        match (line.split_once(' '), current) {
            (Some(("pid", pid)), _) => current = pid.parse().ok(),
            (Some(("name", option)), Some(pid)) => {
                names.entry(pid).or_insert_with(|| guest_name(option));
            }
            _ => {}
        }
    }
    names
}

/// QEMU's `-name` is `guest=NAME,key=value…` or, from old libvirts, `NAME,…`; a comma in it is doubled.
fn guest_name(option: &str) -> String {
    let value = option.strip_prefix("guest=").unwrap_or(option);
    let mut name = String::new();
    let mut rest = value.chars().peekable();
    while let Some(c) = rest.next() {
        if c == ',' && rest.next_if_eq(&',').is_none() {
            break;
        }
        name.push(c);
    }
    name
}

/// Each `sample` section, with the `domstats` that may follow it. A section without an uptime is skipped.
fn samples(sections: &[Section<'_>], ticks_per_second: f64) -> Vec<Sample> {
    let mut samples: Vec<Option<Sample>> = Vec::new();
    for section in sections {
        match (section.title, samples.last_mut()) {
            ("sample", _) => samples.push(sample(&section.lines, ticks_per_second)),
            ("domstats", Some(Some(sample))) => sample.domains = Some(domains(&section.lines)),
            _ => {}
        }
    }
    samples.into_iter().flatten().collect()
}

fn sample(lines: &[&str], ticks_per_second: f64) -> Option<Sample> {
    let (first, rest) = lines.split_first()?;
    let uptime = amount(first.split_ascii_whitespace().next()?)?;
    Some(Sample {
        uptime,
        busy: rest.iter().find_map(|line| busy_ticks(line)).map(|ticks| ticks / ticks_per_second),
        processes: rest.iter().filter_map(|line| process(line, ticks_per_second)).collect(),
        domains: None,
    })
}

/// user, nice, system, irq, softirq and steal; guest time is part of user, idle and iowait are not busy.
fn busy_ticks(line: &str) -> Option<f64> {
    let ticks: Vec<f64> = line.strip_prefix("cpu ")?.split_ascii_whitespace().map_while(amount).collect();
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|i| ticks.get(*i)).sum();
    (ticks.len() >= 4).then_some(busy)
}

/// A line of `/proc/PID/stat`. The program's name in brackets may hold blanks and brackets itself.
fn process(line: &str, ticks_per_second: f64) -> Option<(u32, Process)> {
    let (pid, rest) = line.split_once(" (")?;
    let (_, behind_name) = rest.rsplit_once(')')?;
    let fields: Vec<&str> = behind_name.split_ascii_whitespace().collect();
    // Counted from the state, field 3 of proc(5): utime is field 14, stime 15, starttime 22.
    let field = |number: usize| fields.get(number - 3).and_then(|text| amount(text));
    let cpu = (field(14)? + field(15)?) / ticks_per_second;
    Some((pid.trim().parse().ok()?, Process { started: field(22)? / ticks_per_second, cpu }))
}

fn domains(lines: &[&str]) -> BTreeMap<String, f64> {
    let mut domains = BTreeMap::new();
    let mut current = None;
    for line in lines.iter().map(|line| line.trim()) {
        if let Some(name) = line.strip_prefix("Domain:") {
            current = Some(name.trim().trim_matches('\''));
        } else if let (Some(name), Some(time)) = (current, line.strip_prefix("cpu.time="))
            && let Some(nanoseconds) = amount(time)
        {
            domains.insert(name.into(), nanoseconds / 1e9);
        }
    }
    domains
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DEBIAN: &str = include_str!("answers/debian12.txt");
    const ALMA: &str = include_str!("answers/almalinux9.txt");
    const UBUNTU: &str = include_str!("answers/ubuntu2204.txt");
    const HIDDEN: &str = include_str!("answers/hidepid-virsh.txt");
    const OLD: &str = include_str!("answers/centos6.txt");

    #[test]
    fn a_debian_node_with_pressure_and_three_vms_is_read() {
        insta::assert_debug_snapshot!(answer(DEBIAN).unwrap());
    }

    #[test]
    fn an_almalinux_node_without_pressure_is_read() {
        let alma = answer(ALMA).unwrap();
        assert_eq!(alma.pressure, Pressure::default());
        assert_eq!(alma.cpus, Some(64));
        assert_eq!(alma.names[&4711], "1024_shop,eu");
        assert_eq!(alma.samples.len(), 2);
        insta::assert_debug_snapshot!(alma);
    }

    #[test]
    fn an_ubuntu_login_banner_before_the_answer_is_passed_over() {
        let ubuntu = answer(UBUNTU).unwrap();
        assert_eq!(ubuntu.load, [0.52, 0.61, 0.7]);
        assert_eq!(ubuntu.pressure.memory, Some(0.31));
        assert_eq!(ubuntu.names.len(), 1);
    }

    #[test]
    fn libvirt_tells_what_the_kernel_hides() {
        let hidden = answer(HIDDEN).unwrap();
        assert!(hidden.names.is_empty());
        let domains = hidden.samples[1].domains.as_ref().unwrap();
        assert_eq!(domains["311_web-1"], 91_234.567_89);
        assert_eq!(domains.len(), 2);
    }

    #[test]
    fn huge_pages_that_are_free_can_be_had() {
        let with_huge_pages =
            DEBIAN.replace("@meminfo", "@meminfo\nHugePages_Free:    1024\nHugepagesize:    2048 kB");
        let used = |text: &str| answer(text).unwrap().memory.unwrap().used;
        assert_eq!(used(&with_huge_pages), used(DEBIAN).saturating_sub(Mib(2048)));
    }

    #[test]
    fn memory_of_an_old_kernel_is_estimated_and_cpus_come_from_nproc() {
        let old = answer(OLD).unwrap();
        assert_eq!(old.memory, Some(Memory { total: Mib(16_384), used: Mib(8_192) }));
        assert_eq!(old.cpus, Some(8));
    }

    #[test]
    fn an_answer_that_is_cut_off_is_never_half_believed() {
        for cut in 0..DEBIAN.len() - command::END.len() {
            let Some(text) = DEBIAN.get(..cut) else { continue };
            assert!(answer(text).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_reading_is_quoted() {
        assert_eq!(
            answer("This account is currently not available.\n"),
            Err(Unreadable::NotAReading("This account is currently not available.".into()))
        );
        assert_eq!(answer(""), Err(Unreadable::NotAReading(Quote::default())));
    }

    #[test]
    fn without_load_or_uptime_there_is_no_reading() {
        let no_load = DEBIAN.replace("7.85 6.91 6.40", "nan 6.91 6.40");
        assert_eq!(answer(&no_load), Err(Unreadable::Missing("loadavg")));
        let negative = DEBIAN.replace("7.85 6.91 6.40", "-1 6.91 6.40");
        assert_eq!(answer(&negative), Err(Unreadable::Missing("loadavg")));
        assert_eq!(
            answer("@vm-balancer 1\n@loadavg\n1 1 1\n@sample\n@end\n"),
            Err(Unreadable::Missing("uptime"))
        );
    }

    #[test]
    fn a_process_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let line = "77 (qemu) kvm) () S 1 77 77 0 -1 4 0 0 0 0 250 50 0 0 20 0 9 0 1000 1 1";
        let (pid, process) = process(line, 100.0).unwrap();
        assert_eq!((pid, process), (77, Process { started: 10.0, cpu: 3.0 }));
    }

    #[test]
    fn a_guest_name_is_taken_from_every_form_of_the_option() {
        for (option, name) in [
            ("guest=311_web-1,debug-threads=on", "311_web-1"),
            ("311_web-1", "311_web-1"),
            ("311_web-1,process=qemu:311", "311_web-1"),
            ("guest=a,,b,debug-threads=on", "a,b"),
            ("guest=", ""),
        ] {
            assert_eq!(guest_name(option), name, "{option}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,400}") {
            let _ = answer(&text);
            let _ = answer(&format!("{}\n{text}\n{}\n", command::HEAD, command::END));
        }

        #[test]
        fn no_damage_to_a_real_answer_gives_an_impossible_number(
            at in 0..DEBIAN.len(), with in "[ -~\n]{0,12}", cut in 0_usize..40,
        ) {
            let end = (at + cut).min(DEBIAN.len());
            prop_assume!(DEBIAN.is_char_boundary(at) && DEBIAN.is_char_boundary(end));
            if let Ok(answer) = answer(&format!("{}{with}{}", &DEBIAN[..at], &DEBIAN[end..])) {
                prop_assert!(answer.load.iter().all(|n| n.is_finite() && *n >= 0.0));
                prop_assert!(!answer.samples.is_empty());
            }
        }
    }
}
