"""The shapes of a message (contract: the event, "A message", and the details of rejections)."""
import base64
import gzip
import json

import pytest

from support.events import now_ms
from support.gateway import Gateway
from support.receiver import Receiver, bits
from support.sqs import event as sqs_event
from support.sqs import record

EVENT = {"dimensions": {"customerId": "customer1"}, "metrics": {"temperature": "14.3", "ph": 6.7}}
TEXT = json.dumps(EVENT)
LABELS = (("customerId", "customer1"),)


def arrived(sent):
    """Returns true if EVENT arrived, and nothing else."""
    return {key: [raw for _, raw in samples] for key, samples in sent.samples.items()} == {
        ("temperature", LABELS): [bits(14.3)], ("ph", LABELS): [bits(6.7)]}


# --- wrappers --------------------------------------------------------------------------------------------------------

def notification(message):
    """Returns a notification as SNS delivers it to a queue (raw delivery off) or an HTTP endpoint."""
    message = message if isinstance(message, str) else json.dumps(message)
    return {"Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": "arn:aws:sns:us-east-1:123456789012:readings", "Message": message,
            "Timestamp": "2023-02-14T18:06:57.000Z", "SignatureVersion": "1", "Signature": "EXAMPLE",
            "SigningCertURL": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService.pem",
            "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe"}


def sns_records(*messages):
    """Returns a payload as SNS sends it to a function."""
    return {"Records": [{
        "EventSource": "aws:sns", "EventVersion": "1.0",
        "EventSubscriptionArn": "arn:aws:sns:us-east-1:123456789012:readings:2bcfbf39-05c3-41de-beaa-fcfcc21c8f55",
        "Sns": {**notification(message), "Subject": None, "MessageAttributes": {}}} for message in messages]}


def eventbridge(detail):
    """Returns an EventBridge event as a function or a queue receives it."""
    return {"version": "0", "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", "detail-type": "reading", "source": "sensors",
            "account": "123456789012", "time": "2023-02-14T18:06:57Z", "region": "us-east-1", "resources": [],
            "detail": detail}


def encoded(message):
    """Returns base64, as the SQS action of an AWS IoT rule can make it."""
    message = message if isinstance(message, (str, bytes)) else json.dumps(message)
    return base64.b64encode(message.encode() if isinstance(message, str) else message).decode()


def packed(data):
    """Returns a gzip stream that is the same in each process."""
    return gzip.compress(data, mtime=0)


def nested(*wrappers, message=EVENT):
    """Returns `message` in wrappers, the outermost first."""
    for wrapper in reversed(wrappers):
        message = wrapper(message)
    return message


DIRECT = {
    "an event": EVENT, "an array": [EVENT], "SNS records": sns_records(TEXT), "an SNS notification": notification(TEXT),
    "SNS records of an array": sns_records(json.dumps([EVENT])), "EventBridge": eventbridge(EVENT),
    "EventBridge of an array": eventbridge([EVENT]), "SNS in EventBridge": eventbridge(notification(TEXT)),
    "EventBridge in SNS": notification(eventbridge(EVENT)), "EventBridge in SNS records": sns_records(json.dumps(eventbridge(EVENT))),
    "base64 in an SNS notification": notification(encoded(TEXT)), "base64 in SNS records": sns_records(encoded(TEXT)),
    "four EventBridge events": nested(*[eventbridge] * 4), "four SNS notifications": nested(*[notification] * 4),
    "EventBridge and SNS by turns, four deep": nested(eventbridge, notification, eventbridge, notification),
}


@pytest.mark.parametrize("payload", DIRECT.values(), ids=DIRECT)
def test_accepts_as_a_direct_payload(gateway, payload):
    assert arrived(gateway.accepted(payload))


BODIES = {
    "an event": TEXT, "an array": json.dumps([EVENT]), "an event with white space": f" \r\n\t{TEXT}\n",
    "an SNS notification": json.dumps(notification(TEXT)), "EventBridge": json.dumps(eventbridge(EVENT)),
    "an SNS notification of an array": json.dumps(notification([EVENT])),
    "SNS in EventBridge": json.dumps(eventbridge(notification(TEXT))),
    "EventBridge in SNS": json.dumps(notification(eventbridge(EVENT))),
    "EventBridge in SNS in EventBridge": json.dumps(nested(eventbridge, notification, eventbridge)),
    "base64 of an event": encoded(TEXT), "base64 of an array": encoded([EVENT]),
    "base64 of an SNS notification": encoded(notification(TEXT)), "base64 of EventBridge": encoded(eventbridge(EVENT)),
    "base64 in an SNS notification": json.dumps(notification(encoded(TEXT))),
    "base64 without padding needed": encoded(TEXT + " " * (-len(TEXT) % 3)),
    "base64 with one padding sign": encoded(TEXT + " " * ((2 - len(TEXT)) % 3)),
    "base64 with two padding signs": encoded(TEXT + " " * ((1 - len(TEXT)) % 3)),
    "base64 of an event with non-ASCII": encoded(json.dumps(EVENT, ensure_ascii=False)),
}


