import assert from 'node:assert/strict';
import { test } from 'node:test';
import { App, CfnParameter, Duration, aws_aps as aps, aws_secretsmanager as secrets, aws_sns as sns, aws_sqs as sqs, Stack } from 'aws-cdk-lib';
import { Annotations, Match } from 'aws-cdk-lib/assertions';
import { HttpAuth, HttpFront, IotTarget, PrometheusPushGateway, type PrometheusPushGatewayProps } from 'cdk-amp-push-gateway';
import { stackWith } from './stack';

const ARN = 'arn:aws:aps:us-east-2:210987654321:workspace/ws-1';
const URL_SHAPE = 'https://<host>/workspaces/ws-<id>, with or without /api/v1/ or /api/v1/remote_write at its end';

type Row = [props: PrometheusPushGatewayProps | ((stack: Stack) => PrometheusPushGatewayProps), error: string];

/** Checks that each row throws its error, after the construct's path. */
function rejects(table: Row[]): void {
  for (const [props, error] of table) {
    assert.throws(() => stackWith(props), { message: `PrometheusPushGateway Stack/Gateway: ${error}` });
  }
}

test('a number out of range is an error that names the prop, the value and the range', () => {
  rejects([
    [{ batchSize: 0 }, 'batchSize is 0; expected a whole number from 1 to 10000'],
    [{ batchSize: 10_001 }, 'batchSize is 10001; expected a whole number from 1 to 10000'],
    [{ batchSize: 2.5 }, 'batchSize is 2.5; expected a whole number from 1 to 10000'],
    [{ batchWindow: Duration.seconds(301) }, 'batchWindow is 301 s; expected whole seconds from 0 s to 300 s'],
    [{ batchWindow: Duration.millis(1_500) }, 'batchWindow is 1.5 s; expected whole seconds from 0 s to 300 s'],
    [
      { batchSize: 11, batchWindow: Duration.seconds(0) },
      'batchSize is 11; expected 1 to 10 without a batchWindow; a larger batch needs a window of 1 s or more',
    ],
    [{ maxConcurrency: 1 }, 'maxConcurrency is 1; expected a whole number from 2 to 1000'],
    [{ memorySize: 64 }, 'memorySize is 64; expected a whole number from 128 to 10240 MB'],
    [{ reservedConcurrency: 1 }, 'reservedConcurrency is 1; expected a whole number from 2 to 99999, not below maxConcurrency'],
    [{ timeout: Duration.seconds(3) }, 'timeout is 3 s; expected whole seconds from 10 s to 900 s'],
    [{ timeout: Duration.minutes(16) }, 'timeout is 960 s; expected whole seconds from 10 s to 900 s'],
    [{ outOfOrderWindow: Duration.minutes(11) }, 'outOfOrderWindow is 660 s; expected whole seconds from 0 s to 600 s'],
  ]);
});

test('durations that the construct calculates with must be known at synthesis', () => {
  const unknown = (stack: Stack) => Duration.seconds(new CfnParameter(stack, 'Seconds', { type: 'Number' }).valueAsNumber);
  rejects([
    [(stack) => ({ timeout: unknown(stack) }), 'timeout is a token; expected whole seconds from 10 s to 900 s, known at synthesis'],
    [(stack) => ({ batchWindow: unknown(stack) }), 'batchWindow is a token; expected whole seconds from 0 s to 300 s, known at synthesis'],
    [(stack) => ({ maxSampleAge: unknown(stack) }), 'maxSampleAge is a token; expected a duration known at synthesis'],
  ]);
});

test('AWS checks numbers that are known only at deployment', () => {
  const number = (stack: Stack, id: string) => new CfnParameter(stack, id, { type: 'Number' }).valueAsNumber;
  const { resources } = stackWith((stack) => ({
    batchSize: number(stack, 'Size'),
    maxConcurrency: number(stack, 'Concurrency'),
    memorySize: number(stack, 'Memory'),
  }));
  const { BatchSize, ScalingConfig } = resources.EventSourceMapping.Properties;
  assert.deepEqual([BatchSize, ScalingConfig, resources.Function.Properties.MemorySize], ['Size', { MaximumConcurrency: 'Concurrency' }, 'Memory']);
});

