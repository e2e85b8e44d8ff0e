// A Lambda function in Node.js that gives its own metrics to the extension in the same environment. It needs no package.
//
// A line of StatsD is one datagram: it costs microseconds, and nobody waits for an answer. `POST /events` takes typed metrics with all
// their keys, and answers with a report. Other clients of StatsD and DogStatsD work as well.

const dgram = require("node:dgram");

const statsdPort = Number(process.env.STATSD_PORT ?? "8125");
const events = `http://127.0.0.1:${process.env.EVENTS_PORT ?? "9091"}/events`;

const statsd = dgram.createSocket("udp4");
statsd.unref();

// Lambda may freeze the environment after the answer, so the function waits until the datagram has left.
const send = (line) => new Promise((done) => statsd.send(line, statsdPort, "127.0.0.1", done));

exports.handler = async (event) => {
  const begun = process.hrtime.bigint();
  const { orders } = event;
  await send(`orders:${orders.length}|c|#shop:north`);
  await Promise.all(orders.map((order) => send(`order.value:${order}|h|#shop:north`)));
  await send(`order.took:${Number(process.hrtime.bigint() - begun) / 1e6}|ms`);
  const answer = await fetch(events, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify([
      { type: "counter", name: "order_batches_total", value: 1, help: "Batches of orders.", labels: { shop: "north" } },
      { type: "gauge", name: "last_order_value", value: orders.at(-1) },
    ]),
  });
  return { accepted: (await answer.json()).accepted };
};
