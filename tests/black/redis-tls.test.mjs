// Redis speaks TLS only. A node that believes its certificate publishes, follows and resumes; one that has reason not to
// refuses to connect, says why in the log, once, and serves nothing. Sentinels speak TLS as well.
import assert from 'node:assert/strict';
import path from 'node:path';
import { Certificates } from './lib/certificates.mjs';
import { story } from './lib/story.mjs';
import { until } from './lib/wait.mjs';
import { event, events } from './lib/http.mjs';
import { logLine } from './lib/node.mjs';
import { anyPort } from './lib/redis.mjs';
import { Sentinels } from './lib/sentinel.mjs';

const FAST = { backoff_min_ms: 10, backoff_max_ms: 50 };

function serverArgs(ca, pair, more = []) {
  return ['--tls-cert-file', pair.cert, '--tls-key-file', pair.key, '--tls-ca-cert-file', ca, '--tls-auth-clients', 'no', ...more];
}

// A Redis with a port for TLS (`tlsPort`), and its authority's file.
async function encrypted(w, { alt = 'DNS:localhost,IP:127.0.0.1', args = [], ...options } = {}) {
  const made = new Certificates(w.folder);
  const ca = await made.authority('ca');
  const pair = await made.sign('ca', 'redis', alt, options);
  const tlsPort = anyPort();
  await w.redis({ args: ['--tls-port', String(tlsPort), ...serverArgs(ca, pair, args)] });
  return { made, ca, pair, tlsPort };
}

function node(w, url, ca, { set = {}, ...options } = {}) {
  return w.node({ redis: url, set: { redis: { tls_ca: ca, ...FAST, ...set } }, ...options });
}

// The node does not become ready, and its log names the reason on each connection once.
async function refuses(w, url, ca, reason, options = {}) {
  const a = await node(w, url, ca, { ready: false, ...options });
  for (const which of ['publish', 'live', 'read']) {
    const line = await a.logged('redis.unreachable', { where: (l) => l.connection.endsWith(which) });
    assert.match(line.why, reason);
  }
  const api = w.client(a);
  await a.metricReaches('weft_redis_errors_total', (n) => n > 12);
  const lines = a.program.lines.map((l) => logLine(l.text)).filter((l) => l?.event === 'redis.unreachable').map((l) => `${l.connection} ${l.why}`);
  assert.equal(new Set(lines).size, lines.length, `each reason once on each connection, however often it was tried: ${lines.join(', ')}`);
  assert.equal((await api.publish('t', event(1))).status, 503);
  assert.equal((await api.get('/readyz')).status, 503);
}

story('publish, follow and resume over TLS', async (w) => {
  const { ca, tlsPort } = await encrypted(w, { args: ['--user', 'tls', 'on', '>s@cret/', 'allkeys', 'allchannels', '+@all'] });
  const a = await node(w, `rediss://tls:s%40cret%2F@localhost:${tlsPort}/3`, ca);
  const b = await node(w, `rediss://127.0.0.1:${tlsPort}/3`, ca);
  const stream = await w.follow(b, 'topic=t');
  const ids = [];
  for (let n = 0; n < 20; n++) ids.push(...(await w.client(a).published('t', events(n * 100 + 1, n * 100 + 100))));
  const big = await w.client(a).published('t', event(0, { payload: { text: 'x'.repeat(200_000) } }));
  ids.push(...big);
  await stream.take(ids.length);
  assert.deepEqual(stream.events.map((e) => e.id), ids);
  stream.cut();
  const again = await w.follow(a, 'topic=t', { lastEventId: ids[999] });
  await again.take(ids.length - 1000);
  assert.deepEqual(again.events.map((e) => e.id), ids.slice(1000));
  const clients = await w.store.cmd('CLIENT', 'LIST');
  const names = ['ack', 'control', 'control-sub', 'live', 'publish', 'read'].flatMap((what) => [`weft-a-${what}`, `weft-b-${what}`]).sort();
  assert.deepEqual([...clients.matchAll(/name=(weft-\S+)/g)].map((m) => m[1]).sort(), names);

  // Cut and restarted it comes back as without TLS.
  await w.store.restart();
  await again.waitControl('weft.recovered');
  const id = await until(async () => {
    const answer = await w.client(b).publish('t', event(3));
    return answer.status === 201 && answer.json.ids[0];
  }, { what: 'the other node to be back too' });
  await again.until(() => again.events.at(-1).id === id, { what: 'the event after the restart' });
});

story('another authority', async (w) => {
  const { made, tlsPort } = await encrypted(w);
  await refuses(w, `rediss://localhost:${tlsPort}`, await made.authority('other'), /TLS: its certificate is not believed: (unable to get local issuer certificate|self-signed certificate in certificate chain)/);
});

