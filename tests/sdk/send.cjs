// Makes the calls of PLAN with an npm SDK: node send.cjs segment|rudder. Says how many calls failed.
const plan = JSON.parse(process.env.PLAN);

// A machine whose clock is wrong: everything the SDK asks for the time gets this one.
if (plan.clock_shift_ms) {
  const Right = Date;
  globalThis.Date = class extends Right {
    constructor(...parts) { parts.length ? super(...parts) : super(Right.now() + plan.clock_shift_ms); }
    static now() { return Right.now() + plan.clock_shift_ms; }
  };
}

function withDates({ type, ...call }) {
  return call.timestamp ? { ...call, timestamp: new Date(call.timestamp) } : call;
}

async function segment() {
  const { Analytics } = require("@segment/analytics-node");
  let failed = 0;
  const analytics = new Analytics({
    writeKey: plan.key, host: plan.host, flushAt: plan.batch, flushInterval: 200, maxRetries: 5,
  });
  analytics.on("error", (error) => { failed += 1; console.error(error.code, error.reason); });
  for (const call of plan.calls) analytics[call.type](withDates(call));
  await analytics.closeAndFlush({ timeout: 60000 });
  return failed;
}

async function rudder() {
  const Rudder = require("@rudderstack/rudder-sdk-node");
  let failed = 0;
  const client = new (Rudder.default ?? Rudder)(plan.key, {
    dataPlaneUrl: plan.host, flushAt: plan.batch, flushInterval: 200, gzip: plan.gzip, logLevel: "error",
  });
  const said = plan.calls.map((call) => new Promise((done) => {
    client[call.type](withDates(call), (error) => { failed += error ? 1 : 0; done(); });
  }));
  // A full batch is flushed unasked, and nobody waits for that promise.
  process.on("unhandledRejection", (error) => console.error(error.message));
  await client.flush().catch(() => {}); // each call was told
  await Promise.all(said);
  return failed;
}

({ segment, rudder })[process.argv[2]]().then((failed) => {
  console.log(`failed ${failed}`);
  process.exit(0);
});
