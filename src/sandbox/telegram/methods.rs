//! The Bot API's methods but `getUpdates`: parameters in, result or refusal out.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    cast::{ChatKind, Place, Role},
    html::Formatted,
    keyboard, menu,
    message::{Media, MediaKind, Service, SimMessage, merged},
    params::{Params, Upload, number},
    refusal::Refusal,
    state::{Change, Chat, Draft, State},
};

/// Telegram's limit of a message's text, in UTF-16 units after parsing.
const TEXT_UNITS_MAX: usize = 4096;
/// Telegram's limit of a caption, in UTF-16 units after parsing.
const CAPTION_UNITS_MAX: usize = 1024;
/// Telegram's limit of the answer to a press, in letters.
const ANSWER_LETTERS_MAX: usize = 200;
/// Telegram's limit of an uploaded photo.
const PHOTO_BYTES_MAX: usize = 10 << 20;
/// Telegram's limit of width and height of a photo together, in pixels.
const PHOTO_SIDES_MAX: u32 = 10_000;
/// Telegram's limit of an uploaded document.
pub(super) const DOCUMENT_BYTES_MAX: usize = 50 << 20;

const ACTIONS: [&str; 11] = [
    "typing",
    "upload_photo",
    "record_video",
    "upload_video",
    "record_voice",
    "upload_voice",
    "upload_document",
    "choose_sticker",
    "find_location",
    "record_video_note",
    "upload_video_note",
];
/// Some of the reactions that bots may give; enough for these tests.
const REACTIONS: [&str; 20] = [
    "👍", "👎", "❤", "🔥", "🎉", "🤔", "😱", "👏", "😁", "🤯", "👀", "👌", "💯", "⚡", "🏆", "🤝", "✍", "🫡",
    "🙏", "😢",
];

pub(super) type Answer = Result<Value, Refusal>;

/// Carries out a method, named in lower case.
pub(super) fn call(state: &mut State, method: &str, params: &Params, now: DateTime<Utc>) -> Answer {
    match method {
        "getme" => Ok(me(state)),
        "logout" | "close" => Ok(json!(true)),
        "deletewebhook" => delete_webhook(state, params),
        "setwebhook" => set_webhook(state, params),
        "getwebhookinfo" => Ok(webhook_info(state)),
        "setmycommands" => menu::set(state, params),
        "getmycommands" => menu::get(state, params),
        "deletemycommands" => menu::delete(state, params),
        "sendmessage" => send_message(state, params, now),
        "sendphoto" => send_file(state, params, MediaKind::Photo, now),
        "senddocument" => send_file(state, params, MediaKind::Document, now),
        "sendchataction" => send_chat_action(state, params),
        "editmessagetext" => edit_text(state, params, now),
        "editmessagecaption" => edit_caption(state, params, now),
        "editmessagemedia" => edit_media(state, params, now),
        "editmessagereplymarkup" => edit_buttons(state, params, now),
        "deletemessage" => delete_message(state, params),
        "pinchatmessage" => pin(state, params, now),
        "unpinchatmessage" => unpin(state, params),
        "setmessagereaction" => react(state, params),
        "answercallbackquery" => answer_press(state, params, now),
        "getchat" => get_chat(state, params),
        "getchatmember" => get_chat_member(state, params),
        "getchatadministrators" => get_chat_administrators(state, params),
        "getfile" => get_file(state, params),
        _ => Err(Refusal::new(404, "Not Found: method not found")),
    }
}

fn me(state: &State) -> Value {
    merged(
        state.bot.to_api(),
        json!({
            "can_join_groups": true,
            "can_read_all_group_messages": state.faults.reads_all,
            "supports_inline_queries": false,
            "can_connect_to_business": false,
            "has_main_web_app": false,
        }),
    )
}

fn set_webhook(state: &mut State, params: &Params) -> Answer {
    state.webhook = params.text("url").filter(|url| !url.is_empty());
    Ok(json!(true))
}

fn delete_webhook(state: &mut State, params: &Params) -> Answer {
    state.webhook = None;
    if params.flag("drop_pending_updates") {
        state.updates.drop_pending();
    }
    Ok(json!(true))
}

fn webhook_info(state: &State) -> Value {
    json!({
        "url": state.webhook.clone().unwrap_or_default(),
        "has_custom_certificate": false,
        "pending_update_count": state.updates.pending(),
    })
}

fn send_message(state: &mut State, params: &Params, now: DateTime<Utc>) -> Answer {
    let chat = chat_id(state, params)?;
    state.chat(chat)?;
    let body = message_text(params)?;
    let draft = draft(state, params, chat, body)?;
    post(state, draft, now)
}

