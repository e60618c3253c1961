//! The house rules that no compiler checks: which room may name which, how long a function is, how a file begins.
#![expect(clippy::unwrap_used, reason = "a test says no by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The longest function in lines. A longer one does more than one thing.
const FUNCTION_LINES_MAX: usize = 80;

/// Marks of work that is not done, put together here so that this file does not hold them itself.
const UNFINISHED: [(&str, &str); 4] =
    [("todo", "!"), ("unimplemented", "!"), ("#[ignore", "]"), ("FIX", "ME")];

#[test]
fn rooms_name_only_rooms_that_they_may() {
    let allowed = table(&read("docs/ARCHITECTURE.md"));
    assert!(allowed.contains_key("planner") && allowed.contains_key("app"), "the table is there");
    expect_none(broken_layers(&rust_files(&["src"]), &allowed));
}

#[test]
fn rooms_stand_in_rows_without_circles() {
    expect_none(misplaced(&read("docs/ARCHITECTURE.md")));
}

#[test]
fn the_table_of_rooms_promises_nothing_that_is_not_so() {
    let page = read("docs/ARCHITECTURE.md");
    expect_none(unused_permissions(&rust_files(&["src"]), &table(&page)));
    let described: BTreeSet<_> = described_rooms(&page).into_iter().collect();
    assert_eq!(described, table(&page).into_keys().collect(), "both tables of the page list the same rooms");
}

#[test]
fn files_of_the_planner_name_only_files_below_them() {
    expect_none(circles(&rust_files(&["src"]), "planner"));
}

#[test]
fn every_file_that_the_house_plan_names_exists() {
    expect_none(missing_files(&read("docs/ARCHITECTURE.md")));
}

#[test]
fn deciding_is_pure() {
    expect_none(impure(&rust_files(&["src"])));
}

#[test]
fn functions_are_short() {
    expect_none(long_functions(&rust_files(&["src", "tests", "benches"])));
}

#[test]
fn nothing_is_left_unfinished() {
    expect_none(unfinished(&rust_files(&["src", "tests", "benches"])));
}

#[test]
fn every_file_says_what_it_is_for() {
    expect_none(wordless(&rust_files(&["src", "tests", "benches"])));
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    expect_none(allowed_lints(&rust_files(&["src", "tests", "benches"])));
}

#[test]
fn every_text_is_used_and_every_text_that_is_used_exists() {
    let texts = ["en", "en-work"].map(|name| read(&format!("src/talk/words/{name}.ftl"))).concat();
    expect_none(odd_texts(&texts, &rust_files(&["src/talk"])));
}

#[test]
fn each_promise_names_tests_that_exist() {
    let text = read("docs/RELIABILITY.md");
    assert!(promises(&text).len() > 20, "the promises are there");
    expect_none(unproven(&text, &rust_files(&["src", "tests"])));
}

#[test]
fn a_room_that_knows_too_much_is_found() {
    let allowed =
        table("| 1 | model | |\n| 1 | clock | |\n| 2 | planner | model |\n| 3 | main | planner |\n");
    let found = |path: &str, text: &str| broken_layers(&[File::of(path, text)], &allowed);
    assert_eq!(found("src/planner/fit.rs", "use crate::model::VmId;\nuse super::plan;").len(), 0);
    assert_eq!(found("src/planner/fit.rs", "//! See crate::clock.\n// crate::clock\n").len(), 0);
    for text in [
        "use crate::clock::Clock;",
        "use crate::{model::VmId, clock::Clock};",
        "use crate::{\n    model::{self, VmId},\n    clock,\n};",
        "fn f() { crate::clock::now() }",
        "use crate::stranger::X;",
    ] {
        assert_eq!(found("src/planner/fit.rs", text).len(), 1, "{text}");
    }
    assert_eq!(found("src/model.rs", "use crate::planner::Plan;").len(), 1);
    assert_eq!(found("src/unlisted/mod.rs", "").len(), 1);
    assert_eq!(found("src/main.rs", "use vm_balancer::{planner, model};").len(), 1);
}

