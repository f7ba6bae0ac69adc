//! What an operator does, and what strangers try.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream as Blocking};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use product_tests::{Browser, World};
use serde_json::{Value, json};
use wire::{ErrorCode, Health, Preferences, Role, SignUp};

use crate::receiver::{Does, Receiver};
use crate::stage::{PERSON, Stage, refusal, until};
use crate::webhooks::SECRET;

#[tokio::test]
async fn a_backup_taken_while_writing_restores_the_same_with_payouts_locked() -> Result<()> {
    let mut stage = Stage::set("backup").await?;
    let joined = stage.join("Northlight Studio", "owner@northlight.example").await?;
    stage.client(&joined.partner_code, "it@harbourpine.example").await?;
    stage.clock("2026-04-01T06:00:00Z").await?;
    stage.run_of("2026-03").await?;
    let file = stage.folder.join("backup.db");
    let (data, to) = (stage.world.api_data().to_string_lossy().into_owned(), file.to_string_lossy().into_owned());
    // Clicks are written all the while; none is held up so long that it fails.
    let busy = stage.api.clone();
    let url = busy.url(&format!("/r/{}", joined.partner_code));
    let clicks = tokio::spawn(async move {
        let mut n = 0;
        while n < 400 {
            busy.click(&url, PERSON, &mut Browser::default()).await?;
            n += 1;
        }
        anyhow::Ok(n)
    });
    let mut copies = 0;
    while !clicks.is_finished() && copies < 20 {
        let copy = stage.folder.join(format!("copy-{copies}.db"));
        stage.world.operator(&["backup", "--data", &data, "--to", &copy.to_string_lossy()])?;
        copies += 1;
    }
    ensure!(clicks.await?? == 400 && copies > 0);
    let said = stage.world.operator(&["backup", "--data", &data, "--to", &to])?;
    ensure!(said.contains("checked"), "{said}");
    ensure!(stage.world.operator(&["backup", "--data", &data, "--to", &to]).is_err(), "it writes over nothing");
    let before = statements(&stage.world, Path::new(&data))?;

    // What came after the backup is gone; everything before it is the same.
    let held = stage.person(Role::Owner, "Northlight").await?;
    stage.world.stop_api();
    for n in 0..2 {
        let refused = stage.world.operator(&["restore", "--from", &to, "--data", &data]);
        if n == 0 {
            ensure!(refused.is_err_and(|e| e.to_string().contains("move it away")), "it writes over nothing");
            let away = stage.folder.join("away");
            std::fs::create_dir(&away)?;
            for name in ["referral.db", "referral.db-wal", "referral.db-shm"] {
                let _absent = std::fs::rename(Path::new(&data).join(name), away.join(name));
            }
        } else {
            ensure!(refused?.contains("epoch_"));
        }
    }
    ensure!(statements(&stage.world, Path::new(&data))? == before);
    stage.world.start_api().await?;
    let healthz: Health = stage.get(None, "/healthz").await?;
    ensure!(healthz.payouts_locked, "{healthz:?}");
    ensure!(stage.get::<Preferences>(Some(&held), "/v1/preferences").await.is_err(), "everybody signs in again");
    let approved = stage.approve("2026-03").await?;
    let (_, text) = refusal(stage.send(&approved).await);
    ensure!(text.contains("restored from a backup"), "{text}");
    signed_head(&stage.world, &data, &stage.folder)?;

    // Two restores of one backup are two epochs, and damage is not restored.
    let [a, b] = ["one", "two"].map(|name| stage.folder.join(name).to_string_lossy().into_owned());
    let epoch = |said: String| said.split("epoch_").nth(1).map(|rest| rest[..16].to_owned());
    let one = epoch(stage.world.operator(&["restore", "--from", &to, "--data", &a])?);
    let two = epoch(stage.world.operator(&["restore", "--from", &to, "--data", &b])?);
    ensure!(one.is_some() && one != two, "{one:?}");
    let mut damaged = std::fs::read(&file)?;
    for byte in damaged.iter_mut().skip(8192).step_by(7) {
        *byte ^= 0xa5;
    }
    let bad = stage.folder.join("bad.db");
    std::fs::write(&bad, damaged)?;
    let c = stage.folder.join("three");
    let refused = stage.world.operator(&["restore", "--from", &bad.to_string_lossy(), "--data", &c.to_string_lossy()]);
    ensure!(refused.is_err() && !c.join("referral.db").exists());
    Ok(())
}