@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "FIFO"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_accepts_as_the_body_of_an_sqs_record(gateway, body, fifo):
    sent = gateway.sqs(record(body, group="pond" if fifo else None))
    assert sent.result.failures == []
    assert arrived(sent)


@pytest.mark.parametrize("payload", [[], sqs_event(), sqs_event("[]"), sqs_event(encoded("[]")), sns_records("[]"),
                                     notification("[]"), eventbridge([])],
                         ids=["an empty array", "no records", "an empty array in SQS", "in base64", "in SNS records",
                              "in an SNS notification", "in EventBridge"])
def test_does_nothing_for_a_message_without_an_event(gateway, payload):
    sent = gateway.direct(payload)
    assert sent.result.ok, sent.result
    assert sent.writes == []
    if "batchItemFailures" in sent.result.json:
        assert sent.result.failures == []
    else:
        assert (sent.result.json["accepted"], sent.result.json["rejected_count"]) == (0, 0)


def test_reads_an_array_in_an_sqs_body_as_many_events(gateway):
    body = json.dumps([{"metrics": {"v": number}, "dimensions": {"n": number}} for number in range(10)])
    sent = gateway.sqs(body)
    assert sent.result.failures == []
    assert len(sent.samples) == 10


def test_sends_records_of_all_shapes_together(gateway):
    bodies = [body.replace("customer1", f"customer{number}") if "customer1" in body else body
              for number, body in enumerate(BODIES.values())]
    sent = gateway.sqs(*bodies)
    assert sent.result.failures == []
    assert len(sent.samples) >= 2


@pytest.mark.parametrize("payload, accepted", [
    pytest.param(sns_records(TEXT, json.dumps({"metrics": {"v": 1}})), 2, id="two SNS records"),
    pytest.param(sns_records(json.dumps([EVENT, {"metrics": {"v": 1}}]), json.dumps({"metrics": {"w": 1}})), 3,
                 id="an SNS record of two events and one of one"),
    pytest.param(eventbridge([EVENT, {"metrics": {"v": 1}}]), 2, id="EventBridge of two events"),
])
def test_counts_events_in_wrapped_direct_payloads(gateway, payload, accepted):
    assert gateway.accepted(payload).result.json["accepted"] == accepted


def reordered(value, order):
    """Returns the same JSON with the keys of every object in another order."""
    if isinstance(value, dict):
        return {key: reordered(value[key], order) for key in order(value)}
    if isinstance(value, list):
        return [reordered(item, order) for item in value]
    return value


@pytest.mark.parametrize("order", [sorted, lambda keys: sorted(keys, reverse=True), lambda keys: reversed(list(keys))],
                         ids=["sorted", "sorted backwards", "reversed"])
@pytest.mark.parametrize("payload", [EVENT, sns_records(TEXT), notification(TEXT), eventbridge(EVENT), eventbridge(notification(TEXT)),
                                     sqs_event(record(TEXT)), sqs_event(record(TEXT, group="pond"))],
                         ids=["event", "SNS records", "SNS", "EventBridge", "SNS in EventBridge", "SQS", "SQS FIFO"])
def test_recognises_a_shape_with_its_keys_in_any_order(gateway, payload, order):
    for indent in None, 4:
        sent = gateway.direct(json.dumps(reordered(payload, order), indent=indent))
        assert sent.result.ok, sent.result
        assert arrived(sent)


@pytest.mark.parametrize("missing", ["messageAttributes", "attributes", "md5OfBody", "awsRegion"])
def test_accepts_a_record_without_the_keys_that_are_not_needed(gateway, missing):
    one = record(TEXT)
    del one[missing]
    sent = gateway.sqs(one)
    assert sent.result.failures == []
    assert arrived(sent)


def test_ignores_keys_that_aws_may_add_to_a_wrapper(gateway):
    for payload in (sns_records(TEXT), eventbridge(EVENT), notification(TEXT), sqs_event(record(TEXT))):
        payload = {**payload, "addedLater": {"a": [1, {"b": "\n"}]}}
        for one in payload.get("Records", []):
            one["addedLater"] = [None, {"c": 1}]
        sent = gateway.direct(payload)
        assert sent.result.ok, sent.result
        assert arrived(sent)


DEEP = {
    "five EventBridge events": nested(*[eventbridge] * 5), "five SNS notifications": nested(*[notification] * 5),
    "five by turns": nested(eventbridge, notification, eventbridge, notification, eventbridge),
    "fifty EventBridge events": nested(*[eventbridge] * 50),
}


@pytest.mark.parametrize("message", DEEP.values(), ids=DEEP)
def test_unwraps_at_most_four_levels(gateway, message):
    reason, detail = gateway.refused(message)
    assert reason == "invalid_event"
    assert "4" in detail or "four" in detail
    assert gateway.sqs(record(message, message_id="m-1")).result.failures == ["m-1"]


# --- rejected messages -----------------------------------------------------------------------------------------------

