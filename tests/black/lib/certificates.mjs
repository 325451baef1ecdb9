// Authorities and what they sign, made with openssl in the story's folder.
import assert from 'node:assert/strict';
import path from 'node:path';
import { mkdirSync, writeFileSync } from 'node:fs';
import { run } from './process.mjs';

export class Certificates {
  constructor(folder) {
    this.folder = path.join(folder, 'certificates');
    mkdirSync(this.folder, { recursive: true });
  }

  file(name) {
    return path.join(this.folder, name);
  }

  async #openssl(...words) {
    const done = await run('openssl', words);
    assert.equal(done.code, 0, `openssl ${words.join(' ')}: ${done.stderr}`);
  }

  async authority(name) {
    await this.#openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
      '-subj', `/CN=${name}`, '-keyout', this.file(`${name}.key`), '-out', this.file(`${name}.pem`));
    return this.file(`${name}.pem`);
  }

  // alt: 'DNS:localhost,IP:127.0.0.1'; days < 0: expired
  async sign(authority, name, alt, { days = 2, rsa = false } = {}) {
    const ext = this.file(`${name}.ext`);
    writeFileSync(ext, `subjectAltName=${alt}\n`);
    const kind = rsa ? ['rsa:2048'] : ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
    await this.#openssl('req', '-newkey', ...kind, '-nodes', '-subj', `/CN=${name}`,
      '-keyout', this.file(`${name}.key`), '-out', this.file(`${name}.csr`));
    await this.#openssl('x509', '-req', '-in', this.file(`${name}.csr`), '-CA', this.file(`${authority}.pem`), '-CAkey', this.file(`${authority}.key`),
      '-CAcreateserial', '-days', String(days), '-extfile', ext, '-out', this.file(`${name}.pem`));
    return { cert: this.file(`${name}.pem`), key: this.file(`${name}.key`) };
  }
}