#[tokio::test]
async fn a_database_moves_as_text_and_is_the_same_with_payouts_locked() -> Result<()> {
    let stage = Stage::set("moved").await?;
    let joined = stage.join("Südwind; \"it's\" us", "owner@suedwind.example").await?;
    stage.client(&joined.partner_code, "it@harbourpine.example").await?;
    stage.clock("2026-04-01T06:00:00Z").await?;
    // What has come is read beside the answer to it.
    until("every event to be read", async || {
        let health: Health = stage.get(None, "/healthz").await?;
        Ok((health.inbox.waiting == 0).then_some(()))
    })
    .await?;
    let file = |name: &str| stage.folder.join(name).to_string_lossy().into_owned();
    let (from, text, to) = (stage.world.api_data().to_string_lossy().into_owned(), file("all.sql"), file("moved"));
    let written = stage.world.operator(&["export", "--data", &from, "--to", &text])?;
    ensure!(written.lines().any(|line| line.starts_with("fact ")), "{written}");
    ensure!(stage.world.operator(&["export", "--data", &from, "--to", &text]).is_err(), "it writes over nothing");
    ensure!(stage.world.operator(&["import", "--from", &text, "--data", &to])? == written, "every table is the same");
    ensure!(statements(&stage.world, Path::new(&to))? == statements(&stage.world, Path::new(&from))?);
    let status = stage.world.operator(&["payouts", "status", "--data", &to])?;
    ensure!(status.contains("locked since"), "{status}");
    stage.world.operator(&["audit", "verify", "--data", &to])?;
    ensure!(stage.world.operator(&["import", "--from", &text, "--data", &to]).is_err(), "it writes over nothing");
    // What is cut off makes nothing.
    std::fs::write(&text, std::fs::read_to_string(&text)?.replace("-- end\n", ""))?;
    let refused = stage.world.operator(&["import", "--from", &text, "--data", &file("none")]);
    ensure!(
        refused.is_err_and(|e| e.to_string().contains("cut off")) && !stage.folder.join("none/referral.db").exists()
    );
    Ok(())
}

/// The end of the audit chain, signed by the program and checked by another.
fn signed_head(world: &World, data: &str, folder: &Path) -> Result<()> {
    let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let [key, public, to, signature] = ["key.pem", "public.pem", "head.txt", "head.txt.sig"].map(file);
    let openssl = |args: &[&str]| -> Result<bool> { Ok(Command::new("openssl").args(args).output()?.status.success()) };
    ensure!(openssl(&["genpkey", "-algorithm", "ed25519", "-out", &key])?);
    ensure!(openssl(&["pkey", "-in", &key, "-pubout", "-out", &public])?);
    let refused = world.operator(&["audit", "sign", "--data", data, "--key", &public, "--to", &to]);
    ensure!(refused.is_err_and(|e| e.to_string().contains("openssl genpkey")) && !Path::new(&to).exists());
    world.operator(&["audit", "sign", "--data", data, "--key", &key, "--to", &to])?;
    let refused = world.operator(&["audit", "sign", "--data", data, "--key", &key, "--to", &to]);
    ensure!(refused.is_err_and(|e| e.to_string().contains("is there already")), "it writes over nothing");

    let check = ["pkeyutl", "-verify", "-pubin", "-inkey", &public, "-rawin", "-in", &to, "-sigfile", &signature];
    ensure!(openssl(&check)?, "openssl knows the signature");
    let text = std::fs::read_to_string(&to)?;
    let head = text.lines().find_map(|line| line.strip_prefix("head ")).context("no head")?;
    world.operator(&["audit", "verify", "--data", data, "--head", head])?;
    std::fs::write(&to, text.replacen(head, "1:0", 1))?;
    ensure!(!openssl(&check)?, "it is of that text alone");
    Ok(())
}

