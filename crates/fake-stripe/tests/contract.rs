//! Everything that was asked of the stand-in, that it answered and that it delivered, held against the description that
//! Stripe publishes of its API. `./dev test rust` writes it all down and then runs this.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jsonschema::{Registry, Validator};
use serde_json::{Map, Value, json};

/// Exchanges of one operation and status that are looked at; those of another shape count anew.
const OF_A_SHAPE: usize = 40;

/// An OpenAPI 3.0 schema as JSON Schema: `nullable` becomes a type, and an object has no other fields than those described.
fn convert(schema: &mut Value) {
    match schema {
        Value::Array(all) => all.iter_mut().for_each(convert),
        Value::Object(fields) => {
            fields.values_mut().for_each(convert);
            if fields.get("properties").is_some_and(Value::is_object) && !fields.contains_key("additionalProperties") {
                fields.insert("additionalProperties".into(), false.into());
            }
            // Of one possibility, what is wrong with it can be told.
            if fields.get("anyOf").and_then(Value::as_array).is_some_and(|all| all.len() == 1) {
                let one = fields.remove("anyOf").unwrap_or_default();
                fields.insert("allOf".into(), one);
            }
            if fields.remove("nullable") != Some(true.into()) {
                return;
            }
            if let Some(values) = fields.get_mut("enum").and_then(Value::as_array_mut) {
                values.push(Value::Null);
            }
            if let Some(kind) = fields.get("type").cloned() {
                fields.insert("type".into(), json!([kind, "null"]));
            } else {
                let one = Value::Object(std::mem::take(fields));
                fields.extend([("if".into(), json!({"type": "null"})), ("else".into(), one)]);
            }
        }
        _ => {}
    }
}

/// Stripe's description.
struct Spec {
    document: Value,
}

/// One operation of it.
struct Operation<'a> {
    path: &'a str,
    body: &'a Value,
}

impl Spec {
    fn read() -> Spec {
        let file = std::env::var("AIKIT_STRIPE_SPEC").unwrap();
        let mut document: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        for schemas in ["components", "paths"] {
            convert(&mut document[schemas]);
        }
        Spec { document }
    }

    /// The operation of a path such as `transfers/tr_1`: of those that fit the one with the fewest parameters.
    fn operation(&self, method: &str, path: &str) -> Option<Operation<'_>> {
        let asked: Vec<&str> = path.split('/').collect();
        let paths = self.document["paths"].as_object().unwrap();
        let fits = paths.iter().filter(|(template, methods)| {
            let parts: Vec<&str> = template.trim_start_matches("/v1/").split('/').collect();
            methods.get(method.to_lowercase()).is_some()
                && parts.len() == asked.len()
                && parts.iter().zip(&asked).all(|(part, given)| part.starts_with('{') || part == given)
        });
        let (path, methods) = fits.min_by_key(|(template, _)| template.matches('{').count())?;
        Some(Operation { path, body: &methods[method.to_lowercase()] })
    }
}

impl Operation<'_> {
    /// What may be asked: the body's schema, or one made of the parameters of the query.
    fn asked(&self) -> Value {
        let body = &self.body["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
        if body["properties"].as_object().is_some_and(|properties| !properties.is_empty()) {
            return body.clone();
        }
        let of_query = self.body["parameters"].as_array().into_iter().flatten().filter(|p| p["in"] == "query");
        let properties: Map<String, Value> =
            of_query.map(|p| (p["name"].as_str().unwrap().to_owned(), p["schema"].clone())).collect();
        json!({"type": "object", "properties": properties, "additionalProperties": false})
    }

    fn answered(&self, status: u64) -> Value {
        let of = if status == 200 { "200" } else { "default" };
        self.body["responses"][of]["content"]["application/json"]["schema"].clone()
    }
}

/// A form as a tree of texts.
fn form_of(text: &str) -> Result<Value, serde_qs::Error> {
    serde_qs::Config::new().max_depth(8).use_form_encoding(true).deserialize_str(text)
}

/// The type of a schema, beside null.
fn kind_of(schema: &Value) -> Option<&str> {
    schema["type"].as_str().or_else(|| schema["type"][0].as_str())
}

/// A form, in which everything is text, as what its schema means by it.
fn meant(form: &Value, schema: &Value) -> Value {
    let is = |schema: &Value, kind: &str| kind_of(schema) == Some(kind);
    if let Some(choices) = schema["anyOf"].as_array() {
        let is_for = |choice: &&Value| match form {
            Value::Object(fields) if fields.keys().all(|key| key.parse::<usize>().is_ok()) => is(choice, "array"),
            Value::Object(_) => is(choice, "object"),
            Value::Array(_) => is(choice, "array"),
            Value::String(text) if choice["enum"].is_array() => {
                choice["enum"].as_array().unwrap().contains(&json!(text))
            }
            Value::String(text) => match kind_of(choice) {
                Some("integer") => text.parse::<i64>().is_ok(),
                Some("boolean") => text.parse::<bool>().is_ok(),
                Some("string") => true,
                _ => choice["anyOf"].is_array(),
            },
            _ => false,
        };
        return choices.iter().find(is_for).map_or_else(|| form.clone(), |choice| meant(form, choice));
    }
    match (form, kind_of(schema)) {
        (Value::Object(fields), Some("array")) => {
            let mut items: Vec<(usize, &Value)> = fields.iter().map(|(n, item)| (n.parse().unwrap(), item)).collect();
            items.sort_by_key(|(n, _)| *n);
            items.into_iter().map(|(_, item)| meant(item, &schema["items"])).collect()
        }
        (Value::Array(items), _) => items.iter().map(|item| meant(item, &schema["items"])).collect(),
        (Value::Object(fields), _) => {
            let of = |name: &str| schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
            fields.iter().map(|(name, value)| (name.clone(), meant(value, of(name)))).collect::<Map<_, _>>().into()
        }
        (Value::String(text), Some("integer")) => text.parse::<i64>().map_or_else(|_| form.clone(), Value::from),
        (Value::String(text), Some("number")) => text.parse::<f64>().map_or_else(|_| form.clone(), Value::from),
        (Value::String(text), Some("boolean")) => text.parse::<bool>().map_or_else(|_| form.clone(), Value::from),
        _ => form.clone(),
    }
}

