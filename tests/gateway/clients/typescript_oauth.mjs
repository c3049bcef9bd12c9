// The official TypeScript SDKs sign in without a key. The last arguments are the package and, optionally, the address of the client's
// metadata document. The address of the authorization request is written to stdout; the address that the browser is sent to is read from
// stdin. The packages are in the current folder, not beside this file.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [url, redirectUrl, name, document] = process.argv.slice(2);
const require = createRequire(`${process.cwd()}/package.json`);
const load = (path) => import(pathToFileURL(require.resolve(path)).href);
const say = (value) => console.log(JSON.stringify(value));
const old = name === '@modelcontextprotocol/sdk';
const { Client } = await load(old ? `${name}/client/index.js` : name);
const { StreamableHTTPClientTransport } = await load(old ? `${name}/client/streamableHttp.js` : name);

const stored = {};
const authProvider = {
  redirectUrl,
  clientMetadataUrl: document,
  clientMetadata: { client_name: name, redirect_uris: [redirectUrl], token_endpoint_auth_method: 'none', grant_types: ['authorization_code', 'refresh_token'] },
  clientInformation: () => stored.client,
  saveClientInformation: (client) => { stored.client = client; },
  tokens: () => stored.tokens,
  saveTokens: (tokens) => { stored.tokens = tokens; },
  redirectToAuthorization: (address) => say({ authorize: address.href }),
  saveCodeVerifier: (verifier) => { stored.verifier = verifier; },
  codeVerifier: () => stored.verifier,
};
const connect = async () => {
  const client = new Client({ name: 'typescript', version: '1' });
  const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider });
  try {
    await client.connect(transport);
  } catch (error) {
    if (!stored.verifier || stored.tokens) throw error;
    for await (const line of createInterface({ input: process.stdin })) {
      const answer = new URL(line).searchParams;
      await transport.finishAuth(old ? answer.get('code') : answer);
      break;
    }
    return connect();
  }
  return client;
};

try {
  const client = await connect();
  const result = await client.callTool({ name: 'test_simple_text', arguments: {} });
  say({ text: result.content[0].text, client: stored.client.client_id, scope: stored.tokens.scope });
  await client.close();
} catch (error) {
  say({ error: `${error.message}` });
}
process.exit(0);
