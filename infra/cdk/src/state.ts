import { Duration, RemovalPolicy, Stack, aws_dynamodb as dynamodb, aws_iam as iam, aws_lambda as lambda, aws_logs as logs, aws_scheduler as scheduler } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import type { DoorKey } from './door';
import type { FunctionSettings } from './function';
import type { PrometheusPushGatewayProps, StateProps } from './props';
import type { PropErrors } from './validation';

/** A seventh of a processor. A full shard takes 64 MB and 150 ms of a whole one. */
const MEMORY = 256;
/** A tick, and a slow one before it. */
const CONCURRENCY = 2;
/** In seconds, as the function takes them. */
const DAY = 86_400;
const HUNDRED_YEARS = 36_500 * DAY;
/** The partition keys of the table, with the number of the shard behind them. */
const JOURNAL = 'j#*';
const GROUPS = 'g#*';
const COUNTED = 's#*';

/** The table and the tick. */
export interface State {
  readonly table: dynamodb.ITable;
  readonly tick: lambda.Function;
  readonly tickLogGroup: logs.ILogGroup;
}

/** Checks the props of the state. */
export function checkState(props: PrometheusPushGatewayProps, errors: PropErrors): void {
  const { state } = props;
  if (!state) {
    if (props.httpDoor?.admin) {
      errors.add('httpDoor.admin', true, 'none without state: there are no groups to delete');
    }
    return;
  }
  errors.checkWhole('state.shards', state.shards ?? 1, 1, 16);
  errors.checkWhole('state.maxSeries', state.maxSeries ?? 100_000, 1, 1_000_000);
  errors.checkWhole('state.tickMemorySize', state.tickMemorySize ?? MEMORY, 128, 10_240, ' MB');
  errors.checkWhole('state.tickReservedConcurrency', state.tickReservedConcurrency ?? CONCURRENCY, 0, 99);
  for (const [prop, least, most] of [
    ['groupTtl', 0, HUNDRED_YEARS],
    ['seriesTtl', 0, HUNDRED_YEARS],
    ['summaryWindow', 1, DAY],
  ] as const) {
    if (state[prop]) {
      errors.checkSeconds(`state.${prop}`, state[prop], least, most);
    }
  }
}

/** Makes the table, unless it is given. It stays in any case: nobody else has the totals. */
export function makeTable(scope: Construct, props: StateProps): dynamodb.ITable {
  return (
    props.table ??
    new dynamodb.Table(scope, 'StateTable', {
      billingMode: dynamodb.BillingMode.PAY_PER_REQUEST,
      partitionKey: { name: 'pk', type: dynamodb.AttributeType.STRING },
      sortKey: { name: 'sk', type: dynamodb.AttributeType.STRING },
      timeToLiveAttribute: 'ttl',
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: true,
      removalPolicy: RemovalPolicy.RETAIN,
    })
  );
}

/** Lets the function append to the journal and, with an HTTP door, keep groups and read what is counted. */
export function allowFunction(role: iam.Role, table: dynamodb.ITable, door?: DoorKey): void {
  allow(role, table, ['dynamodb:PutItem'], JOURNAL);
  if (door) {
    allow(role, table, ['dynamodb:GetItem', 'dynamodb:Query', 'dynamodb:PutItem'], GROUPS);
    allow(role, table, ['dynamodb:GetItem', 'dynamodb:Query'], COUNTED);
  }
  if (door?.admin) {
    // Only a wipe deletes items, those that nobody can read. Else a deletion leaves the series that must end.
    allow(role, table, ['dynamodb:DeleteItem'], GROUPS);
  }
  table.encryptionKey?.grantEncryptDecrypt(role);
}

/** Makes the function of the tick, with its role and its log group, and the schedule that invokes it each minute. */
export function makeTick(scope: Construct, props: StateProps, table: dynamodb.ITable, settings: FunctionSettings): State {
  const logGroup = new logs.LogGroup(scope, 'TickLogGroup', { retention: settings.logRetention, removalPolicy: RemovalPolicy.DESTROY });
  const concurrency = props.tickReservedConcurrency ?? CONCURRENCY;
  const tick = new lambda.Function(scope, 'TickFunction', {
    description: 'Adds up the journal each minute, and writes all that is kept to Amazon Managed Service for Prometheus',
    ...settings.same,
    memorySize: props.tickMemorySize ?? MEMORY,
    // The function itself stops 50 s after its start, so that it never sends behind the next tick.
    timeout: Duration.seconds(60),
    reservedConcurrentExecutions: concurrency === 0 ? undefined : concurrency,
    role: makeRole(scope, table, settings, logGroup),
    logGroup,
  });
  // A tick that is late is useless: the next one writes newer values.
  new lambda.EventInvokeConfig(scope, 'TickAsynchronousInvocations', { function: tick, retryAttempts: 0, maxEventAge: Duration.minutes(1) });
  makeSchedule(scope, tick);
  return { table, tick, tickLogGroup: logGroup };
}

function makeRole(scope: Construct, table: dynamodb.ITable, settings: FunctionSettings, logGroup: logs.ILogGroup): iam.Role {
  const role = new iam.Role(scope, 'TickRole', { assumedBy: ofThisAccount(scope, 'lambda.amazonaws.com') });
  role.addToPolicy(new iam.PolicyStatement({ actions: ['aps:RemoteWrite'], resources: [settings.workspaceArn] }));
  role.addToPolicy(new iam.PolicyStatement({ actions: ['sqs:SendMessage'], resources: [settings.deadLetterQueue.queueArn] }));
  allow(role, table, ['dynamodb:Query'], JOURNAL, COUNTED, GROUPS);
  allow(role, table, ['dynamodb:GetItem'], COUNTED, GROUPS);
  // Never the journal, which only grows, and expires by itself.
  allow(role, table, ['dynamodb:PutItem'], COUNTED);
  allow(role, table, ['dynamodb:DeleteItem'], GROUPS);
  role.addToPolicy(new iam.PolicyStatement({ actions: ['logs:CreateLogStream', 'logs:PutLogEvents'], resources: [logGroup.logGroupArn] }));
  table.encryptionKey?.grantEncryptDecrypt(role);
  settings.allowDeadLetters(role);
  settings.acknowledgeTracing(role);
  return role;
}

function makeSchedule(scope: Construct, tick: lambda.Function): void {
  const role = new iam.Role(scope, 'TickScheduleRole', { assumedBy: ofThisAccount(scope, 'scheduler.amazonaws.com') });
  role.addToPolicy(new iam.PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: [tick.functionArn] }));
  new scheduler.CfnSchedule(scope, 'TickSchedule', {
    description: 'The tick of amp-push-gateway',
    scheduleExpression: 'rate(1 minute)',
    flexibleTimeWindow: { mode: 'OFF' },
    target: {
      arn: tick.functionArn,
      roleArn: role.roleArn,
      // https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
      input: '{"tick": "<aws.scheduler.scheduled-time>"}',
      retryPolicy: { maximumRetryAttempts: 0, maximumEventAgeInSeconds: 60 },
    },
  });
}

/** Allows actions on the table, only on items with these partition keys. */
function allow(role: iam.Role, table: dynamodb.ITable, actions: string[], ...keys: string[]): void {
  const conditions = { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': keys } };
  role.addToPolicy(new iam.PolicyStatement({ actions, resources: [table.tableArn], conditions }));
}

function ofThisAccount(scope: Construct, service: string): iam.IPrincipal {
  return new iam.ServicePrincipal(service, { conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(scope).account } } });
}