/// The names of all fields, at any depth: what has other ones is another shape.
fn shape(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| format!("{name}:{},", shape(value))).collect::<String>()
        }
        Value::Array(items) => items.first().map(shape).unwrap_or_default(),
        Value::Null => "0".into(),
        _ => String::new(),
    }
}

/// Schemas that were built, by what they are for.
struct Schemas<'a> {
    registry: &'a Registry<'a>,
    built: BTreeMap<String, Validator>,
}

impl Schemas<'_> {
    /// What a value has that the schema does not allow.
    fn problems(&mut self, name: String, schema: impl FnOnce() -> Value, value: &Value) -> Vec<String> {
        let validator = self.built.entry(name).or_insert_with(|| {
            let mut text = schema().to_string();
            text = text.replace("\"#/components", "\"urn:stripe#/components");
            let schema: Value = serde_json::from_str(&text).unwrap();
            jsonschema::options().with_registry(self.registry).build(&schema).unwrap()
        });
        // Which item of a list it is does not matter.
        let place = |path: String| -> String {
            path.split('/').filter(|part| part.parse::<usize>().is_err()).collect::<Vec<_>>().join("/")
        };
        validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", place(error.instance_path().to_string())))
            .collect()
    }
}

#[test]
#[ignore = "needs Stripe's description and what was said while other tests ran: ./dev test rust"]
fn what_was_said_is_what_stripe_describes() {
    let spec = Spec::read();
    let registry = Registry::new().add("urn:stripe", &spec.document).unwrap().prepare().unwrap();
    let mut schemas = Schemas { registry: &registry, built: BTreeMap::new() };
    let (mut seen, mut wrong, mut operations) = (BTreeMap::<String, usize>::new(), BTreeMap::new(), BTreeSet::new());
    let mut looked_at = 0;
    let folder = PathBuf::from(std::env::var_os("FAKE_STRIPE_EXCHANGES").unwrap());
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        // A process that was killed leaves half a line.
        for said in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let mut report = |what: String, problems: Vec<String>| {
                for problem in problems {
                    let problem: String = problem.chars().take(160).collect();
                    wrong.entry(format!("{what} {problem}")).or_insert_with(|| said.to_string());
                }
            };
            if let Some(event) = said.get("event") {
                let kind = event["data"]["object"]["object"].as_str().unwrap_or_default().to_owned();
                let name = format!("event {}", event["type"].as_str().unwrap_or_default());
                let times = seen.entry(format!("{name} {}", shape(event))).or_default();
                *times += 1;
                if *times <= OF_A_SHAPE {
                    looked_at += 1;
                    operations.insert(name.clone());
                    let schema = || json!({"$ref": "#/components/schemas/event"});
                    let mut whole = event.clone();
                    // The description has an object there with no fields at all.
                    whole["data"]["object"] = json!({});
                    if let Some(before) = whole["data"].get_mut("previous_attributes") {
                        *before = json!({});
                    }
                    report(name.clone(), schemas.problems("event".into(), schema, &whole));
                    let schema = || json!({"$ref": format!("#/components/schemas/{kind}")});
                    report(name, schemas.problems(format!("object {kind}"), schema, &event["data"]["object"]));
                }
                continue;
            }
            let text = |name: &str| said[name].as_str().unwrap_or_default();
            let (method, path, status) = (text("method"), text("path"), said["status"].as_u64().unwrap());
            let Some(operation) = spec.operation(method, path) else {
                if status == 200 {
                    report(format!("{method} {path}"), vec!["is answered, and Stripe has no such operation".into()]);
                }
                continue;
            };
            let name = format!("{method} {} {status}", operation.path);
            let form = [text("query"), text("form")].into_iter().find(|form| !form.is_empty()).unwrap_or_default();
            let Ok(form) = form_of(form) else { continue };
            let times = seen.entry(format!("{name} {} {}", shape(&form), shape(&said["body"]))).or_default();
            *times += 1;
            if *times > OF_A_SHAPE {
                continue;
            }
            looked_at += 1;
            operations.insert(name.clone());
            report(name.clone(), schemas.problems(name.clone(), || operation.answered(status), &said["body"]));
            // What was refused may have been asked wrongly on purpose.
            if status == 200 {
                let asked = operation.asked();
                let form = if form.is_null() { json!({}) } else { form };
                let meant = meant(&form, &asked);
                report(format!("asked {name}"), schemas.problems(format!("asked {name}"), || asked, &meant));
            }
        }
    }
    println!("{looked_at} exchanges and events of {} kinds", operations.len());
    for (problem, said) in wrong.iter().take(60) {
        println!("{problem}\n    {}", said.chars().take(600).collect::<String>());
    }
    assert!(wrong.is_empty(), "{} things are not as Stripe describes them", wrong.len());
    assert!(operations.len() > 60 && looked_at > 500, "{looked_at} of {} kinds: too little was said", operations.len());
}
