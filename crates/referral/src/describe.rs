//! What an operation takes, what it answers and who may call it, as the types of its handler say it (OpenAPI 3.1).
//!
//! Invariant: there is no list of operations beside the routes. A handler that takes a [`Partner`] is described as one that
//! an agency calls, because it takes a `Partner`; nothing can be routed that is not described.

use std::future::Future;

use axum::Json;
use axum::extract::{Path, Query, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use serde_json::json;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, Ref, RefOr, Required, Schema};
use utoipa::{IntoParams, ToSchema};
use wire::{ErrorBody, Role};

use crate::App;
use crate::auth::scope::{FreshAdmin, Overseer, OwnSession};
use crate::auth::{
    Editor, Executor, Finance, FreshFinance, Librarian, Partner, Pusher, Reader, Reviewer, ServerKey, Signed, Staff,
    role_name,
};
use crate::error::{ApiError, Body, Params, Raw, Segment};
use crate::limits::Network;
use crate::members::{FreshOwner, Owner};

/// What is known of an operation.
#[derive(Default)]
pub(crate) struct Described {
    pub(crate) operation: OperationBuilder,
    /// Schemas that it refers to, by name.
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
    people: Option<(Vec<Role>, bool)>,
}

impl Described {
    fn schema<T: ToSchema>(&mut self) -> RefOr<Schema> {
        T::schemas(&mut self.schemas);
        match T::schema() {
            // A list has no name of its own.
            list @ RefOr::T(Schema::Array(_)) => list,
            named => {
                self.schemas.push((T::name().into_owned(), named));
                Ref::from_schema_name(T::name()).into()
            }
        }
    }

    fn change(&mut self, change: impl FnOnce(OperationBuilder) -> OperationBuilder) {
        self.operation = change(std::mem::take(&mut self.operation));
    }

    /// Answers JSON with this status.
    pub(crate) fn answers<T: ToSchema>(&mut self, status: &str, what: &str) {
        let schema = self.schema::<T>();
        let response = ResponseBuilder::new().description(what).content("application/json", Content::new(Some(schema)));
        self.change(|o| o.response(status, response.build()));
    }

    /// Answers something that is not JSON with this status, or nothing.
    pub(crate) fn ends(&mut self, status: &str, what: &str, content: Option<&str>) {
        let mut response = ResponseBuilder::new().description(what);
        if let Some(content) = content {
            response = response.content(content, Content::new(Some(text())));
        }
        self.change(|o| o.response(status, response.build()));
    }

    /// A part of the path or the query that is text.
    pub(crate) fn parameter(&mut self, at: ParameterIn, name: &str, what: Option<&str>) {
        let required = if at == ParameterIn::Path { Required::True } else { Required::False };
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(at)
            .required(required)
            .description(what)
            .schema(Some(text()));
        self.change(|o| o.parameter(parameter));
    }

    /// People with one of these roles may call it. Said twice, both must hold.
    pub(crate) fn people(&mut self, roles: &[Role], fresh: bool) {
        let (before, was_fresh) = self.people.take().unwrap_or_else(|| (roles.to_vec(), false));
        let roles: Vec<Role> = before.into_iter().filter(|role| roles.contains(role)).collect();
        let names: Vec<&str> = roles.iter().map(|role| role_name(*role)).collect();
        self.access("session", json!({ "roles": names, "fresh_sign_in": fresh || was_fresh }));
        self.people = Some((roles, fresh || was_fresh));
    }

    fn access(&mut self, scheme: &str, access: serde_json::Value) {
        let extensions = ExtensionsBuilder::new().add("x-access", access).build();
        self.change(|o| {
            o.securities(Some([SecurityRequirement::new(scheme, Vec::<String>::new())])).extensions(Some(extensions))
        });
    }
}

fn text() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).into()
}

/// A handler, as its types describe it.
pub(crate) trait Describe<Arguments> {
    fn describe(into: &mut Described);
}

macro_rules! handlers {
    ($(($($part:ident),*))*) => { $(
        impl<F, Fut, A, $($part),*> Describe<($($part,)*)> for F
        where
            F: Fn($($part),*) -> Fut,
            Fut: Future<Output = A>,
            A: Answer,
            $($part: Part),*
        {
            fn describe(into: &mut Described) {
                $($part::describe(into);)*
                A::describe(into);
            }
        }
    )* };
}
handlers! { () (P1) (P1, P2) (P1, P2, P3) (P1, P2, P3, P4) (P1, P2, P3, P4, P5) }