#[test]
fn a_row_that_knows_its_own_is_found() {
    assert_eq!(misplaced("| 1 | model | |\n| 1 | clock | model |\n").len(), 1);
    assert_eq!(misplaced("| 1 | model | planner |\n| 2 | planner | |\n").len(), 1);
    assert_eq!(misplaced("| 1 | model | nobody |\n").len(), 1);
    assert_eq!(misplaced("| 1 | model | |\n| 2 | planner | model |\n").len(), 0);
}

#[test]
fn a_permission_that_nobody_uses_is_found() {
    let allowed = table("| 1 | model | |\n| 1 | clock | |\n| 2 | planner | model, clock |\n");
    let files = |planner: &str| {
        [
            File::of("src/model/mod.rs", ""),
            File::of("src/clock.rs", ""),
            File::of("src/planner/fit.rs", planner),
        ]
    };
    let found = |planner: &str| unused_permissions(&files(planner), &allowed);
    assert_eq!(found("use crate::{clock::Clock, model::VmId};"), Vec::<String>::new());
    assert_eq!(found("use crate::model::VmId;\n// crate::clock"), ["planner never names clock"]);
    assert_eq!(
        unused_permissions(&files("crate::clock crate::model")[1..], &allowed),
        ["there is no room model"]
    );
    assert_eq!(described_rooms("| `model` | nouns |\n| 1 | model | |\n"), ["model"]);
}

#[test]
fn a_circle_of_files_is_found() {
    let found = |a: &str, b: &str| {
        let file = |path: &str, text: &str| File::of(&format!("src/planner/{path}.rs"), text);
        let parents = [file("mod", "mod a;\nmod inner;\npub use a::Name;"), file("inner/mod", "mod b;")];
        let files: Vec<_> = parents.into_iter().chain([file("a", a), file("inner/b", b)]).collect();
        circles(&files, "planner").len()
    };
    assert_eq!(found("use super::inner::b::X;", "use crate::model::VmId;"), 0);
    assert_eq!(found("", "use super::super::a::{self, Name};\nfn f() { crate::planner::a::g() }"), 0);
    assert_eq!(found("use super::inner::b::X;", "use crate::planner::{a::Name, inner};"), 1);
    assert_eq!(found("fn f() { super::inner::b::g() }", "use super::super::a;"), 1);
    assert_eq!(found("", "use crate::planner::{Name};"), 1, "a re-export is above the file that uses it");
    assert_eq!(found("#[cfg(test)]\nmod tests {\n    use super::*;\n}", "// use super::super::Name"), 0);
}

#[test]
fn a_file_that_is_gone_is_found() {
    assert_eq!(
        missing_files("`model/find.rs`, `tests/tidy.rs`, `talk/words/`, `planner::fit`"),
        Vec::<String>::new()
    );
    assert_eq!(
        missing_files("see `model/gone.rs` and `gone/`"),
        ["there is no model/gone.rs", "there is no gone/"]
    );
}

#[test]
fn an_impure_room_is_found() {
    let found = |path: &str, text: &str| impure(&[File::of(path, text)]).len();
    for text in [
        "use tokio::sync::mpsc;",
        "use teloxide::types::Message;",
        "fn f(url: reqwest::Url) {}",
        "use std::{collections::BTreeMap, fs};",
        "std::fs::read(path)",
        "Utc::now()",
        "Instant::now()",
        "use crate::clock::Clock;",
    ] {
        assert_eq!(found("src/talk/command.rs", text), 1, "{text}");
        assert_eq!(found("src/telegram/bot.rs", text), 0, "{text}");
    }
    assert_eq!(found("src/talk/command.rs", "// tokio would be wrong here\nlet offset = tz.offset();"), 0);
}

#[test]
fn a_long_function_is_found() {
    let body =
        |lines: usize| format!("impl A {{\n    fn long() {{\n{}    }}\n}}\n", "        x();\n".repeat(lines));
    let found = |text: String| long_functions(&[File::of("src/a.rs", &text)]);
    assert_eq!(found(body(FUNCTION_LINES_MAX - 2)).len(), 0);
    assert_eq!(found(body(FUNCTION_LINES_MAX - 1)).len(), 1);
    let braces_in_texts = body(5).replacen("x();", "let s = \"{\"; let c = '{'; // {", 1);
    assert_eq!(found(braces_in_texts + &body(5)).len(), 0);
}

