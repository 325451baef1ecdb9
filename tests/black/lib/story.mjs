// story(title, body): a test that owns a world (folder, Redis, nodes, clients), and leaves nothing behind.
import test from 'node:test';
import os from 'node:os';
import path from 'node:path';
import { mkdtempSync, rmSync, existsSync } from 'node:fs';
import { Client } from './http.mjs';
import { endStrays, Program } from './process.mjs';
import { Random } from './random.mjs';
import { Redis } from './redis.mjs';
import { SseStream } from './sse.mjs';
import { WebSocketStream } from './ws.mjs';
import { bin, Weftd } from './node.mjs';
import { deadline } from './wait.mjs';

export class World {
  constructor(t) {
    this.t = t;
    this.folder = mkdtempSync(path.join(os.tmpdir(), 'weft-'));
    this.closers = [];
    this.nodes = [];
    this.stores = [];
    this.streams = new Set();
  }

  note(text) {
    for (const line of text.split('\n')) this.t.diagnostic(line);
  }

  // Called, newest first, when the story is over.
  atEnd(close) {
    this.closers.push(close);
  }

  get store() {
    return this.stores[0];
  }

  random() {
    const random = new Random();
    this.note(`WEFT_SEED=${random.seed}`);
    return random;
  }

  async redis(options) {
    const redis = new Redis(this.folder);
    this.stores.push(redis);
    await redis.start(options);
    return redis;
  }

  // A node that is ready, or with {ready: false} one that only listens.
  async node({ id = 'abcdefgh'[this.nodes.length], redis = this.store?.url, ready = true, ...options } = {}) {
    const node = new Weftd({ id, redis, ...options });
    this.nodes.push(node);
    await (ready ? node.ready() : node.listening());
    return node;
  }

  // The usual beginning: a Redis and n nodes; returns the nodes.
  async cluster(n = 1, options = {}) {
    if (!this.store) await this.redis(options.redis);
    const nodes = [];
    for (let i = 0; i < n; i++) nodes.push(await this.node(options.node));
    return nodes;
  }

  client(node, tls = {}) {
    const client = new Client(node.origin, { ca: node.ca, ...tls });
    this.atEnd(() => client.close());
    return client;
  }

  program(command, args, options) {
    const program = new Program(command, args, options);
    this.atEnd(() => program.kill());
    return program;
  }

  stream(node, query, options) {
    const stream = new SseStream(node, query, options);
    this.streams.add(stream);
    stream.closed.then(() => this.streams.delete(stream));
    return stream;
  }

  follow(node, query, options) {
    return this.stream(node, query, options).open();
  }

  // A WebSocket that may not be one yet, and one that is open.
  websocket(node, options) {
    const socket = new WebSocketStream(node, options);
    this.streams.add(socket);
    socket.closed.then(() => this.streams.delete(socket));
    return socket;
  }

  ws(node, options) {
    return this.websocket(node, options).open();
  }

  // Clients first, then the nodes, which may still want their Redis to end in order, then Redis.
  async end(failed) {
    const problems = [];
    for (const stream of this.streams) stream.cut();
    for (const close of this.closers.reverse()) await this.#try(close, problems);
    await Promise.all(this.nodes.map((node) => this.#endNode(node, problems, failed)));
    for (const redis of this.stores) await this.#try(() => redis.stop(), problems);
    await endStrays();
    rmSync(this.folder, { recursive: true, force: true });
    if (problems.length > 0 && !failed) throw new Error(problems.join('\n'));
    if (problems.length > 0) this.note(problems.join('\n'));
  }

  async #try(close, problems) {
    try {
      await close();
    } catch (error) {
      problems.push(error.message);
    }
  }

  // A node that still runs has to end in order when asked to.
  async #endNode(node, problems, failed) {
    if (failed) {
      this.note(`the log of node ${node.id}:\n${node.program.output().split('\n').slice(-40).join('\n')}`);
    }
    if (node.running) {
      try {
        const how = await node.stop();
        if (how.code !== 0) problems.push(`node ${node.id} ended with ${JSON.stringify(how)}:\n${node.program.output('stderr')}`);
      } catch (error) {
        problems.push(`node ${node.id}: ${error.message}`);
      }
    } else if (!node.mayDie && node.program.exit.signal !== 'SIGKILL' && node.program.exit.code !== 0) {
      problems.push(`node ${node.id} had ended with ${JSON.stringify(node.program.exit)}:\n${node.program.output()}`);
    }
    const report = /ERROR: AddressSanitizer|ERROR: LeakSanitizer|WARNING: ThreadSanitizer|runtime error:/.exec(node.program.output());
    if (report) problems.push(`node ${node.id}: ${report[0]}\n${node.program.output()}`);
  }
}

export function story(title, body, { timeout = 60_000, needs = ['weftd'] } = {}) {
  const missing = needs.filter((name) => !existsSync(bin(name)));
  test(title, async (t) => {
    if (missing.length > 0) throw new Error(`${missing.map(bin).join(', ')} is not built (scripts/build)`);
    const world = new World(t);
    let failed = true;
    try {
      await deadline(body(world), { what: 'the story to end', ms: timeout });
      failed = false;
    } finally {
      await world.end(failed);
    }
  });
}
