import {
  Aws,
  Fn,
  Stack,
  Token,
  Validations,
  aws_apigatewayv2 as apigateway,
  aws_lambda as lambda,
  aws_secretsmanager as secrets,
  aws_iam as iam,
} from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { HttpAuth, HttpFront, type HttpDoorProps } from './props';
import type { PropErrors } from './validation';

/** As the function reads it. */
const PATH_PREFIX = /^(\/[0-9a-zA-Z._~-]+)+$/;
/** An attribute of OpenTelemetry that can be a label. */
const ATTRIBUTE = /^[a-zA-Z][0-9a-zA-Z._/-]{0,254}$/;
/** Makes values of which no client has to escape a character. */
const GENERATED: secrets.SecretStringGenerator = { passwordLength: 40, excludePunctuation: true };

/** The part of the door that the function and its role need before the front is made. */
export interface DoorKey {
  /** The scope of the door's constructs. */
  readonly scope: Construct;
  readonly front: HttpFront;
  readonly auth: HttpAuth;
  /** Only with `HttpAuth.SECRET`. */
  readonly secret?: secrets.ISecret;
  readonly pathPrefix?: string;
  readonly read: boolean;
  readonly admin: boolean;
  readonly otlpPromoteAttributes: string[];
  readonly otlpScopeLabels: boolean;
}

/** The door itself. */
export interface Door {
  readonly front: HttpFront;
  readonly url: string;
  readonly api?: apigateway.CfnApi;
  /** Lets a caller use the door with its own credentials of AWS. */
  readonly allow: (grantee: iam.IGrantable) => iam.Grant;
}

/** Checks the props of the door. */
export function checkDoor(props: HttpDoorProps, errors: PropErrors): void {
  const { pathPrefix } = props;
  if (props.secret && props.auth === HttpAuth.IAM) {
    errors.addText('httpDoor.secret', 'given', 'none if httpDoor.auth is "iam": AWS itself checks the signature');
  }
  if (pathPrefix !== undefined && !Token.isUnresolved(pathPrefix) && !PATH_PREFIX.test(pathPrefix)) {
    errors.add('httpDoor.pathPrefix', pathPrefix, 'a path such as /prometheus, that begins with / and does not end with it');
  }
  for (const attribute of props.otlpPromoteAttributes ?? []) {
    if (!Token.isUnresolved(attribute) && !ATTRIBUTE.test(attribute)) {
      errors.add('httpDoor.otlpPromoteAttributes', attribute, 'names of the form [a-zA-Z][0-9a-zA-Z._/-]*, such as cloud.region');
    }
  }
  for (const limit of ['rateLimit', 'burstLimit'] as const) {
    const value = props[limit];
    if (value !== undefined) {
      errors.checkWhole(`httpDoor.${limit}`, value, 1, 10_000);
      if (frontOf(props) !== HttpFront.HTTP_API) {
        errors.add(`httpDoor.${limit}`, value, `none: only "${HttpFront.HTTP_API}" has a throttle; see reservedConcurrency`);
      }
    }
  }
}

/** Makes the secret, unless it is given or not needed. */
export function makeDoorKey(scope: Construct, props: HttpDoorProps): DoorKey {
  const parent = new Construct(scope, 'Http');
  const auth = props.auth ?? HttpAuth.SECRET;
  return {
    scope: parent,
    front: frontOf(props),
    auth,
    secret: auth === HttpAuth.SECRET ? (props.secret ?? makeSecret(parent)) : undefined,
    pathPrefix: props.pathPrefix,
    read: props.read ?? false,
    admin: props.admin ?? false,
    otlpPromoteAttributes: props.otlpPromoteAttributes ?? [],
    otlpScopeLabels: props.otlpScopeLabels ?? false,
  };
}

/** Returns the ARN that names one secret in a policy. An imported secret may lack the six characters at the end of its ARN. */
export function arnOf(secret: secrets.ISecret): string {
  return secret.secretFullArn ?? `${secret.secretArn}-??????`;
}

/** Makes the front of the door. */
export function makeDoor(key: DoorKey, props: HttpDoorProps, fn: lambda.Function): Door {
  return key.front === HttpFront.HTTP_API ? makeApi(key, props, fn) : makeUrl(key, fn);
}

function frontOf(props: HttpDoorProps): HttpFront {
  return props.front ?? HttpFront.FUNCTION_URL;
}

/**
 * Secrets Manager generates one value for a secret. So the token comes from a secret of its own, and the other takes it over once.
 * CloudFormation generates no new values unless these properties change: a rotation by hand stays.
 */