#[test]
fn unfinished_work_is_found() {
    for (head, tail) in UNFINISHED {
        let file = File::of("src/a.rs", &format!("fn f() {{ {head}{tail}() }}"));
        assert_eq!(unfinished(&[file]).len(), 1, "{head}{tail}");
    }
}

#[test]
fn a_wordless_file_is_found() {
    assert_eq!(wordless(&[File::of("src/a.rs", "use std::fmt;\n")]).len(), 1);
    assert_eq!(wordless(&[File::of("src/a.rs", "//! Words.\n")]).len(), 0);
}

#[test]
fn a_silenced_lint_is_found() {
    let allow = ["#[al", "low(dead_code)]"].concat();
    assert_eq!(allowed_lints(&[File::of("src/a.rs", &allow)]).len(), 1);
    assert_eq!(allowed_lints(&[File::of("src/a.rs", "#[expect(dead_code)]")]).len(), 1);
    assert_eq!(allowed_lints(&[File::of("src/a.rs", "#[expect(dead_code, reason = \"x\")]")]).len(), 0);
}

#[test]
fn a_text_without_a_use_and_a_use_without_a_text_are_found() {
    let found =
        |text: &str| odd_texts("unit-hours = h\nhelp-why = x\n    .more = y\n", &[File::of("a.rs", text)]);
    assert_eq!(found("fn f() { say(\"unit-hours\", args![]) }").len(), 0);
    assert_eq!(found("say(if on { \"unit-hours\" } else { \"unit-days\" })"), ["no text for unit-days"]);
    assert_eq!(found("#[cfg(test)] say(\"unit-hours\")"), ["nothing uses unit-hours"]);
}

#[test]
fn a_promise_without_a_test_is_found() {
    let files = [File::of(
        "tests/it/a.rs",
        "#[tokio::test]\nasync fn it_holds() {}\n#[test]\n#[expect(x)]\nfn it_holds_too() {}\nfn helps() {}",
    )];
    let found = |shown: &str| unproven(&format!("### It holds\n\nBecause it does.\n\n{shown}"), &files).len();
    assert_eq!(found("* `it::a::it_holds`\n* `a::it_holds_too`"), 0);
    assert_eq!(found("* `it::a::it_holds`\n* `a::it_never_held`"), 1);
    assert_eq!(found("* `it::b::it_holds`"), 1, "it is in another file");
    assert_eq!(found("* `it::a::it_hol…`"), 1);
    assert_eq!(found("* `it::a::helps`"), 1, "it is no test");
    assert_eq!(found("* `it::a`"), 1);
    assert_eq!(found(""), 1);
    assert_eq!(found("## More\n\n* `it::a::it_holds`"), 1, "the list belongs to something else");
    assert_eq!(found("* `it::a::it_holds`\n\n## More\n\nSee `it::a::it_is_gone`."), 1, "named in a sentence");
}

struct File {
    path: String,
    text: String,
}

impl File {
    fn of(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The room that a file of `src` belongs to: its folder, or its own name.
    fn room(&self) -> &str {
        let inside = self.path.trim_start_matches("src/");
        inside.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }
}

/// Reads the rows `| number | room | names |`: each room with its row and what it may name.
fn rows(text: &str) -> Vec<(u32, String, Vec<String>)> {
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let (number, room, names) = (cells.get(1)?, cells.get(2)?, cells.get(3)?);
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        Some((number.parse().ok()?, (*room).to_owned(), names.collect()))
    };
    text.lines().filter_map(row).collect()
}

fn table(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    rows(text).into_iter().map(|(_, room, names)| (room, names.into_iter().collect())).collect()
}

fn misplaced(text: &str) -> Vec<String> {
    let rows = rows(text);
    let row_of = |room: &str| rows.iter().find(|(_, name, _)| name == room).map(|(row, _, _)| *row);
    let mut found = Vec::new();
    for (row, room, names) in &rows {
        for name in names {
            if row_of(name).is_none_or(|other| other >= *row) {
                found.push(format!("{room} in row {row} may not name {name}, which is not above it"));
            }
        }
    }
    found
}

