// A runtime of Lambda for Node.js, as small as it can be: `node bootstrap.js FILE` runs the `handler` of a file.
const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
const { handler } = require(process.argv[2]);

(async () => {
  for (;;) {
    const next = await fetch(`${api}/next`);
    const id = next.headers.get("lambda-runtime-aws-request-id");
    let kind = "response";
    let body;
    try {
      body = await handler(await next.json());
    } catch (error) {
      kind = "error";
      body = { errorType: error.name, errorMessage: error.message };
    }
    await fetch(`${api}/${id}/${kind}`, { method: "POST", body: JSON.stringify(body) });
  }
})();