fn post(state: &mut State, draft: Draft, now: DateTime<Utc>) -> Answer {
    state.chat_for_post(draft.place.chat, now)?;
    let message = state.post(draft, now).ok_or_else(|| Refusal::bad_request("chat not found"))?;
    Ok(state.message_json(&message))
}

/// Reads what all sends have in common.
fn draft(state: &mut State, params: &Params, chat: i64, body: Formatted) -> Result<Draft, Refusal> {
    let buttons = keyboard::inline(params)?;
    let from = state.author(&state.bot, chat);
    let reply_to = reply_to(state.chat(chat)?, params)?;
    let thread = thread(state.chat(chat)?, params, reply_to)?;
    let mut draft = Draft::new(Place { chat, thread }, from, body);
    draft.reply_to = reply_to;
    draft.buttons = buttons;
    draft.silent = params.flag("disable_notification");
    Ok(draft)
}

fn message_text(params: &Params) -> Result<Formatted, Refusal> {
    let body = formatted(params, "text", params.text("parse_mode"))?;
    match body.units() {
        0 => Err(Refusal::bad_request("message text is empty")),
        units if units > TEXT_UNITS_MAX => Err(Refusal::bad_request("message is too long")),
        _ => Ok(body),
    }
}

fn caption(params: &Params) -> Result<Formatted, Refusal> {
    limited_caption(formatted(params, "caption", params.text("parse_mode"))?)
}

fn limited_caption(body: Formatted) -> Result<Formatted, Refusal> {
    if body.units() > CAPTION_UNITS_MAX {
        return Err(Refusal::bad_request("message caption is too long"));
    }
    Ok(body)
}

fn formatted(params: &Params, name: &str, parse_mode: Option<String>) -> Result<Formatted, Refusal> {
    let text = params.text(name).unwrap_or_default();
    parse(&text, parse_mode.as_deref())
}

/// HTML and plain text. The bot uses no other modes and no ready entities, so these are not simulated.
fn parse(text: &str, parse_mode: Option<&str>) -> Result<Formatted, Refusal> {
    match parse_mode.map(str::to_ascii_lowercase).as_deref() {
        None | Some("") => Ok(Formatted::plain(text)),
        Some("html") => {
            Formatted::html(text).map_err(|why| Refusal::bad_request(&format!("can't parse entities: {why}")))
        }
        Some(_) => Err(Refusal::bad_request("unsupported parse_mode")),
    }
}

fn chat_id(state: &State, params: &Params) -> Result<i64, Refusal> {
    let written = params.text("chat_id").filter(|id| !id.is_empty());
    let written = written.ok_or_else(|| Refusal::bad_request("chat_id is empty"))?;
    let by_name = |name: &str| {
        state.users.values().find(|user| user.username.as_deref() == Some(name)).map(|user| user.id)
    };
    match written.strip_prefix('@') {
        Some(name) => by_name(name),
        None => written.parse().ok(),
    }
    .ok_or_else(|| Refusal::bad_request("chat not found"))
}

fn thread(chat: &Chat, params: &Params, reply_to: Option<i64>) -> Result<Option<i64>, Refusal> {
    match params.number("message_thread_id") {
        Some(thread) if chat.topics.contains_key(&thread) => Ok(Some(thread)),
        Some(0) | None => {
            Ok(reply_to.and_then(|id| chat.messages.get(&id)).and_then(|original| original.thread))
        }
        Some(_) => Err(Refusal::bad_request("message thread not found")),
    }
}

fn reply_to(chat: &Chat, params: &Params) -> Result<Option<i64>, Refusal> {
    let (wanted, without) = match params.json("reply_parameters").transpose()? {
        Some(reply) => {
            let without = reply.get("allow_sending_without_reply").and_then(Value::as_bool);
            (reply.get("message_id").and_then(number), without.unwrap_or(false))
        }
        None => (params.number("reply_to_message_id"), params.flag("allow_sending_without_reply")),
    };
    let Some(wanted) = wanted else { return Ok(None) };
    match chat.messages.get(&wanted).filter(|original| !original.deleted) {
        Some(original) => Ok(Some(original.id)),
        None if without => Ok(None),
        None => Err(Refusal::bad_request("message to be replied not found")),
    }
}

fn send_file(state: &mut State, params: &Params, kind: MediaKind, now: DateTime<Utc>) -> Answer {
    let chat = chat_id(state, params)?;
    state.chat(chat)?;
    let body = caption(params)?;
    let media = match (params.file(kind.field()), params.text(kind.field())) {
        (Some(upload), _) => accept(state, upload.clone(), kind)?,
        (None, known) => known_file(state, known, kind)?,
    };
    let mut draft = draft(state, params, chat, body)?;
    draft.media = Some(media);
    post(state, draft, now)
}

