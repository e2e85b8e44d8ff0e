// Runs a bundled Node handler as Lambda's runtime for Node does, as far as CPU and memory are concerned:
// node ancestor.js BUNDLE HANDLER
const http = require("node:http");

const [bundle, name] = process.argv.slice(2);
const handler = require(bundle)[name];
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

const call = (method, path, body) =>
  new Promise((resolve, reject) => {
    const options = { host, port, agent, method, path: `/2018-06-01/runtime/invocation/${path}` };
    const request = http.request(options, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(parts) }));
    });
    request.on("error", reject);
    request.end(body);
  });

(async () => {
  for (;;) {
    const next = await call("GET", "next");
    const id = next.headers["lambda-runtime-aws-request-id"];
    try {
      const answer = await handler(JSON.parse(next.body.toString("utf8")));
      await call("POST", `${id}/response`, JSON.stringify(answer ?? null));
    } catch (error) {
      await call("POST", `${id}/error`, JSON.stringify({ errorType: error.name, errorMessage: error.message }));
    }
  }
})();
