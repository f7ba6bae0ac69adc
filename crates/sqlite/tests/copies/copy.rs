//! A copy as a careful app keeps it: pages are put together, and looked at only after the last.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use partner::{SCHEMA, Slice, Sum, row_hash};
use serde_json::{Value, json};
use wire::Pulled;

use crate::life::Life;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Copy {
    pub(crate) epoch: String,
    pub(crate) cursor: i64,
    pub(crate) rows: BTreeMap<(String, String), String>,
    statement: Option<wire::StatementProof>,
}

impl Copy {
    pub(crate) async fn pull(&mut self, life: &Life, agency: usize, limit: u32) {
        let mut start = None;
        loop {
            let begun: String = match self.cursor {
                0 => String::new(),
                _ => format!("&epoch={}", self.epoch),
            };
            let start_is: String = start.map(|start: i64| format!("&start={start}")).unwrap_or_default();
            let path = format!(
                "/v1/sync/pull?schema={SCHEMA}&cursor={}&limit={limit}&statement=true{begun}{start_is}",
                self.cursor
            );
            let (status, answer) = life.ask(agency, "GET", &path, Value::Null).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            let page: Pulled = serde_json::from_value(answer).unwrap();
            assert!(page.rows.len() <= usize::try_from(limit).unwrap());
            assert!(page.rows.is_sorted_by(|a, b| a.seq < b.seq) && page.rows.iter().all(|row| row.seq > self.cursor));
            for row in page.rows {
                match row.body {
                    Some(body) => drop(self.rows.insert((row.kind, row.id), body)),
                    None => drop(self.rows.remove(&(row.kind, row.id))),
                }
            }
            (self.epoch, self.cursor, start) = (page.epoch, page.next, Some(page.start));
            if !page.more {
                let mut sum = Sum::default();
                self.rows.iter().for_each(|((kind, id), body)| sum.add(row_hash(kind, id, body)));
                assert_eq!((sum.0, self.rows.len()), (page.head.sum, usize::try_from(page.head.rows).unwrap()));
                assert_eq!(self.cursor, page.head.seq);
                self.statement = page.statement;
                return;
            }
        }
    }

    /// Compares with a copy for which everything was read anew.
    pub(crate) async fn equals_a_new_one(&self, life: &Life, agency: usize) -> bool {
        self.rows == Copy::anew(life, agency).await.rows
    }

    pub(crate) async fn is_what_a_new_one_is(&self, life: &Life, agency: usize) {
        assert_eq!(self.rows, Copy::anew(life, agency).await.rows, "the copy on the left stayed behind");
    }

    async fn anew(life: &Life, agency: usize) -> Copy {
        let mut new = Copy::default();
        life.put_rows_aside(agency).await;
        new.pull(life, agency, 1_000).await;
        life.put_rows_back(agency).await;
        new
    }

    pub(crate) async fn shows_what_the_api_shows(&self, life: &Life, agency: usize) {
        let rows = self.rows.iter().map(|((kind, id), body)| (kind.as_str(), id.as_str(), body.as_str()));
        let slice = Slice::read(rows).unwrap();
        let now = life.world.app.host.now();
        let get = |path: String| async move {
            let (status, answer) = life.ask(agency, "GET", &path, Value::Null).await;
            assert_eq!(status, StatusCode::OK, "{path}: {answer}");
            answer
        };
        // Nothing has changed since.
        let proof = self.statement.as_ref().unwrap();
        assert_eq!(*proof, slice.proof(proof.as_of).unwrap());
        let overview = slice.overview(wire::Role::Owner, now).unwrap();
        assert_eq!(json!(overview), get("/v1/overview".into()).await);
        assert_eq!(json!(slice.links(false)), get("/v1/links".into()).await);
        assert_eq!(json!(slice.links(true)), get("/v1/links?archived=true".into()).await);
        assert_eq!(json!(slice.connected_account(now)), get("/v1/stripe-account".into()).await);
        assert_eq!(json!(slice.resources()), get("/v1/resources".into()).await);
        let clients = slice.clients(&wire::ClientsQuery::default(), now).unwrap();
        assert_eq!(json!(clients), get("/v1/clients".into()).await);
        for client in clients.rows {
            let path = format!("/v1/clients/{}", client.referral);
            assert_eq!(json!(slice.client(&client.referral, now).unwrap().unwrap()), get(path).await);
        }
        let payouts = slice.payouts();
        assert_eq!(json!(payouts), get("/v1/payouts".into()).await);
        for payout in payouts {
            let path = format!("/v1/payouts/{}", payout.item);
            assert_eq!(json!(slice.payout(&payout.item).unwrap()), get(path).await);
        }
    }
}
