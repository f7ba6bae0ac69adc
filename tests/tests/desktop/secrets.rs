//! No secret of the app is anywhere but in its memory, in the keychain and in the headers of its requests.

use anyhow::{Result, ensure};
use desk::NATIVES;
use fantoccini::Locator;
use serde_json::{Value, json};
use wire::{CALLS, Method, Role};

use crate::cable::Cable;
use crate::computer::Computer;
use crate::person_of;

/// Part of a money key that a person typed.
const CANARY: &str = "kanarienvogel";

#[tokio::test]
async fn no_token_and_no_key_is_found_in_files_outputs_pages_or_answers() -> Result<()> {
    let finance = person_of(Role::Finance).await?;
    let owner = person_of(Role::Owner).await?;
    let mut cable = Cable::to_the_api()?;
    let computer = Computer::set_up(&cable)?;
    let mut said = String::new();
    for person in [owner, finance] {
        let window = computer.open_window().await?;
        window.click(Locator::Css(&format!("button[data-person='{person}']"))).await?;
        window.find(Locator::Css("main h1")).await?;
        // A restart renews the token out of the keychain.
        window.close(&computer).await?;
        let window = computer.open_window().await?;
        window.find(Locator::Css("main h1")).await?;

        // Everything that the page can ask for, with the network and without, and what is refused.
        let key = format!("rk_test_{CANARY}");
        for away in [false, true] {
            if away {
                cable.pull_out();
            }
            for native in NATIVES.iter().filter(|n| !["sign_out", "sign_in_at_issuer", "events"].contains(&n.name)) {
                for args in [
                    json!({}),
                    json!({ "key": key }),
                    json!({ "email": "x@agency.example", "code": key }),
                    json!({ "person": key }),
                ] {
                    said += &window.rpc(native.name, args).await?.to_string();
                }
            }
            for call in CALLS.iter().filter(|call| matches!(call.method, Method::Get)) {
                let args: serde_json::Map<String, Value> =
                    call.path_params().map(|name| (name.to_owned(), json!("x"))).collect();
                said += &window.rpc(call.name, Value::Object(args)).await?.to_string();
            }
            said += &window.rpc("no_such_command", json!({ "key": key })).await?.to_string();
        }
        cable.plug_in()?;
        let page = "return JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, document.documentElement.outerHTML])";
        said += &window.page.execute(page, vec![]).await?.to_string();
        window.rpc("sign_out", json!({})).await?;
        window.close(&computer).await?;
    }

    let mut secrets = cable.tokens();
    ensure!(secrets.len() >= 8, "two people, two starts, two tokens each: only {} were heard", secrets.len());
    ensure!(secrets.iter().all(|secret| secret.len() > 20), "a token is no longer what it was");
    ensure!(said.contains("estimate") || said.contains("drafted_at"), "the answers are not there to be searched");
    secrets.push(CANARY.to_owned());
    let output = computer.output()?;
    for secret in &secrets {
        ensure!(!said.contains(secret), "the page was told {secret}: {}", around(&said, secret));
        ensure!(!output.contains(secret), "an output says {secret}: {}", around(&output, secret));
        let files = computer.files_anywhere_with(secret)?;
        ensure!(files.is_empty(), "{secret} is in {files:?}");
    }
    Ok(())
}

fn around(text: &str, what: &str) -> String {
    let at = text.find(what).unwrap_or_default();
    text.chars().skip(at.saturating_sub(200)).take(400).collect()
}
