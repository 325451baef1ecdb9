// A round: a fabric of its own, under load, to which a number of faults are done, which is then left in peace, and judged.
import path from 'node:path';
import { mkdirSync, writeFileSync } from 'node:fs';
import { Weftd } from '../black/lib/node.mjs';
import { Random } from '../black/lib/random.mjs';
import { sleep, until } from '../black/lib/wait.mjs';
import { FAULTS, plan } from './faults.mjs';
import { Follower, Publisher } from './load.mjs';
import { judge } from './judge.mjs';
import { Pair, Sentinels, Single } from './setups.mjs';

const TOPICS = ['repo:1', 'repo:2', 'repo:3', 'task:1', 'task:2', 'log'];
const PATTERNS = [
  ['repo:1'], ['log'], ['repo:1', 'task:1'], ['repo:2', 'repo:3', 'log'], ['repo:*'], ['task:*', 'log'], ['*'], ['repo:*', 'task:1'],
];
const NODE_SET = {
  redis: { backoff_min_ms: 20, backoff_max_ms: 300, command_timeout_ms: 1000, connect_timeout_ms: 500 },
  sse: { heartbeat_ms: 1000, retry_ms: 100, retry_jitter_ms: 50 },
  history: { max_events: 0 },
  drain: { period_ms: 1500 },
};
// A node that remembers next to nothing, so that it has to read the log.
const FORGETFUL = { ring: { events: 16 }, replay: { cache_bytes: 0 } };

export const MODES = ['always', 'everysec', 'netns', 'clock', 'pair', 'sentinel'];

function setupFor(mode, folder, random, found) {
  switch (mode) {
    case 'everysec': return new Single(folder, random, { fsync: 'everysec' });
    case 'netns': return new Single(folder, random, { netns: true });
    case 'clock': return new Single(folder, random, { clock: found.clock });
    case 'pair': return new Pair(folder, random);
    case 'sentinel': return new Sentinels(folder, random);
    default: return new Single(folder, random);
  }
}

export class Round {
  constructor({ folder, mode, seed, found, only, nodes, seconds, say }) {
    Object.assign(this, { folder, mode, seed, found, only, seconds, say });
    mkdirSync(folder, { recursive: true });
    this.random = new Random(seed);
    this.topics = TOPICS;
    this.nodes = Array.from({ length: nodes });
    this.gone = []; // nodes that were ended
    this.publishes = new Map();
    this.removed = [];
    this.flushes = [];
    this.cuts = [];
    this.mayLose = [];
    this.marks = new Set();
    this.problems = [];
    this.acked = 0;
    this.refused = 0;
    this.n = 0;
    this.calm = false;
    this.over = false;
    this.begun = Date.now();
    this.done = {};
  }

  now() {
    return Date.now() - this.begun;
  }

  nextN() {
    return ++this.n;
  }

  problem(text) {
    if (this.problems.length < 50) this.problems.push(`${(this.now() / 1000).toFixed(3)} ${text}`);
  }

  published(event) {
    this.publishes.set(event.n, event);
    if (event.outcome === 'acked') this.acked++;
  }

  anyNode(random) {
    const up = this.nodes.filter((node) => node?.running && node.port);
    return up.length > 0 ? random.pick(up) : null;
  }

  async startNode(slot) {
    if (this.nodes[slot]) this.gone.push(this.nodes[slot]);
    const node = new Weftd({
      redis: this.setup.url, id: `${'abcdefgh'[slot]}${this.gone.length}`, env: (this.found.nodeClock && this.setup.clock?.env) || {},
      set: { ...NODE_SET, ...(slot === 1 ? FORGETFUL : {}) },
    });
    await node.listening();
    this.nodes[slot] = node;
  }

  async go() {
    const { random } = this;
    this.setup = setupFor(this.mode, this.folder, random, this.found);
    const steps = plan(random, this.mode, this.only, 200);
    try {
      await this.setup.begin();
      for (let slot = 0; slot < this.nodes.length; slot++) await this.startNode(slot);
      for (const node of this.nodes) await node.logged('node.ready', { ms: 20_000 });
      this.#load(random);
      await this.#flows('the load to begin');
      const until_ = Date.now() + this.seconds * 1000;
      for (const step of steps) {
        if (Date.now() >= until_) break;
        await this.#fault(step);
      }
      await this.#settle();
      this.record = await this.#record();
    } finally {
      await this.#end();
    }
    return judge(this.record);
  }

