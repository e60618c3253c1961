//! What people read on a phone: plans, the status, nodes, VMs and the history fit its width, in every transcript.
//!
//! Not every line can: somebody else's words are quoted as they are, and a sentence that explains wraps like any other.

use std::{fs, path::Path};

/// What a phone shows in one line.
const LINE_CHARS: usize = 40;

/// How the messages begin that are laid out for a phone.
const LAID_OUT: [&str; 16] = [
    "Plan ",
    "План ",
    "⚠ Plan ",
    "⚠ План ",
    "⚠ 1 node over",
    "⚠ 2 nodes over",
    "⚠ Перегружен",
    "✓ No node is over",
    "✓ Ни один узел не перегружен",
    "Node ",
    "Узел ",
    "VM ",
    "ВМ ",
    "History",
    "История",
    "1 migration is running",
];

/// What may be longer, by what such a line holds.
const EXCEPTIONS: [(&str, [&str; 2]); 1] = [("a quotation of VMmanager", ["“", "«"])];

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
    assert!(measured > 300, "only {measured} messages are measured");
    assert!(long.is_empty(), "{} lines are longer than a phone:\n{}", long.len(), long.join("\n"));
}

fn is_laid_out(message: &[&str]) -> bool {
    let first = message.first().map(|line| line.trim_start_matches("DRY RUN · ")).unwrap_or_default();
    LAID_OUT.iter().any(|begin| first.starts_with(begin))
}

fn is_exempt(line: &str) -> bool {
    EXCEPTIONS.iter().any(|(_, marks)| marks.iter().any(|mark| line.contains(mark)))
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
