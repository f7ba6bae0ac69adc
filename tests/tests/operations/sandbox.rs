//! What the executor takes for granted about Stripe, asked of Stripe: with its own client, in a sandbox of Stripe's, and in
//! every test run of the stand-in.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use chrono::TimeDelta;
use payout::{Answer, Transfer, TransferParams};
use serde_json::json;
use stripe::{Clock as _, Deadline, StripeError, StripeHttp, SystemClock, Transfers as _};

use crate::stage::Stage;

/// How long a list may leave a transfer out that was made.
const LAG: Duration = Duration::from_secs(30);

async fn create(stripe: &StripeHttp, params: &TransferParams, key: &str) -> Result<Answer> {
    let deadline = Deadline::after(Duration::from_secs(30), Arc::new(SystemClock));
    stripe.create(params, key, &deadline).await.map_err(|not_sent| anyhow::anyhow!("{not_sent:?}"))
}

fn made(answer: Answer) -> Result<Transfer> {
    match answer {
        Answer::Accepted { transfer } => Ok(transfer),
        other => bail!("no transfer was made: {other:?}"),
    }
}

fn refused(answer: Answer) -> Result<String> {
    match answer {
        Answer::Refused { code, .. } => Ok(code),
        other => bail!("it was not refused: {other:?}"),
    }
}

/// Moves two cents in test mode, from the platform of the key to a connected account that may receive transfers.
async fn asks(stripe: &StripeHttp, nobody: &StripeHttp, account: &str) -> Result<()> {
    let now = SystemClock.now();
    let unique = now.timestamp_micros();
    let standing = stripe.standing("usd").await?;
    ensure!(!stripe.is_live() && standing.account.starts_with("acct_"), "{standing:?}");
    ensure!(standing.available_minor >= 2, "the sandbox has no balance: {standing:?}");

    let params = |n: u32| TransferParams {
        amount_minor: 1,
        currency: "usd".into(),
        destination: account.into(),
        transfer_group: format!("aikit:test:sandbox_{unique}:{n}"),
        description: "AIKit Partners asks Stripe".into(),
        item: format!("sandbox_{unique}:{n}"),
    };
    let key = |n: u32| format!("aikit-test-sandbox-{unique}-{n}");

    // A transfer is what was asked for, and the same key gives the same one.
    let first = made(create(stripe, &params(1), &key(1)).await?)?;
    ensure!(first.amount_minor == 1 && first.currency == "usd" && first.destination == account, "{first:?}");
    ensure!(first.item.as_deref() == Some(params(1).item.as_str()) && first.amount_reversed_minor == 0, "{first:?}");
    ensure!((first.created - now).abs() < TimeDelta::days(400), "{first:?}");
    ensure!(made(create(stripe, &params(1), &key(1)).await?)?.id == first.id, "a replay made another transfer");
    // With other parameters it says nothing about what moved.
    let misused = create(stripe, &TransferParams { amount_minor: 2, ..params(1) }, &key(1)).await?;
    ensure!(misused == Answer::KeyMisused, "{misused:?}");
    // Another key is another transfer: that is why there is one key to an attempt.
    let second = made(create(stripe, &params(1), &key(2)).await?)?;
    ensure!(second.id != first.id);

    // What was made is found by its group, if not at once.
    let group = params(1).transfer_group;
    let mut waited = Duration::ZERO;
    loop {
        let mut found: Vec<String> = stripe.list(&group).await?.into_iter().map(|transfer| transfer.id).collect();
        found.sort();
        let mut both = vec![first.id.clone(), second.id.clone()];
        both.sort();
        if found == both {
            break;
        }
        ensure!(waited < LAG, "the list has {found:?} after {waited:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        waited += Duration::from_secs(1);
    }
    ensure!(stripe.list(&params(9).transfer_group).await?.is_empty());

    // A refusal moves nothing, and is kept under its key.
    let too_much = TransferParams { amount_minor: 99_999_999, ..params(3) };
    for _ in 0..2 {
        ensure!(refused(create(stripe, &too_much, &key(3)).await?)? == "balance_insufficient");
    }
    let to_nobody = TransferParams { destination: "acct_1AIKitIsNobody".into(), ..params(4) };
    let code = refused(create(stripe, &to_nobody, &key(4)).await?)?;
    ensure!(code != "balance_insufficient", "{code}");
    ensure!(stripe.list(&params(3).transfer_group).await?.is_empty(), "a refused transfer is in the list");

    // A key that is not accepted is told apart from everything else.
    ensure!(create(nobody, &params(5), &key(5)).await? == Answer::Unauthorized);
    ensure!(nobody.standing("usd").await == Err(StripeError::Unauthorized));
    Ok(())
}

#[tokio::test]
async fn the_stand_in_answers_the_executor_as_a_sandbox_is_asked_to() -> Result<()> {
    let stage = Stage::set("sandbox").await?;
    let side = stage.world.stripe();
    let form = [
        ("type", "express"),
        ("country", "US"),
        ("email", "a@agency.example"),
        ("capabilities[transfers][requested]", "true"),
    ];
    let account = side.post("accounts", &form).await?;
    let account = account["id"].as_str().context("no account")?;
    side.control(&format!("accounts/{account}"), &json!({ "transfers": "active", "payouts_enabled": true })).await?;
    side.set_balance(1_000).await?;
    let base = side.url("");
    let client = |key: &str| StripeHttp::new(key.into(), Some(&base));
    asks(&client("rk_test_of_the_sandbox")?, &client("rk_test_invalid")?, account).await
}

#[tokio::test]
#[ignore = "needs a sandbox of Stripe's: STRIPE_TEST_KEY (sk_test_… or rk_test_…) and STRIPE_TEST_ACCOUNT (acct_… that may receive transfers)"]
async fn a_sandbox_of_stripe_answers_the_executor_so() -> Result<()> {
    let given = |name: &str| {
        std::env::var(name).ok().filter(|text| !text.is_empty()).with_context(|| format!("{name} is not set"))
    };
    let (key, account) = (given("STRIPE_TEST_KEY")?, given("STRIPE_TEST_ACCOUNT")?);
    ensure!(key.starts_with("sk_test_") || key.starts_with("rk_test_"), "STRIPE_TEST_KEY is not a test key");
    let client = |key: &str| StripeHttp::new(key.into(), None);
    asks(&client(&key)?, &client("rk_test_invalid")?, &account).await
}
