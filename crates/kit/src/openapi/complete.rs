use utoipa::openapi::{
    Header, HeaderBuilder, OpenApi, Ref, RefOr, Response,
    path::{Operation, PathItem},
    schema::{Object, Type},
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

use super::{
    TOKEN,
    problem::{self, REFUSALS},
    schemas,
};

/// Refusals that any operation may have to give.
const OF_ALL: [&str; 3] = ["429", "500", "503"];

/// The headers of every answer of a handler.
const HEADERS: [&str; 3] = ["RateLimit", "RateLimit-Policy", "x-request-id"];

/// Adds to a document what holds for every operation: refusals as problem documents, the
/// headers, how a token is shown.
///
/// Every operation is limited, so each can answer 429; each can answer 500 and 503; and 401
/// those that take a token.
pub fn complete(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    components.schemas.extend(schemas::all());
    components.schemas.insert("Problem".to_owned(), problem::schema());
    for refusal in &REFUSALS {
        let mut response = refusal.response();
        add_headers(&mut response);
        if refusal.can_be_retried {
            add_header("Retry-After", &mut response);
        }
        components.responses.insert(refusal.name.to_owned(), response.into());
    }
    components.headers.extend(headers());
    components.add_security_scheme(TOKEN, scheme());
    document.paths.paths.values_mut().flat_map(operations).for_each(complete_operation);
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, .. } = path;
    [get, put, post, delete].into_iter().flatten()
}

fn complete_operation(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    let needs = |requirement: &SecurityRequirement| *requirement != SecurityRequirement::default();
    let takes_token = operation.security.iter().flatten().any(needs);
    for status in OF_ALL.into_iter().chain(takes_token.then_some("401")) {
        responses.entry(status.to_owned()).or_insert_with(|| Response::default().into());
    }
    for (status, response) in responses {
        let RefOr::T(inline) = response else { continue };
        if let Some(refusal) = REFUSALS.iter().find(|refusal| refusal.status == status) {
            // An empty description leaves that of the shared response in place.
            let mut shared = Ref::from_response_name(refusal.name);
            shared.description.clone_from(&inline.description);
            *response = RefOr::Ref(shared);
        } else {
            add_headers(inline);
        }
    }
}

fn add_headers(response: &mut Response) {
    for name in HEADERS {
        add_header(name, response);
    }
}

fn add_header(name: &str, response: &mut Response) {
    let shared = Ref::new(format!("#/components/headers/{name}"));
    response.headers.insert(name.to_owned(), RefOr::Ref(shared));
}

fn headers() -> impl Iterator<Item = (String, RefOr<Header>)> {
    let header = |name: &str, kind: Type, description: &str, example: serde_json::Value| {
        let header = HeaderBuilder::new()
            .schema(Some(Object::with_type(kind)))
            .description(Some(description))
            .example(Some(example));
        (name.to_owned(), RefOr::T(header.build()))
    };
    [
        header(
            "RateLimit",
            Type::String,
            "What is left of each limit that was counted, and in how many seconds it is filled \
             up again (draft-ietf-httpapi-ratelimit-headers section 4).",
            "\"upload\";r=59;t=1".into(),
        ),
        header(
            "RateLimit-Policy",
            Type::String,
            "Each limit that was counted, with its quota and its window in seconds \
             (draft-ietf-httpapi-ratelimit-headers section 3).",
            "\"upload\";q=60;w=60".into(),
        ),
        header(
            "Retry-After",
            Type::Integer,
            "After how many seconds the same may pass (RFC 9110 section 10.2.3).",
            1.into(),
        ),
        header(
            "x-request-id",
            Type::String,
            "What to name when asking the operator about this request.",
            "6f1c2f0e-58a2-4a34-9d3f-1f0a3a7a4c55".into(),
        ),
    ]
    .into_iter()
}

fn scheme() -> SecurityScheme {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("The token that a device buys with `POST /v1/auth/token`."));
    SecurityScheme::Http(bearer.build())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use utoipa::openapi::{HttpMethod, Paths, ResponseBuilder, path::OperationBuilder};

    use super::*;

    fn completed(operation: OperationBuilder) -> Value {
        let mut paths = Paths::new();
        paths.add_path_operation("/thing", vec![HttpMethod::Get], operation.build());
        let mut document = OpenApi::default();
        document.paths = paths;
        complete(&mut document);
        serde_json::to_value(document).unwrap()
    }

    #[test]
    fn a_refusal_is_the_shared_one_with_a_word_of_its_own_or_without() {
        let document = completed(
            OperationBuilder::new()
                .response("200", ResponseBuilder::new().description("The thing"))
                .response("404", ResponseBuilder::new().description("`no_such_thing`"))
                .response("422", Response::default()),
        );

        let responses = &document["paths"]["/thing"]["get"]["responses"];
        assert_eq!(responses["422"], json!({ "$ref": "#/components/responses/InvalidInput" }));
        let described =
            json!({ "$ref": "#/components/responses/NotFound", "description": "`no_such_thing`" });
        assert_eq!(responses["404"], described);
        assert!(responses["200"]["content"].is_null());
        assert!(responses["200"]["headers"]["RateLimit"].is_object());
        let of_all = ["429", "500", "503"];
        assert!(of_all.iter().all(|status| responses[status].is_object()), "{responses}");
        assert!(responses["401"].is_null(), "nobody asks for a token");
    }

    #[test]
    fn whoever_takes_a_token_may_refuse_it() {
        let none: [&str; 0] = [];
        let document =
            completed(OperationBuilder::new().security(SecurityRequirement::new(TOKEN, none)));

        let responses = &document["paths"]["/thing"]["get"]["responses"];
        assert_eq!(responses["401"]["$ref"], "#/components/responses/Unauthenticated");
    }
}