fn broken_layers(files: &[File], allowed: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.path != "src/lib.rs") {
        let room = file.room();
        let Some(may) = allowed.get(room) else {
            found.push(format!("{}: the room {room} is not in the table", file.path));
            continue;
        };
        let library = if room == "main" { "vm_balancer::" } else { "crate::" };
        for named in named_rooms(&code(&file.text), library) {
            if named != room && !may.contains(&named) {
                found.push(format!("{}: {room} may not name {named}", file.path));
            }
        }
    }
    found
}

/// What the table allows and nobody needs: rooms that do not exist, and names that a room never names.
fn unused_permissions(files: &[File], allowed: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut found = Vec::new();
    for (room, may) in allowed {
        let own: Vec<_> = files.iter().filter(|file| file.room() == room).collect();
        if own.is_empty() {
            found.push(format!("there is no room {room}"));
            continue;
        }
        let library = if room == "main" { "vm_balancer::" } else { "crate::" };
        let named: BTreeSet<_> =
            own.iter().flat_map(|file| named_rooms(&code(&file.text), library)).collect();
        found.extend(may.difference(&named).map(|name| format!("{room} never names {name}")));
    }
    found
}

/// The rooms of the table that says what each is for: its rows are ``| `room` | purpose |``.
fn described_rooms(text: &str) -> Vec<String> {
    let rooms = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    rooms.map(|(room, _)| room.to_owned()).collect()
}

/// The files and folders between backticks that are neither in `src` nor in the repository itself.
fn missing_files(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let paths = quoted.filter(|word| word.ends_with(".rs") || word.ends_with(".ftl") || word.ends_with('/'));
    let paths = paths.filter(|path| !path.starts_with('.') && *path != "/");
    let missing = paths.filter(|path| !root().join("src").join(path).exists() && !root().join(path).exists());
    missing.map(|path| format!("there is no {path}")).collect()
}

/// The rooms that a text names: what follows each `crate::`, or stands at the top of the braces behind it.
/// Names that begin with a capital are the crate's own public names, not rooms.
fn named_rooms(text: &str, library: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (at, _) in text.match_indices(library) {
        let behind = &text[at + library.len()..];
        match behind.strip_prefix('{') {
            Some(list) => named.extend(list_items(list).into_iter().filter_map(first_word)),
            None => named.extend(first_word(behind)),
        }
    }
    named
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    word.starts_with(|c: char| c.is_ascii_lowercase()).then_some(word)
}

/// Finds files of a room that name each other in a circle. A file that takes a re-export from a `mod.rs` above it names
/// that `mod.rs`, which names all files of its folder.
fn circles(files: &[File], room: &str) -> Vec<String> {
    let module = |file: &File| -> Option<Vec<String>> {
        let inside = file.path.strip_prefix("src/")?.strip_suffix(".rs")?.trim_end_matches("/mod");
        let path: Vec<_> = inside.split('/').map(str::to_owned).collect();
        (path[0] == room).then_some(path)
    };
    let known: BTreeMap<_, _> = files.iter().filter_map(|file| Some((module(file)?, file))).collect();
    let mut names: BTreeMap<_, BTreeSet<Vec<String>>> = BTreeMap::new();
    for (path, file) in &known {
        let used = named_paths(&code(&file.text), path);
        let nearest = |used: Vec<String>| {
            (1..=used.len()).rev().map(|end| used[..end].to_vec()).find(|start| known.contains_key(start))
        };
        let below = known.keys().filter(|other| other.split_last().is_some_and(|(_, parent)| parent == path));
        let all = used.into_iter().filter_map(nearest).chain(below.cloned());
        names.insert(path.clone(), all.filter(|other| other != path).collect());
    }
    while let Some(free) = names.iter().find(|(_, used)| used.is_empty()).map(|(path, _)| path.clone()) {
        names.remove(&free);
        for used in names.values_mut() {
            used.remove(&free);
        }
    }
    let circle: Vec<_> = names.keys().map(|path| path.join("::")).collect();
    if circle.is_empty() { Vec::new() } else { vec![format!("a circle among {}", circle.join(", "))] }
}

