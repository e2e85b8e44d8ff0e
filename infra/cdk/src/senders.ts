import { Token, aws_iam as iam, aws_sqs as sqs } from 'aws-cdk-lib';
import type { PrometheusPushGatewayProps } from './props';
import type { PropErrors } from './validation';

const PRINCIPAL = /^(\d{12}|arn:aws[a-z-]*:iam::\d{12}:(root|(role|user)\/[\w+=.@/-]+))$/;
const TOPIC = /^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}(\.fifo)?$/;
const RULE = /^arn:aws[a-z-]*:events:[a-z0-9-]+:\d{12}:rule\/[\w./-]+$/;

/** The props, and the form of their values. */
const SENDERS = [
  ['senderPrincipals', PRINCIPAL, 'an account id, or arn:aws:iam::<account>:role/<name>'],
  ['senderTopics', TOPIC, 'arn:aws:sns:<region>:<account>:<topic>'],
  ['senderRules', RULE, 'arn:aws:events:<region>:<account>:rule/<name>'],
] as const;

/** Checks the props that name other senders. */
export function checkSenders(props: PrometheusPushGatewayProps, errors: PropErrors): void {
  for (const [prop, form, shape] of SENDERS) {
    const given = props[prop] ?? [];
    given.filter((one) => !Token.isUnresolved(one) && !form.test(one)).forEach((one) => errors.add(prop, one, shape));
    if (given.length > 0 && props.queue && !(props.queue instanceof sqs.Queue)) {
      errors.addText(prop, 'given', 'none for a queue that another app makes: only that app can change its policy');
    }
  }
}

/** Adds a statement to the policy of the queue for each kind of sender that is given. */
export function admitSenders(queue: sqs.IQueue, props: PrometheusPushGatewayProps): void {
  const admit = (principals: iam.IPrincipal[], conditions?: { [operator: string]: unknown }) =>
    queue.addToResourcePolicy(new iam.PolicyStatement({ actions: ['sqs:SendMessage'], resources: [queue.queueArn], principals, conditions }));
  // A service sends for every account. The ARN of the topic or rule, which contains its account, keeps the others out.
  const service = (name: string, arns: string[] = []) =>
    arns.length > 0 && admit([new iam.ServicePrincipal(name)], { ArnEquals: { 'aws:SourceArn': arns } });
  const principals = props.senderPrincipals ?? [];
  if (principals.length > 0) {
    admit(principals.map((one) => (/^\d{12}$/.test(one) ? new iam.AccountPrincipal(one) : new iam.ArnPrincipal(one))));
  }
  service('sns.amazonaws.com', props.senderTopics);
  service('events.amazonaws.com', props.senderRules);
}
