// A HAProxy of one's own, from docker/haproxy, in front of a story's nodes; ended by its pid.
import net from 'node:net';
import path from 'node:path';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fill } from './nginx.mjs';
import { ROOT } from './node.mjs';
import { Program } from './process.mjs';
import { anyPort } from './redis.mjs';
import { until } from './wait.mjs';

function listens(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

export class Haproxy {
  constructor(folder, pair, ports) {
    Object.assign(this, { folder: path.join(folder, 'haproxy'), pair, ports });
    mkdirSync(this.folder, { recursive: true });
  }

  get origin() {
    return `https://127.0.0.1:${this.port}`;
  }

  get ca() {
    return readFileSync(this.pair.ca, 'utf8');
  }

  async start() {
    const pem = path.join(this.folder, 'front.pem');
    writeFileSync(pem, readFileSync(this.pair.cert, 'utf8') + readFileSync(this.pair.key, 'utf8'));
    for (let attempt = 0; ; attempt++) {
      const port = anyPort();
      const file = path.join(this.folder, 'haproxy.cfg');
      writeFileSync(file, fill(readFileSync(path.join(ROOT, 'docker/haproxy/weft.cfg'), 'utf8'), {
        FRONT_NODES: this.ports.map((p, i) => `    server node${i} 127.0.0.1:${p}`).join('\n'),
        FRONT_LISTEN: `127.0.0.1:${port}`,
        FRONT_PEM: pem,
        FRONT_CHECK: '200ms',
        FRONT_SHUTDOWN: '1s',
      }));
      // -db: in the foreground, one process. Quiet, it says nothing when it has begun to listen.
      this.program = new Program('haproxy', ['-db', '-f', file], { env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` } });
      this.port = port;
      try {
        await until(() => !this.program.running || listens(port), { what: 'HAProxy to listen' });
        if (this.program.running) return this;
        throw new Error(`HAProxy ended: ${this.program.output()}`);
      } catch (error) {
        await this.stop();
        if (attempt >= 5 || !/Address already in use|cannot bind/i.test(error.message)) throw error;
      }
    }
  }

  // Log lines of requests, as objects.
  access() {
    return this.program.lines.map((line) => /\{"at".*/.exec(line.text)?.[0]).filter(Boolean).map((text) => JSON.parse(text));
  }

  async stop() {
    if (this.program?.running) await this.program.kill();
  }
}
