import { aws_cloudwatch as cloudwatch, Duration, type aws_lambda as lambda } from 'aws-cdk-lib';
import type { Door } from './door';

/** Every reason for which the function rejects an event. */
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
  'type_conflict',
  'series_limit',
  'needs_state',
];

/** The reasons whose events `LateSamples.DROP` drops. */
export const LATE_REASONS = ['too_old', 'out_of_order'];

/** Returns one of the metrics that the function prints, by default as the sum over five minutes. */
export function embeddedMetric(fn: lambda.IFunction, name: string, options?: cloudwatch.MetricOptions): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace: 'AmpPushGateway',
    metricName: name,
    statistic: cloudwatch.Stats.SUM,
    period: Duration.minutes(5),
    ...options,
    dimensionsMap: { FunctionName: fn.functionName },
  });
}

/** The metrics that AWS has of the door's front. */
export interface HttpMetrics {
  readonly requests: cloudwatch.Metric;
  readonly clientErrors: cloudwatch.Metric;
  readonly serverErrors: cloudwatch.Metric;
  readonly latency: cloudwatch.Metric;
}

/**
 * Returns the metrics of the door's front, as sums over five minutes.
 * https://docs.aws.amazon.com/lambda/latest/dg/urls-monitoring.html
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
 */
export function httpMetrics(fn: lambda.IFunction, { api }: Door): HttpMetrics {
  const metric = (ofUrl: string, ofApi: string) =>
    new cloudwatch.Metric({
      namespace: api ? 'AWS/ApiGateway' : 'AWS/Lambda',
      metricName: api ? ofApi : ofUrl,
      statistic: cloudwatch.Stats.SUM,
      period: Duration.minutes(5),
      dimensionsMap: api ? { ApiId: api.ref } : { FunctionName: fn.functionName },
    });
  return {
    requests: metric('UrlRequestCount', 'Count'),
    clientErrors: metric('Url4xxCount', '4xx'),
    serverErrors: metric('Url5xxCount', '5xx'),
    latency: metric('UrlRequestLatency', 'Latency'),
  };
}