/// The paths of the crate that a file names, each from the room on.
fn named_paths(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = Vec::new();
    for start in ["super::", "crate::"] {
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == ':' || c == '_') {
                continue;
            }
            let base = if start == "super::" { &module[..module.len() - 1] } else { &[] };
            found.extend(tree_paths(&code[at + start.len()..], base));
        }
    }
    found
}

/// Every path of a tree of names, as `use` has it, below a base.
fn tree_paths(tree: &str, base: &[String]) -> Vec<Vec<String>> {
    if let Some(list) = tree.strip_prefix('{') {
        return list_items(list).into_iter().flat_map(|item| tree_paths(item, base)).collect();
    }
    let name: String = tree.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let (parent, rest) = (base.split_last().map_or(&[][..], |(_, parent)| parent), &tree[name.len()..]);
    let path = match name.as_str() {
        "super" => parent.to_vec(),
        "" | "self" => base.to_vec(),
        name => base.iter().cloned().chain([name.to_owned()]).collect(),
    };
    rest.strip_prefix("::").map_or(vec![path.clone()], |rest| tree_paths(rest, &path))
}

/// The items of a list up to its closing brace.
fn list_items(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                items.push(list[start..at].trim());
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    items.retain(|item| !item.is_empty());
    items
}

/// Returns the code without comments, which may name anything.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// rustfmt puts a function's closing brace in the column of its beginning, so no parser is needed.
fn long_functions(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let lines: Vec<_> = file.text.lines().collect();
        for (start, line) in lines.iter().enumerate().filter(|(_, line)| begins_function(line)) {
            let indent = line.len() - line.trim_start().len();
            let close = format!("{}}}", " ".repeat(indent));
            let length = lines[start..].iter().position(|line| *line == close).map_or(1, |end| end + 1);
            if length > FUNCTION_LINES_MAX {
                found.push(format!("{}:{}: a function of {length} lines", file.path, start + 1));
            }
        }
    }
    found
}

/// What pure rooms must not name: the runtime, the network, the disk, the clock.
fn impure(files: &[File]) -> Vec<String> {
    let pure = ["model", "planner", "picture", "talk"];
    let is_foreign = |word: &str| matches!(word, "tokio" | "teloxide" | "reqwest" | "fs" | "clock");
    let mut found = Vec::new();
    for file in files.iter().filter(|file| pure.contains(&file.room())) {
        let code = code(&file.text);
        let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        let foreign = words.filter(|word| is_foreign(word)).map(str::to_owned);
        let clocks = ["Utc::now()", "Local::now()", "Instant::now()", "SystemTime::now()"];
        let clocks = clocks.into_iter().filter(|clock| code.contains(clock)).map(str::to_owned);
        found.extend(foreign.chain(clocks).take(1).map(|word| format!("{}: {word}", file.path)));
    }
    found
}

fn begins_function(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let marks = ["pub", "async", "const", "unsafe", "extern"];
    let first = words.find(|word| !marks.contains(word) && !word.starts_with("pub("));
    let is_one_line = line.ends_with(';') || (line.contains('{') && line.ends_with('}'));
    first == Some("fn") && !is_one_line
}

fn unfinished(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            for (head, tail) in UNFINISHED {
                if line.contains(&format!("{head}{tail}")) {
                    found.push(format!("{}:{}: {head}{tail}", file.path, number + 1));
                }
            }
        }
    }
    found
}

/// The promises of a page: each heading of the third level, with what stands below it.
fn promises(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut promises: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut is_open = false;
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            promises.push((heading, Vec::new()));
            is_open = true;
        } else if line.starts_with('#') {
            is_open = false;
        } else if let Some((_, lines)) = promises.last_mut().filter(|_| is_open) {
            lines.push(line);
        }
    }
    promises
}

