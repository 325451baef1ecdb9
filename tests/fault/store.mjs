// Redis servers that can be broken: a Store is one server, with its AOF within reach.
import path from 'node:path';
import { readdirSync, statSync, truncateSync } from 'node:fs';
import { Program } from '../black/lib/process.mjs';
import { Redis } from '../black/lib/redis.mjs';
import { until } from '../black/lib/wait.mjs';

export const LOG = 'weft:{0}:log:';

function anyPort() {
  return 10_000 + Math.floor(Math.random() * 22_000);
}

export class Store extends Redis {
  // `wrap` puts words in front of the program, `env` adds to its environment, `host` is where it listens.
  constructor(folder, name, { fsync = 'always', host = '127.0.0.1', wrap = [], env = {} } = {}) {
    super(path.join(folder, name));
    Object.assign(this, { name, fsync, host, wrap, env });
    this.floor = 0;
  }

  async start({ args = [] } = {}) {
    this.args = args;
    for (let attempt = 0; ; attempt++) {
      const port = this.port ?? anyPort();
      const words = [
        ...this.wrap, 'redis-server', '--port', String(port), '--bind', this.host, '--unixsocket', this.socket, '--dir', this.folder,
        '--save', '', '--appendonly', 'yes', '--appendfsync', this.fsync, '--auto-aof-rewrite-percentage', '0', '--daemonize', 'no',
        '--logfile', '', '--loglevel', 'notice', '--protected-mode', 'no', ...args,
      ];
      this.before = (this.before ?? []).concat(this.program ? [this.program] : []);
      this.program = new Program(words[0], words.slice(1), { env: { ...process.env, ...this.env } });
      try {
        await this.program.line((text) => text.includes('Ready to accept connections'), { what: 'Redis to be ready' });
        this.port = port;
        this.floor = this.aofBytes();
        return this;
      } catch (error) {
        await this.program.kill();
        if (attempt >= 10) throw error;
      }
    }
  }

  get target() {
    return { path: this.socket };
  }

  output() {
    return [...(this.before ?? []), this.program].map((program) => program.output()).join('\n-- started again\n');
  }

  // The newest file of the AOF, to which Redis appends.
  #aof() {
    const folder = path.join(this.folder, 'appendonlydir');
    const files = readdirSync(folder).filter((file) => file.endsWith('.incr.aof'));
    const number = (file) => Number(/\.(\d+)\.incr\.aof$/.exec(file)[1]);
    return path.join(folder, files.sort((a, b) => number(b) - number(a))[0]);
  }

  aofBytes() {
    return statSync(this.#aof()).size;
  }

  // What an operator did stays: a power loss takes no byte before this.
  hold() {
    this.floor = this.aofBytes();
  }

  // Power loss: the end of the file never reached the disk. Only while the server is down.
  loseTail(part, maxBytes) {
    const size = this.aofBytes();
    const room = Math.max(0, Math.min(size - this.floor, maxBytes));
    const cut = Math.floor(room * part);
    truncateSync(this.#aof(), size - cut);
    return cut;
  }

  // The AOF anew, from what is in memory.
  async rewrite() {
    await this.cmd('BGREWRITEAOF');
    const done = async () => /aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0/.test(await this.cmd('INFO', 'persistence'));
    await until(done, { what: 'the AOF to be rewritten' });
    this.hold();
  }

  // Every log as [[id, n], ...], by topic.
  async readLogs(topics) {
    const logs = {};
    for (const topic of topics) logs[topic] = entries(await this.cmd('XRANGE', LOG + topic, '-', '+'));
    return logs;
  }

  // Commands as one step; the replies.
  async atomic(...commands) {
    const queued = [this.cmd('MULTI'), ...commands.map((words) => this.cmd(...words))];
    const done = this.cmd('EXEC');
    await Promise.all(queued);
    return done;
  }
}

// [id, number of the event] for each entry of an XRANGE.
export function entries(reply) {
  return reply.map(([id, fields]) => {
    const event = JSON.parse(fields[fields.indexOf('event') + 1]);
    return [id, event.payload.n];
  });
}
