use super::*;
use crate::aws::{Answer, HttpTransport, ReadBody};
use crate::store::testing::{dynamodb_table, named_table, table_over};
use http::Request;
use std::collections::VecDeque;
use std::sync::Mutex;

/// A failure of a request.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    /// The service never gets it.
    Lost,
    /// The service carries it out, and the answer is lost.
    AnswerLost,
    /// As [`Fault::AnswerLost`], and another writer comes right after it.
    AnswerLostAndReplaced,
    AnswerCut,
    Status(u16, &'static str),
    Refused,
}

/// The network to DynamoDB, with faults for its first requests.
#[derive(Debug)]
struct Network {
    http: HttpTransport,
    faults: Mutex<VecDeque<Fault>>,
    requests: Mutex<Vec<Request<Bytes>>>,
}

impl Network {
    fn new(faults: &[Fault]) -> Self {
        let faults = Mutex::new(faults.iter().copied().collect());
        Self { http: HttpTransport::new().unwrap(), faults, requests: Mutex::default() }
    }
}

impl Transport for &'static Network {
    async fn send(
        &self,
        request: Request<Bytes>,
        read_body: ReadBody,
        timeout: Duration,
    ) -> Result<Answer, TransportError> {
        self.requests.lock().unwrap().push(request.clone());
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            Some(Fault::Lost) => return Err(TransportError::Timeout),
            Some(Fault::Refused) => return Err(TransportError::Connect("refused".to_owned())),
            Some(Fault::Status(status, code)) => {
                let body = format!(r#"{{"__type":"com.amazonaws#{code}","message":"injected"}}"#).into();
                return Ok(Answer { status, body, ..Answer::default() });
            }
            _ => {}
        }
        let mut answer = self.http.send(request.clone(), read_body, timeout).await?;
        match fault {
            Some(Fault::AnswerLost) => Err(TransportError::Network("closed".to_owned())),
            Some(Fault::AnswerLostAndReplaced) => {
                let body = String::from_utf8(request.body().to_vec()).unwrap();
                let other =
                    body.replace(r#""v":{"N":"2"}"#, r#""v":{"N":"3"}"#).replace(r#"{"N":"1"}"#, r#"{"N":"2"}"#);
                assert_ne!(body, other);
                let (parts, _) = request.into_parts();
                let done = self.http.send(Request::from_parts(parts, other.into()), read_body, timeout).await?;
                assert_eq!(done.status, 200, "{done:?}");
                Err(TransportError::Timeout)
            }
            Some(Fault::AnswerCut) => {
                answer.body.truncate(answer.body.len().saturating_sub(1));
                Ok(answer)
            }
            _ => Ok(answer),
        }
    }
}

fn item(version: u64, body: &'static str) -> Item {
    Item { key: Key::new("s#0", "head"), version, expires: None, body: Bytes::from_static(body.as_bytes()) }
}

/// A table that holds version 1, over a network with `faults`.
async fn table(faults: &[Fault]) -> (DynamoDbStore<&'static Network>, &'static Network) {
    let network: &'static Network = Box::leak(Box::new(Network::new(&[])));
    let mut table = DynamoDbStore::of(table_over(network));
    table.backoff = Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(1), tries: 4 };
    table.put(item(1, "first"), TRY_TIMEOUT).await.unwrap();
    network.requests.lock().unwrap().clear();
    *network.faults.lock().unwrap() = faults.iter().copied().collect();
    (table, network)
}

const THROTTLED: Fault = Fault::Status(400, "ProvisionedThroughputExceededException");
const INTERNAL: Fault = Fault::Status(500, "InternalServerError");

#[tokio::test]
async fn tries_again_after_throttling_errors_of_the_service_and_lost_answers() {
    for fault in [THROTTLED, INTERNAL, Fault::Lost, Fault::AnswerLost, Fault::AnswerCut, Fault::Refused] {
        let (table, network) = table(&[fault, THROTTLED]).await;
        assert_eq!(table.get(&item(1, "").key).await.unwrap(), Some(item(1, "first")), "{fault:?}");
        assert_eq!(network.requests.lock().unwrap().len(), 3);
    }
}

