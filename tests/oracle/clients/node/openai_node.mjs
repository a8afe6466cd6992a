// OpenAI's own Node SDK.

import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { CHAT, CITY, EMBEDDINGS, RESPONSES, WEATHER, at, check, main, refused, same, v1, versionOf } from "./harness.mjs";

const client = (apiKey = at.key) => new OpenAI({ baseURL: v1, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "Hi" }];
const bad = [{ role: "nobody", content: "Hi" }];
const chatTools = [{ type: "function", function: { name: "get_weather", parameters: WEATHER } }];
const tools = [{ type: "function", name: "get_weather", parameters: WEATHER }];
const Place = z.object({ city: z.string() });
const is = (kind) => (error) => error instanceof kind;

check(CHAT, "chat", async (model) => {
  const answer = await client().chat.completions.create({ model, messages });
  same(19, answer.usage.total_tokens);
  return same(at.text, answer.choices[0].message.content);
});

check(CHAT, "stream", async (model) => {
  const stream = client().chat.completions.stream({ model, messages, stream_options: { include_usage: true } });
  const pieces = [];
  stream.on("content.delta", ({ delta }) => pieces.push(delta));
  const final = await stream.finalChatCompletion();
  same(true, pieces.length > 1);
  same(19, final.usage.total_tokens);
  return same(at.text, pieces.join(""));
});

const answered = async (model, said) => {
  const [call] = said.tool_calls;
  same({ city: CITY }, JSON.parse(call.function.arguments));
  const result = { role: "tool", tool_call_id: call.id, content: "sunny" };
  const final = await client().chat.completions.create({ model, messages: [...messages, said, result], tools: chatTools });
  return same(at.text, final.choices[0].message.content);
};

check(CHAT, "tools", async (model) => {
  const answer = await client().chat.completions.create({ model, messages, tools: chatTools });
  return answered(model, answer.choices[0].message);
});

check(CHAT, "tools_stream", async (model) => {
  const final = await client().chat.completions.stream({ model, messages, tools: chatTools }).finalChatCompletion();
  return answered(model, final.choices[0].message);
});

check(CHAT, "structured", async (model) => {
  const answer = await client().chat.completions.parse({ model, messages, response_format: zodResponseFormat(Place, "place") });
  return same({ city: CITY }, answer.choices[0].message.parsed);
});

check(CHAT, "error", async (model) => {
  await refused(is(OpenAI.AuthenticationError), () => client("tt-wrong").chat.completions.create({ model, messages }));
  await refused(is(OpenAI.NotFoundError), () => client().chat.completions.create({ model: "nothing", messages }));
  await refused(is(OpenAI.BadRequestError), () => client().chat.completions.create({ model, messages: bad }));
  return "AuthenticationError, NotFoundError, BadRequestError";
});

check(RESPONSES, "chat", async (model) => {
  const answer = await client().responses.create({ model, input: "Hi" });
  same(19, answer.usage.total_tokens);
  return same(at.text, answer.output_text);
});

check(RESPONSES, "stream", async (model) => {
  const stream = client().responses.stream({ model, input: "Hi" });
  const pieces = [];
  stream.on("response.output_text.delta", ({ delta }) => pieces.push(delta));
  const final = await stream.finalResponse();
  same(true, pieces.length > 1);
  same(at.text, final.output_text);
  return same(at.text, pieces.join(""));
});

const responded = async (model, answer) => {
  const [call] = answer.output.filter((item) => item.type === "function_call");
  same({ city: CITY }, JSON.parse(call.arguments));
  const said = { type: "function_call", call_id: call.call_id, name: call.name, arguments: call.arguments };
  const result = { type: "function_call_output", call_id: call.call_id, output: "sunny" };
  const final = await client().responses.create({ model, input: [...messages, said, result], tools });
  return same(at.text, final.output_text);
};

check(RESPONSES, "tools", async (model) => responded(model, await client().responses.create({ model, input: "Hi", tools })));

check(RESPONSES, "tools_stream", async (model) =>
  responded(model, await client().responses.stream({ model, input: "Hi", tools }).finalResponse()),
);

check(RESPONSES, "structured", async (model) => {
  const answer = await client().responses.parse({ model, input: "Hi", text: { format: zodTextFormat(Place, "place") } });
  return same({ city: CITY }, answer.output_parsed);
});

check(RESPONSES, "error", async (model) => {
  await refused(is(OpenAI.AuthenticationError), () => client("tt-wrong").responses.create({ model, input: "Hi" }));
  await refused(is(OpenAI.NotFoundError), () => client().responses.create({ model: "nothing", input: "Hi" }));
  await refused(is(OpenAI.BadRequestError), () => client().responses.create({ model, input: bad }));
  return "AuthenticationError, NotFoundError, BadRequestError";
});

check(EMBEDDINGS, "embeddings", async (model) => {
  const answer = await client().embeddings.create({ model, input: ["one", "two"] });
  const [one, two] = answer.data.map((row) => row.embedding.length);
  return same(true, one === two && one > 0);
});

check(EMBEDDINGS, "error", async () => {
  const [model] = at.embed;
  await refused(is(OpenAI.AuthenticationError), () => client("tt-wrong").embeddings.create({ model, input: "one" }));
  await refused(is(OpenAI.NotFoundError), () => client().embeddings.create({ model: "nothing", input: "one" }));
  await refused(is(OpenAI.BadRequestError), () => client().embeddings.create({ model, input: { not: "a list" } }));
  return "AuthenticationError, NotFoundError, BadRequestError";
});

await main(versionOf("openai"));
