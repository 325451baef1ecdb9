// Tokens that are no good, each in its own way, as the node answers them: 401 with a reason, or 403 where only the grant is
// missing; and nothing is written. Beside them those that are good, so that not everything is refused.
import assert from 'node:assert/strict';
import { createHmac, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { story } from './lib/story.mjs';
import { event } from './lib/http.mjs';
import { bearer, Issuer } from './lib/token.mjs';

const b64 = (data) => Buffer.from(data).toString('base64url');
const now = () => Math.floor(Date.now() / 1000);
const weft = { publish: ['t'], subscribe: ['t'] };
const claims = (more = {}) => ({ sub: 'somebody', aud: 'weft', iss: 'us', exp: now() + 600, weft, ...more });
const without = (name) => {
  const all = claims();
  delete all[name];
  return all;
};

// A row: what it is, how it is made, and what is said of it (a pattern of the reason), or a status.
function table(issuer) {
  const { alg, secret } = issuer.keys.get('hs');
  const hs = { alg, secret };
  const header = { alg: 'HS256', typ: 'JWT', kid: 'hs' };
  const make = (head, payload, key = hs) => issuer.sign(head, payload, key);
  const good = make(header, claims());
  const [h, p, s] = good.split('.');
  const rsa = issuer.keys.get('rs');
  const es = issuer.keys.get('es');
  const pem = createPublicKey({ key: rsa.jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
  const byPublic = { alg: 'HS256', secret: Buffer.from(pem) };
  const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const raw = (text) => `${h}.${b64(text)}`;
  const signed = (text) => `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
  const claimed = (text) => signed(raw(text));
  const headed = (text) => signed(`${b64(text)}.${p}`);
  return [
    ['alg none', `${b64('{"alg":"none","typ":"JWT"}')}.${p}.`],
    ['alg none, signed', make({ ...header, alg: 'none' }, claims())],
    ['alg None', make({ ...header, alg: 'None' }, claims())],
    ['alg NONE', make({ ...header, alg: 'NONE' }, claims())],
    ['alg nOnE without kid', make({ alg: 'nOnE' }, claims())],
    ['no alg', make({ typ: 'JWT', kid: 'hs' }, claims())],
    ['alg a number', make({ ...header, alg: 256 }, claims())],
    ['alg an array', make({ ...header, alg: ['HS256'] }, claims())],
    ['alg unknown', make({ ...header, alg: 'HS257' }, claims())],
    ['alg EdDSA', make({ ...header, alg: 'EdDSA' }, claims())],
    ['alg in lower case', make({ ...header, alg: 'hs256' }, claims())],
    ['confusion: the RSA key as a secret, by its kid', make({ alg: 'HS256', kid: 'rs' }, claims(), byPublic)],
    ['confusion: the RSA key as a secret, without kid', make({ alg: 'HS256' }, claims(), byPublic)],
    ['confusion: RS256 with the kid of the secret', make({ alg: 'RS256', kid: 'hs' }, claims(), rsa)],
    ['confusion: the modulus as a secret', make({ alg: 'HS256', kid: 'rs' }, claims(), { alg: 'HS256', secret: Buffer.from(rsa.jwk.n, 'base64url') })],
    ['another of the family', make({ ...header, alg: 'HS512' }, claims(), { alg: 'HS512', secret })],
    ['PS256 where the key says RS256', make({ alg: 'PS256', kid: 'rs' }, claims(), { ...rsa, alg: 'PS256' })],
    ['a stranger\'s key under a known kid', make({ alg: 'RS256', kid: 'rs' }, claims(), { alg: 'RS256', key: stranger.privateKey })],
    ['wrong kid', make({ ...header, kid: 'rs' }, claims())],
    ['unknown kid', make({ ...header, kid: 'nobody' }, claims())],
    ['kid a number', make({ ...header, kid: 1 }, claims())],
    ['kid a path', make({ ...header, kid: '../../../../dev/null' }, claims(), { alg: 'HS256', secret: Buffer.alloc(1) })],
    ['expired', make(header, claims({ exp: now() - 3600 })), /expired/],
    ['expired in 1970', make(header, claims({ exp: 0 })), /expired/],
    ['not yet valid', make(header, claims({ nbf: now() + 3600 }))],
    ['issued in the future', make(header, claims({ iat: now() + 3600 }))],
    ['exp a string', make(header, claims({ exp: String(now() + 600) }))],
    ['exp negative', make(header, claims({ exp: -1 }))],
    ['exp NaN', claimed(JSON.stringify(claims()).replace(/"exp":\d+/, '"exp":NaN'))],
    ['exp 1e400', claimed(JSON.stringify(claims()).replace(/"exp":\d+/, '"exp":1e400'))],
    ['exp null', make(header, claims({ exp: null }))],
    ['no exp where one is needed', make(header, without('exp'))],
    ['wrong audience', make(header, claims({ aud: 'others' }))],
    ['wrong audiences', make(header, claims({ aud: ['others', 'weft2'] }))],
    ['no audience', make(header, without('aud'))],
    ['audience a number', make(header, claims({ aud: 7 }))],
    ['audience an empty array', make(header, claims({ aud: [] }))],
    ['wrong issuer', make(header, claims({ iss: 'them' }))],
    ['no issuer', make(header, without('iss'))],
    ['sub a number', make(header, claims({ sub: 5 }))],
    ['sub with a line break', make(header, claims({ sub: 'a\nb' }))],
    ['sub too long', make(header, claims({ sub: 'x'.repeat(201) }))],
    ['jti with NUL', make(header, claims({ jti: 'a\0b' }))],
    ['jti an object', make(header, claims({ jti: {} }))],
    ['truncated: two parts', `${h}.${p}`],
    ['truncated: one part', h],
    ['truncated: no signature', `${h}.${p}.`],
    ['truncated: half a signature', `${h}.${p}.${s.slice(0, 20)}`],
    ['truncated payload', `${h}.${p.slice(0, -4)}.${s}`],
    ['four parts', `${good}.${s}`],
    ['an empty header', `.${p}.${s}`],
    ['an empty payload', `${h}..${s}`],
    ['only dots', '..'],
    ['= at the end', `${good}=`],
    ['= inside', `${h}=.${p}.${s}`],
    ['= inside the signature', `${h}.${p}.${s.slice(0, 10)}=${s.slice(11)}`],
    ['+ and / for - and _', `${h}.${p}.${s.slice(0, 10)}+/${s.slice(12)}`],
    ['a space', `${h}.${p}.${s.slice(0, 10)} ${s.slice(11)}`],
    ['other bits in the last character', `${h}.${p}.${s.slice(0, -1)}${String.fromCharCode(s.charCodeAt(s.length - 1) + 1)}`],
    ['one bit of the payload', `${h}.${p[0] === 'e' ? 'f' : 'e'}${p.slice(1)}.${s}`],
    ['the signature of another', `${h}.${p}.${make(header, claims({ sub: 'other' })).split('.')[2]}`],
    ['over 8 KiB', make(header, claims({ filler: 'x'.repeat(8192) }))],
    ['random bytes', b64(randomBytes(400))],
    ['a claim twice', claimed(JSON.stringify(claims()).replace('{', '{"sub":"root",'))],
    ['weft twice', claimed(JSON.stringify(claims()).replace('{', '{"weft":{"publish":["*"]},'))],
    ['a header member twice', headed('{"alg":"none","alg":"HS256","kid":"hs"}')],
    ['unknown crit', make({ ...header, crit: ['mine'], mine: true }, claims())],
    ['crit empty', make({ ...header, crit: [] }, claims())],
    ['b64 false', make({ ...header, b64: false, crit: ['b64'] }, claims())],
    ['zip', make({ ...header, zip: 'DEF' }, claims())],
    ['enc', make({ ...header, enc: 'A128GCM' }, claims())],
    ['typ of something else', make({ ...header, typ: 'dpop+jwt' }, claims())],
    ['a key of its own', make({ alg: 'RS256', jwk: stranger.publicKey.export({ format: 'jwk' }) }, claims(), { alg: 'RS256', key: stranger.privateKey })],
    ['a key from a URL', make({ alg: 'RS256', kid: 'theirs', jku: 'http://127.0.0.1:1/jwks' }, claims(), { alg: 'RS256', key: stranger.privateKey })],
    ['the header no object', headed('["HS256"]')],
    ['the claims no object', claimed('"weft"')],
    ['the claims no JSON', claimed('{"sub":')],
    ['the claims not UTF-8', signed(`${h}.${b64(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))}`)],
    ['claims a thousand deep', claimed(`{"a":${'['.repeat(1000)}${']'.repeat(1000)},"sub":"x"}`)],
    ['weft no object', make(header, claims({ weft: ['t'] }))],
    ['publish no array', make(header, claims({ weft: { publish: 't' } }))],
    ['a glob that is none', make(header, claims({ weft: { publish: ['a b'] } }))],
    ['a glob that is a number', make(header, claims({ weft: { publish: [7] } }))],
    ['201 globs', make(header, claims({ weft: { publish: Array.from({ length: 201 }, (_, i) => `t${i}`) } }))],
    ['an ES256 signature in DER', `${h}.${p}.${b64(randomBytes(71))}`],
    ['an ES256 signature of zeros', `${b64('{"alg":"ES256","kid":"es"}')}.${p}.${b64(Buffer.alloc(64))}`],
    ['ES256 signed by RS256', make({ alg: 'ES256', kid: 'es' }, claims(), rsa)],
    ['RS256 signed by ES256', make({ alg: 'RS256', kid: 'rs' }, claims(), { ...es, alg: 'ES256' })],
    ['no grant at all', make(header, without('weft')), 403],
    ['another topic', make(header, claims({ weft: { publish: ['u', 't2', 'T'] } })), 403],
    ['only to follow', make(header, claims({ weft: { subscribe: ['t'] } })), 403],
    ['only an operator', make(header, claims({ weft: { roles: ['operator'] } })), 403],
    ['mercure: a template', make(header, claims({ weft: {}, mercure: { publish: ['https://example.org/{id}'] } })), 403],
    ['good', good, 201],
    ['good, by RS256', make({ alg: 'RS256', kid: 'rs' }, claims(), rsa), 201],
    ['good, by ES256', make({ alg: 'ES256', kid: 'es' }, claims(), es), 201],
    ['good, of several audiences, with fractions', make(header, claims({ aud: ['x', 'weft'], exp: now() + 60.5 })), 201],
    ['good, by Mercure\'s claim', make(header, claims({ weft: undefined, mercure: { publish: ['*'] } })), 201],
  ];
}

story('each is refused with 401 and a reason, or 403 where the grant is missing; the good ones are taken', async (w) => {
  const issuer = new Issuer(w.folder, 'HS256', 'hs');
  issuer.add('rs', 'RS256').add('es', 'ES256');
  const [node] = await w.cluster(1, { node: { set: { auth: { anonymous: 'none', jwks: issuer.file, audiences: 'weft', issuers: 'us', needs_expiry: true } } } });
  const api = w.client(node);
  let written = 0;
  const rows = table(issuer);
  assert.ok(rows.length >= 60);
  for (const [what, token, expected = /./] of rows) {
    const answer = await api.send('POST', '/api/topics/t/events', { headers: { 'content-type': 'application/json', ...bearer(token) }, body: JSON.stringify(event(1)) });
    if (typeof expected === 'number') {
      assert.equal(answer.status, expected, `${what}: ${answer.text}`);
      written += expected === 201;
    } else {
      assert.equal(answer.status, 401, `${what}: ${answer.text}`);
      assert.deepEqual([answer.json.error.code, answer.json.error.field], ['unauthorized', 'token'], what);
      assert.match(answer.json.error.message, /^the token is refused: .{5,}/, what);
      assert.match(answer.json.error.message, expected, what);
      assert.match(answer.headers['www-authenticate'], /error="invalid_token"/, what);
    }
    // Nothing of it is said back.
    for (const part of token.split('.')) if (part.length > 12) assert.ok(!answer.text.includes(part), what);
  }
  assert.equal((await w.store.ids('t')).length, written);
  // A megabyte does not come so far: the head has a limit of its own.
  const huge = await api.send('GET', '/api/breakers', { headers: bearer('x'.repeat(1_000_000)) }).then((answer) => answer.status, () => 'cut');
  assert.ok([400, 431, 'cut'].includes(huge), `${huge}`);
  assert.equal((await api.get('/healthz')).status, 200);
});
