// `weftd --check` finds what would keep a node from starting, and starts nothing.
import assert from 'node:assert/strict';
import path from 'node:path';
import { writeFileSync } from 'node:fs';
import { story } from './lib/story.mjs';
import { bin, cleanEnv } from './lib/node.mjs';
import { run } from './lib/process.mjs';
import { Certificates } from './lib/certificates.mjs';
import { Issuer } from './lib/token.mjs';

const check = (...args) => run(bin('weftd'), ['--check', ...args], { env: cleanEnv() });

story('files and addresses that a node cannot use are named', async (w) => {
  const bad = path.join(w.folder, 'bad');
  writeFileSync(bad, 'nothing of use');
  const open = ['--set', 'auth.anonymous=all'];
  for (const [args, field] of [
    [[...open, '--redis', 'redis://localhost/x'], /redis\.url/],
    [['--set', `auth.jwks=${bad}`], /auth\.jwks/],
    [['--set', `auth.jwks=${bad}.missing`], /auth\.jwks/],
    [[...open, '--set', `tls.cert=${bad}`, '--set', `tls.key=${bad}`], /tls\.cert/],
    [[...open, '--redis', 'rediss://localhost', '--set', `redis.tls_ca=${bad}`], /redis\.tls_ca/],
  ]) {
    const done = await check(...args);
    assert.equal(done.code, 2, `${args}: ${done.stderr}`);
    assert.match(done.stderr, field);
  }
});

story('a configuration that is fine, wherever Redis is', async (w) => {
  const issuer = new Issuer(w.folder);
  const made = new Certificates(w.folder);
  await made.authority('ca');
  const { cert, key } = await made.sign('ca', 'node', 'DNS:localhost');
  const done = await check('--redis', 'redis://127.0.0.1:1', '--set', `auth.jwks=${issuer.file}`, '--set', `tls.cert=${cert}`, '--set', `tls.key=${key}`);
  assert.equal(done.code, 0, done.stderr);
  assert.equal(done.stdout + done.stderr, '');
});
