// A node of one's own: build/bin/weftd on a port that it chose, and the questions tests ask it.
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Agent } from 'undici';
import { Program } from './process.mjs';
import { until } from './wait.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
export const BIN = path.resolve(process.env.WEFT_BIN ?? path.join(here, '../../../build/bin'));
export const ROOT = path.resolve(here, '../../..');

export function bin(name) {
  return path.join(BIN, name);
}

// A log line as an object; null for a line that is not JSON.
export function logLine(text) {
  if (!text.startsWith('{')) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// The environment without settings that would leak in from the outside.
export function cleanEnv(extra = {}) {
  const env = {};
  for (const [key, value] of Object.entries(process.env)) {
    if (!key.startsWith('WEFT_')) env[key] = value;
  }
  return { ...env, ...extra };
}

// What every node of a story has unless the story says otherwise. A busy machine's Redis answers late, and takes from
// buckets are to wait for it: what is decided without Redis is for the stories that take it away.
const USUAL = { auth: { anonymous: 'all' }, drain: { period_ms: 200 } };
const LIMITS = { redis_wait_ms: 5000 };

// {sse: {heartbeat_ms: 100}} as --set sse.heartbeat_ms=100
export function settings(set = {}) {
  const args = [];
  for (const [group, fields] of Object.entries(set)) {
    for (const [field, value] of Object.entries(fields)) args.push('--set', `${group}.${field}=${value}`);
  }
  return args;
}

export class Weftd {
  // `wrap` puts words in front of the program: ['sh', '-c', 'ulimit -n 64; exec "$@"', 'sh'].
  // `ca`: what its certificate comes from (PEM), where its listener speaks TLS.
  constructor({ redis, id, set = {}, args = [], env = {}, wrap = [], port = 0, ca }) {
    const words = [
      ...wrap, bin('weftd'), '--listen', `127.0.0.1:${port}`, '--redis', redis, '--node-id', id,
      ...settings({ ...USUAL, ...set, limits: { ...LIMITS, ...set.limits } }), ...args,
    ];
    this.id = id;
    this.ca = ca;
    this.program = new Program(words[0], words.slice(1), { env: cleanEnv({ WEFT_WORKERS: '2', ...env }) });
  }

  get pid() {
    return this.program.pid;
  }

  get running() {
    return this.program.running;
  }

  get origin() {
    return `${this.ca ? 'https' : 'http'}://127.0.0.1:${this.port}`;
  }

  // The first log line with this event name, from log line number `from` on.
  logged(event, { where = () => true, ...options } = {}) {
    return this.program.line(
      (text) => {
        const line = logLine(text);
        return line?.event === event && where(line) ? line : null;
      },
      { what: `log line ${event}`, ...options },
    );
  }

  get logLength() {
    return this.program.lines.length;
  }

  async listening() {
    const line = await this.logged('node.listening');
    this.port = Number(line.address.slice(line.address.lastIndexOf(':') + 1));
    return this;
  }

  async ready() {
    await this.listening();
    await this.logged('node.ready');
    return this;
  }

  kill() {
    return this.program.kill();
  }

  stop(options) {
    return this.program.stop(options);
  }

  // All samples of /metrics: name (with labels) to number.
  async metrics() {
    const answer = this.ca ? await this.#encrypted('/metrics') : await (await fetch(`${this.origin}/metrics`)).text();
    const samples = {};
    for (const line of answer.split('\n')) {
      if (line === '' || line.startsWith('#')) continue;
      const at = line.lastIndexOf(' ');
      samples[line.slice(0, at)] = Number(line.slice(at + 1));
    }
    return samples;
  }

  async #encrypted(target) {
    const agent = new Agent({ connect: { ca: this.ca } });
    try {
      return await (await agent.request({ origin: this.origin, method: 'GET', path: target })).body.text();
    } finally {
      await agent.destroy();
    }
  }

  async metric(name) {
    return (await this.metrics())[name];
  }

  async metricReaches(name, test, options = {}) {
    const want = typeof test === 'function' ? test : (value) => value === test;
    return until(async () => want(await this.metric(name)), { what: `${name} (${test}) of node ${this.id}`, ...options });
  }
}
