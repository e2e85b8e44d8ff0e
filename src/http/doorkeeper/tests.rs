use super::*;
use crate::aws::secrets::SecretArn;
use crate::aws::{Answer, ReadBody, TransportError};
use aws_credential_types::Credentials;
use bytes::Bytes;
use std::sync::Mutex as Lock;

const BASIC: &str = "Basic cHVzaDpzZWNyZXQ=";
const NEW: &str = "Bearer new";

/// Secrets Manager: answers the same until it is told something else.
#[derive(Default)]
struct Service {
    answer: Lock<Option<&'static str>>,
    fetches: Lock<u32>,
}

impl Service {
    fn set(&self, secret: Option<&'static str>) {
        *self.answer.lock().unwrap() = secret;
    }

    fn fetches(&self) -> u32 {
        std::mem::take(&mut *self.fetches.lock().unwrap())
    }
}

impl Transport for &Service {
    async fn send(&self, _: ::http::Request<Bytes>, _: ReadBody, _: Duration) -> Result<Answer, TransportError> {
        *self.fetches.lock().unwrap() += 1;
        let answer = *self.answer.lock().unwrap();
        let secret = answer.ok_or(TransportError::Timeout)?;
        let body = serde_json::json!({ "SecretString": secret }).to_string();
        Ok(Answer { status: 200, body: body.into(), ..Answer::default() })
    }
}

fn doorkeeper(service: &Service) -> Doorkeeper<&Service> {
    let arn = SecretArn::parse("arn:aws:secretsmanager:eu-west-1:123456789012:secret:door").unwrap();
    let credentials = CredentialsSource::Fixed(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"));
    let secret = Secret::new(arn, service, credentials);
    Doorkeeper { rule: Rule::Secret(Box::new(Fetched { secret, cache: Mutex::default() })) }
}

fn request(authorization: Option<&'static str>, authorised_by_aws: bool) -> Request<'static> {
    let headers = authorization.map(|value| ("authorization".into(), value.into()));
    Request {
        method: "PUT".into(),
        path: Ok("/metrics".into()),
        query: "".into(),
        headers: headers.into_iter().collect(),
        body: b""[..].into(),
        authorised_by_aws,
    }
}

async fn ask<T: Transport>(doorkeeper: &Doorkeeper<T>, authorization: Option<&'static str>) -> Result<(), Denied> {
    let deadline = Instant::now() + Duration::from_secs(9);
    doorkeeper.admit(&request(authorization, false), deadline).await
}

#[tokio::test(start_paused = true)]
async fn fetches_the_secret_once_in_five_minutes() {
    let service = Service::default();
    service.set(Some(r#"{"username":"push","password":"secret"}"#));
    let door = doorkeeper(&service);
    for _ in 0..10 {
        assert_eq!(ask(&door, Some(BASIC)).await, Ok(()));
        assert_eq!(ask(&door, None).await, Err(Denied::Unauthorized));
        tokio::time::advance(Duration::from_secs(29)).await;
    }
    assert_eq!(service.fetches(), 1);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(ask(&door, Some(BASIC)).await, Ok(()));
    assert_eq!(service.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn fetches_again_for_a_request_that_does_not_match_at_most_every_ten_seconds() {
    let service = Service::default();
    service.set(Some(r#"{"username":"push","password":"secret"}"#));
    let door = doorkeeper(&service);
    assert_eq!(ask(&door, Some(NEW)).await, Err(Denied::Unauthorized));
    assert_eq!(service.fetches(), 1, "the secret was fetched for this request");
    service.set(Some(r#"{"token":"new"}"#));
    tokio::time::advance(Duration::from_secs(9)).await;
    assert_eq!(ask(&door, Some(NEW)).await, Err(Denied::Unauthorized));
    assert_eq!(ask(&door, Some(BASIC)).await, Ok(()));
    assert_eq!(service.fetches(), 0);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(ask(&door, None).await, Err(Denied::Unauthorized));
    assert_eq!(service.fetches(), 0, "no secret lets in a request without a credential");
    assert_eq!(ask(&door, Some(NEW)).await, Ok(()));
    assert_eq!(ask(&door, Some(BASIC)).await, Err(Denied::Unauthorized));
    assert_eq!(service.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn keeps_an_expired_copy_while_the_secret_cannot_be_fetched() {
    let service = Service::default();
    service.set(Some(r#"{"username":"push","password":"secret"}"#));
    let door = doorkeeper(&service);
    assert_eq!(ask(&door, Some(BASIC)).await, Ok(()));
    service.set(None);
    tokio::time::advance(Duration::from_hours(1)).await;
    service.fetches();
    for _ in 0..3 {
        assert_eq!(ask(&door, Some(BASIC)).await, Ok(()));
        assert_eq!(ask(&door, Some(NEW)).await, Err(Denied::Unauthorized));
    }
    assert_eq!(service.fetches(), TRIES, "it is not asked for each request");
    tokio::time::advance(Duration::from_secs(10)).await;
    service.set(Some(r#"{"token":"new"}"#));
    assert_eq!(ask(&door, Some(NEW)).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn tells_nobody_that_a_credential_is_wrong_while_there_is_no_secret() {
    let service = Service::default();
    let door = doorkeeper(&service);
    for authorization in [Some(BASIC), Some(NEW), None] {
        assert_eq!(ask(&door, authorization).await, Err(Denied::Unavailable));
    }
    service.set(Some(r#"{"token":"new"}"#));
    assert_eq!(ask(&door, Some(NEW)).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn is_closed_by_a_secret_without_a_credential() {
    let service = Service::default();
    service.set(Some(r#"{"username":"push","password":""}"#));
    let door = doorkeeper(&service);
    for authorization in [Some("Basic cHVzaDo="), Some(BASIC), None] {
        assert_eq!(ask(&door, authorization).await, Err(Denied::Unauthorized));
    }
}

#[tokio::test]
async fn follows_the_setting() {
    let known = HttpCredentials::new(Some("push".to_owned()), Some("secret".to_owned()), None);
    let denied = Err(Denied::Unauthorized);
    let table = [
        (HttpAuth::None, None, false, Ok(())),
        (HttpAuth::Iam, Some(BASIC), false, Err(Denied::Forbidden)),
        (HttpAuth::Iam, None, true, Ok(())),
        (HttpAuth::Secret(None), Some(BASIC), true, denied),
        (HttpAuth::Credentials(HttpCredentials::default()), Some("Basic Og=="), true, denied),
        (HttpAuth::Credentials(known.clone()), None, true, denied),
        (HttpAuth::Credentials(known), Some(BASIC), false, Ok(())),
    ];
    let service = Service::default();
    for (auth, authorization, authorised_by_aws, expected) in table {
        let door = Doorkeeper::new(&auth, &service);
        let admitted = door.admit(&request(authorization, authorised_by_aws), Instant::now()).await;
        assert_eq!(admitted, expected, "{auth:?} {authorization:?}");
    }
}
