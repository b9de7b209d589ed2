// A shop's page that asks for one experiment by OpenFeature's own client, for tests to drive.
import { OpenFeature } from "@openfeature/web-sdk";
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";

let experiment;
const seen = () => OpenFeature.getClient().getObjectDetails(experiment, {});

globalThis.shop = {
  async open({ baseUrl, key, context, options, ...asked }) {
    experiment = asked.experiment;
    const provider = new OFREPWebProvider({ baseUrl, headers: [["Authorization", `Bearer ${key}`]], ...options });
    try {
      await OpenFeature.setContext(context);
      await OpenFeature.setProviderAndWait(provider);
      return seen();
    } catch (fault) {
      return { fault: String(fault) };
    }
  },
  change: (context) => OpenFeature.setContext(context),
  seen,
};
