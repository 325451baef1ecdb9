// A Redis of one's own: real redis-server, AOF written before each answer, in its own folder.
import net from 'node:net';
import path from 'node:path';
import { mkdirSync } from 'node:fs';
import { Program, run } from './process.mjs';
import { deadline, until } from './wait.mjs';

// Below the range from which the kernel takes ports for outgoing connections.
export function anyPort() {
  return 10_000 + Math.floor(Math.random() * 22_000);
}

export class Redis {
  constructor(folder) {
    this.folder = path.join(folder, 'redis');
    this.socket = path.join(folder, 'redis.sock');
    mkdirSync(this.folder, { recursive: true });
  }

  // With tls its port speaks TLS, with the files that args name.
  async start({ args = [], tls = false } = {}) {
    this.args = args;
    this.tls = tls;
    for (let attempt = 0; ; attempt++) {
      const fixed = this.port !== undefined;
      const port = this.port ?? anyPort();
      this.program = new Program('redis-server', [
        ...(tls ? ['--port', '0', '--tls-port', String(port)] : ['--port', String(port)]), '--bind', '127.0.0.1', '--unixsocket', this.socket,
        '--dir', this.folder, '--save', '', '--appendonly', 'yes', '--appendfsync', 'always',
        '--daemonize', 'no', '--logfile', '', '--loglevel', 'notice', ...args,
      ]);
      try {
        await this.program.line((text) => text.includes('Ready to accept connections'), { what: 'Redis to be ready' });
        this.port = port;
        return this;
      } catch (error) {
        await this.program.kill();
        if (attempt >= (fixed ? 20 : 5)) throw error;
      }
    }
  }

  get url() {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid() {
    return this.program.pid;
  }

  async kill() {
    this.#drop();
    await this.program.kill();
  }

  // The same data, the same port.
  async restart() {
    if (this.program.running) await this.kill();
    await this.start({ args: this.args, tls: this.tls });
  }

  async stop() {
    this.#drop();
    if (this.program?.running) await this.program.kill();
  }

  #drop() {
    this.client?.destroy();
    this.client = undefined;
  }

  // One command; replies as JavaScript values, error replies thrown.
  async cmd(...words) {
    if (this.client?.ended) this.#drop(); // a server that becomes a replica kills its clients
    this.client ??= new RedisClient(this.socket);
    return this.client.cmd(...words);
  }

  // What a person would type: redis-cli with these words; its output as text.
  async cli(...words) {
    const done = await run('redis-cli', ['-s', this.socket, ...words]);
    return done.stdout;
  }

  // Everything that a publish could have changed, as one text to compare.
  async fingerprint() {
    const [keys, head, topics] = await Promise.all([
      this.cmd('KEYS', '*'),
      this.cmd('HGETALL', 'weft:{0}:head'),
      this.cmd('ZRANGE', 'weft:{0}:topics', '0', '-1', 'WITHSCORES'),
    ]);
    const lengths = [];
    for (let i = 0; i < topics.length; i += 2) {
      lengths.push(await this.cmd('XLEN', `weft:{0}:log:${topics[i]}`));
    }
    // Canaries and leases come by themselves.
    const size = keys.filter((key) => !/:canary$|:lease:/.test(key)).length;
    return JSON.stringify({ size, head, topics, lengths });
  }

  // The ids of a topic's log, as they lie in Redis.
  async ids(topic) {
    const entries = await this.cmd('XRANGE', `weft:{0}:log:${topic}`, '-', '+');
    return entries.map((entry) => entry[0]);
  }

  // Events that are in the log, acknowledged, and whose live messages go nowhere.
  async unheard(topic, from, to) {
    const requests = [];
    for (let n = from; n <= to; n++) requests.push('0', '0', '1', 'a.b', `{"type":"a.b","ts":1,"payload":{"n":${n}}}`, '1');
    await this.cmd('FCALL', 'weft1_publish', '3', 'weft:{0}:head', 'weft:{0}:topics', `weft:{0}:log:${topic}`,
      'weft:{0}:nowhere', '1000', '1000', '1', topic, '0', ...requests);
  }

  async waitUntilAnswers() {
    await until(async () => (await this.cmd('PING')) === 'PONG', { what: 'Redis to answer' });
  }
}

class RedisClient {
  constructor(socketPath) {
    this.waiting = [];
    this.input = Buffer.alloc(0);
    this.socket = net.connect(socketPath);
    this.socket.on('data', (data) => this.#feed(data));
    this.socket.on('error', (error) => this.#fail(error));
    this.socket.on('close', () => this.#fail(new Error('the connection to Redis was closed')));
  }

  cmd(...words) {
    const parts = [`*${words.length}\r\n`];
    for (const word of words) parts.push(`$${Buffer.byteLength(String(word))}\r\n${word}\r\n`);
    const answer = new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
    this.socket.write(parts.join(''));
    return deadline(answer, { what: `Redis to answer ${words[0]}` });
  }

  destroy() {
    this.socket.destroy();
  }

  #fail(error) {
    this.ended = true;
    for (const { reject } of this.waiting.splice(0)) reject(error);
  }

  #feed(data) {
    this.input = this.input.length === 0 ? data : Buffer.concat([this.input, data]);
    let at = 0;
    for (;;) {
      const reply = parseReply(this.input, at);
      if (!reply) break;
      at = reply.end;
      const { resolve, reject } = this.waiting.shift();
      if (reply.value instanceof Error) reject(reply.value);
      else resolve(reply.value);
    }
    this.input = this.input.subarray(at);
  }
}

function parseReply(input, at) {
  const eol = input.indexOf('\r\n', at);
  if (eol < 0) return null;
  const line = input.toString('utf8', at + 1, eol);
  const next = eol + 2;
  switch (String.fromCharCode(input[at])) {
    case '+':
      return { value: line, end: next };
    case '-':
      return { value: new Error(line), end: next };
    case ':':
      return { value: Number(line), end: next };
    case '$': {
      const length = Number(line);
      if (length < 0) return { value: null, end: next };
      if (input.length < next + length + 2) return null;
      return { value: input.toString('utf8', next, next + length), end: next + length + 2 };
    }
    case '*': {
      const count = Number(line);
      if (count < 0) return { value: null, end: next };
      const value = [];
      let end = next;
      for (let i = 0; i < count; i++) {
        const item = parseReply(input, end);
        if (!item) return null;
        value.push(item.value);
        end = item.end;
      }
      return { value, end };
    }
    default:
      throw new Error(`not a reply of Redis: ${line}`);
  }
}
