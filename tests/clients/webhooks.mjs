// Checks signatures of requests that a receiver has kept, as `standardwebhooks` does it.
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

const requests = JSON.parse(readFileSync(process.argv[2], "utf8"));
for (const { secret, headers, body, valid } of requests) {
  let error = null;
  try {
    const event = new Webhook(secret).verify(body, headers);
    if (typeof event.type !== "string" || Number.isNaN(Date.parse(event.timestamp)) || typeof event.data !== "object") {
      error = `no event: ${body}`;
    }
  } catch (thrown) {
    error = String(thrown);
  }
  if (valid !== (error === null)) throw new Error(`${valid ? error : "is taken and must not be"}: ${JSON.stringify(headers)}`);
}
console.log(`${requests.length} requests`);
