//! Telegram's HTML mode: turns text with tags into plain text with entities, and back.
//!
//! As strict as Telegram's own parser, and with its error texts. Offsets are in UTF-16 units, as in the Bot API.

use serde::Serialize;

use super::found::found;

/// Text with the entities that format it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Formatted {
    /// What a person reads.
    pub text: String,
    /// Sorted by offset, the longer first; they nest and never cross.
    pub entities: Vec<Entity>,
}

/// A formatted part of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entity {
    /// What it looks like.
    #[serde(flatten)]
    pub kind: EntityKind,
    /// Where it starts, in UTF-16 units.
    pub offset: usize,
    /// How long it is, in UTF-16 units.
    pub length: usize,
}

/// How a part of a text looks; serialized as the Bot API's `MessageEntity`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EntityKind {
    Bold,
    Italic,
    Underline,
    Strikethrough,
    Spoiler,
    Blockquote,
    ExpandableBlockquote,
    Code,
    Pre {
        #[serde(skip_serializing_if = "Option::is_none")]
        language: Option<String>,
    },
    TextLink {
        url: String,
    },
    CustomEmoji {
        custom_emoji_id: String,
    },
    // Detected in the text, not written as a tag.
    BotCommand,
    Mention,
    Hashtag,
    Url,
    Email,
}

/// Why Telegram would refuse the text; Telegram puts `can't parse entities: ` before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HtmlError(String);

impl Formatted {
    /// Takes the text without tags; only entities that Telegram detects are formatted.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        Self { text: text.to_owned(), entities: Vec::new() }.finished()
    }

    /// Parses HTML as Telegram does, and trims the text as Telegram does.
    ///
    /// # Errors
    /// Where Telegram would refuse the text.
    pub fn html(html: &str) -> Result<Self, HtmlError> {
        let mut parser = Parser { html: html.as_bytes(), ..Parser::default() };
        parser.run(html)?;
        let text = Self { text: parser.text, entities: parser.entities };
        Ok(text.finished())
    }

    /// Returns the length of the text in UTF-16 units, as Telegram's limits count.
    #[must_use]
    pub fn units(&self) -> usize {
        self.text.encode_utf16().count()
    }

    /// Writes the text with its tags. Parsing the result gives the same value.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut html = String::new();
        let mut open: Vec<&Entity> = Vec::new();
        let mut next = self.entities.iter().filter(|entity| !entity.kind.is_found()).peekable();
        let mut at = 0;
        for letter in self.text.chars() {
            close_ended(&mut html, &mut open, at);
            while let Some(entity) = next.next_if(|entity| entity.offset <= at) {
                html.push_str(&entity.kind.start_tag());
                open.push(entity);
            }
            push_escaped(&mut html, letter);
            at += letter.len_utf16();
        }
        close_ended(&mut html, &mut open, at);
        html
    }

    fn finished(self) -> Self {
        let mut text = self.trimmed();
        text.find_more();
        text.entities.sort_by_key(|entity| (entity.offset, std::cmp::Reverse(entity.length)));
        text
    }

    fn trimmed(self) -> Self {
        let kept = self.text.trim_start();
        let cut = self.text[..self.text.len() - kept.len()].encode_utf16().count();
        let text = kept.trim_end().to_owned();
        let end = text.encode_utf16().count();
        let entities = self.entities.into_iter().filter_map(|entity| entity.moved(cut, end)).collect();
        Self { text, entities }
    }

    /// Adds the entities that Telegram detects by itself, except in code and in links.
    fn find_more(&mut self) {
        let mut more = found(&self.text);
        more.retain(|found| self.entities.iter().all(|written| written.allows(found)));
        self.entities.extend(more);
    }
}

impl Entity {
    fn moved(mut self, cut: usize, end: usize) -> Option<Self> {
        let stop = (self.offset + self.length).saturating_sub(cut).min(end);
        self.offset = self.offset.saturating_sub(cut);
        self.length = stop.checked_sub(self.offset).filter(|length| *length > 0)?;
        Some(self)
    }

    fn end(&self) -> usize {
        self.offset + self.length
    }

    /// Returns whether this entity lies apart from the other or around it, so that both can be kept.
    fn allows(&self, other: &Self) -> bool {
        let is_apart = other.end() <= self.offset || self.end() <= other.offset;
        let is_around = self.offset <= other.offset && other.end() <= self.end();
        is_apart || is_around && !self.kind.is_verbatim()
    }
}