test('a FIFO queue excludes these props', () => {
  const fifoQueue = (stack: Stack) => new sqs.Queue(stack, 'Own', { fifo: true, visibilityTimeout: Duration.minutes(3) });
  rejects([
    [{ fifo: true, batchSize: 50 }, 'batchSize is 50; expected a whole number from 1 to 10: a batch of a FIFO queue has at most 10 messages'],
    [{ fifo: true, batchWindow: Duration.seconds(20) }, 'batchWindow is 20 s; expected none: Lambda has no batch window for a FIFO queue'],
    [
      { fifo: true, iot: { topicFilter: 'events/+' } },
      'iot.target is "queue"; expected "function": the SQS action of an IoT rule cannot send to a FIFO queue',
    ],
    [
      (stack) => ({ queue: fifoQueue(stack), iot: { topicFilter: 'events/+', target: IotTarget.QUEUE } }),
      'iot.target is "queue"; expected "function": the SQS action of an IoT rule cannot send to a FIFO queue',
    ],
    [(stack) => ({ queue: fifoQueue(stack), fifo: false }), 'fifo is false; expected true, as queue is a FIFO queue'],
    [(stack) => ({ failureQueue: fifoQueue(stack) }), 'failureQueue is a FIFO queue; expected a standard queue: Lambda does not send failed invocations to a FIFO queue'],
    [(stack) => ({ deadLetterQueue: fifoQueue(stack) }), 'deadLetterQueue is a FIFO queue; expected a standard queue, as the queue is one'],
  ]);
});

test('props that name a workspace wrongly or twice are errors', () => {
  rejects([
    [{ prometheusArn: 'ws-1' }, 'prometheusArn is "ws-1"; expected arn:aws:aps:<region>:<account>:workspace/ws-<id>'],
    [
      { prometheusEndpoint: 'https://aps-workspaces.us-east-2.amazonaws.com/workspaces/ws-1/' },
      'prometheusEndpoint is "https://aps-workspaces.us-east-2.amazonaws.com/workspaces/ws-1/"; ' +
        'expected prometheusArn beside it: the function may write only to that workspace',
    ],
    [
      { prometheusArn: ARN, prometheusEndpoint: 'https://aps-workspaces.us-east-2.amazonaws.com/workspaces/ws-2/' },
      'prometheusEndpoint is "https://aps-workspaces.us-east-2.amazonaws.com/workspaces/ws-2/"; expected the workspace of prometheusArn, ws-1 in us-east-2',
    ],
    [
      { prometheusArn: ARN, prometheusEndpoint: 'https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/' },
      'prometheusEndpoint is "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/"; expected the workspace of prometheusArn, ws-1 in us-east-2',
    ],
    [
      (stack) => ({ prometheusArn: ARN, workspace: new aps.CfnWorkspace(stack, 'Own') }),
      `prometheusArn is "${ARN}"; expected none, as workspace is given too: choose one of the two`,
    ],
    [
      { prometheusArn: ARN, outOfOrderWindow: Duration.minutes(5) },
      'outOfOrderWindow is 300 s; expected none for a workspace that is given; see outOfOrderWindowCommand',
    ],
  ]);
  for (const url of [
    'http://aps-workspaces.us-east-2.amazonaws.com/workspaces/ws-1/',
    'https://aps-workspaces.us-east-2.amazonaws.com/',
    'https://aps-workspaces.us-east-2.amazonaws.com/api/v1/remote_write',
    'https://aps-workspaces.us-east-2.amazonaws.com/workspaces/ws-1/api/v1/query',
    'https://aps-workspaces.us-east-2.amazonaws.com/workspaces/ws-1/?a=b',
    'aps-workspaces.us-east-2.amazonaws.com/workspaces/ws-1',
    '',
  ]) {
    rejects([[{ prometheusArn: ARN, prometheusEndpoint: url }, `prometheusEndpoint is "${url}"; expected ${URL_SHAPE}`]]);
  }
  rejects([
    [
      { prometheusArn: ARN, prometheusEndpoint: 'https://me:secret@host/workspaces/ws-1' },
      `prometheusEndpoint is "(hidden)@host/workspaces/ws-1"; expected ${URL_SHAPE}`,
    ],
  ]);
});

