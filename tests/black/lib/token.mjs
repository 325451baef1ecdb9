// Keys and tokens (RFC 7515, 7517, 7519), made by Node's own cryptography and not by the library that the node checks with.
import { createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const b64 = (data) => Buffer.from(data).toString('base64url');
const HASH = { 256: 'sha256', 384: 'sha384', 512: 'sha512' };
const CURVE = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };

function makeKey(alg) {
  if (alg.startsWith('HS')) {
    const secret = randomBytes(64);
    return { secret, jwk: { kty: 'oct', k: b64(secret) } };
  }
  const pair = alg.startsWith('ES') ? generateKeyPairSync('ec', { namedCurve: CURVE[alg] }) : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { key: pair.privateKey, jwk: pair.publicKey.export({ format: 'jwk' }) };
}

// A file of keys, and who makes tokens with them.
export class Issuer {
  constructor(folder, alg = 'HS256', kid = 'k1') {
    this.file = path.join(folder, `jwks-${randomBytes(4).toString('hex')}.json`);
    this.keys = new Map();
    this.add(kid, alg);
  }

  // A further key, with which tokens are made from now on.
  add(kid, alg = 'HS256') {
    this.keys.set(kid, { alg, ...makeKey(alg) });
    this.kid = kid;
    return this.write();
  }

  drop(kid) {
    this.keys.delete(kid);
    return this.write();
  }

  write(text = JSON.stringify({ keys: [...this.keys].map(([kid, { alg, jwk }]) => ({ ...jwk, kid, alg })) })) {
    writeFileSync(`${this.file}.new`, text);
    renameSync(`${this.file}.new`, this.file);
    return this;
  }

  sign(header, payload, { alg, secret, key } = this.keys.get(this.kid)) {
    const text = `${b64(typeof header === 'string' ? header : JSON.stringify(header))}.${b64(typeof payload === 'string' ? payload : JSON.stringify(payload))}`;
    const hash = HASH[alg.slice(2)];
    const signature = secret ? createHmac(hash, secret).update(text).digest()
      : sign(hash, Buffer.from(text), alg.startsWith('ES') ? { key, dsaEncoding: 'ieee-p1363' } : alg.startsWith('PS') ? { key, padding: 6, saltLength: -1 } : { key });
    return `${text}.${b64(signature)}`;
  }

  // A token that lives for so many seconds, with these grants and further claims.
  token({ seconds = 600, sub = 'somebody', publish, subscribe, roles, ...claims } = {}) {
    const now = Date.now() / 1000;
    const weft = { publish, subscribe, roles };
    return this.sign({ alg: this.keys.get(this.kid).alg, typ: 'JWT', kid: this.kid }, { sub, iat: Math.floor(now), exp: now + seconds, weft, ...claims });
  }
}

export const bearer = (token) => ({ authorization: `Bearer ${token}` });