S3 = {"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventName": "ObjectCreated:Put",
                   "s3": {"bucket": {"name": "readings"}, "object": {"key": "tank-7.json", "size": 1024}}}]}
KINESIS = {"Records": [{"kinesis": {"partitionKey": "tank-7", "data": encoded(TEXT), "sequenceNumber": "1"},
                        "eventSource": "aws:kinesis", "eventName": "aws:kinesis:record",
                        "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/readings"}]}
DYNAMODB = {"Records": [{"eventID": "1", "eventName": "INSERT", "eventSource": "aws:dynamodb", "dynamodb": {"Keys": {}},
                         "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/x"}]}
HTTP = {"version": "2.0", "routeKey": "$default", "rawPath": "/metrics", "headers": {}, "body": TEXT, "isBase64Encoded": False}

OTHERS = {
    "S3 records": S3, "Kinesis records": KINESIS, "DynamoDB records": DYNAMODB, "an HTTP request": HTTP,
    "Records that are an object": {"Records": {}}, "Records that are null": {"Records": None},
    "Records that are a string": {"Records": "x"}, "Records of numbers": {"Records": [1, 2]},
    "Records of null": {"Records": [None]}, "Records of events": {"Records": [EVENT]}, "Records of nothing": {"Records": [{}]},
    "null": None, "a number": 14.3, "zero": 0, "a string": "temperature", "an empty string": "", "true": True,
    "text in a string": "temperature=14.3", "an empty object": {}, "something else": {"hello": "world"},
}


@pytest.mark.parametrize("payload", OTHERS.values(), ids=OTHERS)
def test_rejects_any_other_payload_and_names_the_expected_one(gateway, payload):
    reason, detail = gateway.refused(json.dumps(payload))
    assert reason == "invalid_event"
    assert len(detail) > 20 and " " in detail, detail


@pytest.mark.parametrize("payload", [S3, KINESIS, DYNAMODB], ids=["S3", "Kinesis", "DynamoDB"])
def test_rejects_records_of_other_services_and_names_the_known_ones(gateway, payload):
    _, detail = gateway.refused(payload)
    assert "SQS" in detail and "SNS" in detail


@pytest.mark.parametrize("payload", [None, 14.3, "temperature", True], ids=["null", "number", "string", "true"])
def test_rejects_a_value_that_is_not_an_object_and_asks_for_an_event(gateway, payload):
    _, detail = gateway.refused(json.dumps(payload))
    assert "event" in detail or "metrics" in detail


@pytest.mark.parametrize("payload", OTHERS.values(), ids=OTHERS)
def test_rejects_any_other_sqs_body(gateway, payload):
    sent = gateway.sqs(record(json.dumps(payload), message_id="other"), record(TEXT, message_id="good"))
    assert sent.result.failures == ["other"]
    assert sent.result.metrics["rejected.invalid_event"] == 1
    assert arrived(sent)


def test_rejects_the_confirmation_of_an_sns_subscription(gateway):
    payload = {**notification("You have chosen to subscribe to the topic."), "Type": "SubscriptionConfirmation", "Token": "t",
               "SubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription"}
    reason, detail = gateway.refused(payload)
    assert reason == "invalid_event"
    assert "subscription confirmation" in detail and "SubscribeURL" in detail


POINTER = {"s3BucketName": "big-messages", "s3Key": "k-1"}
FOREIGN = {
    "an S3 pointer of Java": (["com.amazon.sqs.javamessaging.MessageS3Pointer", POINTER], "S3 pointer"),
    "an S3 pointer of newer clients": (["software.amazon.payloadoffloading.PayloadS3Pointer", POINTER], "S3 pointer"),
    "an S3 pointer alone": (POINTER, "S3 pointer"),
    "the test event of S3": ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}, "test event"),
    "a subscription of CloudWatch Logs": ({"awslogs": {"data": "H4sI"}}, "CloudWatch Logs"),
    "data of CloudWatch Logs": ({"messageType": "DATA_MESSAGE", "logGroup": "g", "logEvents": []}, "CloudWatch Logs"),
    "S3": (S3, "S3 notification"), "Kinesis": (KINESIS, "Kinesis stream"), "DynamoDB": (DYNAMODB, "DynamoDB stream"),
    "an HTTP request": ({"version": "2.0", "rawPath": "/", "requestContext": {"http": {"method": "POST"}}}, "HTTP request"),
    "OpenTelemetry": ({"resourceMetrics": []}, "OpenTelemetry"),
}


@pytest.mark.parametrize("payload, words", FOREIGN.values(), ids=FOREIGN)
def test_names_what_another_service_sent(gateway, payload, words):
    sent = gateway.sqs(record(json.dumps(payload), message_id="other"), record(TEXT, message_id="good"))
    assert sent.result.failures == ["other"]
    assert arrived(sent)
    reason, detail = gateway.refused(json.dumps(payload)) if "requestContext" not in payload else ("invalid_event", words)
    assert reason == "invalid_event"
    assert words in detail


