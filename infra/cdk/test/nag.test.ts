import assert from 'node:assert/strict';
import { test } from 'node:test';
import { App, Stack, Validations, aws_sqs as sqs } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { HttpFront, PrometheusPushGateway } from 'cdk-amp-push-gateway';
import { stackOf, VARIANTS } from '../example/variants';

/** Returns each finding as `rule construct`. */
function findings(stack: Stack): string[] {
  const { violations } = new AwsSolutionsChecks().validateScope(stack);
  return violations.flatMap(({ ruleName, violatingResources }) => violatingResources.map((one) => `${ruleName} ${one.constructPath}`));
}

test('AwsSolutions has no findings in any variant', () => {
  for (const variant of Object.keys(VARIANTS)) {
    // The function that gets telemetry is the user's.
    assert.deepEqual(findings(stackOf(variant)).filter((one) => !one.includes('/Checkout/')), [], variant);
  }
});

test('AwsSolutions finds what another queue lacks', () => {
  const stack = stackOf('Standard');
  new sqs.Queue(stack, 'Bare');
  assert.deepEqual(findings(stack), ['AwsSolutions-SQS3 Standard/Bare/Resource', 'AwsSolutions-SQS4 Standard/Bare/Resource']);
});

test('the construct acknowledges five rules, each with a reason', () => {
  const stack = new Stack(new App(), 'Stack');
  const gateway = new PrometheusPushGateway(stack, 'Gateway', {
    xray: true,
    iot: { topicFilter: 'events/+' },
    httpDoor: { front: HttpFront.HTTP_API },
  });
  const exceptions = gateway.node.findAll().flatMap(({ node }) =>
    node.metadata
      .filter((entry) => entry.type === Validations.ACKNOWLEDGED_RULES_METADATA_KEY)
      .flatMap((entry) => Object.entries<string>(entry.data))
      .map(([rule, reason]) => {
        assert.ok(reason.length > 40);
        // CDK adds a prefix.
        return `${node.path} ${rule.replace(/^annotation::/i, '')}`;
      }),
  );
  assert.deepEqual(exceptions.sort(), [
    'Stack/Gateway/FailureQueue AwsSolutions-SQS3',
    'Stack/Gateway/Http/Route AwsSolutions-APIG4',
    'Stack/Gateway/Http/Secret AwsSolutions-SMG4',
    'Stack/Gateway/Http/Stage AwsSolutions-APIG1',
    'Stack/Gateway/Http/Token AwsSolutions-SMG4',
    'Stack/Gateway/Role AwsSolutions-IAM5[Resource::*]',
  ]);
});
