//! Limits of everything that the gateway takes, keeps and sends. They are bytes, unless the name says something else.
//!
//! Others set the limits of all groups but the last, and a link names the page. The last group is ours: it limits the
//! memory of a function of 128 MB, or the length of texts. Waiting times are in the modules that wait.

// --- AMP: <https://docs.aws.amazon.com/prometheus/latest/userguide/AMP_quotas.html>, and Cortex, from which AMP is derived:
// --- <https://cortexmetrics.io/docs/configuration/configuration-file/#limits_config>

/// Labels of a series, `__name__` and external labels included (AMP: "Labels per series").
pub const MAX_LABELS: usize = 150;

/// A metric's or a label's name (Cortex: `max_label_name_length`).
pub const MAX_NAME_BYTES: usize = 1_024;

/// A label's value (Cortex: `max_label_value_length`).
pub const MAX_LABEL_VALUE_BYTES: usize = 2_048;

/// A family's name, help or unit in metadata (Cortex: `max_metadata_length`).
pub const MAX_METADATA_BYTES: usize = 1_024;

/// The snappy block of a request. AMP answers 413 above 1 MB and does not say whether it means compressed or decoded bytes.
pub const MAX_REQUEST_BLOCK_BYTES: usize = 900_000;

/// The protobuf of a request. OpenTelemetry's exporter packs 3 MB, and AMP answers 413 to some of its requests. So
/// there is also [`MAX_REQUEST_BLOCK_BYTES`].
pub const MAX_REQUEST_PROTOBUF_BYTES: usize = 3_000_000;

/// The range of a selector in an instant query. With 32 days AMP answers 422: such ranges "are currently only supported for range type
/// queries" (<https://github.com/robusta-dev/krr/issues/522>).
pub const MAX_INSTANT_RANGE_DAYS: u32 = 31;

// --- SQS: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>

/// A message, and all messages of a batch together: bodies, and the names, types and values of attributes.
pub const MAX_MESSAGE_BYTES: usize = 1_048_576;

/// Messages of one batch request.
pub const MAX_BATCH_MESSAGES: usize = 10;

// --- Lambda: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>

/// The payload of a synchronous invocation, and its answer.
pub const MAX_SYNC_BYTES: usize = 6 << 20;

/// The payload of an asynchronous invocation (256 KB until October 2025).
pub const MAX_ASYNC_BYTES: usize = 1 << 20;

/// The answer to an Application Load Balancer
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html>).
pub const MAX_LOAD_BALANCER_ANSWER_BYTES: usize = 1_000_000;

// --- DynamoDB: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>

/// An item, names of attributes included.
pub const MAX_STORE_ITEM_BYTES: usize = 400 << 10;

/// The items of one page of a query.
pub const MAX_STORE_PAGE_BYTES: usize = 1 << 20;

// --- The gateway

/// Nested wrappers around a message (SNS, EventBridge, Records, base64).
pub const MAX_WRAPPERS: u8 = 4;

/// The samples of one event as protobuf. An event that takes more is rejected before anything is sent: its parts would use up
/// [`MAX_REQUESTS`] at every delivery.
pub const MAX_EVENT_PROTOBUF_BYTES: usize = 10_000_000;

/// The samples of one HTTP request as protobuf: labels times samples, those of the path and external labels included.
pub const MAX_DOOR_PROTOBUF_BYTES: usize = 64 << 20;

/// Samples of one HTTP request.
pub const MAX_DOOR_SAMPLES: usize = 1_000_000;

/// The `id` of a typed metric.
pub const MAX_ID_BYTES: usize = 128;

/// A message that a gzip stream holds.
pub const MAX_UNPACKED_BYTES: usize = 16 << 20;

/// Series of a pushed body.
pub const MAX_PUSHED_SERIES: usize = 1_000_000;

/// Different names among them, and families. A million names take 300 MB.
pub const MAX_PUSHED_NAMES: usize = 100_000;

