use quick_xml::se::to_string_with_root;
use serde::Serialize;

use super::action::Action;
use super::error::ApiError;

/// The body of an answer, as it grows element by element.
#[derive(Debug, Default)]
pub(super) struct Reply(String);

/// A list on the wire: every entry is an `item`.
#[derive(Debug, Serialize)]
pub(super) struct Items<T> {
    item: Vec<T>,
}

impl<T> FromIterator<T> for Items<T> {
    fn from_iter<I: IntoIterator<Item = T>>(iter: I) -> Self {
        Self { item: iter.into_iter().collect() }
    }
}

/// A tag on the wire.
#[derive(Debug, Serialize)]
pub(super) struct Tag {
    key: String,
    value: String,
}

impl Tag {
    pub(super) fn all(tags: &std::collections::BTreeMap<String, String>) -> Items<Self> {
        tags.iter().map(|(key, value)| Self { key: key.clone(), value: value.clone() }).collect()
    }
}

impl Reply {
    /// What actions answer that have nothing to say.
    pub(super) fn done() -> Result<Self, ApiError> {
        Self::default().with("return", &true)
    }

    /// Adds an element.
    pub(super) fn with<T: Serialize + ?Sized>(mut self, element: &str, content: &T) -> Result<Self, ApiError> {
        self.0 += &to_string_with_root(element, content).map_err(|_| ApiError::internal())?;
        Ok(self)
    }

    /// Adds an element if there is something to put into it.
    pub(super) fn with_some<T: Serialize>(self, element: &str, content: Option<&T>) -> Result<Self, ApiError> {
        match content {
            Some(content) => self.with(element, content),
            None => Ok(self),
        }
    }

    /// The whole document.
    pub(super) fn document(self, action: Action, request_id: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
             <requestId>{request_id}</requestId>{}</{action}Response>",
            self.0
        )
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "Errors")]
    errors: Errors<'a>,
    #[serde(rename = "RequestID")]
    request_id: &'a str,
}

#[derive(Serialize)]
struct Errors<'a> {
    #[serde(rename = "Error")]
    error: CodeAndMessage<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CodeAndMessage<'a> {
    code: &'a str,
    message: &'a str,
}

impl ApiError {
    /// The whole document.
    pub(super) fn document(&self, request_id: &str) -> String {
        let error = CodeAndMessage { code: &self.code, message: &self.message };
        let envelope = Envelope { errors: Errors { error }, request_id };
        let body = to_string_with_root("Response", &envelope).unwrap_or_default();
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}")
    }
}
