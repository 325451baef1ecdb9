// Tokens from the command line. An operator makes keys, publishes their public halves, signs tokens, reads them, and replaces a
// key while tokens of the old one are still good. Signatures are checked against Node's crypto, in both directions.
import assert from 'node:assert/strict';
import { createHmac, createPublicKey, createPrivateKey, createSign, constants, verify as verifyWith } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { story } from './lib/story.mjs';
import { bin, cleanEnv } from './lib/node.mjs';
import { run } from './lib/process.mjs';

const NEEDS = { needs: ['weft'] };
const ALGORITHMS = ['HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'];

function weft(args, options = {}) {
  return run(bin('weft'), ['token', ...args], { env: cleanEnv({}), ...options });
}

async function good(args, options) {
  const { code, stdout, stderr } = await weft(args, options);
  assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
  return stdout;
}

// Writes text to a file of the story's folder.
function save(w, name, text) {
  const file = path.join(w.folder, name);
  writeFileSync(file, text);
  return file;
}

const part = (token, i) => JSON.parse(Buffer.from(token.split('.')[i], 'base64url').toString());

function nodeVerifies(token, jwk) {
  const [header, claims, signature] = token.split('.');
  const text = Buffer.from(`${header}.${claims}`);
  const bits = jwk.alg.slice(2);
  if (jwk.kty === 'oct') {
    return createHmac(`sha${bits}`, Buffer.from(jwk.k, 'base64url')).update(text).digest('base64url') === signature;
  }
  const key = { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' };
  if (jwk.alg.startsWith('PS')) Object.assign(key, { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST });
  return verifyWith(`sha${bits}`, text, key, Buffer.from(signature, 'base64url'));
}

story('a key of each algorithm signs what Node can verify', async (w) => {
  for (const alg of ALGORITHMS) {
    const key = save(w, `${alg}.json`, await good(['key', '--alg', alg]));
    const printed = await weft(['public', '--key', key]);
    const set = JSON.parse(printed.stdout);
    const [jwk] = set.keys;
    assert.equal(jwk.alg, alg);
    assert.equal('d' in jwk, false);
    assert.equal(/symmetric/.test(printed.stderr), alg.startsWith('HS'), printed.stderr);
    const token = await good(['make', '--key', key, '--subject', 'me']);
    assert.deepEqual(part(token, 0), { alg, kid: jwk.kid, typ: 'JWT' });
    assert.equal(nodeVerifies(token, jwk), true, alg);
    const jwks = save(w, `${alg}.public.json`, printed.stdout);
    assert.equal(JSON.parse(await good(['read', token, '--jwks', jwks])).verifies, true);
  }
}, NEEDS);

story('what Node signs is verified, and what it signs wrongly is not', async (w) => {
  const key = await good(['key', '--alg', 'ES256', '--kid', 'k']);
  const jwks = save(w, 'jwks', await good(['public', '--key', '-'], { input: key }));
  const signer = { key: createPrivateKey({ key: JSON.parse(key).keys[0], format: 'jwk' }), dsaEncoding: 'ieee-p1363' };
  const sign = (header, claims) => {
    const text = [header, claims].map((one) => Buffer.from(JSON.stringify(one)).toString('base64url')).join('.');
    return `${text}.${createSign('sha256').update(text).sign(signer, 'base64url')}`;
  };
  const read = async (token) => {
    const { code, stdout } = await weft(['read', '--jwks', jwks], { input: `${token}\n` });
    const said = JSON.parse(stdout);
    assert.equal(code, said.verifies ? 0 : 1);
    return said;
  };
  assert.equal((await read(sign({ alg: 'ES256', kid: 'k' }, { sub: 'n' }))).verifies, true);
  assert.match((await read(sign({ alg: 'ES256', kid: 'k' }, { exp: 1 }))).why, /expired/);
  assert.match((await read(sign({ alg: 'ES256', kid: 'l' }, {}))).why, /kid/);
  assert.match((await read(sign({ alg: 'HS256', kid: 'k' }, {}))).why, /alg/);
  const [header, , signature] = sign({ alg: 'ES256', kid: 'k' }, {}).split('.');
  const forged = Buffer.from('{"weft":{"roles":["operator"]}}').toString('base64url');
  assert.match((await read(`${header}.${forged}.${signature}`)).why, /signature/);
}, NEEDS);

story('claims are those that were asked for', async (w) => {
  const key = save(w, 'key', await good(['key', '--alg', 'HS256']));
  const before = Math.floor(Date.now() / 1000);
  const token = await good(['make', '--key', key, '--subject', 'shop', '--publish', 'orders', '--publish', 'shop:*', '--subscribe', '*',
    '--role', 'operator', '--audience', 'weft', '--issuer', 'https://id', '--jti', 'j1', '--expires', '15m']);
  const after = Math.floor(Date.now() / 1000);
  const { iat, exp, ...rest } = part(token, 1);
  assert.ok(iat >= before && iat <= after);
  assert.equal(exp - iat, 900);
  assert.deepEqual(rest, {
    sub: 'shop', jti: 'j1', iss: 'https://id', aud: 'weft',
    weft: { publish: ['orders', 'shop:*'], subscribe: ['*'], roles: ['operator'] },
  });
  const said = JSON.parse(await good(['read', token]));
  assert.deepEqual(said.claims, part(token, 1));
  assert.match(said.times.exp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, in \d+ s$/);
  assert.equal('verifies' in said, false);

  const other = await weft(['read', token, '--jwks', key, '--audience', 'other']);
  assert.equal(other.code, 1);
  assert.match(JSON.parse(other.stdout).why, /audience/);
  await good(['read', token, '--jwks', key, '--audience', 'other', '--audience', 'weft', '--issuer', 'https://id']);

  const plain = await good(['make', '--key', key, '--subject', 's', '--expires', 'never']);
  assert.equal('exp' in part(plain, 1), false);
  assert.match(part(plain, 1).jti, /^[0-9a-f]{32}$/);
  assert.notEqual(part(await good(['make', '--key', key, '--subject', 's']), 1).jti, part(plain, 1).jti);
}, NEEDS);

story('a key is replaced: both are in the file until the last old token is over', async (w) => {
  const one = JSON.parse(await good(['key', '--alg', 'ES256', '--kid', 'old']));
  const two = JSON.parse(await good(['key', '--alg', 'RS256', '--kid', 'new']));
  const both = save(w, 'both', JSON.stringify({ keys: [...one.keys, ...two.keys] }));
  const jwks = save(w, 'jwks', await good(['public', '--key', both]));
  const only = save(w, 'only', await good(['public', '--key', save(w, 'two', JSON.stringify(two))]));
  const old = await good(['make', '--key', both, '--kid', 'old', '--subject', 's']);
  const next = await good(['make', '--key', both, '--kid', 'new', '--subject', 's']);
  for (const token of [old, next]) await good(['read', token, '--jwks', jwks]);
  await good(['read', next, '--jwks', only]);
  const gone = await weft(['read', old, '--jwks', only]);
  assert.equal(gone.code, 1);
  assert.match(JSON.parse(gone.stdout).why, /no key has the kid/);
  const unsaid = await weft(['make', '--key', both, '--subject', 's']);
  assert.equal(unsaid.code, 1);
  assert.match(unsaid.stderr, /which of the 2 keys/);
}, NEEDS);

story('wrong words, wrong files, wrong tokens', async (w) => {
  const key = save(w, 'key', await good(['key', '--alg', 'HS256']));
  const secret = JSON.parse(await good(['public', '--key', key])).keys[0].k;
  const cases = [
    [[], 2, /too few words/],
    [['nothing'], 2, /--help/],
    [['key'], 2, /--alg is needed/],
    [['key', '--alg', 'none'], 1, /must be one of HS256/],
    [['public'], 2, /--key is needed/],
    [['public', '--key', path.join(w.folder, 'gone')], 1, /No such file/],
    [['public', '--key', save(w, 'bad', '{')], 1, /not valid JSON/],
    [['make', '--key', key], 2, /--subject is needed/],
    [['make', '--subject', 's'], 2, /--key is needed/],
    [['make', '--key', key, '--subject', 's', '--publish', 'a b'], 2, /--publish/],
    [['make', '--key', key, '--subject', 's', '--expires', '1y'], 2, /--expires/],
    [['make', '--key', key, '--subject', 's', '--expires', '0'], 2, /--expires/],
    [['make', '--key', key, '--subject', 's', '--expires', '99999999999999999999d'], 2, /--expires/],
    [['make', '--key', key, '--subject', 's', '--alg', 'HS512'], 1, /alg: does not go with the key/],
    [['make', '--key', key, '--subject', 's', '--kid', 'other'], 1, /no key has this kid/],
    [['make', '--key', key, '--subject', ''], 2, /--subject/],
    [['read', 'a.b'], 1, /three parts/],
    [['read', 'a.b.c=', '--jwks', key], 1, /other bytes/],
    [['read', 'e30.e30.AAAA', '--jwks', path.join(w.folder, 'gone')], 1, /No such file/],
  ];
  for (const [args, code, text] of cases) {
    const ended = await weft(args);
    assert.equal(ended.code, code, `${args.join(' ')}: ${ended.stderr}`);
    assert.match(ended.stderr, text, args.join(' '));
    assert.equal(ended.stderr.includes(secret), false);
  }
  const help = await weft(['--help']);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /usage: weft token key/);
}, NEEDS);