#[tokio::test]
async fn learns_whether_a_replacement_whose_answer_was_lost_took_effect() {
    for fault in [Fault::Lost, Fault::AnswerLost, INTERNAL, Fault::AnswerCut, THROTTLED, Fault::Refused] {
        let (table, _) = table(&[fault]).await;
        assert_eq!(table.replace(item(2, "mine"), Some(1)).await, Ok(Replaced::Done), "{fault:?}");
        assert_eq!(table.get(&item(1, "").key).await.unwrap(), Some(item(2, "mine")));
        let (table, _) = self::table(&[fault]).await;
        assert_eq!(table.replace(item(2, "mine"), Some(7)).await, Ok(Replaced::Conflict), "{fault:?}");
    }
    let (table, _) = table(&[Fault::AnswerLostAndReplaced]).await;
    assert_eq!(table.replace(item(2, "mine"), Some(1)).await, Ok(Replaced::Conflict));
    assert_eq!(table.get(&item(1, "").key).await.unwrap().unwrap().version, 3);
}

#[tokio::test]
async fn learns_whether_a_deletion_whose_answer_was_lost_took_effect() {
    for fault in [Fault::Lost, Fault::AnswerLost, THROTTLED] {
        let (table, _) = table(&[fault]).await;
        assert_eq!(table.delete(&item(1, "").key, Some(1)).await, Ok(Replaced::Done), "{fault:?}");
        assert_eq!(table.get(&item(1, "").key).await, Ok(None));
        let (table, _) = self::table(&[fault]).await;
        assert_eq!(table.delete(&item(1, "").key, Some(7)).await, Ok(Replaced::Conflict), "{fault:?}");
    }
}