impl EntityKind {
    /// Returns whether Telegram detects this kind by itself.
    fn is_found(&self) -> bool {
        matches!(self, Self::BotCommand | Self::Mention | Self::Hashtag | Self::Url | Self::Email)
    }

    fn is_verbatim(&self) -> bool {
        matches!(self, Self::Code | Self::Pre { .. } | Self::TextLink { .. })
    }

    fn start_tag(&self) -> String {
        match self {
            Self::Bold => "<b>".into(),
            Self::Italic => "<i>".into(),
            Self::Underline => "<u>".into(),
            Self::Strikethrough => "<s>".into(),
            Self::Spoiler => "<tg-spoiler>".into(),
            Self::Blockquote => "<blockquote>".into(),
            Self::ExpandableBlockquote => "<blockquote expandable>".into(),
            Self::Code => "<code>".into(),
            Self::Pre { language: None } => "<pre>".into(),
            Self::Pre { language: Some(language) } => {
                format!("<pre><code class=\"language-{}\">", escaped(language))
            }
            Self::TextLink { url } => format!("<a href=\"{}\">", escaped(url)),
            Self::CustomEmoji { custom_emoji_id } => {
                format!("<tg-emoji emoji-id=\"{}\">", escaped(custom_emoji_id))
            }
            Self::BotCommand | Self::Mention | Self::Hashtag | Self::Url | Self::Email => String::new(),
        }
    }

    fn end_tag(&self) -> &'static str {
        match self {
            Self::Bold => "</b>",
            Self::Italic => "</i>",
            Self::Underline => "</u>",
            Self::Strikethrough => "</s>",
            Self::Spoiler => "</tg-spoiler>",
            Self::Blockquote | Self::ExpandableBlockquote => "</blockquote>",
            Self::Code => "</code>",
            Self::Pre { language: None } => "</pre>",
            Self::Pre { language: Some(_) } => "</code></pre>",
            Self::TextLink { .. } => "</a>",
            Self::CustomEmoji { .. } => "</tg-emoji>",
            Self::BotCommand | Self::Mention | Self::Hashtag | Self::Url | Self::Email => "",
        }
    }
}

fn close_ended(html: &mut String, open: &mut Vec<&Entity>, at: usize) {
    while let Some(entity) = open.pop_if(|entity| entity.end() <= at) {
        html.push_str(entity.kind.end_tag());
    }
}

fn escaped(text: &str) -> String {
    let mut html = String::new();
    text.chars().for_each(|letter| push_escaped(&mut html, letter));
    html
}

fn push_escaped(html: &mut String, letter: char) {
    match letter {
        '&' => html.push_str("&amp;"),
        '<' => html.push_str("&lt;"),
        '>' => html.push_str("&gt;"),
        '"' => html.push_str("&quot;"),
        letter => html.push(letter),
    }
}

/// The tags that Telegram knows.
const TAGS: [&str; 16] = [
    "a",
    "b",
    "strong",
    "i",
    "em",
    "s",
    "strike",
    "del",
    "u",
    "ins",
    "tg-spoiler",
    "tg-emoji",
    "span",
    "pre",
    "code",
    "blockquote",
];

#[derive(Default)]
struct Parser<'a> {
    html: &'a [u8],
    /// The position of the next byte.
    at: usize,
    text: String,
    /// Length of `text` in UTF-16 units.
    units: usize,
    open: Vec<OpenTag>,
    entities: Vec<Entity>,
}

struct OpenTag {
    name: String,
    argument: String,
    offset: usize,
    text_start: usize,
}

