//! What Telegram detects in plain text: commands, mentions, hashtags, links, addresses.
//!
//! By the rules of TDLib's `MessageEntity.cpp`, which the clients and the Bot API share. Phone numbers, card
//! numbers and cashtags are not simulated, because no text here has them.

use super::html::{Entity, EntityKind};

/// An address without `https://` is a link only under a top-level domain. Telegram knows all; these are the common
/// ones, and those that are also file extensions, such as `README.md`.
const TOP_LEVEL: [&str; 34] = [
    "app", "at", "biz", "by", "ch", "cloud", "com", "cz", "de", "dev", "eu", "fr", "info", "io", "kz", "md",
    "me", "net", "nl", "online", "org", "pl", "py", "rs", "ru", "sh", "site", "su", "tech", "ua", "uk", "us",
    "xyz", "рф",
];
const PROTOCOLS: [&str; 3] = ["https://", "http://", "ftp://"];
/// Characters that do not end a link, because they belong to the sentence.
const NOT_AT_THE_END: [char; 10] = ['.', ':', ';', ',', '(', '\'', '?', '!', '`', '"'];
/// Shorter names exist only for Telegram's own inline bots.
const MENTION_LETTERS_MIN: usize = 4;
const MENTION_LETTERS_MAX: usize = 32;
const SHORT_MENTIONS: [&str; 3] = ["gif", "pic", "vid"];
const HASHTAG_LETTERS_MAX: usize = 256;

/// Returns the entities in the text in their order, without overlaps. Offsets are in UTF-16 units.
pub(super) fn found(text: &str) -> Vec<Entity> {
    let mut entities = Vec::new();
    let (mut rest, mut offset, mut before) = (text, 0, None);
    while let Some(letter) = rest.chars().next() {
        let match_here = match letter {
            '/' => command(before, rest).map(|bytes| (EntityKind::BotCommand, bytes)),
            '@' => mention(before, rest).map(|bytes| (EntityKind::Mention, bytes)),
            '#' => hashtag(before, rest).map(|bytes| (EntityKind::Hashtag, bytes)),
            _ => address(before, rest),
        };
        let bytes = match_here.as_ref().map_or(letter.len_utf8(), |(_, bytes)| *bytes);
        let (passed, behind) = rest.split_at(bytes);
        let length = passed.encode_utf16().count();
        entities.extend(match_here.map(|(kind, _)| Entity { kind, offset, length }));
        (rest, offset, before) = (behind, offset + length, passed.chars().next_back());
    }
    entities
}

/// Finds `/name@bot`, unless it is part of a path such as `/a/path`.
fn command(before: Option<char>, rest: &str) -> Option<usize> {
    let is_part = |letter: char| is_word(letter) || matches!(letter, '/' | '<' | '>');
    let name = 1 + prefix(&rest[1..], |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '@'));
    let goes_on = rest[name..].chars().next().is_some_and(is_part);
    (name > 1 && !goes_on && !before.is_some_and(is_part)).then_some(name)
}

fn mention(before: Option<char>, rest: &str) -> Option<usize> {
    let letters = prefix(&rest[1..], |c| c.is_ascii_alphanumeric() || c == '_');
    let name = rest.get(1..=letters)?;
    let is_name = (MENTION_LETTERS_MIN..=MENTION_LETTERS_MAX).contains(&letters)
        || SHORT_MENTIONS.contains(&name.to_ascii_lowercase().as_str());
    let stands_alone =
        !before.is_some_and(is_word) && !rest[1 + letters..].chars().next().is_some_and(is_word);
    (is_name && stands_alone).then_some(1 + letters)
}

fn hashtag(before: Option<char>, rest: &str) -> Option<usize> {
    let bytes = 1 + prefix(&rest[1..], is_word);
    let name = &rest[1..bytes];
    let is_tag = name.chars().any(char::is_alphabetic) && name.chars().count() <= HASHTAG_LETTERS_MAX;
    let stands_alone = !before.is_some_and(is_word) && !rest[bytes..].starts_with('#');
    (is_tag && stands_alone).then_some(bytes)
}

/// Finds a link or an e-mail address where a word begins.
fn address(before: Option<char>, rest: &str) -> Option<(EntityKind, usize)> {
    let in_word = |letter: char| is_word(letter) || matches!(letter, '.' | '-' | '@' | '/' | ':' | '+');
    if before.is_some_and(in_word) {
        return None;
    }
    email(rest)
        .map(|bytes| (EntityKind::Email, bytes))
        .or_else(|| link(rest).map(|bytes| (EntityKind::Url, bytes)))
}

