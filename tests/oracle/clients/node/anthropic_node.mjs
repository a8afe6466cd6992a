// Anthropic's own Node SDK.

import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";
import { CITY, MESSAGES, WEATHER, at, cannot, check, main, refused, same, versionOf } from "./harness.mjs";

const client = (apiKey = at.key) => new Anthropic({ baseURL: at.url, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "Hi" }];
const bad = [{ role: "nobody", content: "Hi" }];
const tools = [{ name: "get_weather", input_schema: WEATHER }];
const max_tokens = 100;
const is = (kind) => (error) => error instanceof kind;
const textsOf = (answer) => answer.content.filter((block) => block.type === "text").map((block) => block.text);

check(MESSAGES, "chat", async (model) => {
  const answer = await client().messages.create({ model, max_tokens, messages });
  same([12, 7], [answer.usage.input_tokens, answer.usage.output_tokens]);
  return same([at.text], textsOf(answer));
});

check(MESSAGES, "stream", async (model) => {
  const stream = client().messages.stream({ model, max_tokens, messages });
  const pieces = [];
  stream.on("text", (piece) => pieces.push(piece));
  const final = await stream.finalMessage();
  same(true, pieces.length > 1);
  same(7, final.usage.output_tokens);
  return same(at.text, pieces.join(""));
});

const answered = async (model, answer) => {
  const [call] = answer.content.filter((block) => block.type === "tool_use");
  same({ city: CITY }, call.input);
  const said = { role: "assistant", content: answer.content };
  const result = { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "sunny" }] };
  return same([at.text], textsOf(await client().messages.create({ model, max_tokens, messages: [...messages, said, result], tools })));
};

check(MESSAGES, "tools", async (model) => answered(model, await client().messages.create({ model, max_tokens, messages, tools })));

check(MESSAGES, "tools_stream", async (model) =>
  answered(model, await client().messages.stream({ model, max_tokens, messages, tools }).finalMessage()),
);

check(MESSAGES, "structured", async (model) => {
  const format = zodOutputFormat(z.object({ city: z.string() }));
  const answer = await client().messages.parse({ model, max_tokens, messages, output_config: { format } });
  return same({ city: CITY }, answer.parsed_output);
});

check(MESSAGES, "error", async (model) => {
  await refused(is(Anthropic.AuthenticationError), () => client("tt-wrong").messages.create({ model, max_tokens, messages }));
  await refused(is(Anthropic.NotFoundError), () => client().messages.create({ model: "nothing", max_tokens, messages }));
  await refused(is(Anthropic.BadRequestError), () => client().messages.create({ model, max_tokens, messages: bad }));
  return "AuthenticationError, NotFoundError, BadRequestError";
});

cannot(MESSAGES, "embeddings", "The protocol has none.");
await main(versionOf("@anthropic-ai/sdk"));
