// A master, its replicas and the Sentinels that watch them, all real, on ports of their own, with fast settings.
//
//   const set = new Sentinels(w.folder, { replicas: 2, sentinels: 3 });
//   w.atEnd(() => set.stop());
//   await set.start();            ready to fail over
//   set.url                       for a node
//   await set.master()            the Redis that the Sentinels call the master
//   await set.failover()          by hand; the new master
//   await set.killMaster()        kill -9; await set.promoted(old) for the new one
//   await set.isolateMaster()     it lives on as a master that neither Sentinels nor replicas reach
//
// With tls: { ca, cert, key } all ports speak TLS; the certificate has to name `host`.
import path from 'node:path';
import { mkdirSync, writeFileSync } from 'node:fs';
import { Program, run } from './process.mjs';
import { anyPort, Redis } from './redis.mjs';
import { until } from './wait.mjs';

const NAME = 'events';

// What a Sentinel's answer of keys and values says.
function fields(list) {
  const out = {};
  for (let i = 0; i < list.length; i += 2) out[list[i]] = list[i + 1];
  return out;
}

function tlsLines({ ca, cert, key }) {
  return [`tls-ca-cert-file ${ca}`, `tls-cert-file ${cert}`, `tls-key-file ${key}`, 'tls-auth-clients no', 'tls-replication yes'];
}

// One Sentinel: redis-server --sentinel.
export class Sentinel {
  constructor(folder, { name, masterPort, quorum, user, downAfter, host, password, tls, lines }) {
    this.folder = folder;
    this.options = { name, masterPort, quorum, user, downAfter, host, password, tls, lines };
    mkdirSync(folder, { recursive: true });
  }

  async start() {
    const { name, masterPort, quorum, user, downAfter, host, password, tls, lines } = this.options;
    for (let attempt = 0; ; attempt++) {
      const fixed = this.port !== undefined;
      const port = this.port ?? anyPort();
      const config = path.join(this.folder, 'sentinel.conf');
      if (!fixed) {
        writeFileSync(config, [
          ...(tls ? ['port 0', `tls-port ${port}`, ...tlsLines(tls)] : [`port ${port}`]), 'bind 127.0.0.1', `dir ${this.folder}`, 'logfile ""', 'protected-mode no',
          'sentinel resolve-hostnames yes', ...lines,
          `sentinel monitor ${name} ${host} ${masterPort} ${quorum}`,
          `sentinel auth-user ${name} ${user.name}`, `sentinel auth-pass ${name} ${user.password}`,
          `sentinel down-after-milliseconds ${name} ${downAfter}`,
          `sentinel failover-timeout ${name} 3000`, `sentinel parallel-syncs ${name} 4`,
          ...(password ? [`requirepass ${password}`, `sentinel sentinel-pass ${password}`] : []), '',
        ].join('\n'));
      }
      this.program = new Program('redis-server', [config, '--sentinel']);
      try {
        await this.program.line((text) => text.includes('Sentinel ID is'), { what: 'a Sentinel to be ready' });
        this.port = port;
        // Not ping-period: a replica whose INFO is older than five of them is no candidate, and INFO comes once a second then.
        await this.cmd('SENTINEL', 'DEBUG', 'info-period', '200', 'publish-period', '200', 'ask-period', '100');
        return this;
      } catch (error) {
        await this.program.kill();
        if (attempt >= (fixed ? 20 : 5)) throw error;
      }
    }
  }

