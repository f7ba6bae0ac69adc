//! What an agency sees and is due, computed from its own records; and the form in which those records travel.
//!
//! Everything here is pure. The API computes an agency's pages with it out of its database, and the desktop app out of the
//! copy that it keeps ([`Slice`]), so that both show the same.

mod client_page;
mod evaluated;
mod footing;
mod link;
mod pages;
mod requirements;
mod slice;
mod standing;
mod what_if;

pub use client_page::{client_name, client_page, clients, plain, words};
pub use evaluated::Evaluated;
pub use footing::{Ground, deciding};
pub use link::{NewLink, Sites, Utm, destination, read_campaign, read_uuid, share_url};
pub use pages::{Overviewing, connected_account, day_number, funnel_since, overview, touches, until};
pub use requirements::{bank_refusal, sentence};
pub use slice::{
    ClicksRow, ClientRow, Kind, LinkRow, Profile, Program, ResourceRow, SCHEMA, Slice, SliceError, Sum, row_hash,
};
pub use standing::{Standing, Verdict, as_of, in_words, is_payable, month, next_month, not_payable, paid_ever};
pub use what_if::usual;
