// The Redis side of a round, in its shapes. Each has: url (what nodes are told), proxies (what their connections pass
// through), master() (the server that has the truth now) and end().
import path from 'node:path';
import { writeFileSync } from 'node:fs';
import { Program } from '../black/lib/process.mjs';
import { until } from '../black/lib/wait.mjs';
import { Proxy } from './proxy.mjs';
import { Store } from './store.mjs';
import { Clock, Namespace } from './features.mjs';

const QUICK_SYNC = ['--repl-diskless-sync-delay', '0'];

function anyPort() {
  return 10_000 + Math.floor(Math.random() * 22_000);
}

// One server: always, everysec, in a network namespace of its own, or with a clock that can be set.
export class Single {
  constructor(folder, random, { fsync = 'always', netns = false, clock = null } = {}) {
    Object.assign(this, { folder, random, fsync, netns, proxies: [], stores: [] });
    if (clock) this.clock = new Clock(folder, clock);
  }

  async begin() {
    const options = { fsync: this.fsync, env: this.clock?.env };
    if (this.netns) {
      this.namespace = await new Namespace(1).begin();
      Object.assign(options, { host: this.namespace.far, wrap: this.namespace.wrap });
    }
    this.store = await new Store(this.folder, 'redis', options).start();
    this.stores.push(this.store);
    if (this.netns) {
      this.url = `redis://${this.namespace.far}:${this.store.port}`;
      return;
    }
    const proxy = await new Proxy(this.random, this.store.target).listen();
    this.proxies.push(proxy);
    this.url = `redis://127.0.0.1:${proxy.port}`;
  }

  async master() {
    return this.store;
  }

  async end() {
    await Promise.all(this.proxies.map((proxy) => proxy.close()));
    await this.store?.stop();
    await this.namespace?.end();
  }
}

// A master and a replica, no Sentinel. Nodes keep one address, the proxy's; a promotion switches its target.
export class Pair {
  constructor(folder, random) {
    Object.assign(this, { folder, random, proxies: [], stores: [], links: new Map() });
  }

  async begin() {
    this.stores = [new Store(this.folder, 'one', { fsync: 'everysec' }), new Store(this.folder, 'two', { fsync: 'everysec' })];
    for (const store of this.stores) {
      await store.start({ args: QUICK_SYNC });
      this.links.set(store, await new Proxy(this.random, store.target).listen());
    }
    [this.first, this.second] = this.stores;
    this.front = await new Proxy(this.random, this.first.target).listen();
    this.proxies.push(this.front);
    this.url = `redis://127.0.0.1:${this.front.port}`;
    await this.follow();
  }

  // The second is a replica of the first, and has all of it.
  async follow() {
    await this.second.cmd('REPLICAOF', '127.0.0.1', String(this.links.get(this.first).port));
    const there = async () => /master_link_status:up/.test(await this.second.cmd('INFO', 'replication'));
    await until(there, { what: 'the replica to be there', ms: 20_000, every: 50 });
  }

  async master() {
    return this.first;
  }

  // What operators did reaches the replica before anything else happens.
  async settle() {
    await this.first.cmd('WAIT', '1', '2000');
  }

  cutLink() {
    this.links.get(this.first).set({ hole: true });
  }

  // The replica becomes the truth; the old master is gone, and comes back as a replica of the new one.
  async promote({ kill }) {
    const old = this.first;
    if (kill) await old.kill();
    await this.second.cmd('REPLICAOF', 'NO', 'ONE');
    [this.first, this.second] = [this.second, old];
    this.front.target = this.first.target;
    this.front.cut();
    this.links.get(old).heal();
    if (kill) await old.restart();
    await this.follow();
  }

  async end() {
    await Promise.all([...this.proxies, ...this.links.values()].map((proxy) => proxy.close()));
    await Promise.all(this.stores.map((store) => store.stop()));
  }
}

// A master, two replicas and three Sentinels. Every server is known by the address of a proxy in front of it, so that its
// link to the replicas, and what the Sentinels see of it, can be cut while the nodes still reach it.
export class Sentinels {
  constructor(folder, random) {
    Object.assign(this, { folder, random, proxies: [], stores: [], sentinels: [], fronts: new Map() });
  }