fn known_file(state: &State, file_id: Option<String>, kind: MediaKind) -> Result<Media, Refusal> {
    let file_id = file_id.filter(|id| !id.is_empty());
    let file_id = file_id
        .ok_or_else(|| Refusal::bad_request(&format!("there is no {} in the request", kind.field())))?;
    let known = state.files.get(&file_id).filter(|media| media.kind == kind);
    known
        .cloned()
        .ok_or_else(|| Refusal::bad_request("wrong remote file identifier specified: Wrong string length"))
}

fn accept(state: &mut State, upload: Upload, kind: MediaKind) -> Result<Media, Refusal> {
    if upload.bytes.is_empty() {
        return Err(Refusal::bad_request("file must be non-empty"));
    }
    let max = if kind == MediaKind::Photo { PHOTO_BYTES_MAX } else { DOCUMENT_BYTES_MAX };
    if upload.bytes.len() > max {
        return Err(Refusal::new(413, "Request Entity Too Large"));
    }
    let size = match kind {
        MediaKind::Photo => Some(photo_size(&upload.bytes)?),
        MediaKind::Document => None,
    };
    let file_id = format!("SIM{}{:08}", kind.field(), state.files.len() + 1);
    let Upload { name: file_name, mime, bytes } = upload;
    let media = Media { kind, file_id, file_name, mime, size, bytes: Arc::from(bytes.as_ref()) };
    state.files.insert(media.file_id.clone(), media.clone());
    Ok(media)
}

/// Returns width and height of a PNG or JPEG picture, in pixels.
fn photo_size(bytes: &[u8]) -> Result<(u32, u32), Refusal> {
    let size = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") { png_size(bytes) } else { jpeg_size(bytes) };
    let (width, height) = size.ok_or_else(|| Refusal::bad_request("IMAGE_PROCESS_FAILED"))?;
    let (long, short) = (width.max(height), width.min(height));
    if width + height > PHOTO_SIDES_MAX || short == 0 || long / short > 20 {
        return Err(Refusal::bad_request("PHOTO_INVALID_DIMENSIONS"));
    }
    Ok((width, height))
}

fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    Some((number(16)?.min(1 << 20), number(20)?.min(1 << 20)))
}

fn jpeg_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let pair = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    if pair(0)? != 0xffd8 {
        return None;
    }
    let mut at = 2;
    loop {
        let marker = pair(at)?;
        if matches!(marker, 0xffc0..=0xffc2) {
            return Some((u32::from(pair(at + 7)?), u32::from(pair(at + 5)?)));
        }
        at += 2 + usize::from(pair(at + 2)?);
    }
}

fn send_chat_action(state: &mut State, params: &Params) -> Answer {
    let chat = chat_id(state, params)?;
    thread(state.chat(chat)?, params, None)?;
    let action = params.text("action").unwrap_or_default().to_ascii_lowercase();
    if !ACTIONS.contains(&action.as_str()) {
        return Err(Refusal::bad_request("wrong parameter action in request"));
    }
    state.changes.push(Change::Action { chat, action });
    Ok(json!(true))
}

/// Returns the bot's own message that an edit names.
fn editable<'s>(state: &'s mut State, params: &Params) -> Result<&'s mut SimMessage, Refusal> {
    let bot = state.bot.id;
    let chat = chat_id(state, params)?;
    let id = message_id(params)?;
    let messages = &mut state.chat(chat)?.messages;
    let message = messages.get_mut(&id).filter(|message| !message.deleted);
    let message = message.ok_or_else(|| Refusal::bad_request("message to edit not found"))?;
    if message.from.id != bot {
        return Err(Refusal::bad_request("message can't be edited"));
    }
    Ok(message)
}

fn message_id(params: &Params) -> Result<i64, Refusal> {
    params
        .number("message_id")
        .filter(|id| *id > 0)
        .ok_or_else(|| Refusal::bad_request("message identifier is not specified"))
}

