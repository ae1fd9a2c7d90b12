// A certified OIDC provider as a test issuer: `node server.mjs CONFIG.json`.
//
// CONFIG: {port, shape: "rfc9068" | "gitlab", lifetime, clients: [id], secret, keys?: [private JWK]}.
// Port 0 lets the system choose. The first line on stdout is {"port": …, "issuer": …}; after it one line for
// each request, {"method": …, "path": …}, so that a test can count who fetched what.
//
// The token request is a real client-credentials grant (RFC 6749 4.4) with a resource indicator (RFC 8707).
// Two parameters of our own say what the issuer shall vouch for: `claims`, a JSON object laid over the claims,
// and `alg`, the signature algorithm.

import { generateKeyPairSync, randomUUID, webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

import Provider from 'oidc-provider';

// Debian 12 has Node 18, on which the provider lacks nothing but these two.
globalThis.crypto ??= webcrypto;
URL.parse ??= (text, base) => (URL.canParse(text, base) ? new URL(text, base) : null);

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));

function privateKey(alg, type, options) {
  const { privateKey: key } = generateKeyPairSync(type, options);
  return { ...key.export({ format: 'jwk' }), kid: `${alg}-${randomUUID()}`, alg, use: 'sig' };
}

function freshKeys() {
  return [
    privateKey('RS256', 'rsa', { modulusLength: 2048 }),
    privateKey('ES256', 'ec', { namedCurve: 'P-256' }),
  ];
}

// What each kind of issuer makes of an access token before it is signed.
const shapes = {
  rfc9068: { jwksPath: '/jwks', shape() {} },
  // GitLab's job tokens are ID tokens: `typ: JWT`, no client and no scope, and `nbf` dated back by five seconds.
  gitlab: {
    jwksPath: '/oauth/discovery/keys',
    shape(structured) {
      const { payload } = structured;
      delete payload.client_id;
      delete payload.scope;
      payload.jti = randomUUID();
      payload.nbf = payload.iat - 5;
      structured.header = { typ: 'JWT' };
    },
  },
};

const { jwksPath, shape } = shapes[config.shape];

function customise(ctx, token, structured) {
  shape(structured);
  const { claims } = ctx.oidc.body;
  if (claims !== undefined) Object.assign(structured.payload, JSON.parse(claims));
}

function client(id) {
  return {
    client_id: id,
    client_secret: config.secret,
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
  };
}

function provider(issuer) {
  return new Provider(issuer, {
    clients: config.clients.map(client),
    jwks: { keys: config.keys ?? freshKeys() },
    routes: { jwks: jwksPath },
    ttl: { ClientCredentials: config.lifetime },
    formats: { customizers: { jwt: customise } },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (ctx, resource) => ({
          audience: resource,
          scope: 'api',
          accessTokenFormat: 'jwt',
          accessTokenTTL: config.lifetime,
          jwt: { sign: { alg: ctx.oidc.body.alg ?? 'RS256' } },
        }),
      },
    },
  });
}

function announce(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

// The issuer's name contains its port, so the socket comes first.
const server = createServer();
server.listen(config.port, '127.0.0.1', () => {
  const { port } = server.address();
  const issuer = `http://127.0.0.1:${port}`;
  const answer = provider(issuer).callback();
  server.on('request', (request, response) => {
    announce({ method: request.method, path: request.url });
    answer(request, response);
  });
  announce({ port, issuer });
});

process.on('SIGTERM', () => process.exit(0));