impl Parser<'_> {
    fn run(&mut self, html: &str) -> Result<(), HtmlError> {
        while let Some(letter) = html.get(self.at..).and_then(|rest| rest.chars().next()) {
            match letter {
                '<' if self.byte(1) == b'/' => self.end_tag(html)?,
                '<' => self.start_tag(html)?,
                '&' => {
                    let decoded = self.character_reference(html).unwrap_or_else(|| {
                        self.at += 1;
                        '&'
                    });
                    self.push(decoded);
                }
                letter => {
                    self.at += letter.len_utf8();
                    self.push(letter);
                }
            }
        }
        match self.open.last() {
            Some(tag) => refused(format!("Can't find end tag corresponding to start tag \"{}\"", tag.name)),
            None => Ok(()),
        }
    }

    /// Returns the byte at this distance ahead; 0 behind the end.
    fn byte(&self, ahead: usize) -> u8 {
        self.html.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn push(&mut self, letter: char) {
        self.units += letter.len_utf16();
        self.text.push(letter);
    }

    fn skip_spaces(&mut self) {
        while self.byte(0).is_ascii_whitespace() {
            self.at += 1;
        }
    }

    /// Moves to the first byte for which `stops` is true, or to the end, and returns the text before it.
    fn word<'h>(&mut self, html: &'h str, stops: impl Fn(u8) -> bool) -> &'h str {
        let start = self.at;
        while self.at < self.html.len() && !stops(self.byte(0)) {
            self.at += 1;
        }
        html.get(start..self.at).unwrap_or_default()
    }

    fn start_tag(&mut self, html: &str) -> Result<(), HtmlError> {
        let begin = self.at;
        self.at += 1;
        let name = self.word(html, |b| b.is_ascii_whitespace() || b == b'>').to_ascii_lowercase();
        if self.byte(0) == 0 {
            return refused(format!("Unclosed start tag at byte offset {begin}"));
        }
        if !TAGS.contains(&name.as_str()) {
            return refused(format!("Unsupported start tag \"{name}\" at byte offset {begin}"));
        }
        let mut argument = String::new();
        loop {
            self.skip_spaces();
            if self.byte(0) == b'>' {
                break;
            }
            let (attribute, value) = self.attribute(html, &name, begin)?;
            if let Some(value) = argument_of(&name, &attribute, &value) {
                argument = value;
            }
        }
        self.at += 1;
        if name == "span" && argument != "spoiler" {
            return refused(format!("Tag \"span\" must have class \"tg-spoiler\" at byte offset {begin}"));
        }
        self.open.push(OpenTag { name, argument, offset: self.units, text_start: self.text.len() });
        Ok(())
    }

    fn attribute(&mut self, html: &str, tag: &str, begin: usize) -> Result<(String, String), HtmlError> {
        let unclosed = || refused(format!("Unclosed start tag \"{tag}\" at byte offset {begin}"));
        let name = self.word(html, |b| b.is_ascii_whitespace() || b"=>/\"'".contains(&b)).to_owned();
        if name.is_empty() {
            return refused(format!("Empty attribute name in the tag \"{tag}\" at byte offset {begin}"));
        }
        self.skip_spaces();
        match self.byte(0) {
            0 => return unclosed(),
            b'=' => self.at += 1,
            _ => return Ok((name, String::new())),
        }
        self.skip_spaces();
        let value = match self.byte(0) {
            0 => return unclosed(),
            quote @ (b'"' | b'\'') => self.quoted_value(html, quote),
            _ => self.bare_value(html)?,
        };
        if self.byte(0) == 0 {
            return refused(format!("Unclosed start tag at byte offset {begin}"));
        }
        Ok((name, value))
    }

    fn bare_value(&mut self, html: &str) -> Result<String, HtmlError> {
        let start = self.at;
        let value = self.word(html, |b| !b.is_ascii_alphanumeric() && b != b'.' && b != b'-');
        if !self.byte(0).is_ascii_whitespace() && self.byte(0) != b'>' {
            return refused(format!("Unexpected end of name token at byte offset {start}"));
        }
        Ok(value.to_ascii_lowercase())
    }

    fn quoted_value(&mut self, html: &str, quote: u8) -> String {
        self.at += 1;
        let mut value = String::new();
        while let Some(letter) = html.get(self.at..).and_then(|rest| rest.chars().next()) {
            if letter == char::from(quote) {
                self.at += 1;
                break;
            }
            match (letter == '&').then(|| self.character_reference(html)).flatten() {
                Some(decoded) => value.push(decoded),
                None => {
                    value.push(letter);
                    self.at += letter.len_utf8();
                }
            }
        }
        value
    }

    fn end_tag(&mut self, html: &str) -> Result<(), HtmlError> {
        let begin = self.at;
        let Some(tag) = self.open.pop() else {
            return refused(format!("Unexpected end tag at byte offset {begin}"));
        };
        self.at += 2;
        let name = self.word(html, |b| b.is_ascii_whitespace() || b == b'>').to_ascii_lowercase();
        self.skip_spaces();
        if self.byte(0) != b'>' {
            return refused(format!("Unclosed end tag at byte offset {begin}"));
        }
        self.at += 1;
        if !name.is_empty() && name != tag.name {
            return refused(format!(
                "Unmatched end tag at byte offset {begin}, expected \"</{}>\", found \"</{name}>\"",
                tag.name
            ));
        }
        self.close(tag);
        Ok(())
    }

    fn close(&mut self, tag: OpenTag) {
        let length = self.units - tag.offset;
        let text = self.text.get(tag.text_start..).unwrap_or_default().to_owned();
        let Some(kind) = kind_of(&tag, &text) else { return };
        if length == 0 || self.is_dropped(&kind) {
            return;
        }
        if let EntityKind::Code = kind
            && self.names_language_of_pre(&tag)
        {
            return;
        }
        let inside = |entity: &Entity| entity.offset >= tag.offset;
        match kind {
            // Nothing can be formatted inside code, so Telegram drops such entities.
            EntityKind::Code | EntityKind::Pre { .. } => self.entities.retain(|entity| !inside(entity)),
            EntityKind::Blockquote | EntityKind::ExpandableBlockquote => {
                self.entities.retain(|entity| !(inside(entity) && is_quote(&entity.kind)));
            }
            _ => {}
        }
        self.entities.push(Entity { kind, offset: tag.offset, length });
    }

    /// `<pre><code class="language-x">` is one block of code in language x.
    fn names_language_of_pre(&mut self, code: &OpenTag) -> bool {
        match self.open.last_mut() {
            Some(pre) if pre.name == "pre" && !code.argument.is_empty() && pre.offset == code.offset => {
                pre.argument.clone_from(&code.argument);
                true
            }
            _ => false,
        }
    }

    fn is_dropped(&self, kind: &EntityKind) -> bool {
        // A code element inside a block of code is kept, because it may name the language.
        let in_code = self.open.iter().any(|tag| tag.name == "code" || tag.name == "pre");
        in_code && !matches!(kind, EntityKind::Code)
    }

    /// Reads `&lt;`, `&#60;` or `&#x3c;`. Telegram leaves everything else unchanged.
    fn character_reference(&mut self, html: &str) -> Option<char> {
        let rest = html.get(self.at + 1..)?;
        let (letter, length) = match rest.strip_prefix('#') {
            Some(number) => {
                let (letter, length) = numeric_reference(number)?;
                (letter, length + 1)
            }
            None => {
                let name: &str = &rest[..rest.bytes().take_while(u8::is_ascii_alphabetic).count()];
                let letter = match name {
                    "lt" => '<',
                    "gt" => '>',
                    "amp" => '&',
                    "quot" => '"',
                    _ => return None,
                };
                (letter, name.len())
            }
        };
        self.at += 1 + length;
        if self.byte(0) == b';' {
            self.at += 1;
        }
        Some(letter)
    }
}