/// Every statement of a database's journal, as the engine says it at one instant.
fn statements(world: &World, data: &Path) -> Result<String> {
    let journal = world.operator(&["journal", "--data", &data.to_string_lossy()])?;
    let file = data.join("journal.jsonl");
    std::fs::write(&file, journal + "\n")?;
    let said = world.operator(&["statements", "--journal", &file.to_string_lossy(), "--as-of", "2026-04-01T00:00:00Z"]);
    std::fs::remove_file(file)?;
    said
}

#[tokio::test]
async fn the_log_names_nobody_and_gives_nothing_away() -> Result<()> {
    let mut stage = Stage::set("log").await?;
    let receiver = Receiver::open(&[Does::Fail]).await?;
    let settings =
        format!("[[webhooks]]\nname = 'crm'\nurl = 'http://{}/hook?key=marker-in-a-url'\n", receiver.address);
    let env = vec![
        ("RUST_LOG", "debug".to_owned()),
        ("AIKIT_LOG_FORMAT", "json".to_owned()),
        ("WEBHOOK_SECRET_CRM", SECRET.to_owned()),
    ];
    stage.world.configure(&settings, env).await?;
    let from = log(&stage).len();
    let joined = stage.join("Marker Agency Ltd", "marker.owner@marker-agency.example").await?;
    stage.client(&joined.partner_code, "marker.client@marker-client.example").await?;
    stage.clock("2026-04-01T06:00:00Z").await?;
    let admin = stage.colleague("admin").await?;
    let approved = stage.approve("2026-03").await?;
    stage.send(&approved).await?;
    stage.paid(&approved).await?;
    stage.mail_with("marker.owner@marker-agency.example", "is on its way").await?;
    let finance = stage.finance().await?;
    // Refusals are logged no more loudly.
    for (path, body) in [
        ("/v1/auth/codes", json!({ "email": "marker.stranger@nowhere.example" })),
        (
            "/v1/auth/sessions",
            json!({ "email": "marker.owner@marker-agency.example", "code": "918273", "keep": "token" }),
        ),
        (
            "/v1/partners",
            json!({ "agency_name": "Marker Again", "email": "marker.owner@marker-agency.example", "website": "x.example", "country": "US", "accept_terms": "none" }),
        ),
        ("/v1/signups", json!({ "customer_id": "c", "email": "marker.client@marker-client.example" })),
    ] {
        let _whatever = stage
            .api
            .http()
            .post(stage.api.url(path))
            .bearer_auth("aik_srv_MARKERMARKERMARKER")
            .json(&body)
            .send()
            .await?;
    }
    let _gone = stage.api.http().get(stage.api.url("/onboard/aik_onb_MARKERMARKER")).send().await?;
    stage.world.stop_api();
    let text = log(&stage).split_off(from);
    let lines: Vec<Value> =
        text.lines().filter(|l| l.starts_with('{')).map(|l| serde_json::from_str(l).unwrap()).collect();
    ensure!(lines.iter().any(|l| l["route"] == "/onboard/{token}"), "requests are logged, by their route");
    ensure!(lines.iter().any(|l| l["level"] == "DEBUG") && lines.iter().any(|l| l["message"] == "run approved"));
    let keys: Value = serde_json::from_slice(&std::fs::read(stage.world.api_data().join("demo-keys.json"))?)?;
    let token = joined.onboarding_url.rsplit('/').next().unwrap_or_default();
    let secrets = [
        SECRET,
        token,
        &finance.access_token,
        &admin.access_token,
        keys["server"].as_str().unwrap_or_default(),
        keys["executor"].as_str().unwrap_or_default(),
        "marker",
        "MARKER",
        "918273",
        "sk_test_",
        "whsec_",
        "aik_acc",
        "aik_ref",
        "@colleagues.example",
        "@aikit.example",
        "Marker",
    ];
    for secret in secrets {
        ensure!(!secret.is_empty());
        let leak = text.lines().find(|line| line.contains(secret));
        ensure!(leak.is_none(), "{secret}: {}", leak.unwrap_or_default());
    }
    Ok(())
}

