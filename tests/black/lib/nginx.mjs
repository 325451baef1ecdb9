// An nginx of one's own, from docker/nginx, in front of a story's nodes: its own folder, port and certificate; ended by its pid.
import path from 'node:path';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Certificates } from './certificates.mjs';
import { ROOT } from './node.mjs';
import { Program } from './process.mjs';
import { anyPort } from './redis.mjs';
import { deadline, until } from './wait.mjs';

const TEMPLATES = path.join(ROOT, 'docker/nginx');
const STARTED = /start worker process (\d+)/;

// What envsubst does, for the names given and no others; one that is not given is a mistake.
export function fill(template, values) {
  return template.replace(/\$\{(FRONT_[A-Z_]+)\}/g, (_, name) => {
    if (values[name] === undefined) throw new Error(`the template wants ${name}`);
    return values[name];
  });
}

// The file of an authority, and a pair that it has signed for this machine.
export async function selfMade(folder) {
  const made = new Certificates(folder);
  const ca = await made.authority('ca');
  return { ca, ...(await made.sign('ca', 'front', 'DNS:localhost,IP:127.0.0.1')) };
}

const running = new Set();

// Workers do not end with a master that was killed.
process.on('exit', () => {
  for (const nginx of running) {
    for (const pid of nginx.workers) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // it has ended
      }
    }
  }
});

export class Nginx {
  // ports: of the nodes. more: text that goes into `http`. shutdown: worker_shutdown_timeout.
  constructor(folder, pair, ports, { more = '', shutdown = '1s', workers = 2 } = {}) {
    Object.assign(this, { folder: path.join(folder, 'nginx'), pair, ports, more, shutdown, count: workers });
    mkdirSync(this.folder, { recursive: true });
    for (const open of [folder, this.folder]) chmodSync(open, 0o755); // nginx gives its own user to its workers
  }

  get origin() {
    return `https://127.0.0.1:${this.port}`;
  }

  get log() {
    return path.join(this.folder, 'access.log');
  }

  get ca() {
    return readFileSync(this.pair.ca, 'utf8');
  }

  // Which nodes it knows; takes effect with the start, or with reload().
  write(port, ports = this.ports) {
    const values = {
      FRONT_NODES: ports.map((p) => `server 127.0.0.1:${p} max_fails=1 fail_timeout=1s;`).join('\n'),
      FRONT_LISTEN: `127.0.0.1:${port}`,
      FRONT_CERTIFICATE: this.pair.cert,
      FRONT_KEY: this.pair.key,
      FRONT_ACCESS_LOG: this.log,
      FRONT_RUN: this.folder,
      FRONT_SHUTDOWN: this.shutdown,
    };
    for (const file of ['nginx.conf', 'weft.conf']) {
      let text = fill(readFileSync(path.join(TEMPLATES, file), 'utf8'), values);
      if (file === 'nginx.conf') {
        text = text
          .replace('worker_processes auto', `worker_processes ${this.count}`)
          .replace('include weft.conf;', `include weft.conf;\n${this.more}`);
      }
      writeFileSync(path.join(this.folder, file), text);
    }
  }

  async start() {
    for (let attempt = 0; ; attempt++) {
      const port = anyPort();
      this.write(port);
      this.program = new Program('nginx', ['-p', this.folder, '-c', path.join(this.folder, 'nginx.conf'), '-e', 'stderr', '-g', 'daemon off;'], {
        env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
      });
      running.add(this);
      try {
        await this.#each(STARTED, 0);
        this.port = port;
        return this;
      } catch (error) {
        await this.stop();
        if (attempt >= 5 || !/Address already in use/.test(this.program.output())) throw error;
      }
    }
  }

  get workers() {
    return this.program.lines.map((line) => STARTED.exec(line.text)?.[1]).filter(Boolean).map(Number);
  }

  // A log line for each worker.
  async #each(pattern, from) {
    let left = this.count;
    await this.program.line((text) => pattern.test(text) && --left === 0, { what: `${pattern} of each worker`, from });
  }

  // New workers; the old ones end with their connections, or after `shutdown`.
  async reload(ports = this.ports) {
    this.ports = ports;
    this.write(this.port);
    const from = this.program.lines.length;
    this.program.signal('SIGHUP');
    await this.#each(/gracefully shutting down/, from); // until then the old ones take connections as well
  }

  // Log lines of requests, as objects.
  access() {
    const text = readFileSync(this.log, 'utf8');
    return text.slice(0, text.lastIndexOf('\n')).split('\n').map((line) => JSON.parse(line));
  }

  logged(where, what) {
    return until(() => this.access().find(where), { what: `an access log line: ${what}` });
  }

  async stop() {
    if (!this.program) return;
    if (this.program.running) {
      this.program.signal('SIGTERM');
      await deadline(this.program.exited, { what: 'nginx to end' }).catch(async (error) => {
        await this.program.kill();
        throw error;
      });
    }
    running.delete(this);
  }
}
