//! What people read on a phone: plans, the status, nodes, VMs and the history fit its width, in every transcript.

use std::{fs, path::Path};

/// What a phone shows in one line.
const LINE_CHARS: usize = 40;

/// How the messages begin that are laid out for a phone, and what else their first line holds.
const LAID_OUT: [(&str, &str); 14] = [
    ("Plan ", ", cluster "),
    ("План ", ", кластер "),
    ("⚠ Plan ", "look"),
    ("⚠ План ", "проверьте"),
    ("⚠ ", " over"),
    ("⚠ Перегружен", ""),
    ("✓ No node is over", ""),
    ("✓ Ни один узел не перегружен", ""),
    ("Node ", ", cluster "),
    ("Узел ", ", кластер "),
    ("VM ", ""),
    ("ВМ ", ""),
    ("History", ""),
    ("История", ""),
];

/// An ordinary name is no longer.
const NAME_CHARS: usize = 16;

#[test]
fn messages_fit_the_width_of_a_phone() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots");
    let mut long = Vec::new();
    let mut measured = 0;
    for file in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        let file_name = file.file_name().unwrap().to_string_lossy().into_owned();
        if !file_name.starts_with("it__transcripts__") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for message in messages(&text).into_iter().filter(|message| is_laid_out(message)) {
            measured += 1;
            let too_long =
                message.iter().filter(|line| line.chars().count() > LINE_CHARS && !is_exempt(line));
            long.extend(too_long.map(|line| format!("{file_name}: {} {line}", line.chars().count())));
        }
    }
    assert!(measured > 200, "only {measured} messages are measured");
    assert!(long.is_empty(), "{} lines are longer than a phone:\n{}", long.len(), long.join("\n"));
}

fn is_laid_out(message: &[&str]) -> bool {
    let first = message.first().map(|line| line.trim_start_matches("DRY RUN · ")).unwrap_or_default();
    // An answer of one sentence is no page.
    message.len() > 1
        && LAID_OUT.iter().any(|(begin, holds)| first.starts_with(begin) && first.contains(holds))
}

/// What may be longer: a client may call a VM as they like, and a name is not torn apart.
fn is_exempt(line: &str) -> bool {
    line.split_whitespace().any(|word| word.chars().count() > NAME_CHARS)
}

/// The bot's messages in a transcript, line by line and without their buttons.
fn messages(transcript: &str) -> Vec<Vec<&str>> {
    let mut all: Vec<Vec<&str>> = Vec::new();
    let mut is_inside = false;
    for line in transcript.lines() {
        match line.strip_prefix("    ") {
            Some(said) if is_inside && !said.starts_with('[') => all.last_mut().unwrap().push(said),
            Some(_) => {}
            // An empty line of a message has no indent.
            None if line.is_empty() => {}
            None => {
                is_inside = line.starts_with("balancer");
                if is_inside {
                    all.push(Vec::new());
                }
            }
        }
    }
    all
}