  async begin() {
    for (const name of ['one', 'two', 'three']) {
      const store = new Store(this.folder, name, { fsync: 'everysec' });
      const front = await new Proxy(this.random, store.target).listen();
      this.proxies.push(front);
      this.fronts.set(store, front);
      await store.start({ args: ['--replica-announce-ip', '127.0.0.1', '--replica-announce-port', String(front.port), ...QUICK_SYNC] });
      this.stores.push(store);
    }
    const [first, ...others] = this.stores;
    for (const store of others) await store.cmd('REPLICAOF', '127.0.0.1', String(this.fronts.get(first).port));
    for (let i = 0; i < 3; i++) await this.#sentinel(i, this.fronts.get(first).port);
    this.url = `redis+sentinel://${this.sentinels.map((s) => `127.0.0.1:${s.port}`).join(',')}/weft`;
    await this.whole();
  }

  async #sentinel(i, masterPort) {
    for (let attempt = 0; ; attempt++) {
      const port = anyPort();
      const file = path.join(this.folder, `sentinel-${i}.conf`);
      writeFileSync(file, [
        `port ${port}`, 'bind 127.0.0.1', `dir ${this.folder}`, `unixsocket ${path.join(this.folder, `s${i}.sock`)}`,
        `sentinel monitor weft 127.0.0.1 ${masterPort} 2`, 'sentinel down-after-milliseconds weft 1500',
        'sentinel failover-timeout weft 6000', 'sentinel parallel-syncs weft 2', '',
      ].join('\n'));
      const sentinel = new Store(this.folder, `sentinel-${i}`);
      sentinel.socket = path.join(this.folder, `s${i}.sock`);
      sentinel.port = port;
      sentinel.program = new Program('redis-server', [file, '--sentinel']);
      try {
        await sentinel.program.line((text) => text.includes('+monitor master'), { what: 'Sentinel to watch' });
        this.sentinels.push(sentinel);
        return;
      } catch (error) {
        await sentinel.program.kill();
        if (attempt >= 5) throw error;
      }
    }
  }

  // The Sentinels agree on a master that is up and has two replicas in sync, and know each other.
  async whole() {
    await until(async () => {
      const master = await this.master();
      const info = await master.cmd('INFO', 'replication');
      if (!/role:master/.test(info) || (info.match(/state=online/g) ?? []).length !== 2) return false;
      for (const sentinel of this.sentinels) {
        const fields = await sentinel.cmd('SENTINEL', 'MASTER', 'weft');
        const field = (name) => fields[fields.indexOf(name) + 1];
        if (field('flags') !== 'master' || field('num-slaves') !== '2' || field('num-other-sentinels') !== '2') return false;
        if (Number(field('port')) !== this.fronts.get(master).port) return false;
        const replicas = await sentinel.cmd('SENTINEL', 'REPLICAS', 'weft');
        for (const replica of replicas) {
          if (replica[replica.indexOf('master-link-status') + 1] !== 'ok') return false;
        }
      }
      return true;
    }, { what: 'Sentinel, a master and its replicas to be whole', ms: 60_000, every: 200 });
  }

  async master() {
    let last;
    for (const sentinel of this.sentinels) {
      try {
        const [, port] = await sentinel.cmd('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'weft');
        return this.stores.find((store) => this.fronts.get(store).port === Number(port));
      } catch (error) {
        last = error;
      }
    }
    throw last;
  }

  // Until another one than `old` is the master, and says so itself.
  async failedOver(old) {
    await until(async () => {
      const master = await this.master();
      return master !== old && /role:master/.test(await master.cmd('INFO', 'replication'));
    }, { what: 'the failover', ms: 40_000, every: 100 });
  }

  async settle() {
    await (await this.master()).cmd('WAIT', '2', '2000');
  }

  async end() {
    await Promise.all(this.sentinels.map((sentinel) => sentinel.stop()));
    await Promise.all(this.proxies.map((proxy) => proxy.close()));
    await Promise.all(this.stores.map((store) => store.stop()));
  }
}