/// Applies an edit; one that changes nothing is refused.
fn edit(
    state: &mut State,
    params: &Params,
    now: DateTime<Utc>,
    change: impl FnOnce(&mut SimMessage) -> Result<(), Refusal>,
) -> Answer {
    let message = editable(state, params)?;
    let mut edited = message.clone();
    edited.remember(now);
    change(&mut edited)?;
    if (&edited.body, &edited.buttons, &edited.media) == (&message.body, &message.buttons, &message.media) {
        return Err(Refusal::bad_request(
            "message is not modified: specified new message content and reply markup are exactly the same \
             as a current content and reply markup of the message",
        ));
    }
    state.chat_for_post(edited.chat, now)?;
    if let Some(message) = state.chat(edited.chat)?.messages.get_mut(&edited.id) {
        message.clone_from(&edited);
    }
    state.changed(&edited);
    Ok(state.message_json(&edited))
}

fn edit_text(state: &mut State, params: &Params, now: DateTime<Utc>) -> Answer {
    let (body, buttons) = (message_text(params)?, keyboard::inline(params)?);
    edit(state, params, now, |message| {
        if message.media.is_some() {
            return Err(Refusal::bad_request("there is no text in the message to edit"));
        }
        (message.body, message.buttons) = (body, buttons);
        Ok(())
    })
}

fn edit_caption(state: &mut State, params: &Params, now: DateTime<Utc>) -> Answer {
    let (body, buttons) = (caption(params)?, keyboard::inline(params)?);
    edit(state, params, now, |message| {
        if message.media.is_none() {
            return Err(Refusal::bad_request("there is no caption in the message to edit"));
        }
        (message.body, message.buttons) = (body, buttons);
        Ok(())
    })
}

fn edit_buttons(state: &mut State, params: &Params, now: DateTime<Utc>) -> Answer {
    let buttons = keyboard::inline(params)?;
    edit(state, params, now, |message| {
        message.buttons = buttons;
        Ok(())
    })
}

fn edit_media(state: &mut State, params: &Params, now: DateTime<Utc>) -> Answer {
    editable(state, params)?;
    let buttons = keyboard::inline(params)?;
    let wrong = || Refusal::bad_request("can't parse InputMedia");
    let input = params.json("media").transpose()?.ok_or_else(wrong)?;
    let text_of = |name: &str| input.get(name).and_then(Value::as_str);
    let kind = match text_of("type") {
        Some("photo") => MediaKind::Photo,
        Some("document") => MediaKind::Document,
        _ => return Err(wrong()),
    };
    let body = limited_caption(parse(text_of("caption").unwrap_or_default(), text_of("parse_mode"))?)?;
    let file = text_of("media").ok_or_else(wrong)?;
    let media = match params.attached(file) {
        Some(upload) => accept(state, upload.clone(), kind)?,
        None => known_file(state, Some(file.to_owned()), kind)?,
    };
    edit(state, params, now, |message| {
        (message.body, message.buttons, message.media) = (body, buttons, Some(media));
        Ok(())
    })
}

fn delete_message(state: &mut State, params: &Params) -> Answer {
    let bot = state.bot.id;
    let chat = chat_id(state, params)?;
    let id = params.number("message_id").unwrap_or_default();
    let place = state.chat(chat)?;
    let may_delete_others = place.bot_is_admin();
    let message = place.messages.get_mut(&id).filter(|message| !message.deleted);
    let message = message.ok_or_else(|| Refusal::bad_request("message to delete not found"))?;
    if message.from.id != bot && !may_delete_others {
        return Err(Refusal::bad_request("message can't be deleted"));
    }
    message.deleted = true;
    state.changes.push(Change::Deleted { chat, id });
    Ok(json!(true))
}

fn pin(state: &mut State, params: &Params, now: DateTime<Utc>) -> Answer {
    let (chat, id) = (chat_id(state, params)?, message_id(params)?);
    let pinned = pinnable(state.chat(chat)?)?.messages.get_mut(&id).filter(|message| !message.deleted);
    let pinned = pinned.ok_or_else(|| Refusal::bad_request("message to pin not found"))?;
    pinned.pinned = true;
    let pinned = pinned.clone();
    state.changed(&pinned);
    let from = state.author(&state.bot, chat);
    let mut draft = Draft::new(Place { chat, thread: pinned.thread }, from, Formatted::default());
    draft.service = Some(Service::Pinned(id));
    state.post(draft, now);
    Ok(json!(true))
}

fn unpin(state: &mut State, params: &Params) -> Answer {
    let chat = chat_id(state, params)?;
    let wanted = params.number("message_id");
    let messages = &mut pinnable(state.chat(chat)?)?.messages;
    let newest = messages.values_mut().rev().find(|message| {
        message.pinned && !message.deleted && wanted.is_none_or(|wanted| wanted == message.id)
    });
    let unpinned = newest.ok_or_else(|| Refusal::bad_request("message to unpin not found"))?;
    unpinned.pinned = false;
    let unpinned = unpinned.clone();
    state.changed(&unpinned);
    Ok(json!(true))
}