NOT_JSON = {
    "single quotes": (str(EVENT), "single quotes"), "names without quotes": (TEXT.replace('"', ""), "no quotes"),
    "a trailing comma": (TEXT[:-1] + ",}", "comma"), "typographic quotes": (TEXT.replace('"', "“"), "typographic quotes"),
    "escaped quotes": (TEXT.replace('"', '\\"'), "escaped"), "HTML": ("<html><body>502</body></html>", "HTML"), "nothing": (" ", "empty"),
    "text exposition": ("# TYPE ph gauge\nph 6.7\n", "text format"), "line protocol": ("pool,site=a ph=6.7 1676398017000000000", "line protocol"),
    "a comment": ('{"metrics": {"v": 1} // ph\n}', "comments"),
}


@pytest.mark.parametrize("text, words", NOT_JSON.values(), ids=NOT_JSON)
def test_names_the_cause_why_text_is_not_json(gateway, text, words):
    reason, detail = gateway.refused(text)
    assert reason == "invalid_json"
    assert words in detail


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_names_utf_16(gateway, encoding):
    reason, detail = gateway.refused(TEXT.encode(encoding))
    assert reason == "invalid_json"
    assert "UTF-16" in detail


def test_asks_for_base64_around_a_bare_gzip_stream(gateway):
    reason, detail = gateway.refused(packed(TEXT.encode()))
    assert reason == "invalid_json"
    assert "gzip" in detail and "base64" in detail


# --- several texts, strings and marks --------------------------------------------------------------------------------

def numbered(number, value="1"):
    return '{"dimensions":{"n":%d},"metrics":{"v":%s}}' % (number, value)


PRETTY = json.dumps(json.loads(numbered(2)), indent=2)
SEVERAL = {
    "lines": f"{numbered(1)}\n{numbered(2)}\n", "lines of Windows": f"{numbered(1)}\r\n{numbered(2)}\r\n", "concatenated": numbered(1) + numbered(2),
    "blank lines": f"\n{numbered(1)}\n\n \n{numbered(2)}", "one over several lines": f"{numbered(1)}\n{PRETTY}\n",
    "marks in front": f"\ufeff{numbered(1)}\n\ufeff{numbered(2)}", "strings": f"{json.dumps(numbered(1))}\n{json.dumps(numbered(2))}",
    "arrays": f"[{numbered(1)}]\n[{numbered(2)}]\n", "blanks between": f"{numbered(1)} \t {numbered(2)}",
    "a bare token": f"{numbered(1)}\n{numbered(2, 'NaN')}",
}


@pytest.mark.parametrize("text", SEVERAL.values(), ids=SEVERAL)
def test_takes_several_texts_of_one_message_as_an_array(gateway, text):
    for each in (text, encoded(text)):
        sent = gateway.accepted(each)
        assert sent.result.json["accepted"] == 2
        assert sorted(dict(labels)["n"] for _, labels in sent.samples) == ["1", "2"]
        assert gateway.sqs(each).result.metrics["delivered"] == 2


@pytest.mark.parametrize("text", [numbered(1) + "\n", numbered(1) + "\r\n\r\n", "\ufeff" + numbered(1), f" \ufeff {numbered(1)}"])
def test_one_text_and_a_line_end_is_one_event(gateway, text):
    assert gateway.accepted(text).result.json["accepted"] == 1
    assert gateway.refused(text.replace('"v":1', '"v":"abc"'))[0] == "invalid_value"  # a function error: it is no array


@pytest.mark.parametrize("broken", ["oops", '{"metrics":{"v":', "{'v': 1}", numbered(3)[:-2], "}", '{"metrics":{"v":"\\ud83c"}}', "null", "17"])
def test_a_line_that_is_no_event_is_rejected_alone(gateway, broken):
    for position in range(3):
        lines = [numbered(1), numbered(2)]
        lines.insert(position, broken)
        sent = gateway.direct("\n".join(lines))
        report = sent.result.json
        assert report["accepted"] == 2, report
        assert [one["index"] for one in report["rejected"]] == [position]
        assert report["rejected"][0]["reason"] in ("invalid_json", "invalid_event")
        assert report["rejected"][0]["detail"].startswith(f"[{position}]")
        assert sorted(dict(labels)["n"] for _, labels in sent.samples) == ["1", "2"]


@pytest.mark.parametrize("wrap", [json.dumps, lambda text: json.dumps(json.dumps(text)), lambda text: f"[{json.dumps(text)}]",
                                  lambda text: json.dumps(encoded(text)), lambda text: json.dumps("\ufeff" + text),
                                  lambda text: json.dumps(f"[{text}]"), lambda text: encoded(json.dumps(text))])
def test_unwraps_a_json_string_that_holds_a_message(gateway, wrap):
    assert arrived(gateway.accepted(wrap(TEXT)))
    assert arrived(gateway.sqs(wrap(TEXT)))


