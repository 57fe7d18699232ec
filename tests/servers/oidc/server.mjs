// A certified authorization server with short-lived tokens, and an API that asks it about them.
//
//   POST /token     client_credentials; clients cc-basic and cc-post, secret cc-secret, and one of
//                   odd characters
//                   assertions (RFC 7523) of the service svc@project.example
//   GET  /auth      a login, for the public client native (http://127.0.0.1:.../cb); anybody may
//                   and the client shop, if SHOP_REDIRECT_URI says where it ends
//   any  /api/...   wants a bearer token of it
//   GET  /seed      the refresh token of a new login of native, without a person
//   GET  /stats     what was asked so far
//
// TOKEN_DELAY: so long a token request is under way, there and back, in milliseconds (0).
// GRACE: for so long a spent refresh token is taken once more, in milliseconds (0).
// TOKEN_TTL, CODE_TTL: the lifetimes of a token (5) and of a code (60) in seconds.
import { createServer } from 'node:http';
import { jwtVerify } from 'jose';
import Provider, { errors } from 'oidc-provider';

const lifetime = Number(process.env.TOKEN_TTL ?? 5);
const delay = Number(process.env.TOKEN_DELAY ?? 0);
const grace = Number(process.env.GRACE ?? 0);
const stats = {
  tokens: 0, token_errors: 0, rotations: 0, grants_revoked: 0, api_answered: 0, api_refused: 0,
};

function client(id, method, secret = 'cc-secret') {
  return {
    client_id: id,
    client_secret: secret,
    token_endpoint_auth_method: method,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    scope: 'api',
  };
}

const assertion = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const key = new TextEncoder().encode('a secret of 32 bytes or more for HS256');

const service = {
  client_id: 'svc@project.example',
  token_endpoint_auth_method: 'none',
  grant_types: [assertion],
  redirect_uris: [],
  response_types: [],
  scope: 'api',
};

// oidc-provider has no such grant of its own.
async function assertionGrant(provider, context) {
  const { client, params } = context.oidc;
  try {
    await jwtVerify(params.assertion, key, {
      algorithms: ['HS256'],
      audience: `${provider.issuer}/token`,
      issuer: client.clientId,
      requiredClaims: ['exp', 'iat', 'jti', 'sub'],
    });
  } catch (error) {
    throw new errors.InvalidGrant('assertion refused', error.message);
  }
  const token = new provider.ClientCredentials({ client, scope: params.scope });
  const value = await token.save();
  context.body = { access_token: value, expires_in: token.expiration, token_type: 'Bearer' };
}

const native = {
  client_id: 'native',
  token_endpoint_auth_method: 'none',
  application_type: 'native',
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  redirect_uris: ['http://127.0.0.1/cb'],
};

// A storage as anybody may bring one; a spent refresh token counts as spent only after the grace.
const items = new Map();

class ForgivingAdapter {
  constructor(model) { this.model = model; }

  key(id) { return `${this.model}:${id}`; }

  async upsert(id, payload) { items.set(this.key(id), { payload }); }

  async find(id) {
    const item = items.get(this.key(id));
    const spent = item?.spent !== undefined && Date.now() - item.spent >= grace;
    return item && { ...item.payload, ...(spent && { consumed: Math.floor(item.spent / 1000) }) };
  }

  async consume(id) { items.get(this.key(id)).spent ??= Date.now(); }

  async destroy(id) { items.delete(this.key(id)); }

  async findByUid(uid) { return this.search((payload) => payload.uid === uid); }

  async findByUserCode(code) { return this.search((payload) => payload.userCode === code); }

  search(fits) {
    const ours = [...items].filter(([key]) => key.startsWith(`${this.model}:`));
    return ours.map(([, item]) => item.payload).find(fits);
  }

  async revokeByGrantId(grantId) {
    for (const [key, { payload }] of items) {
      if (payload.grantId === grantId) items.delete(key);
    }
  }
}