function makeSecret(scope: Construct): secrets.ISecret {
  const token = new secrets.Secret(scope, 'Token', {
    description: 'First token for the HTTP door of amp-push-gateway. Only its other secret counts',
    generateSecretString: GENERATED,
  });
  const secret = new secrets.Secret(scope, 'Secret', {
    description: 'Credentials for the HTTP door of amp-push-gateway - username and password, or token',
    generateSecretString: {
      ...GENERATED,
      // CloudFormation fills the token in: no template has it.
      secretStringTemplate: `{"username":"push","token":"${token.secretValue.unsafeUnwrap()}"}`,
      generateStringKey: 'password',
    },
  });
  for (const one of [token, secret]) {
    Validations.of(one).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason: 'A rotation must change the clients, too, and only their owner can. The project describes it on its page about the door.',
    });
  }
  return secret;
}

function makeUrl(key: DoorKey, fn: lambda.Function): Door {
  const { scope, auth } = key;
  const url = new lambda.CfnUrl(scope, 'FunctionUrl', {
    targetFunctionArn: fn.functionArn,
    authType: auth === HttpAuth.IAM ? lambda.FunctionUrlAuthType.AWS_IAM : lambda.FunctionUrlAuthType.NONE,
    invokeMode: lambda.InvokeMode.BUFFERED,
  });
  if (auth !== HttpAuth.IAM) {
    // Everybody may call the URL: the function itself checks the secret. Since October 2025 a URL needs both permissions.
    // https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
    new lambda.CfnPermission(scope, 'UrlPermission', {
      functionName: fn.functionArn,
      action: 'lambda:InvokeFunctionUrl',
      principal: '*',
      functionUrlAuthType: lambda.FunctionUrlAuthType.NONE,
    });
    new lambda.CfnPermission(scope, 'InvokePermission', {
      functionName: fn.functionArn,
      action: 'lambda:InvokeFunction',
      principal: '*',
      // Only through the URL, and not by a call of Invoke.
      invokedViaFunctionUrl: true,
    });
  }
  return {
    front: key.front,
    // Without the slash at its end, as clients put a path behind it.
    url: `https://${Fn.select(2, Fn.split('/', url.attrFunctionUrl))}`,
    allow: (grantee) =>
      allow(grantee, 'lambda:InvokeFunctionUrl', fn.functionArn).combine(
        allow(grantee, 'lambda:InvokeFunction', fn.functionArn, { Bool: { 'lambda:InvokedViaFunctionUrl': 'true' } }),
      ),
  };
}

function makeApi(key: DoorKey, props: HttpDoorProps, fn: lambda.Function): Door {
  const { scope, auth } = key;
  const api = new apigateway.CfnApi(scope, 'Api', {
    name: Aws.STACK_NAME,
    description: 'HTTP door of amp-push-gateway',
    protocolType: 'HTTP',
  });
  // Every stage and route: there is one of each.
  const every = Stack.of(scope).formatArn({ service: 'execute-api', resource: api.ref, resourceName: '*/*' });
  const integration = new apigateway.CfnIntegration(scope, 'Integration', {
    apiId: api.ref,
    integrationType: 'AWS_PROXY',
    integrationUri: fn.functionArn,
    payloadFormatVersion: '2.0',
  });
  const route = new apigateway.CfnRoute(scope, 'Route', {
    apiId: api.ref,
    routeKey: '$default',
    authorizationType: auth === HttpAuth.IAM ? 'AWS_IAM' : 'NONE',
    target: `integrations/${integration.ref}`,
  });
  const stage = new apigateway.CfnStage(scope, 'Stage', {
    apiId: api.ref,
    // The stage without a name in the path.
    stageName: '$default',
    autoDeploy: true,
    defaultRouteSettings: { throttlingRateLimit: props.rateLimit ?? 100, throttlingBurstLimit: props.burstLimit ?? 200 },
  });
  new lambda.CfnPermission(scope, 'ApiPermission', {
    functionName: fn.functionArn,
    action: 'lambda:InvokeFunction',
    principal: 'apigateway.amazonaws.com',
    sourceArn: every,
  });
  if (auth !== HttpAuth.IAM) {
    Validations.of(route).acknowledge({ id: 'AwsSolutions-APIG4', reason: 'The function itself checks the secret, before it reads a body.' });
  }
  Validations.of(stage).acknowledge({
    id: 'AwsSolutions-APIG1',
    reason: 'The function logs each request with route, status and samples. Another log would only repeat it, and would cost as much.',
  });
  return {
    front: key.front,
    api,
    url: api.attrApiEndpoint,
    allow: (grantee) => allow(grantee, 'execute-api:Invoke', every),
  };
}

function allow(grantee: iam.IGrantable, action: string, resource: string, conditions?: Record<string, Record<string, unknown>>): iam.Grant {
  return iam.Grant.addToPrincipal({ grantee, actions: [action], resourceArns: [resource], conditions });
}
