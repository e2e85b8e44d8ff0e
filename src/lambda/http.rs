//! HTTP in Lambda: the events of a function URL, API Gateway and an Application Load Balancer, and the answers that they
//! take.
//!
//! The form of a payload shows its [`Front`]. All fronts have an object `requestContext`, and no other payload of the
//! gateway has one. [`event`] says which fronts decode the path, and [`answer`] has the form of each answer.
//!
//! | front | documented at |
//! |---|---|
//! | function URL | <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html> |
//! | HTTP API | <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html> |
//! | REST API | <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html> |
//! | Application Load Balancer | <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html> |
//! | VPC Lattice | <https://docs.aws.amazon.com/vpc-lattice/latest/ug/lambda-functions.html> |

mod answer;
mod event;
mod json;

pub use answer::AnswerTooLarge;
pub use event::{EventError, EventProblem, recognise};

/// The service that makes an event of an HTTP request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Front {
    FunctionUrl,
    /// API Gateway, HTTP API, payload 2.0.
    HttpApi2,
    /// API Gateway, HTTP API, payload 1.0.
    HttpApi1,
    /// API Gateway, REST API with a proxy integration.
    RestApi,
    /// With or without the attribute `lambda.multi_value_headers.enabled` of its target group.
    LoadBalancer {
        multi_value_headers: bool,
    },
    /// Not supported; it gets an answer that says so.
    VpcLattice,
}

#[cfg(test)]
mod tests;
