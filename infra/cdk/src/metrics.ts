import { aws_cloudwatch as cloudwatch, Duration, type aws_lambda as lambda } from 'aws-cdk-lib';

/** What the function prints its metrics under. */
const NAMESPACE = 'AmpPushGateway';
const DIMENSION = 'FunctionName';

/** Every reason for which an event is refused. */
export const REASONS = [
  'invalid_json',
  'invalid_event',
  'invalid_value',
  'invalid_metric_name',
  'invalid_label_name',
  'label_collision',
  'metric_collision',
  'too_many_labels',
  'too_large',
  'too_old',
  'in_future',
  'out_of_order',
  'duplicate_timestamp',
  'refused_by_receiver',
];

/** Of them, those that `LateSamples.DROP` turns into dropped ones. */
export const LATE_REASONS = ['too_old', 'out_of_order'];

/** One of the function's own metrics, as a sum over five minutes unless asked for otherwise. */
export function embeddedMetric(made: lambda.IFunction, name: string, options?: cloudwatch.MetricOptions): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace: NAMESPACE,
    metricName: name,
    statistic: cloudwatch.Stats.SUM,
    period: Duration.minutes(5),
    ...options,
    dimensionsMap: { [DIMENSION]: made.functionName },
  });
}
