// What the scripts of all Node clients share: the setting they are given, and one JSON line for each check.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

export const CHAT = "/v1/chat/completions";
export const RESPONSES = "/v1/responses";
export const MESSAGES = "/v1/messages";
export const EMBEDDINGS = "/v1/embeddings";

export const CITY = "Zürich";
export const WEATHER = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};

// Where the gateway is, and what is behind it: models that oblige and otherwise say `text`, and models that embed.
export const at = JSON.parse(process.argv[2]);
export const v1 = `${at.url}/v1`;

// Run the function once for each model. It returns what it saw, or throws.
const checks = [];
export const check = (door, name, run) => checks.push({ door, name, run });

// The client has no way to do it.
export const cannot = (door, name, why) => checks.push({ door, name, why });

export const same = (expected, actual) => {
  assert.deepEqual(actual, expected);
  return JSON.stringify(actual);
};

// The client throws an error of which `is` is true.
export const refused = async (is, run) => {
  let error;
  try {
    await run();
  } catch (thrown) {
    error = thrown;
  }
  if (!error || !is(error)) throw new Error(`the wrong error: ${error}`);
};

export const versionOf = (name) =>
  `${name} ${JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version}`;

export const main = async (version) => {
  for (const { door, name, run, why } of checks) {
    const line = { door, check: name, version };
    if (why) {
      say({ ...line, model: "", ok: null, detail: why });
      continue;
    }
    for (const model of name === "embeddings" ? at.embed : at.models) {
      try {
        say({ ...line, model, ok: true, detail: await run(model) });
      } catch (error) {
        say({ ...line, model, ok: false, detail: String(error).slice(0, 1000) });
      }
    }
  }
};

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