fn pinnable(chat: &mut Chat) -> Result<&mut Chat, Refusal> {
    if chat.bot_is_admin() {
        return Ok(chat);
    }
    Err(Refusal::bad_request("not enough rights to manage pinned messages in the chat"))
}

fn react(state: &mut State, params: &Params) -> Answer {
    let chat = chat_id(state, params)?;
    let id = params.number("message_id").unwrap_or_default();
    let reactions = match params.json("reaction").transpose()? {
        None => Vec::new(),
        Some(list) => emojis(&list).ok_or_else(|| Refusal::bad_request("REACTION_INVALID"))?,
    };
    let message = state.chat(chat)?.messages.get_mut(&id).filter(|message| !message.deleted);
    let message = message.ok_or_else(|| Refusal::bad_request("message to react not found"))?;
    if reactions.len() > 1 {
        return Err(Refusal::bad_request("REACTIONS_TOO_MANY"));
    }
    message.reactions = reactions;
    let message = message.clone();
    state.changed(&message);
    Ok(json!(true))
}

fn emojis(list: &Value) -> Option<Vec<String>> {
    let emoji = |reaction: &Value| {
        let emoji = reaction.get("emoji")?.as_str()?.trim_end_matches('\u{fe0f}');
        REACTIONS.contains(&emoji).then(|| emoji.to_owned())
    };
    list.as_array()?.iter().map(emoji).collect()
}

fn answer_press(state: &mut State, params: &Params, now: DateTime<Utc>) -> Answer {
    let text = params.text("text");
    if text.as_ref().is_some_and(|text| text.chars().count() > ANSWER_LETTERS_MAX) {
        return Err(Refusal::bad_request("MESSAGE_TOO_LONG"));
    }
    let id = params.text("callback_query_id").unwrap_or_default();
    state.answer(&id, text, params.flag("show_alert"), now)?;
    Ok(json!(true))
}

fn get_chat(state: &mut State, params: &Params) -> Answer {
    let chat = chat_id(state, params)?;
    state.chat(chat)?;
    let Some(chat) = state.chats.get(&chat) else { return Err(Refusal::bad_request("chat not found")) };
    let gifts = json!({
        "unlimited_gifts": false,
        "limited_gifts": false,
        "unique_gifts": false,
        "premium_subscription": false,
    });
    let more = json!({ "max_reaction_count": 11, "accent_color_id": 0, "accepted_gift_types": gifts });
    let mut full = merged(chat.to_api(&state.users), more);
    if let Some(pinned) = chat.messages.values().rev().find(|message| message.pinned && !message.deleted) {
        full["pinned_message"] = state.message_json(pinned);
    }
    Ok(full)
}

fn get_chat_member(state: &mut State, params: &Params) -> Answer {
    let chat = chat_id(state, params)?;
    state.chat(chat)?;
    let id = params.number("user_id").ok_or_else(|| Refusal::bad_request("invalid user_id specified"))?;
    member(state, chat, id).ok_or_else(|| Refusal::bad_request("member not found"))
}

fn get_chat_administrators(state: &mut State, params: &Params) -> Answer {
    let id = chat_id(state, params)?;
    let chat = state.chat(id)?;
    if chat.kind == ChatKind::Private {
        return Err(Refusal::bad_request("there are no administrators in the private chat"));
    }
    let admins = chat.members.iter().filter(|(_, role)| matches!(role, Role::Owner | Role::Administrator));
    let mut admins: Vec<i64> = admins.map(|(user, _)| *user).collect();
    if chat.bot == Role::Administrator {
        admins.push(state.bot.id);
    }
    Ok(admins.into_iter().filter_map(|user| member(state, id, user)).collect())
}

fn member(state: &State, chat: i64, id: i64) -> Option<Value> {
    let (user, chat) = (state.users.get(&id)?, state.chats.get(&chat)?);
    let role = if id == state.bot.id { chat.bot } else { chat.role(id) };
    let anonymous = user.appears == super::cast::Appears::Anonymous;
    Some(merged(json!({ "user": user.to_api() }), role.to_api(anonymous)))
}

fn get_file(state: &mut State, params: &Params) -> Answer {
    let id = params.text("file_id").unwrap_or_default();
    let media = state.files.get(&id).ok_or_else(|| Refusal::bad_request("invalid file_id"))?;
    Ok(json!({
        "file_id": media.file_id,
        "file_unique_id": format!("u{}", media.file_id),
        "file_size": media.bytes.len(),
        "file_path": format!("files/{}", media.file_id),
    }))
}