/// Returns the character with the number that the digits give, and the count of digits.
fn numeric_reference(number: &str) -> Option<(char, usize)> {
    let (digits, radix, prefix) = match number.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16, 1),
        None => (number, 10, 0),
    };
    let length = digits.chars().take_while(|c| c.is_digit(radix)).count();
    let code = u32::from_str_radix(&digits[..length], radix).ok()?;
    let letter = char::from_u32(code).filter(|letter| *letter != '\0')?;
    Some((letter, prefix + length))
}

fn argument_of(tag: &str, attribute: &str, value: &str) -> Option<String> {
    match (tag, attribute) {
        ("a", "href") | ("tg-emoji", "emoji-id") => Some(value.to_owned()),
        ("code", "class") => value.strip_prefix("language-").map(str::to_owned),
        ("span", "class") => value.strip_prefix("tg-").map(str::to_owned),
        ("blockquote", "expandable") => Some("expandable".to_owned()),
        _ => None,
    }
}

fn kind_of(tag: &OpenTag, text: &str) -> Option<EntityKind> {
    Some(match tag.name.as_str() {
        "b" | "strong" => EntityKind::Bold,
        "i" | "em" => EntityKind::Italic,
        "u" | "ins" => EntityKind::Underline,
        "s" | "strike" | "del" => EntityKind::Strikethrough,
        "tg-spoiler" | "span" => EntityKind::Spoiler,
        "blockquote" if tag.argument.is_empty() => EntityKind::Blockquote,
        "blockquote" => EntityKind::ExpandableBlockquote,
        "code" => EntityKind::Code,
        "pre" => {
            EntityKind::Pre { language: Some(tag.argument.clone()).filter(|language| !language.is_empty()) }
        }
        "a" => {
            EntityKind::TextLink { url: link(if tag.argument.is_empty() { text } else { &tag.argument })? }
        }
        "tg-emoji" => EntityKind::CustomEmoji { custom_emoji_id: tag.argument.clone() },
        _ => return None,
    })
}