fn log(stage: &Stage) -> String {
    std::fs::read_to_string(stage.folder.join("logs").join("api.log")).unwrap_or_default()
}

/// A connection whose other end is the API, from an address of our choice.
fn connect(api: &str, from: IpAddr) -> Result<Blocking> {
    let to: SocketAddr = api.trim_start_matches("http://").parse()?;
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect(&to.into())?;
    let stream: Blocking = socket.into();
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}

#[tokio::test]
async fn a_stop_answers_what_it_has_accepted_and_loses_nothing() -> Result<()> {
    let mut stage = Stage::set("stop").await?;
    let joined = stage.join("Northlight Studio", "owner@northlight.example").await?;
    let keys: Value = serde_json::from_slice(&std::fs::read(stage.world.api_data().join("demo-keys.json"))?)?;
    let key = keys["server"].as_str().context("no key")?.to_owned();
    let address = stage.world.address();
    let request = |n: usize| {
        let body = json!({ "customer_id": format!("c{n}"), "email": format!("c{n}@c{n}.example"), "partner_code": joined.partner_code });
        let body = body.to_string();
        let head = format!(
            "POST /v1/signups HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        (head, body)
    };
    // Half of each request is there when the end is asked for, on connections that were accepted.
    let mut open = Vec::new();
    for n in 0..40 {
        let (head, body) = request(n);
        let mut stream = connect(&address, Ipv4Addr::LOCALHOST.into())?;
        stream.write_all(format!("{head}{}", &body[..10]).as_bytes())?;
        open.push((stream, body));
    }
    // The last connection is accepted after all of them.
    stage.get::<Health>(None, "/healthz").await?;
    let pid = stage.world.api_pid().context("no process")?;
    ensure!(std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status()?.success());
    until("the door to close", async || Ok(connect(&address, Ipv4Addr::LOCALHOST.into()).err().map(drop))).await?;
    let mut referrals = BTreeMap::new();
    for (n, (mut stream, body)) in open.into_iter().enumerate() {
        stream.write_all(&body.as_bytes()[10..])?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 201"), "{n}: {answer:?}");
        let answer: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap_or_default())?;
        referrals.insert(n, answer["referral_id"].clone());
    }
    until("the end", async || Ok(stage.world.fallen())).await?;
    stage.world.stop_api();
    stage.world.start_api().await?;
    // What was answered is there: the same sign-up again is the same referral.
    for (n, referral) in referrals {
        let form = SignUp {
            customer_id: format!("c{n}"),
            email: format!("c{n}@c{n}.example"),
            partner_code: Some(joined.partner_code.clone()),
            ..SignUp::default()
        };
        ensure!(json!(stage.api.sign_up(&form).await?.referral_id) == referral, "{n}");
    }
    Ok(())
}