test('labels that would end the function at its start are errors', () => {
  const expected = 'a name of the form [a-zA-Z_][a-zA-Z0-9_]* that does not begin with __, is not _, and has at most 1024 bytes';
  const many = Object.fromEntries(Array.from({ length: 150 }, (_, number) => [`a${number}`, 'x']));
  rejects([
    ...['__x', 'a-b', '1a', '', '_', 'x'.repeat(1_025)].map((name): Row => [{ externalLabels: { [name]: 'x' } }, `externalLabels is "${name}"; expected ${expected}`]),
    [{ externalLabels: many }, 'externalLabels is 150 labels; expected at most 149: a series has 150 with its name'],
    [
      (stack) => ({ externalLabels: { [new CfnParameter(stack, 'Name').valueAsString]: 'x' } }),
      'externalLabels is a token for a name; expected names that are known at synthesis',
    ],
    [{ externalLabels: { env: '' } }, 'externalLabels.env is ""; expected 1 to 2048 bytes without a comma'],
    [{ externalLabels: { env: 'a,b=c' } }, 'externalLabels.env is "a,b=c"; expected 1 to 2048 bytes without a comma'],
    [{ externalLabels: { env: 'é'.repeat(1_025) } }, `externalLabels.env is "${'é'.repeat(1_025)}"; expected 1 to 2048 bytes without a comma`],
  ]);
});

test('an AWS IoT rule that could not work is an error', () => {
  const filter = "an MQTT topic filter such as events/+, without '; or iot.sql instead";
  const statement = "a statement without comments: SELECT … FROM 'topic/filter' …";
  rejects([
    [{ iot: {} }, `iot.topicFilter is undefined; expected ${filter}`],
    ...['', "a'b", 'a/b+', '#/a', 'a/#/b', 'a/'].map((one): Row => [{ iot: { topicFilter: one } }, `iot.topicFilter is "${one}"; expected ${filter}`]),
    [
      { iot: { topicFilter: 'a', sql: "SELECT * FROM 'a'" } },
      'iot.topicFilter is "a"; expected none, as iot.sql is given too, which has its own FROM',
    ],
    [{ iot: { sql: 'SELECT *' } }, `iot.sql is "SELECT *"; expected ${statement}`],
    [{ iot: { sql: "-- all\nSELECT * FROM 'a'" } }, `iot.sql is "-- all\nSELECT * FROM 'a'"; expected ${statement}`],
  ]);
});

test('senders that a policy cannot name, and a queue whose policy is elsewhere, are errors', () => {
  rejects([
    [{ senderPrincipals: ['*'] }, 'senderPrincipals is "*"; expected an account id, or arn:aws:iam::<account>:role/<name>'],
    [{ senderTopics: ['readings'] }, 'senderTopics is "readings"; expected arn:aws:sns:<region>:<account>:<topic>'],
    [
      { senderRules: ['arn:aws:sns:eu-west-1:123456789012:readings'] },
      'senderRules is "arn:aws:sns:eu-west-1:123456789012:readings"; expected arn:aws:events:<region>:<account>:rule/<name>',
    ],
    [
      (stack) => ({ queue: sqs.Queue.fromQueueArn(stack, 'Own', 'arn:aws:sqs:eu-west-1:123456789012:own'), senderPrincipals: ['210987654321'] }),
      'senderPrincipals is given; expected none for a queue that another app makes: only that app can change its policy',
    ],
  ]);
});

test('props of an HTTP door that would have no effect, or that the function would reject, are errors', () => {
  const path = 'a path such as /prometheus, that begins with / and does not end with it';
  rejects([
    [
      (stack) => ({ httpDoor: { auth: HttpAuth.IAM, secret: new secrets.Secret(stack, 'Own') } }),
      'httpDoor.secret is given; expected none if httpDoor.auth is "iam": AWS itself checks the signature',
    ],
    ...['', '/', 'a', '/a/', '//a', '/a b', '/ä'].map((one): Row => [{ httpDoor: { pathPrefix: one } }, `httpDoor.pathPrefix is "${one}"; expected ${path}`]),
    ...['', '.', 'a b', '1a', 'a,b', 'é'].map((one): Row => [
      { httpDoor: { otlpPromoteAttributes: ['cloud.region', one] } },
      `httpDoor.otlpPromoteAttributes is "${one}"; expected names of the form [a-zA-Z][0-9a-zA-Z._/-]*, such as cloud.region`,
    ]),
    [{ httpDoor: { rateLimit: 10 } }, 'httpDoor.rateLimit is 10; expected none: only "http-api" has a throttle; see reservedConcurrency'],
    [{ httpDoor: { burstLimit: 10 } }, 'httpDoor.burstLimit is 10; expected none: only "http-api" has a throttle; see reservedConcurrency'],
    [
      { httpDoor: { front: HttpFront.HTTP_API, rateLimit: 0, burstLimit: 10_001 } },
      'httpDoor.rateLimit is 0; expected a whole number from 1 to 10000\n  httpDoor.burstLimit is 10001; expected a whole number from 1 to 10000',
    ],
  ]);
});

