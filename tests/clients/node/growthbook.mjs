// The published GrowthBook SDK, driven by lines of JSON: one question a line, one answer a line.
import { createInterface } from "node:readline";
import { GrowthBook, GrowthBookClient, evalCondition } from "@growthbook/growthbook";
import { growthbookTrackingPlugin } from "@growthbook/growthbook/plugins";

const told = ({ value, source, experimentResult: result }) => ({
  value,
  source,
  arm: result?.key ?? null,
  propensity: result?.variationWeights?.[result.variationId] ?? null,
  epoch: result?.banditVersion ?? null,
});

const answers = {
  conditions: ({ pairs }) => pairs.map(([condition, attributes]) => evalCondition(attributes, condition)),

  features: ({ payload, visitors }) => {
    const client = new GrowthBookClient();
    client.initSync({ payload });
    const keys = Object.keys(payload.features);
    return visitors.map((attributes) =>
      Object.fromEntries(keys.map((key) => [key, told(client.evalFeature(key, { attributes }))])),
    );
  },

  // A page: fetches its payload, evaluates, reports by the stock plugin, and leaves.
  visit: async ({ host, clientKey, attributes, keys, events }) => {
    const growthbook = new GrowthBook({
      apiHost: host,
      clientKey,
      attributes,
      plugins: [growthbookTrackingPlugin({ ingestorHost: host, queueFlushInterval: 1 })],
    });
    await growthbook.init({ skipCache: true, timeout: 20000 });
    const found = Object.fromEntries(keys.map((key) => [key, told(growthbook.evalFeature(key))]));
    // They wait in one queue with the exposures, and are done when that was sent.
    await Promise.all(events.map(([name, properties]) => growthbook.logEvent(name, properties)));
    growthbook.destroy();
    return found;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { ask, ...question } = JSON.parse(line);
  process.stdout.write(JSON.stringify(await answers[ask](question)) + "\n");
}
