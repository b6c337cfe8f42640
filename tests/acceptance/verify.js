// Verifies what was received: node verify.js <the package standardwebhooks> <a file of JSON>.
// Ends with an error at the first signature that does not hold.
const { readFileSync } = require("fs");
const { Webhook } = require(process.argv[2]);

const received = JSON.parse(readFileSync(process.argv[3], "utf8"));
for (const { secret, headers, body } of received) {
  new Webhook(secret).verify(body, headers);
}
console.log(`${received.length} verified`);
