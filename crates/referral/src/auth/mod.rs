//! Who asks: sessions of people, keys of programs, and the scope that follows from them.
//!
//! [`Partner`], [`Finance`] and the others can be made by authentication alone; every query that reads partner data
//! takes one of them.

pub(crate) mod codes;
pub(crate) mod demo;
pub(crate) mod id_token;
pub(crate) mod issuer;
pub(crate) mod keys;
pub(crate) mod oidc;
pub(crate) mod people;
pub(crate) mod scope;
pub(crate) mod session;

pub(crate) use people::{read_email, role_name};
pub(crate) use scope::{
    Editor, Executor, FRESH, Finance, FreshFinance, Librarian, Partner, Pusher, Reader, Reviewer, ServerKey, Signed,
    Staff,
};
