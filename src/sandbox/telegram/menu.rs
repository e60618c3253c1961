//! Menus of commands: `setMyCommands` and its relatives, with scopes and languages.

use serde_json::{Value, json};

use super::{
    methods::Answer,
    params::{Params, number},
    refusal::Refusal,
    state::{Change, Command, CommandScope, State},
};

/// Telegram's limit of commands in one menu.
const COMMANDS_MAX: usize = 100;
/// Telegram's limit of a command's name, in letters.
const NAME_MAX: usize = 32;
/// Telegram's limit of a command's description, in letters.
const DESCRIPTION_MAX: usize = 256;

pub(super) fn set(state: &mut State, params: &Params) -> Answer {
    let scope = scope(state, params)?;
    let list = params.json("commands").transpose()?;
    let list = list.ok_or_else(|| Refusal::bad_request("parameter \"commands\" is required"))?;
    let list = list.as_array().ok_or_else(|| Refusal::bad_request("expected an Array of BotCommand"))?;
    if list.len() > COMMANDS_MAX {
        return Err(Refusal::bad_request("BOT_COMMANDS_TOO_MUCH"));
    }
    let commands = list.iter().map(command).collect::<Result<Vec<_>, _>>()?;
    state.commands.insert(scope, commands);
    state.changes.push(Change::Commands);
    Ok(json!(true))
}

pub(super) fn get(state: &mut State, params: &Params) -> Answer {
    let scope = scope(state, params)?;
    Ok(json!(state.commands.get(&scope).cloned().unwrap_or_default()))
}

pub(super) fn delete(state: &mut State, params: &Params) -> Answer {
    let scope = scope(state, params)?;
    state.commands.remove(&scope);
    state.changes.push(Change::Commands);
    Ok(json!(true))
}

fn command(raw: &Value) -> Result<Command, Refusal> {
    let text_of = |name: &str| raw.get(name).and_then(Value::as_str).unwrap_or_default();
    let name = text_of("command").trim_start_matches('/').to_owned();
    let description = text_of("description").trim().to_owned();
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(is_letter) {
        return Err(Refusal::bad_request("BOT_COMMAND_INVALID"));
    }
    if description.is_empty() || description.chars().count() > DESCRIPTION_MAX {
        return Err(Refusal::bad_request("BOT_COMMAND_DESCRIPTION_INVALID"));
    }
    Ok(Command { command: name, description })
}

fn scope(state: &mut State, params: &Params) -> Result<CommandScope, Refusal> {
    let language = params.text("language_code").unwrap_or_default();
    if !(language.is_empty() || language.len() == 2 && language.bytes().all(|b| b.is_ascii_lowercase())) {
        return Err(Refusal::bad_request("invalid language code specified"));
    }
    let scope = params.json("scope").transpose()?.unwrap_or_else(|| json!({ "type": "default" }));
    let kind = scope.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let needs = |name: &str| scope.get(name).and_then(number);
    let (chat, user) = match kind.as_str() {
        "default" | "all_private_chats" | "all_group_chats" | "all_chat_administrators" => (None, None),
        "chat" | "chat_administrators" => (needs("chat_id"), None),
        "chat_member" => (needs("chat_id"), needs("user_id")),
        _ => return Err(Refusal::bad_request("can't parse BotCommandScope: Unsupported type specified")),
    };
    if kind.starts_with("chat") {
        let known = chat.is_some_and(|chat| state.chat(chat).is_ok());
        if !known {
            return Err(Refusal::bad_request("chat not found"));
        }
    }
    if kind == "chat_member" && user.is_none_or(|user| !state.users.contains_key(&user)) {
        return Err(Refusal::bad_request("participant ID is invalid"));
    }
    Ok(CommandScope { kind, chat, user, language })
}