def test_counts_strings_as_wrappers(gateway):
    text = TEXT
    for _ in range(4):
        text = json.dumps(text)
    assert arrived(gateway.accepted(text))
    reason, detail = gateway.refused(json.dumps(text))
    assert reason == "invalid_event" and "4 deep" in detail


def test_an_element_in_a_string_may_hold_several_events(gateway):
    inner = json.dumps(f"[{numbered(1)},{numbered(2, chr(34) + 'abc' + chr(34))}]")
    report = gateway.direct(f"[{inner},{numbered(3)}]").result.json
    assert report["accepted"] == 2
    assert [(one["index"], one["reason"]) for one in report["rejected"]] == [(1, "invalid_value")]


WRAPPED_BASE64 = {
    "lines of 64": base64.encodebytes(TEXT.encode()).decode(), "lines of Windows": encoded(TEXT)[:20] + "\r\n" + encoded(TEXT)[20:],
    "URL-safe": base64.urlsafe_b64encode((TEXT + "\n" * 3).encode()).decode(),
    "URL-safe, no padding": base64.urlsafe_b64encode(json.dumps({**EVENT, "dimensions": {"customerId": "customer1", "x": ""}}).encode()).decode().rstrip("="),
    "gzip": encoded(packed(TEXT.encode())), "gzip of a mark": encoded(packed(("\ufeff" + TEXT).encode())),
    "gzip in lines": base64.encodebytes(packed(TEXT.encode())).decode(),
    "two gzip members": encoded(packed(TEXT[:9].encode()) + packed(TEXT[9:].encode())),
    "base64 of base64": encoded(encoded(TEXT)), "gzip of base64 of gzip": encoded(packed(encoded(packed(TEXT.encode())).encode())),
}


@pytest.mark.parametrize("text", WRAPPED_BASE64.values(), ids=WRAPPED_BASE64)
def test_decodes_base64_of_any_alphabet_with_line_breaks_and_gzip(gateway, text):
    assert arrived(gateway.accepted(text))
    assert arrived(gateway.sqs(text))


@pytest.mark.parametrize("text, words", [
    (encoded(packed(TEXT.encode())[:-4]), "cut off or damaged"), (encoded(b"\x1f\x8b\x08" + b"x" * 40), "cut off or damaged"),
    (encoded(packed(b" " * (16 << 20) + b" ")), "16777216 bytes"), (encoded(packed(b"\xff\xfe")), "UTF-8"),
])
def test_rejects_a_gzip_stream_that_is_damaged_or_a_bomb(gateway, text, words):
    reason, detail = gateway.refused(text)
    assert reason == "invalid_json"
    assert words in detail


# --- who may speak as the queue --------------------------------------------------------------------------------------

def test_a_bare_array_of_sqs_records_is_a_batch(gateway):
    """EventBridge Pipes sends it."""
    records = [record(TEXT, message_id="good"), record('{"metrics":{"v":"abc"}}', message_id="bad")]
    for payload in (json.dumps(records), "\ufeff" + json.dumps(records, indent=1)):
        sent = gateway.direct(payload)
        assert sent.result.failures == ["bad"]
        assert arrived(sent)


@pytest.mark.parametrize("missing", ["receiptHandle", "eventSourceARN"])
@pytest.mark.parametrize("bare", [False, True])
def test_records_without_a_receipt_handle_or_queue_never_get_the_answer_of_a_batch(gateway, missing, bare):
    one = record(TEXT)
    for value in (None, ""):
        one.pop(missing, None)
        if value is not None:
            one[missing] = value
        sent = gateway.direct(json.dumps([one] if bare else {"Records": [record(TEXT), one]}))
        assert sent.writes == []
        assert "batchItemFailures" not in (sent.result.json or {})
        if not bare:
            assert sent.result.error_type == "invalid_event"
            assert missing in sent.result.error_message


@pytest.mark.parametrize("wrap", [notification, eventbridge, encoded, json.dumps])
def test_rejects_sqs_records_inside_of_a_message(gateway, wrap):
    wrapped = wrap(json.dumps(sqs_event(record(TEXT)))) if wrap is not eventbridge else eventbridge(sqs_event(record(TEXT)))
    sent = gateway.sqs(record(wrapped, message_id="outer"))
    assert sent.result.failures == ["outer"]
    assert sent.writes == []
    assert sent.result.metrics["rejected.invalid_event"] == 1


UNREADABLE = {"missing": None, "null": "null", "a number": "17", "an object": TEXT, "an array": "[]", "true": "true"}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("bare", [False, True])
def test_a_record_without_a_readable_body_is_rejected_alone(gateway, body, bare):
    bad = record("BODY", message_id="bad")
    text = json.dumps([record(TEXT, message_id="good"), bad])
    text = text.replace('"body": "BODY", ', "") if body is None else text.replace('"BODY"', body)
    sent = gateway.direct(text if bare else '{"Records": %s}' % text)
    assert sent.result.failures == ["bad"]
    assert arrived(sent)
    assert sent.result.metrics["rejected"] == 1


# --- size ------------------------------------------------------------------------------------------------------------

