// The clients of the official TypeScript SDKs. The last argument is the package: `@modelcontextprotocol/sdk` (revisions of 2025) or
// `@modelcontextprotocol/client` (also 2026-07-28). The packages are in the current folder, not beside this file.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [url, key, mode, name] = process.argv.slice(2);
const require = createRequire(`${process.cwd()}/package.json`);
const load = (path) => import(pathToFileURL(require.resolve(path)).href);
const say = (value) => console.log(JSON.stringify(value));

async function connect() {
  const requestInit = key ? { headers: { Authorization: `Bearer ${key}` } } : {};
  const info = { name: 'typescript', version: '1' };
  if (name === '@modelcontextprotocol/sdk') {
    const { Client } = await load(`${name}/client/index.js`);
    const { StreamableHTTPClientTransport } = await load(`${name}/client/streamableHttp.js`);
    const client = new Client(info);
    await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
    return client;
  }
  const { Client, StreamableHTTPClientTransport } = await load(name);
  const client = new Client(info, { versionNegotiation: { mode } });
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
  return client;
}

async function call(client, tool, args, options) {
  return name === '@modelcontextprotocol/sdk'
    ? client.callTool({ name: tool, arguments: args }, undefined, options)
    : client.callTool({ name: tool, arguments: args }, options);
}

try {
  const client = await connect();
  const tools = (await client.listTools()).tools.map((tool) => tool.name);
  const progress = [];
  const called = await call(client, 'test_tool_with_progress', {}, { onprogress: (each) => progress.push(each.progress) });
  const refused = await call(client, 'test_simple_text', {});
  const refusal = { isError: refused.isError, text: refused.content[0].text, ...refused.structuredContent };
  say({ tools, text: called.content[0].text, progress, refusal });
  for await (const line of createInterface({ input: process.stdin })) break;
  const again = await call(client, 'test_custom_headers', { region: 'eu' });
  say({ again: again.content[0].text });
  await client.close();
} catch (error) {
  say({ error: `${error.message}`, code: error.code });
}
process.exit(0);
