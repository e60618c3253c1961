//! Inline keyboards, checked as strictly as Telegram does.

use serde_json::Value;

use super::{message::Button, params::Params, refusal::Refusal};

/// Telegram's limit of callback data, in bytes.
const DATA_BYTES_MAX: usize = 64;
/// Telegram's limit of buttons in one keyboard.
const BUTTONS_MAX: usize = 100;
/// How many buttons Telegram shows side by side. More are refused here, because their layout is not documented.
const BUTTONS_PER_ROW_MAX: usize = 8;
/// Telegram's limit of a `copy_text` button, in letters.
const COPY_TEXT_MAX: usize = 256;

/// Reads `reply_markup`. Keyboards that are not inline are accepted and not shown.
pub(super) fn inline(params: &Params) -> Result<Vec<Vec<Button>>, Refusal> {
    let Some(markup) = params.json("reply_markup") else { return Ok(Vec::new()) };
    let malformed = || Refusal::bad_request("object expected as reply markup");
    let markup = markup.map_err(|_| Refusal::bad_request("can't parse reply keyboard markup JSON object"))?;
    let markup = markup.as_object().ok_or_else(malformed)?;
    let Some(rows) = markup.get("inline_keyboard") else { return Ok(Vec::new()) };
    let rows = rows
        .as_array()
        .ok_or_else(|| Refusal::bad_request("field \"inline_keyboard\" must be of type Array"))?;
    let rows = rows.iter().map(row).collect::<Result<Vec<_>, _>>()?;
    if rows.iter().map(Vec::len).sum::<usize>() > BUTTONS_MAX {
        return Err(Refusal::bad_request("REPLY_MARKUP_TOO_LONG"));
    }
    Ok(rows.into_iter().filter(|row| !row.is_empty()).collect())
}

fn row(row: &Value) -> Result<Vec<Button>, Refusal> {
    let row = row
        .as_array()
        .ok_or_else(|| Refusal::bad_request("field \"inline_keyboard\" must be an Array of Arrays"))?;
    if row.len() > BUTTONS_PER_ROW_MAX {
        return Err(Refusal::bad_request("REPLY_MARKUP_INVALID"));
    }
    row.iter().map(button).collect()
}

fn button(raw: &Value) -> Result<Button, Refusal> {
    let unparsed = |why: &str| Refusal::bad_request(&format!("can't parse inline keyboard button: {why}"));
    let text_of = |name: &str| raw.get(name).and_then(Value::as_str).map(str::to_owned);
    let text = text_of("text").ok_or_else(|| unparsed("Can't find field \"text\""))?;
    if text.trim().is_empty() {
        return Err(unparsed("Field \"text\" must be non-empty"));
    }
    let (data, url) = (text_of("callback_data"), text_of("url"));
    let copy_text = raw.pointer("/copy_text/text").and_then(Value::as_str).map(str::to_owned);
    let works = ["callback_data", "url", "copy_text", "switch_inline_query", "web_app", "login_url", "pay"];
    if !works.iter().any(|name| raw.get(name).is_some()) {
        return Err(unparsed("Text buttons are unallowed in the inline keyboard"));
    }
    let data_bytes = data.as_ref().map(String::len);
    if data_bytes.is_some_and(|bytes| bytes == 0 || bytes > DATA_BYTES_MAX) {
        return Err(Refusal::bad_request("BUTTON_DATA_INVALID"));
    }
    if url.as_ref().is_some_and(|url| url::Url::parse(url).is_err()) {
        return Err(Refusal::bad_request("BUTTON_URL_INVALID"));
    }
    let copied = copy_text.as_ref().map(|text| text.chars().count());
    if copied.is_some_and(|letters| letters == 0 || letters > COPY_TEXT_MAX) {
        return Err(Refusal::bad_request("BUTTON_COPY_TEXT_INVALID"));
    }
    Ok(Button { text, data, url, copy_text, style: text_of("style"), raw: raw.clone() })
}
