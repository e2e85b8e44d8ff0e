import { Token, type Duration } from 'aws-cdk-lib';
import type { Endpoint } from './endpoint';
import type { Faults } from './faults';
import { LateSamples, LogLevel, type PrometheusPushGatewayProps } from './props';

/** The function takes no name that is only underscores either. */
const LABEL_NAME = /^(?!__|_$)[a-zA-Z_][a-zA-Z0-9_]*$/;
const MOST_BYTES = 2_048;

/** The settings that the function reads. */
export function environmentOf(
  props: PrometheusPushGatewayProps,
  endpoint: Endpoint,
  deadLetterQueueUrl: string,
): { [name: string]: string } {
  const settings: { [name: string]: string | undefined } = {
    REMOTE_WRITE_URL: endpoint.remoteWriteUrl,
    SIGV4_REGION: endpoint.region,
    DEAD_LETTER_QUEUE_URL: deadLetterQueueUrl,
    EXTERNAL_LABELS: externalLabels(props.externalLabels),
    MAX_SAMPLE_AGE: duration(props.maxSampleAge),
    MAX_SAMPLE_LEAD: duration(props.maxSampleLead),
    LATE_SAMPLES: props.lateSamples ?? LateSamples.DEAD_LETTER,
    RUST_LOG: props.logLevel ?? LogLevel.INFO,
  };
  const given = Object.entries(settings).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(given);
}

/** What the function would refuse at its start. */
export function checkEnvironment(props: PrometheusPushGatewayProps, faults: Faults): void {
  for (const [name, value] of Object.entries(props.externalLabels ?? {})) {
    if (!Token.isUnresolved(name) && !LABEL_NAME.test(name)) {
      faults.add('externalLabels', name, 'names of the form [a-zA-Z_][a-zA-Z0-9_]* that are not reserved: not __ in front, and not only _');
    }
    if (Token.isUnresolved(value)) {
      continue;
    }
    if (value === '' || value.includes(',') || Buffer.byteLength(value) > MOST_BYTES) {
      faults.add(`externalLabels.${name}`, value, `1 to ${MOST_BYTES} bytes without a comma`);
    }
  }
  for (const prop of ['maxSampleAge', 'maxSampleLead'] as const) {
    const given = props[prop];
    if (given?.isUnresolved()) {
      faults.add(prop, given, 'a duration known at synthesis');
    }
  }
}

function externalLabels(labels?: { [name: string]: string }): string | undefined {
  const pairs = Object.entries(labels ?? {}).map(([name, value]) => `${name}=${value}`);
  return pairs.length > 0 ? pairs.join(',') : undefined;
}

/** One whole number and one unit. */
function duration(value?: Duration): string | undefined {
  const ms = value?.toMilliseconds();
  return ms === undefined ? undefined : ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms}ms`;
}
