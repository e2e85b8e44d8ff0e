"""What the contract tests stand on: the real `ingest` process, and the world around it.

| module           | what it plays                                                                    |
|------------------|----------------------------------------------------------------------------------|
| `components`     | where the binaries and servers are, and what to run when one is missing          |
| `http_server`    | the small threaded HTTP/1.1 server that the three fakes below share              |
| `runtime_api`    | the Lambda Runtime API, and `Ingest`: one real process to invoke                 |
| `receiver`       | a remote-write receiver that distrusts every byte it is sent                     |
| `remote_write`   | independent readers: snappy block, protobuf, and the rules of remote write 1.0   |
| `sigv4`          | an independent check of the signature, with botocore's signer                    |
| `prometheus`     | a real Prometheus with the remote-write receiver on                              |
| `moto_server`    | moto's SQS as a process of its own, fit for several pollers at a time             |
| `sqs`            | moto's SQS, queues of both kinds, Lambda's SQS events, dead letters              |
| `events`         | short ways to write events and times                                             |
| `faults`         | what can go wrong, in one table; `Stand`: all of the world around one `ingest`   |
| `proxy`          | a proxy that does to each request what networks and servers do                   |
| `tsdb`           | what a receiver makes of each sample, and what it says                           |
| `event_source`   | Lambda's event source mapping, with kills and doubled deliveries                 |
| `event_source_fifo` | a FIFO queue in memory, as AWS documents it                                   |

Everything binds to loopback on ports that the system chooses; nothing here waits by sleeping.
"""

from .components import EXAMPLES, ROOT  # noqa: F401
