import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CfnParameter, Duration, aws_dynamodb as dynamodb, aws_kms as kms, aws_sqs as sqs, type Stack } from 'aws-cdk-lib';
import type { PrometheusPushGatewayProps, StateProps } from 'cdk-amp-push-gateway';
import { stackWith, ofType, statements, type Resources } from './stack';

/** Every type of a resource that only a state has, and others that it adds. */
const types = (resources: Resources) => Object.values(resources).map(({ Type }) => Type);
const variables = (resources: Resources, name: string) => resources[name].Properties.Environment.Variables;

test('a gateway without state has none of its resources, variables and members', () => {
  const { gateway, resources } = stackWith();
  assert.deepEqual(types(resources).filter((type) => /DynamoDB|Scheduler/.test(type)), []);
  assert.equal(ofType(resources, 'AWS::Lambda::Function').length, 1);
  assert.deepEqual(Object.keys(variables(resources, 'Function')).filter((name) => /STATE|TTL|SERIES|SUMMARY/.test(name)), []);
  assert.deepEqual([gateway.stateTable, gateway.tickFunction], [undefined, undefined]);
});

test('the table stays in any case, and the gateway shows it', () => {
  const { gateway, resources } = stackWith({ state: {} });
  const table = resources.StateTable;
  assert.deepEqual([table.DeletionPolicy, table.UpdateReplacePolicy, table.Properties.DeletionProtectionEnabled], ['Retain', 'Retain', true]);
  assert.equal(gateway.stateTable?.node.path, 'Stack/Gateway/StateTable');
  assert.equal(gateway.tickFunction?.node.path, 'Stack/Gateway/TickFunction');
});

test('the tick has the code and the settings of the function, but not those of the door', () => {
  const { resources } = stackWith({ state: {}, httpDoor: { admin: true }, externalLabels: { env: 'prod' }, xray: true });
  const [fn, tick] = [resources.Function.Properties, resources.TickFunction.Properties];
  for (const same of ['Code', 'Runtime', 'Architectures', 'Handler', 'TracingConfig']) {
    assert.deepEqual(tick[same], fn[same], same);
  }
  const { HTTP_AUTH, HTTP_AUTH_SECRET, HTTP_ADMIN, ...others } = variables(resources, 'Function');
  assert.deepEqual([HTTP_AUTH, HTTP_AUTH_SECRET, HTTP_ADMIN], ['secret', 'HttpSecret', 'on']);
  assert.deepEqual(variables(resources, 'TickFunction'), others);
  assert.notEqual(tick.Role, fn.Role);
});

test('the function may only append to the journal, and with a door keep groups and read the state', () => {
  const ofTable = (props: PrometheusPushGatewayProps, role = 'Role') => statements(stackWith(props).resources, role).filter((one) => one.includes('dynamodb'));
  assert.deepEqual(ofTable({ state: {} }), ['Allow dynamodb:PutItem on StateTable.Arn with j#*']);
  const withDoor = [
    'Allow dynamodb:GetItem dynamodb:PutItem dynamodb:Query on StateTable.Arn with g#*',
    'Allow dynamodb:GetItem dynamodb:Query on StateTable.Arn with s#*',
    'Allow dynamodb:PutItem on StateTable.Arn with j#*',
  ];
  assert.deepEqual(ofTable({ state: {}, httpDoor: {} }), withDoor);
  assert.deepEqual(ofTable({ state: {}, httpDoor: { admin: true } }), ['Allow dynamodb:DeleteItem on StateTable.Arn with g#*', ...withDoor]);
  assert.deepEqual(ofTable({ state: {} }, 'TickRole'), [
    'Allow dynamodb:DeleteItem on StateTable.Arn with g#*',
    'Allow dynamodb:GetItem on StateTable.Arn with g#* s#*',
    'Allow dynamodb:PutItem on StateTable.Arn with s#*',
    'Allow dynamodb:Query on StateTable.Arn with g#* j#* s#*',
  ]);
  const { resources } = stackWith({ state: {} });
  assert.deepEqual(statements(resources, 'TickScheduleRole'), ['Allow lambda:InvokeFunction on TickFunction.Arn']);
});

test('the roles may use the keys of a table and a dead-letter queue that users encrypt with keys of their own', () => {
  const { resources } = stackWith((stack) => ({
    state: {
      table: new dynamodb.Table(stack, 'Own', {
        partitionKey: { name: 'pk', type: dynamodb.AttributeType.STRING },
        encryption: dynamodb.TableEncryption.CUSTOMER_MANAGED,
        encryptionKey: new kms.Key(stack, 'TableKey'),
      }),
    },
    deadLetterQueue: new sqs.Queue(stack, 'OwnDeadLetters', { encryptionMasterKey: new kms.Key(stack, 'QueueKey') }),
  }));
  for (const role of ['Role', 'TickRole']) {
    const ofKeys = statements(resources, role).filter((one) => one.includes('kms:'));
    assert.deepEqual(ofKeys.map((one) => one.replace(/^.* on /, '')).sort(), ['QueueKey.Arn', 'TableKey.Arn'], role);
  }
  assert.equal(ofType(resources, 'AWS::DynamoDB::Table').length, 1);
});