#[tokio::test]
async fn sends_a_put_and_a_call_with_a_failed_condition_once() {
    for fault in [THROTTLED, INTERNAL, Fault::Lost, Fault::AnswerLost, Fault::Refused] {
        let (table, network) = table(&[fault]).await;
        let error = table.put(item(2, "x"), TRY_TIMEOUT).await.unwrap_err();
        assert!(error.is_transient(), "{fault:?}");
        assert_eq!(error.had_no_effect(), matches!(fault, Fault::Refused | THROTTLED), "{fault:?}");
        assert_eq!(network.requests.lock().unwrap().len(), 1);
    }
    let (table, network) = table(&[]).await;
    assert_eq!(table.replace(item(2, "x"), Some(3)).await, Ok(Replaced::Conflict));
    assert_eq!(network.requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn gives_up_after_its_tries_and_says_whether_the_call_may_have_taken_effect() {
    let (table, network) = table(&[THROTTLED; 4]).await;
    let error = table.replace(item(2, "x"), Some(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Throttled(_)) && error.had_no_effect(), "{error}");
    assert_eq!(network.requests.lock().unwrap().len(), 4);
    let (table, _) = self::table(&[Fault::AnswerLost, THROTTLED, THROTTLED, THROTTLED]).await;
    let error = table.replace(item(2, "x"), Some(1)).await.unwrap_err();
    assert!(error.is_transient() && !error.had_no_effect(), "{error}");
}

#[tokio::test]
async fn gives_up_when_its_time_is_over() {
    let (mut table, network) = table(&[THROTTLED; 4]).await;
    table.patience = Duration::from_millis(200);
    table.backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(1), tries: 4 };
    assert!(matches!(table.get(&item(1, "").key).await, Err(StoreError::Throttled(_))));
    assert_eq!(network.requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn says_what_an_operator_can_do() {
    let network: &'static Network = Box::leak(Box::new(Network::new(&[])));
    let table = DynamoDbStore::of(named_table("absent".to_owned(), network));
    let error = table.get(&item(1, "").key).await.unwrap_err();
    assert_eq!(error, StoreError::NoTable { table: "absent".to_owned() });
    assert!(!error.is_transient() && error.to_string().contains("correct STATE_TABLE"), "{error}");
    let table_of = [
        (
            Fault::Status(400, "AccessDeniedException"),
            "no permission for the table: 400, AccessDeniedException: injected",
        ),
        (Fault::Status(400, "ValidationException"), "its keys must be \"pk\" and \"sk\""),
        (Fault::Status(400, "ExpiredTokenException"), "no permission"),
    ];
    for (fault, expected) in table_of {
        let (table, network) = self::table(&[fault]).await;
        let error = table.query(&Range::all("s#0"), None).await.unwrap_err();
        assert!(!error.is_transient() && error.to_string().contains(expected), "{error}");
        assert_eq!(network.requests.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn reports_what_is_no_item_as_damaged() {
    let (table, network) = table(&[]).await;
    let bodies = [
        r#"{"TableName":"?","Item":{"pk":{"S":"s#0"},"sk":{"S":"head"},"v":{"N":"1"}}}"#,
        r#"{"TableName":"?","Item":{"pk":{"S":"s#0"},"sk":{"S":"head"},"v":{"N":"1"},"b":{"S":"AA=="}}}"#,
        r#"{"TableName":"?","Item":{"pk":{"S":"s#0"},"sk":{"S":"head"},"v":{"N":"-1"},"b":{"B":"AA=="}}}"#,
        r#"{"TableName":"?","Item":{"pk":{"S":"s#0"},"sk":{"S":"head"},"v":{"N":"1"},"ttl":{"N":"1e30"},"b":{"B":"AA=="}}}"#,
    ];
    for body in bodies {
        let body = Bytes::from(body.replace('?', table.table.name()));
        table.table.call(Operation::PutItem, body, TRY_TIMEOUT).await.unwrap();
        for error in [table.get(&item(1, "").key).await.unwrap_err(), {
            table.query(&Range::all("s#0"), None).await.unwrap_err()
        }] {
            assert!(matches!(error, StoreError::Damaged(_)) && !error.is_transient(), "{error}");
        }
    }
    // Attributes that others add are left alone.
    let body =
        r#"{"TableName":"?","Item":{"pk":{"S":"s#0"},"sk":{"S":"head"},"v":{"N":"1"},"b":{"B":"AA=="},"x":{"L":[]}}}"#;
    table.table.call(Operation::PutItem, body.replace('?', table.table.name()).into(), TRY_TIMEOUT).await.unwrap();
    assert_eq!(table.get(&item(1, "").key).await.unwrap(), Some(item(1, "\0")));
    assert!(network.faults.lock().unwrap().is_empty());
}

#[tokio::test]
async fn signs_requests_of_the_json_protocol_and_reads_consistently() {
    let (table, network) = table(&[]).await;
    table.query(&Range::prefix("s#0", "h"), Some("h")).await.unwrap();
    table.get(&item(1, "").key).await.unwrap();
    table.replace(Item { expires: Some(17), ..item(2, "x") }, Some(1)).await.unwrap();
    table.delete(&item(1, "").key, Some(2)).await.unwrap();
    let requests = network.requests.lock().unwrap();
    let name = table.table.name();
    let expected = [
        (
            "Query",
            format!(
                r#"{{"TableName":"{name}","ConsistentRead":true,"KeyConditionExpression":"pk = :p AND begins_with(sk, :s)","ExpressionAttributeValues":{{":p":{{"S":"s#0"}},":s":{{"S":"h"}}}},"ExclusiveStartKey":{{"pk":{{"S":"s#0"}},"sk":{{"S":"h"}}}}}}"#
            ),
        ),
        (
            "GetItem",
            format!(
                r#"{{"TableName":"{name}","Key":{{"pk":{{"S":"s#0"}},"sk":{{"S":"head"}}}},"ConsistentRead":true}}"#
            ),
        ),
        (
            "PutItem",
            format!(
                r#"{{"TableName":"{name}","Item":{{"pk":{{"S":"s#0"}},"sk":{{"S":"head"}},"v":{{"N":"2"}},"ttl":{{"N":"17"}},"b":{{"B":"eA=="}}}},"ConditionExpression":"v = :v","ExpressionAttributeValues":{{":v":{{"N":"1"}}}},"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}}"#
            ),
        ),
        (
            "DeleteItem",
            format!(
                r#"{{"TableName":"{name}","Key":{{"pk":{{"S":"s#0"}},"sk":{{"S":"head"}}}},"ConditionExpression":"v = :v","ExpressionAttributeValues":{{":v":{{"N":"2"}}}},"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}}"#
            ),
        ),
    ];
    assert_eq!(requests.len(), expected.len());
    for (request, (operation, body)) in requests.iter().zip(expected) {
        assert_eq!(request.headers()["x-amz-target"], format!("DynamoDB_20120810.{operation}"));
        assert_eq!(request.headers()["content-type"], "application/x-amz-json-1.0");
        let authorization = request.headers()["authorization"].to_str().unwrap();
        assert!(authorization.contains("/eu-west-1/dynamodb/aws4_request"), "{authorization}");
        assert_eq!(String::from_utf8_lossy(request.body()), body);
    }
}

#[tokio::test]
async fn keeps_the_time_of_expiry_where_dynamodb_looks_for_it() {
    let table = dynamodb_table();
    table.put(Item { expires: Some(1_800_000_000), ..item(1, "x") }, TRY_TIMEOUT).await.unwrap();
    let request =
        format!(r#"{{"TableName":"{}","Key":{{"pk":{{"S":"s#0"}},"sk":{{"S":"head"}}}}}}"#, table.table.name());
    let answer = table.table.call(Operation::GetItem, request.into(), TRY_TIMEOUT).await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["Item"]["ttl"], serde_json::json!({"N": "1800000000"}));
}