  // One command by redis-cli; lists as arrays of strings.
  async cmd(...words) {
    const { password, tls } = this.options;
    const secure = tls ? ['--tls', '--cacert', tls.ca, '-h', this.options.host] : [];
    const auth = password ? ['--no-auth-warning', '-a', password] : [];
    const done = await run('redis-cli', ['-p', String(this.port), ...secure, ...auth, '--json', ...words]);
    if (done.code !== 0 || /^(ERR|NOAUTH|INPROG|NOGOODSLAVE|"?error)/.test(done.stdout)) throw new Error(`${words.join(' ')}: ${done.stdout} ${done.stderr}`);
    return JSON.parse(done.stdout);
  }

  async masterPort() {
    const [, port] = await this.cmd('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.options.name);
    return Number(port);
  }

  // Knows n replicas, all of them usable, and m other Sentinels, all of them reachable.
  async knows(n, m) {
    const { name } = this.options;
    const listed = await this.cmd('SENTINEL', 'REPLICAS', name);
    const others = await this.cmd('SENTINEL', 'SENTINELS', name);
    const replicas = listed.map((x) => (Array.isArray(x) ? fields(x) : x));
    const sentinels = others.map((x) => (Array.isArray(x) ? fields(x) : x));
    return replicas.length === n && replicas.every((r) => r.flags === 'slave' && r['master-link-status'] === 'ok' && Number(r['slave-repl-offset']) > 0) &&
      sentinels.length === m && sentinels.every((s) => s.flags === 'sentinel');
  }

  async kill() {
    await this.program.kill();
  }
}

export class Sentinels {
  // With a downAfter of less than about a second, on a busy machine, Sentinels fail over when nothing has happened.
  constructor(folder, { replicas = 2, sentinels = 3, downAfter = 1500, host = '127.0.0.1', password, tls, args = [], lines = [] } = {}) {
    this.folder = folder;
    this.name = NAME;
    this.options = { replicas, sentinels, downAfter, host, password, tls, args, lines };
    // Sentinels and replicas are users of their own, so that they can be locked out of a server; nodes are another.
    this.watcher = { name: 'watcher', password: 'watch' };
    this.follower = { name: 'follower', password: 'follow' };
    this.reader = { name: 'node', password: 'weave' };
    this.servers = [];
    this.sentinels = [];
  }

  #args() {
    const { watcher, follower, reader } = this;
    return [
      '--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1', '--repl-backlog-size', '10mb',
      ...[watcher, follower, reader].flatMap((user) => ['--user', user.name, 'on', `>${user.password}`, 'allkeys', 'allchannels', '+@all']),
      '--masteruser', follower.name, '--masterauth', follower.password, ...this.options.args,
    ];
  }

  async start() {
    const { replicas, sentinels, downAfter, host, password, tls, lines } = this.options;
    for (let i = 0; i <= replicas; i++) {
      const server = new Redis(path.join(this.folder, `server-${i}`));
      this.servers.push(server);
      const follow = i === 0 ? [] : ['--replicaof', host, String(this.servers[0].port)];
      await server.start({ tls: tls !== undefined, args: [...this.#args(), ...(tls ? tlsLines(tls).flatMap((l) => `--${l}`.split(' ')) : []), ...follow] });
    }
    const [master] = this.servers;
    await until(async () => {
      const info = await master.cmd('INFO', 'replication');
      return (info.match(/state=online/g) ?? []).length === replicas;
    }, { what: 'the replicas to follow the master' });
    for (let i = 0; i < sentinels; i++) {
      const sentinel = new Sentinel(path.join(this.folder, `sentinel-${i}`), {
        name: NAME, masterPort: master.port, quorum: Math.floor(sentinels / 2) + 1, user: this.watcher, downAfter, host, password, tls, lines,
      });
      this.sentinels.push(sentinel);
      await sentinel.start();
    }
    await this.readyToFailOver();
    return this;
  }

  // Every Sentinel that runs knows the replicas (n of them) and each other.
  async readyToFailOver(n = this.options.replicas) {
    const up = this.sentinels.filter((s) => s.program.running);
    for (const sentinel of up) {
      await until(() => sentinel.knows(n, this.sentinels.length - 1), { what: 'the Sentinels to know each other and the replicas', ms: 30_000, every: 100 });
    }
  }

  urlWith({ user = `${this.reader.name}:${this.reader.password}`, tail = '', scheme = this.options.tls ? 'rediss+sentinel' : 'redis+sentinel' } = {}) {
    const hosts = this.sentinels.map((s) => `${this.options.host}:${s.port}`).join(',');
    const query = this.options.password ? `?sentinel_password=${encodeURIComponent(this.options.password)}` : '';
    return `${scheme}://${user}@${hosts}/${NAME}${tail}${query}`;
  }

  get url() {
    return this.urlWith();
  }

  server(port) {
    return this.servers.find((s) => s.port === port);
  }

  // The server that the first running Sentinel names.
  async master() {
    const sentinel = this.sentinels.find((s) => s.program.running);
    return this.server(await sentinel.masterPort());
  }

  // Waits until every running Sentinel names another server than `old`, and that one is a master.
  async promoted(old) {
    const up = this.sentinels.filter((s) => s.program.running);
    return until(async () => {
      const named = new Set();
      for (const sentinel of up) named.add(await sentinel.masterPort());
      const [port] = named;
      const master = this.server(port);
      return named.size === 1 && port !== old.port && (await master.cmd('ROLE'))[0] === 'master' && master;
    }, { what: 'the Sentinels to name another master, which is one', ms: 60_000, every: 50 });
  }

  async failover() {
    const old = await this.master();
    const sentinel = this.sentinels.find((s) => s.program.running);
    await until(() => sentinel.cmd('SENTINEL', 'FAILOVER', NAME), { what: 'SENTINEL FAILOVER to be taken', every: 200 });
    return this.promoted(old);
  }

  async killMaster() {
    const old = await this.master();
    await old.kill();
    return old;
  }

  // A cut between the master and all others, but not the nodes: nobody of them can talk to it any more. They may fall
  // back to the default user, so that one loses what they need.
  async isolateMaster() {
    const old = await this.master();
    await old.cmd('ACL', 'SETUSER', 'default', '-ping', '-info', '-psync', '-replconf', '-replicaof', '-slaveof', '-multi', '-publish');
    for (const user of [this.watcher, this.follower]) {
      await old.cmd('ACL', 'SETUSER', user.name, 'off');
      await old.cmd('CLIENT', 'KILL', 'USER', user.name);
    }
    return old;
  }

  async heal(server) {
    await server.cmd('ACL', 'SETUSER', 'default', '+@all');
    for (const user of [this.watcher, this.follower]) await server.cmd('ACL', 'SETUSER', user.name, 'on');
  }

  async stop() {
    await Promise.all(this.sentinels.map((s) => s.program?.kill()));
    await Promise.all(this.servers.map((s) => s.stop()));
  }
}
