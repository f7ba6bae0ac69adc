//! What must stay true of the repository itself: who depends on whom, and what is generated.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Who may depend on whom, for builds. Anything else is forbidden; ARCHITECTURE.md says why.
const MAY_DEPEND: &[(&str, &[&str])] = &[
    ("commission", &[]),
    ("payout", &[]),
    ("documents", &["commission", "wire"]),
    ("partner", &["commission", "wire"]),
    ("wire", &["commission", "payout"]),
    ("referral", &["commission", "documents", "partner", "payout", "wire"]),
    ("sqlite", &["referral"]),
    ("stripe", &["commission", "payout", "wire"]),
    ("fake-stripe", &[]),
    ("edge", &["referral"]),
    ("engine-wasm", &["commission"]),
    ("server", &["commission", "documents", "partner", "referral", "sqlite", "stripe", "payout", "wire"]),
    ("desk", &["commission", "partner", "stripe", "wire"]),
    ("aikit-partners", &["desk"]),
    ("bench", &["commission", "referral", "sqlite", "stripe"]),
    ("product-tests", &["wire"]),
];

/// Libraries that only the named crates may use, so that a core stays a core.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("tauri", &["aikit-partners"]),
    ("rusqlite", &["sqlite", "desk", "fake-stripe", "bench"]),
    ("reqwest", &["server", "stripe", "fake-stripe", "desk", "product-tests"]),
    ("tokio", &["sqlite", "server", "stripe", "fake-stripe", "desk", "bench", "product-tests"]),
    ("keyring", &["desk"]),
    ("arboard", &["aikit-partners"]),
    ("krilla", &["documents"]),
    ("lopdf", &["server"]),
    ("openidconnect", &["referral"]),
    ("async-stripe-connect", &["stripe", "fake-stripe"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn crates_depend_on_what_the_architecture_allows() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let ours: BTreeSet<String> = metadata.packages.iter().map(|p| p.name.to_string()).collect();
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        MAY_DEPEND.iter().map(|(name, deps)| (*name, deps.iter().copied().collect())).collect();
    assert_eq!(
        ours,
        allowed.keys().map(|n| n.to_string()).collect(),
        "a member without a rule, or a rule without a member"
    );
    for package in &metadata.packages {
        let name = package.name.as_str();
        for dependency in package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
            let to = dependency.name.as_str();
            if ours.contains(to) {
                assert!(allowed[name].contains(to), "{name} may not depend on {to}");
            }
            if let Some((_, users)) = ONLY_IN.iter().find(|(library, _)| *library == to) {
                assert!(users.contains(&name), "{name} may not use {to}: only {users:?} may");
            }
        }
    }
}

#[test]
fn the_page_of_the_app_may_ask_for_one_command_and_reach_nothing() {
    let read = |name: &str| std::fs::read_to_string(root().join(name)).unwrap();
    let config: serde_json::Value = serde_json::from_str(&read("tauri.conf.json")).unwrap();
    let security = &config["app"]["security"];
    let capabilities = security["capabilities"].as_array().unwrap();
    assert_eq!(capabilities.len(), 1);
    assert_eq!(capabilities[0]["permissions"], serde_json::json!(["allow-rpc"]));
    assert!(capabilities[0].get("remote").is_none(), "no page from elsewhere may ask for anything");
    assert!(!root().join("src-tauri/capabilities").exists(), "a capability in a file of its own would be one more");
    assert_eq!(read("src-tauri/permissions.toml").matches("commands.allow").count(), 1);
    assert!(read("src-tauri/permissions.toml").contains(r#"commands.allow = ["rpc"]"#));
    assert_eq!((&config["app"]["withGlobalTauri"], &security["freezePrototype"]), (&false.into(), &true.into()));

    let csp = security["csp"].as_str().unwrap();
    let says = |name: &str| csp.split("; ").find_map(|part| part.strip_prefix(&format!("{name} ")).map(str::to_owned));
    assert_eq!(says("default-src").as_deref(), Some("'self'"));
    assert_eq!(says("connect-src").as_deref(), Some("ipc: http://ipc.localhost"));
    for none in ["object-src", "frame-src", "worker-src", "base-uri", "form-action"] {
        assert_eq!(says(none).as_deref(), Some("'none'"), "{none}");
    }
    assert_eq!(says("script-src"), None, "scripts are the app's own, as everything is by default");
    assert!(!csp.contains("unsafe-eval") && !csp.contains("https:"), "{csp}");
    assert!(!read("Cargo.toml").contains("devtools"), "a release has no developer tools");
}

#[test]
fn typescript_is_what_rust_says() {
    for (name, generated) in [("bindings.ts", wire::typescript()), ("natives.ts", desk::typescript("./bindings"))] {
        let path = root().join("ui/src/lib/backend").join(name);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, generated).unwrap();
            continue;
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == generated, "{} is not what Rust says: run ./dev gen", path.display());
    }
}

#[test]
fn only_the_backend_door_knows_the_shell() {
    fn files(dir: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                files(&path, into);
            } else {
                into.push(path);
            }
        }
    }
    let mut all = Vec::new();
    files(&root().join("ui/src"), &mut all);
    let strangers: Vec<_> = all
        .iter()
        .filter(|p| !p.starts_with(root().join("ui/src/lib/backend")))
        .filter(|p| std::fs::read_to_string(p).is_ok_and(|text| text.contains("@tauri-apps/")))
        .collect();
    assert!(strangers.is_empty(), "only ui/src/lib/backend may import @tauri-apps: {strangers:?}");
}