/// The memory of the native histograms of a pushed body.
pub const MAX_PUSHED_HISTOGRAM_BYTES: usize = 32 << 20;

/// Upper bounds of a typed histogram, without `+Inf`.
pub const MAX_TYPED_BUCKETS: usize = 200;

/// Quantiles of a typed summary.
pub const MAX_TYPED_QUANTILES: usize = 20;

/// The bytes of a pushed group in its item, which has keys and names of attributes, too.
pub const MAX_GROUP_ITEM_BYTES: usize = 400_000;

/// The bytes of a pushed group before they are compressed.
pub const MAX_GROUP_BYTES: usize = 8 << 20;

/// The memory of the series and labels of a pushed group, without their texts.
pub const MAX_GROUP_MEMORY: usize = 16 << 20;

/// Times that a change of a group is tried, if others come between.
pub const MAX_GROUP_ATTEMPTS: u32 = 20;

/// The bytes of all groups that one request shows, unpacked.
pub const MAX_LISTED_GROUP_BYTES: usize = 24 << 20;

/// The memory of all series of groups that one scrape shows, without their texts. The whole scrape takes about three times as much.
pub const MAX_EXPOSED_BYTES: usize = 20 << 20;

/// The bytes of all snapshots that one request reads, as they are stored.
pub const MAX_SHOWN_SNAPSHOT_BYTES: u64 = 16 << 20;

/// The bytes of all samples of typed series that one request shows, their labels included.
pub const MAX_SHOWN_SAMPLE_BYTES: usize = 24 << 20;

/// A read request, unpacked. Receivers do not take longer selectors.
pub const MAX_READ_REQUEST_BYTES: usize = 1 << 20;

/// Queries of one read request. Prometheus sends one.
pub const MAX_READ_QUERIES: usize = 100;

/// Matchers of all queries of one read request.
pub const MAX_READ_MATCHERS: usize = 10_000;

/// The range of a query of remote read, in parts of [`MAX_INSTANT_RANGE_DAYS`]. AMP keeps samples for three years at most.
pub const MAX_READ_PARTS: usize = 40;

/// The receiver's answer to one query of remote read, as JSON.
pub const MAX_READ_JSON_BYTES: usize = 32 << 20;

/// The response of remote read as protobuf.
pub const MAX_READ_RESPONSE_BYTES: usize = 16 << 20;

/// The response of remote read as a snappy block. Lambda takes it as base64, a third longer, with the headers.
pub const MAX_READ_BLOCK_BYTES: usize = (MAX_SYNC_BYTES - 2_048) / 4 * 3;

/// The memory of a remote-write request of a sender, without its bytes.
pub const MAX_INCOMING_MEMORY: usize = 64 << 20;

/// Attributes of one data point, resource or scope of OTLP. More than [`MAX_LABELS`] can become one label.
pub const MAX_OTLP_ATTRIBUTES: usize = 10_000;

/// Buckets of one data point of OTLP.
pub const MAX_OTLP_BUCKETS: usize = 4_096;

/// The memory of the samples of an OTLP request that are sent together. The rest is translated and sent later.
pub const MAX_OTLP_TABLE_BYTES: usize = 24 << 20;

/// Samples of one `target_info` in one request: two days. The earlier ones are left out.
pub const MAX_TARGET_INFO_SAMPLES: u64 = 1_152;

/// Samples of one series in one request. A sample takes at most 24 bytes, and the labels of a series at most 0.5 MB: the
/// series stays below [`MAX_REQUEST_PROTOBUF_BYTES`]. A longer series goes on in the next request.
pub const MAX_SERIES_SAMPLES: usize = 60_000;

/// The bytes of native histograms of one series in one request. The last of them may exceed it.
pub const MAX_SERIES_HISTOGRAM_BYTES: usize = 1_000_000;