/// Something that a handler takes.
pub(crate) trait Part {
    fn describe(into: &mut Described);
}

macro_rules! silent {
    ($($kind:ty),*) => { $( impl Part for $kind { fn describe(_: &mut Described) {} } )* };
}
// Parts of the path are named by the path; headers and queries that are read by hand are described where they are routed.
silent!(State<App>, HeaderMap, Method, RawQuery, Query<crate::click::Asked>, Network, Path<String>);

impl<T> Part for Segment<T> {
    fn describe(_: &mut Described) {}
}

impl<T: Part, E> Part for Result<T, E> {
    fn describe(into: &mut Described) {
        T::describe(into);
    }
}

impl<T: ToSchema> Part for Body<T> {
    fn describe(into: &mut Described) {
        let schema = into.schema::<T>();
        let body = RequestBodyBuilder::new().content("application/json", Content::new(Some(schema)));
        into.change(|o| o.request_body(Some(body.required(Some(Required::True)).build())));
    }
}

impl Part for Raw {
    fn describe(into: &mut Described) {
        let any = Content::new(Some(ObjectBuilder::new().schema_type(SchemaType::AnyValue)));
        let body = RequestBodyBuilder::new().content("application/json", any);
        into.change(|o| o.request_body(Some(body.required(Some(Required::True)).build())));
    }
}

fn query<T: IntoParams>(into: &mut Described) {
    into.change(|o| o.parameters(Some(T::into_params(|| Some(ParameterIn::Query)))));
}

impl<T: IntoParams> Part for Params<T> {
    fn describe(into: &mut Described) {
        query::<T>(into);
    }
}

impl<T: IntoParams> Part for Query<T> {
    fn describe(into: &mut Described) {
        query::<T>(into);
    }
}

macro_rules! people {
    ($($kind:ident: $fresh:literal [$($role:ident)*];)*) => { $(
        impl Part for $kind {
            fn describe(into: &mut Described) {
                into.people(&[$(Role::$role),*], $fresh);
            }
        }
    )* };
}
people! {
    Signed: false [Owner Member Staff Finance Admin Auditor];
    OwnSession: false [Owner Member Staff Finance Admin Auditor];
    Partner: false [Owner Member];
    Owner: false [Owner];
    FreshOwner: true [Owner];
    Staff: false [Staff Finance Admin Auditor];
    Overseer: false [Admin Auditor];
    Pusher: false [Owner Member Finance];
    Finance: false [Finance];
    FreshFinance: true [Finance];
    FreshAdmin: true [Admin];
    Reviewer: true [Staff];
    Editor: false [Staff];
    Librarian: false [Staff Admin];
    Reader: false [Owner Member Staff Admin];
}

impl Part for ServerKey {
    fn describe(into: &mut Described) {
        into.access("server_key", json!({ "key": "server" }));
    }
}

impl Part for Executor {
    fn describe(into: &mut Described) {
        into.access("executor_key", json!({ "key": "executor", "roles": ["finance"] }));
    }
}

/// Something that a handler answers.
pub(crate) trait Answer {
    fn describe(into: &mut Described);
}

impl<T: ToSchema> Answer for Json<T> {
    fn describe(into: &mut Described) {
        into.answers::<T>("200", "Done.");
    }
}

impl<T: ToSchema> Answer for (StatusCode, Json<T>) {
    fn describe(into: &mut Described) {
        into.answers::<T>("201", "It is there now.");
        into.answers::<T>("200", "It was there before, or nothing had to be made.");
    }
}

impl Answer for StatusCode {
    fn describe(into: &mut Described) {
        into.ends("204", "Done.", None);
    }
}

/// A handler that builds its answer by hand says at its route what it is.
impl Answer for Response {
    fn describe(_: &mut Described) {}
}

impl<T: Answer> Answer for Result<T, ApiError> {
    fn describe(into: &mut Described) {
        T::describe(into);
        into.answers::<ErrorBody>("4XX", "Refused; the message is for the person who reads it.");
        into.answers::<ErrorBody>("503", "It could not be done now; nothing is known to be wrong with the request.");
    }
}