  #load(random) {
    const draw = () => new Random(random.below(2 ** 31));
    this.publishers = [15, 25, 40, 60, 60, 120, 200].map((pauseMs, i) => new Publisher(this, `p${i}`, draw(), {
      topics: i % 2 ? this.topics : random.some(this.topics, 2), pauseMs,
    }));
    this.followers = [];
    for (let i = 0; i < 24; i++) {
      this.followers.push(new Follower(this, `s${i}`, draw(), {
        patterns: PATTERNS[i % PATTERNS.length], earliest: i % 5 === 4, patience: random.pick([5, 50, 500, 100_000]),
      }));
    }
    this.running = [...this.publishers, ...this.followers].map((one) => one.run().catch((error) => this.problem(`${one.name}: ${error.stack}`)));
  }

  // Events are acknowledged, and come to somebody.
  async #flows(what) {
    const want = this.acked + 10;
    try {
      await until(() => this.acked >= want, { what, ms: 20_000, every: 50 });
    } catch {
      this.problem(`publishes are not acknowledged: waited for ${what}`);
    }
  }

  async #fault({ name, drawn, restMs }) {
    await sleep(restMs);
    this.say(`  ${(this.now() / 1000).toFixed(1).padStart(6)} s  ${name} ${JSON.stringify(drawn)}`);
    this.done[name] = (this.done[name] ?? 0) + 1;
    if (FAULTS[name].loses) this.mayLose.push(name);
    try {
      await FAULTS[name].run(this, drawn);
    } catch (error) {
      this.problem(`${name} could not be done: ${error.message} ${error.cause?.message ?? ''}`);
    }
    for (const node of this.nodes) {
      if (!node.running) this.problem(`node ${node.id} ended by itself: ${JSON.stringify(node.program.exit)}`);
    }
    await this.#flows(`publishes after ${name}`);
  }

  // No more faults and no more load; then a mark on each topic, and everybody who follows it gets to see it.
  async #settle() {
    this.calm = true;
    await Promise.all(this.running.slice(0, this.publishers.length));
    const wanted = this.topics.map(() => this.nextN());
    wanted.forEach((n) => this.marks.add(n));
    const publisher = new Publisher(this, 'marks', this.random, { topics: this.topics, pauseMs: 0 });
    for (const [i, topic] of this.topics.entries()) {
      let taken = false;
      for (let attempt = 0; attempt < 40 && !taken; attempt++) {
        taken = await publisher.publish([{ n: wanted[i], topics: [topic] }], { key: `mark-${topic}`, tries: 5 });
      }
      if (!taken) this.problem(`the last event of ${topic} was not acknowledged`);
    }
    publisher.agent.destroy();
    const behind = () => this.followers.filter((f) => this.topics.some((topic, i) => f.follows([topic]) && !f.marks.has(wanted[i])));
    await until(() => behind().length === 0, { what: 'everybody to have everything', ms: 25_000, every: 50 }).catch(() => {
      this.problem(`did not get the last events within 25 s: ${behind().map((f) => f.name).join(', ')}`);
    });
    await sleep(300); // whatever comes twice
    this.over = true;
    await Promise.all(this.running);
  }

  async #record() {
    const store = await this.setup.master();
    return {
      seed: this.seed, mode: this.mode, publishes: [...this.publishes.values()], logs: await store.readLogs(this.topics),
      removed: this.removed, flushes: this.flushes, cuts: this.cuts, mayLose: this.mayLose,
      subscribers: this.followers.map(({ name, patterns, earliest, trace }) => ({ name, patterns, earliest, trace })),
    };
  }

  async #end() {
    this.calm = true;
    this.over = true;
    for (const node of this.nodes) {
      if (!node?.running) continue;
      node.program.signal('SIGCONT');
      const how = await node.stop({ ms: 20_000 }).catch((error) => ({ error: error.message }));
      if (how.code !== 0) this.problem(`node ${node.id} ended with ${JSON.stringify(how)}`);
    }
    await this.setup.end();
    await Promise.all(this.running ?? []);
    for (const node of [...this.gone, ...this.nodes]) {
      const report = /ERROR: AddressSanitizer|ERROR: LeakSanitizer|WARNING: ThreadSanitizer|runtime error:/.exec(node?.program.output() ?? '');
      if (report) this.problem(`node ${node.id}: ${report[0]}`);
    }
  }

  // Everything that helps to understand what went wrong.
  keep() {
    for (const node of [...this.gone, ...this.nodes]) {
      if (node) writeFileSync(path.join(this.folder, `node-${node.id}.log`), `${node.program.output()}\n`);
    }
    for (const store of [...this.setup.stores, ...(this.setup.sentinels ?? [])]) {
      writeFileSync(path.join(this.folder, `redis-${store.name}.log`), `${store.output()}\n`);
    }
    if (this.record) writeFileSync(path.join(this.folder, 'record.json'), JSON.stringify(this.record));
    writeFileSync(path.join(this.folder, 'problems'), `${this.problems.join('\n')}\n`);
  }
}

