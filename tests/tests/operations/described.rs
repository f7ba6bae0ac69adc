//! The real server against its own description, by somebody who knows nothing else of it: Schemathesis.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::process::Command;
use wire::Role;

use crate::stage::Stage;

/// No answer is a fault of ours, and each is what the description says.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// The description, with the operations that a caller may use.
fn of(document: &Value, may: impl Fn(&Value) -> bool) -> Value {
    let mut document = document.clone();
    for item in document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut()) {
        if let Some(item) = item.as_object_mut() {
            item.retain(|_, operation| may(&operation["x-access"]));
        }
    }
    document
}

#[tokio::test]
async fn every_operation_answers_as_it_is_described() -> Result<()> {
    let program = std::env::var("AIKIT_SCHEMATHESIS").context("AIKIT_SCHEMATHESIS is not set: use ./dev test")?;
    let mut stage = Stage::set("described").await?;
    stage.world.configure("[limits]\nrequests_per_second = 100000\nburst = 100000\n", Vec::new()).await?;
    let joined = stage.join("Northlight", "owner@northlight.example").await?;
    stage.client(&joined.partner_code, "it@fjord.example").await?;
    let owner = stage.person(Role::Owner, "Northlight").await?;
    let finance = stage.finance().await?;
    let document: Value = stage.get(None, "/openapi.json").await?;
    let role = |name: &'static str| {
        move |access: &Value| access["roles"].as_array().is_some_and(|roles| roles.iter().any(|role| role == name))
    };
    let key = |name: &'static str| move |access: &Value| access["key"] == name;
    let callers: [(&str, Value, Option<String>); 5] = [
        ("stranger", of(&document, Value::is_null), None),
        ("server", of(&document, key("server")), Some(stage.world.server_key().to_owned())),
        ("executor", of(&document, key("executor")), Some(stage.world.executor_key().to_owned())),
        ("owner", of(&document, role("owner")), Some(owner.access_token)),
        ("finance", of(&document, role("finance")), Some(finance.access_token)),
    ];
    for (name, described, token) in callers {
        let file = stage.folder.join(format!("{name}.json"));
        std::fs::write(&file, described.to_string())?;
        let mut run = Command::new(&program);
        run.arg("run").arg(&file).args(["--url", &stage.api.url(""), "--checks", CHECKS]).current_dir(&stage.folder);
        run.args(["--phases", "coverage,fuzzing", "--max-examples", "5", "--generation-deterministic", "--no-shrink"]);
        run.args(["--continue-on-failure", "--warnings", "off"]);
        if let Some(token) = token {
            run.args(["--header", &format!("Authorization: Bearer {token}")]);
        }
        let out = run.output().await.with_context(|| format!("{program} cannot be run: ./dev setup installs it"))?;
        let said = String::from_utf8_lossy(&out.stdout);
        ensure!(out.status.success(), "as {name}:\n{said}\n{}", String::from_utf8_lossy(&out.stderr));
        ensure!(said.contains(" passed"), "as {name} nothing was tried:\n{said}");
    }
    Ok(())
}
