// Vercel's AI SDK, with its providers for OpenAI's two protocols, for servers that resemble OpenAI's, and for Anthropic's.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, Output, embedMany, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { CHAT, CITY, EMBEDDINGS, MESSAGES, RESPONSES, at, cannot, check, main, refused, same, v1, versionOf } from "./harness.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;

const openai = (apiKey = at.key) => createOpenAI({ baseURL: v1, apiKey });
const compatible = (apiKey = at.key) => createOpenAICompatible({ name: "trimtab", baseURL: v1, apiKey, includeUsage: true, supportsStructuredOutputs: true });
const anthropic = (apiKey = at.key) => createAnthropic({ baseURL: v1, apiKey });

const status = (code) => (error) => APICallError.isInstance(error) && error.statusCode === code;
const weather = (called) => ({
  get_weather: tool({
    description: "The weather in a city",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => {
      called.push(city);
      return "sunny";
    },
  }),
});

const register = (door, make) => {
  const common = { prompt: "Hi", maxRetries: 0 };

  check(door, "chat", async (name) => {
    const answer = await generateText({ ...common, model: make(name) });
    same(19, answer.usage.totalTokens);
    return same(at.text, answer.text);
  });

  check(door, "stream", async (name) => {
    const answer = streamText({ ...common, model: make(name) });
    const pieces = await Array.fromAsync(answer.textStream);
    same(true, pieces.length > 1);
    same(19, (await answer.usage).totalTokens);
    return same(at.text, pieces.join(""));
  });

  check(door, "tools", async (name) => {
    const called = [];
    const answer = await generateText({ ...common, model: make(name), tools: weather(called), stopWhen: stepCountIs(3) });
    same([CITY], called);
    return same(at.text, answer.text);
  });

  check(door, "tools_stream", async (name) => {
    const called = [];
    const answer = streamText({ ...common, model: make(name), tools: weather(called), stopWhen: stepCountIs(3) });
    const pieces = await Array.fromAsync(answer.textStream);
    same([CITY], called);
    return same(at.text, pieces.join(""));
  });

  check(door, "structured", async (name) => {
    const output = Output.object({ schema: z.object({ city: z.string() }) });
    return same({ city: CITY }, (await generateText({ ...common, model: make(name), output })).output);
  });

  check(door, "error", async (name) => {
    await refused(status(401), () => generateText({ ...common, model: make(name, "tt-wrong") }));
    await refused(status(404), () => generateText({ ...common, model: make("nothing") }));
    await refused(status(400), () => generateText({ ...common, model: make(name), temperature: "hot" }));
    return "APICallError with 401, 404, 400";
  });
};

// Both providers speak Chat Completions, each in its own way.
register(CHAT, (name, key) => openai(key).chat(name));
register(CHAT, (name, key) => compatible(key)(name));
register(RESPONSES, (name, key) => openai(key).responses(name));
register(MESSAGES, (name, key) => anthropic(key)(name));
cannot(MESSAGES, "embeddings", "The protocol has none.");

const values = ["one", "two"];
for (const embedder of [(name, key) => openai(key).embedding(name), (name, key) => compatible(key).embeddingModel(name)]) {
  check(EMBEDDINGS, "embeddings", async (name) => {
    const [one, two] = (await embedMany({ model: embedder(name), values, maxRetries: 0 })).embeddings;
    return same(true, one.length === two.length && one.length > 0);
  });

  check(EMBEDDINGS, "error", async () => {
    await refused(status(401), () => embedMany({ model: embedder(at.embed[0], "tt-wrong"), values, maxRetries: 0 }));
    await refused(status(404), () => embedMany({ model: embedder("nothing"), values, maxRetries: 0 }));
    return "APICallError with 401, 404";
  });
}

await main(["ai", "@ai-sdk/openai", "@ai-sdk/openai-compatible", "@ai-sdk/anthropic"].map(versionOf).join(", "));
