use std::fmt;

use actix_web::{
    HttpResponse, Resource, ResponseError as _, Route,
    dev::{AppService, HttpServiceFactory},
    guard,
    http::{Method, header},
    web,
};

use super::HttpError;
use crate::fault::Problem;

/// A path and what it takes. A method that it does not take is answered with 405 and with
/// those that it does (RFC 9110 section 15.5.6); what takes GET takes HEAD.
///
/// A path has one endpoint: a second one behind it is never reached.
///
/// ```ignore
/// app.service(
///     Endpoint::at("/{account}/ops")
///         .get(to(read_chain).wrap(limited(Class::ChainRead)))
///         .post(to(append).wrap(writes()).wrap(limited(Class::ChainWrite))),
/// );
/// ```
#[must_use = "an endpoint serves nothing before it is registered"]
pub struct Endpoint {
    resource: Resource,
    allowed: Vec<&'static str>,
}

/// A route that calls a handler, to be given to an [`Endpoint`].
pub use actix_web::web::to;

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// An endpoint that takes nothing yet. The path is in the form of actix's resources.
    pub fn at(path: &str) -> Self {
        Self { resource: web::resource(path.to_owned()), allowed: Vec::new() }
    }

    /// Gives its handlers something that the app around it does not have.
    pub fn data<T: 'static>(mut self, data: T) -> Self {
        self.resource = self.resource.app_data(data);
        self
    }

    /// Takes GET, and HEAD without a body.
    pub fn get(mut self, route: Route) -> Self {
        let either = guard::Any(guard::Get()).or(guard::Head());
        self.allowed.extend(["GET", "HEAD"]);
        self.resource = self.resource.route(route.guard(either));
        self
    }

    /// Takes POST.
    pub fn post(self, route: Route) -> Self {
        self.on(Method::POST, "POST", route)
    }

    /// Takes PUT.
    pub fn put(self, route: Route) -> Self {
        self.on(Method::PUT, "PUT", route)
    }

    /// Takes DELETE.
    pub fn delete(self, route: Route) -> Self {
        self.on(Method::DELETE, "DELETE", route)
    }

    fn on(mut self, method: Method, name: &'static str, route: Route) -> Self {
        self.allowed.push(name);
        self.resource = self.resource.route(route.method(method));
        self
    }
}

impl HttpServiceFactory for Endpoint {
    fn register(self, config: &mut AppService) {
        let allowed = self.allowed.join(", ");
        let refuse = move || {
            let mut response = Problem::from(HttpError::MethodNotAllowed).error_response();
            if let Ok(allowed) = header::HeaderValue::from_str(&allowed) {
                response.headers_mut().insert(header::ALLOW, allowed);
            }
            std::future::ready::<HttpResponse>(response)
        };
        self.resource.default_service(to(refuse)).register(config);
    }
}