/// Texts that nothing uses, and uses of texts that do not exist. The `help-` texts belong to commands by their name.
fn odd_texts(texts: &str, files: &[File]) -> Vec<String> {
    let keys = texts.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    let known: BTreeSet<_> = keys.filter_map(|line| Some(line.split_once(" =")?.0.to_owned())).collect();
    let is_code = |file: &&File| !file.path.ends_with("/tests.rs") && !file.path.ends_with("/samples.rs");
    let used: BTreeSet<_> = files.iter().filter(is_code).flat_map(|file| keys_in(&file.text)).collect();
    let missing = used.difference(&known).map(|key| format!("no text for {key}"));
    let silent = known.difference(&used).filter(|key| !key.starts_with("help-"));
    missing.chain(silent.map(|key| format!("nothing uses {key}"))).collect()
}

/// Keys stand behind `say(`, or are words with hyphens between quotes.
fn keys_in(source: &str) -> Vec<String> {
    let code = code(source.split("#[cfg(test)]").next().unwrap_or_default()).replace("\\\"", "");
    let direct = code.split("say(").skip(1).filter_map(|behind| behind.trim_start().strip_prefix('"'));
    let direct = direct.filter_map(|behind| behind.split('"').next());
    let handed = code.split('"').skip(1).step_by(2).filter(|text| text.contains('-') && text.len() > 3);
    direct
        .chain(handed)
        .filter(|text| text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'))
        .filter(|text| !text.starts_with('-') && !text.ends_with('-'))
        .map(str::to_owned)
        .collect()
}

/// Promises without words or tests, and tests that do not exist. Tests stand in a list, each named by its file or
/// room and its function; those of `tests/it` may stand anywhere.
fn unproven(text: &str, files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    let mut tests: BTreeSet<&str> = text.split('`').filter(|word| word.starts_with("it::")).collect();
    for (promise, lines) in promises(text) {
        let listed: Vec<_> =
            lines.iter().filter_map(|line| line.strip_prefix("* `")?.strip_suffix('`')).collect();
        if listed.is_empty() {
            found.push(format!("no test shows that: {promise}"));
        }
        if !lines.iter().any(|line| line.ends_with('.')) {
            found.push(format!("not a word about: {promise}"));
        }
        tests.extend(listed);
    }
    // How tests of `tests/it` are named is explained with this one.
    tests.remove("it::…");
    let missing = tests.into_iter().filter(|test| !exists(test, files));
    found.extend(missing.map(|test| format!("there is no test {test}")));
    found
}

fn exists(test: &str, files: &[File]) -> bool {
    let Some((place, name)) = test.rsplit_once("::") else { return false };
    let place = place.rsplit("::").next().unwrap_or_default();
    let is_here = |file: &&File| {
        let path = file.path.trim_end_matches(".rs");
        path.ends_with(&format!("/{place}")) || path.ends_with(&format!("/{place}/tests"))
    };
    files.iter().filter(is_here).any(|file| {
        let lines: Vec<_> = file.text.lines().map(str::trim_start).collect();
        let is_it = |line: &str| line.trim_start_matches("async ").starts_with(&format!("fn {name}("));
        let is_test = |line: &str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let marks = |at: usize| lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
        (0..lines.len()).any(|at| is_it(lines[at]) && marks(at).any(|line| is_test(line)))
    })
}

fn wordless(files: &[File]) -> Vec<String> {
    let silent = |file: &&File| !file.text.starts_with("//! ");
    files.iter().filter(silent).map(|file| format!("{}: does not begin with `//!`", file.path)).collect()
}

fn allowed_lints(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            let line = line.trim_start();
            let allows = line.starts_with("#[allow(") || line.starts_with("#![allow(");
            let no_reason = line.starts_with("#[expect(") && line.ends_with(")]") && !line.contains("reason");
            if allows || no_reason {
                found.push(format!("{}:{}: {line}", file.path, number + 1));
            }
        }
    }
    found
}

fn rust_files(folders: &[&str]) -> Vec<File> {
    let mut files = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(root()).unwrap().display().to_string();
                files.push(File { text: fs::read_to_string(&path).unwrap(), path: inside });
            }
        }
    }
    assert!(files.len() > 3, "files are found");
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn expect_none(found: Vec<String>) {
    assert!(found.is_empty(), "{}", found.join("\n"));
}