/// Series of one request. The compliance tests of Prometheus recommend at most so many:
/// <https://github.com/prometheus/compliance/tree/main/remotewrite>.
pub const MAX_REQUEST_SERIES: usize = 10_000;

/// A request of 2.0 of a sender is split after a 413, unless it is shorter: such a receiver takes nothing.
pub const MIN_SPLIT_BYTES: usize = 16_000;

/// Families whose metadata was sent lately, and is not sent again. With 2.0: families whose metadata is remembered for their samples.
pub const MAX_KNOWN_FAMILIES: usize = 10_000;

/// The texts of these families that are remembered with 2.0.
pub const MAX_KNOWN_METADATA_BYTES: usize = 4 << 20;

/// HTTP requests of one invocation. Events that are not settled by then are returned.
pub const MAX_REQUESTS: u64 = 500;

/// The body of the receiver's answer that is read, if the answer is an error. Prometheus' client reads as many bytes:
/// <https://github.com/prometheus/prometheus/blob/main/storage/remote/client.go>.
pub const MAX_ERROR_BODY_BYTES: usize = 1_024;

/// The receiver's error text in a detail, in characters.
pub const MAX_ERROR_TEXT_CHARS: usize = 500;

/// The error text of an AWS service in a detail, in characters: it is repeated for each message that it is about.
pub const MAX_SERVICE_ERROR_CHARS: usize = 300;

/// A key or value that a detail quotes, in characters.
pub const MAX_EXCERPT_CHARS: usize = 64;

/// The detail of a dead letter, in characters.
pub const MAX_DETAIL_CHARS: usize = 1_000;

/// Dead letters of the events of one direct payload. If more of its events are rejected, the payload is one dead letter.
pub const MAX_EVENT_DEAD_LETTERS: usize = 5_000;

/// Details that an invocation keeps of each kind of rejection. A payload of 6 MB can hold two million rejected events.
pub const MAX_KEPT_DETAILS: usize = 5_000;

/// Dead letters that are built at a time.
pub const MAX_BUILT_DEAD_LETTERS: usize = 5_000;

/// Rejections that a report lists.
pub const MAX_LISTED_REJECTIONS: usize = 1_000;

/// Log lines about messages in one invocation, which is as many as a batch of SQS has.
pub const MAX_LOGGED_MESSAGES: usize = 10_000;

/// The details in these lines, all together. Later lines name the message and the reason alone.
pub const MAX_LOGGED_DETAIL_BYTES: usize = 1 << 20;

/// The id of a message or a request in a log line, in characters.
pub const MAX_LOGGED_ID_CHARS: usize = 128;

/// Log lines about failed requests in one invocation.
pub const MAX_LOGGED_FAILURES: u32 = 20;

/// Types of telemetry records that become values of a label. The Telemetry API has about fifteen.
pub const MAX_TELEMETRY_TYPES: usize = 50;

/// Series that wait for a dispatch of the extension.
pub const MAX_PENDING_SERIES: usize = 10_000;

/// Distinct values of a series that wait for a dispatch of the extension.
pub const MAX_PENDING_VALUES: usize = 1_000;

/// The memory of all series that wait for a dispatch of the extension, as an estimate.
pub const MAX_PENDING_BYTES: usize = 8 << 20;

/// A message of the extension. The gateway takes a batch of such messages within the payload of an invocation.
pub const MAX_DISPATCH_MESSAGE_BYTES: usize = 200_000;

/// The memory of the deliveries that wait to be read together.
pub const MAX_UNREAD_BYTES: usize = 32 << 10;

/// A delivery of the Telemetry API. The extension asks for deliveries of at most 256 KiB, and one record may exceed that.
pub const MAX_TELEMETRY_BODY_BYTES: usize = 2 << 20;

/// The body of a request of the function to its extension.
pub const MAX_OWN_EVENTS_BYTES: usize = 1 << 20;

/// Gauges whose value the extension remembers for relative changes.
pub const MAX_HELD_GAUGES: usize = 10_000;
