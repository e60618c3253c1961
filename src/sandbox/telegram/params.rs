//! The parameters of a request to the Bot API, sent as query, form, JSON or multipart.

use std::collections::BTreeMap;

use axum::{
    body::Bytes,
    extract::{FromRequest, Multipart, Request},
    http::{Method, header::CONTENT_TYPE},
};
use serde_json::{Map, Value};

use super::refusal::Refusal;

/// The parameters of one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Params {
    values: Map<String, Value>,
    files: BTreeMap<String, Upload>,
}

/// An uploaded file.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    pub(super) name: String,
    pub(super) mime: String,
    pub(super) bytes: Bytes,
}

impl Params {
    /// Reads them from the query and the body.
    pub(super) async fn read(request: Request) -> Result<Self, Refusal> {
        let mut params = Self::default();
        params.add_form(request.uri().query().unwrap_or_default().as_bytes());
        let content = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content = content.unwrap_or_default().to_ascii_lowercase();
        if request.method() == Method::GET {
            return Ok(params);
        }
        if content.starts_with("multipart/form-data") {
            params.add_multipart(request).await?;
            return Ok(params);
        }
        let body = Bytes::from_request(request, &()).await.map_err(|_| too_large())?;
        if content.starts_with("application/json") {
            params.add_json(&body)?;
        } else {
            params.add_form(&body);
        }
        Ok(params)
    }

    fn add_form(&mut self, form: &[u8]) {
        for (name, value) in url::form_urlencoded::parse(form) {
            self.values.insert(name.into_owned(), Value::String(value.into_owned()));
        }
    }

    fn add_json(&mut self, body: &[u8]) -> Result<(), Refusal> {
        if body.trim_ascii().is_empty() {
            return Ok(());
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(object)) => self.values.extend(object),
            _ => return Err(Refusal::bad_request("failed to parse request body as a JSON object")),
        }
        Ok(())
    }

    async fn add_multipart(&mut self, request: Request) -> Result<(), Refusal> {
        let broken = |_| Refusal::bad_request("failed to parse multipart form data");
        let mut form = Multipart::from_request(request, &())
            .await
            .map_err(|_| Refusal::bad_request("boundary parameter value not found"))?;
        while let Some(field) = form.next_field().await.map_err(broken)? {
            let name = field.name().unwrap_or_default().to_owned();
            let file_name = field.file_name().map(str::to_owned);
            let mime = field.content_type().unwrap_or("application/octet-stream").to_owned();
            let bytes = field.bytes().await.map_err(|_| too_large())?;
            match file_name {
                Some(file) => {
                    self.files.insert(name, Upload { name: file, mime, bytes });
                }
                None => {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    self.values.insert(name, Value::String(text));
                }
            }
        }
        Ok(())
    }

    /// Returns a text; a number is returned as it is written.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.values.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Returns a whole number, also where it was sent as text.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        number(self.values.get(name)?)
    }

    /// Returns a boolean, also where it was sent as text; false when absent.
    pub(super) fn flag(&self, name: &str) -> bool {
        match self.values.get(name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => matches!(text.to_ascii_lowercase().as_str(), "true" | "1" | "yes"),
            Some(Value::Number(number)) => number.as_i64() == Some(1),
            _ => false,
        }
    }

    /// Returns an object or a list, also where it was sent as JSON in a text.
    pub(super) fn json(&self, name: &str) -> Option<Result<Value, Refusal>> {
        match self.values.get(name)? {
            Value::Null => None,
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(serde_json::from_str(text).map_err(|_| {
                Refusal::bad_request(&format!("can't parse {} JSON object", name.replace('_', " ")))
            })),
            value => Some(Ok(value.clone())),
        }
    }

    /// Returns an uploaded file: under its own name, or where `attach://` points.
    pub(super) fn file(&self, name: &str) -> Option<&Upload> {
        match self.values.get(name).and_then(Value::as_str) {
            Some(reference) => self.attached(reference),
            None => self.files.get(name),
        }
    }

    /// Returns the file that `attach://…` names.
    pub(super) fn attached(&self, reference: &str) -> Option<&Upload> {
        self.files.get(reference.strip_prefix("attach://")?)
    }

    /// Returns all but the files, for the log.
    pub(super) fn to_json(&self) -> Value {
        Value::Object(self.values.clone())
    }
}

/// Reads a whole number that may be written as text.
pub(super) fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn too_large() -> Refusal {
    Refusal::new(413, "Request Entity Too Large")
}