test('zero reserves no concurrency for the tick', () => {
  const reserved = (state: StateProps) => stackWith({ state }).resources.TickFunction.Properties.ReservedConcurrentExecutions;
  assert.deepEqual([{}, { tickReservedConcurrency: 5 }, { tickReservedConcurrency: 0 }].map(reserved), [2, 5, undefined]);
});

test('durations become whole seconds, and 0 is never', () => {
  const of = (state: StateProps) => {
    const { GROUP_TTL, SERIES_TTL, SUMMARY_WINDOW } = variables(stackWith({ state }).resources, 'TickFunction');
    return [GROUP_TTL, SERIES_TTL, SUMMARY_WINDOW];
  };
  assert.deepEqual(of({}), [undefined, '24h', '10m']);
  assert.deepEqual(of({ groupTtl: Duration.days(1), seriesTtl: Duration.seconds(0), summaryWindow: Duration.minutes(2) }), ['86400s', '0s', '120s']);
});

test('Lambda keeps asynchronous events as long as the function takes their samples', () => {
  const age = (maxSampleAge?: Duration) =>
    ofType(stackWith({ maxSampleAge }).resources, 'AWS::Lambda::EventInvokeConfig')[0].Properties.MaximumEventAgeInSeconds;
  const ages = [undefined, Duration.minutes(30), Duration.seconds(90), Duration.millis(500), Duration.days(1)];
  assert.deepEqual(ages.map(age), [3_600, 1_800, 90, 60, 21_600]);
});

test('wrong props of the state are errors that name the prop, the value and the range', () => {
  const unknown = (stack: Stack) => Duration.seconds(new CfnParameter(stack, 'Seconds', { type: 'Number' }).valueAsNumber);
  const table: [PrometheusPushGatewayProps | ((stack: Stack) => PrometheusPushGatewayProps), string][] = [
    [{ state: { shards: 0 } }, 'state.shards is 0; expected a whole number from 1 to 16'],
    [{ state: { shards: 17 } }, 'state.shards is 17; expected a whole number from 1 to 16'],
    [{ state: { maxSeries: 0 } }, 'state.maxSeries is 0; expected a whole number from 1 to 1000000'],
    [{ state: { tickMemorySize: 64 } }, 'state.tickMemorySize is 64; expected a whole number from 128 to 10240 MB'],
    [{ state: { tickReservedConcurrency: 100 } }, 'state.tickReservedConcurrency is 100; expected a whole number from 0 to 99'],
    [{ state: { summaryWindow: Duration.seconds(0) } }, 'state.summaryWindow is 0 s; expected whole seconds from 1 s to 86400 s'],
    [(stack) => ({ state: { groupTtl: unknown(stack) } }), 'state.groupTtl is a token; expected whole seconds from 0 s to 3153600000 s, known at synthesis'],
    [{ httpDoor: { admin: true } }, 'httpDoor.admin is true; expected none without state: there are no groups to delete'],
    [
      { state: {}, maxSampleAge: Duration.seconds(59) },
      'maxSampleAge is 59 s; expected at least 60 s with state: Lambda keeps asynchronous events for 60 s or longer',
    ],
  ];
  for (const [props, error] of table) {
    assert.throws(() => stackWith(props), { message: `PrometheusPushGateway Stack/Gateway: ${error}` });
  }
});

test('alarms and dashboard show the tick and the table', () => {
  const { resources } = stackWith({ state: {}, dashboard: true });
  const alarms = ofType(resources, 'AWS::CloudWatch::Alarm').map(({ Properties }) => Properties);
  assert.equal(alarms.length, 19);
  const [noTick] = alarms.slice(-6);
  assert.deepEqual(
    [noTick.MetricName, noTick.TreatMissingData, noTick.ComparisonOperator, noTick.Period, noTick.EvaluationPeriods],
    ['Invocations', 'breaching', 'LessThanThreshold', 60, 5],
  );
  const { widgets } = JSON.parse(resources.Dashboard.Properties.DashboardBody);
  const titles = widgets.map(({ properties }: any) => properties.title);
  assert.ok(['Ticks', 'Duration of a tick, in milliseconds', 'Table, in units'].every((title) => titles.includes(title)));
  assert.equal(widgets[0].properties.alarms.length, 19);
});
