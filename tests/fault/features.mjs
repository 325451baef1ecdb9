// What this machine allows: network namespaces (root), a clock that can be set wrong (a C compiler), Sentinel (in the node).
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { existsSync, writeFileSync } from 'node:fs';
import { run } from '../black/lib/process.mjs';
import { bin, cleanEnv } from '../black/lib/node.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));

async function works(command, args, options) {
  try {
    return (await run(command, args, { ms: 10_000, ...options })).code === 0;
  } catch {
    return false;
  }
}

// A namespace joined to this one by a pair of virtual cards. Partitioned: the card on our side is down.
export class Namespace {
  constructor(n) {
    this.name = `weft-fault-${process.pid}-${n}`;
    this.card = `wf${process.pid % 100_000}-${n}`;
    const net = (process.pid * 8 + n) % 16_000;
    this.near = `10.${200 + (net >> 12)}.${(net >> 4) & 255}.${(net & 15) * 16 + 1}`;
    this.far = this.near.replace(/\d+$/, (last) => String(Number(last) + 1));
    this.wrap = ['ip', 'netns', 'exec', this.name];
  }

  static open = new Set();

  async ip(...args) {
    const done = await run('ip', args, { ms: 10_000 });
    if (done.code !== 0) throw new Error(`ip ${args.join(' ')}: ${done.stderr}`);
  }

  async begin() {
    Namespace.open.add(this);
    try {
      await this.ip('netns', 'add', this.name);
      await this.ip('link', 'add', this.card, 'type', 'veth', 'peer', 'name', 'far', 'netns', this.name);
      await this.ip('addr', 'add', `${this.near}/30`, 'dev', this.card);
      await this.ip('link', 'set', this.card, 'up');
      await this.ip('-n', this.name, 'addr', 'add', `${this.far}/30`, 'dev', 'far');
      await this.ip('-n', this.name, 'link', 'set', 'far', 'up');
      await this.ip('-n', this.name, 'link', 'set', 'lo', 'up');
    } catch (error) {
      await this.end();
      throw error;
    }
    return this;
  }

  partition() {
    return this.ip('link', 'set', this.card, 'down');
  }

  join() {
    return this.ip('link', 'set', this.card, 'up');
  }

  // The card goes with the namespace of its other end.
  async end() {
    Namespace.open.delete(this);
    await works('ip', ['link', 'del', this.card]);
    await works('ip', ['netns', 'del', this.name]);
  }

  // The same at once, when the process is about to end.
  static endAllNow() {
    for (const { card, name } of Namespace.open) {
      spawnSync('ip', ['link', 'del', card], { stdio: 'ignore' });
      spawnSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
    }
    Namespace.open.clear();
  }

  static async endAll() {
    await Promise.all([...Namespace.open].map((namespace) => namespace.end()));
  }
}

// A wall clock that can be set for programs started with its environment.
export class Clock {
  constructor(folder, library) {
    this.file = path.join(folder, 'clock');
    this.set(0);
    this.env = { LD_PRELOAD: library, FAULT_CLOCK: this.file };
  }

  // Overwrites in place: who has the file mapped sees it at once.
  set(ms) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(ms) * 1_000_000n);
    writeFileSync(this.file, bytes, { flag: existsSync(this.file) ? 'r+' : 'w' });
  }
}

export async function features(folder) {
  const found = { netns: false, clock: null, nodeClock: false, sentinel: false, missing: [] };
  const namespace = new Namespace(15);
  try {
    await namespace.begin();
    found.netns = true;
  } catch {
    found.missing.push('no network namespaces here (they need root and iproute2): partitions by them are left out');
  } finally {
    await namespace.end();
  }
  const library = path.join(folder, 'clock.so');
  if (await works('cc', ['-shared', '-fPIC', '-O2', '-o', library, path.join(here, 'clock.c')], { ms: 30_000 })) found.clock = library;
  else found.missing.push('no C compiler: steps of the clock are left out');
  // A node with a sanitizer wants to be first: then only Redis's clock is set.
  found.nodeClock = found.clock && (await works(bin('weftd'), ['--check'], { env: cleanEnv({ LD_PRELOAD: library }) }));
  found.sentinel = await works(bin('weftd'), ['--check', '--redis', 'redis+sentinel://127.0.0.1:1/weft'], { env: cleanEnv() });
  if (!found.sentinel) found.missing.push('weftd takes no redis+sentinel:// address: rounds with Sentinel are left out');
  return found;
}
