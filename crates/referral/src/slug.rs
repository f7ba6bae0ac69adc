//! A partner's own name in its links, `/r/halcyon`.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::json;
use wire::{SetSlug, Slug};

use crate::audit::{self, Entry};
use crate::auth::Partner;
use crate::db::{DbError, guard};
use crate::error::{ApiError, Body, conflict, invalid};
use crate::members::Owner;
use crate::tokens::{ms, read_partner_code};
use crate::{App, sql};

/// How many slugs one partner may have had: each stays its own for good.
const MOST: u32 = 10;

/// What would pass for AIKit's own, or for a path of the program. Compared as [`likeness`]es.
const RESERVED: [&str; 30] = [
    "about", "account", "admin", "api", "auth", "billing", "blog", "contact", "demo", "docs", "finance", "help",
    "home", "legal", "link", "login", "official", "onboard", "partner", "partners", "payouts", "pricing", "privacy",
    "ref", "root", "security", "settings", "signup", "support", "terms",
];
/// No part of any slug: names that a visitor must be able to trust.
const NOT_WITHIN: [&str; 3] = ["aikit", "stripe", "partner"];

/// What a slug looks like: two slugs of one likeness are one slug. Also how one is read as people pass it on.
pub(crate) fn likeness(text: &str) -> String {
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let folded: String = plain
        .chars()
        .map(|c| match c {
            '0' => 'o',
            '1' | 'i' => 'l',
            '2' => 'z',
            '5' => 's',
            '8' => 'b',
            other => other,
        })
        .collect();
    folded.replace("rn", "m").replace("vv", "w").replace("cl", "d")
}

/// A slug that may be taken.
///
/// # Errors
/// A sentence that says what is wrong with it.
fn read(given: &str) -> Result<String, String> {
    let slug = given.trim().to_lowercase();
    let shape = (3..=40).contains(&slug.len())
        && slug.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !slug.starts_with('-')
        && !slug.ends_with('-')
        && !slug.contains("--");
    if !shape {
        return Err("A name for your links has 3 to 40 letters from a to z, digits and single hyphens.".into());
    }
    let like = likeness(&slug);
    let is_reserved =
        RESERVED.iter().any(|r| likeness(r) == like) || NOT_WITHIN.iter().any(|r| like.contains(&likeness(r)));
    if is_reserved || like.chars().count() < 3 || like.chars().all(|c| c.is_ascii_digit()) {
        return Err(format!("«{slug}» could be taken for AIKit's own. Choose your agency's name."));
    }
    Ok(slug)
}

#[derive(Deserialize)]
struct Current {
    slug: String,
}

pub(crate) async fn of(app: &App, partner: &str) -> Result<Option<String>, ApiError> {
    let query = sql!("SELECT slug FROM partner_slug WHERE partner = ?1 AND ended_ms IS NULL", partner);
    Ok(app.db.query(query).await?.first::<Current>()?.map(|c| c.slug))
}

/// `GET /v1/slug`.
pub(crate) async fn get(State(app): State<App>, partner: Partner) -> Result<Json<Slug>, ApiError> {
    Ok(Json(Slug { slug: of(&app, &partner.code).await? }))
}

/// `POST /v1/slug`: the owner chooses, changes or gives up the agency's name. Links with an earlier one go on working.
pub(crate) async fn set(
    owner: Owner,
    State(app): State<App>,
    Body(given): Body<SetSlug>,
) -> Result<Json<Slug>, ApiError> {
    let Owner { account, agency: partner } = owner;
    let wanted = Some(given.slug.as_str()).filter(|s| !s.trim().is_empty());
    let slug = wanted.map(read).transpose().map_err(invalid)?;
    let before = of(&app, &partner.code).await?;
    if before == slug {
        return Ok(Json(Slug { slug }));
    }
    let now = ms(app.host.now());
    let mut batch =
        vec![
            sql!("UPDATE partner_slug SET ended_ms = ?2 WHERE partner = ?1 AND ended_ms IS NULL", &partner.code, now,),
        ];
    if let Some(slug) = &slug {
        batch.push(guard(
            "NOT EXISTS (SELECT 1 FROM partner_slug WHERE likeness = ?2 AND partner <> ?1)
             AND NOT EXISTS (SELECT 1 FROM partner WHERE code = ?3)
             AND (SELECT count(*) FROM partner_slug WHERE partner = ?1 AND likeness <> ?2) < ?4",
            vec![(&partner.code).into(), likeness(slug).into(), read_partner_code(slug).into(), MOST.into()],
        ));
        batch.push(sql!(
            "INSERT INTO partner_slug (likeness, slug, partner, set_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (likeness) DO UPDATE SET slug = excluded.slug, set_ms = excluded.set_ms, ended_ms = NULL",
            likeness(slug),
            slug,
            &partner.code,
            now,
        ));
    }
    let entry = Entry::new(&account.into(), "partner.slug_set", format!("partner:{}", partner.code))
        .before(json!({"slug": before}))
        .after(json!({"slug": slug}));
    match audit::write(&app, batch, &[entry]).await {
        Ok(_) => Ok(Json(Slug { slug })),
        Err(DbError::Constraint(_)) => Err(conflict(format!(
            "«{}» is taken, or looks like a name that is, or you have had {MOST} names already. Choose another one.",
            slug.unwrap_or_default()
        ))),
        Err(other) => Err(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_slug_is_an_agencys_name_and_nothing_that_passes_for_ours() {
        for good in ["halcyon", "studio-halcyon", "42north", "  Cobalt ", "northern-mill", "a1b"] {
            assert!(read(good).is_ok(), "{good}: {:?}", read(good));
        }
        for bad in [
            "",
            "ab",
            "-ab",
            "ab-",
            "a--b",
            "a_b",
            "a b",
            "a/b",
            "a.b",
            "ä-b",
            "аdmin",
            "admin",
            "adm1n",
            "ADMIN",
            "ad-min",
            "aikit",
            "a1k1t-team",
            "the-aikit",
            "str1pe-pay",
            "partner",
            "partner-7k3m9qxd",
            "PARTNER_7K3M9QXD",
            "l0gin",
            "heIp",
            "<b>x</b>",
            "'--",
            "%2e%2e",
            "support",
            "5upport",
            &"x".repeat(41),
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_that_look_alike_are_one() {
        for (a, b) in [
            ("halcyon", "ha1cyon"),
            ("halcyon", "haIcyon"),
            ("modern", "modem"),
            ("cobalt", "c0balt"),
            ("a-bc", "abc"),
            ("vvater", "water"),
        ] {
            assert_eq!(likeness(a), likeness(b), "{a} {b}");
        }
        assert_ne!(likeness("cobalt"), likeness("halcyon"));
    }

    proptest! {
        #[test]
        fn a_slug_is_read_as_people_pass_it_on(slug in "[a-z][a-z0-9]{2,20}", noise in "[ .,!)_-]{0,3}") {
            prop_assert_eq!(likeness(&format!("{noise}{}{noise}", slug.to_uppercase())), likeness(&slug));
        }
    }
}