def test_rejects_an_event_that_takes_more_than_10_mb_encoded_before_anything_is_sent(gateway):
    labels = {f"d{number:03}": "x" * 400 for number in range(148)}
    text = json.dumps({"dimensions": labels, "metrics": {f"m{number}": 1 for number in range(7000)}})
    reason, detail = gateway.refused(text)
    assert reason == "too_large"
    assert "7000 metrics" in detail
    few = json.dumps({"dimensions": labels, "metrics": {f"m{number}": 1 for number in range(150)}})
    assert gateway.accepted(few).result.json["samples"] == 150


ELEMENTS = {"a number": "1", "null": "null", "true": "true", "a string": '"x"', "text in a string": '"temperature=14.3"',
            "an empty array": "[]", "an array of an event": f"[{TEXT}]", "an array of arrays": "[[[]]]", "an empty object": "{}"}


@pytest.mark.parametrize("element", ELEMENTS.values(), ids=ELEMENTS)
def test_rejects_elements_of_an_array_one_by_one(gateway, element):
    sent = gateway.direct("[%s,%s]" % (element, TEXT))
    report = sent.result.json
    assert [(one["index"], one["reason"]) for one in report["rejected"]] == [(0, "invalid_event")]
    assert report["accepted"] == 1
    assert arrived(sent)


# --- invalid JSON ----------------------------------------------------------------------------------------------------

BROKEN = {
    "nothing": "", "white space": " \n", "an open brace": "{", "an open string": '{"metrics', "cut short": TEXT[:-1],
    "garbage after": TEXT + "x", "a brace too many": TEXT + "}", "two broken lines": "x\ny\n", "a broken event in lines": '{\n  "metrics": {"v": 1},\n}',
    "a comma after": TEXT + ",", "a comma too many": '{"metrics":{"v":1,}}',
    "a comma missing": '{"metrics":{"v":1 "w":2}}', "single quotes": "{'metrics':{'v':1}}", "no quotes": "{metrics:{v:1}}",
    "a comment": '{"metrics":{"v":1}} // one', "an array not closed": f"[{TEXT}", "a comma in an array": f"[{TEXT},]",
    "a control character in a string": '{"metrics":{"v\n":1}}', "a NUL": '{"metrics":{"v":1}}\x00',
    "an unknown escape": '{"metrics":{"\\x":1}}', "a short escape": '{"metrics":{"\\u00":1}}', "words": "temperature=14.3",
    "XML": "<metrics/>", "text exposition": "ph 6.7", "a key without value": '{"metrics"}',
    "a colon missing": '{"metrics" {"v":1}}', "a number as key": '{1:{"v":1}}',
}

LONE = {
    "a high one as value": '{"dimensions":{"d":"\\ud83c"},"metrics":{"v":1}}',
    "a low one as value": '{"dimensions":{"d":"\\udf21"},"metrics":{"v":1}}',
    "the wrong way about": '{"dimensions":{"d":"\\udf21\\ud83c"},"metrics":{"v":1}}',
    "two high ones": '{"dimensions":{"d":"\\ud83c\\ud83c"},"metrics":{"v":1}}',
    "a high one and a letter": '{"dimensions":{"d":"\\ud83cx"},"metrics":{"v":1}}',
    "a high one and an escaped letter": '{"dimensions":{"d":"\\ud83c\\u0041"},"metrics":{"v":1}}',
    "a high one and an escaped backslash": '{"dimensions":{"d":"\\ud83c\\\\udf21"},"metrics":{"v":1}}',
    "in capitals": '{"dimensions":{"d":"\\uD83C"},"metrics":{"v":1}}',
    "after a pair": '{"dimensions":{"d":"\\ud83c\\udf21\\ud83c"},"metrics":{"v":1}}',
    "in the name of a dimension": '{"dimensions":{"d\\ud83c":"x"},"metrics":{"v":1}}',
    "in the name of a dimension that is null": '{"dimensions":{"d\\ud83c":null},"metrics":{"v":1}}',
    "in the name of a metric": '{"metrics":{"v\\ud83c":1}}', "in a value": '{"metrics":{"v":"1\\ud83c"}}',
    "in the timestamp": '{"metrics":{"v":1},"timestamp":"\\ud83c"}', "in an unknown key": '{"metrics":{"v":1},"\\ud83c":1}',
    "in the value of an unknown key": '{"metrics":{"v":1},"x":"\\ud83c"}',
    "deep in a dimension": '{"dimensions":{"d":[["\\ud83c"]]},"metrics":{"v":1}}',
    "in a part of EventBridge that nobody reads": json.dumps(eventbridge(EVENT)).replace("sensors", "\\ud83c"),
    "in a part of SNS that nobody reads": json.dumps(notification(TEXT)).replace("EXAMPLE", "\\ud83c"),
    "in the event in SNS": json.dumps(notification('{"dimensions":{"d":"\\ud83c"},"metrics":{"v":1}}')),
}

