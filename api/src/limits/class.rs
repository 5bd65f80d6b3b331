//! What a request costs: the classes of requests that have limits of their own.

use axum::http::Method;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Neither limited nor ever shed: whoever watches over Lectern must get an answer when it has the most to do.
    Exempt,
    /// Reads and small changes.
    Request,
    /// Makes a model run.
    Ask,
    /// Brings a file.
    Upload,
}

impl Class {
    /// By the route as `routes.rs` writes it; `None` is no route of ours.
    pub(crate) fn of(method: &Method, route: Option<&str>) -> Self {
        let Some(route) = route else {
            return Self::Request;
        };
        let posts = method == Method::POST;
        match route {
            "/metrics" => Self::Exempt,
            _ if route.starts_with("/api/v1/health") => Self::Exempt,
            "/api/v1/questions" | "/api/v1/search" if posts => Self::Ask,
            "/api/v1/documents" | "/api/v1/imports" if posts => Self::Upload,
            "/api/v1/documents/{id}/file" if method == Method::PUT => Self::Upload,
            // A tool that makes a model run counts it when it is known: see `admit_ask`.
            "/mcp" => Self::Request,
            // What isn't under /api/v1 is another door to the same questions.
            _ if posts && !route.starts_with("/api/v1/") => Self::Ask,
            _ => Self::Request,
        }
    }
}

/// Whether requests to a route are answered by a worker, and keep their place for as long as that takes.
pub(crate) fn waits_for_worker(route: &str) -> bool {
    // Tools come by one route, those that are answered at once, too.
    matches!(
        route,
        "/api/v1/search" | "/mcp" | "/v1/chat/completions" | "/v1/embeddings"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_fall_into_the_class_of_what_they_cost() {
        let class = |method: &str, route| Class::of(&method.parse().unwrap(), Some(route));
        assert_eq!(class("POST", "/api/v1/questions"), Class::Ask);
        assert_eq!(class("POST", "/api/v1/search"), Class::Ask);
        assert_eq!(class("POST", "/v1/chat/completions"), Class::Ask);
        assert_eq!(class("GET", "/v1/models"), Class::Request);
        assert_eq!(class("POST", "/mcp"), Class::Request);
        assert_eq!(class("GET", "/api/v1/questions/{id}"), Class::Request);
        assert_eq!(class("POST", "/api/v1/documents"), Class::Upload);
        assert_eq!(class("PUT", "/api/v1/documents/{id}/file"), Class::Upload);
        assert_eq!(class("GET", "/api/v1/documents/{id}/file"), Class::Request);
        assert_eq!(class("GET", "/api/v1/health/ready"), Class::Exempt);
        assert_eq!(class("GET", "/metrics"), Class::Exempt);
    }
}