// What a login with consent leaves behind.
async function seed(provider) {
  const account = { accountId: 'alice', clientId: native.client_id };
  const grant = new provider.Grant(account);
  grant.addOIDCScope('offline_access');
  const token = new provider.RefreshToken({
    accountId: account.accountId,
    client: await provider.Client.find(native.client_id),
    grantId: await grant.save(),
    gty: 'authorization_code',
    scope: 'offline_access',
  });
  return { refresh_token: await token.save() };
}

const shop = {
  client_id: 'shop',
  client_secret: 'shop-secret',
  token_endpoint_auth_method: 'client_secret_post',
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  redirect_uris: [process.env.SHOP_REDIRECT_URI],
};

function authorizationServer(issuer) {
  const provider = new Provider(issuer, {
    ...(grace > 0 && { adapter: ForgivingAdapter }),
    clients: [
      client('cc-basic', 'client_secret_basic'),
      client('cc-post', 'client_secret_post'),
      client('cc:special id', 'client_secret_basic', 'p@ss:w/ord d+%'),
      native,
      service,
      ...(process.env.SHOP_REDIRECT_URI ? [shop] : []),
    ],
    clockTolerance: 0, // A token ends when it says.
    cookies: { keys: ['only for tests'] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      revocation: { enabled: true },
    },
    issueRefreshToken: async (_context, client) => client.grantTypeAllowed('refresh_token'),
    pkce: { required: () => true },
    rotateRefreshToken: true, // The reuse of a refresh token revokes its whole family.
    scopes: ['api', 'openid', 'offline_access'],
    ttl: {
      AccessToken: lifetime,
      AuthorizationCode: Number(process.env.CODE_TTL ?? 60),
      ClientCredentials: lifetime,
      Grant: 86400,
      IdToken: 60,
      Interaction: 600,
      RefreshToken: 86400,
      Session: 600,
    },
  });
  const grant = (context) => assertionGrant(provider, context);
  provider.registerGrantType(assertion, grant, ['assertion', 'scope']);
  provider.on('grant.success', () => { stats.tokens += 1; });
  provider.on('grant.error', () => { stats.token_errors += 1; });
  provider.on('grant.revoked', () => { stats.grants_revoked += 1; });
  provider.on('refresh_token.consumed', () => { stats.rotations += 1; });
  return provider;
}

function answer(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

async function api(provider, request, response) {
  const [scheme, value] = (request.headers.authorization ?? '').split(' ');
  const token = scheme === 'Bearer'
    ? await provider.ClientCredentials.find(value) ?? await provider.AccessToken.find(value)
    : undefined;
  request.resume();
  if (!token || token.isExpired) {
    stats.api_refused += 1;
    const challenge = 'Bearer realm="test", error="invalid_token"';
    return answer(response, 401, { error: 'invalid_token' }, { 'www-authenticate': challenge });
  }
  stats.api_answered += 1;
  return answer(response, 200, { client: token.clientId, path: request.url });
}

const pass = (span) => new Promise((done) => { setTimeout(done, span); });

// The decision falls in the middle: a client can know neither end of it.
async function token(authorize, request, response) {
  const end = response.end.bind(response);
  response.end = (...body) => { pass(delay / 2).then(() => end(...body)); return response; };
  await pass(delay / 2);
  return authorize(request, response);
}

// The issuer's name holds the port, so the provider is made once the port is known.
let handle = (_request, response) => answer(response, 503, {});
const server = createServer((request, response) => handle(request, response));
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const provider = authorizationServer(url);
  const authorize = provider.callback();
  handle = (request, response) => {
    if (request.url === '/stats') return answer(response, 200, stats);
    if (request.url === '/seed') {
      return seed(provider).then((token) => answer(response, 200, token));
    }
    if (request.url === '/token' && delay > 0) return token(authorize, request, response);
    if (request.url.startsWith('/api/')) return api(provider, request, response);
    return authorize(request, response);
  };
  console.log(`LISTENING ${url}`);
});
// Node closes an idle connection after 5 s, maybe just as a request leaves on it. These tests are
// about tokens, so it does not.
server.keepAliveTimeout = 60_000;