/// Returns the address of a link. Telegram drops an invalid link and keeps its text.
fn link(address: &str) -> Option<String> {
    let known = ["http://", "https://", "tg://", "mailto:", "tel:", "ton://"];
    if known.iter().any(|scheme| address.to_ascii_lowercase().starts_with(scheme)) {
        return Some(address.to_owned());
    }
    let is_host = address.contains('.') && !address.contains([' ', ':']);
    is_host.then(|| format!("http://{address}"))
}

fn is_quote(kind: &EntityKind) -> bool {
    matches!(kind, EntityKind::Blockquote | EntityKind::ExpandableBlockquote)
}

fn refused<T>(words: String) -> Result<T, HtmlError> {
    Err(HtmlError(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_become_entities_counted_in_utf16_units() {
        let text =
            Formatted::html("😀 <b>bold <i>both</i></b> &lt;x&gt; &amp; <code>a&#60;b</code>").unwrap();
        assert_eq!(text.text, "😀 bold both <x> & a<b");
        assert_eq!(
            text.entities,
            [
                entity(EntityKind::Bold, 3, 9),
                entity(EntityKind::Italic, 8, 4),
                entity(EntityKind::Code, 19, 3)
            ]
        );
    }

    #[test]
    fn what_was_parsed_can_be_written_again() {
        for html in [
            "<b>a &amp; <i>b</i></b> &lt;",
            "<pre><code class=\"language-rust\">let x = 1 &lt; 2;</code></pre>",
            "<a href=\"https://example.org/?a=1&amp;b=2\">link</a><tg-spoiler>s</tg-spoiler>",
            "<blockquote expandable>long\n<u>x</u></blockquote> <s>y</s>",
        ] {
            assert_eq!(Formatted::html(html).unwrap().to_html(), html);
        }
    }

    #[test]
    fn refusals_have_telegrams_words() {
        assert_eq!(words("a <b>b"), "Can't find end tag corresponding to start tag \"b\"");
        assert_eq!(words("<div>x</div>"), "Unsupported start tag \"div\" at byte offset 0");
        assert_eq!(
            words("<b><i>x</b></i>"),
            "Unmatched end tag at byte offset 7, expected \"</i>\", found \"</b>\""
        );
        assert_eq!(words("1 < 2"), "Unsupported start tag \"\" at byte offset 2".to_owned());
        assert_eq!(words("1 <2"), "Unclosed start tag at byte offset 2");
        assert_eq!(words("x</b>"), "Unexpected end tag at byte offset 1");
        assert_eq!(
            words("<span class=\"red\">x</span>"),
            "Tag \"span\" must have class \"tg-spoiler\" at byte offset 0"
        );
        assert_eq!(words("<a href=x@y>z</a>"), "Unexpected end of name token at byte offset 8");
    }

    #[test]
    fn nothing_is_formatted_inside_code() {
        let text = Formatted::html("<code>a <b>b</b></code><pre>c <i>d</i></pre>").unwrap();
        let kinds: Vec<_> = text.entities.iter().map(|entity| &entity.kind).collect();
        assert_eq!(kinds, [&EntityKind::Code, &EntityKind::Pre { language: None }]);
    }

    #[test]
    fn blank_space_around_is_trimmed_with_its_entities() {
        let text = Formatted::html("\n <b> a</b> \n").unwrap();
        assert_eq!((text.text.as_str(), text.entities), ("a", vec![entity(EntityKind::Bold, 0, 1)]));
    }

    #[test]
    fn what_is_found_lies_in_tags_but_never_in_code_or_links() {
        let html = "<b>see /status</b> <code>/help</code> <a href=\"https://example.org\">@anna_admin</a> #no<b>w</b>";
        let text = Formatted::html(html).unwrap();
        let kinds: Vec<_> = text.entities.iter().map(|entity| entity.kind.clone()).collect();
        let link = EntityKind::TextLink { url: "https://example.org".into() };
        assert_eq!(
            kinds,
            [EntityKind::Bold, EntityKind::BotCommand, EntityKind::Code, link, EntityKind::Bold]
        );
        assert_eq!(text.to_html(), html);
    }

    fn entity(kind: EntityKind, offset: usize, length: usize) -> Entity {
        Entity { kind, offset, length }
    }

    fn words(html: &str) -> String {
        Formatted::html(html).unwrap_err().to_string()
    }
}