#[tokio::test]
async fn slow_clients_and_floods_hold_up_nobody_else() -> Result<()> {
    let mut stage = Stage::set("slow").await?;
    let settings = "proxies = 1\n[limits]\nconnections = 60\nconnections_per_address = 20\nhead_timeout_s = 2\nbody_timeout_s = 2\n\
                    requests_per_second = 5\nburst = 20\n";
    stage.world.configure(settings, Vec::new()).await?;
    let address = stage.world.address();
    let slow: IpAddr = Ipv4Addr::new(127, 0, 0, 2).into();
    // A proxy on this machine is not counted, so the slow ones hold every place; each is given up after two seconds.
    let mut held = Vec::new();
    for n in 0..120 {
        let Ok(mut stream) = connect(&address, slow) else { continue };
        let part = if n % 2 == 0 {
            "GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ".to_owned()
        } else {
            "POST /v1/partners HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{"
                .to_owned()
        };
        stream.write_all(part.as_bytes())?;
        held.push(stream);
    }
    ensure!(held.len() > 60);
    stage.get::<Health>(None, "/healthz").await?;
    for stream in &mut held {
        let mut answer = Vec::new();
        // An answer that says so, or a closed connection: both end it.
        let _ended = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        ensure!(!answer.starts_with("HTTP/1.1 2") && !answer.starts_with("HTTP/1.1 5"), "{answer}");
    }
    // Without a proxy in between each address has its share, and an honest one gets through at once.
    stage.world.configure("[limits]\nconnections_per_address = 20\nhead_timeout_s = 30\n", Vec::new()).await?;
    let mut held: Vec<Blocking> = (0..100).filter_map(|_| connect(&address, slow).ok()).collect();
    for stream in &mut held {
        let _gone = stream.write_all(b"GET / HTTP/1.1\r\n");
        stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    }
    stage.get::<Health>(None, "/healthz").await?;
    let kept = held
        .iter_mut()
        .filter_map(|s| s.read(&mut [0; 1]).err())
        .filter(|e| matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
    let kept = kept.count();
    ensure!(kept == 20, "{kept} of one address are kept");

    // A flood from one address that the proxy names is told to wait; another one is not.
    stage.world.configure(settings, Vec::new()).await?;
    let ask = async |who: &str, path: &str| {
        stage.api.http().get(stage.api.url(path)).header("x-forwarded-for", who).send().await
    };
    let mut refused = None;
    for _ in 0..60 {
        let answer = ask("203.0.113.9", "/v1/terms/current").await?;
        if answer.status() == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.context("sixty requests at once passed")?;
    ensure!(refused.headers().contains_key("retry-after"));
    let body: wire::ErrorBody = refused.json().await?;
    ensure!(body.code == ErrorCode::TooMany && body.message.contains("Wait"), "{body:?}");
    ensure!(ask("203.0.113.10", "/v1/terms/current").await?.status() == 200);
    // What Stripe sends is never turned away for its number.
    for _ in 0..40 {
        let answer = stage
            .api
            .http()
            .post(stage.api.url("/v1/webhooks/stripe/account"))
            .header("x-forwarded-for", "203.0.113.11");
        ensure!(answer.send().await?.status() == 400);
    }
    Ok(())
}

#[tokio::test]
async fn the_doctor_says_what_to_do() -> Result<()> {
    let stage = Stage::set("doctor").await?;
    let data = stage.world.api_data().to_string_lossy().into_owned();
    let settings = stage.folder.join("bad.toml");
    std::fs::write(
        &settings,
        "public_url = 'http://partners.aikit.example/'\nsite = 'https://aikit.example/'\ncookie_domain = 'other.example'\n",
    )?;
    let said = stage.world.operator(&["doctor", "--data", &data, "--config", &settings.to_string_lossy()]);
    let said = said.err().context("it found nothing")?.to_string();
    for words in [
        "BAD   public address",
        "BAD   cookie domain",
        "BAD   Stripe key",
        "BAD   account webhook",
        "ok    SQLite",
        "ok    database",
        "ok    migrations",
        "ok    disk space",
        "→ agencies cannot connect",
    ] {
        ensure!(said.contains(words), "{words}: {said}");
    }
    std::fs::write(&settings, "cookie_domian = 'x'\n")?;
    let said = stage.world.operator(&["doctor", "--data", &data, "--config", &settings.to_string_lossy()]);
    ensure!(said.is_err_and(|e| e.to_string().contains("cookie_domian")));
    Ok(())
}
