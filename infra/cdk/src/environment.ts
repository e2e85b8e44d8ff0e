import { Duration, Token, type aws_dynamodb as dynamodb } from 'aws-cdk-lib';
import type { DoorKey } from './door';
import { EmbeddedMetrics, LateSamples, LogLevel, type PrometheusPushGatewayProps, type StateProps } from './props';
import type { PropErrors } from './validation';
import type { Workspace } from './workspace';

/** The function does not accept `_` or `__…`. */
const LABEL_NAME = /^(?!__|_$)[a-zA-Z_][a-zA-Z0-9_]*$/;
const LONGEST_NAME = 1_024;
const LONGEST_VALUE_BYTES = 2_048;
/** A series has at most 150 labels, `__name__` among them. */
const MOST_LABELS = 149;
/** Lambda's limits: https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html */
const LEAST_EVENT_AGE_SECONDS = 60;
const MOST_EVENT_AGE_SECONDS = 21_600;

/** Returns the variables that the function reads. */
export function environmentOf(
  props: PrometheusPushGatewayProps,
  workspace: Workspace,
  deadLetterQueueUrl: string,
  door?: DoorKey,
  table?: dynamodb.ITable,
): { [name: string]: string } {
  const variables: { [name: string]: string | undefined } = {
    REMOTE_WRITE_URL: workspace.remoteWriteUrl,
    SIGV4_REGION: workspace.region,
    DEAD_LETTER_QUEUE_URL: deadLetterQueueUrl,
    EXTERNAL_LABELS: externalLabels(props.externalLabels),
    MAX_SAMPLE_AGE: duration(props.maxSampleAge),
    MAX_SAMPLE_LEAD: duration(props.maxSampleLead),
    LATE_SAMPLES: props.lateSamples ?? LateSamples.DEAD_LETTER,
    METRICS: props.metrics ?? EmbeddedMetrics.ALARMS,
    RUST_LOG: props.logLevel ?? LogLevel.INFO,
    HTTP_AUTH: door?.auth,
    HTTP_AUTH_SECRET: door?.secret?.secretArn,
    HTTP_PATH_PREFIX: door?.pathPrefix,
    HTTP_READ: door?.read ? 'on' : undefined,
    HTTP_ADMIN: door?.admin ? 'on' : undefined,
    OTLP_PROMOTE_ATTRIBUTES: door?.otlpPromoteAttributes.join(',') || undefined,
    OTLP_SCOPE_LABELS: door?.otlpScopeLabels ? 'on' : undefined,
    ...stateOf(props.state, table),
  };
  return Object.fromEntries(Object.entries(variables).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** Checks the values that would end the function at its start. */
export function checkEnvironment(props: PrometheusPushGatewayProps, errors: PropErrors): void {
  const labels = Object.entries(props.externalLabels ?? {});
  if (labels.length > MOST_LABELS) {
    errors.addText('externalLabels', `${labels.length} labels`, `at most ${MOST_LABELS}: a series has 150 with its name`);
  }
  for (const [name, value] of labels) {
    if (Token.isUnresolved(name)) {
      // Two tokens may be one name at deployment, and the function ends at its start if a name occurs twice.
      errors.addText('externalLabels', 'a token for a name', 'names that are known at synthesis');
    } else if (!LABEL_NAME.test(name) || name.length > LONGEST_NAME) {
      errors.add(
        'externalLabels',
        name,
        `a name of the form [a-zA-Z_][a-zA-Z0-9_]* that does not begin with __, is not _, and has at most ${LONGEST_NAME} bytes`,
      );
    }
    if (!Token.isUnresolved(value) && (value === '' || value.includes(',') || Buffer.byteLength(value) > LONGEST_VALUE_BYTES)) {
      errors.add(`externalLabels.${name}`, value, `1 to ${LONGEST_VALUE_BYTES} bytes without a comma`);
    }
  }
  for (const prop of ['maxSampleAge', 'maxSampleLead'] as const) {
    if (props[prop]?.isUnresolved()) {
      errors.add(prop, props[prop], 'a duration known at synthesis');
    }
  }
  if (props.state && props.maxSampleAge && !props.maxSampleAge.isUnresolved() && props.maxSampleAge.toMilliseconds() < LEAST_EVENT_AGE_SECONDS * 1_000) {
    errors.add('maxSampleAge', props.maxSampleAge, 'at least 60 s with state: Lambda keeps asynchronous events for 60 s or longer');
  }
}

/**
 * Returns how long Lambda keeps an asynchronous event: as long as the function takes samples. With state it must not be longer, because
 * the table forgets the identities of events then, and would count a late repetition twice.
 */
export function eventAgeOf(maxSampleAge: Duration = Duration.hours(1)): Duration {
  const seconds = Math.floor(maxSampleAge.toMilliseconds() / 1_000);
  return Duration.seconds(Math.min(Math.max(seconds, LEAST_EVENT_AGE_SECONDS), MOST_EVENT_AGE_SECONDS));
}

function stateOf(state?: StateProps, table?: dynamodb.ITable): { [name: string]: string | undefined } {
  if (!state || !table) {
    return {};
  }
  return {
    STATE_TABLE: table.tableName,
    STATE_SHARDS: `${state.shards ?? 1}`,
    GROUP_TTL: duration(state.groupTtl),
    SERIES_TTL: state.seriesTtl ? duration(state.seriesTtl) : '24h',
    MAX_SERIES: `${state.maxSeries ?? 100_000}`,
    SUMMARY_WINDOW: state.summaryWindow ? duration(state.summaryWindow) : '10m',
  };
}

function externalLabels(labels?: { [name: string]: string }): string | undefined {
  const pairs = Object.entries(labels ?? {}).map(([name, value]) => `${name}=${value}`);
  return pairs.length > 0 ? pairs.join(',') : undefined;
}

/** Returns one whole number and one unit, as the function reads durations. */
function duration(value?: Duration): string | undefined {
  const ms = value?.toMilliseconds();
  return ms === undefined ? undefined : ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms}ms`;
}
