// A real OpenID Connect provider on loopback: node provider.mjs PORT REDIRECT_URI ALGORITHM [CLIENT_SECRET]
// Whoever types an address into its form is that person; one that begins with `unverified` has no verified address.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import Provider from 'oidc-provider';

const [port, redirectUri, algorithm, secret] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;

// New keys at each start: one that comes back at the same port has rotated them.
const pair =
  algorithm === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('rsa', { modulusLength: 2048 });
const jwk = { ...pair.privateKey.export({ format: 'jwk' }), kid: randomBytes(8).toString('hex'), use: 'sig', alg: algorithm };

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'partners',
      ...(secret === undefined ? { token_endpoint_auth_method: 'none' } : { client_secret: secret }),
      redirect_uris: [redirectUri],
      response_types: ['code'],
      grant_types: ['authorization_code'],
      id_token_signed_response_alg: algorithm,
    },
  ],
  jwks: { keys: [jwk] },
  enabledJWA: { idTokenSigningAlgValues: [algorithm] },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'] },
  pkce: { required: () => true },
  findAccount: (_, sub) => ({
    accountId: sub,
    claims: () => ({ sub, email: sub, email_verified: !sub.startsWith('unverified') }),
  }),
});

provider.listen(Number(port), '127.0.0.1', () => console.log(`issuer at ${issuer}`));