BASE64 = {
    "of garbage": encoded("not an event at all"), "of nothing": encoded(" "), "of invalid UTF-8": encoded(b"\xff\xfe" + TEXT.encode()),
    "of invalid UTF-8 in a string": encoded(b'{"dimensions":{"d":"\xff"},"metrics":{"v":1}}'),
    "of an event cut short": encoded(TEXT[:-1]), "of an event with garbage after": encoded(TEXT + "x"),
    "with a sign that is none of base64": encoded(TEXT)[:-8] + "!" + encoded(TEXT)[-7:], "cut short": encoded(TEXT)[:-5],
}

NO_JSON = {**{f"{name}": text for name, text in BROKEN.items()}, **{f"lone surrogate: {name}": text for name, text in LONE.items()}}


@pytest.mark.parametrize("text", NO_JSON.values(), ids=NO_JSON)
def test_rejects_text_that_is_not_json(gateway, text):
    reason, detail = gateway.refused(text)
    assert reason == "invalid_json"
    assert detail


@pytest.mark.parametrize("text", [*NO_JSON.values(), *BASE64.values()], ids=[*NO_JSON, *(f"base64 {name}" for name in BASE64)])
def test_rejects_an_sqs_body_that_is_not_json(gateway, text):
    sent = gateway.sqs(record(text, message_id="broken"), record(TEXT, message_id="good"))
    assert sent.result.failures == ["broken"]
    assert sent.result.metrics["rejected.invalid_json"] == 1
    assert arrived(sent)


@pytest.mark.parametrize("payload", [
    pytest.param(b"\xff\xfe" + TEXT.encode(), id="before the event"),
    pytest.param(b'{"dimensions":{"d":"\xff"},"metrics":{"v":1}}', id="in a label"),
    pytest.param(b'{"dimensions":{"d\xc3\x28":"x"},"metrics":{"v":1}}', id="in a label name"),
    pytest.param(b'{"metrics":{"v\xed\xa0\x80":1}}', id="a surrogate in UTF-8"),
    pytest.param(b'{"metrics":{"v":1},"x":"\xc0\xaf"}', id="overlong, in an unknown key"),
    pytest.param(TEXT.encode("utf-16"), id="UTF-16"),
])
def test_rejects_invalid_utf_8_as_invalid_json(gateway, payload):
    assert gateway.refused(payload)[0] == "invalid_json"


@pytest.mark.parametrize("text, name, label", [
    ('{"dimensions":{"d":"\\ud83c\\udf21"},"metrics":{"v":1}}', "v", "🌡"),
    ('{"dimensions":{"d":"\\\\ud83c"},"metrics":{"v":1}}', "v", "\\ud83c"),
    ('{"dimensions":{"d":"\\\\\\ud83c\\udf21"},"metrics":{"v\\ud83c\\udf21":1}}', "U__v_1f321_", "\\🌡"),
])
def test_accepts_surrogate_pairs_and_escaped_backslashes(gateway, text, name, label):
    sent = gateway.accepted(text)
    assert sent.names == [name]
    assert sent.labels == {"d": label}


@pytest.mark.parametrize("payload", [
    pytest.param("[" * 10_000 + "]" * 10_000, id="arrays"),
    pytest.param('{"a":' * 10_000 + "1" + "}" * 10_000, id="objects"),
    pytest.param('{"metrics":{"v":' + "[" * 10_000 + "]" * 10_000 + "}}", id="in a value"),
    pytest.param('{"dimensions":{"d":' + '{"d":' * 10_000 + "1" + "}" * 10_000 + '},"metrics":{"v":1}}', id="in a dimension"),
    pytest.param('{"metrics":{"v":1},"x":' + "[" * 10_000 + "]" * 10_000 + "}", id="in an unknown key"),
    pytest.param("[" * 10_000, id="arrays, not closed"),
    pytest.param('{"Records":' * 10_000 + "1" + "}" * 10_000, id="Records"),
    pytest.param('{"detail-type":"t","source":"s","detail":' * 10_000 + "1" + "}" * 10_000, id="EventBridge"),
])
def test_rejects_ten_thousand_levels_and_works_afterwards(gateway, payload):
    sent = gateway.direct(payload)
    if sent.result.ok:  # the outermost array holds events
        assert sent.result.json["accepted"] == 0 and sent.result.json["rejected_count"] == 1
    else:
        assert sent.result.error_type in ("invalid_json", "invalid_event", "invalid_value")
    assert sent.writes == []
    sent = gateway.sqs(record(payload, message_id="deep"), record(TEXT, message_id="good"))
    assert sent.result.failures == ["deep"]
    assert arrived(sent)


# --- the detail of a dead letter -------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def queue(sqs):
    return sqs.queue()


@pytest.fixture(scope="module")
def gateway_with_queue(sqs, queue):
    with Receiver() as receiver:
        one = Gateway(receiver, DEAD_LETTER_QUEUE_URL=queue.url, AWS_ENDPOINT_URL_SQS=sqs.endpoint)
        yield one
        one.close()