story('the system does not believe it either', async (w) => {
  const { tlsPort } = await encrypted(w);
  await refuses(w, `rediss://localhost:${tlsPort}`, '', /not believed: (unable to get local issuer certificate|self-signed certificate in certificate chain)/);
});

story('the certificate is for another host', async (w) => {
  const { ca, tlsPort } = await encrypted(w, { alt: 'DNS:redis.example.org,IP:127.0.0.2' });
  await refuses(w, `rediss://localhost:${tlsPort}`, ca, /not believed: hostname mismatch/);
});

story('the certificate is for another address', async (w) => {
  const { ca, tlsPort } = await encrypted(w, { alt: 'DNS:localhost,IP:127.0.0.2' });
  await refuses(w, `rediss://127.0.0.1:${tlsPort}`, ca, /not believed: IP address mismatch/);
});

story('the certificate has expired', async (w) => {
  const { ca, tlsPort } = await encrypted(w, { days: -1 });
  await refuses(w, `rediss://localhost:${tlsPort}`, ca, /not believed: certificate has expired/);
});

story('a port without TLS, and TLS against a node that expects none', async (w) => {
  const { ca, tlsPort } = await encrypted(w);
  await refuses(w, `rediss://127.0.0.1:${w.store.port}`, ca, /TLS: wrong version number|no connection in time/, { set: { connect_timeout_ms: 100 } });
  await refuses(w, `redis://127.0.0.1:${tlsPort}`, '', /closed by Redis|protocol|reset|Broken pipe/);
});

story('a mute peer: the handshake has its time', async (w) => {
  const { ca, tlsPort } = await encrypted(w);
  w.store.program.signal('SIGSTOP');
  try {
    await refuses(w, `rediss://127.0.0.1:${tlsPort}`, ca, /no connection in time/, { set: { connect_timeout_ms: 50 } });
  } finally {
    w.store.program.signal('SIGCONT');
  }
});

story('Redis asks for a certificate of the node', async (w) => {
  const { made, ca, tlsPort } = await encrypted(w, { args: ['--tls-auth-clients', 'yes'] });
  const own = await made.sign('ca', 'node', 'DNS:node');
  const url = `rediss://localhost:${tlsPort}`;
  await refuses(w, url, ca, /TLS: .*certificate required|reset|Broken pipe|closed by Redis/);
  const a = await node(w, url, ca, { set: { tls_cert: own.cert, tls_key: own.key } });
  await w.client(a).published('t', event(1));
});

story('files that are wrong end the start, and are named', async (w) => {
  const { made, ca, pair, tlsPort } = await encrypted(w);
  const other = await made.sign('ca', 'other', 'DNS:other');
  const url = `rediss://localhost:${tlsPort}`;
  for (const [set, field] of [
    [{ tls_ca: '/nowhere.pem' }, 'redis.tls_ca'],
    [{ tls_ca: pair.key }, 'redis.tls_ca'],
    [{ tls_ca: ca, tls_cert: '/nowhere.pem' }, 'redis.tls_cert'],
    [{ tls_ca: ca, tls_key: pair.key }, 'redis.tls_cert'],
    [{ tls_ca: ca, tls_cert: other.cert, tls_key: pair.key }, 'redis.tls_key'],
    [{ tls_ca: ca, tls_cert: other.cert }, 'redis.tls_key'],
  ]) {
    const a = await w.node({ redis: url, set: { redis: set }, ready: false }).then(() => null, (error) => error);
    assert.ok(a, `${JSON.stringify(set)} was taken`);
    const node = w.nodes.at(-1);
    node.mayDie = true;
    assert.match(node.program.output(), new RegExp(field.replace('.', '\\.')));
  }
});

story('Sentinels and servers with TLS; they announce a name that the certificate has', async (w) => {
  const made = new Certificates(w.folder);
  const ca = await made.authority('ca');
  const pair = await made.sign('ca', 'all', 'DNS:localhost');
  const set = new Sentinels(path.join(w.folder, 'set'), {
    host: 'localhost',
    tls: { ca, ...pair },
    args: ['--replica-announce-ip', 'localhost'],
    lines: ['sentinel announce-hostnames yes', 'sentinel announce-ip localhost'],
  });
  w.atEnd(() => set.stop());
  await set.start();
  const a = await node(w, set.url, ca, { set: { sentinel_ask_ms: 200 } });
  assert.match(set.url, /^rediss\+sentinel:/);
  const stream = await w.follow(a, 'topic=t');
  await w.client(a).published('t', events(1, 10));
  await set.promoted(await set.killMaster());
  await stream.waitControl('weft.recovered');
  const [id] = await w.client(a).published('t', event(11));
  await stream.until(() => stream.events.at(-1).id === id, { what: 'the event' });
}, { timeout: 120_000 });
