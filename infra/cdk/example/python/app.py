import aws_cdk as cdk
from cdk_amp_push_gateway import IotRuleProps, PrometheusPushGateway

app = cdk.App()
stack = cdk.Stack(app, "AmpPushGateway")
gateway = PrometheusPushGateway(
    stack,
    "Gateway",
    external_labels={"env": "prod"},
    batch_window=cdk.Duration.seconds(10),
    iot=IotRuleProps(topic_filter="events/+"),
)
cdk.CfnOutput(stack, "QueueUrl", value=gateway.queue.queue_url)
app.synth()