fn email(rest: &str) -> Option<usize> {
    let name = prefix(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+'));
    let host = rest[name..].strip_prefix('@').map(host)?;
    let ends_in_letters = host.rsplit('.').next()?.chars().all(|c| c.is_ascii_alphabetic());
    (name > 0 && ends_in_letters && is_host(host, AnyEnding)).then(|| name + 1 + host.len())
}

fn link(rest: &str) -> Option<usize> {
    let has = |protocol: &&&str| rest.get(..protocol.len()).is_some_and(|r| r.eq_ignore_ascii_case(protocol));
    let protocol = PROTOCOLS.iter().find(has).map_or(0, |protocol| protocol.len());
    let host = host(&rest[protocol..]);
    if !is_host(host, if protocol > 0 { AnyEnding } else { KnownEnding }) {
        return None;
    }
    let mut end = protocol + host.len();
    end += port(&rest[end..]);
    Some(end + path(&rest[end..]))
}

fn host(rest: &str) -> &str {
    let host = &rest[..prefix(rest, |c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'))];
    host.trim_end_matches(['.', '-', '_'])
}

use Endings::{AnyEnding, KnownEnding};

/// Returns whether a text may be the top-level domain of a host.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Endings {
    AnyEnding,
    KnownEnding,
}

fn is_host(host: &str, endings: Endings) -> bool {
    let parts: Vec<&str> = host.split('.').collect();
    let Some((last, names)) = parts.split_last().filter(|(_, names)| !names.is_empty()) else { return false };
    if parts.iter().any(|part| part.is_empty() || part.len() > 63 || part.ends_with('-')) {
        return false;
    }
    if parts.len() == 4 && host.parse::<std::net::Ipv4Addr>().is_ok() {
        return true;
    }
    let is_ending = match endings {
        AnyEnding => last.chars().count() > 1 && !last.contains(['-', '_']),
        KnownEnding => TOP_LEVEL.contains(&last.to_lowercase().as_str()),
    };
    let has_letter = host.chars().any(|c| !c.is_ascii_digit() && c != '.');
    is_ending && has_letter && names.last().is_some_and(|name| !name.contains('_'))
}

fn port(rest: &str) -> usize {
    let digits = rest.strip_prefix(':').map_or(0, |rest| prefix(rest, |c| c.is_ascii_digit()));
    if (1..=5).contains(&digits) { 1 + digits } else { 0 }
}

/// Returns the length of the link's path, without a punctuation mark behind it or a bracket around it.
fn path(rest: &str) -> usize {
    if !rest.starts_with(['/', '?', '#']) {
        return 0;
    }
    let is_outside = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '«' | '»');
    let mut path = &rest[..prefix(rest, |c| !is_outside(c))];
    for (open, close) in [('(', ')'), ('[', ']'), ('{', '}')] {
        path = &path[..closed_too_often(path, open, close).unwrap_or(path.len())];
    }
    path.trim_end_matches(NOT_AT_THE_END).len()
}

fn closed_too_often(path: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0;
    path.char_indices().find_map(|(at, letter)| {
        depth += i32::from(letter == open) - i32::from(letter == close);
        (depth < 0).then_some(at)
    })
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Returns the length in bytes of the matching letters at the start of the text.
fn prefix(text: &str, is_in: impl Fn(char) -> bool) -> usize {
    text.find(|letter| !is_in(letter)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_where_words_start() {
        assert_eq!(
            seen("try /status or 1/2 and /help@bot, not /vm/v3 or /пароль"),
            ["BotCommand /status", "BotCommand /help@bot"]
        );
    }

    #[test]
    fn people_are_found_by_names_that_can_be_theirs() {
        assert_eq!(
            seen("@anna_admin, (@oleg) @gif a@b.c @abc x@anna_admin @аня"),
            ["Mention @anna_admin", "Mention @oleg", "Mention @gif"]
        );
    }

    #[test]
    fn hashtags_have_a_letter_and_stand_alone() {
        assert_eq!(seen("#plan7 #ночь, #7 a#b #a#b"), ["Hashtag #plan7", "Hashtag #ночь"]);
    }

    #[test]
    fn links_end_where_the_sentence_goes_on() {
        assert_eq!(
            seen("see https://vm.local:8443/a_(b)?c=1#d. Or (http://example.org/x), kvm-01.example.com!"),
            ["Url https://vm.local:8443/a_(b)?c=1#d", "Url http://example.org/x", "Url kvm-01.example.com"]
        );
    }

    #[test]
    fn what_has_no_known_ending_is_no_link() {
        assert_eq!(
            seen("kvm-01.msk 1.77 0.5 node.001 http://localhost a..com README.md 10.0.0.1 10.0.0.256"),
            ["Url README.md", "Url 10.0.0.1"]
        );
    }

    #[test]
    fn mail_addresses_are_not_taken_for_links_and_people() {
        assert_eq!(
            seen("ops@example.org or anna.a@mail.example.com."),
            ["Email ops@example.org", "Email anna.a@mail.example.com"]
        );
    }

    #[test]
    fn offsets_count_utf16_units() {
        let entities = found("😀 /status");
        assert_eq!((entities[0].offset, entities[0].length), (3, 7));
    }

    fn seen(text: &str) -> Vec<String> {
        let units: Vec<u16> = text.encode_utf16().collect();
        let part =
            |entity: &Entity| String::from_utf16_lossy(&units[entity.offset..entity.offset + entity.length]);
        found(text).iter().map(|entity| format!("{:?} {}", entity.kind, part(entity))).collect()
    }
}