def letter_of(gateway_with_queue, queue, body):
    """Returns (reason, detail) of the dead letter for this body."""
    sent = gateway_with_queue.sqs(record(body, message_id="m-1"))
    assert sent.result.failures == []
    letter = queue.letter()
    assert letter.body == body
    assert letter.attributes["source_message_id"] == "m-1"
    return letter.attributes["reason"], letter.attributes["detail"]


BAD = '{"metrics":{"temperature":14.3,"ph":"abc"}}'


@pytest.mark.parametrize("body, reason, detail", [
    pytest.param(BAD, "invalid_value", 'metrics.ph: "abc" is not a number', id="one event"),
    pytest.param(f"[{TEXT},{TEXT},{TEXT},{BAD}]", "invalid_value", '[3].metrics.ph: "abc" is not a number',
                 id="the fourth of an array"),
    pytest.param(f"[{BAD}]", "invalid_value", '[0].metrics.ph: "abc" is not a number', id="the only one of an array"),
    pytest.param(f"[{TEXT},{BAD},{TEXT},{BAD}]", "invalid_value", '[1].metrics.ph: "abc" is not a number; and 1 more',
                 id="two of an array"),
    pytest.param("[%s]" % ",".join([TEXT, BAD, BAD, TEXT, BAD, BAD, BAD]), "invalid_value",
                 '[1].metrics.ph: "abc" is not a number; and 4 more', id="five of an array"),
    pytest.param('[{"metrics":{}},%s,%s]' % (BAD, TEXT), "invalid_event", None, id="the first reason of several"),
])
def test_a_dead_letter_names_the_path(gateway_with_queue, queue, body, reason, detail):
    got = letter_of(gateway_with_queue, queue, body)
    assert got[0] == reason
    if detail is None:
        assert got[1].startswith("[0].metrics") and got[1].endswith("; and 1 more")
    else:
        assert got[1] == detail


BODIES_BY_REASON = {
    "invalid_json": "{", "invalid_event": '{"metric":{"v":1}}', "invalid_value": BAD, "invalid_metric_name": '{"metrics":{"":1}}',
    "invalid_label_name": '{"dimensions":{"-":"x"},"metrics":{"v":1}}',
    "label_collision": '{"dimensions":{"a-b":"x","a_b":"x"},"metrics":{"v":1}}',
    "metric_collision": '{"metrics":{"a-b":1,"a_b":1}}',
    "too_many_labels": json.dumps({"dimensions": {f"d{i}": "x" for i in range(150)}, "metrics": {"v": 1}}),
    "too_large": json.dumps({"dimensions": {"d": "x" * 2049}, "metrics": {"v": 1}}),
    "too_old": '{"timestamp":1676398017000,"metrics":{"v":1}}', "in_future": '{"timestamp":4102444800000,"metrics":{"v":1}}',
}


@pytest.mark.parametrize("reason", BODIES_BY_REASON)
def test_each_reason_is_the_same_in_report_error_dead_letter_and_metrics(gateway, gateway_with_queue, queue, reason):
    body = BODIES_BY_REASON[reason]
    error_type, message = gateway.refused(body)
    assert error_type == reason
    put_aside_as, detail = letter_of(gateway_with_queue, queue, body)
    assert put_aside_as == reason
    if reason not in ("too_old", "in_future"):  # these details may name the age, which grows
        assert detail == message
    sent = gateway.sqs(body)
    assert sent.result.metrics[f"rejected.{reason}"] == 1
    if reason != "invalid_json":
        (listed,) = gateway.direct(f"[{body}]").result.json["rejected"]
        assert listed["reason"] == reason


@pytest.mark.parametrize("wrap", [notification, eventbridge], ids=["SNS", "EventBridge"])
def test_dead_letters_a_wrapped_message_with_its_wrapper(gateway_with_queue, queue, wrap):
    inner = json.loads(BAD)
    body = json.dumps(wrap(inner))
    reason, detail = letter_of(gateway_with_queue, queue, body)
    assert reason == "invalid_value"
    assert 'metrics.ph: "abc" is not a number' in detail


def test_dead_letters_a_base64_body_unchanged(gateway_with_queue, queue):
    reason, detail = letter_of(gateway_with_queue, queue, encoded(BAD))
    assert (reason, detail) == ("invalid_value", 'metrics.ph: "abc" is not a number')


def test_dead_letters_a_whole_array_message_and_stores_its_good_events(gateway_with_queue, queue):
    now = now_ms()
    body = json.dumps([{**EVENT, "timestamp": now}, json.loads(BAD)])
    sent = gateway_with_queue.sqs(record(body, message_id="m-1"))
    assert sent.result.failures == []
    assert arrived(sent)
    assert queue.letter().body == body


def test_answers_a_rejected_wrapped_event_with_a_function_error(gateway):
    for payload in (sns_records(BAD), notification(BAD), eventbridge(json.loads(BAD))):
        reason, detail = gateway.refused(payload)
        assert reason == "invalid_value"
        assert 'metrics.ph: "abc" is not a number' in detail
