// A certified OpenID provider (npm oidc-provider) on loopback, with its own pages to log in and to agree. It says its issuer on standard
// output when it listens, and ends with its standard input. Whatever name is logged in with is the person, NAME@acme.test.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';

import { Provider } from 'oidc-provider';

const { redirect, clients, userinfoOnly } = JSON.parse(process.argv[2]);

const keys = [
  ['rsa', { modulusLength: 2048 }, 'RS256'],
  ['rsa', { modulusLength: 2048 }, 'PS256'],
  ['ec', { namedCurve: 'P-256' }, 'ES256'],
  ['ed25519', {}, 'EdDSA'],
].map(([type, options, alg]) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), kid: alg, alg, use: 'sig',
}));

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    jwks: { keys },
    enabledJWA: { idTokenSigningAlgValues: keys.map((key) => key.alg) },
    clients: clients.map((client) => ({ redirect_uris: [redirect], grant_types: ['authorization_code'], response_types: ['code'], ...client })),
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    conformIdTokenClaims: userinfoOnly,
    cookies: { keys: ['a key for the cookies of a test'] },
    features: { rpInitiatedLogout: { enabled: true } },
    pkce: { required: () => true },
    findAccount: (ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@acme.test`, email_verified: !id.startsWith('unverified'), name: id }),
    }),
  });
  server.on('request', provider.callback());
  console.log(JSON.stringify({ issuer }));
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
