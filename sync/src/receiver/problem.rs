//! Answers that are not a success.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use crate::api::{Problem, ProblemKind};

use super::db;

/// Seconds within which hubs that were turned away come back, spread evenly so that they do not come together.
const RETRY_AFTER_S: std::ops::RangeInclusive<u32> = 1..=30;

/// Why a request is not done.
#[derive(Debug)]
pub enum Failure {
    /// The caller's doing, or something it must know of.
    Reject(Box<Reject>),
    /// No room or no database now.
    Busy(String),
    /// The receiver's own; logged, not shown.
    Internal(anyhow::Error),
}

#[derive(Debug)]
pub struct Reject {
    pub status: StatusCode,
    pub kind: ProblemKind,
    pub detail: String,
    pub applied_through: Option<u64>,
    pub central_units: Vec<(Uuid, String, String)>,
}

impl Failure {
    pub fn reject(status: StatusCode, kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self::Reject(Box::new(Reject {
            status,
            kind,
            detail: detail.into(),
            applied_through: None,
            central_units: Vec::new(),
        }))
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::reject(StatusCode::BAD_REQUEST, ProblemKind::BadRequest, detail)
    }

    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::reject(StatusCode::PAYLOAD_TOO_LARGE, ProblemKind::BadRequest, detail)
    }

    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::reject(StatusCode::UNAUTHORIZED, ProblemKind::Unauthorized, detail)
    }

    /// The lane stands elsewhere than the batch says.
    pub fn lane(status: StatusCode, kind: ProblemKind, detail: String, applied_through: u64) -> Self {
        Self::Reject(Box::new(Reject {
            status,
            kind,
            detail,
            applied_through: Some(applied_through),
            central_units: Vec::new(),
        }))
    }

    /// Turns it into an answer; `random` spreads Retry-After, `now_ms` is the receiver's time.
    pub fn into_response(self, now_ms: i64, random: u32) -> Response {
        let (status, kind, detail, applied_through, central_units) = match self {
            Failure::Reject(reject) => {
                let Reject { status, kind, detail, applied_through, central_units } = *reject;
                (status, kind, detail, applied_through, central_units)
            }
            Failure::Busy(detail) => {
                (StatusCode::SERVICE_UNAVAILABLE, ProblemKind::Busy, detail, None, Vec::new())
            }
            Failure::Internal(error) => {
                tracing::error!(error = format!("{error:#}"), "failed to serve a request");
                let detail = "the receiver failed; its log says why".to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, ProblemKind::Internal, detail, None, Vec::new())
            }
        };
        let mut response =
            (status, Json(Problem { kind, detail, applied_through, now_ms, central_units })).into_response();
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            let span = RETRY_AFTER_S.end() - RETRY_AFTER_S.start() + 1;
            let seconds = RETRY_AFTER_S.start() + random % span;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        if db::is_fatal(&error) {
            tracing::warn!(error = %error, "the database did not answer");
            Failure::Busy("the database does not answer now".to_owned())
        } else {
            Failure::Internal(error.into())
        }
    }
}

impl From<deadpool_postgres::PoolError> for Failure {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        tracing::warn!(error = %error, "no connection to the database");
        Failure::Busy("the database does not answer now".to_owned())
    }
}

impl From<super::admission::Full> for Failure {
    fn from(_: super::admission::Full) -> Self {
        Failure::Busy("the receiver is full now".to_owned())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Internal(error)
    }
}
