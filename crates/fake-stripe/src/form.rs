//! Form bodies and queries in Stripe's bracket syntax, read one parameter at a time.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::error::ApiError;

/// The parameters of one request, or of one nested part of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form {
    fields: Map<String, Value>,
    /// What stands before a name in messages, such as `items[0]`.
    prefix: String,
}

impl Form {
    /// Reads `a[b]=1&c[0]=2`.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, ApiError> {
        let config = serde_qs::Config::new().max_depth(8).use_form_encoding(true);
        let value: Value = config.deserialize_bytes(text).map_err(|error| {
            ApiError::parameter("parameter_invalid", "", format!("The form cannot be read: {error}."))
        })?;
        let fields = if let Value::Object(fields) = value { fields } else { Map::new() };
        Ok(Self { fields, prefix: String::new() })
    }

    fn path(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}[{name}]", self.prefix) }
    }

    /// Refuses every parameter that is not named here, as Stripe does.
    pub(crate) fn only(&self, names: &[&str]) -> Result<(), ApiError> {
        match self.fields.keys().find(|key| !names.contains(&key.as_str())) {
            Some(key) => {
                let path = self.path(key);
                Err(ApiError::parameter("parameter_unknown", &path, format!("Received unknown parameter: {path}")))
            }
            None => Ok(()),
        }
    }

    /// True when the parameter was sent, even empty.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// Takes a parameter out of the form.
    pub(crate) fn take_list(&mut self, name: &str) -> Vec<String> {
        let list = |value: Value| match value {
            Value::Array(items) => items,
            Value::Object(items) => items.into_iter().map(|(_, item)| item).collect(),
            single => vec![single],
        };
        let items = self.fields.remove(name).map(list).unwrap_or_default();
        items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// A text; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.fields.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.invalid("parameter_invalid_string", name, "a string")),
        }
    }

    /// A text that must be there.
    pub(crate) fn need(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name)?.ok_or_else(|| self.missing(name))
    }

    /// A whole number.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            let path = self.path(name);
            ApiError::parameter("parameter_invalid_integer", path, format!("Invalid integer: {text}"))
        })
    }

    /// A whole number of at least `least`.
    pub(crate) fn at_least(&self, name: &str, least: i64) -> Result<Option<i64>, ApiError> {
        let number = self.integer(name)?;
        if number.is_some_and(|number| number < least) {
            let path = self.path(name);
            let message = match least {
                1 => "This value must be greater than or equal to 1.".to_owned(),
                least => format!("This value must be greater than or equal to {least}."),
            };
            return Err(ApiError::parameter("parameter_invalid_integer", path, message));
        }
        Ok(number)
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.text(name)? {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(self.invalid("parameter_invalid_boolean", name, "`true` or `false`")),
        }
    }

    /// One of a few words.
    pub(crate) fn word(&self, name: &str, words: &[&str]) -> Result<Option<&str>, ApiError> {
        let text = self.text(name)?;
        match text {
            Some(text) if !words.contains(&text) => {
                let path = self.path(name);
                let message = format!("Invalid {path}: must be one of {}", words.join(", "));
                Err(ApiError::parameter("parameter_invalid", path, message))
            }
            _ => Ok(text),
        }
    }

    /// A three-letter currency, in lower case.
    pub(crate) fn currency(&self, name: &str) -> Result<Option<String>, ApiError> {
        match self.text(name)?.map(str::to_ascii_lowercase) {
            Some(code) if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_lowercase()) => {
                let path = self.path(name);
                Err(ApiError::parameter("parameter_invalid", path, format!("Invalid currency: {code}")))
            }
            code => Ok(code),
        }
    }

    /// A nested part, empty when absent.
    pub(crate) fn part(&self, name: &str) -> Result<Form, ApiError> {
        match self.fields.get(name) {
            None => Ok(Form { fields: Map::new(), prefix: self.path(name) }),
            Some(Value::Object(fields)) => Ok(Form { fields: fields.clone(), prefix: self.path(name) }),
            Some(Value::String(text)) if text.is_empty() => Ok(Form { fields: Map::new(), prefix: self.path(name) }),
            Some(_) => Err(self.invalid("parameter_invalid", name, "an object")),
        }
    }

    /// The parts of a list of objects, `name[0][…]`, `name[1][…]`.
    pub(crate) fn parts(&self, name: &str) -> Result<Vec<Form>, ApiError> {
        let path = self.path(name);
        let part = |index: String, value: &Value| match value {
            Value::Object(fields) => Ok(Form { fields: fields.clone(), prefix: format!("{path}[{index}]") }),
            _ => Err(self.invalid("parameter_invalid", name, "a list of objects")),
        };
        match self.fields.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                items.iter().enumerate().map(|(index, item)| part(index.to_string(), item)).collect()
            }
            Some(Value::Object(items)) => items.iter().map(|(index, item)| part(index.clone(), item)).collect(),
            Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
            Some(_) => Err(self.invalid("parameter_invalid", name, "a list of objects")),
        }
    }

    /// The texts of a list, `name[0]=…` or `name[]=…`.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        self.clone().take_list(name).into_iter().filter(|text| !text.is_empty()).collect()
    }

    /// Merges `metadata[…]` into what an object has: an empty value removes the name, an empty
    /// `metadata` removes all.
    pub(crate) fn merge_metadata(&self, present: &Value) -> Result<Value, ApiError> {
        let mut merged = present.as_object().cloned().unwrap_or_default();
        if self.fields.get("metadata").is_some_and(|value| value.as_str() == Some("")) {
            return Ok(json!({}));
        }
        let part = self.part("metadata")?;
        for name in part.fields.keys().cloned().collect::<BTreeSet<_>>() {
            let path = part.path(&name);
            match part.text(&name)? {
                None => drop(merged.remove(&name)),
                Some(text) if name.chars().count() > 40 || text.chars().count() > 500 => {
                    let message = "Metadata names can have up to 40 characters and values up to 500.";
                    return Err(ApiError::parameter("parameter_invalid_string", path, message));
                }
                Some(text) => drop(merged.insert(name, json!(text))),
            }
        }
        if merged.len() > 50 {
            let message = "Metadata can have up to 50 names.";
            return Err(ApiError::parameter("parameter_invalid", "metadata", message));
        }
        Ok(Value::Object(merged))
    }

    /// Writes the texts that were sent into an object; an empty one clears the field.
    pub(crate) fn copy_texts(&self, names: &[&str], object: &mut Value) -> Result<(), ApiError> {
        for name in names.iter().filter(|name| self.has(name)) {
            object[*name] = self.text(name)?.map_or(Value::Null, |text| json!(text));
        }
        Ok(())
    }

    /// A missing parameter.
    pub(crate) fn missing(&self, name: &str) -> ApiError {
        let path = self.path(name);
        ApiError::parameter("parameter_missing", &path, format!("Missing required param: {path}."))
    }

    fn invalid(&self, code: &'static str, name: &str, wanted: &str) -> ApiError {
        let path = self.path(name);
        ApiError::parameter(code, &path, format!("Invalid {path}: it must be {wanted}."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_read_raw_and_encoded() {
        let raw = Form::parse(b"items[0][price]=p&expand[]=a&expand[]=b&metadata[k x]=1").unwrap();
        let encoded =
            Form::parse(b"items%5B0%5D%5Bprice%5D=p&expand%5B0%5D=a&expand%5B1%5D=b&metadata%5Bk+x%5D=1").unwrap();
        for form in [raw, encoded] {
            assert_eq!(form.parts("items").unwrap()[0].need("price").unwrap(), "p");
            assert_eq!(form.texts("expand"), ["a", "b"]);
            assert_eq!(form.merge_metadata(&json!({"old": "2"})).unwrap(), json!({"k x": "1", "old": "2"}));
        }
    }

    #[test]
    fn refusals_name_the_parameter_in_brackets() {
        let form = Form::parse(b"items[0][quantity]=many&surprise=1").unwrap();
        let item = &form.parts("items").unwrap()[0];
        assert_eq!(item.integer("quantity").unwrap_err().param.as_deref(), Some("items[0][quantity]"));
        assert_eq!(item.need("price").unwrap_err().code, Some("parameter_missing"));
        let unknown = form.only(&["items"]).unwrap_err();
        assert_eq!((unknown.code, unknown.param.as_deref()), (Some("parameter_unknown"), Some("surprise")));
        assert!(!unknown.stored, "refused parameters are not remembered under a key");
        assert!(Form::parse(b"a=1&a[b]=2").is_err());
    }

    #[test]
    fn metadata_is_merged_and_cleared() {
        let merge = |text: &str| Form::parse(text.as_bytes()).unwrap().merge_metadata(&json!({"a": "1"}));
        assert_eq!(merge("metadata[b]=2").unwrap(), json!({"a": "1", "b": "2"}));
        assert_eq!(merge("metadata[a]=").unwrap(), json!({}));
        assert_eq!(merge("metadata=").unwrap(), json!({}));
        assert_eq!(merge("").unwrap(), json!({"a": "1"}));
        assert!(merge(&format!("metadata[a]={}", "x".repeat(501))).is_err());
    }
}
