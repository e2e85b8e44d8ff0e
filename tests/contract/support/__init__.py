"""The tools of the contract tests: the real `ingest` process, and the world around it.

| module           | purpose                                                                          |
|------------------|----------------------------------------------------------------------------------|
| `components`     | finds the binaries and servers, and says what to run when one is missing         |
| `http_server`    | the small threaded HTTP/1.1 server that the three fakes below share              |
| `runtime_api`    | the Lambda Runtime API, and `Ingest`: one real process to invoke                 |
| `receiver`       | a remote-write receiver that checks every byte of every request                  |
| `remote_write`   | independent readers: snappy block, protobuf, and the rules of remote write 1.0   |
| `remote_read`    | remote read as a client speaks it, and a query API that checks the gateway's queries |
| `sigv4`          | an independent check of the signature, with botocore's signer                    |
| `prometheus`     | a real Prometheus with the remote-write receiver on                              |
| `moto_server`    | moto's SQS as a process of its own, made safe for several pollers at a time      |
| `sqs`            | moto's SQS, queues of both kinds, Lambda's SQS events, dead letters              |
| `dynamodb`       | DynamoDB in memory, and tables of the state                                      |
| `state`          | typed events, ticks, and a receiver that takes stale markers and native histograms |
| `gateway`        | one `ingest` and one receiver for many invocations, and what each sent            |
| `event_values`   | JSON values that are accepted or rejected, and the bits that are sent             |
| `command_line`   | `pushgw` and other programs, run as a user does                                  |
| `hostile_text`   | text that steers a terminal or makes up lines, and the check that it does neither |
| `serve`          | `pushgw serve` as a process, and its clients                                     |
| `environment`    | an execution environment of Lambda with the real extension in it                 |
| `dispatched`     | what extensions sent to a queue, added up                                        |
| `bootstrap.py`, `.js` | runtimes of Lambda, as small as they can be                                 |
| `rie`            | AWS's own emulator of Lambda                                                     |
| `pushgateway`    | a real Pushgateway                                                               |
| `clients`        | client libraries as programs, and what Prometheus must answer after a push       |
| `events`         | short ways to write events and times                                             |
| `faults`         | the table of faults; `Stand`: the whole world around one `ingest`                |
| `proxy`          | a proxy that injects the faults of networks and servers                          |
| `tsdb`           | a model of a receiver: what it stores, refuses and answers                       |
| `event_source`   | Lambda's event source mapping, with kills and duplicate deliveries               |
| `event_source_fifo` | a FIFO queue in memory, as AWS documents it                                   |

Everything binds to loopback on ports that the system chooses. Nothing here waits by sleeping.
"""

from .components import EXAMPLES, ROOT  # noqa: F401