test('a topic without alarms is an error', () => {
  rejects([[(stack) => ({ alarms: false, alarmTopic: new sns.Topic(stack, 'Topic') }), 'alarmTopic is given; expected none if alarms is false']]);
});

test('one error reports all wrong props', () => {
  rejects([
    [
      { batchSize: 0, maxConcurrency: 1, prometheusArn: 'ws-1' },
      'batchSize is 0; expected a whole number from 1 to 10000\n' +
        '  maxConcurrency is 1; expected a whole number from 2 to 1000\n' +
        '  prometheusArn is "ws-1"; expected arn:aws:aps:<region>:<account>:workspace/ws-<id>',
    ],
  ]);
});

test('a queue with a visibility timeout below timeout plus window is an error', () => {
  rejects([
    [
      (stack) => ({ queue: new sqs.Queue(stack, 'Own') }),
      'queue.visibilityTimeout is 30 s; expected at least 50 s (timeout of 30 s plus batchWindow of 20 s), better 200 s: ' +
        'SQS would deliver a message again while the function works on it',
    ],
    [
      (stack) => ({ queue: new sqs.Queue(stack, 'Own', { visibilityTimeout: Duration.seconds(200) }), timeout: Duration.minutes(4) }),
      'queue.visibilityTimeout is 200 s; expected at least 260 s (timeout of 240 s plus batchWindow of 20 s), better 1460 s: ' +
        'SQS would deliver a message again while the function works on it',
    ],
  ]);
});

test('a queue that works, but not well, gets warnings', () => {
  const own = (visibility: number, maxReceiveCount?: number) => (stack: Stack) => {
    const queue = new sqs.Queue(stack, 'OwnDeadLetters');
    const deadLetterQueue = maxReceiveCount === undefined ? undefined : { queue, maxReceiveCount };
    return { queue: new sqs.Queue(stack, 'Own', { visibilityTimeout: Duration.seconds(visibility), deadLetterQueue }) };
  };
  const table: [ReturnType<typeof own>, string[]][] = [
    [own(200, 25), []],
    [own(60, 75), ['queue.visibilityTimeout is 60 s; AWS advises 200 s']],
    [own(200, 3), ['queue.deadLetterQueue.maxReceiveCount is 3; with 25 or more, messages outlive an outage of 75 minutes']],
    [own(200), ['queue has no dead-letter queue']],
    [own(50, 3), ['queue.visibilityTimeout is 50 s', 'queue.deadLetterQueue.maxReceiveCount is 3; with 90 or more']],
  ];
  for (const [props, starts] of table) {
    const { stack } = stackWith(props);
    const warnings = Annotations.fromStack(stack).findWarning('*', Match.anyValue()).map((one) => String(one.entry.data));
    assert.equal(warnings.length, starts.length, warnings.join('\n'));
    starts.forEach((start, index) => assert.ok(warnings[index].startsWith(start), warnings[index]));
  }
});

test('an existing queue gets no warnings, as its settings are not known', () => {
  const { stack, resources } = stackWith((scope) => ({ queue: sqs.Queue.fromQueueArn(scope, 'Own', 'arn:aws:sqs:eu-west-1:123456789012:own.fifo') }));
  assert.deepEqual(Annotations.fromStack(stack).findWarning('*', Match.anyValue()), []);
  assert.equal(resources.EventSourceMapping.Properties.BatchSize, 10);
  assert.equal(resources.DeadLetterQueue.Properties.FifoQueue, true);
});

test('a FIFO queue whose generated name may be too long for SQS gets a warning', () => {
  for (const [length, expected] of [
    [30, []],
    [31, ['the name that CloudFormation gives this FIFO queue may have 81 characters, and SQS accepts 80']],
  ] as const) {
    const stack = new Stack(new App(), 's'.repeat(length));
    new PrometheusPushGateway(stack, 'Gateway', { fifo: true });
    const warnings = Annotations.fromStack(stack).findWarning('*', Match.anyValue()).map((one) => String(one.entry.data).split(':')[0]);
    assert.deepEqual(warnings, expected);
  }
});

test('the gateway uses the dead-letter queue of the given queue', () => {
  const { gateway } = stackWith((stack) => {
    const deadLetterQueue = { queue: new sqs.Queue(stack, 'OwnDeadLetters'), maxReceiveCount: 75 };
    return { queue: new sqs.Queue(stack, 'Own', { visibilityTimeout: Duration.seconds(200), deadLetterQueue }) };
  });
  assert.equal(gateway.deadLetterQueue.node.id, 'OwnDeadLetters');
});
